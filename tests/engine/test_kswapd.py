"""A kswapd that shares the only CPU with those who allocate; each sentence for both engines.

The shape: pageblocks of 16 pages, blocks of 128, eight of ZONE_NORMAL and twelve of MOVABLE.
"""

from itertools import pairwise

import pytest

from engine.enums import Counter, Op
from tests.engine.bench import Guest, make_shape, make_table
from tests.engine.test_semantics import ANON, FILE, KERNEL, MOVABLE, NORMAL, THP

TASK, OWN, FIRST = 10, 64, 7
MIN_LRU_BATCH = 64
RESERVE = 12 * 128 // 32
"""lowmem_reserve of NORMAL for requests that may use MOVABLE."""


def guest(
    profile: str = "linux-6.12", turns: tuple[int, int, int] = (TASK, OWN, FIRST),
    nodes: str = "N" * 8 + "M" * 12,
) -> Guest:  # fmt: skip
    """A guest of one CPU."""
    shape = make_shape(nodes, order=4, chunks=4, thp=True, turns=turns)
    return Guest(shape, make_table("linux-5.13+unbounded", profile), full_every=10)


def counted(g: Guest, counter: Counter) -> int:
    """A counter of the host."""
    return int(g.host.counters[counter])


def pressed(g: Guest) -> tuple[int, int]:
    """Fill both zones with page cache until kswapd is awake; a process, and an area to touch."""
    proc = g.spawn()
    cache = g.map(proc, FILE, 2_560)
    zones = g.host.zones()
    pages = int(zones[:, 1].sum() - zones[:, 3].sum()) - RESERVE - 100  # nearly all that there is
    g.touch(cache, 0, pages)
    while not counted(g, Counter.KSWAPD_WAKE):
        g.touch(cache, pages, 1)
        pages += 1
    return proc, g.map(proc, ANON, 1_000)


def cached(g: Guest) -> int:
    """Pages of files."""
    return int(g.host.blocks()[:, 5].sum())


def balanced(g: Guest) -> bool:
    """Whether a zone is above its high mark (and reserve)."""
    zones = g.host.zones()
    return bool(
        zones[MOVABLE, 1] > zones[MOVABLE, 4] or zones[NORMAL, 1] > zones[NORMAL, 4] + RESERVE
    )


@pytest.mark.parametrize("profile", ["linux-5.10", "linux-6.1", "linux-6.12"])
def test_the_task_that_wakes_kswapd_goes_on_until_its_turn_ends(profile: str) -> None:
    g = guest(profile)
    _, area = pressed(g)
    before = counted(g, Counter.PGFAULT)
    taken = (before - FIRST - 1) % TASK + 1  # pages of this turn so far
    for index in range(TASK - taken):
        g.touch(area, index, 1)
        assert counted(g, Counter.PGSTEAL) == 0
    g.touch(area, TASK, 1)
    assert counted(g, Counter.PGSTEAL) > 0


def test_a_turn_of_kswapd_ends_too() -> None:
    g = guest()
    g.do(Op.MIN_FREE, 900)  # so that one turn is not enough
    _, area = pressed(g)
    g.touch(area, 0, TASK)
    assert counted(g, Counter.PGSTEAL) == OWN
    g.touch(area, TASK, TASK)
    assert counted(g, Counter.PGSTEAL) == 2 * OWN
    assert not balanced(g)


@pytest.mark.parametrize("profile", ["linux-5.10", "linux-6.1", "linux-6.12"])
def test_when_time_passes_kswapd_gets_to_its_goal(profile: str) -> None:
    g = guest(profile)
    pressed(g)
    g.advance(0)
    assert counted(g, Counter.PGSTEAL) == 0
    g.advance(1)
    assert counted(g, Counter.PGSTEAL) > 0
    assert balanced(g)


@pytest.mark.parametrize("profile", ["linux-5.10", "linux-6.1"])
def test_a_pass_drops_a_share_of_the_page_cache_and_the_next_one_twice_as_much(
    profile: str,
) -> None:
    """The share is 2 ** -12 of it at first (DEF_PRIORITY)."""
    g = guest(profile)
    pressed(g)
    left, dropped, sums = cached(g), 0, []
    for priority in range(12, 0, -1):
        dropped += left - dropped >> priority
        sums.append(dropped)
    g.advance(1)
    assert counted(g, Counter.PGSTEAL) in sums


def test_the_multi_gen_lru_drops_batches_from_the_highest_zone() -> None:
    g = guest()
    pressed(g)
    before = g.host.blocks()[:, 5].copy()
    g.advance(1)
    lost = before - g.host.blocks()[:, 5]
    assert lost.sum() == counted(g, Counter.PGSTEAL) > 0
    assert lost.sum() % MIN_LRU_BATCH == 0
    assert lost[:8].sum() == 0


@pytest.mark.parametrize("reserve", [600, 800])
def test_a_pass_of_the_multi_gen_lru_ends_early_only_where_every_zone_is_safe(reserve: int) -> None:
    """Also the highest one that may be used, of a request of the kernel the only one."""
    g = guest(nodes="N" * 20)
    g.do(Op.MIN_FREE, reserve)
    proc = g.spawn()
    _, free, _, low, high, *_ = g.host.zones()[NORMAL].tolist()
    g.touched(proc, FILE, free - low - 20)
    slabs, page = g.map(proc, KERNEL, 100), 0
    while not counted(g, Counter.KSWAPD_WAKE):
        g.touch(slabs, page, 1)
        page += 1
    missing = int(high - g.host.zones()[NORMAL, 1])
    g.advance(1)
    assert counted(g, Counter.PGSTEAL) > missing + MIN_LRU_BATCH


