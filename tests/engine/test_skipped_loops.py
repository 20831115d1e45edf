"""Skipped loops equal literal ones.

The reference iterates every pass; the fast engine skips whole periods. After thousands of passes
rows, counters, times and the full state must be the same, whatever ends the loop.
"""

from collections.abc import Callable

import numpy as np
import pytest

from engine.costs import CostModel
from engine.enums import AreaKind, Counter, Errno, OfflineReason, Op, Row
from engine.host import Host
from engine.reference.offlining import Phase
from tests.engine.bench import Bench, Guest, make_shape, make_table, table_of

PASSES = 2_000
LONG_NS = 3_000_000_000


def guest(
    nodes: str, arm: str = "pin-in-place+unbounded", *, chunks: int = 1, **cells: int
) -> Guest:
    """A guest whose passes are cheap, so that a second holds thousands of them."""
    shape = make_shape(nodes, order=2, chunks=chunks, cpus=(0,))
    cheap = CostModel().vector() // 10
    return Guest(shape, make_table(arm, "linux-5.10", **cells), cheap, full_every=1)


def pinned_loop() -> Guest:
    """A pinned page in the block that is being removed."""
    g = guest("NNNNNMMMM")
    area = g.touched(g.spawn(), AreaKind.ANON, 6)
    g.pin(3, area, 2, 1)
    g.offline(g.blocks_of(area)[0])
    return g


def held_loop() -> Guest:
    """A short reference, and a pinned THP, in the block."""
    g = guest("NNNNNMMMM")
    proc = g.spawn()
    thp, base = g.touched(proc, AreaKind.THP, 4), g.touched(proc, AreaKind.ANON, 3)
    g.do(Op.HOLD, 4, base, 0, 2)
    g.pin(3, thp, 1, 1)
    g.offline(g.blocks_of(thp)[0])
    return g


def full_node_loop() -> Guest:
    """Two nodes, the other one full: no room, although the own node is empty."""
    g = guest("NNNNMMMM|NNMM")
    proc = g.spawn()
    area = g.touched(proc, AreaKind.ANON, 6)
    rest = int(g.host.zones()[3:, 1].sum() - g.host.zones()[3:, 2].sum())
    filler = g.map(proc, AreaKind.KERNEL, rest)
    g.touch(filler, 0, 1, node=1)
    other = g.map(proc, AreaKind.ANON, rest)
    for index in range(rest):
        zones = g.host.zones()
        if all(zones[z, 1] <= zones[z, 2] for z in (4, 5)):
            break
        g.touch(other, index, 1, node=1)
    g.offline(g.blocks_of(area)[0])
    return g


def sole_node_loop() -> Guest:
    """One node without room; nothing is pinned."""
    g = guest("NNNMMM")
    g.do(Op.MIN_FREE, 4)
    area = g.map(g.spawn(immune=True), AreaKind.ANON, 48)
    for index in range(48):
        zones = g.host.zones()
        if all(zones[z, 1] <= zones[z, 2] + 1 for z in (1, 2)):
            break
        g.touch(area, index, 1)
    g.offline(max(g.blocks_of(area)))
    return g


def shuttle_loop() -> Guest:
    """Free huge pages inside the block: every pass succeeds and frees nothing."""
    g = guest("NNNNNMMMM", chunks=2)
    g.offline(shuttling(g))
    return g


def shuttling(g: Guest) -> int:
    """A block with two hugetlb folios in use and a free one behind them: they take turns."""
    g.do(Op.MIN_FREE, 4)
    assert g.do(Op.POOL, 0, 3)["errno"] == 0
    proc = g.spawn()
    last = g.touched(proc, AreaKind.HUGETLB, 4)
    area = g.touched(proc, AreaKind.HUGETLB, 8)
    assert max(g.pfns(area)) < min(g.pfns(last))
    g.do(Op.UNMAP, last)
    (block,) = g.blocks_of(area)
    assert g.host.blocks()[block, 3] == 12
    return block


LOOPS = [pinned_loop, held_loop, full_node_loop, sole_node_loop, shuttle_loop]
Loop = Callable[[], Guest]


def passes(g: Guest) -> int:
    """Offline passes so far."""
    return int(g.host.counters[Counter.OFFLINE_PASSES])


def time_of_passes(loop: Loop, count: int) -> int:
    """Nanoseconds until a loop has made ``count`` passes (from a first run of it)."""
    g = loop()
    g.advance(2_000_000)
    before, start = passes(g), g.now_ns
    g.advance(3_000_000)
    return (g.now_ns - start) * count // max(passes(g) - before, 1) + start


@pytest.mark.parametrize("loop", LOOPS)
def test_thousands_of_passes_are_counted_as_if_made(loop: Loop) -> None:
    g = loop()
    g.advance(time_of_passes(loop, PASSES + 200))
    assert g.host.offline_running
    assert passes(g) >= PASSES
    g.do(Op.STATUS, 7)
    assert g.seen(Row.ATTEMPT)[0]["endless"] == 1
    assert g.seen(Row.BLOCKER)


