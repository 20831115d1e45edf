"""1 GiB hugetlb pages: where they come from, how they hold memory blocks, and how these go.

Here a gigantic page is 8 pageblocks of 4 pages (32 pages), two memory blocks of 16 pages.
"""

import pytest

from engine.enums import (
    AreaKind,
    BlockerClass,
    Cost,
    Counter,
    Errno,
    MigrateReason,
    Migratetype,
    OfflineReason,
    Op,
    Pinner,
    PoolSize,
    Row,
)
from tests.engine.bench import Guest, make_shape, make_table

ANON, HUGETLB = AreaKind.ANON, AreaKind.HUGETLB
NORMAL, MOVABLE = 1, 2
TOTAL, FREE, SURPLUS, RESERVED = range(4)
B_USED, B_PINNED = 3, 4
PFN, ORDER, AREA, INDEX, PINS = range(5)
NORESERVE, GIGANTIC = 2, 4
PAGES, ORDER_1G = 32, 5


def guest(
    nodes: str = "NNNNNNNNMMMM", profile: str = "linux-5.10", gigantic: int = 8,
    arm: str = "kernel+unbounded", **cells: int,
) -> Guest:  # fmt: skip
    """A host with the hugetlb pools still empty."""
    cpus = tuple(range(nodes.count("|") + 1))
    table = make_table(arm, profile, **cells)
    return Guest(make_shape(nodes, cpus=cpus, gigantic=gigantic), table, full_every=1)


def boot(g: Guest, folios: int, node: int = 0) -> int:
    """hugepagesz=1G hugepages=; returns the errno."""
    return g.do(Op.POOL, node, folios, PoolSize.GIGANTIC)["errno"]


def nr_hugepages(g: Guest, folios: int, node: int = -1) -> dict[str, int]:
    """Write nr_hugepages of the 1 GiB pages."""
    return g.do(Op.NR_HUGEPAGES, node, folios, 0, PoolSize.GIGANTIC)


def pool(g: Guest) -> list[list[int]]:
    """The pool of 1 GiB pages."""
    return [list(row) for row in g.host.pool(PoolSize.GIGANTIC).tolist()]


def gigantic_pfns(g: Guest) -> list[int]:
    """First pfns of all gigantic folios, ascending."""
    return [p[PFN] for p in g.host.pages().tolist() if p[ORDER] == ORDER_1G]


def mapped(g: Guest, proc: int, pages: int, flags: int = 0) -> tuple[int, int]:
    """Map an area of 1 GiB pages; returns slot and errno."""
    area = g._slot()
    return area, g.do(Op.MAP, area, proc, HUGETLB, pages, flags | GIGANTIC)["errno"]


def touched(g: Guest, proc: int, folios: int = 1) -> int:
    """Map an area of 1 GiB pages and touch all of it."""
    area, errno = mapped(g, proc, folios * PAGES)
    assert errno == 0
    assert g.touch(area, 0, folios * PAGES)["errno"] == 0
    return area


def free_pages(g: Guest, mt: Migratetype) -> int:
    """Pages on the free lists of a type in ZONE_NORMAL."""
    return sum(len(g.host.free_list(NORMAL, mt, order)) << order for order in range(4))


# -- where they come from -------------------------------------------------------------------------


@pytest.mark.parametrize(("profile", "taken_first"), [("linux-6.1", 96), ("linux-6.12", 64)])
def test_boot_pages_are_the_highest_ranges_outside_movable_memory(
    profile: str, taken_first: int
) -> None:
    g = guest(profile=profile)
    assert boot(g, 2) == 0
    assert gigantic_pfns(g) == [64, 96]
    assert pool(g) == [[2, 2, 0, 0]]
    assert g.host.zones()[MOVABLE, 1] == 4 * 16
    area = touched(g, g.spawn())
    assert g.pfns(area) == list(range(taken_first, taken_first + PAGES))


