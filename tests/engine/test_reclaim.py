"""When page cache gives way, and where the page goes that made it; each sentence for both engines.

The shape: pageblocks of 4 pages (a THP is 4 pages), blocks of 16, four of each zone kind.
"""

from typing import Any

from engine.enums import AreaKind, Counter, Op
from tests.engine.bench import Guest
from tests.engine.test_semantics import ANON, FILE, MOVABLE, NORMAL, THP, fill, guest

RESERVE = 64 // 32
"""lowmem_reserve of NORMAL for requests that may use MOVABLE."""


def full_of_cache(movable: AreaKind, min_free: int = 8) -> tuple[Guest, int]:
    """A guest without room: MOVABLE holds a kind of area, NORMAL page cache; and its process."""
    g = guest("NNNNMMMM")
    g.do(Op.MIN_FREE, min_free)
    proc = g.spawn()
    zones = g.host.zones()
    g.touched(proc, movable, int(zones[MOVABLE, 1] - zones[MOVABLE, 3]))
    g.touched(proc, FILE, int(zones[NORMAL, 1] - zones[NORMAL, 3] - RESERVE))
    return g, proc


def counted(g: Guest, counter: Counter) -> int:
    """A counter of the host."""
    return int(g.host.counters[counter])


def test_kswapd_goes_on_until_a_zone_is_above_its_high_mark_and_reserve() -> None:
    g, proc = full_of_cache(ANON)
    g.touched(proc, ANON, 1)
    zones = g.host.zones()
    assert counted(g, Counter.KSWAPD_WAKE) == 1
    assert zones[NORMAL, 1] == zones[NORMAL, 4] + RESERVE + 1


def test_the_page_that_wakes_kswapd_is_taken_before_it_has_run() -> None:
    g, proc = full_of_cache(ANON, min_free=32)
    hungry = g.map(proc, ANON, 40)
    woken = []
    for index in range(20):
        before = counted(g, Counter.KSWAPD_WAKE)
        g.touch(hungry, index, 1)
        if counted(g, Counter.KSWAPD_WAKE) > before:
            woken.append(index)
    in_movable = [index for index in range(20) if g.pfns(hungry)[index] >= 64]
    assert len(in_movable) >= 2  # as many as there are between its low and its min mark
    assert in_movable == woken[: len(in_movable)]


def test_many_pages_at_once_are_taken_like_one_by_one() -> None:
    slow, proc = full_of_cache(ANON)
    area = slow.map(proc, ANON, 30)
    for index in range(30):
        slow.touch(area, index, 1)
    fast, proc = full_of_cache(ANON)
    assert fast.pfns(fast.touched(proc, ANON, 30)) == slow.pfns(area)


def test_a_huge_page_drops_page_cache_before_it_falls_back() -> None:
    g, proc = full_of_cache(FILE)
    eater = g.map(proc, ANON, 8)
    while any(z[1] >= z[2] + 6 for z in g.host.zones()[1:3]):
        g.do(Op.RECLAIM, MOVABLE, 0)
        g.touch(eater, g.pfns(eater).index(-1), 1)
    before = counted(g, Counter.PGSTEAL)
    area = g.touched(proc, THP, 4)
    assert counted(g, Counter.THP_FAULT_ALLOC) == 1
    assert counted(g, Counter.THP_FAULT_FALLBACK) == 0
    assert counted(g, Counter.ALLOCSTALL) == 1
    assert counted(g, Counter.PGSTEAL) == before + 32
    assert len({pfn // 4 for pfn in g.pfns(area)}) == 1


def test_a_huge_page_without_page_cache_falls_back() -> None:
    g = guest("NNNNMMMM")
    proc = g.spawn()
    kept = g.map(proc, ANON, 128)
    for index in range(0, fill(g, kept), 2):
        g.free(kept, index, 1)
    area = g.touched(proc, THP, 24)
    assert counted(g, Counter.THP_FAULT_FALLBACK) > 0
    assert counted(g, Counter.ALLOCSTALL) == 0
    assert -1 not in g.pfns(area)


def test_a_huge_page_drops_nothing_where_free_pages_are_many_but_scattered() -> None:
    g = guest("NNNNMMMM")
    proc = g.spawn()
    kept = g.touched(proc, ANON, 96)
    g.touched(proc, FILE, 20)
    for index in range(0, 96, 2):
        g.free(kept, index, 1)
    g.touched(proc, THP, 4)
    assert counted(g, Counter.PGSTEAL) == 0


def test_page_cache_that_the_victim_of_an_oom_kill_held_may_be_reclaimed() -> None:
    g = guest("NNNNMMMM")
    reader, hungry, victim = g.spawn(immune=True), g.spawn(immune=True), g.spawn()
    file, view = g.touched(reader, FILE, 16), 1000
    assert g.do(Op.MAP_FILE, view, victim, file)["errno"] == 0
    g.touched(victim, ANON, 4)
    assert g.do(Op.HOLD, 2000, view, 0, 1)["errno"] == 0
    g.do(Op.TOUCH, g.map(hungry, ANON, 200), 0, 200)
    assert counted(g, Counter.OOM_KILL) == 1
    assert counted(g, Counter.PGSTEAL) == 16


def two_caches(cells: dict[str, Any]) -> tuple[Guest, int, int]:
    """A full guest whose oldest page cache lies in NORMAL: the cache there, and in MOVABLE."""
    g = guest("NNNNMMMM", **cells)
    g.do(Op.MIN_FREE, 8)
    proc = g.spawn()
    zones = g.host.zones()
    eater = g.touched(proc, ANON, int(zones[MOVABLE, 1] - zones[MOVABLE, 3]))
    outside = g.touched(proc, FILE, int(zones[NORMAL, 1] - zones[NORMAL, 3] - RESERVE))
    g.do(Op.FREE, eater, 0, 32, -1)
    return g, outside, g.touched(proc, FILE, 32)


def lost(g: Guest, area: int) -> int:
    """Pages that a cache has lost."""
    return g.pfns(area).count(-1)


def test_one_list_per_node_gives_the_oldest_page_whatever_its_zone() -> None:
    g, outside, inside = two_caches({"RECLAIM_BY_ZONE": 0})
    g.touched(g.spawn(), ANON, 4)
    assert lost(g, outside) > 0
    assert lost(g, inside) == 0


def test_lists_by_zone_give_what_lies_in_the_highest_zone_first() -> None:
    g, outside, inside = two_caches({"RECLAIM_BY_ZONE": 1})
    g.touched(g.spawn(), ANON, 4)
    assert lost(g, outside) == 0
    assert lost(g, inside) > 0


def test_lists_by_zone_give_dirty_pages_after_all_clean_ones() -> None:
    g, outside, inside = two_caches({"RECLAIM_BY_ZONE": 1})
    g.do(Op.DIRTY, inside, 1)
    g.touched(g.spawn(), ANON, 4)
    assert lost(g, outside) > 0
    assert lost(g, inside) == 0


def test_a_request_that_may_not_use_movable_leaves_its_cache_alone() -> None:
    g, outside, inside = two_caches({"RECLAIM_BY_ZONE": 1})
    g.touched(g.spawn(), AreaKind.KERNEL, 4)
    assert lost(g, inside) == 0
    assert lost(g, outside) > 0
