"""Random commands for both engines, a function of a key: what nobody planned."""

from collections.abc import Callable
from typing import Any

from engine.draws import below
from engine.enums import AreaKind, Op
from fleet.policy.pair import Int64, Pair, tiny_shape

SHAPES = ("NNNNMMMM", "NNNMMM-|NNMM", "NNNNNN|NNN-", "DNNMMMM|DNMM")
DELAYS_NS = (0, 0, 0, 0, 1000, 60_000, 800_000, 1_100_000_000, 3_000_000_000)
"""Time before a command: mostly none, at times inside a pass of an offline."""
SLOTS = 6
"""Processes, areas and pins are numbered below this: often taken, often free."""


class Walk:
    """A sequence of random commands on a random small host.

    Parameters
    ----------
    table : int64[NR_CELLS]
    key : tuple of int
        Equal keys make equal sequences.
    classes : tuple of engine classes, optional
    """

    def __init__(self, table: Int64, key: tuple[int, ...], classes: tuple[type, ...] = ()) -> None:
        self._key, self._index = key, 0
        shape = tiny_shape(self._of(SHAPES), order=2 + self._below(2), cpus_per_node=2)
        self.pair = Pair(shape, table, classes)
        self._unit = shape.pageblock_pages
        self._size = [0] * SLOTS
        for proc in range(3):
            self.pair.do(Op.SPAWN, proc, proc % len(shape.cpu_node), proc == 2)

    def run(self, steps: int) -> "Walk":
        """Make some steps. Raises ``laws.LawError``."""
        for _ in range(steps):
            self.pair.now_ns += self._of(DELAYS_NS)
            self._of(_MOVES)(self)
        self.pair.wait(10_000_000_000)
        return self

    def _below(self, bound: int) -> int:
        self._index += 1
        return below(bound, *self._key, self._index)

    def _of(self, choices: Any) -> Any:
        return choices[self._below(len(choices))]

    def _span(self, area: int) -> tuple[int, int]:
        """A range of an area: all of it, whole huge pages, or some pages."""
        size = max(self._size[area], 1)
        first = self._below(size) if self._below(3) else 0
        if self._below(2):
            first -= first % self._unit
        return first, 1 + self._below(size - first)

    def _map(self) -> None:
        area, kind = self._below(SLOTS), self._of((0, 0, 1, 1, 1, 2, 3, 4, 5))
        pages = 1 + self._below(8) if kind == AreaKind.KERNEL else 4 * (1 + self._below(12))
        pages = -(-pages // self._unit) * self._unit if kind != AreaKind.KERNEL else pages
        if self.pair.do(Op.MAP, area, self._below(3), kind, pages, self._below(2))["errno"] == 0:
            self._size[area] = pages
            if kind == AreaKind.HUGETLB:
                self.pair.do(Op.POOL, 0, 1 + pages // self._unit)
            if self._below(3):
                self.pair.do(Op.TOUCH, area, 0, pages, -1, -1)

    def _touch(self) -> None:
        area = self._below(SLOTS)
        self.pair.do(Op.TOUCH, area, *self._span(area), -1, -1)

    def _free(self) -> None:
        area = self._below(SLOTS)
        self.pair.do(Op.FREE, area, *self._span(area), -1)

    def _end(self) -> None:
        if self._below(3):
            self.pair.do(Op.UNMAP, self._below(SLOTS))
        else:
            proc = self._below(3)
            self.pair.do(Op.EXIT, proc)
            self.pair.do(Op.SPAWN, proc, 0, 0)

    def _pin(self) -> None:
        area = self._below(SLOTS)
        where = self._span(area)
        self.pair.do(Op.PIN, self._below(SLOTS), area, *where, self._below(3), -1)

    def _hold(self) -> None:
        area = self._below(SLOTS)
        self.pair.do(Op.HOLD, self._below(SLOTS), area, *self._span(area))

    def _unpin(self) -> None:
        self.pair.do(Op.UNPIN, self._below(SLOTS))

    def _io(self) -> None:
        density = self._below(3) * 10**12 // (4 * self._unit)
        hold_ns = self._of((200_000, 1_000_000_000))
        self.pair.do(Op.IO, self._below(SLOTS), density, 1, hold_ns, self._below(1 << 40))

    def _offline(self) -> None:
        blocks = len(self.pair.shape.block_node)
        self.pair.do(Op.OFFLINE, 1, self._below(blocks), 1 + self._below(2), 0)
        self.pair.wait(self._of(DELAYS_NS) + 1)

    def _meanwhile(self) -> None:
        self.pair.do(self._of((Op.STATUS, Op.SIGNAL, Op.SAMPLE)), 1)

    def _online(self) -> None:
        away = [b for b, row in enumerate(self.pair.host.blocks().tolist()) if row[0] == -1]
        if away:
            self.pair.do(Op.ONLINE, self._of(away), 1, 1 + self._below(2))

    def _migrate(self) -> None:
        area = self._below(SLOTS)
        nodes = self.pair.shape.nr_nodes
        self.pair.do(Op.MIGRATE, area, *self._span(area), self._below(nodes))


_MOVES: tuple[Callable[[Walk], None], ...] = (
    *[Walk._map] * 4, *[Walk._touch] * 2, *[Walk._free] * 2, Walk._end, *[Walk._pin] * 5,
    *[Walk._hold] * 2, *[Walk._unpin] * 3, Walk._io, *[Walk._offline] * 3, *[Walk._meanwhile] * 2,
    Walk._online, Walk._migrate,
)  # fmt: skip
"""Commands with their frequencies."""
