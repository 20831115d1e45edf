"""Large areas given back: what passes through the per-CPU lists, in pageblocks of real size.

The fast engine sends most of such pages straight to the buddy (``engine.gather``); the reference
moves them one by one. Small hosts never get there, so these are a few hundred MiB.
"""

from typing import Any

import numpy as np
import pytest

from engine.enums import AreaKind, Cell, Op
from engine.gather import leave
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


def leave_one_by_one(held: int, pages: int, high: int, batch: int) -> int:
    """What ``free_unref_page`` gives back to the buddy, page by page."""
    out = 0
    for _ in range(pages):
        held += 1
        if held >= high:
            k = min(batch, held)
            held -= k
            out += k
    return out


def test_what_leaves_a_list_is_counted_beforehand() -> None:
    compiled: Any = leave
    python_leave = compiled.py_func
    d = Draws(5)
    for _ in range(3000):
        high, batch = 1 + d.below(400), 1 + d.below(80)
        held, pages = d.below(500), d.below(1500)
        expected = leave_one_by_one(held, pages, high, batch)
        assert python_leave(held, pages, high, batch) == expected, (held, pages, high, batch)


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
