"""Populations to draw samples from: thousands of replications of a small scenario, all arms.

Everything runs in this process and nothing is written but one array file per population.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.statistics.sums import totals_of, work_of_requests
from fleet.log.tables import NULL
from fleet.plan.build import build_plan
from fleet.run.campaign import Outcome
from fleet.run.columns import Batch
from fleet.run.coordinator import Coordinator
from fleet.run.crews import InlineCrew
from fleet.run.unit import build_world
from fleet.scenario.load import load_scenario
from fleet.scenario.scenario import Scenario
from policies.arms import parse_arm

SMALL = Path(__file__).with_name("small.yaml")
SEED = 1
"""Seed of the populations of docs/statistics.md; another one makes fresh populations."""
REPLICATIONS = 2_000
CHUNK = 250
"""Replications per file: what an interrupted run does not have to make again."""
TOTALS = (
    "offline_bytes", "pin_bytes", "pins", "pin_p99_ns", "pin_failures", "oom_kills", "workloads",
    "flow_us_lost", "headroom_pages",
)  # fmt: skip
"""What is kept of one replication besides its requests: columns of ``replication_totals``."""

_RARE = ("hosts.classes[0].memory=512MiB", "workloads.commitment=0.5%")
_FULL = (
    "workloads.generators[0].arrivals=20/m", "workloads.generators[0].lifetime=[30s, 90s]",
    "workloads.generators[0].sizes[0].memory=4MiB",
)  # fmt: skip
_CAMPAIGN = (
    "arms=[pin-in-place+unbounded, fault-aware+unbounded, linux-5.13+unbounded]", "horizon=1m",
    "reaction_latency=1s",
)  # fmt: skip
"""The third arm is there for what pins cost: the first two never migrate at pin."""


def _mix(pinning: int) -> str:
    half = pinning / 2
    return f"workloads.generators[0].mix={{vm: {100 - pinning}%, new: {half}%, restored: {half}%}}"


def _probes(count: int) -> str:
    return f"probes={{count: {count}, bound: 1s}}"


def _removals(count: int) -> str:
    return f"removals={{count: {count}, blocks: 1, deadline: 5s, attempts: 1}}"


@dataclass(frozen=True, slots=True)
class Setting:
    """One population: its name, kind of request, the rate aimed at, and what is set for it."""

    name: str
    kind: str
    rate: str
    sets: tuple[str, ...]

    def scenario(self, seed: int = SEED) -> Scenario:
        """Return the small scenario with the settings laid over it."""
        return load_scenario(str(SMALL), (*self.sets, f"seed={seed}"))


SETTINGS = (
    Setting("probes-0.5", "probe", "0.5 %", (*_RARE, _mix(20), _probes(250))),
    Setting("probes-5", "probe", "5 %", ("workloads.commitment=2%", _mix(70), _probes(60))),
    Setting("probes-50", "probe", "50 %",
            (*_FULL, "workloads.commitment=25%", _mix(100), _probes(30))),
    Setting("removals-0.5", "removal", "0.5 %",
            (*_RARE, *_CAMPAIGN, _mix(45), _removals(220))),
    Setting("removals-5", "removal", "5 %",
            (*_CAMPAIGN, "workloads.commitment=3%", _mix(100), _removals(60))),
    Setting("removals-50", "removal", "50 %",
            (*_CAMPAIGN, *_FULL, "workloads.commitment=42%", _mix(100), _removals(30))),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Population:
    """What all arms of all replications came to.

    Attributes
    ----------
    hung : bool[arm, replication, request]
    time_ns : int64[arm, replication, request]
        From issue to offline; the time to the deadline where it did not go offline.
    moved_bytes, unavailable_ns : int64[arm, replication, request]
        Moved by the attempts of a request, and page-time that they kept from being used.
    host : int64[replication, request]
    totals : int64[arm, replication, len(TOTALS)]
        ``NULL`` where there is nothing to tell (a quantile of no pins).
    seconds : float
        CPU time all replications took; not part of any figure that must repeat.
    """

    hung: NDArray[np.bool_]
    time_ns: NDArray[np.int64]
    moved_bytes: NDArray[np.int64]
    unavailable_ns: NDArray[np.int64]
    host: NDArray[np.int64]
    totals: NDArray[np.int64]
    seconds: float


AXES = {"hung": 1, "time_ns": 1, "moved_bytes": 1, "unavailable_ns": 1, "host": 0, "totals": 1}
"""Axis of the replications, by array of a population."""


def files(folder: Path, setting: Setting, replications: int, seed: int) -> list[Path]:
    """Return where the parts of a population are kept, in order."""
    return [folder / f"{setting.name}-{seed}-{first:05}.npz"
            for first in range(0, replications, CHUNK)]  # fmt: skip


def load(
    folder: Path, setting: Setting, replications: int, seed: int, tell: Callable[[str], None]
) -> Any:
    """Return a population from its files in ``folder``; what is missing is made first."""
    parts = []
    for first, path in zip(
        range(0, replications, CHUNK), files(folder, setting, replications, seed), strict=True
    ):
        if not path.exists():
            made = make(setting, range(first, first + CHUNK), seed)
            partly = path.with_suffix(".part.npz")
            np.savez_compressed(partly, **{n: getattr(made, n) for n in Population.__slots__})
            os.replace(partly, path)
            tell(f"{setting.name}: {first + CHUNK:,} of {replications:,} replications")
        with np.load(path) as kept:
            parts.append({name: kept[name] for name in Population.__slots__})
    joined: dict[str, Any] = {
        name: np.concatenate([part[name] for part in parts], axis=axis)
        for name, axis in AXES.items()
    }
    return Population(**joined, seconds=float(sum(part["seconds"] for part in parts)))


def make(setting: Setting, reps: Sequence[int], seed: int = SEED) -> Population:
    """Run all replications of a setting under both arms."""
    scenario, start = setting.scenario(seed), time.process_time()
    found = []
    for rep in reps:
        plan = build_plan(scenario, rep)
        hosts = plan.requests.host.copy()
        found.append((hosts, [_unit(scenario, plan, arm) for arm in scenario.arms]))
    arms = range(len(scenario.arms))
    by_arm: list[Any] = [np.array([[units[arm][part] for _, units in found] for arm in arms])
              for part in range(5)]  # fmt: skip
    seconds = time.process_time() - start
    hosts = np.array([host for host, _ in found])
    hung, times, moved, away, totals = by_arm
    return Population(hung, times, moved, away, hosts, totals, seconds)


def _unit(scenario: Scenario, plan: Any, text: str) -> tuple[Any, ...]:
    """Run one unit; return hung, time, bytes, page-time of each request, and the totals."""
    arm = parse_arm(text, scenario.profile, scenario.sizing)
    batches: list[Batch] = []
    coordinator = Coordinator(
        build_world(plan, scenario, arm), scenario, InlineCrew(), batches.extend
    )
    coordinator.run()
    requests = plan.requests
    hung = np.zeros(len(requests), np.bool_)
    times = requests.deadline_ns - requests.time_ns
    for index, removal in coordinator.campaign.of.items():
        hung[index] = removal.reset or removal.outcome == Outcome.STUCK
        if removal.outcome == Outcome.OFFLINED and removal.ended_ns != NULL:
            times[index] = removal.ended_ns - requests.time_ns[index]
    moved, away = work_of_requests(batches, len(requests))
    return hung, times, moved, away, totals_of(batches, coordinator)
