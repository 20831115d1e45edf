"""Every outcome of a request, on scripted engines."""

from pathlib import Path
from typing import Any

import pytest

from engine.enums import Errno, OfflineReason, Op, Pinner
from fleet.log.writer import UnitWriter
from fleet.run.campaign import Outcome, Removal
from fleet.run.coordinator import Coordinator
from fleet.run.crews import InlineCrew
from fleet.run.tenants import Fate
from fleet.run.unit import run_unit
from tests.run import small
from tests.run.fake import NEVER, FakeWorld, Script
from tests.run.harness import coordinate, read_rows

S = small.SECOND
ASK = {"time_ns": 10 * S}


def play(
    asked: list[dict[str, int]],
    *scripts: Script,
    work: list[dict[str, int]] | None = None,
    hosts: int = 1,
    horizon_s: int = 300,
    **changes: Any,
) -> Coordinator:
    """Run requests on scripted hosts."""
    plan = small.plan(hosts, work or [], asked, horizon_ns=horizon_s * S)
    scenario = small.scenario(**changes)
    world = FakeWorld(small.world(plan, scenario), *scripts)
    return coordinate(plan, scenario, world)


def only(coordinator: Coordinator) -> Removal:
    assert len(coordinator.campaign.of) == 1
    return coordinator.campaign.of[0]


def test_offlined_when_the_attempt_returns_zero() -> None:
    removal = only(play([ASK], Script([(3 * S, 0, 0)])))
    assert removal.outcome == Outcome.OFFLINED
    assert (removal.started_ns, removal.ended_ns) == (11 * S, 14 * S)
    assert (removal.attempts, removal.errno, removal.reset) == (1, 0, False)


def test_refused_by_the_kernel_after_all_attempts() -> None:
    script = Script([(S, Errno.EBUSY, OfflineReason.UNMOVABLE)])
    removal = only(play([ASK], script))
    assert removal.outcome == Outcome.REFUSED
    assert (removal.attempts, removal.errno) == (2, Errno.EBUSY)
    starts = [t for t, op, _ in script.seen if op == Op.OFFLINE]
    assert starts == [11 * S, 11 * S + S + 5 * S + S], "end + retry delay + reaction latency"


def test_a_retry_may_succeed() -> None:
    script = Script([(S, Errno.EBUSY, OfflineReason.UNMOVABLE), (S, 0, 0)])
    removal = only(play([ASK], script))
    assert (removal.outcome, removal.attempts, removal.errno) == (Outcome.OFFLINED, 2, 0)


@pytest.mark.parametrize(
    ("errno", "reason"),
    [
        (Errno.EINTR, OfflineReason.TIMEOUT),
        (Errno.EBUSY, OfflineReason.MAX_ERRORS),
        (Errno.EBUSY, OfflineReason.PIN_SEEN),
    ],
)
def test_gave_up_by_the_policys_own_end(errno: int, reason: int) -> None:
    removal = only(play([ASK], Script([(S, errno, reason)])))
    assert (removal.outcome, removal.reason) == (Outcome.GAVE_UP, reason)


def test_stuck_is_signalled_at_the_deadline() -> None:
    script = Script([(NEVER, 0, 0)])
    removal = only(play([ASK | {"deadline_ns": 40 * S}], script))
    assert removal.outcome == Outcome.STUCK
    assert (removal.ended_ns, removal.endless, removal.reset) == (40 * S, True, False)
    assert [t for t, op, _ in script.seen if op == Op.SIGNAL] == [40 * S]


def test_returning_after_the_deadline_is_stuck_even_with_zero() -> None:
    script = Script([(29 * S + 500, 0, 0)])  # 11 s + 29 s = the deadline, and a little
    removal = only(play([ASK | {"deadline_ns": 40 * S}], script))
    assert removal.outcome == Outcome.STUCK


def test_returning_at_the_deadline_is_in_time() -> None:
    removal = only(play([ASK | {"deadline_ns": 40 * S}], Script([(29 * S - 1, 0, 0)])))
    assert removal.outcome == Outcome.OFFLINED


def test_the_run_may_end_first() -> None:
    removal = only(play([ASK | {"deadline_ns": 400 * S}], Script([(NEVER, 0, 0)])))
    assert (removal.outcome, removal.attempts) == (Outcome.CENSORED, 1)
    assert removal.reason == OfflineReason.RUNNING


def test_withdrawn_when_the_ledger_has_no_room() -> None:
    work = [{"pages": 440}]
    removal = only(play([ASK], Script(), work=work))
    assert (removal.outcome, removal.attempts) == (Outcome.WITHDRAWN, 0)


def test_withdrawn_when_the_deadline_is_too_close() -> None:
    removal = only(play([ASK | {"deadline_ns": 11 * S}], Script()))
    assert (removal.outcome, removal.ended_ns) == (Outcome.WITHDRAWN, 10 * S)


