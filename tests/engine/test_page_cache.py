"""Page cache under pins: shmem, files on a disk, locked and dirty caches."""

import pytest

from engine.enums import AreaKind, Counter, Errno, FaultPath, Op, Pinner, Row, ZoneKind
from tests.engine.bench import Guest, make_shape, make_table

FILE, SHMEM = AreaKind.FILE, AreaKind.SHMEM
SHAPE = make_shape("NNNNMMMM", order=2, chunks=2)
MOVABLE = [4, 5, 6, 7]


def guest(profile: str = "linux-6.1", **cells: int) -> Guest:
    return Guest(SHAPE, make_table("kernel+unbounded", profile, **cells), full_every=1)


def movable_pages(g: Guest, area: int) -> int:
    """Pages of an area in blocks of MOVABLE."""
    pages = [p for p in g.host.pages().tolist() if p[2] == area]
    return sum(1 for p in pages if p[0] // SHAPE.block_pages in MOVABLE)


@pytest.mark.parametrize("kind", [FILE, SHMEM])
def test_a_read_fills_page_cache_and_leaves_no_zero_page(kind: AreaKind) -> None:
    g = guest()
    area = g.map(g.spawn(), kind, 6)
    assert g.do(Op.READ, area, 0, 6)["faulted_pages"] == 6
    assert movable_pages(g, area) == 6


@pytest.mark.parametrize("kind", [FILE, SHMEM])
def test_a_hold_of_untouched_page_cache_holds_pages(kind: AreaKind) -> None:
    g = guest()
    area = g.map(g.spawn(), kind, 2)
    assert g.do(Op.HOLD, 5, area, 0, 2)["faulted_pages"] == 2
    assert [p[5] for p in g.host.pages().tolist()] == [1, 1]


def test_a_shmem_pin_stays_in_movable_on_5_10_and_leaves_it_on_6_1() -> None:
    left = []
    for profile in ("linux-5.10", "linux-6.1"):
        g = guest(profile)
        area = g.touched(g.spawn(), SHMEM, 8)
        assert g.pin(3, area, 0, 8)["errno"] == 0
        left.append(movable_pages(g, area))
    assert left == [8, 0]


def test_the_shmem_flag_decides_where_a_pin_faults_pages_in() -> None:
    for flag, there in ((0, 8), (1, 0)):
        g = guest("linux-5.10", FAULT_FLAG_SHMEM=flag)
        area = g.map(g.spawn(), SHMEM, 8)
        g.pin(3, area, 0, 8)
        assert movable_pages(g, area) == there
        assert {r["path"] for r in g.seen(Row.PIN)} == {FaultPath.SHMEM}


def test_io_uring_refuses_a_file_with_its_pages_moved_already() -> None:
    g = guest()
    area = g.touched(g.spawn(), FILE, 8)
    before = g.host.counters.copy()
    assert g.pin(3, area, 0, 8)["errno"] == Errno.EOPNOTSUPP
    grown = g.host.counters - before
    assert movable_pages(g, area) == 0
    assert grown[Counter.NR_FOLL_PIN_ACQUIRED] == grown[Counter.NR_FOLL_PIN_RELEASED] == 16
    assert g.do(Op.UNPIN, 3)["errno"] == Errno.EINVAL


def test_other_pinners_take_a_file_until_all_are_refused() -> None:
    g = guest()
    area = g.touched(g.spawn(), FILE, 8)
    assert g.pin(3, area, 0, 8, Pinner.VFIO)["errno"] == 0
    g = guest(FILE_PIN=2)
    area = g.touched(g.spawn(), FILE, 8)
    for pinner in (Pinner.IO_URING, Pinner.VFIO, Pinner.RDMA):
        assert g.pin(3, area, 0, 8, pinner)["errno"] == Errno.EFAULT
    assert movable_pages(g, area) == 8
    assert not g.host.counters[Counter.NR_FOLL_PIN_ACQUIRED]


def test_mlock_faults_in_and_offline_moves_what_is_locked() -> None:
    g = guest()
    area = g.map(g.spawn(), AreaKind.ANON, 8)
    assert g.do(Op.MLOCK, area, 1)["faulted_pages"] == 8
    block = g.host.pages()[0, 0] // SHAPE.block_pages
    g.offline(int(block))
    assert g.attempt()["errno"] == 0
    assert movable_pages(g, area) == 8


def test_reclaim_passes_over_what_is_locked_until_it_is_unlocked() -> None:
    g = guest()
    proc = g.spawn()
    locked, free = g.touched(proc, FILE, 8), g.touched(proc, FILE, 8)
    g.do(Op.MLOCK, locked, 1)
    zone = int(ZoneKind.MOVABLE)
    assert g.do(Op.RECLAIM, zone, 100)["pages"] == 8
    assert not any(p[2] == free for p in g.host.pages().tolist())
    g.do(Op.MLOCK, locked, 0)
    assert g.do(Op.RECLAIM, zone, 100)["pages"] == 8


def test_dirty_cache_goes_last_and_costs_a_write_each() -> None:
    g = guest()
    proc = g.spawn()
    dirty = g.touched(proc, FILE, 8)
    g.touched(proc, FILE, 8)
    assert g.do(Op.DIRTY, dirty, 1)["errno"] == 0
    zone = int(ZoneKind.MOVABLE)
    quick = g.do(Op.RECLAIM, zone, 8)["latency_ns"]
    assert {p[2] for p in g.host.pages().tolist()} == {dirty}
    assert g.do(Op.RECLAIM, zone, 8)["latency_ns"] > 5 * quick
    assert g.do(Op.DIRTY, g.map(proc, SHMEM, 1), 1)["errno"] == Errno.EINVAL


def test_a_killed_process_gives_its_shmem_back() -> None:
    g = guest()
    shmem = g.touched(g.spawn(), SHMEM, 70)
    area = g.map(g.spawn(), AreaKind.ANON, 60)
    assert g.touch(area, 0, 60)["errno"] == 0
    assert g.host.counters[Counter.OOM_KILL] == 1
    assert shmem not in g.host.area_of
    assert {p[2] for p in g.host.pages().tolist()} == {area}
