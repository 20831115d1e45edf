"""Costs: complete, sourced, and what a command's latency is made of."""

import pytest

from engine.costs import DEFAULT_FIGURES, CostModel, Figure
from engine.enums import NR_COSTS, AreaKind, Cost, Op
from tests.engine.bench import Guest, make_shape, make_table


def guest() -> Guest:
    """A guest that pins in place, so that no migration adds to the price."""
    table = make_table("pin-in-place+unbounded", "linux-5.10")
    return Guest(make_shape("NNNNMMMM"), table, full_every=1)


def test_every_figure_has_a_source() -> None:
    model = CostModel()
    assert set(model.figures) == set(Cost)
    assert all(f.source.strip() and f.ns >= 0 for f in model.figures.values())


def test_the_vector_holds_each_figure_at_its_place() -> None:
    vector = CostModel().vector()
    assert vector.shape == (NR_COSTS,)
    assert all(vector[c] == f.ns for c, f in DEFAULT_FIGURES.items())


@pytest.mark.parametrize("broken", [{}, {**DEFAULT_FIGURES, Cost.PIN_4K: Figure(-1, "none")}])
def test_an_incomplete_or_negative_model_is_refused(broken: dict[Cost, Figure]) -> None:
    with pytest.raises(ValueError, match="missing or negative"):
        CostModel("broken", broken)


def test_a_huge_fault_costs_less_than_the_base_faults_it_replaces() -> None:
    ns = {c: f.ns for c, f in DEFAULT_FIGURES.items()}
    assert ns[Cost.FAULT_2M] < 512 * ns[Cost.FAULT_4K]
    assert ns[Cost.MIGRATE_2M] < 512 * ns[Cost.MIGRATE_4K]
    assert ns[Cost.PIN_2M] < 512 * ns[Cost.PIN_4K]


def test_the_latency_of_a_command_is_the_sum_of_what_it_did() -> None:
    g, ns = guest(), CostModel().vector()
    area = g.map(g.spawn(), AreaKind.ANON, 10)
    assert g.touch(area, 0, 10)["latency_ns"] == 10 * ns[Cost.FAULT_4K]
    pinned = g.pin(1, area, 0, 4)["latency_ns"]
    assert pinned == ns[Cost.PIN_CALL] + 4 * ns[Cost.PIN_4K]
    assert g.do(Op.UNPIN, 1)["latency_ns"] == 4 * ns[Cost.UNPIN_4K]
    assert g.free(area, 0, 10)["latency_ns"] == 10 * ns[Cost.FREE_4K]


def test_a_thp_costs_one_huge_fault_and_one_huge_pin() -> None:
    g, ns = guest(), CostModel().vector()
    area = g.map(g.spawn(), AreaKind.THP, 8)
    assert g.touch(area, 0, 8)["latency_ns"] == 2 * ns[Cost.FAULT_2M]
    assert (
        g.pin(1, area, 2, 4)["latency_ns"] == ns[Cost.PIN_CALL] + ns[Cost.PIN_2M]
    )  # half of each of two


def test_an_offline_takes_its_fixed_time_and_a_scan_per_pass() -> None:
    g, ns = guest(), CostModel().vector()
    g.offline(7)
    attempt = g.attempt()
    scan = ns[Cost.PASS_FIXED] + 4 * ns[Cost.PASS_SCAN_PAGEBLOCK]
    assert attempt["passes"] == 1
    assert attempt["end_ns"] - attempt["start_ns"] == ns[Cost.OFFLINE_FIXED] + scan


def test_a_mapping_is_unavailable_while_its_pages_move() -> None:
    g, ns = guest(), CostModel().vector()
    area = g.touched(g.spawn(), AreaKind.ANON, 6)
    g.offline(g.blocks_of(area)[0])
    assert g.attempt()["unavailable_ns"] == 6 * ns[Cost.MIGRATE_4K]
