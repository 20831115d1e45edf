"""Checkerboards: hosts filled with one area, holes of every form made in it, huge areas put in.

Random commands rarely leave a zone with many free pageblocks none of which has a free neighbour,
or with so many single pages that huge requests pass the watermarks where no chunk is left. Here
every round does, also while an offline has the zone's per-CPU lists switched off, on hosts
that age, shuffle and pin in between. Both engines are compared after each command.
"""

import pytest

from engine.enums import AreaKind, Op
from tests.engine.bench import Guest, make_shape, make_table
from tests.engine.commands import Draws

SHAPES = (
    make_shape("NNNNMM", order=2, chunks=4, cpus=(0, 0)),
    make_shape("NNN|MMM", order=3, chunks=2, cpus=(0, 1)),
    make_shape("NNMMMM", order=4, chunks=2, cpus=(0,), thp=True),
)
CELLS = (
    {"PCP_THP": 1, "PCP_HIGH_PAGES": 64},
    {"PCP_THP": 1},
    {"PCP_THP": 0, "PCP_HIGH_PAGES": 12},
    {"PCP_THP": 1, "PCP_HIGH_PAGES": 33},
)
FILLERS = (AreaKind.ANON, AreaKind.ANON, AreaKind.THP, AreaKind.FILE, AreaKind.KERNEL)
HOG, HUGE, MIXED, PINNED, HELD = 10, 11, 12, 13, 14


def holes(g: Guest, d: Draws, area: int, pages: int) -> None:
    """Free whole pageblocks, halves, single pages or nothing, block after block."""
    unit = g.shape.pageblock_pages
    style = d.below(4)
    for first in range(0, pages - unit + 1, unit):
        form = (d.below(6), (first // unit) % 2, d.of((0, 0, 1, 3)), d.of((2, 3, 4)))[style]
        cpu = d.below(3) - 1
        if form == 1:
            g.free(area, first, unit, cpu)
        elif form == 2:
            g.free(area, first + d.below(2) * (unit // 2), max(unit // 2, 1), cpu)
        elif form == 3:
            g.free(area, first + d.below(unit), 1, cpu)
        elif form == 4:
            for page in range(first + d.below(2), first + unit, 2):
                g.free(area, page, 1, cpu)


def beside(g: Guest, d: Draws) -> None:
    """Something that lasts: an offline of a block that a pin holds, a shuffle, a pass of time."""
    what = d.below(6)
    if what == 0 and not g.host.offline_running:
        movable = [b for b, row in enumerate(g.host.blocks().tolist()) if row[0] % 3 == 2]
        if movable:
            g.do(Op.OFFLINE, 90, d.of(movable), 1, 0)
    elif what == 1:
        g.do(Op.SHUFFLE, d.below(1 << 40))
    elif what == 2:
        g.do(Op.STIR, d.below(1 << 40), d.below(g.shape.nr_zones), 600_000)
    elif what == 3 and g.host.offline_running:
        g.do(Op.SIGNAL)
    else:
        g.advance(d.of((1_000, 900_000, 4_000_000)))


@pytest.mark.parametrize("key", range(36))
def test_huge_areas_find_their_way_into_holes(key: int) -> None:
    d = Draws(key, 77)
    shape = SHAPES[key % 3]
    profile = d.of(("linux-5.10", "linux-6.1", "linux-6.1", "linux-6.12"))
    arm = d.of(("pin-in-place+unbounded", "linux-5.13+unbounded", "revocable+unbounded"))
    table = make_table(arm, profile, **d.of(CELLS))
    g = Guest(shape, table, checked=False, full_every=3)
    unit = shape.pageblock_pages
    g.do(Op.MIN_FREE, 1 + d.below(8))
    for proc in range(3):
        g.do(Op.SPAWN, proc, proc % len(shape.cpu_node), 0)
    g.do(Op.MAP, PINNED, 2, AreaKind.ANON, 4, 0)
    g.do(Op.PIN, 1, PINNED, 0, 2, 0, -1)
    for _ in range(3):
        free = int(g.host.zones()[:, 1].sum())
        pages = max((free - d.below(3) * unit) // unit * unit, unit)
        g.do(Op.MAP, HOG, 0, d.of(FILLERS), pages, 0)
        g.do(Op.TOUCH, HOG, 0, pages, -1, -1)
        holes(g, d, HOG, pages)
        beside(g, d)
        huge = (2 + d.below(12)) * unit
        g.do(Op.MAP, HUGE, 1, d.of((AreaKind.THP, AreaKind.THP, AreaKind.KERNEL)), huge, 0)
        g.do(Op.TOUCH, HUGE, 0, huge, -1, d.of((-1, -1, 0)))
        beside(g, d)
        g.do(Op.PIN, 2, HUGE, d.below(unit), huge // 2, d.below(4), -1)
        g.do(Op.MAP, MIXED, 1, d.of((AreaKind.ANON, AreaKind.KERNEL)), 3 * unit, 0)
        g.do(Op.TOUCH, MIXED, 0, 3 * unit, -1, -1)
        holes(g, d, HUGE, huge)
        g.do(Op.UNPIN, 2)
        for area in d.of(((HOG, HUGE, MIXED), (MIXED, HOG, HUGE))):
            g.do(Op.UNMAP, area)
    g.finish()