def fast(g: Guest) -> Host:
    """The fast engine of a guest's pair."""
    return next(host for host in g.hosts if isinstance(host, Host))


@pytest.mark.parametrize("loop", LOOPS)
def test_it_says_until_when_it_repeats_itself(loop: Loop) -> None:
    """For ever; not before two passes, nor after a command. A shuttle's passes differ."""
    g = loop()
    assert fast(g).offline_repeats_until_ns == 0
    g.advance(time_of_passes(loop, 100))
    for_ever = 0 if loop is shuttle_loop else (1 << 63) - 1
    assert fast(g).offline_repeats_until_ns == for_ever
    g.do(Op.SAMPLE, 1)
    assert fast(g).offline_repeats_until_ns == 0
    g.advance(time_of_passes(loop, 100))
    assert fast(g).offline_repeats_until_ns == for_ever
    g.do(Op.SIGNAL)
    assert fast(g).offline_repeats_until_ns == 0


@pytest.mark.parametrize("loop", LOOPS)
def test_a_signal_after_thousands_of_passes_ends_it_at_the_same_scan(loop: Loop) -> None:
    g = loop()
    g.advance(time_of_passes(loop, PASSES))
    g.do(Op.SIGNAL, after_ns=777)
    attempt = g.attempt()
    assert (attempt["errno"], attempt["reason"]) == (Errno.EINTR, OfflineReason.SIGNAL)
    assert attempt["passes"] >= PASSES - 1


def next_try(g: Guest) -> int:
    """Run the offline step by step until it is about to try its folios; returns when it will."""
    while True:
        g.advance(g.host.offline.step_ns + 1 - g.now_ns)
        if g.host.offline.phase == Phase.MIGRATE:
            return int(g.host.offline.step_ns)


@pytest.mark.parametrize("loop", [full_node_loop, sole_node_loop])
def test_a_try_at_the_very_time_of_a_command_comes_after_it(loop: Loop) -> None:
    """Also one that costs nothing, because it finds no target: its pass ends when it begins.

    A random sequence found one more try in the engine that skips passes.
    """
    g = loop()
    _, first, second = next_try(g), next_try(g), next_try(g)  # the first one moves what it can
    g.advance(second + 500 * (second - first) - g.now_ns)
    failed = g.host.counters[Counter.PGMIGRATE_FAIL]
    g.do(Op.SAMPLE, 1)
    assert g.host.counters[Counter.PGMIGRATE_FAIL] == failed
    g.advance(1)
    assert g.host.counters[Counter.PGMIGRATE_FAIL] == failed + 1