def test_pages_of_run_time_are_the_lowest_ranges_that_are_free() -> None:
    g = guest()
    small = g.touched(g.spawn(), ANON, 1, node=0)
    g.do(Op.MIGRATE, small, 0, 1, 0)
    g.do(Op.MAP, 5, 0, AreaKind.KERNEL, 1, 0)
    g.touch(5, 0, 1)
    (used,) = g.pfns(5)
    assert nr_hugepages(g, 2)["pages"] == 2 * PAGES
    free = [p for p in (0, 32, 64, 96) if not p <= used < p + PAGES]
    assert gigantic_pfns(g) == free[:2]
    assert g.host.counters[Counter.HTLB_BUDDY_ALLOC_SUCCESS] == 0


def test_a_range_in_a_row_of_chunks_is_found_after_a_shuffle() -> None:
    """The fast engine keeps neighbouring chunks as one row: a fresh zone's, and a block's onlined.

    Of the zone's row nothing is left after the shuffle, whatever its first pageblock holds: read as
    a row, 40 pins of a page there would be one of 40 chunks, with those of the block among them.
    """
    shape = make_shape("NNNN", chunks=8, gigantic=4)
    g = Guest(shape, make_table("pin-in-place+unbounded"), full_every=1)
    g.do(Op.SHUFFLE, 3)
    g.offline(3)
    assert g.attempt()["errno"] == 0
    assert g.do(Op.ONLINE, 3, 1, NORMAL)["errno"] == 0
    area = g.touched(g.spawn(), AreaKind.THP, 3 * 64 + 4)
    pfns = g.pfns(area)
    assert pfns[-4:] == [192, 193, 194, 195]
    for pin in range(40):
        g.pin(200 + pin, area, pfns.index(0), 1)
    assert nr_hugepages(g, 1)["pages"] == 16
    (folio,) = (p[PFN] for p in g.host.pages().tolist() if p[ORDER] == 4)
    assert folio == 192 + 16


def test_what_no_range_is_free_for_is_missing() -> None:
    g = guest("RNNNNMMMM")
    assert boot(g, 3) == Errno.ENOMEM
    assert gigantic_pfns(g) == [32]
    assert nr_hugepages(g, 9)["pages"] == PAGES
    assert pool(g) == [[1, 1, 0, 0]]


def test_the_pools_of_two_sizes_know_nothing_of_each_other() -> None:
    g = guest()
    assert boot(g, 1) == 0
    assert g.do(Op.POOL, 0, 3)["errno"] == 0
    assert g.host.pool().tolist() == [[3, 3, 0, 0]]
    proc = g.spawn()
    assert g.do(Op.MAP, 8, proc, HUGETLB, 12, 0)["errno"] == 0
    assert mapped(g, proc, 2 * PAGES)[1] == Errno.ENOMEM
    assert mapped(g, proc, PAGES)[1] == 0
    assert (g.host.pool()[0, RESERVED], pool(g)[0][RESERVED]) == (3, 1)


def test_a_mapping_is_of_whole_gigantic_pages() -> None:
    g = guest()
    assert boot(g, 1) == 0
    proc = g.spawn()
    assert mapped(g, proc, PAGES - 4)[1] == Errno.EINVAL
    assert g.do(Op.MAP, 9, proc, ANON, PAGES, GIGANTIC)["errno"] == Errno.EINVAL
    area = touched(g, proc)
    assert g.free(area, 0, 4)["errno"] == Errno.EINVAL
    assert g.free(area, 0, PAGES)["errno"] == 0
    assert pool(g) == [[1, 1, 0, 0]]


def test_one_touch_takes_all_of_a_page_and_costs_what_its_parts_cost() -> None:
    g = guest()
    assert boot(g, 1) == 0
    area, _ = mapped(g, g.spawn(), PAGES)
    seen = g.touch(area, 17, 1)
    assert (seen["faulted_pages"], seen["latency_ns"]) == (PAGES, 8 * g.costs[Cost.FAULT_2M])
    assert g.host.counters[Counter.HUGETLB_FAULT] == 1
    assert g.host.area(area).tolist() == [[0, PAGES, 96, 2]]
    assert g.host.blocks()[6:8, B_USED].tolist() == [16, 16]
    assert g.touch(area, 0, PAGES)["faulted_pages"] == 0


