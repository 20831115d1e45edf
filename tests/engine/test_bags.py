"""Bits that say where a bag's pages may lie: never clear where there are some, cleared in time."""

from collections.abc import Iterator

import numpy as np
import pytest

from engine.enums import AreaKind, Op
from engine.state import (
    AR_BAG,
    BAG_SHIFT,
    G_BAGS,
    G_BAGWORDS,
    NR_BAGS,
    PB_AUX,
    PH_OWN,
    PS_STATE,
    R_ALLOC,
    RN_BNEXT,
    RN_OWN,
    RS_STATE,
    SPLIT,
    UNIFORM,
    H,
)
from tests.engine.bench import Guest, make_shape, make_table
from tests.engine.test_history import BLOCKS, EVEN, KEY, PAGES, guest
from tests.engine.test_sharing import forked


def marked(g: Guest, area: int) -> set[int]:
    """Groups of pageblocks whose bit is set."""
    h = g.hosts[1]._h
    first = int(h.g[G_BAGS] + h.slot[area, AR_BAG] * h.g[G_BAGWORDS])
    words = h.small[first : first + int(h.g[G_BAGWORDS])]
    bits = np.unpackbits(words.view(np.uint8), bitorder="little")
    return set(np.flatnonzero(bits).tolist())


def runs_of(h: H, pb: int) -> Iterator[int]:
    """Runs of a split pageblock, lowest first."""
    r = int(h.pb[pb, PB_AUX])
    while r >= 0:
        yield r
        r = int(h.run[r, RN_BNEXT])


def held(g: Guest, area: int) -> set[int]:
    """Groups of pageblocks in which an area has base pages."""
    h, found = g.hosts[1]._h, set()
    for pb, state in enumerate(h.pbs[:, PS_STATE].tolist()):
        runs = runs_of(h, pb) if state == SPLIT else ()
        own = any(h.runb[r, RS_STATE] == R_ALLOC and h.run[r, RN_OWN] == area for r in runs)
        if own or (state == UNIFORM and h.pbh[pb, PH_OWN] == area):
            found.add(pb >> BAG_SHIFT)
    return found


@pytest.mark.parametrize("mix", [EVEN, PAGES, BLOCKS])
def test_no_bit_is_clear_where_a_bag_has_pages(mix: int) -> None:
    g = guest("NNMMMMMMMM")
    proc = g.spawn()
    bags = [g.map(proc, kind, 900) for kind in (AreaKind.ANON, AreaKind.FILE, AreaKind.KERNEL)]
    for round_, low in enumerate((100, 0, 200, 50)):
        for bag in bags:
            g.do(Op.AGE, bag, KEY + round_, 300, low, 200 + low, mix)
            assert held(g, bag) <= marked(g, bag)
    g.do(Op.OFFLINE, 1, 9, 1, 0)
    for bag in bags:
        assert held(g, bag) <= marked(g, bag)


def test_what_an_area_has_before_it_is_a_bag_is_found_once() -> None:
    g = guest()
    proc = g.spawn()
    bag = g.map(proc, AreaKind.ANON, 900)
    g.do(Op.TOUCH, bag, 0, 300, -1, 0)
    g.touched(proc, AreaKind.ANON, 600)
    g.do(Op.AGE, bag, KEY, 0, 300, 300, EVEN)
    assert held(g, bag) == marked(g, bag)
    assert len(held(g, bag)) > 1


def test_bits_of_pages_that_are_gone_are_cleared_by_those_who_look() -> None:
    g = guest("NNNNNNNNNNNNNNNN" * 4)
    bag = g.map(g.spawn(), AreaKind.ANON, 3000)
    g.do(Op.AGE, bag, KEY, 0, 3000, 3000, BLOCKS)
    g.do(Op.FREE, bag, 0, 2900)
    stale = len(marked(g, bag) - held(g, bag))
    assert stale > 5
    for k in range(40):
        g.do(Op.AGE, bag, KEY + 1 + k, 60, 40, 100, PAGES)
    assert len(marked(g, bag) - held(g, bag)) < stale // 2


def test_more_bags_than_bits_do_without() -> None:
    g = guest("NNMMMMMMMM")
    proc = g.spawn()
    bags = [g.map(proc, AreaKind.ANON, 100) for _ in range(NR_BAGS + 2)]
    for bag in bags:
        g.do(Op.AGE, bag, KEY + bag, 40, 20, 60, EVEN)
    assert g.hosts[1]._h.slot[bags, AR_BAG].tolist() == [*range(NR_BAGS), -1, -1]
    g.do(Op.UNMAP, bags[1])
    g.do(Op.AGE, bags[-1], KEY, 40, 20, 60, EVEN)
    assert g.hosts[1]._h.slot[bags[-1], AR_BAG] == 1
    assert held(g, bags[-1]) <= marked(g, bags[-1])


def test_a_number_that_is_used_again_has_no_bits_of_the_bag_before() -> None:
    g = guest("NNMMMMMMMM")
    proc = g.spawn()
    first, second = (g.map(proc, AreaKind.ANON, 900) for _ in range(2))
    g.do(Op.AGE, first, KEY, 0, 900, 900, BLOCKS)
    g.do(Op.UNMAP, first)
    g.do(Op.AGE, second, KEY, 0, 40, 40, PAGES)
    assert g.hosts[1]._h.slot[second, AR_BAG] == 0
    assert marked(g, second) == held(g, second)


def test_pages_that_moved_while_a_child_saw_them_are_found_when_it_is_gone() -> None:
    """They are an object's meanwhile, which is no bag, and come back to the area that is one."""
    g = guest("NNMMMMMMMM")
    bag = g.map(g.spawn(), AreaKind.ANON, 300)
    g.do(Op.AGE, bag, KEY, 0, 300, 300, BLOCKS)
    before = held(g, bag)
    child = forked(g, bag)
    for attempt, block in enumerate(g.blocks_of(bag)):
        g.offline(block, attempt=attempt)
        g.attempt()
    g.do(Op.UNMAP, child)
    assert held(g, bag) - before
    assert held(g, bag) <= marked(g, bag)


def test_no_bit_is_lost_where_many_chunks_come_to_the_last_list() -> None:
    """What is kept of the chunks that came to lists lies before the bits."""
    shape = make_shape("NNMM", order=2, chunks=64, cpus=(0, 0))
    g = Guest(shape, make_table("kernel+unbounded"), full_every=1)
    proc = g.spawn()
    bag, area = g.map(proc, AreaKind.KERNEL, 900), g.touched(proc, AreaKind.ANON, 400)
    g.do(Op.AGE, bag, KEY, 0, 900, 900, BLOCKS)
    (block,) = g.blocks_of(area)
    g.offline(block)
    assert g.attempt()["migrated_pages"] == 400
    assert held(g, bag) <= marked(g, bag)
