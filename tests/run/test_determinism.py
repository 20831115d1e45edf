"""Same plan, same bytes: whatever the squads, the windows, and what comes later."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fleet.plan.tables import Plan
from fleet.run.coordinator import Crew
from fleet.run.crews import InlineCrew
from tests.run import small
from tests.run.harness import ManySquads, digests, read_rows, run_files

S = small.SECOND
HOSTS = 16
ARM = "pin-in-place+timeout-5s"


def world_of(plan: Plan, arm: str = ARM, **changes: Any) -> tuple[Any, Any]:
    scenario = small.scenario(samples="60s", **changes)
    return small.world(plan, scenario, arm), scenario


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    world, scenario = world_of(small.busy_plan())
    return digests(run_files(tmp_path_factory.mktemp("inline"), world, scenario))


CREWS: dict[str, Crew] = {
    "inline": InlineCrew(),
    "two": ManySquads([list(range(8)), list(range(8, HOSTS))]),
    "interleaved": ManySquads([list(range(i, HOSTS, 3)) for i in range(3)]),
    "one host each": ManySquads([[i] for i in range(HOSTS)]),
    "some work between": ManySquads([list(range(i, HOSTS, 3)) for i in range(3)], leisure=1),
    "all work at once": ManySquads([list(range(8)), list(range(8, HOSTS))], leisure=1000),
}


@pytest.mark.parametrize("window", ["1s", "500ms", "333333333ns"])
@pytest.mark.parametrize("crew", CREWS)
def test_squads_and_windows_never_change_a_byte(
    crew: str, window: str, expected: dict[str, str], tmp_path: Path
) -> None:
    world, scenario = world_of(small.busy_plan(), executor={"window": window})
    assert digests(run_files(tmp_path, world, scenario, CREWS[crew])) == expected
    if isinstance(found := CREWS[crew], ManySquads) and found.leisure:
        assert found.left > 10, "there was work that could wait"


def test_what_is_compared_is_not_empty(expected: dict[str, str], tmp_path: Path) -> None:
    tables = {path.split("/")[1] for path in expected if path != "content"}
    assert tables >= {
        "attempts", "blockers", "commands", "host_samples", "hosts", "migrations", "pins",
        "requests", "workloads",
    }  # fmt: skip
    world, scenario = world_of(replace(small.busy_plan(), seed=4))
    assert digests(run_files(tmp_path, world, scenario))["content"] != expected["content"]


@pytest.mark.parametrize("crew", CREWS)
def test_rows_are_fetched_in_pieces_without_a_trace(
    crew: str, expected: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.run.coordinator.FLUSH_ROWS", 1)
    world, scenario = world_of(small.busy_plan())
    assert digests(run_files(tmp_path, world, scenario, CREWS[crew])) == expected


def resets(crew: Crew, folder: Path, window: str) -> dict[str, str]:
    """A fleet whose hosts hang, are reset and come back within a window or two."""
    scenario = small.scenario(
        executor={"window": window},
        removals={"count": 1, "blocks": 1, "attempts": 1, "before_reboot": True},
        watchdog={"mechanism": "reboot", "timeout": "5s", "boot": ["100ms", "3s"]},
    )
    world = small.world(small.busy_plan(), scenario, "pin-in-place+unbounded")
    files = run_files(folder, world, scenario, crew)
    incidents = read_rows(folder, files, "incidents")
    assert {row["kind"] for row in incidents} >= {"reset"}
    return digests(files)


def test_resets_and_reboots_never_change_a_byte(tmp_path: Path) -> None:
    first = resets(InlineCrew(), tmp_path / "a", "1s")
    assert resets(CREWS["interleaved"], tmp_path / "b", "1s") == first
    assert resets(CREWS["two"], tmp_path / "c", "333333333ns") == first


TIMES = {
    "pins": "time_ns", "migrations": "time_ns", "incidents": "time_ns", "host_samples": "time_ns",
    "slowdowns": "time_ns", "attempts": "end_ns", "requests": "ended_ns",
    "workloads": "ended_ns", "commands": "time_ns",
}  # fmt: skip


def until(folder: Path, plan: Plan, end_ns: int) -> dict[str, list[dict[str, Any]]]:
    """Rows stamped up to ``end_ns``, per table."""
    world, scenario = world_of(plan)
    files = run_files(folder, world, scenario)
    found = {}
    for table, column in TIMES.items():
        rows = read_rows(folder, files, table)
        found[table] = [r for r in rows if r[column] is not None and r[column] <= end_ns]
    assert all(found[table] for table in ("pins", "migrations", "commands", "requests"))
    return found


def without_ids(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != name} for row in rows]


def test_what_comes_later_leaves_earlier_rows_alone(tmp_path: Path) -> None:
    plan, cut_ns = small.busy_plan(), 150 * S
    work = plan.workloads
    later = work.arrival_ns > cut_ns
    assert later.any()
    bigger = np.where(later, work.pages + 8, work.pages)
    touched = np.where(later & (work.touched_pages > 0), bigger, work.touched_pages)
    changed = replace(plan, workloads=replace(work, pages=bigger, touched_pages=touched))
    before = until(tmp_path / "a", plan, cut_ns)
    assert until(tmp_path / "b", changed, cut_ns) == before
    requests = plan.requests
    kept = requests.time_ns <= cut_ns
    names = ("key", "probe", "time_ns", "deadline_ns", "host", "first_block", "nr_blocks")
    fewer = {name: getattr(requests, name)[kept] for name in names}
    assert until(tmp_path / "c", replace(plan, requests=type(requests)(**fewer)), cut_ns) == before
    added = replace(plan, workloads=_with_one_more(work))
    after = until(tmp_path / "d", added, cut_ns)
    assert after == before


def _with_one_more(work: Any) -> Any:
    names = [n for n in type(work).__dataclass_fields__ if n != "kind_names"]
    row = {"key": 99_999, "arrival_ns": 290 * S, "lifetime_ns": -1, "pages": 64, "flows": 1}
    columns = {
        n: np.append(getattr(work, n), np.int64(row.get(n, getattr(work, n)[-1]))) for n in names
    }
    return type(work)(kind_names=work.kind_names, **columns)


def test_moving_a_workload_changes_none_of_its_draws(tmp_path: Path) -> None:
    """First fit against spread: hosts differ, everything drawn about workloads stays."""
    plan = small.busy_plan()
    drawn: dict[str, dict[int, Any]] = {}
    hosts: dict[str, dict[int, int]] = {}
    for rule in ("spread", "first-fit"):
        world, scenario = world_of(plan, placement=rule)
        files = run_files(tmp_path / rule, world, scenario)
        rows = read_rows(tmp_path / rule, files, "workloads")
        hosts[rule] = {r["workload"]: r["host"] for r in rows}
        drawn[rule] = {
            r["workload"]: (r["placed_ns"], r["memory_pages"], r["backing"], r["vfio"], r["flows"])
            for r in rows
        }
        cpus = _cpus(world)
        drawn[rule] = {w: (*facts, cpus[w]) for w, facts in drawn[rule].items()}
    assert hosts["spread"] != hosts["first-fit"]
    assert drawn["spread"] == drawn["first-fit"]


def _cpus(world: Any) -> dict[int, int]:
    """CPU of every workload, wherever it is placed."""
    from fleet.run.guests import Guests

    found: dict[int, int] = {}
    for workload in range(len(world.plan.workloads)):
        for host in (0, HOSTS - 1):
            guests = Guests(world, world.shapes[host], 3)
            guests.place(0, workload, 0)
            cpu = guests.batch[0][3]
            assert found.setdefault(workload, cpu) == cpu
    return found