def test_requests_of_one_host_wait_in_line() -> None:
    script = Script([(20 * S, 0, 0), (S, 0, 0)])
    coordinator = play([ASK, ASK | {"time_ns": 12 * S}], script)
    first, second = coordinator.campaign.of[0], coordinator.campaign.of[1]
    assert (first.ended_ns, second.started_ns) == (31 * S, 32 * S)
    assert first.first_block != second.first_block, "the first range is gone by the ledger"
    assert {first.outcome, second.outcome} == {Outcome.OFFLINED}


def test_in_line_behind_a_hang_until_its_own_deadline() -> None:
    script = Script([(NEVER, 0, 0)])
    asked = [ASK | {"deadline_ns": 100 * S}, ASK | {"time_ns": 11 * S, "deadline_ns": 50 * S}]
    first, second = play(asked, script).campaign.of.values()
    assert (first.outcome, second.outcome) == (Outcome.STUCK, Outcome.WITHDRAWN)


REBOOT: dict[str, Any] = {
    "removals": {"count": 1, "blocks": 1, "attempts": 1, "before_reboot": True},
    "watchdog": {"mechanism": "reboot", "timeout": "30s", "boot": ["10s", "10s"]},
}


def test_the_watchdog_resets_a_hanging_reboot() -> None:
    script = Script([(NEVER, 0, 0)])
    asked = [ASK | {"deadline_ns": 200 * S}, ASK | {"time_ns": 20 * S, "deadline_ns": 200 * S}]
    coordinator = play(asked, script, **REBOOT)
    hung, waiting = coordinator.campaign.of.values()
    assert (hung.outcome, hung.reset, hung.endless) == (Outcome.HOST_DOWN, True, True)
    assert hung.ended_ns == 11 * S + 30 * S
    assert (waiting.outcome, waiting.reset) == (Outcome.HOST_DOWN, False)
    assert not [1 for _, op, _ in script.seen if op == Op.SIGNAL], "nobody signals under a watchdog"


def test_a_deadline_before_the_watchdog_makes_it_stuck_and_reset() -> None:
    coordinator = play([ASK | {"deadline_ns": 20 * S}], Script([(NEVER, 0, 0)]), **REBOOT)
    removal = only(coordinator)
    assert (removal.outcome, removal.reset, removal.ended_ns) == (Outcome.STUCK, True, 20 * S)


def test_a_removal_in_time_is_followed_by_the_reboot() -> None:
    work = [{"pages": 16, "flows": 3}]
    coordinator = play([ASK], Script([(2 * S, 0, 0)]), work=work, **REBOOT)
    assert only(coordinator).outcome == Outcome.OFFLINED
    tenant = coordinator.tenants.of[0]
    assert (tenant.fate, tenant.placement, tenant.host) == (Fate.RUNNING, 1, 0)
    assert tenant.lost_ns == 10 * S + S, "boot and reaction latency"
    assert tenant.start_ns == 13 * S + S + 10 * S + S


def test_workloads_of_a_reset_host_move() -> None:
    scripts = Script([(NEVER, 0, 0)]), Script()
    work = [{"pages": 100}, {"pages": 100}]
    coordinator = play([ASK], *scripts, work=work, hosts=2, placement="first-fit", **REBOOT)
    tenants = coordinator.tenants.of
    assert {t.host for t in tenants.values()} == {1}
    assert all(t.placement == 1 and t.lost_ns == S for t in tenants.values())
    assert coordinator.ledger.committed_pages == [0, 200]


def test_a_panic_takes_the_host_without_reset_flag() -> None:
    script = Script([(NEVER, 0, 0)], panic_ns=20 * S)
    work = [{"pages": 16}, {"arrival_ns": 25 * S, "pages": 16}]
    coordinator = play([ASK], script, work=work, watchdog={"boot": ["5s", "5s"]})
    removal = only(coordinator)
    assert (removal.outcome, removal.reset, removal.ended_ns) == (Outcome.HOST_DOWN, False, 26 * S)
    assert coordinator.tenants.of[1].placement == 1, "its start panicked the host"


