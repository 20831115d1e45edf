"""Pages that several processes see, that leave their area while held, and zero pages."""

import pytest

from engine.enums import AreaKind, Cost, Counter, Errno, FaultPath, Op, Row
from tests.engine.bench import Guest, make_shape, make_table

ANON, THP, FILE, SHMEM = AreaKind.ANON, AreaKind.THP, AreaKind.FILE, AreaKind.SHMEM
SHAPE = make_shape("NNNNMMMM", order=2, chunks=2)
CHILD = 90


def guest(profile: str = "linux-6.1", **cells: int) -> Guest:
    return Guest(SHAPE, make_table("kernel+unbounded", profile, **cells), full_every=1)


def forked(g: Guest, area: int) -> int:
    """Fork an area into a child process; return the child's area."""
    g.do(Op.SPAWN, CHILD, 0, 0)
    child = g._slot()
    assert g.do(Op.FORK, child, area, CHILD)["errno"] == 0
    return child


def frames(g: Guest, area: int) -> list[int]:
    """Page of each index."""
    out = []
    for _, count, pfn, step in g.host.area(area).tolist():
        out += [pfn + (i if step > 0 else -i if step < 0 else 0) for i in range(count)]
    return out


def movable(g: Guest, pfns: list[int]) -> int:
    """How many pages lie in MOVABLE."""
    return sum(g.host.blocks()[pfn // SHAPE.block_pages, 0] == 2 for pfn in pfns)


def used(g: Guest) -> int:
    """Pages in use."""
    return int(g.host.blocks()[:, 3].sum())


# -- fork -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ANON, THP])
def test_fork_shares_and_the_first_write_copies(kind: AreaKind) -> None:
    g = guest()
    area = g.touched(g.spawn(), kind, 8)
    child = forked(g, area)
    assert frames(g, area) == frames(g, child)
    assert used(g) == 8
    before = frames(g, area)
    assert g.touch(area, 0, 3)["faulted_pages"] == 3
    assert frames(g, child) == before
    assert [a != b for a, b in zip(frames(g, area), before, strict=True)] == [True] * 3 + [
        False
    ] * 5
    assert used(g) == 11


def test_who_sees_pages_alone_writes_to_them_in_place() -> None:
    g = guest()
    area = g.touched(g.spawn(), ANON, 8)
    child = forked(g, area)
    before = frames(g, area)
    assert g.touch(area, 0, 3)["faulted_pages"] == 3
    assert g.touch(child, 0, 3)["faulted_pages"] == 0
    assert frames(g, child) == before
    g.do(Op.EXIT, CHILD)
    assert g.touch(area, 0, 8)["faulted_pages"] == 0
    assert used(g) == 8


def test_what_nobody_sees_is_freed_when_the_last_one_goes() -> None:
    g = guest()
    area = g.touched(g.spawn(), THP, 8)
    child = forked(g, area)
    g.free(area, 0, 8)
    assert used(g) == 8
    g.free(child, 0, 3)
    assert used(g) == 8  # three pages of a THP whose fourth page is mapped
    g.free(child, 3, 1)
    assert used(g) == 4
    g.do(Op.EXIT, CHILD)
    assert used(g) == 0


def test_an_offline_moves_shared_pages() -> None:
    g = guest()
    area = g.touched(g.spawn(), ANON, 8)
    child = forked(g, area)
    block = frames(g, area)[0] // SHAPE.block_pages
    g.offline(block)
    assert g.attempt()["errno"] == 0
    assert frames(g, area) == frames(g, child)


def test_grandchildren_see_the_pages_of_their_generation() -> None:
    g = guest()
    area = g.touched(g.spawn(), ANON, 6)
    first = forked(g, area)
    g.touch(area, 0, 2)
    g.do(Op.SPAWN, 91, 0, 0)
    second = g._slot()
    assert g.do(Op.FORK, second, area, 91)["errno"] == 0
    assert frames(g, second) == frames(g, area)
    assert frames(g, first)[2:] == frames(g, area)[2:]
    old, new = frames(g, first), frames(g, area)
    g.touch(area, 0, 6)
    assert (frames(g, first), frames(g, second)) == (old, new)
    g.do(Op.EXIT, 91)
    g.do(Op.EXIT, CHILD)
    assert used(g) == 6


@pytest.mark.parametrize("profile", ["linux-5.10", "linux-6.1"])
@pytest.mark.parametrize("kind", [ANON, THP])
def test_pinned_pages_are_copied_at_fork_and_stay_with_the_parent(
    kind: AreaKind, profile: str
) -> None:
    g = guest(profile)
    area = g.touched(g.spawn(), kind, 8)
    g.pin(50, area, 0, 4)
    before = frames(g, area)
    child = forked(g, area)
    assert frames(g, child)[4:] == before[4:]
    assert not set(frames(g, child)[:4]) & set(before)
    assert g.touch(area, 0, 4)["faulted_pages"] == 0
    assert frames(g, area) == before


@pytest.mark.parametrize(("profile", "left"), [("linux-5.10", 8), ("linux-6.1", 0)])
def test_a_pin_after_fork_copies_and_the_copy_is_placed_by_the_kernels_rule(
    profile: str, left: int
) -> None:
    g = guest(profile)
    area = g.touched(g.spawn(), ANON, 8)
    child = forked(g, area)
    before = frames(g, child)
    assert g.pin(50, area, 0, 8)["errno"] == 0
    assert frames(g, child) == before
    assert movable(g, frames(g, area)) == left
    faults = [r for r in g.seen(Row.PIN) if r["faulted_pages"]]
    assert {r["path"] for r in faults} == {FaultPath.COW}


def test_a_fork_that_cannot_copy_leaves_nothing() -> None:
    g = guest()
    area = g.touched(g.spawn(immune=True), ANON, 70)
    g.do(Op.HOLD, 50, area, 0, 70)
    g.do(Op.SPAWN, CHILD, 0, 0)
    child = g._slot()
    assert g.do(Op.FORK, child, area, CHILD)["errno"] == Errno.EINTR
    assert used(g) == 70
    assert child not in g.host.area_of


# -- held pages that leave ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ANON, THP, SHMEM])
def test_freed_pages_stay_until_the_pin_goes(kind: AreaKind) -> None:
    g = guest("linux-5.10")
    area = g.touched(g.spawn(), kind, 8)
    g.pin(50, area, 0, 8)
    before = frames(g, area)
    assert g.free(area, 0, 8)["errno"] == 0
    assert frames(g, area) == [-1] * 8
    assert used(g) == 8
    g.touch(area, 0, 8)
    assert not set(frames(g, area)) & set(before)
    g.pin(51, area, 0, 8)
    assert g.free(area, 0, 8)["errno"] == 0
    assert used(g) == 16
    g.do(Op.UNPIN, 50)
    assert used(g) == 8
    g.do(Op.UNPIN, 51)
    assert used(g) == 0


def test_an_orphan_keeps_its_block_and_names_its_pin() -> None:
    g = guest("linux-5.10")
    area = g.touched(g.spawn(), ANON, 4)
    block = frames(g, area)[0] // SHAPE.block_pages
    g.pin(50, area, 0, 4)
    assert g.do(Op.UNMAP, area)["errno"] == 0
    g.offline(block, bound_ns=50_000_000)
    rows = g.advance(60_000_000)
    assert rows[rows[:, 1] == Row.ATTEMPT][-1, 6] == Errno.EINTR
    assert {r["pin"] for r in g.seen(Row.BLOCKER)} == {50}
    g.do(Op.UNPIN, 50)
    g.offline(block)
    assert g.attempt()["errno"] == 0


def test_exit_lets_orphans_go() -> None:
    g = guest("linux-5.10")
    proc = g.spawn()
    area = g.touched(proc, ANON, 4)
    g.pin(50, area, 0, 4)
    g.do(Op.UNMAP, area)
    g.do(Op.EXIT, proc)
    assert used(g) == 0
    assert not g.host.area_of


def test_part_of_a_pinned_thp_can_be_freed() -> None:
    g = guest("linux-5.10")
    area = g.touched(g.spawn(), THP, 4)
    g.pin(50, area, 0, 2)
    g.pin(51, area, 1, 3)
    assert g.free(area, 1, 1)["errno"] == 0
    pins = {p[0] % 4: p[4] for p in g.host.pages().tolist()}
    assert pins == {0: 1, 1: 2, 2: 1, 3: 1}
    g.do(Op.UNPIN, 51)
    g.do(Op.UNPIN, 50)
    assert used(g) == 3


def test_a_folio_that_left_its_area_whole_is_unpinned_whole() -> None:
    g = guest("linux-5.10")
    g.do(Op.SPAWN, 80, 0, 0)
    area = g.touched(80, THP, 4)
    g.pin(50, area, 0, 4)
    g.free(area, 0, 4)
    g.touch(area, 0, 4)
    g.pin(51, area, 1, 1)
    g.free(area, 2, 1)  # the page of the later pin is an orphan of its own among absent ones
    g.do(Op.UNMAP, area)
    costs = g.costs[[Cost.UNPIN_2M, Cost.FREE_2M]]
    assert g.do(Op.UNPIN, 50)["latency_ns"] == costs.sum()
    assert used(g) == 1


def test_repinning_fresh_pages_drains_the_kernel_zones() -> None:
    g = guest("linux-6.1")
    area = g.touched(g.spawn(), ANON, 8)
    for pin in (50, 51, 52):
        assert g.pin(pin, area, 0, 8)["errno"] == 0
        assert movable(g, frames(g, area)) == 0
        g.free(area, 0, 8)
        g.touch(area, 0, 8)
    assert used(g) == 32
    assert movable(g, frames(g, area)) == 8


# -- mappings of files ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [FILE, SHMEM])
def test_who_maps_a_file_sees_its_pages_and_leaves_them(kind: AreaKind) -> None:
    g = guest()
    owner, user = g.spawn(), g.spawn()
    file = g.touched(owner, kind, 6)
    area = g._slot()
    assert g.do(Op.MAP_FILE, area, user, file)["errno"] == 0
    assert frames(g, area) == [-1] * 6
    assert g.do(Op.READ, area, 0, 4)["faulted_pages"] == 0
    assert frames(g, area) == [*frames(g, file)[:4], -1, -1]
    g.free(area, 0, 2)
    assert frames(g, area)[:2] == [-1, -1]
    assert used(g) == 6
    assert g.do(Op.UNMAP, file)["errno"] == Errno.EBUSY
    g.do(Op.EXIT, user)
    assert used(g) == 6
    assert g.do(Op.UNMAP, file)["errno"] == 0


def test_a_mapping_fills_its_file_and_a_file_outlives_its_owner() -> None:
    g = guest()
    owner, user = g.spawn(), g.spawn()
    file = g.map(owner, SHMEM, 6)
    area = g._slot()
    g.do(Op.MAP_FILE, area, user, file)
    assert g.touch(area, 0, 6)["faulted_pages"] == 6
    g.do(Op.EXIT, owner)
    assert movable(g, frames(g, area)) == 6
    g.do(Op.EXIT, user)
    assert used(g) == 0


def test_a_pin_through_a_mapping_holds_the_files_pages_until_the_process_exits() -> None:
    g = guest()
    owner, user = g.spawn(), g.spawn()
    file = g.touched(owner, SHMEM, 6)
    area = g._slot()
    g.do(Op.MAP_FILE, area, user, file)
    assert g.pin(50, area, 0, 6)["errno"] == 0
    assert movable(g, frames(g, file)) == 0
    assert [p[4] for p in g.host.pages().tolist()] == [1] * 6
    g.do(Op.EXIT, user)
    assert [p[4] for p in g.host.pages().tolist()] == [0] * 6


# -- zero pages -----------------------------------------------------------------------------------


def test_reading_an_untouched_thp_area_maps_the_huge_zero_page() -> None:
    g = guest()
    area = g.map(g.spawn(), THP, 10)
    assert g.do(Op.READ, area, 5, 1)["pages"] == 4
    assert g.do(Op.READ, area, 9, 1)["pages"] == 1
    assert frames(g, area) == [-1] * 4 + [-4] * 4 + [-1, -2]
    assert used(g) == 0


def test_a_flag_lost_on_the_huge_zero_page_path_leaves_one_page_of_each_in_movable() -> None:
    for flag, lost in ((1, 0), (0, 2)):
        g = guest("linux-6.1", FAULT_FLAG_HZP=flag, PIN_MIGRATES=0)
        area = g.map(g.spawn(), THP, 8)
        g.do(Op.READ, area, 0, 8)
        g.pin(50, area, 0, 8)
        assert movable(g, frames(g, area)) == lost
        paths = {r["path"]: r["faulted_pages"] for r in g.seen(Row.PIN) if r["faulted_pages"]}
        assert paths[FaultPath.ZERO] == 6
        assert g.host.counters[Counter.THP_FAULT_ALLOC] == 0


def test_kernels_that_replace_the_huge_zero_page_by_a_thp_lose_all_of_it() -> None:
    g = guest("linux-6.1", FAULT_FLAG_HZP=0, PIN_MIGRATES=0, HZP_WRITE_THP=1)
    area = g.map(g.spawn(), THP, 8)
    g.do(Op.READ, area, 0, 8)
    g.pin(50, area, 0, 8)
    assert movable(g, frames(g, area)) == 8
    assert g.host.counters[Counter.THP_FAULT_ALLOC] == 2


def test_a_hold_of_a_part_maps_all_of_the_huge_zero_page() -> None:
    g = guest()
    area = g.map(g.spawn(), THP, 8)
    assert g.do(Op.HOLD, 50, area, 1, 2)["errno"] == 0
    assert frames(g, area) == [-4] * 4 + [-1] * 4
    g.free(area, 1, 1)
    assert frames(g, area) == [-2, -1, -2, -2] + [-1] * 4


@pytest.mark.parametrize("kind", [ANON, THP])
def test_zero_pages_are_freed_one_by_one_and_with_others(kind: AreaKind) -> None:
    g = guest()
    area = g.map(g.spawn(), kind, 12)
    g.touch(area, 0, 2)
    g.do(Op.READ, area, 0, 12)
    g.free(area, 9, 1)
    assert frames(g, area)[8:] == [-2, -1, -2, -2]
    g.free(area, 1, 6)
    assert frames(g, area)[1:7] == [-1] * 6
    assert -1 not in frames(g, area)[7:9]
    g.free(area, 0, 12)
    assert frames(g, area) == [-1] * 12


def test_pins_of_an_area_that_is_gone_are_not_those_of_the_next_one_of_its_number() -> None:
    g = guest()
    proc = g.spawn()
    area = g.touched(proc, ANON, 8)
    g.pin(50, area, 0, 4)
    g.do(Op.UNMAP, area)
    g.do(Op.MAP, area, proc, ANON, 8, 0)
    g.touch(area, 0, 8)
    g.free(area, 1, 1)
    assert used(g) == 7 + 4
    g.do(Op.UNPIN, 50)
    assert used(g) == 7
    g.pin(51, area, 2, 2)
    g.free(area, 2, 1)
    assert used(g) == 7
    g.do(Op.UNPIN, 51)
    assert used(g) == 6
    g.free(area, 3, 1)
    assert used(g) == 5


def test_an_unknown_command_makes_both_engines_look_again_whether_an_offline_ends() -> None:
    g = guest("linux-5.10")
    area = g.touched(g.spawn(), ANON, 4)
    block = frames(g, area)[0] // SHAPE.block_pages
    g.pin(50, area, 0, 4)
    g.offline(block)
    g.advance(50_000_000)
    g.do(0)  # type: ignore[arg-type]
    g.do(Op.STATUS, 7)
    assert g.seen(Row.ATTEMPT)[-1]["endless"] == 0


def test_page_cache_of_an_area_whose_number_was_a_shared_ones_can_be_reclaimed() -> None:
    """Pages that a fork carries away count for nothing in what a later file has in each zone.

    The parent ends first: after the child they would come back to it.
    """
    g = guest()
    proc = g.spawn()
    area = g.touched(proc, ANON, 8)
    child = forked(g, area)
    g.do(Op.UNMAP, area)
    g.do(Op.UNMAP, child)
    assert g.do(Op.MAP, area, proc, FILE, 8, 0)["errno"] == 0
    g.touch(area, 0, 8)
    assert movable(g, frames(g, area)) == 8
    assert g.do(Op.RECLAIM, 2, 8)["pages"] == 8
    g.finish()