def test_a_page_beyond_the_new_size_is_surplus_and_becomes_small_memory_when_freed() -> None:
    g = guest()
    assert boot(g, 2) == 0
    area = touched(g, g.spawn(), 2)
    nr_hugepages(g, 1)
    assert pool(g) == [[2, 0, 1, 0]]
    g.do(Op.UNMAP, area)
    assert pool(g) == [[1, 1, 0, 0]]
    nr_hugepages(g, 0)
    assert pool(g) == [[0, 0, 0, 0]]
    assert g.host.zones()[NORMAL, 1] == 8 * 16


def test_pages_are_taken_from_the_nodes_in_turn() -> None:
    g = guest("NNNN|NNNN")
    nr_hugepages(g, 3)
    assert [row[TOTAL] for row in pool(g)] == [2, 1]
    nr_hugepages(g, 1)
    assert [row[TOTAL] for row in pool(g)] == [1, 0]


def test_what_was_a_gigantic_page_is_movable_memory() -> None:
    """alloc_contig_range makes its pageblocks movable, whatever they were, and they stay so."""
    g = guest("NNNN", gigantic=4)
    kernel = g.touched(g.spawn(), AreaKind.KERNEL, 3)
    assert free_pages(g, Migratetype.UNMOVABLE) == 8 - 3
    g.do(Op.UNMAP, kernel)
    assert nr_hugepages(g, 4)["pages"] == 4 * 16
    nr_hugepages(g, 0)
    assert free_pages(g, Migratetype.UNMOVABLE) == 0


def test_several_gigantic_pages_fit_into_one_block() -> None:
    g = guest("NNM", gigantic=2)
    assert boot(g, 4) == 0
    assert g.host.blocks()[:, B_USED].tolist() == [16, 16, 0]
    assert [p[PFN] for p in g.host.pages().tolist()] == [0, 8, 16, 24]


# -- pins -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["linux-5.10", "linux-6.1", "linux-6.12"])
def test_a_pin_of_any_version_finds_nothing_to_move(profile: str) -> None:
    g = guest(profile=profile)
    assert boot(g, 1) == 0
    area, _ = mapped(g, g.spawn(), PAGES)
    assert g.pin(1, area, 0, PAGES, Pinner.VFIO)["errno"] == 0
    assert g.host.counters[Counter.PGMIGRATE_SUCCESS] == 0
    assert g.host.counters[Counter.NR_FOLL_PIN_ACQUIRED] == PAGES
    assert [(r["block"], r["pinned_pages"]) for r in g.seen(Row.PIN)] == [(6, 16), (7, 16)]


def test_a_pin_of_one_page_holds_the_whole_gigabyte_and_each_of_its_blocks() -> None:
    g = guest()
    assert boot(g, 1) == 0
    area = touched(g, g.spawn())
    assert g.pin(1, area, 20, 1)["errno"] == 0
    assert g.host.blocks()[6:8, B_PINNED].tolist() == [16, 16]
    assert g.pin(2, area, 2, 1)["errno"] == 0
    g.do(Op.UNPIN, 1)
    assert g.host.blocks()[6:8, B_PINNED].tolist() == [16, 16]
    g.do(Op.UNPIN, 2)
    assert g.host.blocks()[6:8, B_PINNED].tolist() == [0, 0]


def test_6_12_keeps_one_pin_of_each_page_for_a_registered_buffer() -> None:
    g = guest(profile="linux-6.12")
    assert boot(g, 2) == 0
    area = touched(g, g.spawn(), 2)
    assert g.pin(1, area, 10, 40, Pinner.IO_URING)["errno"] == 0
    assert [p[PINS] for p in g.host.pages().tolist()] == [1, 1]
    g.do(Op.UNPIN, 1)
    assert [p[PINS] for p in g.host.pages().tolist()] == [0, 0]


