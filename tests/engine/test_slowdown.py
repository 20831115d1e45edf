"""Whose pages are away while somebody works them: SLOWED rows, on both engines."""

from collections import Counter as Tally

import pytest

from engine.costs import CostModel, cost_model
from engine.enums import AreaKind, Cost, Errno, Op, Row, SlowReason
from engine.host import Host
from tests.engine.bench import Guest, make_shape, make_table, rows_of

NS = CostModel().vector()
TRIES = 10
HOTPLUG, PINNED = SlowReason.MEMORY_HOTPLUG, SlowReason.LONGTERM_PIN
SUSPENDED = SlowReason.SUSPENDED
NOBODY = -1


def guest(arm: str, nodes: str = "NNNNNMMMM", profile: str = "linux-5.10") -> Guest:
    shape = make_shape(nodes, order=2, chunks=2, cpus=(0,))
    return Guest(shape, make_table(arm, profile), NS, full_every=1)


def slowed(g: Guest) -> dict[tuple[int, int, int], tuple[int, int]]:
    """(reason, slot, area) -> (unmaps, ns) of the last step."""
    return {
        (r["reason"], r["slot"], r["area"]): (r["unmaps"], r["unavailable_ns"])
        for r in rows_of(g.rows, Row.SLOWED)
    }


def test_each_page_is_away_while_it_moves_and_its_area_bears_it() -> None:
    g = guest("pin-in-place+unbounded")
    first = g.touched(g.spawn(), AreaKind.ANON, 3)
    second = g.touched(g.spawn(), AreaKind.ANON, 2)
    huge = g.touched(g.spawn(), AreaKind.THP, 4)
    (block,) = {*g.blocks_of(first), *g.blocks_of(second), *g.blocks_of(huge)}
    g.offline(block)
    attempt = g.attempt()
    move = int(NS[Cost.MIGRATE_4K])
    assert slowed(g) == {
        (HOTPLUG, 7, first): (3, 3 * move),
        (HOTPLUG, 7, second): (2, 2 * move),
        (HOTPLUG, 7, huge): (1, int(NS[Cost.MIGRATE_2M])),
    }
    assert sum(ns for _, ns in slowed(g).values()) == attempt["unavailable_ns"]


def test_a_loop_takes_a_pinned_page_away_on_every_try_for_ever() -> None:
    g = guest("pin-in-place+unbounded")
    area = g.touched(g.spawn(), AreaKind.ANON, 3)
    g.pin(3, area, 1, 1)
    g.offline(g.blocks_of(area)[0])
    g.advance(10**9)
    g.do(Op.SIGNAL)
    attempt = g.attempt()
    fails, moves = TRIES * (attempt["passes"]), 2
    unmaps, ns = slowed(g)[HOTPLUG, 7, area]
    assert (attempt["errno"], unmaps) == (Errno.EINTR, fails + moves)
    assert ns == fails * NS[Cost.MIGRATE_FAIL_4K] + moves * NS[Cost.MIGRATE_4K]
    assert ns == attempt["unavailable_ns"] > 0
    assert attempt["passes"] > 500


def test_each_report_tells_what_has_come_since_the_last() -> None:
    g = guest("pin-in-place+unbounded")
    area, other = g.touched(g.spawn(), AreaKind.ANON, 3), g.touched(g.spawn(), AreaKind.ANON, 2)
    g.pin(3, area, 1, 1)
    g.offline(g.blocks_of(area)[0])
    total: Tally[int] = Tally()
    for pause in (1, 10**7, 10**8 + 1, 777):
        g.do(Op.STATUS, 7, after_ns=pause)
        for (_, _, whose), (_, ns) in slowed(g).items():
            total[whose] += ns
        assert total.total() == g.seen(Row.ATTEMPT)[0]["unavailable_ns"]
    assert total[area] > 100 * total[other] > 0