def test_a_pass_that_dropped_enough_is_not_followed_by_a_more_thorough_one() -> None:
    """kswapd falls behind a task that takes more in its turns than kswapd drops in its own."""
    g = guest("linux-5.10", turns=(100, 32, 7), nodes="N" * 60)
    g.full_every, g.laws = 0, None  # seven thousand pages
    g.do(Op.MIN_FREE, 130)
    proc = g.spawn()
    free, low = g.host.zones()[NORMAL, [1, 3]].tolist()
    g.touched(proc, FILE, int(free - low - 20))
    area = g.map(proc, ANON, 3_600)
    for page in range(0, 3_600, 20):
        g.touch(area, page, 20)
    assert counted(g, Counter.KSWAPD_WAKE) == 1


@pytest.mark.parametrize(("profile", "most"), [("linux-6.1", 4), ("linux-6.12", 4)])
def test_while_kswapd_works_the_lists_keep_four_batches(profile: str, most: int) -> None:
    """A zone of 1,536 pages has batches of one."""
    g = guest(profile)
    pressed(g)
    g.advance(1)
    assert 0 < g.host.zones()[MOVABLE, 6] < most


@pytest.mark.parametrize("profile", ["linux-5.10", "linux-6.1", "linux-6.12"])
def test_what_was_dropped_last_is_taken_first(profile: str) -> None:
    """Up to 6.9 a batch is freed last to first, so the pages that are taken next ascend."""
    g = guest(profile)
    proc, _ = pressed(g)
    g.advance(1)
    top = g.host.pcp(0, MOVABLE).tolist()
    taken = g.pfns(g.touched(proc, ANON, len(top)))
    assert taken == top != []
    step = -1 if profile == "linux-6.12" else 1
    assert all(after - before == step for before, after in pairwise(taken))
    assert len(taken) > 2 or profile != "linux-5.10"  # later lists are short


def test_a_huge_request_reclaims_once_by_the_multi_gen_lru_and_drains_the_lists() -> None:
    """A batch: 2 ** -12 of the page cache is less. Lists are drained where that was too little."""
    g = guest()
    proc, _ = pressed(g)
    g.advance(1)
    huge = g.map(proc, THP, 100 * 16)
    for index in range(100):
        before = counted(g, Counter.PGSTEAL)
        seen = g.touch(huge, index * 16, 1)
        if counted(g, Counter.ALLOCSTALL):
            break
    assert counted(g, Counter.ALLOCSTALL) == 1
    assert counted(g, Counter.PGSTEAL) - before == MIN_LRU_BATCH
    if seen["thp_fallbacks"]:
        assert g.host.zones()[MOVABLE, 6] <= 1  # the base page that was taken instead


def test_slabs_of_several_pages_do_not_pass_through_the_lists_of_base_pages() -> None:
    g = guest("linux-6.1")
    proc = g.spawn()
    g.touched(proc, KERNEL, 1)
    held = g.host.zones()[NORMAL, 6]
    slabs = g.map(proc, KERNEL, 20, hinted=True)
    free = g.host.zones()[NORMAL, 1]
    g.touch(slabs, 0, 20)
    assert g.host.zones()[NORMAL, 6] == held
    assert g.host.zones()[NORMAL, 1] == free - 20


def test_a_kswapd_of_its_own_cpu_is_at_its_goal_at_once() -> None:
    g = guest(turns=(0, 0, 0))
    pressed(g)
    assert counted(g, Counter.PGSTEAL) > 0
    assert balanced(g)


def test_no_area_is_dropped_by_a_turn_in_the_middle_of_its_own_touch() -> None:
    """A file that is read eats itself: what was read first goes while the rest is read."""
    g = guest()
    cache = g.map(g.spawn(), FILE, 3_500)
    assert g.touch(cache, 0, 3_500)["errno"] == 0
    pages = g.pfns(cache)
    assert pages[-1] >= 0
    assert sum(pfn >= 0 for pfn in pages) == 3_500 - counted(g, Counter.PGSTEAL)


@pytest.mark.parametrize("profile", ["linux-5.10", "linux-6.1"])
def test_pages_that_a_pin_migrates_are_freed_before_kswapd_has_its_turn(profile: str) -> None:
    """migrate_pages puts each page back before it asks for the next one (unmap_and_move).

    The pages come from ZONE_MOVABLE and go to NORMAL, which is above its low mark all the time, so
    nothing but the turn tells in which order they and the dropped ones come to the CPU's list. A
    random sequence found the engines apart.
    """
    g = guest(profile)
    pinned = g.touched(g.spawn(), ANON, 3 * TASK)
    pressed(g)
    before = g.pfns(pinned)
    assert set(g.zones_of(pinned)) == {MOVABLE}
    assert g.pin(0, pinned, 0, 3 * TASK)["errno"] == 0
    assert set(g.zones_of(pinned)) == {NORMAL}
    assert counted(g, Counter.ALLOCSTALL) == 0
    assert counted(g, Counter.PGSTEAL) > 0
    assert g.host.pcp(0, MOVABLE)[0] == before[-1]
    g.finish()
