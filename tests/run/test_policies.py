"""Policies with actions of their own in a fleet: who hangs, and what the log says."""

from pathlib import Path
from typing import Any

import pytest

from engine.enums import Pinner
from tests.run import small
from tests.run.harness import read_rows, run_files
from tests.run.test_maps import mapped_plan

S = small.SECOND


def pinned_plan() -> Any:
    """One host whose only workload pins 200 pages that were there before, a probe and a removal."""
    work = [
        {"arrival_ns": 0, "pages": 200, "present_pages": 200, "pinned_pages": 200,
         "pinner": int(Pinner.VFIO), "flows": 3}
    ]  # fmt: skip
    asked = [
        {"time_ns": t * S, "first_block": 10, "probe": probe, "deadline_ns": (t + 30) * S}
        for t, probe in ((10, 1), (20, 0))
    ]
    return small.plan(1, work, asked)


def run(folder: Path, arm: str, plan: Any = None) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each table."""
    scenario = small.scenario(removals={"count": 1, "blocks": 1, "attempts": 1})
    plan = pinned_plan() if plan is None else plan
    files = run_files(folder, small.world(plan, scenario, arm), scenario)
    names = ("requests", "attempts", "pins", "workloads", "migrations", "incidents")
    return {name: read_rows(folder, files, name) for name in names}


def hung(rows: dict[str, list[dict[str, Any]]]) -> list[bool]:
    return [row["outcome"] == "stuck" for row in rows["requests"]]


def test_a_pin_in_place_hangs_and_a_pause_does_not_help(tmp_path: Path) -> None:
    plain = run(tmp_path / "a", "pin-in-place+unbounded")
    paced = run(tmp_path / "b", "pin-in-place+paced")
    assert hung(plain) == hung(paced) == [True, True]
    assert all(row["passes"] == 5 for row in paced["attempts"])
    assert all(row["passes"] > 20 for row in plain["attempts"])


def test_a_revocable_pin_hangs_nobody(tmp_path: Path) -> None:
    rows = run(tmp_path, "revocable+unbounded")
    assert hung(rows) == [False, False]
    assert {row["errno"] for row in rows["attempts"]} == {0}
    assert all(row["unavailable_ns"] > 0 for row in rows["attempts"] if row["migrated_pages"])
    assert [row["outcome"] for row in rows["workloads"]] == ["running"]


def test_unmapping_first_costs_the_time_of_the_flows_and_pins_again(tmp_path: Path) -> None:
    rows = run(tmp_path, "pin-in-place+unmap-first")
    assert hung(rows) == [False, False]
    for attempt in rows["attempts"]:
        if attempt["migrated_pages"]:
            assert attempt["unavailable_ns"] >= attempt["end_ns"] - attempt["start_ns"]
    (workload,) = {row["workload"] for row in rows["pins"]}
    assert len({row["pin"] for row in rows["pins"]}) == 1
    times = sorted({row["time_ns"] for row in rows["pins"]})
    assert workload == 0
    assert len(times) == 2  # when it was placed, and after the removal; the probe leaves no pin


@pytest.mark.parametrize(("arm", "returns"), [("linux-5.13", False), ("return-on-unpin", True)])
def test_pages_return_after_a_mapping_has_gone(tmp_path: Path, arm: str, returns: bool) -> None:
    rows = run(tmp_path, f"{arm}+unbounded", mapped_plan(2))
    back = [row for row in rows["migrations"] if row["reason"] == "unpin"]
    assert bool(back) == returns
    pins = {row["pin"] for row in rows["pins"]}
    assert all(row["cause"] in pins for row in back)
