"""Faults in policies: another value of a cell, another comparison. Runs in a copy of the sources.

``python -m tests.mutants.policies FAULTS`` prints a line ``caught|survives place: before -> after``
for each. Every fault has a process of its own, forked once the engine is loaded; the changed module
is put in place before anything imports it, then the tests run until one fails.
"""

import ast
import hashlib
import os
import signal
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import engine.enums
from engine.costs import CostModel
from engine.host import Host
from engine.shape import HostShape
from tests.mutants.seeds import OTHER

ROOT = Path(__file__).resolve().parents[2]
TESTS = (
    "tests/policies",
    "tests/engine/test_semantics.py",
    "tests/lab/test_scripts.py",
    "tests/lab/test_laws.py",
    "tests/lab/test_validate.py",
)
"""Quick tests about behaviour; that docs/policies.md repeats every value does not count."""
CPU_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Fault:
    """A place in a file of policies, and the source before and after."""

    file: str
    index: int
    line: int
    before: str
    after: str

    @property
    def order(self) -> str:
        """Sort key of the choice."""
        return hashlib.sha256(f"{self.file}:{self.index}:{self.before}".encode()).hexdigest()


def fault_of(node: ast.AST) -> ast.expr | None:
    """The node with a fault in it, None where none is seeded."""
    match node:
        case ast.Call(func=ast.Name(id="Setting"), args=[value, *rest], keywords=keywords):
            other = _other(value)
            return None if other is None else ast.Call(node.func, [other, *rest], keywords)
        case ast.Tuple(elts=[ast.Constant(value=int()) as value, ast.Name(id=name)]) if (
            name[0] == "_"
        ):
            other = _other(value)
            return None if other is None else ast.Tuple([other, node.elts[1]], node.ctx)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in OTHER:
            return ast.Compare(left, [OTHER[type(op)]()], [right])
        case ast.Constant(value=int(value)) if value > 1 and not isinstance(value, bool):
            return ast.Constant(value + 1)
    return None


def _other(value: ast.expr) -> ast.expr | None:
    """Another value of a cell: the other bit, one more, or the next member of its enum."""
    match value:
        case ast.Constant(value=int(number)):
            return ast.Constant(1 - number if number in (0, 1) else number + 1)
        case ast.Attribute(value=ast.Name(id=name), attr=member):
            members = [m.name for m in getattr(engine.enums, name)]
            following = members[(members.index(member) + 1) % len(members)]
            return ast.Attribute(value.value, following, value.ctx)
    return None


def faults() -> Iterator[Fault]:
    """All faults that can be seeded."""
    for path in sorted((ROOT / "policies").glob("*.py")):
        for index, node in enumerate(ast.walk(ast.parse(path.read_text(encoding="utf-8")))):
            changed = fault_of(node)
            if changed is not None and isinstance(node, ast.expr):
                before, after = (ast.unparse(n)[:70] for n in (node, changed))
                yield Fault(path.name, index, node.lineno, before, after)


class _Change(ast.NodeTransformer):
    """Replaces one node."""

    def __init__(self, target: ast.AST) -> None:
        self.target = target

    def visit(self, node: ast.AST) -> ast.AST:
        """Change the target, go on elsewhere."""
        if node is self.target:
            return fault_of(node) or node
        return self.generic_visit(node)


def install(fault: Fault) -> None:
    """Put the changed module in place of the real one, which nobody has imported yet."""
    path = ROOT / "policies" / fault.file
    name = f"policies.{path.stem}".removesuffix(".__init__")
    assert name not in sys.modules
    tree = ast.parse(path.read_text(encoding="utf-8"))
    target = list(ast.walk(tree))[fault.index]
    changed = ast.fix_missing_locations(_Change(target).visit(tree))
    assert isinstance(changed, ast.Module)
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    exec(compile(changed, str(path), "exec"), module.__dict__)
    setattr(sys.modules["policies"], path.stem, module)


def caught(fault: Fault) -> bool:
    """Whether the tests notice a fault; so does an error or a hang."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status) != 0
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    try:
        install(fault)
    except Exception:
        os._exit(1)
    os._exit(int(pytest.main(["-x", "-q", "-n0", "-p", "no:cacheprovider", *TESTS])))


def main(count: int) -> None:
    """Hunt a fixed choice of faults, one after the other."""
    shape = HostShape(2, 16, (0, 0), (1, 1), (0, 0), (0,))
    import numpy as np

    Host(shape, np.zeros(engine.enums.NR_CELLS, np.int64), CostModel().vector())  # loads the engine
    for fault in sorted(sorted(faults(), key=lambda f: f.order)[:count], key=lambda f: f.order):
        word = "caught" if caught(fault) else "survives"
        place = f"policies/{fault.file}:{fault.line}"
        print(f"{word} {place}: {fault.before} -> {fault.after}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