def test_what_a_loop_did_to_an_area_is_told_when_it_ends() -> None:
    """Its number may then belong to somebody else, who bears only what is done to him."""
    g = guest("pin-in-place+unbounded")
    area = g.touched(g.spawn(), AreaKind.ANON, 3)
    g.pin(3, area, 1, 1)
    proc = g.spawn()
    other = g.touched(proc, AreaKind.ANON, 4)
    g.do(Op.HOLD, 4, other, 0, 2)
    (block,) = g.blocks_of(area)
    assert g.blocks_of(other) == [block]
    g.offline(block)
    g.advance(10**8)
    g.do(Op.UNPIN, 4)
    g.do(Op.EXIT, proc)
    (((reason, attempt, whose), (unmaps, away_ns)),) = slowed(g).items()
    assert (reason, attempt, whose) == (HOTPLUG, 7, other)
    assert unmaps > TRIES * 100
    g.do(Op.SPAWN, proc, 0, 0)
    g.do(Op.MAP, other, proc, AreaKind.ANON, 4, 0)
    g.touch(other, 0, 4)
    g.do(Op.SIGNAL, after_ns=10**8)
    attempt_row = g.attempt()
    assert (HOTPLUG, 7, other) not in slowed(g)
    assert away_ns + slowed(g)[HOTPLUG, 7, area][1] == attempt_row["unavailable_ns"]


def test_a_pin_that_moves_its_pages_takes_them_away_itself() -> None:
    g = guest("migrate-on-pin+unbounded")
    area = g.touched(g.spawn(), AreaKind.ANON, 5)
    g.pin(3, area, 0, 5)
    assert slowed(g) == {(PINNED, 3, area): (5, 5 * int(NS[Cost.MIGRATE_4K]))}


def test_a_pin_that_cannot_move_a_page_tries_ten_times() -> None:
    g = guest("migrate-on-pin+unbounded", profile="linux-6.1")
    area = g.touched(g.spawn(), AreaKind.ANON, 5)
    g.do(Op.HOLD, 4, area, 0, 1)
    g.pin(3, area, 0, 5)
    (((reason, pin, whose), (unmaps, ns)),) = slowed(g).items()
    assert (reason, pin, whose) == (PINNED, 3, area)
    failed = unmaps - 4
    assert failed > 0
    assert failed % TRIES == 0
    assert ns == 4 * NS[Cost.MIGRATE_4K] + failed * NS[Cost.MIGRATE_FAIL_4K]


def test_pages_that_go_back_after_a_pin_are_away_for_it() -> None:
    g = guest("return-on-unpin+unbounded", profile="linux-6.1")
    area = g.touched(g.spawn(), AreaKind.ANON, 5)
    g.pin(3, area, 0, 5)
    g.do(Op.UNPIN, 3)
    assert slowed(g) == {(SlowReason.UNPIN, 3, area): (5, 5 * int(NS[Cost.MIGRATE_4K]))}


def test_move_pages_takes_them_away_for_the_area_it_was_asked_about() -> None:
    g = guest("pin-in-place+unbounded", "NNNNMM|NNNNMM")
    area = g.touched(g.spawn(), AreaKind.ANON, 4)
    g.do(Op.HOLD, 4, area, 0, 1)
    g.do(Op.MIGRATE, area, 0, 4, 1)
    fails = TRIES * int(NS[Cost.MIGRATE_FAIL_4K])
    moves = 3 * int(NS[Cost.MIGRATE_4K])
    assert slowed(g) == {(SlowReason.SYSCALL, area, area): (TRIES + 3, fails + moves)}


def test_compaction_takes_pages_of_others_away_at_the_pin() -> None:
    from tests.engine.commands import Draws
    from tests.engine.test_compaction import BUFFER, HOG, counted, fragmented

    bench = fragmented(Draws(1), 2, 0, profile="linux-6.1")
    assert counted(bench)[1] > 0, "compaction made huge pages"
    areas = {row["area"] for row in rows_of(bench.rows, Row.SLOWED)}
    assert areas == {HOG, BUFFER}
    assert {row["reason"] for row in rows_of(bench.rows, Row.SLOWED)} == {PINNED}


