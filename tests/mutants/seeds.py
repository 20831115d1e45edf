"""Where faults are seeded: comparisons, bounds, logic and list operations of compiled kernels.

All faults are compiled into one engine, each behind a switch (mutant schemata: Untch, Offutt and
Harrold, ISSTA 1993): ``a < b`` becomes ``a < b if h.g[AT] != 7 else a <= b``. So they cost one
compilation together, and a number in the host's globals says which one is on.
"""

import ast
import copy
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KINDS = {"comparison": 45, "bound": 20, "logic": 15, "list": 20}
"""Kinds of faults and their share in percent."""
OTHER = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}  # fmt: skip
DECORATORS = {"kernel", "part", "entry"}


@dataclass(frozen=True, slots=True)
class Seed:
    """One fault: place, kind, and the source before and after."""

    file: str
    function: str
    index: int
    line: int
    kind: str
    before: str
    after: str

    @property
    def place(self) -> tuple[str, str, str]:
        """Where it is, whatever else its function holds."""
        return self.file, self.function, self.before

    @property
    def order(self) -> str:
        """Sort key of the choice: a digest that does not depend on lines."""
        text = f"{self.file}:{self.function}:{self.index}:{self.kind}:{self.before}"
        return hashlib.sha256(text.encode()).hexdigest()


def fault_of(node: ast.AST) -> tuple[str, ast.AST | None] | None:
    """Kind of fault that can be seeded at a node, and the node with it (None: left out)."""
    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in OTHER:
            return "comparison", ast.Compare(left, [OTHER[type(op)]()], [right])
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=ast.Constant(value=1)):
            return "bound", left
        case ast.BoolOp(op=op, values=values):
            return "logic", ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.Expr(value=ast.Call(args=[ast.Name(id="h"), *_])):
            return "list", None
    return None


def kernels(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Compiled functions that have the host's arrays as ``h``."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.args.args and node.args.args[0].arg == "h":
            names = {d.id for d in node.decorator_list if isinstance(d, ast.Name)}
            if names & DECORATORS:
                yield node


def sites(folder: Path) -> list[Seed]:
    """All faults that can be seeded in the kernels of a folder."""
    found = []
    for path in sorted(folder.glob("*.py")):
        for function in kernels(ast.parse(path.read_text(encoding="utf-8"))):
            for index, node in enumerate(ast.walk(function)):
                fault = fault_of(node)
                if fault is not None:
                    kind, changed = fault
                    after = "(left out)" if changed is None else ast.unparse(changed)
                    line = getattr(node, "lineno", 0)
                    before = ast.unparse(node)
                    found.append(Seed(path.name, function.name, index, line, kind, before, after))
    return found


def chosen(found: list[Seed], count: int) -> list[Seed]:
    """A fixed choice of faults, by kind, that changes little when sources do."""
    out: list[Seed] = []
    for kind, percent in KINDS.items():
        mine = sorted((s for s in found if s.kind == kind), key=lambda s: s.order)
        out += mine[: count * percent // 100]
    return sorted(out, key=lambda s: (s.file, s.line, s.index))


class _Switch(ast.NodeTransformer):
    """Puts faults behind switches; children first, so that faults inside faults work."""

    def __init__(self, numbers: dict[int, int], cell: int) -> None:
        self.numbers, self.cell = numbers, cell

    def visit(self, node: ast.AST) -> ast.AST:
        """Replace a node that has a fault."""
        number = self.numbers.get(id(node))
        plain = self.generic_visit(node)
        if number is None:
            return plain
        fault = fault_of(plain)
        assert fault is not None
        off = ast.parse(f"h.g[{self.cell}] != {number}", mode="eval").body
        if isinstance(plain, ast.Expr):
            return ast.If(off, [plain], [])
        assert isinstance(plain, ast.expr)
        assert isinstance(fault[1], ast.expr)
        return ast.IfExp(off, plain, copy.deepcopy(fault[1]))


def seed(folder: Path, faults: dict[int, Seed], cell: int) -> None:
    """Rewrite the kernels of a folder; a fault is on when ``h.g[cell]`` is its number."""
    for path in sorted(folder.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        numbers: dict[int, int] = {}
        for function in kernels(tree):
            for index, node in enumerate(ast.walk(function)):
                for number, fault in faults.items():
                    if (fault.file, fault.function, fault.index) == (
                        path.name, function.name, index,
                    ):  # fmt: skip
                        numbers[id(node)] = number
        if numbers:
            changed = ast.fix_missing_locations(_Switch(numbers, cell).visit(tree))
            path.write_text(ast.unparse(changed), encoding="utf-8")
