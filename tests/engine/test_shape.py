"""Shapes: what is refused, and what a fresh host of a shape looks like."""

from typing import Any

import pytest

from engine.shape import HOLE, OFFLINE, HostShape, zone_id
from tests.engine.bench import Guest, make_shape

GOOD: dict[str, Any] = {
    "pageblock_order": 2,
    "block_pages": 16,
    "block_node": (0, 0, 1),
    "block_zone": (1, 2, 1),
    "block_reserved": (1, 0, 0),
    "cpu_node": (0, 1),
}


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("block_zone", (1, 2), "equal length"),
        ("block_reserved", (0,), "equal length"),
        ("block_node", (), "equal length"),
        ("block_pages", 12, "multiple of 8"),
        ("pageblock_order", 0, "multiple"),
        ("cpu_node", (), "node"),
        ("cpu_node", (2,), "node"),
        ("block_zone", (1, 3, 1), "zone kind"),
        ("block_zone", (1, -3, 1), "zone kind"),
        ("block_reserved", (5, 0, 0), "reserved"),
        ("block_reserved", (-1, 0, 0), "reserved"),
        ("turns", (3, 64, 3), "only CPU"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(field: str, value: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        HostShape(**{**GOOD, field: value})


@pytest.mark.parametrize("turns", [(3, 0, 1), (0, 64, 0), (-1, 64, -1), (3, 64, 4), (3, 64, 0)])
def test_turns_that_cannot_be_are_refused(turns: tuple[int, int, int]) -> None:
    one = {"block_node": (0,), "block_zone": (1,), "block_reserved": (0,), "cpu_node": (0,)}
    assert HostShape(**{**GOOD, **one, "turns": (3, 64, 2)}).turns == (3, 64, 2)
    with pytest.raises(ValueError, match="turn"):
        HostShape(**{**GOOD, **one, "turns": turns})


def test_a_shape_knows_its_sizes() -> None:
    shape = HostShape(**GOOD)
    sizes = (shape.nr_blocks, shape.nr_nodes, shape.nr_zones, shape.pageblock_pages)
    assert sizes == (3, 2, 6, 4)
    assert [zone_id(n, k) for n in (0, 1) for k in range(3)] == list(range(6))


def test_a_fresh_host_has_all_its_memory_free_but_what_is_reserved() -> None:
    g = Guest(make_shape("DRNM-h|NMM", cpus=(0, 1)), full_every=1)
    content = g.host.blocks()
    assert content[:, 0].tolist() == [0, 1, 1, 2, OFFLINE, HOLE, 4, 5, 5]
    assert content[:, 2].tolist() == [16, 12, 16, 16, 0, 0, 16, 16, 16]
    assert g.host.zones()[:, 0].tolist() == [16, 28, 16, 0, 16, 32]
    assert g.host.zones()[:, 5].tolist() == [16, 32, 16, 0, 16, 32]


@pytest.mark.parametrize("order", [1, 2, 4, 9])
def test_any_pageblock_order_makes_a_host(order: int) -> None:
    g = Guest(make_shape("NNMM", order=order, chunks=1), full_every=1)
    assert g.host.free_list(2, 1, order + 1).tolist() == [2 << (order + 1), 3 << (order + 1)]
