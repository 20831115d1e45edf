"""Laws that every run keeps: nothing appears, nothing is lost."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fleet.run.coordinator import Coordinator
from fleet.run.crews import InlineCrew
from fleet.run.tenants import Fate
from fleet.run.unit import run_unit
from tests.run import small
from tests.run.harness import coordinate, read_rows, run_files

S = small.SECOND
ARMS = ("pin-in-place+unbounded", "linux-5.13+timeout-10s", "kernel+pin-aware@no-movable-zone")
REBOOT = {
    "removals": {"count": 1, "blocks": 1, "attempts": 2, "before_reboot": True},
    "watchdog": {"mechanism": "reboot", "timeout": "5s", "boot": ["100ms", "3s"]},
}


def fleet(arm: str, **changes: object) -> Coordinator:
    plan, scenario = small.busy_plan(), small.scenario(**changes)
    return coordinate(plan, scenario, small.world(plan, scenario, arm))


@pytest.mark.parametrize("changes", [{}, REBOOT], ids=["campaign", "reboots"])
@pytest.mark.parametrize("arm", ARMS)
def test_every_request_and_workload_has_exactly_one_end(
    arm: str, changes: dict[str, object]
) -> None:
    coordinator = fleet(arm, **changes)
    plan, tenants = coordinator.plan, coordinator.tenants
    removals = coordinator.campaign.of
    assert sorted(removals) == list(range(len(plan.requests)))
    assert all(removal.outcome is not None for removal in removals.values())
    placed, rejected = set(tenants.of), tenants.rejected
    assert placed | rejected == set(range(len(plan.workloads)))
    assert not placed & rejected
    fates = Counter(tenant.fate for tenant in tenants.of.values())
    assert sum(fates.values()) == len(placed)
    for tenant in tenants.of.values():
        assert (tenant.fate == Fate.RUNNING) == (tenant.ended_ns < 0)


@pytest.mark.parametrize("changes", [{}, REBOOT], ids=["campaign", "reboots"])
def test_the_ledger_adds_up(changes: dict[str, object]) -> None:
    coordinator = fleet("pin-in-place+unbounded", **changes)
    plan, ledger, tenants = coordinator.plan, coordinator.ledger, coordinator.tenants
    for host in range(len(plan.hosts)):
        on = set(tenants.on(host))
        pages = sum(int(plan.workloads.pages[w]) for w in on)
        assert ledger.committed_pages[host] == pages
        running = {w for w, t in tenants.of.items() if t.host == host and t.fate == Fate.RUNNING}
        waiting = {w for w in on if tenants.of[w].fate != Fate.RUNNING}
        assert on == running | waiting
        gone = len(ledger._removed.get(host, ())) * small.BLOCK_PAGES
        assert ledger.capacity_pages[host] == ledger._whole[host] - gone


def test_pages_of_the_log_add_up(tmp_path: Path) -> None:
    plan, scenario = small.busy_plan(), small.scenario(samples="60s")
    world = small.world(plan, scenario, "linux-5.13+unbounded")
    files = run_files(tmp_path, world, scenario)
    attempts = {r["attempt"]: r for r in read_rows(tmp_path, files, "attempts")}
    moved: Counter[int] = Counter()
    for row in read_rows(tmp_path, files, "migrations"):
        if row["reason"] == "memory_hotplug":
            moved[row["cause"]] += row["pages"]
    assert sum(moved.values()) > 0
    assert {a: r["migrated_pages"] for a, r in attempts.items() if r["migrated_pages"]} == moved
    slowed = read_rows(tmp_path, files, "slowdowns")
    assert away_by_attempt(slowed) == {
        a: r["unavailable_ns"] for a, r in attempts.items() if r["unavailable_ns"]
    }
    assert all(row["workload"] is not None for row in slowed if row["reason"] == "longterm_pin")
    pinned: Counter[int] = Counter()
    for row in read_rows(tmp_path, files, "pins"):
        pinned[row["workload"]] += row["pinned_pages"]
    work = plan.workloads
    for row in read_rows(tmp_path, files, "workloads"):
        if row["placed_ns"] is not None and row["pin_errno"] == 0 and row["restarts"] == 0:
            assert pinned[row["workload"]] == int(work.pinned_pages[row["workload"]])
    per_host = small.NR_BLOCKS * small.BLOCK_PAGES
    for row in read_rows(tmp_path, files, "host_samples"):
        assert 0 <= row["free_pages"] <= row["managed_pages"] <= per_host
        assert row["pinned_pages"] <= row["anon_pages"]


def away_by_attempt(slowed: list[dict[str, Any]]) -> Counter[int]:
    """What slowdowns of attempts come to."""
    away: Counter[int] = Counter()
    for row in slowed:
        if row["reason"] in ("memory_hotplug", "suspended"):
            away[row["cause"]] += row["unavailable_ns"]
    return away


@pytest.mark.parametrize(
    ("arm", "changes"),
    [
        ("pin-in-place+unbounded", REBOOT),
        ("pin-in-place+unmap-first", REBOOT),
        ("linux-5.13+timeout", {}),
        ("pin-in-place+unbounded", {}),
    ],
)
def test_slowdowns_of_attempts_come_to_what_the_attempts_say(
    arm: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    """Also of attempts that never returned because their host was reset."""
    plan, scenario = small.busy_plan(), small.scenario(**changes)
    files = run_files(tmp_path, small.world(plan, scenario, arm), scenario)
    attempts = read_rows(tmp_path, files, "attempts")
    away = away_by_attempt(read_rows(tmp_path, files, "slowdowns"))
    assert away == {r["attempt"]: r["unavailable_ns"] for r in attempts if r["unavailable_ns"]}
    assert away
    if changes and "unmap" not in arm:
        assert any(r["end_ns"] is None and away[r["attempt"]] for r in attempts)


def test_request_counts_agree_with_attempts(tmp_path: Path) -> None:
    plan, scenario = small.busy_plan(), small.scenario(**REBOOT)
    world = small.world(plan, scenario, "pin-in-place+unbounded")
    files = run_files(tmp_path, world, scenario)
    made = Counter(row["request"] for row in read_rows(tmp_path, files, "attempts"))
    rows = read_rows(tmp_path, files, "requests")
    assert {r["request"]: r["attempts"] for r in rows if r["attempts"]} == made
    held = {row["attempt"] for row in read_rows(tmp_path, files, "attempts")}
    assert {row["attempt"] for row in read_rows(tmp_path, files, "blockers")} <= held


def test_the_tally_says_what_the_log_says(tmp_path: Path) -> None:
    from fleet.log.writer import UnitWriter

    plan, scenario = small.busy_plan(), small.scenario()
    world = small.world(plan, scenario, "linux-5.13+unbounded")
    writer = UnitWriter(tmp_path, "arm", 0)
    tally = run_unit(world, scenario, InlineCrew(), writer)
    files = writer.close()
    requests = read_rows(tmp_path, files, "requests")
    assert tally.requests == len(requests)
    assert tally.outcomes == Counter(row["outcome"] for row in requests)
    moves = read_rows(tmp_path, files, "migrations")
    assert tally.pin_pages == sum(r["pages"] for r in moves if r["reason"] == "longterm_pin")
    assert tally.offline_pages == sum(r["pages"] for r in moves if r["reason"] == "memory_hotplug")
