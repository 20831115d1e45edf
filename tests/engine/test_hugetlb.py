"""The hugetlb pool: where its pages come from, who may have them, how it keeps a block online."""

import pytest

from engine.enums import (
    AreaKind,
    BlockerClass,
    Cost,
    Counter,
    Errno,
    Migratetype,
    OfflineReason,
    Op,
    Pinner,
    Row,
)
from tests.engine.bench import Guest, make_shape, make_table

ANON, HUGETLB = AreaKind.ANON, AreaKind.HUGETLB
MOVABLE = 2
TOTAL, FREE, SURPLUS, RESERVED = range(4)
NORESERVE = 2


def guest(nodes: str = "NNNNNNMMMMMM", profile: str = "linux-6.1", **cells: int) -> Guest:
    """A host with the hugetlb pools still empty."""
    cpus = tuple(range(nodes.count("|") + 1))
    table = make_table("kernel+unbounded", profile, **cells)
    return Guest(make_shape(nodes, cpus=cpus), table, full_every=1)


def nr_hugepages(g: Guest, folios: int, node: int = -1) -> None:
    """Write nr_hugepages."""
    assert g.do(Op.NR_HUGEPAGES, node, folios, 0)["errno"] == 0


def mapped(g: Guest, proc: int, pages: int, flags: int = 0) -> tuple[int, int]:
    """Map a hugetlb area; returns slot and errno."""
    area = g._slot()
    return area, g.do(Op.MAP, area, proc, HUGETLB, pages, flags)["errno"]


# -- size -----------------------------------------------------------------------------------------


def test_the_pool_is_filled_from_movable_memory_first() -> None:
    g = guest()
    nr_hugepages(g, 4)
    area = g.touched(g.spawn(), HUGETLB, 16)
    assert set(g.zones_of(area)) == {MOVABLE}
    assert g.host.pool().tolist() == [[4, 0, 0, 0]]
    assert g.host.counters[Counter.HTLB_BUDDY_ALLOC_SUCCESS] == 4


def test_pages_are_taken_from_the_nodes_in_turn_and_the_turn_is_remembered() -> None:
    g = guest("NNNNMM|NNNNMM")
    nr_hugepages(g, 3)
    assert g.host.pool()[:, TOTAL].tolist() == [2, 1]
    nr_hugepages(g, 4)
    assert g.host.pool()[:, TOTAL].tolist() == [2, 2]
    nr_hugepages(g, 1)  # and given back in turn
    assert g.host.pool()[:, TOTAL].tolist() == [0, 1]


def test_the_file_of_a_node_changes_that_node_alone() -> None:
    g = guest("NNNNMM|NNNNMM")
    nr_hugepages(g, 4)
    nr_hugepages(g, 5, node=1)
    assert g.host.pool()[:, TOTAL].tolist() == [2, 5]
    nr_hugepages(g, 0, node=0)
    assert g.host.pool()[:, TOTAL].tolist() == [0, 5]


def test_what_cannot_be_had_is_missing_without_an_error() -> None:
    g = guest("NNNNM")
    nr_hugepages(g, 1000)
    assert 0 < g.host.pool()[0, TOTAL] < 1000
    assert g.host.counters[Counter.HTLB_BUDDY_ALLOC_FAIL] == 1


def test_a_pool_that_shrinks_below_what_is_in_use_has_a_surplus_that_leaves_when_freed() -> None:
    g = guest()
    nr_hugepages(g, 5)
    area = g.touched(g.spawn(), HUGETLB, 12)
    assert g.do(Op.NR_HUGEPAGES, -1, 1, 0)["pages"] == 4
    assert g.host.pool().tolist() == [[3, 0, 2, 0]]
    assert g.free(area, 0, 4)["errno"] == 0
    assert g.host.pool().tolist() == [[2, 0, 1, 0]]
    g.do(Op.UNMAP, area)
    assert g.host.pool().tolist() == [[1, 1, 0, 0]]


def test_a_surplus_becomes_part_of_a_pool_that_grows_again() -> None:
    g = guest()
    nr_hugepages(g, 3)
    g.touched(g.spawn(), HUGETLB, 12)
    nr_hugepages(g, 1)
    nr_hugepages(g, 4)
    assert g.host.pool().tolist() == [[4, 1, 0, 0]]
    assert g.host.counters[Counter.HTLB_BUDDY_ALLOC_SUCCESS] == 4


@pytest.mark.parametrize(("batched", "first"), [(0, 3), (1, 0)])
def test_the_page_that_joined_the_pool_last_is_taken_first(batched: int, first: int) -> None:
    g = guest(HUGETLB_POOL_BATCHED=batched)
    nr_hugepages(g, 4)
    pool = sorted(g.host.pages()[:, 0].tolist())
    area = g.touched(g.spawn(), HUGETLB, 4)
    assert g.pfns(area)[0] == pool[first]


