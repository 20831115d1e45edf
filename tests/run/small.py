"""Small fleets for tests: hosts of 512 pages with 8-page pageblocks, plans built by hand."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from engine.costs import CostModel
from engine.draws import below
from engine.enums import AreaKind, Cost, Pinner, ZoneKind
from engine.shape import HostShape
from fleet.plan.tables import NO_PINNER, Holds, Hosts, Plan, Requests, Workloads
from fleet.run.world import World
from fleet.scenario.scenario import Scenario
from policies.arms import parse_arm

SECOND = 10**9
BLOCK_PAGES = 32
NR_BLOCKS = 16
LATENCY_NS = SECOND


def slow_costs() -> Any:
    """The default costs with passes of a second: the reference, which ``test_engines`` compares,
    runs endless loops literally."""
    costs = CostModel().vector()
    costs[Cost.PASS_FIXED] = SECOND
    return costs


def column(values: Sequence[int]) -> Any:
    """Return an int64 column."""
    return np.array(values, np.int64)


def shape(movable_millionths: int = 500_000, nodes: int = 1) -> HostShape:
    """A host of 512 pages; the upper part of each node is ZONE_MOVABLE."""
    per_node = NR_BLOCKS // nodes
    movable = per_node * movable_millionths // 1_000_000
    kinds = [ZoneKind.NORMAL] * (per_node - movable) + [ZoneKind.MOVABLE] * movable
    return HostShape(
        pageblock_order=3,
        block_pages=BLOCK_PAGES,
        block_node=tuple(n for n in range(nodes) for _ in range(per_node)),
        block_zone=tuple(int(k) for k in kinds) * nodes,
        block_reserved=(1,) + (0,) * (NR_BLOCKS - 1),
        cpu_node=tuple(n for n in range(nodes) for _ in range(2)),
        thp=False,
    )


def hosts(count: int) -> Hosts:
    """Equal hosts with a little memory of their own."""
    pages = NR_BLOCKS * BLOCK_PAGES
    same = {
        "class_id": 0, "memory_pages": pages, "nodes": 1, "cpus": 2, "block_pages": BLOCK_PAGES,
        "kernel_pages": 24, "cache_pages": 24, "base_pages": 12, "boot_1g": 0,
    }  # fmt: skip
    names = tuple(f"h{i}" for i in range(count))
    return Hosts(
        name=names, class_names=("small",), **{k: column([v] * count) for k, v in same.items()}
    )


def workloads(rows: Sequence[dict[str, int]]) -> Workloads:
    """Workloads in the order given; missing fields have quiet defaults."""
    quiet = {
        "kind": 0, "arrival_ns": 0, "age_ns": 0, "lifetime_ns": -1, "pages": 16, "vcpus": 1,
        "backing": int(AreaKind.ANON), "pinner": NO_PINNER, "pinned_pages": 0, "present_pages": 0,
        "touched_pages": 0, "flows": 1, "hinted": 0,
        "io_density": 0, "io_pages": 0, "io_hold_ns": 0, "io_before_pin": 0,
    }  # fmt: skip
    whole = [{"key": 1000 + i, **quiet, **row} for i, row in enumerate(rows)]
    names = ("key", *quiet)
    return Workloads(kind_names=("any",), **{n: column([row[n] for row in whole]) for n in names})


def holds(rows: Sequence[tuple[int, int, int, int, int]]) -> Holds:
    """Holds: workload, offset_ns, first_page, pages, duration_ns."""
    parts = list(zip(*rows, strict=True)) or [()] * 5
    short = [NO_PINNER] * len(rows), [0] * len(rows)
    return Holds(*(column(p) for p in (*parts, *short)))


def requests(rows: Sequence[dict[str, int]]) -> Requests:
    """Requests by time; missing fields: a removal of one block with a minute's deadline."""
    whole = []
    for i, row in enumerate(rows):
        full = {"key": 5000 + i, "probe": 0, "first_block": -1, "nr_blocks": 1, "host": 0, **row}
        full.setdefault("deadline_ns", full["time_ns"] + 60 * SECOND)
        whole.append(full)
    names = ("key", "probe", "time_ns", "deadline_ns", "host", "first_block", "nr_blocks")
    return Requests(**{n: column([row[n] for row in whole]) for n in names})


