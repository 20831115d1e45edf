"""How a host became what it is at time zero: its history, and the areas of its own it is left with.

A history is a list of commands for the plain kernel of the profile (no pins, no policy). Earlier
tenants have come and gone; what they leave is the order of the free lists. What stays are the
host's own pages, allocated in turns while the tenants were there: kernel memory and daemons, both
of which were larger once and gave back chunks in random order (slab and network buffers after a
peak), so that their pages lie scattered over more pageblocks than they fill.

``default`` takes the tenants' part from ``Op.STIR``: the limit of a long history, which
``docs/ageing.md`` compares with histories that are played (``shallow``, ``deep``, ``nearly-full``).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.draws import draw
from engine.enums import ZONES_PER_NODE, AreaKind, Op
from engine.shape import HostShape

KERNEL, BASE, TENANTS, PRESSURE, CACHE = range(5)
"""Areas of the host's own process 0; the page cache of zone z is area ``CACHE + z``."""
PROC = 0
MILLION = 1_000_000
MAX_AREA_PAGES = 1 << 30
AGE_PURPOSE = 23
"""``fleet.plan.draws.Purpose.AGEING``."""
ROUNDS = 8
"""Turns that tenants, kernel memory and daemons take."""


def mix(*weights: int) -> int:
    """Pack the weights of six chunk sizes, one page to a pageblock, for ``Op.AGE``."""
    return sum(weight << 8 * size for size, weight in enumerate(weights))


WHOLE = mix(0, 0, 1, 2, 4, 200)
"""Tenants and page cache: THP and large extents, some smaller ones."""
GROWTH = mix(0, 1, 1, 1, 1, 28)
"""Kernel memory and daemons as they grow."""
PIECES = mix(1, 1, 2, 4, 40, 0)
"""What they give back: few pages to 512 KiB (background estimate)."""


@dataclass(frozen=True, slots=True)
class History:
    """A depth of history; shares in millionths of the host's memory.

    Attributes
    ----------
    turnover : int
        Memory that tenants freed and took again; ``None``: the limit of many turnovers (STIR).
    low, high : int
        Levels between which occupancy walked. What lies above ``high`` was never used.
    peak : int
        What kernel memory and daemons once were, in millionths of what they are.
    """

    turnover: int | None
    low: int
    high: int
    peak: int


HISTORIES = {
    "none": History(0, 0, 0, MILLION),
    "shallow": History(100_000, 500_000, 600_000, 1_200_000),
    "default": History(None, 500_000, 880_000, 1_450_000),
    "deep": History(2_000_000, 500_000, 880_000, 1_450_000),
    "nearly-full": History(1_000_000, 500_000, MILLION, 1_450_000),
}


@dataclass(frozen=True, slots=True)
class Age:
    """Age and life of the hosts of a scenario, see ``fleet.scenario.hosts.Age``.

    Attributes
    ----------
    history : str
        Key of ``HISTORIES``.
    used, churn : int
        Millionths of memory: in use including page cache; page cache renewed per step.
    every_ns : int
        Time between steps.
    pressure : int
        Millionths of memory an episode takes; 0 for none.
    pressure_every_ns, pressure_ns : int
        One episode in each span of this length, and how long it lasts.
    """

    history: str
    used: int
    churn: int
    every_ns: int
    pressure: int = 0
    pressure_every_ns: int = 0
    pressure_ns: int = 0


@dataclass(frozen=True, slots=True)
class Own:
    """One host: first words of its draws (seed, replication, host) and its own memory, pages."""

    key: tuple[int, int, int]
    kernel_pages: int
    base_pages: int


def first_slot(shape: HostShape) -> int:
    """Return the lowest process, area and pin number free for workloads."""
    return CACHE + shape.nr_zones


def memory_pages(shape: HostShape) -> int:
    """Pages of a host's online blocks."""
    return sum(zone >= 0 for zone in shape.block_zone) * shape.block_pages


class Story:
    """Commands of one time, with a key of their own each."""

    def __init__(self, own: Own, now_ns: int) -> None:
        self._own, self._now_ns = own, now_ns
        self.rows: list[tuple[int, ...]] = []

    def add(self, op: Op, *args: int) -> None:
        """Append a command."""
        self.rows.append((self._now_ns, int(op), *args, *[0] * (6 - len(args))))

    def age(self, area: int, pages: int, low: int, high: int, chunks: int) -> None:
        """Append an AGE under the next key."""
        self.add(Op.AGE, area, self.key(), pages, low, high, chunks)

    def key(self) -> int:
        """Return the key of the next command."""
        return draw(*self._own.key, AGE_PURPOSE, len(self.rows)) >> 2


def history(own: Own, shape: HostShape, depth: str, now_ns: int = 0) -> NDArray[np.int64]:
    """Return the commands that make a host just built into one with a history.

    They are about the host and its zones alone, so every arm of a sizing has the same host.

    Parameters
    ----------
    own : Own
    shape : HostShape
    depth : str
        Key of ``HISTORIES``; ``none`` is a host that has just booted.
    now_ns : int
        Time of all commands.

    Returns
    -------
    int64[n, 8]
    """
    story, past = Story(own, now_ns), HISTORIES[depth]
    ram = memory_pages(shape)
    story.add(Op.SPAWN, PROC, 0, 1)
    kinds = [AreaKind.KERNEL, AreaKind.ANON, AreaKind.ANON, AreaKind.ANON]
    for area, kind in enumerate(kinds + [AreaKind.FILE] * shape.nr_zones):
        room = ram if kind != AreaKind.FILE else 64 * ram  # the cache's end moves on
        story.add(Op.MAP, area, PROC, kind, min(room, MAX_AREA_PAGES))
    if past.turnover is None:
        for zone, used in enumerate(_used(shape, past.high)):
            story.add(Op.STIR, story.key(), zone, used)
    peaks = [pages * past.peak // MILLION for pages in (own.kernel_pages, own.base_pages)]
    low, high = (max(ram * level // MILLION - sum(peaks), 0) for level in (past.low, past.high))
    for turn in range(1, ROUNDS + 1):
        if past.turnover:
            turned = ram * past.turnover // MILLION // ROUNDS
            story.age(TENANTS, turned, min(low, high), high, WHOLE)
        for area, peak in zip((KERNEL, BASE), peaks, strict=True):
            level = peak * turn // ROUNDS
            story.age(area, 0, level, level, GROWTH)
    for area, now in ((KERNEL, own.kernel_pages), (BASE, own.base_pages)):
        story.age(area, peaks[area] - now, now, now, PIECES)
    if past.turnover:
        story.age(TENANTS, ram, 0, 0, WHOLE)
    story.add(Op.UNMAP, TENANTS)
    return np.array(story.rows, np.int64)


def _used(shape: HostShape, level: int) -> list[int]:
    """Return how much of each zone was ever used, in millionths, when ``level`` of memory was.

    Tenants of a node fill its MOVABLE zone first, then NORMAL, then DMA32 (the zonelist).
    """
    pages = [0] * shape.nr_zones
    for node, kind in zip(shape.block_node, shape.block_zone, strict=True):
        if kind >= 0:
            pages[node * ZONES_PER_NODE + kind] += shape.block_pages
    used = [0] * shape.nr_zones
    for node in range(shape.nr_nodes):
        first = node * ZONES_PER_NODE
        left = sum(pages[first : first + ZONES_PER_NODE]) * level // MILLION
        for zone in range(first + ZONES_PER_NODE - 1, first - 1, -1):
            taken = min(left, pages[zone])
            used[zone] = taken * MILLION // max(pages[zone], 1)
            left -= taken
    return used