@pytest.mark.parametrize("loop", [pinned_loop, held_loop])
@pytest.mark.parametrize("offset", [0, 1, 137, 4_000, 20_400, 88_888, 130_000])
def test_a_release_between_two_tries_lets_it_finish_at_the_same_time(
    loop: Loop, offset: int
) -> None:
    g = loop()
    g.advance(time_of_passes(loop, PASSES // 10) + offset)
    for pin in (3, 4):
        g.do(Op.UNPIN, pin)
    attempt = g.attempt()
    assert attempt["errno"] == 0
    assert not g.host.offline_running


def test_a_release_after_two_thousand_passes_in_mid_pass() -> None:
    g = pinned_loop()
    g.advance(time_of_passes(pinned_loop, PASSES) + 12_345)
    assert g.do(Op.UNPIN, 3)["errno"] == 0
    assert g.attempt()["errno"] == 0


@pytest.mark.parametrize("loop", LOOPS)
def test_commands_that_change_nothing_do_not_change_the_loop(loop: Loop) -> None:
    g, some = loop(), time_of_passes(loop, 40)
    for _ in range(6):
        g.advance(some + 1_234)
        g.do(Op.SAMPLE, 1)
        g.do(Op.STATUS, 7)
        g.do(Op.SPAWN, 90 + len(g.log), 0, 0)
    assert g.host.offline_running


@pytest.mark.parametrize("bound_ns", [50_000_000, 50_000_001, 51_234_567])
@pytest.mark.parametrize("name", ["pinned", "shuttle"])
def test_a_bound_that_expires_inside_a_skipped_stretch(name: str, bound_ns: int) -> None:
    g = guest("NNNNNMMMM", chunks=2)
    if name == "pinned":
        area = g.touched(g.spawn(), AreaKind.ANON, 6)
        g.pin(3, area, 2, 1)
        block = g.blocks_of(area)[0]
    else:
        block = shuttling(g)
    g.offline(block, bound_ns=bound_ns)
    attempt = g.attempt(LONG_NS)
    assert (attempt["errno"], attempt["reason"]) == (Errno.EINTR, OfflineReason.SIGNAL)
    assert attempt["end_ns"] >= bound_ns


@pytest.mark.parametrize(
    ("rule", "errors", "errno", "reason"),
    [
        ("timeout", 0, Errno.EINTR, OfflineReason.TIMEOUT),
        ("bounded-4.13", 10**6, Errno.EAGAIN, OfflineReason.TIMEOUT),
        ("bounded-4.13", 600, Errno.EBUSY, OfflineReason.MAX_ERRORS),
    ],
)
def test_the_policys_own_end_comes_at_the_same_pass(
    rule: str, errors: int, errno: Errno, reason: OfflineReason
) -> None:
    cells = {"OFFLINE_BOUND_NS": 200_000_000, "OFFLINE_MAX_ERRORS": errors}
    g = guest("NNNNNMMMM", f"pin-in-place+{rule}", **cells)
    area = g.touched(g.spawn(), AreaKind.ANON, 6)
    g.pin(3, area, 2, 1)
    g.offline(g.blocks_of(area)[0])
    attempt = g.attempt(LONG_NS)
    assert (attempt["errno"], attempt["reason"]) == (errno, reason)
    assert attempt["passes"] > 500


def test_where_the_windows_are_cut_does_not_matter() -> None:
    whole, cut = pinned_loop(), pinned_loop()
    whole.advance(100_000_000)
    for _ in range(37):
        cut.advance(1_700_003)
    cut.advance(100_000_000 - 37 * 1_700_003)
    assert np.array_equal(whole.host.counters, cut.host.counters)
    assert np.array_equal(whole.hosts[1].counters, cut.hosts[1].counters)


def test_a_loop_of_a_year_costs_no_more_than_its_first_passes() -> None:
    """Of the fast engine alone: nobody can wait for the passes themselves."""
    g = Guest(
        make_shape("NNNNNMMMM", order=2, chunks=1),
        make_table("pin-in-place+unbounded", "linux-5.10"),
        engines=(Host,), checked=False, full_every=1,
    )  # fmt: skip
    area = g.touched(g.spawn(), AreaKind.ANON, 6)
    g.pin(3, area, 2, 1)
    g.offline(g.blocks_of(area)[0])
    g.do(Op.STATUS, 7, after_ns=365 * 86_400_000_000_000)
    (attempt,) = g.seen(Row.ATTEMPT)
    assert attempt["passes"] > 1_000_000_000


def test_what_comes_between_a_scan_and_its_tries_is_in_the_next_scan() -> None:
    """A try that changes nothing says how the next ones of its pass will go, not of the next pass.

    Here a hugetlb folio is touched in the block after a scan: its tries meet a held page only, and
    the next pass finds no room for the folio and ends with its first try.
    """
    cells = {
        "PIN_MIGRATES": 1, "ISOLATED_UNPINNABLE": 1, "MIGRATE_TRIES": 10, "VFIO_CALL_PAGES": 512,
        "PCP_RULE": 2, "MOVABLE_MARK_CAPPED": 1, "THP_FAIL_PAGES": 512, "HUGETLB_PIN_MIGRATES": 1,
        "PCP_THP": 1, "GATHER_IN_ORDER": 1, "IOU_FOLIO_PINS": 1, "COMPACT_ISOLATED_SHIFT": 4,
        "SPLIT_COUNTS_FAIL": 1, "PIN_RETRIES": 1, "FILE_PIN": 2, "HUGETLB_COUNTS_PAGES": 1,
        "HUGETLB_POOL_BATCHED": 1, "RECLAIM_BY_ZONE": 1, "PCP_BATCH_SCALE": 5,
    }  # fmt: skip
    shape = make_shape("NNNMMM|MM", order=4, chunks=1, cpus=(0, 1))
    bench = Bench(shape, table_of(cells), full_every=1)
    bench.replay([
        [0, Op.SPAWN], [0, Op.SPAWN, 2], [0, Op.MAP, 2, 2, AreaKind.THP, 106],
        [0, Op.TOUCH, 2, 0, 106, -1],
        [0, Op.OFFLINE, 11, 7, 1, 5_000_000],
        [18_000_000, Op.MIGRATE, 2, 5, 6, 1],
        [29_262_000, Op.MAP, 1, 2, AreaKind.THP, 32, 2],
        [29_512_000, Op.NR_HUGEPAGES, -1, 3, -1],
        [32_512_001, Op.OFFLINE, 26, 6, 1],
        [41_883_001, Op.FORK, 4, 1],
        [41_943_001, Op.TOUCH, 1, 5, 23, -1, -1],
        [45_193_002, Op.OFFLINE, 42, 5, 1],
        [49_243_003, Op.OFFLINE, 48, 0, 1, 5_000_000],
        [49_243_004, Op.MAP, 1, 0, AreaKind.SHMEM, 6],
        [49_303_004, Op.PIN, 3, 1, 4, 1, 3],
        [49_303_004, Op.PIN, 0, 4, 25, 1, 1, 1],
        [53_163_006, Op.OFFLINE, 56, 4, 2],
        [62_413_006, Op.MAP, 5, 0, AreaKind.HUGETLB, 16],
        [62_413_006, Op.TOUCH, 5, 0, 16, -1, -1],
        [69_238_265, Op.PIN, 1, 5, 10, 3, 1],
    ])  # fmt: skip
    assert bench.host.offline_running