def plan(
    nr_hosts: int = 1,
    work: Sequence[dict[str, int]] = (),
    asked: Sequence[dict[str, int]] = (),
    held: Sequence[tuple[int, int, int, int, int]] = (),
    horizon_ns: int = 300 * SECOND,
) -> Plan:
    """A plan by hand."""
    parts = hosts(nr_hosts), workloads(work), holds(held), requests(asked)
    return Plan(7, 0, horizon_ns, *parts)


def scenario(**changes: Any) -> Scenario:
    """The scenario around a hand-made plan: only what the run reads is meant."""
    base: dict[str, Any] = {
        "name": "small", "horizon": "300s", "arms": ["pin-in-place+unbounded"],
        "hosts": {"classes": [{"name": "small", "count": 1, "memory": "8GiB"}]},
        "workloads": {
            "kinds": [{"name": "any"}],
            "generators": [{
                "name": "any", "arrivals": "1/h", "sizes": [{"memory": "1MiB"}],
                "lifetime": ["1s", "2s"], "mix": {"any": "100%"},
            }],
        },
        "removals": {"count": 1, "blocks": 1, "attempts": 2, "retry_delay": "5s"},
    }  # fmt: skip
    return Scenario.model_validate({**base, **changes})


def world(
    a_plan: Plan, a_scenario: Scenario, arm: str = "pin-in-place+unbounded", nodes: int = 1
) -> World:
    """The world of small hosts under an arm, on the fast engine."""
    parsed = parse_arm(arm, a_scenario.profile, a_scenario.sizing)
    return World(
        plan=a_plan,
        shapes=(shape(parsed.movable_millionths, nodes),) * len(a_plan.hosts),
        table=parsed.table(),
        costs=slow_costs(),
        latency_ns=a_scenario.reaction_latency_ns,
        boot_ns=tuple(a_scenario.watchdog.boot_ns),
        engine="fast",
    )


def busy_plan(nr_hosts: int = 16, arrivals: int = 120, seed: int = 3) -> Plan:
    """A fleet with residents, arrivals, pins, holds, removals and probes, all drawn by key."""
    horizon_ns = 300 * SECOND
    work = []
    for i in range(arrivals):

        def roll(bound: int, purpose: int, i: int = i) -> int:
            return below(bound, seed, 0, i, purpose)

        pages = 16 + 8 * roll(12, 1)
        row = {"pages": pages, "touched_pages": pages, "flows": 1 + roll(5, 2)}
        row["arrival_ns"] = 0 if i < arrivals // 3 else roll(280 * SECOND, 3)
        row["age_ns"] = roll(100 * SECOND, 4) if row["arrival_ns"] == 0 else 0
        row["lifetime_ns"] = -1 if roll(10, 5) == 0 else SECOND + roll(150 * SECOND, 6)
        row["backing"] = int(AreaKind.THP if roll(2, 7) else AreaKind.ANON)
        if roll(3, 8) == 0:
            row |= {"pinner": int(Pinner.VFIO), "pinned_pages": pages, "touched_pages": 0}
            row["present_pages"] = pages if roll(2, 9) else 0
        if roll(3, 14) == 0:
            row |= {"io_density": 10**12 // 40, "io_pages": 1 << roll(3, 15)}
            row |= {"io_hold_ns": SECOND // (1 + roll(50, 16)), "io_before_pin": roll(2, 17)}
        work.append(row)
    work.sort(key=lambda row: row["arrival_ns"])
    for i, row in enumerate(work):
        row["key"] = 1000 + i
    held = []
    for i, row in enumerate(work):
        if below(4, seed, 0, i, 10) == 0 and row["lifetime_ns"] > 20 * SECOND:
            held.append((i, 10 * SECOND, 0, 2, 3 * SECOND))
    asked = []
    for i in range(40):
        time_ns = 5 * SECOND + below(250 * SECOND, seed, 1, i, 11)
        host = below(nr_hosts, seed, 1, i, 12)
        probe = i % 2
        row = {"time_ns": time_ns, "host": host, "probe": probe}
        row["deadline_ns"] = time_ns + (10 if probe else 40) * SECOND
        if probe:
            row["first_block"] = 8 + below(8, seed, 1, i, 13)
        asked.append(row)
    asked.sort(key=lambda row: (row["time_ns"], row["host"]))
    return replace(plan(nr_hosts, work, asked, held, horizon_ns), seed=seed)
