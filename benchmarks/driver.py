"""Drives engines: shapes, tables, demands as commands, checked and timed execution."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from benchmarks.demands import Demand, Int64
from benchmarks.timing import cpu_ns
from engine.costs import CostModel
from engine.enums import AreaKind, Op, Row, ZoneKind
from engine.host import Host
from engine.rows import COLUMNS, FIRST
from engine.shape import HostShape
from policies.arms import parse_arm

PAGEBLOCK_ORDER = 9
PAGEBLOCK_PAGES = 1 << PAGEBLOCK_ORDER
LARGE_BLOCK_PAGES = 1 << 19
"""Memory blocks of 2 GiB."""
SMALL_BLOCK_PAGES = 1 << 15
"""Memory blocks of 128 MiB."""
PAGES_PER_CPU = 1 << 21
"""One CPU per 8 GiB, as most hosts of the real inventory have."""
KINDS = {"4 KiB": AreaKind.ANON, "THP": AreaKind.THP}
_ERRNO = FIRST + COLUMNS[Row.RESULT].index("errno")


def arm_table(arm: str = "kernel+unbounded") -> Int64:
    """Return an arm's decision table on the newest profile most runs use."""
    return parse_arm(arm, "linux-6.1", "movable-50").table()


def one_zone(pages: int) -> HostShape:
    """Return a host of one node and one zone (NORMAL), all of it managed."""
    block = LARGE_BLOCK_PAGES if pages >= 8 * LARGE_BLOCK_PAGES else SMALL_BLOCK_PAGES
    blocks = pages // block
    normal = int(ZoneKind.NORMAL)
    node = (0,) * blocks
    cpus = (0,) * max(pages // PAGES_PER_CPU, 1)
    return HostShape(PAGEBLOCK_ORDER, block, node, (normal,) * blocks, node, cpus)


def new_host(shape: HostShape, arm: str = "kernel+unbounded", engine: Any = Host) -> Any:
    """Build an engine with the default costs."""
    return engine(shape, arm_table(arm), CostModel().vector())


def command(op: Op, *arguments: int, time_ns: int = 0) -> list[int]:
    """Return one command row."""
    return [time_ns, int(op), *map(int, arguments), *[0] * (6 - len(arguments))]


def commands(rows: Iterable[Sequence[int]]) -> Int64:
    """Return command rows as the engine takes them."""
    return np.array(list(rows), np.int64).reshape(-1, 8)


def vm_commands(demands: Iterable[Demand], kind: AreaKind) -> Int64:
    """Return the commands that carry out demands: a process and an area per VM."""
    rows = []
    for demand in demands:
        slot, pages = demand.slot, demand.pages
        if demand.starts:
            rows.append(command(Op.SPAWN, slot, 0, 0))
            rows.append(command(Op.MAP, slot, slot, kind, pages, 0))
            rows.append(command(Op.TOUCH, slot, 0, pages, -1, -1))
        else:
            rows.append(command(Op.EXIT, slot))
    return commands(rows)


def page_commands(op: Op, pages: Int64) -> Int64:
    """Return one FREE or TOUCH of a single page for each row of ``random_pages``."""
    out = np.zeros((len(pages), 8), np.int64)
    out[:, 1], out[:, 2:4], out[:, 4], out[:, 5] = int(op), pages, 1, -1
    out[:, 6] = -1 if op == Op.TOUCH else 0
    return out


class Driver:
    """A host whose commands must all succeed.

    Parameters
    ----------
    host : an engine

    Attributes
    ----------
    rows : int64[m, 18]
        What the last call returned.
    """

    def __init__(self, host: Any) -> None:
        self.host = host
        self.rows: Int64 = np.zeros((0, 18), np.int64)

    def run(self, rows: Int64, until_ns: int | None = None) -> int:
        """Execute commands in one call; return its CPU time in ns.

        Raises
        ------
        RuntimeError
            When a command failed: the demands do not fit this host.
        """
        until = self.host.now_ns if until_ns is None else until_ns
        self.rows = self.rows[:0].copy()  # the next rows may have their memory

        def execute() -> None:
            self.rows = self.host.execute(rows, until)

        taken_ns = cpu_ns(execute)
        results = self.rows[self.rows[:, 1] == Row.RESULT]
        if results[:, _ERRNO].any():
            raise RuntimeError(f"errno {sorted(set(results[:, _ERRNO].tolist()))}")
        return taken_ns

    def rows_of(self, kind: Row) -> list[dict[str, int]]:
        """Return the rows of one kind of the last call as dicts."""
        names = COLUMNS[kind]
        found = self.rows[self.rows[:, 1] == kind].tolist()
        return [dict(zip(names, row[FIRST:], strict=False)) for row in found]

    def free_pages(self) -> int:
        """Return what no area holds: free lists and per-CPU lists."""
        zones = self.host.zones()
        return int(zones[:, 1].sum() + zones[:, 6].sum())