def test_what_is_unmapped_under_its_pin_returns_to_the_pool_when_the_pin_ends() -> None:
    g = guest()
    assert boot(g, 2) == 0
    area = touched(g, g.spawn(), 2)
    assert g.pin(1, area, 37, 1)["errno"] == 0
    g.do(Op.UNMAP, area)
    assert pool(g) == [[2, 1, 0, 0]]
    g.do(Op.UNPIN, 1)
    assert pool(g) == [[2, 2, 0, 0]]


# -- offline --------------------------------------------------------------------------------------


def test_a_free_page_is_dissolved_whole_though_one_of_its_blocks_goes() -> None:
    g = guest()
    assert boot(g, 1) == 0
    g.offline(7)
    assert g.attempt()["errno"] == 0
    assert pool(g) == [[0, 0, 0, 0]]
    assert g.host.blocks()[6].tolist()[:4] == [NORMAL, 0, 16, 0]


def test_what_was_a_gigantic_page_fails_no_isolation() -> None:
    g = guest(profile="linux-6.1")
    assert boot(g, 1) == 0
    nr_hugepages(g, 0)
    g.offline(6)
    assert g.attempt()["errno"] == 0


@pytest.mark.parametrize("profile", ["linux-6.1", "linux-6.12"])
@pytest.mark.parametrize("used", [False, True])
def test_from_5_19_on_a_page_that_goes_on_behind_a_block_fails_its_isolation(
    profile: str, used: bool
) -> None:
    g = guest(profile=profile)
    assert boot(g, 2) == 0
    if used:
        touched(g, g.spawn(), 2)
    g.offline(4)
    attempt = g.attempt()
    assert (attempt["errno"], attempt["reason"]) == (Errno.EBUSY, OfflineReason.UNMOVABLE)
    (blocker,) = g.seen(Row.BLOCKER)
    assert (blocker["class"], blocker["pfn_first"], blocker["pages"]) == (
        BlockerClass.UNMOVABLE, 64, PAGES,
    )  # fmt: skip
    if not used:
        g.offline(5)  # it ends with this one
        assert g.attempt()["errno"] == 0
        assert pool(g)[0][TOTAL] == 1


def test_a_reserved_page_that_nobody_uses_refuses_the_offline() -> None:
    g = guest()
    assert boot(g, 1) == 0
    mapped(g, g.spawn(), PAGES)
    g.offline(7)
    assert g.attempt()["reason"] == OfflineReason.DISSOLVE
    (blocker,) = g.seen(Row.BLOCKER)
    assert (blocker["class"], blocker["pfn_first"], blocker["pages"]) == (
        BlockerClass.HUGETLB_RESERVED, 96, PAGES,
    )  # fmt: skip


def test_a_used_page_moves_to_a_free_one_of_another_node() -> None:
    g = guest("NNNN|NNNN")
    assert boot(g, 1, 0) == 0
    assert boot(g, 1, 1) == 0
    area = touched(g, g.spawn())
    assert g.pfns(area)[0] == 32
    g.offline(3)
    attempt = g.attempt()
    assert (attempt["errno"], attempt["migrated_pages"]) == (0, PAGES)
    (moved,) = g.seen(Row.MIGRATION)
    assert (moved["folio_order"], moved["folios"], moved["pages"]) == (ORDER_1G, 1, PAGES)
    assert moved["latency_ns"] == 8 * g.costs[Cost.MIGRATE_2M]
    assert g.pfns(area)[0] == 96
    assert pool(g) == [[0, 0, 0, 0], [1, 0, 0, 0]]


@pytest.mark.parametrize(("nodes", "last"), [("NNNNNNNN", 0), ("NNNN|NNNN", 1)])
def test_no_page_is_made_for_it_however_much_memory_is_free(nodes: str, last: int) -> None:
    g = guest(nodes)
    assert boot(g, 1) == 0
    area = touched(g, g.spawn())
    block = g.blocks_of(area)[-1]
    g.offline(block)
    g.advance(50_000_000)
    g.do(Op.STATUS, 7)
    (attempt,) = g.seen(Row.ATTEMPT)
    assert (attempt["endless"], attempt["migrated_pages"]) == (1, 0)
    (blocker,) = g.seen(Row.BLOCKER)
    assert (blocker["class"], blocker["pages"]) == (BlockerClass.NO_ROOM, PAGES)
    assert g.host.counters[Counter.HTLB_BUDDY_ALLOC_FAIL] == 0
    assert nr_hugepages(g, 2 - last, last)["errno"] == 0  # one more: now there is a target
    assert g.attempt()["errno"] == 0


