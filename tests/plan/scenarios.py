"""Scenarios for tests of the plan."""

from pathlib import Path
from typing import Any

from fleet.scenario.scenario import Scenario

HOUR_NS = 3_600 * 10**9


def scenario(**changes: Any) -> Scenario:
    """Return a generator scenario; keyword arguments replace top-level fields."""
    data: dict[str, Any] = {
        "name": "plan",
        "seed": 7,
        "horizon": "6h",
        "arms": ["linux-5.13+unbounded"],
        "sizing": "movable-50",
        "hosts": {
            "total": 100,
            "classes": [
                {"name": "small", "share": "75%", "memory": "32GiB"},
                {"name": "big", "share": "25%", "memory": "256GiB"},
            ],
        },
        "workloads": work(),
        "removals": {"count": 50, "bytes": "2GiB", "start": "1h"},
        "probes": {"count": 400},
    } | changes
    return Scenario.model_validate(data)


def work(**changes: Any) -> dict[str, Any]:
    """Return the workloads section with replacements."""
    return {
        "commitment": "40%",
        "kinds": [
            {"name": "vm", "touched": "50%"},
            {"name": "vfio", "pin": "vfio", "present": "25%"},
            {"name": "rdma", "backing": "4k", "pin": "rdma", "pinned": "10%", "present": "100%"},
            {"name": "dpdk", "backing": "hugetlb", "pin": "vfio", "present": "100%"},
        ],
        "generators": [generator("web"), generator("batch", arrivals="300/h")],
    } | changes


def work_with_io(**changes: Any) -> dict[str, Any]:
    """Return the workloads section with I/O on the first two kinds."""
    section = work(**changes)
    section["kinds"][0] |= {"io": {"rate": "2000/s", "memory": "64KiB", "hold": "200us"}}
    section["kinds"][1] |= {"io": {"rate": "50/s", "before_pin": True}}
    return section


def generator(name: str, **changes: Any) -> dict[str, Any]:
    """Return a generator with replacements."""
    return {
        "name": name,
        "arrivals": "600/h",
        "sizes": [{"memory": "1GiB", "weight": 3}, {"memory": "4099MiB", "vcpus": 2}],
        "lifetime": ["1m", "30m", "2h", "10h"],
        "mix": {"vm": "50%", "vfio": "20%", "rdma": "20%", "dpdk": "10%"},
    } | changes


def traced(folder: Path, rows: list[tuple[object, ...]], **changes: Any) -> Scenario:
    """Return a scenario on a trace of (arrival_s, lifetime_s, memory_mib[, kind]) rows."""
    lines = ["arrival_s,lifetime_s,memory_mib,kind"]
    lines += [",".join(str(v) for v in (*row, "")[:4]) for row in rows]
    (folder / "t.csv").write_text("\n".join(lines) + "\n")
    section = work(trace=str(folder / "t.csv"), mix={"vm": "60%", "vfio": "40%"})
    del section["generators"]
    return scenario(workloads=section | changes)
