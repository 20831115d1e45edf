"""Faults in policies: another value of a cell, another comparison. Runs in a copy of the sources.

``python -m tests.mutants.policies FAULTS`` prints a line ``caught|survives place: before -> after``
for each. Every fault has a process of its own, forked once the engine is loaded; the changed module
is put in place before anything imports it, then the tests run until one fails. Without a fault they
must all pass, or nothing is hunted. Exit code 1 when fewer than 90 % of the faults that can be seen
are caught.
"""

import ast
import hashlib
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np

import engine.enums
from engine.costs import CostModel
from engine.host import Host
from engine.shape import HostShape
from tests.mutants.seeds import OTHER
from tests.mutants.trial import BROKEN, answer, forked, tested

ROOT = Path(__file__).resolve().parents[2]
LAWS = ("tests/policies/test_limits.py", "tests/policies/test_kernels.py")
"""What tables may say at all: run first, as they need no engine."""
TESTS = (
    "tests/policies",
    "tests/engine/test_semantics.py",
    "tests/lab/test_scripts.py",
    "tests/lab/test_laws.py",
    "tests/lab/test_validate.py",
)
"""Quick tests about behaviour; that docs/policies.md repeats every value does not count."""
WANTED = 90
"""Faults to be caught, percent."""


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


def chosen(count: int) -> list[Fault]:
    """A fixed choice of faults."""
    return sorted(faults(), key=lambda f: f.order)[:count]


def module_of(fault: Fault) -> str:
    """Name of the module that has a fault."""
    return f"policies.{Path(fault.file).stem}"


def install(fault: Fault) -> None:
    """Put the changed module in place of the real one, which nobody has imported yet."""
    path, name = ROOT / "policies" / fault.file, module_of(fault)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    target = list(ast.walk(tree))[fault.index]
    changed = ast.fix_missing_locations(_Change(target).visit(tree))
    assert isinstance(changed, ast.Module)
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    exec(compile(changed, str(path), "exec"), module.__dict__)
    setattr(import_module("policies"), path.stem, module)


def trial(fault: Fault | None) -> str:
    """What notices a fault (None: nothing is changed); nothing: it survives."""
    if fault is not None:
        assert module_of(fault) not in sys.modules, "imported before it was changed"
        try:
            install(fault)
        except Exception as error:
            return f"import: {error!r}"
    return tested(LAWS) or tested(TESTS)


def main(count: int) -> int:
    """Hunt a fixed choice of faults, one after the other."""
    shape = HostShape(2, 16, (0, 0), (1, 1), (0, 0), (0,))
    Host(shape, np.zeros(engine.enums.NR_CELLS, np.int64), CostModel().vector())  # loads the engine
    wrong = answer(*forked(partial(trial, None)))
    if wrong:
        raise SystemExit(f"without a fault: {wrong}")
    caught = 0
    for fault in chosen(count):
        found = answer(*forked(partial(trial, fault)))
        if found.startswith(BROKEN):
            raise SystemExit(f"{fault}: {found}")
        caught += bool(found)
        word = "caught" if found else "survives"
        place = f"policies/{fault.file}:{fault.line}"
        print(f"{word} {place}: {fault.before} -> {fault.after}  {found}", flush=True)
    print(f"{caught} of {count} faults caught")
    return int(100 * caught < WANTED * count)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