def test_a_pinned_page_holds_a_block_that_the_pinned_part_is_not_in() -> None:
    g = guest("NNNN|NNNN")
    assert boot(g, 1, 0) == 0
    assert boot(g, 1, 1) == 0
    area = touched(g, g.spawn())
    assert g.pin(1, area, 0, 1)["errno"] == 0
    g.offline(3)
    g.advance(50_000_000)
    g.do(Op.STATUS, 7)
    (attempt,) = g.seen(Row.ATTEMPT)
    assert attempt["endless"] == 1
    (blocker,) = g.seen(Row.BLOCKER)
    assert (blocker["class"], blocker["pfn_first"], blocker["pages"], blocker["pins"]) == (
        BlockerClass.KERNEL_ZONE_PIN, 32, PAGES, 1,
    )  # fmt: skip
    assert pool(g) == [[1, 0, 0, 0], [1, 1, 0, 0]]  # the target is given back each time
    g.do(Op.UNPIN, 1)
    assert g.attempt()["errno"] == 0


def test_a_revoked_pin_goes_with_it_unless_somebody_refers_to_it_besides() -> None:
    g = guest("NNNN|NNNN", arm="revocable+unbounded")
    assert boot(g, 1, 0) == 0
    assert boot(g, 1, 1) == 0
    area = touched(g, g.spawn())
    assert g.pin(1, area, 20, 1)["errno"] == 0
    g.do(Op.HOLD, 2, area, 3, 1)
    g.offline(3)
    g.advance(50_000_000)
    assert (g.host.offline_running, g.pfns(area)[0]) == (True, 32)
    g.do(Op.UNPIN, 2)
    assert g.attempt()["errno"] == 0
    assert g.pfns(area)[0] == 96
    assert g.host.blocks()[6:8, B_PINNED].tolist() == [16, 16]


@pytest.mark.parametrize("block", [2, 3])
def test_who_uses_it_unmaps_it_until_the_offline_has_returned(block: int) -> None:
    """In whichever of its blocks, and whichever part of it is pinned."""
    g = guest("NNNN|NNNN", arm="pin-in-place+unmap-first")
    assert boot(g, 1, 0) == 0
    assert boot(g, 1, 1) == 0
    area = touched(g, g.spawn())
    assert g.pin(1, area, 20, 1)["errno"] == 0
    g.offline(block)
    assert g.attempt()["errno"] == 0
    assert g.host.counters[Counter.PIN_SUSPENDED] == 1
    assert g.pfns(area)[0] == 96
    assert g.host.blocks()[6:8, B_PINNED].tolist() == [16, 16]


@pytest.mark.parametrize(
    ("profile", "failed"), [("linux-5.10", 1), ("linux-6.1", 512 * 8), ("linux-6.12", 512 * 8)]
)
def test_move_pages_counts_a_page_as_the_version_does(profile: str, failed: int) -> None:
    g = guest("NNNN|NNNN", profile=profile)
    assert boot(g, 1, 0) == 0
    assert boot(g, 1, 1) == 0
    area = touched(g, g.spawn())
    g.do(Op.HOLD, 9, area, 3, 1)
    assert g.do(Op.MIGRATE, area, 30, 1, 1)["errno"] == Errno.EBUSY
    assert g.host.counters[Counter.PGMIGRATE_FAIL] == failed
    g.do(Op.UNPIN, 9)
    assert g.do(Op.MIGRATE, area, 30, 1, 1)["errno"] == 0
    (moved,) = g.seen(Row.MIGRATION)
    assert (moved["reason"], moved["folio_order"]) == (MigrateReason.SYSCALL, ORDER_1G)
    one = profile == "linux-5.10"
    assert g.host.counters[Counter.PGMIGRATE_SUCCESS] == (1 if one else PAGES)
