"""I/O in flight and stuck I/O in the plan."""

from typing import Any

import numpy as np
import pytest

from engine.enums import Pinner
from fleet.plan.build import build_plan
from fleet.plan.estimate import estimate
from fleet.plan.inflight import MOST_DENSITY
from fleet.plan.tables import NO_PINNER
from tests.plan.scenarios import HOUR_NS, scenario, work, work_with_io


def test_density_is_rate_times_hold_time_per_resident_page() -> None:
    w = build_plan(scenario(workloads=work_with_io())).workloads
    vm, vfio = w.kind == 0, w.kind == 1
    resident = w.pinned_pages + w.touched_pages
    in_flight = w.io_density * resident / 10**12
    assert in_flight[vm] == pytest.approx(0.4, rel=1e-4)
    assert in_flight[vfio] == pytest.approx(50 * 330e-6, rel=1e-3)
    assert set(w.io_pages[vm].tolist()) == {16}
    assert set(w.io_hold_ns[vm].tolist()) == {200_000}
    assert w.io_before_pin.tolist() == vfio.tolist()
    assert not w.io_density[w.kind > 1].any()


def test_tiny_workloads_have_at_most_what_the_engine_draws() -> None:
    section = work_with_io()
    section["kinds"][0]["io"] |= {"rate": "100000000/s", "hold": "1s"}
    w = build_plan(scenario(workloads=section)).workloads
    assert set(w.io_density[w.kind == 0].tolist()) == {MOST_DENSITY}


def test_io_changes_nothing_else_in_the_plan() -> None:
    plain, more = (build_plan(scenario(workloads=s)) for s in (work(), work_with_io()))
    for name in ("key", "arrival_ns", "kind", "pinned_pages", "lifetime_ns"):
        assert np.array_equal(getattr(plain.workloads, name), getattr(more.workloads, name))
    assert len(more.holds) == 0


def test_stuck_io_is_a_poisson_process_of_each_workload_with_io() -> None:
    given = scenario(workloads=work_with_io(stuck_io={"rate": "1/3h", "duration": ["1s", "30s"]}))
    plan = build_plan(given)
    w, h = plan.workloads, plan.holds
    left = plan.horizon_ns - w.arrival_ns
    span = np.where(w.lifetime_ns < 0, left, np.minimum(w.lifetime_ns, left))
    expected = span[w.io_density > 0].sum() / (3 * HOUR_NS)
    assert len(h) == pytest.approx(expected, abs=4 * expected**0.5)
    assert np.all(w.io_density[h.workload] > 0)
    assert np.all(h.offset_ns < span[h.workload])
    assert np.all(h.first_page + h.pages <= (w.pinned_pages + w.touched_pages)[h.workload])
    assert h.duration_ns.min() >= 10**9
    assert h.duration_ns.max() <= 30 * 10**9
    assert np.mean(h.duration_ns) == pytest.approx(15.5e9, rel=0.05)
    assert np.all(np.diff(h.workload) >= 0)
    same = np.diff(h.workload) == 0
    assert same.any()
    assert np.all(np.diff(h.offset_ns)[same] >= 0)
    assert estimate(given).holds >= len(h)


def test_holds_and_stuck_io_keep_their_draws_beside_each_other() -> None:
    holds, stuck = {"share": "30%"}, {"rate": "1/5h"}
    both, a, b = (
        build_plan(scenario(workloads=work_with_io(**changes))).holds
        for changes in ({"holds": holds, "stuck_io": stuck}, {"holds": holds}, {"stuck_io": stuck})
    )
    rows = [list(zip(*(getattr(h, n) for n in h.__slots__), strict=True)) for h in (both, a, b)]
    assert all(rows)
    assert sorted(rows[0]) == sorted(rows[1] + rows[2])
    assert np.all(np.diff(both.workload) >= 0)


def work_with_maps(**maps: object) -> dict[str, Any]:
    """VMs behind a vIOMMU beside the other kinds."""
    section = work(holds={"share": "30%"})
    section["kinds"][0] |= {"pin": "vfio", "maps": {"every": "20m", "duration": "1m", **maps}}
    return section


def test_mappings_are_long_term_pins_of_whole_buffers() -> None:
    given = scenario(workloads=work_with_maps(memory="2MiB", buffers=4))
    plan = build_plan(given)
    w, h = plan.workloads, plan.holds
    maps = h.pinner != NO_PINNER
    assert set(h.pinner[maps].tolist()) == {int(Pinner.VFIO)}
    assert set(w.kind[h.workload[maps]].tolist()) == {0}
    assert not w.pinned_pages[w.kind == 0].any()
    assert set((h.first_page[maps] // 512).tolist()) == {0, 1, 2, 3}
    assert not (h.first_page[maps] % 512).any()
    assert set(h.pages[maps].tolist()) == {512}
    assert not h.number[~maps].any()
    one = h.workload[maps] == np.bincount(h.workload[maps]).argmax()
    assert h.number[maps][one].tolist() == list(range(1, one.sum() + 1))
    assert set(np.diff(h.offset_ns[maps][one]).tolist()) == {HOUR_NS // 3}
    assert estimate(given).holds >= len(h)


def test_mappings_without_fixed_buffers_are_anywhere() -> None:
    plan = build_plan(scenario(workloads=work_with_maps(memory="64KiB")))
    w, h = plan.workloads, plan.holds
    maps = h.pinner != NO_PINNER
    place = h.first_page[maps] / w.pages[h.workload[maps]]
    assert np.quantile(place, [0.25, 0.5, 0.75]) == pytest.approx([0.25, 0.5, 0.75], abs=0.04)
    assert np.all(h.first_page[maps] + 16 <= w.pages[h.workload[maps]])


def test_mappings_leave_the_other_references_alone() -> None:
    plain = build_plan(scenario(workloads=work(holds={"share": "30%"}))).holds
    mixed = build_plan(scenario(workloads=work_with_maps())).holds
    kept = mixed.pinner == NO_PINNER
    for name in plain.__slots__:
        assert np.array_equal(getattr(plain, name), getattr(mixed, name)[kept])