# -- reservations ---------------------------------------------------------------------------------


def test_a_mapping_reserves_its_pages_and_fails_when_too_few_are_left() -> None:
    g = guest()
    proc = g.spawn()
    nr_hugepages(g, 4)
    area, errno = mapped(g, proc, 12)
    assert (errno, g.host.pool()[0, RESERVED]) == (0, 3)
    assert mapped(g, proc, 8)[1] == Errno.ENOMEM
    assert g.touch(area, 0, 5)["errno"] == 0
    assert g.host.pool().tolist() == [[4, 2, 0, 1]]
    assert g.pfns(area)[8:] == [-3] * 4
    g.do(Op.UNMAP, area)
    assert g.host.pool().tolist() == [[4, 4, 0, 0]]


def test_without_a_reservation_only_what_nobody_reserved_is_to_be_had() -> None:
    g = guest()
    proc = g.spawn()
    nr_hugepages(g, 3)
    free_rider, errno = mapped(g, proc, 8, NORESERVE)
    owner, _ = mapped(g, proc, 8)
    assert errno == 0
    assert g.touch(free_rider, 0, 8)["errno"] == Errno.EFAULT
    assert g.touch(owner, 0, 8)["errno"] == 0
    assert g.host.pool().tolist() == [[3, 0, 0, 0]]


def test_what_is_reserved_stays_so_when_pages_around_it_are_given_back() -> None:
    g = guest()
    nr_hugepages(g, 4)
    area, _ = mapped(g, g.spawn(), 16)
    for page in (4, 12):
        assert g.touch(area, page, 4)["errno"] == 0
    assert g.free(area, 0, 12)["errno"] == 0
    assert g.pfns(area)[:12] == [-3] * 4 + [-1] * 4 + [-3] * 4
    assert g.host.pool().tolist() == [[4, 3, 0, 2]]


def test_a_page_that_was_given_back_is_not_reserved_again() -> None:
    g = guest()
    proc = g.spawn()
    nr_hugepages(g, 2)
    first, _ = mapped(g, proc, 4)
    assert g.touch(first, 0, 4)["errno"] == 0
    assert g.free(first, 0, 4)["errno"] == 0
    other, errno = mapped(g, proc, 8)
    assert errno == 0
    assert g.touch(first, 0, 4)["errno"] == Errno.EFAULT  # all is reserved for the other now
    assert g.touch(other, 0, 8)["errno"] == 0


def test_a_shrinking_pool_keeps_what_is_reserved() -> None:
    g = guest()
    nr_hugepages(g, 5)
    mapped(g, g.spawn(), 12)
    nr_hugepages(g, 0)
    assert g.host.pool().tolist() == [[3, 3, 3, 3]]


def test_reserved_pages_that_nobody_uses_refuse_the_offline() -> None:
    g = guest()
    nr_hugepages(g, 4)
    mapped(g, g.spawn(), 8)
    block = int(g.host.pages()[0, 0]) // 16
    g.offline(block)
    attempt = g.attempt()
    assert (attempt["errno"], attempt["reason"]) == (Errno.EBUSY, OfflineReason.DISSOLVE)
    assert g.host.pool().tolist() == [[2, 2, 0, 2]]  # what nobody needed is gone all the same
    (blocker,) = g.seen(Row.BLOCKER)
    assert (blocker["class"], blocker["pages"]) == (BlockerClass.HUGETLB_RESERVED, 8)
    assert g.host.blocks()[block, 0] == MOVABLE


def test_an_offline_does_not_move_pages_to_reserved_ones() -> None:
    g = guest()
    proc = g.spawn()
    nr_hugepages(g, 4)
    area = g.touched(proc, HUGETLB, 8)
    mapped(g, proc, 8)
    (block,) = g.blocks_of(area)
    g.offline(block)
    assert g.attempt()["reason"] == OfflineReason.DISSOLVE
    assert g.host.counters[Counter.HTLB_BUDDY_ALLOC_SUCCESS] == 4 + 2
    assert block not in g.blocks_of(area)


# -- pins -----------------------------------------------------------------------------------------


def test_5_10_pins_hugetlb_pages_where_they_are() -> None:
    g = guest(profile="linux-5.10")
    nr_hugepages(g, 2)
    area, _ = mapped(g, g.spawn(), 8)
    assert g.pin(1, area, 0, 8)["errno"] == 0
    assert set(g.zones_of(area)) == {MOVABLE}


@pytest.mark.parametrize("migrates", [0, 1])
def test_a_pin_does_not_fault_in_pool_pages_of_movable_memory(migrates: int) -> None:
    g = guest(HUGETLB_PIN_MIGRATES=migrates)
    nr_hugepages(g, 2)
    area, _ = mapped(g, g.spawn(), 8)
    assert g.pin(1, area, 0, 8)["errno"] == Errno.EFAULT
    assert g.host.pool().tolist() == [[2, 2, 0, 2]]