def test_a_command_under_way_to_a_host_that_went_down_is_not_carried_out() -> None:
    script = Script([(S, 0, 0)], panic_ns=20 * S)
    work = [
        {"arrival_ns": 19 * S, "pages": 16},
        {"arrival_ns": 19 * S + S // 2, "pages": 16, "lifetime_ns": 30 * S},
    ]
    coordinator = play([], script, work=work, watchdog={"boot": ["1ms", "1ms"]})
    fates = [(t.fate, t.placement) for t in coordinator.tenants.of.values()]
    assert fates == [(Fate.RUNNING, 1), (Fate.ENDED, 1)]
    spawned = [t for t, op, _ in script.seen if op == Op.SPAWN and t > 0]
    assert len([t for t in spawned if t == 20 * S + S // 2]) == 0, "fenced off, though it was up"


def test_a_failed_pin_fails_the_start() -> None:
    work = [{"pages": 32, "pinned_pages": 32, "pinner": int(Pinner.VFIO)}]
    coordinator = play([], Script(pin_errno=Errno.ENOMEM), work=work)
    tenant = coordinator.tenants.of[0]
    assert (tenant.fate, tenant.pin_errno, tenant.ended_ns) == (Fate.PIN_FAILED, Errno.ENOMEM, 0)
    assert coordinator.ledger.committed_pages == [0]
    assert coordinator.tenants.unserved_ns()[0] == 300 * S


def test_an_oom_kill_restarts_elsewhere() -> None:
    scripts = Script(killed_at={50 * S: 3}), Script()
    work = [{"pages": 64, "lifetime_ns": 200 * S}, {"arrival_ns": 50 * S, "pages": 8}]
    coordinator = play([], *scripts, work=work, hosts=2, placement="first-fit")
    tenant = coordinator.tenants.of[0]
    assert (tenant.fate, tenant.host, tenant.placement) == (Fate.ENDED, 1, 1)
    assert (tenant.ended_ns, tenant.lost_ns) == (200 * S, S), "its planned end stays"


def test_without_another_host_an_oom_kill_is_final() -> None:
    script = Script(killed_at={50 * S: 3})
    work = [{"pages": 64, "lifetime_ns": 200 * S}, {"arrival_ns": 50 * S, "pages": 8}]
    coordinator = play([], script, work=work)
    assert coordinator.tenants.of[0].fate == Fate.OOM_KILLED
    assert coordinator.tenants.unserved_ns()[0] == 200 * S - 51 * S


def test_a_kill_before_the_controller_reacts_to_a_failed_pin_is_counted(tmp_path: Path) -> None:
    """The workload has failed and is not started again; its process was killed all the same."""
    work = [
        {"arrival_ns": 20 * S, "pages": 32, "pinned_pages": 32, "pinner": int(Pinner.VFIO)},
        {"arrival_ns": 20 * S + S // 2, "pages": 8},
    ]
    plan, scenario = small.plan(1, work), small.scenario()
    script = Script(pin_errno=Errno.ENOMEM, killed_at={21 * S + S // 2: 3})
    writer = UnitWriter(tmp_path, "arm", 0)
    world = FakeWorld(small.world(plan, scenario), script)
    tally = run_unit(world, scenario, InlineCrew(), writer)
    incidents = read_rows(tmp_path, writer.close(), "incidents")
    told = [(row["time_ns"], row["kind"], row["workload"]) for row in incidents]
    assert told == [(21 * S, "pin_failed", 0), (21 * S + S // 2, "oom_kill", 0)]
    assert (tally.pin_failures, tally.oom_kills) == (1, 1)


def test_probes_end_like_requests_and_touch_nothing() -> None:
    probe = {"probe": 1, "first_block": 9, "time_ns": 10 * S, "deadline_ns": 20 * S}
    cases = {
        Outcome.OFFLINED: (S, 0, 0),
        Outcome.REFUSED: (S, Errno.EBUSY, OfflineReason.UNMOVABLE),
        Outcome.GAVE_UP: (S, Errno.EINTR, OfflineReason.TIMEOUT),
        Outcome.STUCK: (NEVER, 0, 0),
    }
    for outcome, scripted in cases.items():
        coordinator = play([probe], Script([scripted]))
        removal = only(coordinator)
        assert (removal.outcome, removal.attempts) == (outcome, 1)
        assert coordinator.ledger.capacity_pages[0] == coordinator.ledger._whole[0]


def test_what_happens_after_a_probe_is_heard_in_its_own_window() -> None:
    """A removal returns 50 ms after a probe, and the next in line reacts to that in time.

    Probes are due when the next window begins and inside it, so nobody waits for reports.
    """
    probe = {"probe": 1, "first_block": 9, "time_ns": 14 * S + S // 20, "deadline_ns": 40 * S}
    asked = [ASK, ASK | {"time_ns": 12 * S}, probe, probe | {"time_ns": 15 * S, "host": 1}]
    asked += [probe | {"time_ns": 15 * S + S // 4}]
    script = Script([(3 * S + S // 10, 0, 0), (S, 0, 0)])
    first, second, *_ = play(asked, script, Script(), hosts=2).campaign.of.values()
    assert (first.ended_ns, second.started_ns) == (14 * S + S // 10, 15 * S + S // 10)


def test_a_probe_that_outlives_the_run_is_censored() -> None:
    probe = {"probe": 1, "first_block": 9, "time_ns": 290 * S, "deadline_ns": 310 * S}
    assert only(play([probe], Script([(NEVER, 0, 0)]))).outcome == Outcome.CENSORED


def test_a_probe_of_a_host_that_is_down() -> None:
    probe = {"probe": 1, "first_block": 9, "time_ns": 45 * S, "deadline_ns": 50 * S}
    coordinator = play([ASK | {"deadline_ns": 90 * S}, probe], Script([(NEVER, 0, 0)]), **REBOOT)
    assert coordinator.campaign.of[1].outcome == Outcome.HOST_DOWN


def test_a_request_to_a_host_that_is_down() -> None:
    asked = [ASK | {"deadline_ns": 90 * S}, ASK | {"time_ns": 45 * S, "deadline_ns": 90 * S}]
    coordinator = play(asked, Script([(NEVER, 0, 0)]), **REBOOT)
    assert coordinator.campaign.of[1].outcome == Outcome.HOST_DOWN
    assert coordinator.campaign.of[1].attempts == 0
