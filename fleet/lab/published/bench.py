"""A simulated host to measure on: one command at a time, its latency in nanoseconds."""

import numpy as np

from engine.costs import CostModel
from engine.enums import AreaKind, Cell, Counter, Errno, Op, Row, ZoneKind
from engine.host import Host
from engine.rows import COLUMNS, FIRST
from engine.shape import HostShape
from engine.table import make_table
from policies.registry import profile

GIB_PAGES = 1 << 18
HUGE_ORDER = 9
PROC = 0


class Bench:
    """A host with one process, whose commands follow each other.

    Parameters
    ----------
    blocks : tuple of tuple of int
        Per memory block: node and zone kind (-1: offline).
    block_pages : int
        Pages of a block.
    model : CostModel
        The machine.
    kernel : str
        Profile, such as ``linux-6.1``.
    order : int
        Order of a huge folio.
    cells : int
        Cells of the profile to replace, by name.
    """

    def __init__(
        self,
        blocks: tuple[tuple[int, int], ...],
        block_pages: int,
        model: CostModel,
        kernel: str,
        order: int = HUGE_ORDER,
        **cells: int,
    ) -> None:
        nodes = tuple(node for node, _ in blocks)
        shape = HostShape(
            order, block_pages, nodes, tuple(kind for _, kind in blocks), (0,) * len(blocks),
            tuple(range(max(nodes) + 1)),
        )  # fmt: skip
        settings = {cell: int(s.value) for cell, s in profile(kernel).settings.items()}
        settings |= {Cell[name]: value for name, value in cells.items()}
        self.host = Host(shape, make_table(settings), model.vector(1 << order))
        self.now_ns = 0
        self._slots = 0
        self.ns(Op.SPAWN, PROC, 0, 0)

    def ns(self, op: Op, *arguments: int) -> int:
        """Run one command that must succeed; what its caller waits, in nanoseconds."""
        row = [self.now_ns, int(op), *arguments, *[0] * (6 - len(arguments))]
        rows = self.host.execute(np.array([row], np.int64), self.now_ns)
        result = rows[rows[:, 1] == Row.RESULT][0]
        errno = Errno(int(result[FIRST + COLUMNS[Row.RESULT].index("errno")]))
        if errno != Errno.OK:
            raise RuntimeError(f"{op.name} of the experiment failed with {errno.name}")
        latency = int(result[FIRST + COLUMNS[Row.RESULT].index("latency_ns")])
        self.now_ns = max(self.now_ns + latency, int(self.host.now_ns))
        return latency

    def map(self, kind: AreaKind, pages: int) -> int:
        """Map an area; returns its slot."""
        self._slots += 1
        self.ns(Op.MAP, self._slots, PROC, kind, pages, 0)
        return self._slots

    def touch(self, area: int, pages: int) -> int:
        """Touch the first pages of an area."""
        return self.ns(Op.TOUCH, area, 0, pages, -1, -1)

    def offline(self, first: int, count: int) -> int:
        """Offline blocks that can go; how long it takes, in nanoseconds."""
        start = self.now_ns
        self.ns(Op.OFFLINE, 0, first, count, 0)
        while self.host.offline_running:
            self.now_ns += 1_000_000_000
            rows = self.host.execute(np.zeros((0, 8), np.int64), self.now_ns)
        ended = rows[rows[:, 1] == Row.ATTEMPT][-1]
        if ended[FIRST + COLUMNS[Row.ATTEMPT].index("errno")]:
            raise RuntimeError("an offline of the experiment failed")
        return int(ended[FIRST + COLUMNS[Row.ATTEMPT].index("end_ns")]) - start

    def passes(self, ns: int) -> int:
        """Let a running offline go on for a time; how many passes it made."""
        before = int(self.host.counters[Counter.OFFLINE_PASSES])
        self.now_ns += ns
        self.host.execute(np.zeros((0, 8), np.int64), self.now_ns)
        return int(self.host.counters[Counter.OFFLINE_PASSES]) - before


def one_node(kinds: str) -> tuple[tuple[int, int], ...]:
    """Blocks of node 0 by letter: N kernel zone, M MOVABLE, ``-`` offline."""
    names = {"N": int(ZoneKind.NORMAL), "M": int(ZoneKind.MOVABLE), "-": -1}
    return tuple((0, names[kind]) for kind in kinds)