@pytest.mark.parametrize(
    ("pinner", "first", "errno", "got"),
    [
        (Pinner.IO_URING, 0, Errno.ENOMEM, 0),
        (Pinner.IO_URING, 4, Errno.EFAULT, 4),
        (Pinner.RDMA, 4, Errno.ENOMEM, 4),
    ],
)
def test_6_1_refuses_to_pin_what_it_would_have_to_move(
    pinner: int, first: int, errno: int, got: int
) -> None:
    """Pages in front of the refused one were taken and are let go."""
    g = guest()
    proc = g.spawn()
    hog = g.touched(proc, ANON, 94)
    nr_hugepages(g, 1)
    area, _ = mapped(g, proc, 12, NORESERVE)
    assert g.touch(area, 0, 4)["errno"] == 0
    assert g.zones_of(area)[0] != MOVABLE
    g.do(Op.UNMAP, hog)
    nr_hugepages(g, 3)
    assert g.touch(area, 4, 8)["errno"] == 0
    assert g.zones_of(area)[4] == MOVABLE
    start = 4 - first
    assert g.pin(1, area, start, 12 - start, pinner)["errno"] == errno
    assert g.host.counters[Counter.NR_FOLL_PIN_ACQUIRED] == got
    assert g.host.counters[Counter.NR_FOLL_PIN_RELEASED] == got
    assert g.host.counters[Counter.PGMIGRATE_SUCCESS] == 0


@pytest.mark.parametrize(
    ("profile", "outside", "errno", "movable"),
    [
        ("linux-5.10", False, 0, True),
        ("linux-6.1", False, Errno.ENOMEM, True),
        ("linux-6.1", True, 0, False),
        ("linux-6.12", False, 0, False),
    ],
)
def test_a_device_driver_in_user_space_touches_its_huge_pages_and_maps_them_one_by_one(
    profile: str, outside: bool, errno: int, movable: bool
) -> None:
    """As DPDK does: what 6.1 makes of it turns on where the pool was filled from."""
    g = guest(profile=profile)
    proc = g.spawn()
    hog = g.touched(proc, ANON, 94) if outside else -1
    nr_hugepages(g, 3)
    if outside:
        g.do(Op.UNMAP, hog)
    area = g.touched(proc, HUGETLB, 12)
    errnos = {g.pin(i, area, 4 * i, 4, Pinner.VFIO)["errno"] for i in range(3)}
    assert errnos == {errno}
    assert (MOVABLE in g.zones_of(area)) == movable
    assert g.host.pool()[0, TOTAL] == 3


def test_6_12_moves_them_to_fresh_pages_and_the_pool_keeps_its_size() -> None:
    g = guest(HUGETLB_PIN_MIGRATES=1)
    nr_hugepages(g, 2)
    area = g.touched(g.spawn(), HUGETLB, 8)
    assert g.pin(1, area, 0, 8)["errno"] == 0
    assert MOVABLE not in g.zones_of(area)
    assert g.host.pool().tolist() == [[2, 0, 0, 0]]
    assert g.host.counters[Counter.HTLB_BUDDY_ALLOC_SUCCESS] == 2 + 2


