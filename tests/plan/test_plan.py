"""The plan is a pure function, and what comes later or beside changes nothing."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.enums import AreaKind, Pinner
from fleet.errors import InputError
from fleet.plan import build
from fleet.plan.backing import Backing
from fleet.plan.build import build_plan
from fleet.plan.tables import NO_PINNER, RUNS_ON, Plan, Requests, Workloads
from tests.plan.scenarios import HOUR_NS, generator, scenario, traced, work


def columns(table: Any) -> dict[str, Any]:
    return {f.name: getattr(table, f.name) for f in dataclasses.fields(table)}


def same(one: Any, other: Any) -> bool:
    """Whether two tables hold equal columns."""
    left, right = columns(one), columns(other)
    return all(
        np.array_equal(left[k], right[k])
        if isinstance(left[k], np.ndarray)
        else left[k] == right[k]
        for k in left
    )


def same_plan(one: Plan, other: Plan) -> bool:
    tables = ("hosts", "workloads", "holds", "requests")
    return all(same(getattr(one, t), getattr(other, t)) for t in tables)


def until(table: Workloads | Requests, column: str, time_ns: int) -> list[tuple[Any, ...]]:
    """Return the rows up to a time."""
    rows = int(np.searchsorted(getattr(table, column), time_ns, side="right"))
    arrays = [c[:rows].tolist() for c in columns(table).values() if isinstance(c, np.ndarray)]
    return list(zip(*arrays, strict=True))


def by_key(plan: Plan) -> dict[int, tuple[int, ...]]:
    """Return every workload's own columns by its key."""
    names = [n for n, c in columns(plan.workloads).items() if isinstance(c, np.ndarray)]
    arrays = [getattr(plan.workloads, n).tolist() for n in names]
    return {row[0]: row for row in zip(*arrays, strict=True)}


def test_same_scenario_same_plan() -> None:
    assert same_plan(build_plan(scenario()), build_plan(scenario()))
    assert not same_plan(build_plan(scenario()), build_plan(scenario(seed=8)))
    assert not same_plan(build_plan(scenario()), build_plan(scenario(), replication=1))


def test_arms_latency_and_placement_change_nothing() -> None:
    other = scenario(
        arms=["deny+timeout", "kernel+unbounded@no-movable-zone"], reaction_latency="7s",
        placement="first-fit", profile="linux-5.10",
    )  # fmt: skip
    assert same_plan(build_plan(scenario()), build_plan(other))


def test_a_longer_horizon_keeps_every_workload_before() -> None:
    short, long = build_plan(scenario()), build_plan(scenario(horizon="12h"))
    assert len(long.workloads) > len(short.workloads)
    assert until(long.workloads, "arrival_ns", 6 * HOUR_NS - 1) == until(
        short.workloads, "arrival_ns", 6 * HOUR_NS
    )


def test_another_stream_changes_no_draw_of_the_others() -> None:
    streams = [generator("web"), generator("batch", arrivals="300/h")]
    without = build_plan(scenario(workloads=work(commitment="0%", generators=streams)))
    streams.insert(0, generator("cron"))
    with_it = build_plan(scenario(workloads=work(commitment="0%", generators=streams)))
    more = by_key(with_it)
    assert len(more) > len(without.workloads)
    assert all(more[key] == row for key, row in by_key(without).items())


def test_more_hosts_change_no_draw_of_a_workload() -> None:
    hosts = scenario().model_dump(by_alias=True, mode="json", exclude_none=True)["hosts"]
    few, many = build_plan(scenario()), build_plan(scenario(hosts=hosts | {"total": 164}))
    more = by_key(many)
    assert len(more) > len(few.workloads)
    assert all(more[key] == row for key, row in by_key(few).items())
    assert many.hosts.name[:100] == few.hosts.name


def test_a_change_of_the_trace_after_t_keeps_all_rows_up_to_t(tmp_path: Path) -> None:
    rows: list[tuple[object, ...]] = [(i * 10, 3600, 1024) for i in range(1000)]
    before = build_plan(traced(tmp_path, rows, commitment="0%"))
    rows[600:] = [(i * 10 + 5, 60, 2048, "dpdk") for i in range(600, 700)]
    after = build_plan(traced(tmp_path, rows, commitment="0%"))
    assert len(after.workloads) == 700
    at = 5_999 * 10**9
    assert until(after.workloads, "arrival_ns", at) == until(before.workloads, "arrival_ns", at)
    assert same(after.requests, before.requests)


