"""What a host does, told with tiny hosts; each sentence holds for both engines.

The shapes: pageblocks of 4 pages (a THP is 4 pages), chunks of 8, blocks of 16 unless said.
"""

import numpy as np
import pytest

from engine.enums import (
    MOST_AREAS,
    AreaKind,
    BlockerClass,
    Counter,
    Errno,
    Incident,
    OfflineReason,
    Op,
    Row,
)
from tests.engine.bench import Guest, command, make_shape, make_table

NORMAL, MOVABLE = 1, 2
SECOND_NS = 1_000_000_000
ANON, THP, FILE, KERNEL, HUGETLB, SHMEM = AreaKind


def guest(
    nodes: str = "NNNNNNMMMMMM",
    arm: str = "linux-5.13+unbounded",
    *,
    chunks: int = 2,
    cpus: tuple[int, ...] = (0,),
    **cells: int,
) -> Guest:
    """A guest with low watermarks and a per-CPU list of one page, unless cells say otherwise."""
    table = make_table(arm, "linux-6.1", **{"PCP_HIGH_PAGES": 1, "PCP_THP": 0, **cells})
    g = Guest(make_shape(nodes, chunks=chunks, cpus=cpus), table, full_every=1)
    assert g.do(Op.MIN_FREE, 8)["errno"] == 0
    return g


def fill(g: Guest, area: int, left: int = 0, node: int = -1) -> int:
    """Touch an area page by page until no zone is above its min mark; returns pages touched."""
    pages = len(g.pfns(area))
    for index in range(pages):
        zones = g.host.zones()
        if all(z[1] <= z[2] + 2 + left for z in zones if z[0]):
            return index
        g.touch(area, index, 1, node=node)
    return pages


# -- free lists -----------------------------------------------------------------------------------


def test_an_area_has_a_number_of_at_most_15_bits() -> None:
    g = guest()
    proc = g.spawn()
    for number, errno in ((MOST_AREAS, Errno.EINVAL), (MOST_AREAS - 1, 0), (-1, Errno.EINVAL)):
        assert g.do(Op.MAP, number, proc, ANON, 8, 0)["errno"] == errno
    assert g.do(Op.TOUCH, MOST_AREAS - 1, 0, 8, -1, -1)["errno"] == 0
    assert len(g.pfns(MOST_AREAS - 1)) == 8
    other = g.spawn()
    assert g.do(Op.FORK, MOST_AREAS, MOST_AREAS - 1, other)["errno"] == Errno.EINVAL


def test_the_chunk_freed_last_is_taken_first() -> None:
    g = guest()
    proc = g.spawn()
    first, second = g.touched(proc, THP, 8), g.touched(proc, THP, 8)
    taken = g.pfns(first)
    g.do(Op.UNMAP, first)
    assert sorted(g.pfns(g.touched(proc, THP, 8))) == sorted(taken)
    assert not set(taken) & set(g.pfns(second))


def test_never_used_memory_is_taken_in_ascending_order() -> None:
    g = guest()
    proc = g.spawn()
    area = g.touched(proc, ANON, 24)
    first = 6 * 16
    assert g.pfns(area) == list(range(first, first + 24))


def test_onlined_memory_goes_to_the_tail() -> None:
    g = guest("NNNNNNMMMM-")
    g.do(Op.ONLINE, 10, 1, MOVABLE)
    order = g.host.free_list(2, 1, 3).tolist()
    assert order[-2:] == [160, 168]
    assert g.blocks_of(g.touched(g.spawn(), THP, 8)) == [6]


def test_a_chunk_whose_parents_buddy_is_free_goes_to_the_tail() -> None:
    g = guest()
    area = g.touched(g.spawn(), ANON, 24)
    pfns = g.pfns(area)
    for index in (2, 3, 16, 0):  # 2 and 3 merge; 0 would merge further once 1 came back
        g.free(area, index, 1)
    g.do(Op.SAMPLE, 0)
    singles = g.host.free_list(2, 1, 0).tolist()
    assert singles == [pfns[16], pfns[0]]


