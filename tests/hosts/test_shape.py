"""Zones, nodes and reserved pageblocks of a host."""

import numpy as np
import pytest

from engine.enums import ZoneKind
from fleet.hosts.shape import (
    GIB_PAGES,
    auto_block_pages,
    default_nodes,
    host_shape,
    removable_blocks,
)

SMALL, LARGE = GIB_PAGES // 8, 2 * GIB_PAGES


@pytest.mark.parametrize(
    ("gib", "block_pages", "nodes"),
    [
        (8, SMALL, 1),
        (60, SMALL, 1),
        (64, LARGE, 1),
        (120, LARGE, 1),
        (128, LARGE, 2),
        (1024, LARGE, 2),
    ],
)
def test_rules_by_memory(gib: int, block_pages: int, nodes: int) -> None:
    assert auto_block_pages(gib * GIB_PAGES) == block_pages
    assert default_nodes(gib * GIB_PAGES) == nodes


def test_the_pmem_machine_has_16_movable_blocks_on_top() -> None:
    shape = host_shape(8 * GIB_PAGES, SMALL, 1, 8, 250_000)
    zones = np.array(shape.block_zone)
    assert shape.nr_blocks == 64
    assert zones[:24].tolist() == [ZoneKind.DMA32] * 24
    assert zones[24:48].tolist() == [ZoneKind.NORMAL] * 24
    assert zones[48:].tolist() == [ZoneKind.MOVABLE] * 16
    assert removable_blocks(8 * GIB_PAGES, SMALL, 1, 250_000).tolist() == list(range(48, 64))


def test_movable_tops_every_node() -> None:
    shape = host_shape(500 * GIB_PAGES, LARGE, 2, 96, 500_000)
    zones, nodes = np.array(shape.block_zone), np.array(shape.block_node)
    for node in (0, 1):
        own = zones[nodes == node]
        assert len(own) == 125
        assert np.all(np.diff(own) >= 0)
        assert (own == ZoneKind.MOVABLE).sum() == 62
    assert (zones == ZoneKind.DMA32).nonzero()[0].tolist() == [0, 1]
    assert np.bincount(shape.cpu_node).tolist() == [48, 48]


@pytest.mark.parametrize("movable", [0, 250_000, 500_000, 900_000])
@pytest.mark.parametrize(("gib", "block_pages"), [(8, SMALL), (120, LARGE), (512, LARGE)])
def test_memmap_is_a_64th_and_never_in_movable(movable: int, gib: int, block_pages: int) -> None:
    shape = host_shape(gib * GIB_PAGES, block_pages, default_nodes(gib * GIB_PAGES), 16, movable)
    reserved, zones = np.array(shape.block_reserved), np.array(shape.block_zone)
    assert reserved.sum() == gib * 512 // 64 + 32
    assert np.all(reserved[zones == ZoneKind.MOVABLE] == 0)
    assert reserved.max() <= block_pages // 512


def test_without_a_movable_zone_the_rest_is_removable() -> None:
    blocks = removable_blocks(64 * GIB_PAGES, LARGE, 1, 0)
    assert blocks.tolist() == list(range(2, 32))


def test_a_remainder_below_a_block_is_left_out() -> None:
    assert host_shape(65 * GIB_PAGES, LARGE, 1, 4, 500_000).nr_blocks == 32


def test_too_few_blocks_are_refused() -> None:
    with pytest.raises(ValueError, match="two memory blocks per node"):
        host_shape(6 * GIB_PAGES, LARGE, 2, 4, 0)
