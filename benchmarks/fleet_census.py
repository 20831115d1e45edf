"""One unit of the real fleet in this process: how its hosts end up, and what the event log costs.

``python -m benchmarks.fleet_census ARM LOG SET...`` (LOG: ``on``, or ``off``: rows are made but
not written) prints one line of JSON. It is a process of its own so that its memory is its own.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from engine.host import compile_ahead
from fleet.log.writer import Rows, UnitWriter
from fleet.plan.build import build_plan
from fleet.run import unit
from fleet.run.coordinator import Progress
from fleet.run.crews import InlineCrew
from fleet.run.notes import Notes
from fleet.run.runner import arms_of
from fleet.scenario.load import load_scenario


class Cost:
    """CPU time of what is done with rows: kept, collected, made columns, written."""

    def __init__(self) -> None:
        self.cpu_ns = 0

    def of(self, what: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose time is added."""

        def timed(*args: Any, **named: Any) -> Any:
            start_ns = time.process_time_ns()
            result = what(*args, **named)
            self.cpu_ns += time.process_time_ns() - start_ns
            return result

        return timed


class Deaf(UnitWriter):
    """A writer that drops rows."""

    def append(self, table: str, shard: int, rows: Rows) -> None:
        """See ``UnitWriter``."""


def listen(cost: Cost) -> None:
    """Measure from now on what is done with rows in this process."""
    for owner, names in (
        (Notes, ("keep", "log", "collect")),
        (unit, ("named",)),
        (UnitWriter, ("append", "close")),
    ):
        for name in names:
            setattr(owner, name, cost.of(getattr(owner, name)))


def main(arm_name: str, log: str, sets: list[str]) -> dict[str, Any]:
    """Run the unit and return what was found."""
    compile_ahead()
    cost = Cost()
    if log == "on":
        listen(cost)
    scenario = load_scenario("real-fleet", sets, {"--arms": ("arms", [arm_name])})
    start_ns = time.process_time_ns()
    plan = build_plan(scenario)
    planned_ns = time.process_time_ns()
    (arm,) = arms_of(scenario)
    first_ns: list[int] = []

    def tell(progress: Progress) -> None:
        if progress.now_ns and not first_ns:
            first_ns.append(time.process_time_ns())

    with tempfile.TemporaryDirectory() as folder:
        kind, crew = UnitWriter if log == "on" else Deaf, InlineCrew()
        writer = kind(Path(folder), "arm", 0)
        unit.run_unit(unit.build_world(plan, scenario, arm), scenario, crew, writer, tell)
        files = writer.close()
    end_ns = time.process_time_ns()
    return {
        "plan_s": (planned_ns - start_ns) / 1e9,
        "first_window_s": (first_ns[0] - planned_ns) / 1e9,
        "rest_s": (end_ns - first_ns[0]) / 1e9,
        "log_s": cost.cpu_ns / 1e9,
        "rows": sum(file.rows for file in files),
        **census(crew),
    }


def census(crew: InlineCrew) -> dict[str, float]:
    """Add up the hosts that are up at the end."""
    engines = [machine._engine for machine in crew._squad._machines.values()]
    hosts: list[Any] = [engine for engine in engines if engine is not None]
    held = [host.fragments() for host in hosts]
    split, runs = (np.array([f[name] for f in held]) for name in ("split", "runs"))
    zones = [host.zones() for host in hosts]
    managed = np.array([zone[:, 0].sum() for zone in zones])
    free = sum(int(zone[:, [1, 6]].sum()) for zone in zones)
    blocks = [host.blocks() for host in hosts]
    pageblocks = managed // hosts[0].shape.pageblock_pages
    return {
        "pageblocks": int(pageblocks.sum()),
        "pageblock_bytes": held[0]["pageblock_bytes"],
        "split_bytes": held[0]["pageblock_bytes"]
        + held[0]["run_bytes"] * int(runs.sum()) / max(int(split.sum()), 1),
        "split_share_median": float(np.median(split / pageblocks)),
        "split_share": float(split.sum() / pageblocks.sum()),
        "used_share": 1 - free / int(managed.sum()),
        "pinned_share": sum(int(b[:, 4].sum()) for b in blocks) / int(managed.sum()),
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], sys.argv[3:])))