def test_freed_neighbours_merge_up_to_the_largest_order() -> None:
    g = guest()
    before = g.host.free_list(2, 1, 3).tolist()
    area = g.touched(g.spawn(), ANON, 8)
    for index in (5, 0, 3, 7, 1, 6, 2, 4):
        g.free(area, index, 1)
    assert sorted(g.host.free_list(2, 1, 3).tolist()) == sorted(before)


def test_a_base_page_takes_the_smallest_order_that_is_free() -> None:
    g = guest()
    proc = g.spawn()
    area = g.touched(proc, ANON, 32)
    holes = [g.pfns(area)[i] for i in (9, 20)]
    for index in (9, 20):
        g.free(area, index, 1)
    assert sorted(g.pfns(g.touched(proc, ANON, 2))) == sorted(holes)


def test_a_thp_ignores_every_hole_below_its_size() -> None:
    g = guest()
    proc = g.spawn()
    area = g.touched(proc, ANON, 40)
    for index in range(1, 40, 2):
        g.free(area, index, 1)
    (block,) = {p // 4 for p in g.pfns(g.touched(proc, THP, 4))}
    assert block * 4 not in {p - p % 4 for p in g.pfns(area) if p >= 0}


def test_a_cpus_own_list_is_last_in_first_out_and_hides_pages_from_the_zone() -> None:
    g = guest(PCP_HIGH_PAGES=8)
    proc = g.spawn()
    area = g.touched(proc, ANON, 8)
    pfns = g.pfns(area)
    for index in (1, 6, 3):
        g.free(area, index, 1)
    assert g.host.pcp(0, 2).tolist()[:3] == [pfns[3], pfns[6], pfns[1]]
    again = g.touched(proc, ANON, 2)
    assert g.pfns(again) == [pfns[3], pfns[6]]


def test_another_cpu_does_not_see_a_cpus_list() -> None:
    g = guest(cpus=(0, 0), PCP_HIGH_PAGES=8)
    proc = g.spawn()
    area = g.touched(proc, ANON, 8)
    hidden = g.pfns(area)[2]
    g.free(area, 2, 1, cpu=0)
    other = g.map(proc, ANON, 1)
    g.touch(other, 0, 1, cpu=1)
    assert g.pfns(other) != [hidden]


# -- zones and migratetypes -----------------------------------------------------------------------


def test_a_movable_request_takes_zone_movable_first_then_the_kernel_zone() -> None:
    g = guest("NNNNNNMM")
    area = g.map(g.spawn(), ANON, 60)
    fill(g, area, left=20)
    kinds = [k for k in g.zones_of(area) if k >= 0]
    assert kinds == sorted(kinds, reverse=True)
    assert set(kinds) == {NORMAL, MOVABLE}


def test_the_own_nodes_kernel_zone_comes_before_the_other_nodes_movable_one() -> None:
    g = guest("NNNNMM|NNNNMM", cpus=(0, 1))
    area = g.map(g.spawn(), ANON, 160)
    fill(g, area)
    zones = g.host.blocks()[:, 0]
    order = list(dict.fromkeys(int(zones[p // 16]) for p in g.pfns(area) if p >= 0))
    assert order == [2, 1, 5, 4]


def test_kernel_memory_never_comes_from_zone_movable() -> None:
    g = guest()
    assert set(g.zones_of(g.touched(g.spawn(), KERNEL, 40))) == {NORMAL}


def test_a_zone_keeps_its_low_mark_while_another_zone_has_pages() -> None:
    g = guest()
    area = g.map(g.spawn(), ANON, 120)
    for index in range(120):
        g.touch(area, index, 1)
        if g.zones_of(area)[index] == NORMAL:
            break
    zone = g.host.zones()[2]
    assert zone[1] == zone[3]


def test_pages_that_could_live_in_movable_leave_the_lowmem_reserve_alone() -> None:
    g = guest("NN" + "M" * 30, chunks=4)
    proc = g.spawn(immune=True)
    area = g.map(proc, ANON, 1000)
    reserve = int(g.host.zones()[2, 0]) // 32
    assert reserve == 30
    g.touch(area, 0, 900)
    index = 900
    while g.host.zones()[1, 1] > g.host.zones()[1, 2] + reserve:
        g.touch(area, index, 1)
        index += 1
    for _ in range(20):  # down to the min mark of the movable zone, not into the reserve
        if g.host.zones()[2, 1] > g.host.zones()[2, 2]:
            g.touch(area, index, 1)
            index += 1
    assert g.host.zones()[1, 1] == g.host.zones()[1, 2] + reserve
    assert set(g.zones_of(g.touched(proc, KERNEL, 4))) == {NORMAL}
    assert g.host.zones()[1, 1] < g.host.zones()[1, 2] + reserve


def test_the_first_kernel_page_steals_from_movable_pageblocks_at_the_largest_order() -> None:
    g = guest()
    assert g.host.counters[Counter.PAGEBLOCK_STEAL] == 0
    area = g.touched(g.spawn(), KERNEL, 1)
    assert g.host.counters[Counter.PAGEBLOCK_STEAL] == 1
    (pfn,) = g.pfns(area)
    listed = [p for o in range(4) for p in g.host.free_list(1, 0, o).tolist()]
    assert {p // 8 for p in listed} == {pfn // 8}


def test_a_thp_falls_back_to_base_pages_when_no_chunk_is_large_enough() -> None:
    g = guest("NNNNMM")
    g.do(Op.MIN_FREE, 0)
    proc = g.spawn()
    filler = g.map(proc, ANON, 96)
    top = fill(g, filler)
    for index in range(1, top, 2):
        g.free(filler, index, 1)
    area = g.map(proc, THP, 4)
    result = g.touch(area, 0, 4)
    assert (result["thp_faults"], result["thp_fallbacks"]) == (0, 1)
    assert {step for _, _, _, step in g.host.area(area).tolist()} != {2}


# -- pins -----------------------------------------------------------------------------------------


def test_a_pin_of_absent_pages_faults_them_into_the_kernel_zone() -> None:
    g = guest()
    area = g.map(g.spawn(), ANON, 6)
    assert g.pin(1, area, 0, 6)["faulted_pages"] == 6
    assert set(g.zones_of(area)) == {NORMAL}


def test_a_pin_in_place_leaves_pages_in_zone_movable() -> None:
    g = guest(arm="pin-in-place+unbounded")
    area = g.touched(g.spawn(), ANON, 6)
    assert g.pin(1, area, 0, 6)["errno"] == 0
    assert set(g.zones_of(area)) == {MOVABLE}


def test_a_pin_moves_present_pages_out_of_zone_movable() -> None:
    g = guest()
    area = g.touched(g.spawn(), ANON, 6)
    assert g.pin(1, area, 1, 3)["migrated_pages"] == 3
    assert g.zones_of(area) == [MOVABLE, NORMAL, NORMAL, NORMAL, MOVABLE, MOVABLE]
    assert sum(row["pinned_pages"] for row in g.seen(Row.PIN)) == 3


def test_a_pin_of_part_of_a_thp_moves_all_of_it() -> None:
    g = guest()
    area = g.touched(g.spawn(), THP, 8)
    assert g.pin(1, area, 5, 1)["migrated_pages"] == 4
    assert g.zones_of(area) == [MOVABLE] * 4 + [NORMAL] * 4


def test_pages_stay_in_the_kernel_zone_after_the_pin() -> None:
    g = guest()
    area = g.touched(g.spawn(), ANON, 4)
    g.pin(1, area, 0, 4)
    assert g.do(Op.UNPIN, 1)["errno"] == 0
    assert set(g.zones_of(area)) == {NORMAL}
    assert g.host.counters[Counter.NR_FOLL_PIN_RELEASED] == 8


def test_a_foreign_reference_makes_the_pin_fail_but_what_moved_stays_moved() -> None:
    g = guest()
    area = g.touched(g.spawn(), ANON, 6)
    assert g.do(Op.HOLD, 9, area, 3, 1)["errno"] == 0
    assert g.pin(1, area, 0, 6)["errno"] == Errno.ENOMEM
    assert g.zones_of(area) == [NORMAL, NORMAL, NORMAL, MOVABLE, NORMAL, NORMAL]
    assert g.seen(Row.INCIDENT)[0]["incident"] == Incident.PIN_FAILED
    assert g.do(Op.UNPIN, 1)["errno"] == Errno.EINVAL
    assert g.host.pages()[:, 4].sum() == 0


def test_a_vfio_map_that_fails_half_way_is_unwound_whole() -> None:
    g = guest(VFIO_CALL_PAGES=2)
    area = g.touched(g.spawn(), ANON, 8)
    g.do(Op.HOLD, 9, area, 5, 1)
    assert g.pin(1, area, 0, 8, pinner=1)["errno"] == Errno.ENOMEM
    assert g.zones_of(area)[:5] == [NORMAL] * 5
    assert g.zones_of(area)[5:] == [MOVABLE] * 3
    assert g.host.pages()[:, 4].sum() == 0


def test_a_pin_that_may_fail_in_place_pins_the_held_page_where_it_is() -> None:
    g = guest(PIN_FAILURE=1)
    area = g.touched(g.spawn(), ANON, 3)
    g.do(Op.HOLD, 9, area, 1, 1)
    assert g.pin(1, area, 0, 3)["errno"] == 0
    assert g.zones_of(area) == [NORMAL, MOVABLE, NORMAL]


def test_a_denied_pin_is_busy_when_a_page_is_in_zone_movable() -> None:
    g = guest(arm="deny+unbounded")
    area = g.touched(g.spawn(), ANON, 3)
    assert g.pin(1, area, 0, 3)["errno"] == Errno.EBUSY
    kernel_zone = guest("NNNNNN", arm="deny+unbounded")
    area = kernel_zone.touched(kernel_zone.spawn(), ANON, 3)
    assert kernel_zone.pin(1, area, 0, 3)["errno"] == 0


def test_a_hint_keeps_an_area_out_of_zone_movable_from_the_first_touch() -> None:
    g = guest(arm="madvise-hint+unbounded")
    proc = g.spawn()
    area = g.map(proc, ANON, 4, hinted=True)
    g.touch(area, 0, 4)
    assert set(g.zones_of(area)) == {NORMAL}
    assert g.pin(1, area, 0, 4)["migrated_pages"] == 0
    assert set(g.zones_of(g.touched(proc, ANON, 4))) == {MOVABLE}


def test_a_pin_without_room_kills_the_largest_process() -> None:
    g = guest("NNNNMMMMMM")
    pinner, hog = g.spawn(), g.spawn()
    small = g.touched(pinner, ANON, 8)
    kernel_eater = g.map(hog, ANON, 60, hinted=False)
    g.touch(kernel_eater, 0, 40)
    eater = g.map(g.spawn(immune=True), KERNEL, 60)
    while g.host.zones()[1, 1] > g.host.zones()[1, 2] + 1:
        index = g.pfns(eater).index(-1)
        g.touch(eater, index, 1)
    g.pin(1, small, 0, 8)
    killed = [r for r in g.seen(Row.INCIDENT) if r["incident"] == Incident.OOM_KILL]
    assert killed[0]["proc"] == hog
    assert killed[0]["pages"] == 40


def test_a_pin_without_room_and_without_a_victim_is_a_panic_and_the_end() -> None:
    g = guest("NNNNMMMMMM")
    pinner = g.spawn(immune=True)
    area = g.touched(pinner, ANON, 8)
    eater = g.map(pinner, KERNEL, 60)
    while g.host.zones()[1, 1] > g.host.zones()[1, 2] + 1:
        g.touch(eater, g.pfns(eater).index(-1), 1)
    assert g.pin(1, area, 0, 8)["errno"] == Errno.ENOMEM
    assert g.seen(Row.INCIDENT)[-1]["incident"] == Incident.PANIC
    assert g.do(Op.SPAWN, 77, 0, 0)["errno"] == Errno.EINVAL


def test_memory_that_is_short_is_taken_from_the_oldest_page_cache_first() -> None:
    g = guest("NNNNMMMM")
    proc = g.spawn()
    old, new = g.touched(proc, FILE, 30), g.touched(proc, FILE, 30)
    hungry = g.map(proc, ANON, 60)
    fill(g, hungry, left=2)
    g.touch(hungry, 0, 60)
    gone_old, gone_new = g.pfns(old).count(-1), g.pfns(new).count(-1)
    assert gone_old == g.host.counters[Counter.PGSTEAL] - gone_new
    assert gone_old == 30 or gone_new == 0
    assert gone_old > 0


def test_holding_untouched_memory_holds_the_zero_page_and_blocks_nothing() -> None:
    g = guest()
    area = g.map(g.spawn(), ANON, 4)
    assert g.do(Op.HOLD, 9, area, 0, 4)["errno"] == 0
    assert g.pfns(area) == [-2] * 4
    assert len(g.host.pages()) == 0
    g.do(Op.UNMAP, area)
    assert g.do(Op.UNPIN, 9)["errno"] == 0


def test_a_pinned_page_stays_when_its_range_is_freed_and_exit_releases_it() -> None:
    g = guest()
    proc = g.spawn()
    area = g.touched(proc, ANON, 4)
    g.pin(1, area, 1, 1)
    assert g.free(area, 0, 4)["errno"] == 0
    assert len(g.host.pages()) == 1
    assert g.do(Op.EXIT, proc)["errno"] == 0
    assert len(g.host.pages()) == 0


# -- hugetlb --------------------------------------------------------------------------------------


def test_hugetlb_pages_come_from_the_pool_and_go_back_to_it() -> None:
    g = guest()
    g.do(Op.POOL, 0, 2)
    area, proc = 40, g.spawn()
    assert g.do(Op.MAP, area, proc, HUGETLB, 12, 2)["errno"] == 0  # without a reservation
    assert g.touch(area, 0, 12)["errno"] == Errno.EFAULT  # the pool has two
    taken = set(g.host.pages()[:, 0].tolist())
    g.do(Op.UNMAP, area)
    assert set(g.host.pages()[:, 0].tolist()) == taken


def test_part_of_a_huge_page_of_hugetlb_cannot_be_freed() -> None:
    g = guest()
    g.do(Op.POOL, 0, 2)
    area = g.touched(g.spawn(), HUGETLB, 8)
    assert g.free(area, 0, 2)["errno"] == Errno.EINVAL
    assert g.free(area, 4, 4)["errno"] == 0


# -- offline --------------------------------------------------------------------------------------


def test_an_offline_empties_a_block_and_takes_it_out_of_its_zone() -> None:
    g = guest()
    area = g.touched(g.spawn(), ANON, 6)
    block = g.blocks_of(area)[0]
    managed = g.host.zones()[2, 0]
    g.offline(block)
    attempt = g.attempt()
    assert (attempt["errno"], attempt["migrated_pages"]) == (0, 6)
    assert block not in g.blocks_of(area)
    assert g.host.blocks()[block].tolist() == [-1, 0, 0, 0, 0, 0, 0]
    assert g.host.zones()[2, 0] == managed - 16


def test_a_block_with_a_kernel_page_is_busy_at_once() -> None:
    g = guest()
    area = g.touched(g.spawn(), KERNEL, 1)
    g.offline(g.blocks_of(area)[0])
    attempt = g.attempt()
    assert (attempt["errno"], attempt["reason"]) == (Errno.EBUSY, OfflineReason.UNMOVABLE)
    assert attempt["passes"] == 0
    assert g.seen(Row.BLOCKER)[0]["class"] == BlockerClass.UNMOVABLE


def test_a_reserved_pageblock_makes_its_block_unmovable() -> None:
    g = guest("RNNNNNMM")
    g.offline(0)
    assert g.attempt()["reason"] == OfflineReason.UNMOVABLE


@pytest.mark.parametrize(("nodes", "kind"), [("NNNNNNMMM", MOVABLE), ("NNNNNN", NORMAL)])
def test_a_pinned_page_keeps_the_offline_going_for_ever(nodes: str, kind: int) -> None:
    g = guest(nodes, "pin-in-place+unbounded")
    area = g.touched(g.spawn(), ANON, 6)
    assert set(g.zones_of(area)) == {kind}
    g.pin(1, area, 2, 1)
    g.offline(g.blocks_of(area)[0])
    g.advance(SECOND_NS // 20)
    g.do(Op.STATUS, 7)
    assert g.seen(Row.ATTEMPT)[0]["endless"] == 1
    (blocker,) = g.seen(Row.BLOCKER)
    wanted = BlockerClass.LONGTERM_PIN if kind == MOVABLE else BlockerClass.KERNEL_ZONE_PIN
    assert (blocker["class"], blocker["pin"], blocker["pins"]) == (wanted, 1, 1)
    assert (blocker["pfn_first"], blocker["pages"]) == (g.pfns(area)[2], 1)


def test_an_offline_moves_pages_to_the_other_node_only() -> None:
    g = guest("NNNNMMMM|NNNNMMMM", cpus=(0, 1))
    area = g.touched(g.spawn(), ANON, 6)
    g.offline(g.blocks_of(area)[0])
    assert g.attempt()["errno"] == 0
    assert all(p // 16 >= 8 for p in g.pfns(area))


def test_with_the_other_node_full_an_offline_loops_beside_empty_blocks() -> None:
    g = guest("NNNNMMMM|NNMM", cpus=(0, 1))
    proc = g.spawn()
    area = g.touched(proc, ANON, 6)
    other = g.map(proc, ANON, 64)
    for index in range(64):
        if all(z[1] <= z[2] + 2 for z in g.host.zones()[3:] if z[0]):
            break
        g.touch(other, index, 1, node=1)
    before = sum(p // 16 >= 8 for p in g.pfns(other))
    assert before > 30
    g.offline(g.blocks_of(area)[0])
    g.advance(SECOND_NS // 50)
    g.do(Op.STATUS, 7)
    assert g.seen(Row.ATTEMPT)[0]["endless"] == 1
    assert {b["class"] for b in g.seen(Row.BLOCKER)} == {BlockerClass.NO_ROOM}
    assert g.host.blocks()[7, 2] == 16


def test_a_range_that_fails_half_way_is_put_back() -> None:
    g = guest(arm="pin-in-place+pin-aware")
    area = g.touched(g.spawn(), ANON, 6)
    block = g.blocks_of(area)[0]
    proc = g.spawn()
    thing = g.touched(proc, ANON, 80)
    last = max(g.blocks_of(thing))
    g.pin(1, thing, 79, 1)
    online = g.host.blocks()[:, 0].tolist()
    g.offline(last - 1, 2)
    attempt = g.attempt()
    assert (attempt["errno"], attempt["reason"]) == (Errno.EBUSY, OfflineReason.PIN_SEEN)
    assert attempt["failed_block"] == last
    assert g.host.blocks()[:, 0].tolist() == online
    assert g.host.blocks()[last - 1, 2] == 16
    assert block < last


def test_a_signal_ends_an_offline_and_gives_the_free_pages_back() -> None:
    g = guest(arm="pin-in-place+unbounded")
    area = g.touched(g.spawn(), ANON, 6)
    g.pin(1, area, 0, 1)
    free = g.host.zones()[2, 1]
    g.offline(g.blocks_of(area)[0])
    g.advance(SECOND_NS // 50)
    assert g.host.zones()[2, 7] > 0
    g.do(Op.SIGNAL)
    assert g.attempt()["reason"] == OfflineReason.SIGNAL
    assert g.host.zones()[2, 7] == 0
    assert g.host.zones()[2, 1] == free


def test_one_hotplug_runs_at_a_time() -> None:
    g = guest("NNNNNNMMM-", "pin-in-place+unbounded")
    area = g.touched(g.spawn(), ANON, 6)
    g.pin(1, area, 0, 1)
    g.offline(g.blocks_of(area)[0])
    g.advance(SECOND_NS // 100)
    assert g.do(Op.OFFLINE, 8, 7, 1, 0)["errno"] == Errno.EAGAIN
    assert g.do(Op.ONLINE, 9, 1, MOVABLE)["errno"] == Errno.EAGAIN


@pytest.mark.parametrize("block", [9, 10])
def test_what_is_not_online_cannot_go_offline(block: int) -> None:
    g = guest("NNNNNNMMM-h")
    g.offline(block)
    attempt = g.attempt()
    assert (attempt["errno"], attempt["reason"]) == (Errno.EINVAL, OfflineReason.BAD_STATE)


def test_free_huge_pages_of_hugetlb_in_the_block_are_dissolved() -> None:
    g = guest()
    g.do(Op.POOL, 0, 2)
    block = int(g.host.pages()[0, 0]) // 16
    g.offline(block)
    assert g.attempt()["errno"] == 0
    assert len(g.host.pages()) == 0


def test_pages_of_an_isolated_block_cannot_be_pinned_where_the_kernel_says_so() -> None:
    g = guest("NNNNNN", ISOLATED_UNPINNABLE=1)
    proc = g.spawn()
    area, other = g.touched(proc, ANON, 4), g.touched(proc, ANON, 4)
    g.do(Op.HOLD, 9, area, 0, 1)
    block = g.blocks_of(area)[0]
    g.offline(block)
    g.advance(SECOND_NS // 50)
    assert g.host.offline_running
    assert g.pin(1, area, 0, 1)["errno"] == Errno.ENOMEM
    assert g.pin(2, other, 0, 4)["errno"] == 0


# -- the surface ----------------------------------------------------------------------------------


def test_migrate_moves_a_range_to_a_node_except_what_is_held() -> None:
    g = guest("NNNNMM|NNNNMM", cpus=(0, 1))
    area = g.touched(g.spawn(), ANON, 6)
    g.do(Op.HOLD, 9, area, 2, 1)
    assert g.do(Op.MIGRATE, area, 0, 6, 1)["errno"] == Errno.EBUSY
    assert [p // 16 >= 6 for p in g.pfns(area)] == [True, True, False, True, True, True]


def test_time_that_goes_back_is_refused() -> None:
    g = guest()
    g.do(Op.SPAWN, 5, 0, 0, after_ns=100)
    for host in g.hosts:
        with pytest.raises(ValueError, match="ns"):
            host.execute(np.array([command(50, Op.SPAWN, 6, 0, 0)]), 200)


def test_a_sample_counts_pages_by_what_they_are() -> None:
    g = guest(arm="pin-in-place+unbounded")
    proc = g.spawn()
    area = g.touched(proc, ANON, 6)
    g.touched(proc, FILE, 5)
    g.touched(proc, KERNEL, 3)
    g.pin(1, area, 0, 2)
    g.do(Op.SAMPLE, 4)
    rows = {row["zone"]: row for row in g.seen(Row.SAMPLE)}
    movable, normal = rows[2], rows[1]
    assert (movable["anon_pages"], movable["file_pages"], movable["pinned_pages"]) == (6, 5, 2)
    assert (normal["kernel_pages"], normal["blocks_pinned"]) == (3, 0)
    assert (movable["blocks_online"], movable["blocks_pinned"]) == (6, 1)


def test_an_attempt_names_no_more_than_32_blockers() -> None:
    g = guest("NNMMMM", "pin-in-place+unbounded", chunks=16)
    proc = g.spawn()
    area = g.touched(proc, ANON, 120)
    pinned = [page for page, pfn in enumerate(g.pfns(area)) if pfn // 128 == 2][:80:2]
    for pin, page in enumerate(pinned):
        g.pin(40 + pin, area, page, 1)
    assert len(pinned) == 40
    g.offline(2)
    g.do(Op.STATUS, 7, after_ns=SECOND_NS // 20)
    assert len(g.seen(Row.BLOCKER)) == 32


def test_a_block_that_comes_online_is_movable_whatever_was_in_it() -> None:
    """online_pages: MIGRATE_MOVABLE, also for pageblocks that kernel memory had claimed (5.10)."""
    g = guest("NNNN", chunks=4)
    proc = g.spawn()
    kernel = g.touched(proc, KERNEL, 100)
    block = max(g.blocks_of(kernel))
    g.do(Op.UNMAP, kernel)
    g.offline(block)
    assert g.attempt()["errno"] == 0
    assert g.do(Op.ONLINE, block, 1, 1)["errno"] == 0
    area = g.touched(proc, ANON, 80)
    assert block in g.blocks_of(area)
    g.free(area, 0, 60)
    g.finish()
