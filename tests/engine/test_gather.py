"""Large areas given back: what passes through the per-CPU lists, in pageblocks of real size.

The fast engine sends most of such pages straight to the buddy (``engine.gather``); the reference
moves them one by one. Small hosts never get there, so these are a few hundred MiB.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from engine import tuning
from engine.enums import AreaKind, Cell, Op
from engine.reference.host import ReferenceHost
from tests.engine.bench import Guest, make_shape, make_table
from tests.engine.commands import Draws

PAGEBLOCK = 512
KINDS = (AreaKind.ANON, AreaKind.THP, AreaKind.FILE)


def guest(profile: str, pcp_high: int = 0) -> Guest:
    table = make_table(profile=profile)
    if pcp_high:
        table[Cell.PCP_HIGH_PAGES] = pcp_high
    shape = make_shape("DNMM", order=9, chunks=8, cpus=(0, 0), thp=False)
    return Guest(shape, table, checked=False, full_every=4)


def story(bench: Guest, d: Draws, steps: int) -> None:
    """Map, touch in pieces, free in pieces, unmap, with areas of a few pages to many pageblocks."""
    proc = [bench.spawn(0), bench.spawn(1)]
    kernel = bench.touched(proc[0], AreaKind.KERNEL, 300)
    bench.free(kernel, 0, 200, 0)
    areas: list[tuple[int, int]] = []
    for _ in range(steps):
        if len(areas) < 2 or (len(areas) < 5 and d.below(2)):
            pages = (d.below(6) * PAGEBLOCK + d.below(2) * d.below(PAGEBLOCK)) or 40
            area = bench.map(proc[d.below(2)], KINDS[d.below(3)], pages)
            half = d.below(pages)
            for first, count in ((half, pages - half), (0, half)):
                if count:
                    bench.touch(area, first, count)
            areas.append((area, pages))
            continue
        area, pages = areas[d.below(len(areas))]
        if d.below(2):
            first = d.below(pages)
            count = 1 + d.below(pages - first)
            bench.free(area, first, count, d.below(3) - 1)
            bench.touch(area, first, count)
        else:
            areas.remove((area, pages))
            bench.do(Op.UNMAP, area)
    for p in proc:
        bench.do(Op.EXIT, p)
    bench.finish()


@pytest.mark.parametrize("profile", ["linux-5.10", "linux-6.1"])
@pytest.mark.parametrize("pcp_high", [0, 100, 700])
@pytest.mark.parametrize("key", range(3))
def test_large_areas_come_back_alike(profile: str, pcp_high: int, key: int) -> None:
    story(guest(profile, pcp_high), Draws(key, pcp_high), 14)


@pytest.mark.parametrize("profile", ["linux-5.10", "linux-6.1"])
@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_huge_page_alone_in_an_area_leaves_the_list_of_base_pages_as_it_is(
    profile: str, at: int
) -> None:
    bench = guest(profile)
    proc = bench.spawn(0)
    single = bench.touched(proc, AreaKind.ANON, 300)
    bench.free(single, 100, 40, 0)
    area = bench.map(proc, AreaKind.THP, 4 * PAGEBLOCK)
    bench.touch(area, at * PAGEBLOCK, PAGEBLOCK)
    bench.free(area, 0, 4 * PAGEBLOCK, 0)
    bench.finish()


def leave_one_by_one(
    held: int, others: int, folios: int, pages: int, high: int, batch: int, factor: int, scale: int
) -> tuple[int, int]:
    """Folios that ``free_unref_page`` gives back to the buddy, one by one, and the new factor.

    -1 folios where some of the ``others`` would follow them.
    """
    out, before = 0, factor
    for _ in range(folios):
        held += 1
        if held * pages + others >= high:
            count = max(min(batch << factor, high - batch), batch)
            before = factor
            factor += batch << factor < high - batch and factor < scale
            while count > 0 and held:
                held, count, out = held - 1, count - pages, out + 1
            if count > 0 and others:
                return -1, before
    return out, factor


def test_what_leaves_a_list_is_counted_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: Any = tuning
    monkeypatch.setattr(tuning, "nr_pcp_free", compiled.nr_pcp_free.py_func)
    python_leave = compiled.leave.py_func
    d, alone = Draws(5), 0
    for _ in range(3000):
        high, batch, pages = 1 + d.below(900), 1 + d.below(80), d.of((1, 1, 16))
        scale, held, folios = d.below(7), d.below(900) // pages, d.below(3000) // pages
        others = d.below(2) * d.below(high + 20)
        given = (held, others, folios, pages, high, batch, d.below(scale + 1), scale)
        told = python_leave(*given)
        assert told == leave_one_by_one(*given), given
        alone += others > 0 and told[0] > 0
    assert alone > 100


def shared(profile: str, high: int, scale: int = 0) -> Guest:
    """A zone of 128 MiB, whose batch is 7 pages, and one capacity for all lists of a CPU."""
    table = make_table(profile=profile, PCP_HIGH_PAGES=high, PCP_BATCH_SCALE=scale)
    shape = make_shape("NNNN", order=9, chunks=8, cpus=(0, 0), thp=False)
    return Guest(shape, table, full_every=1)


def freed_beside(bench: Guest, kind: AreaKind, pages: int, more: int) -> list[tuple[int, int]]:
    """Free ``pages`` of a kind at once and ``more`` base pages one by one.

    Returns what the CPU's lists hold after each of those: of the kind's pages, and other pages.
    """
    proc = bench.spawn(0)
    first, then = bench.touched(proc, kind, pages), bench.touched(proc, AreaKind.ANON, more)
    start = bench.pfns(first)[0]
    theirs = set(range(start, start + PAGEBLOCK) if kind == AreaKind.THP else bench.pfns(first))
    bench.free(first, 0, pages, 0)
    out = []
    for page in range(more):
        bench.free(then, page, 1, 0)
        held = set(bench.host.pcp(0, 1).tolist())
        out.append((len(held & theirs), len(held - theirs)))
    bench.finish()
    return out


def test_lists_of_a_cpu_share_a_capacity_and_the_one_that_fills_them_gives_back_first() -> None:
    """6.1: with 20 and 22 pages 42 are reached; 7 go, all from the list of the last page."""
    held = freed_beside(shared("linux-6.1", 42), AreaKind.KERNEL, 20, 40)
    assert held[16:20] == [(20, 20), (20, 21), (20, 15), (20, 16)]


def test_a_list_that_holds_less_than_is_owed_lets_the_next_one_pay() -> None:
    """6.1: the second give-back is of 14 pages; the list that is full has 7 of them."""
    held = freed_beside(shared("linux-6.1", 42, scale=3), AreaKind.KERNEL, 38, 40)
    assert held[2:6] == [(35, 5), (35, 6), (28, 0), (28, 1)]


def test_lists_give_back_in_turns() -> None:
    """5.10: one movable page, then two unmovable ones (no reclaimable ones are there).

    Of the four unmovable pages of the first 7 one is older than those that were freed.
    """
    held = freed_beside(shared("linux-5.10", 42), AreaKind.KERNEL, 20, 40)
    assert held[17:19] == [(20, 21), (17, 18)]
    assert held[24:26] == [(17, 24), (13, 22)]


def test_lists_that_hold_less_than_a_batch_give_back_what_they_have() -> None:
    """5.10: three pages fill them, seven are owed."""
    bench = shared("linux-5.10", 3)
    area = bench.touched(bench.spawn(0), AreaKind.ANON, 20)
    held = []
    for page in range(20):
        bench.free(area, page, 1, 0)
        held.append(len(bench.host.pcp(0, 1)))
    assert set(held) == {0, 1, 2}
    bench.finish()


def test_a_huge_page_on_a_list_leaves_less_room_for_base_pages() -> None:
    held = freed_beside(shared("linux-6.1", 600), AreaKind.THP, PAGEBLOCK, 120)
    assert held[79:82] == [(512, 86), (512, 87), (512, 81)]


@pytest.mark.parametrize("scale", [0, 2, 5])
def test_a_full_list_gives_back_twice_as_much_each_time(scale: int) -> None:
    """nr_pcp_free of 6.1: 1, 2, 4, 8 pages of 12 and then 11, fewer after each page taken."""
    table = make_table(profile="linux-6.1", PCP_HIGH_PAGES=12, PCP_THP=0, PCP_BATCH_SCALE=scale)
    bench = Guest(make_shape("NNNN", order=4, chunks=2), table, full_every=1)
    proc = bench.spawn(0)
    area = bench.touched(proc, AreaKind.ANON, 60)
    held = []
    for page in range(45):
        bench.free(area, page, 1, 0)
        held.append(len(bench.host.pcp(0, 1)))
    given = [before + 1 - now for before, now in pairwise(held) if now <= before]
    assert given[:6] == {0: [1] * 6, 2: [1, 2, 4, 4, 4, 4], 5: [1, 2, 4, 8, 11, 11]}[scale]
    bench.touch(area, 0, 2)
    for page in range(2):
        bench.free(area, page, 1, 0)
    bench.finish()


def test_the_stories_do_reach_the_straight_way() -> None:
    """In the steady state of a story most freed pageblocks never touch a per-CPU list."""
    bench = guest("linux-6.1", 100)
    proc = bench.spawn(0)
    area = bench.touched(proc, AreaKind.ANON, 12 * PAGEBLOCK)
    assert isinstance(bench.host, ReferenceHost)
    fast = bench.hosts[1]
    runs = fast.nr_runs
    bench.do(Op.UNMAP, area)
    assert fast.nr_runs <= runs + 40
    assert np.array_equal(fast.zones(), bench.host.zones())