def test_rows_are_ordered_and_consistent() -> None:
    plan = build_plan(scenario(workloads=work(holds={"share": "30%"})))
    w, h, r = plan.workloads, plan.holds, plan.requests
    assert np.all(np.diff(w.arrival_ns) >= 0)
    assert np.all(np.diff(r.time_ns) >= 0)
    assert len(np.unique(w.key)) == len(w)
    assert np.all(w.key >= 0)
    assert np.all(w.present_pages <= w.pinned_pages)
    assert np.all(w.pinned_pages + w.touched_pages <= w.pages)
    assert np.all((w.pinner == NO_PINNER) == (w.pinned_pages == 0))
    huge = w.backing == AreaKind.HUGETLB
    for column in (w.pages, w.pinned_pages, w.present_pages):
        assert np.all(column[huge] % 512 == 0)
    assert np.all(h.first_page + h.pages <= w.pages[h.workload])
    assert np.all(h.offset_ns < w.lifetime_ns[h.workload])
    assert np.all(w.arrival_ns[h.workload] + h.offset_ns < plan.horizon_ns)
    assert np.all(np.diff(h.workload) >= 0)
    assert len(h) > 100
    removals = r.probe == 0
    assert removals.sum() == 50
    assert np.all(r.time_ns[removals] >= HOUR_NS)
    assert np.all(r.first_block[removals] == -1)
    assert np.all(r.nr_blocks == np.where(removals, 2 * 2**18 // plan.hosts.block_pages[r.host], 1))


def test_kinds_decide_pins() -> None:
    w = build_plan(scenario()).workloads
    kind = {name: w.kind == index for index, name in enumerate(w.kind_names)}
    assert np.all(w.pinner[kind["vm"]] == NO_PINNER)
    halves = {2**18 // 2, 4099 * 256 // 2 // 512 * 512}
    assert set(w.touched_pages[kind["vm"]].tolist()) == halves
    assert np.all(w.pinned_pages[kind["vfio"]] == w.pages[kind["vfio"]])
    assert np.all(w.pinner[kind["rdma"]] == Pinner.RDMA)
    assert np.all(w.pinned_pages[kind["rdma"]] == w.pages[kind["rdma"]] // 10)
    assert np.all(w.present_pages[kind["rdma"]] == w.pinned_pages[kind["rdma"]])
    assert np.all(w.backing[kind["dpdk"]] == AreaKind.HUGETLB)


def test_memory_of_1_gib_pages_is_whole_gibibytes_and_hosts_reserve_them_at_boot() -> None:
    kinds = [{"name": "vm", "backing": "hugetlb1g", "pin": "vfio", "pinned": "60%"}]
    streams = [generator("web", mix={"vm": "100%"})]
    hosts = {
        "hugepages_1g": 3,
        "classes": [
            {"name": "a", "count": 2, "memory": "32GiB"},
            {"name": "b", "count": 1, "memory": "32GiB", "hugepages_1g": 8},
        ],
    }
    plan = build_plan(scenario(hosts=hosts, workloads=work(kinds=kinds, generators=streams)))
    w = plan.workloads
    assert set(w.backing.tolist()) == {Backing.HUGETLB1G}
    assert set(w.pages.tolist()) == {1 << 18, 5 << 18}
    assert set(w.pinned_pages.tolist()) == {0, 3 << 18}
    assert plan.hosts.boot_1g.tolist() == [3, 8, 3]


def test_probes_name_removable_blocks_whatever_the_arms() -> None:
    plan = build_plan(scenario())
    r, h = plan.requests, plan.hosts
    probes = r.probe == 1
    blocks = h.memory_pages[r.host] // h.block_pages[r.host]
    per_node = blocks // h.nodes[r.host]
    inside = r.first_block[probes] % per_node[probes]
    assert np.all(inside >= per_node[probes] // 2)
    assert len(np.unique(r.first_block[probes])) > 50
    none = build_plan(scenario(sizing="no-movable-zone"))
    first = none.requests.first_block[none.requests.probe == 1]
    dma32 = np.where(none.hosts.block_pages == 2**19, 2, 24)[none.requests.host]
    assert np.all(first >= dma32[none.requests.probe == 1])


def test_campaign_of_all_hosts_and_campaign_by_rate() -> None:
    every = build_plan(scenario(removals={"target": "all", "blocks": 3}, probes=None)).requests
    assert sorted(every.host.tolist()) == list(range(100))
    rated = scenario(removals={"rate": "120/h", "blocks": 3}, probes=None)
    asked = build_plan(rated).requests
    assert len(asked) == pytest.approx(720, abs=4 * 720**0.5)
    longer = build_plan(rated.model_copy(update={"horizon_ns": 7 * HOUR_NS})).requests
    assert longer.time_ns[: len(asked)].tolist() == asked.time_ns.tolist()


def test_residents_and_unknown_ends_of_a_trace(tmp_path: Path) -> None:
    rows: list[tuple[object, ...]] = [(0, 3600, 1024), (5, "", 2048, "rdma"), (2, 60, 512)]
    plan = build_plan(traced(tmp_path, rows, commitment="20%", scale=1))
    w = plan.workloads
    arrivals = w.age_ns == 0
    assert w.lifetime_ns[-3:].tolist() == [3600 * 10**9, 60 * 10**9, RUNS_ON]
    assert w.pages[-3:].tolist() == [2**18, 2**17, 2**19]
    assert w.kind_names[int(w.kind[-1])] == "rdma"
    residents = ~arrivals
    committed = w.pages[residents].sum() / plan.hosts.memory_pages.sum()
    assert committed == pytest.approx(0.20, abs=0.001)
    unknown = w.lifetime_ns[residents] == RUNS_ON
    expected = 3600 / (3600 + 60 + 3600)
    assert unknown.mean() == pytest.approx(expected, abs=4 * (0.25 / residents.sum()) ** 0.5)


def test_a_plan_larger_than_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "available_bytes", lambda: 10**6)
    with pytest.raises(InputError, match=r"plan: needs about .* GiB of memory, 0\.0 GiB are"):
        build_plan(scenario())


def test_a_hundred_thousand_workloads_take_seconds() -> None:
    streams = [generator("web", arrivals="20000/h")]
    busy = scenario(workloads=work(commitment="20%", generators=streams))
    start = time.perf_counter()
    plan = build_plan(busy)
    assert len(plan.workloads) > 100_000
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("rate", ["1/30d", "1/3650d"])
def test_rare_streams_stay_rare(rate: str) -> None:
    """A batch of draws reaches past what int64 holds; nothing of it came back before time zero."""
    rare = scenario(
        workloads=work(commitment="0%", generators=[generator("web", arrivals=rate)]),
        removals={"rate": rate, "bytes": "2GiB"},
    )
    plan = build_plan(rare)
    assert len(plan.workloads) <= 2
    removals = plan.requests.time_ns[plan.requests.probe == 0]
    assert len(removals) <= 2
    assert (plan.workloads.arrival_ns >= 0).all()
