"""Aged hosts with a life of their own: the same bytes by every way to compute them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fleet.hosts.ageing import HISTORIES, Age
from fleet.run import spool
from fleet.run.coordinator import Crew
from fleet.run.crews import InlineCrew
from fleet.run.messages import NR_FIELDS
from fleet.run.spools import Spools
from fleet.run.squad import Squad
from fleet.run.world import World
from tests.run import small
from tests.run.harness import ManySquads, digests, read_rows, run_files

HOSTS, S = 16, small.SECOND
LIFE = Age("default", 900_000, 20_000, 25 * S, 60_000, 100 * S, 20 * S)
"""Steps and episodes so frequent that many fall into running offlines."""
CREWS: dict[str, Crew] = {
    "inline": InlineCrew(),
    "two": ManySquads([list(range(8)), list(range(8, HOSTS))]),
    "one host each": ManySquads([[i] for i in range(HOSTS)]),
}


def aged_world(
    arm: str = "pin-in-place+timeout-5s", nr_hosts: int = HOSTS, **changes: Any
) -> tuple[World, Any]:
    """A busy fleet with a past, on the fast engine: the reference takes 150 times as long."""
    scenario = small.scenario(samples="60s", **changes)
    plan = small.busy_plan(nr_hosts, 120 * nr_hosts // HOSTS)
    return replace(small.world(plan, scenario, arm), age=LIFE), scenario


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    world, scenario = aged_world()
    return digests(run_files(tmp_path_factory.mktemp("aged"), world, scenario))


@pytest.mark.parametrize("window", ["1s", "333333333ns"])
@pytest.mark.parametrize("crew", CREWS)
def test_background_does_not_see_squads_and_windows(
    crew: str, window: str, expected: dict[str, str], tmp_path: Path
) -> None:
    world, scenario = aged_world(executor={"window": window})
    assert digests(run_files(tmp_path, world, scenario, CREWS[crew])) == expected


@pytest.mark.parametrize(
    ("history", "nr_hosts"),
    [
        ("default", 4),
        *(pytest.param(h, HOSTS, marks=pytest.mark.slow) for h in HISTORIES if h != "nearly-full"),
        pytest.param("nearly-full", 1, marks=pytest.mark.slow),  # reclaims page by page: minutes
        pytest.param("nearly-full", HOSTS, marks=pytest.mark.endless),
    ],
)
def test_both_engines_write_the_same_bytes(history: str, nr_hosts: int, tmp_path: Path) -> None:
    world, scenario = aged_world("linux-5.13+unbounded", nr_hosts)
    world = replace(world, age=replace(LIFE, history=history))
    fast = run_files(tmp_path / "fast", world, scenario)
    tables = {file.path.split("/")[1] for file in fast}
    assert tables >= {"attempts", "migrations", "pins", "requests", "workloads"}
    reference = replace(world, engine="reference")
    assert digests(run_files(tmp_path / "reference", reference, scenario)) == digests(fast)


def test_hosts_age_ahead_before_the_first_window_only() -> None:
    world, _ = aged_world()
    squad = Squad(range(3), world)
    assert [squad.prepare() for _ in range(4)] == [True, True, True, False]
    other = Squad(range(3), world)
    assert other.prepare()
    other.advance(np.zeros((0, NR_FIELDS), np.int64), S)
    assert not other.prepare()
    machines = [*squad._machines.values(), *other._machines.values()]
    assert [machine._aged is not None for machine in machines] == [True] * 4 + [False] * 2
    assert not any(machine.up for machine in machines), "they boot when they are told something"
    fresh = Squad([0], replace(world, age=None))
    assert fresh.prepare()
    assert fresh._machines[0]._aged is None


def test_an_arm_from_the_spool_is_the_arm_aged_anew(tmp_path: Path) -> None:
    other, scenario = aged_world("linux-5.13+unbounded")
    other = replace(other, plain_table=other.table)
    anew = digests(run_files(tmp_path / "anew", other, scenario))
    with Spools(tmp_path / "run", [(0, 500_000)] * 2) as spools:
        folder = spools.open((0, 500_000))
        assert folder is not None
        first, _ = aged_world("pin-in-place+timeout-5s")
        first = replace(first, plain_table=other.table, spool=folder)
        run_files(tmp_path / "first", first, scenario)
        kept = sorted(folder.iterdir())
        assert len(kept) == HOSTS
        assert digests(run_files(tmp_path / "kept", replace(other, spool=folder), scenario)) == anew
        kept[0].write_bytes(kept[0].read_bytes()[:-9])  # damaged: aged again
        kept[1].unlink()
        assert digests(run_files(tmp_path / "lost", replace(other, spool=folder), scenario)) == anew
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_spool_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    world, _ = aged_world()
    world = replace(world, spool=tmp_path / "absent")
    engine, _ = world.aged_engine(0, LIFE)
    assert spool.load(tmp_path / "absent", 0, world.shapes[0]) is None
    assert engine.nr_commands > 0


def test_page_cache_fills_what_workloads_leave(tmp_path: Path) -> None:
    world, scenario = aged_world()
    files = run_files(tmp_path, world, scenario)
    rows = read_rows(tmp_path, files, "host_samples")
    late = [r for r in rows if r["time_ns"] >= 120 * S]
    managed = sum(r["managed_pages"] for r in late)
    assert sum(r["file_pages"] for r in late) > managed // 10
    assert np.mean([r["free_pages"] / r["managed_pages"] for r in late]) < 0.3


def test_at_time_zero_the_residents_are_there_and_the_cache_fills_the_rest(tmp_path: Path) -> None:
    world, scenario = aged_world()
    files = run_files(tmp_path, world, scenario)
    rows = [r for r in read_rows(tmp_path, files, "host_samples") if r["time_ns"] == 0]
    assert rows
    managed = sum(r["managed_pages"] for r in rows)
    assert sum(r["free_pages"] for r in rows) < 0.25 * managed
    assert sum(r["file_pages"] for r in rows) > 0.3 * managed