def test_a_pin_prefers_a_pool_page_outside_movable_memory_to_a_fresh_one() -> None:
    g = guest("NNNNMM|NNNNNN", HUGETLB_PIN_MIGRATES=1)
    nr_hugepages(g, 1, node=1)
    nr_hugepages(g, 2, node=0)
    area = g.touched(g.spawn(), HUGETLB, 8)
    assert set(g.zones_of(area)) == {MOVABLE}
    assert g.pin(1, area, 0, 8)["errno"] == 0
    assert sorted(p // 16 >= 6 for p in g.pfns(area)) == [False] * 4 + [True] * 4
    assert g.host.pool()[:, FREE].sum() == 1
    assert g.host.counters[Counter.HTLB_BUDDY_ALLOC_SUCCESS] == 3 + 1


def test_a_held_page_takes_its_target_at_each_try_and_gives_it_back() -> None:
    g = guest(HUGETLB_PIN_MIGRATES=1)
    nr_hugepages(g, 1)
    area = g.touched(g.spawn(), HUGETLB, 4)
    g.do(Op.HOLD, 9, area, 0, 1)
    assert g.pin(1, area, 0, 4)["errno"] == Errno.ENOMEM
    assert g.host.counters[Counter.HTLB_BUDDY_ALLOC_SUCCESS] == 1 + 10


def test_without_a_target_a_held_page_ends_the_call() -> None:
    g = guest("NNNNM", HUGETLB_PIN_MIGRATES=1)
    nr_hugepages(g, 1)
    proc = g.spawn()
    area = g.touched(proc, HUGETLB, 4)
    while g.do(Op.POOL, 0, 1)["errno"] == 0:
        pass
    left = int(g.host.pool()[0, FREE])
    g.touched(proc, HUGETLB, left * 4)
    g.do(Op.HOLD, 9, area, 0, 1)
    before = g.host.counters[Counter.HTLB_BUDDY_ALLOC_FAIL]
    assert g.pin(1, area, 0, 4)["errno"] == Errno.ENOMEM
    assert g.host.counters[Counter.HTLB_BUDDY_ALLOC_FAIL] == before + 1


def test_a_short_reference_to_untouched_hugetlb_memory_takes_a_page() -> None:
    g = guest()
    nr_hugepages(g, 1)
    area, _ = mapped(g, g.spawn(), 4)
    assert g.do(Op.HOLD, 9, area, 0, 2)["errno"] == 0
    assert g.pfns(area)[0] >= 0


# -- offline --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("counts", "each"), [(0, 1), (1, 4)])
def test_free_pages_of_the_block_are_its_targets_for_ever(counts: int, each: int) -> None:
    """A page in front of the pool keeps the scan's start below all that moves to and fro."""
    g = guest("NNNNNNNNNNNNMMMMMMMM", HUGETLB_COUNTS_PAGES=counts, PCP_THP=0)
    proc = g.spawn()
    g.touched(proc, ANON, 1)
    nr_hugepages(g, 3)
    area = g.touched(proc, HUGETLB, 8)
    (block,) = g.blocks_of(area)
    g.offline(block)
    g.advance(200_000_000)
    assert g.host.offline_running
    g.do(Op.STATUS, 7)
    (attempt,) = g.seen(Row.ATTEMPT)
    assert attempt["endless"] == 1
    assert {b["class"] for b in g.seen(Row.BLOCKER)} == {BlockerClass.HUGETLB_SHUTTLE}
    assert g.host.counters[Counter.PGMIGRATE_FAIL] == 0
    moves = 2 * int(g.host.counters[Counter.OFFLINE_PASSES]) * each
    assert abs(int(g.host.counters[Counter.PGMIGRATE_SUCCESS]) - moves) <= 2 * each + 1
    nr_hugepages(g, 2)  # without free pages they leave the block
    assert g.attempt()["errno"] == 0


def test_a_pass_that_moves_one_of_two_huge_pages_out_of_the_block_is_progress() -> None:
    """The next one, which moves nothing, is not; what is free of the block is nobody's hugetlb."""
    g = guest("NNNNNNNNNNNNMMMMMMMM", PCP_THP=0)
    proc = g.spawn()
    while g._next < Migratetype.ISOLATE:  # an area whose number is that of the block's free lists
        g.map(proc, ANON, 1)
    nr_hugepages(g, 2)
    area = g.touched(proc, HUGETLB, 8)
    (block,) = g.blocks_of(area)
    g.do(Op.HOLD, 50, area, 0, 1)
    g.offline(block)
    endless: list[int] = []
    while len(endless) < 3:
        g.do(Op.STATUS, 7, after_ns=g.costs[Cost.PASS_FIXED] // 2)
        (attempt,) = g.seen(Row.ATTEMPT)
        if attempt["passes"] > len(endless):
            endless.append(attempt["endless"])
    assert endless == [0, 0, 1]


def test_a_page_that_went_to_the_pool_has_no_other_try() -> None:
    """While a held one of the block has all of its tries."""
    g = guest("NNNNNNNNNNNNMMMMMMMM", HUGETLB_COUNTS_PAGES=0, PCP_THP=0)
    proc = g.spawn()
    small = g.touched(proc, ANON, 1)
    nr_hugepages(g, 3)
    area = g.touched(proc, HUGETLB, 8)
    (block,) = g.blocks_of(area)
    g.do(Op.HOLD, 50, area, 0, 1)
    assert g.blocks_of(small) == [block]
    g.offline(block)
    passes = 3
    while g.host.counters[Counter.OFFLINE_PASSES] <= passes:
        g.advance(g.costs[Cost.MIGRATE_FAIL_2M])
    assert g.host.counters[Counter.PGMIGRATE_SUCCESS] == passes + 1


def test_a_surplus_page_that_moved_leaves_the_pool() -> None:
    g = guest()
    nr_hugepages(g, 4)
    area = g.touched(g.spawn(), HUGETLB, 8)
    nr_hugepages(g, 1)
    assert g.host.pool().tolist() == [[2, 0, 1, 0]]
    (block,) = g.blocks_of(area)
    g.offline(block)
    assert g.attempt()["errno"] == 0
    assert g.host.pool().tolist() == [[2, 0, 1, 0]]