@pytest.mark.parametrize("pinned", [3, 4])
def test_a_suspended_mapping_is_away_from_the_begin_to_the_end(pinned: int) -> None:
    """Whether a part of a pageblock is pinned or all of it."""
    g = guest("pin-in-place+unmap-first")
    area = g.touched(g.spawn(), AreaKind.ANON, 5)
    g.pin(3, area, 0, pinned)
    g.offline(g.blocks_of(area)[0])
    g.do(Op.STATUS, 7, after_ns=NS[Cost.PIN_SUSPEND] // 2)
    assert slowed(g)[SUSPENDED, 7, area] == (1, NS[Cost.PIN_SUSPEND] // 2)
    attempt = g.attempt()
    assert attempt["errno"] == 0
    away = attempt["end_ns"] - attempt["start_ns"]
    assert slowed(g)[SUSPENDED, 7, area] == (1, away)  # all of it, not since the last report
    assert sum(ns for _, ns in slowed(g).values()) == attempt["unavailable_ns"]


def test_pages_that_several_see_are_nobodys() -> None:
    g = guest("pin-in-place+unbounded")
    parent, child = g.spawn(), g.spawn()
    area = g.touched(parent, AreaKind.ANON, 4)
    (block,) = g.blocks_of(area)
    assert g.do(Op.FORK, 77, area, child)["errno"] == 0
    g.offline(block)
    attempt = g.attempt()
    assert slowed(g) == {(HOTPLUG, 7, NOBODY): (4, 4 * int(NS[Cost.MIGRATE_4K]))}
    assert attempt["unavailable_ns"] == 4 * NS[Cost.MIGRATE_4K]


@pytest.mark.parametrize(("kernel", "ratio"), [("5.10", 1.05), ("6.1", 1.06)])
def test_a_sweep_over_pinned_pages_hardly_waits_for_the_loop(kernel: str, ratio: float) -> None:
    """The figures of docs/fidelity.md, in instructions: 8,192 pinned pages, written one by one.

    Idle a write takes 5 instructions (recorded). A page that is away is waited for half a try.
    """
    pages, seconds, idle = 8192, 10**11, 5.01
    costs = cost_model(f"lab-{kernel}").vector()
    shape = make_shape("NNMM", order=9, chunks=32, cpus=(0,))
    table = make_table("pin-in-place+unbounded", f"linux-{kernel}")
    g = Guest(shape, table, costs, engines=(Host,), checked=False)
    area = g.touched(g.spawn(), AreaKind.ANON, pages)
    g.pin(3, area, 0, pages)
    g.offline(g.blocks_of(area)[0])
    g.do(Op.STATUS, 7, after_ns=seconds)
    unmaps, away_ns = slowed(g)[HOTPLUG, 7, area]
    away = away_ns / seconds
    assert 0.99 < away < 1
    waits = away * (away_ns / unmaps) / 2  # per sweep: pages x share of each x half a try
    assert 1 + waits / (idle * pages) == pytest.approx(ratio, abs=0.005)
    assert ratio < 7, "at most about 7 times was recorded"


@pytest.mark.parametrize("pause_ns", [10**6, 10**8, 10**8 + 54_321])
def test_a_skipped_shuttle_is_away_as_if_each_pass_had_been_made(pause_ns: int) -> None:
    """Its period is more than one pass; the reference, which makes all of them, says the same."""
    from tests.engine.test_skipped_loops import shuttle_loop

    g = shuttle_loop()
    g.advance(pause_ns)
    g.do(Op.STATUS, 7)
    rows = rows_of(g.rows, Row.SLOWED)
    assert sum(r["unavailable_ns"] for r in rows) == g.seen(Row.ATTEMPT)[0]["unavailable_ns"] > 0
    g.do(Op.SIGNAL, after_ns=pause_ns)
    g.attempt()
