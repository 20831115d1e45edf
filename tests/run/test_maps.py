"""DMA mappings that come and go: long-term pins with ids of their own, on both engines."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.enums import Errno, Pinner
from fleet.plan.tables import NO_PINNER, Holds, Plan
from fleet.run.messages import pin_id, pinned_by
from tests.run import small
from tests.run.harness import ManySquads, digests, read_rows, run_files

S = small.SECOND
BUFFER = 8


def mapped_plan(buffers: int) -> Plan:
    """Two workloads that live throughout and map a buffer every 10 s for 5 s."""
    work = [
        {"arrival_ns": 0, "lifetime_ns": 1000 * S, "pages": 64, "touched_pages": 64}
        for _ in range(2)
    ]
    rows = [
        (w, (10 * n + 3 * w) * S, n % buffers * BUFFER, BUFFER, 5 * S)
        for w in range(2)
        for n in range(20)
    ]
    plan = small.plan(1, work, held=rows)
    return replace(plan, holds=as_mappings(plan.holds))


def as_mappings(holds: Holds) -> Holds:
    """Make long-term pins of all of them."""
    pinner = np.full(len(holds), int(Pinner.VFIO), np.int64)
    number = np.array([1 + n for _ in range(2) for n in range(20)], np.int64)
    assert set(holds.pinner.tolist()) == {NO_PINNER}
    return replace(holds, pinner=pinner, number=number)


def run(folder: Path, buffers: int, arm: str) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each table."""
    scenario = small.scenario()
    files = run_files(folder, small.world(mapped_plan(buffers), scenario, arm), scenario)
    return {name: read_rows(folder, files, name) for name in ("pins", "workloads", "incidents")}


def total(rows: list[dict[str, Any]], column: str) -> int:
    return sum(row[column] for row in rows)


def test_a_mapping_is_a_pin_of_its_own(tmp_path: Path) -> None:
    pins = run(tmp_path, 2, "pin-in-place+unbounded")["pins"]
    assert {row["pin"] for row in pins} == {pin_id(w, 0, n) for w in range(2) for n in range(1, 21)}
    assert {row["workload"] for row in pins} == {0, 1}
    assert total(pins, "pinned_pages") == 40 * BUFFER
    assert {row["errno"] for row in pins} == {0}


def test_pages_move_at_the_first_mapping_of_a_buffer_only(tmp_path: Path) -> None:
    again = run(tmp_path / "again", 2, "linux-5.13+unbounded")["pins"]
    fresh = run(tmp_path / "fresh", 8, "linux-5.13+unbounded")["pins"]
    assert total(again, "migrated_pages") == 2 * 2 * BUFFER
    assert total(fresh, "migrated_pages") == 2 * 8 * BUFFER
    later = [row for row in again if row["time_ns"] >= 30 * S]
    assert later
    assert not any(row["migrated_pages"] for row in later)


def test_squads_and_engines_write_the_same_bytes(tmp_path: Path) -> None:
    scenario = small.scenario()
    world = small.world(mapped_plan(4), scenario, "linux-5.13+unbounded")
    expected = digests(run_files(tmp_path / "a", world, scenario))
    assert digests(run_files(tmp_path / "b", world, scenario, ManySquads([[0]]))) == expected
    fast = replace(world, engine="fast")
    assert digests(run_files(tmp_path / "c", fast, scenario)) == expected


def test_a_mapping_that_fails_does_not_end_its_workload(tmp_path: Path) -> None:
    """Under `deny` no page of ZONE_MOVABLE is pinned: each mapping fails, the workload lives."""
    rows = run(tmp_path, 2, "deny+unbounded")
    assert {row["errno"] for row in rows["pins"]} == {int(Errno.EBUSY)}
    assert {row["outcome"] for row in rows["workloads"]} == {"running"}
    assert {row["kind"] for row in rows["incidents"]} == {"pin_failed"}
    assert {row["workload"] for row in rows["incidents"]} == {0, 1}


def test_ids_of_pins_name_the_workload() -> None:
    idents = [pin_id(w, p, n) for w in (0, 7, 10**6) for p in (0, 1023) for n in (0, 1, 10**5)]
    assert len(set(idents)) == len(idents)
    assert pinned_by(idents).tolist() == [w for w in (0, 7, 10**6) for _ in range(6)]
