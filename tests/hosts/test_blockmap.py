"""The map of memory blocks."""

import numpy as np
from numpy.typing import NDArray

from engine.enums import ZoneKind
from engine.shape import HOLE, OFFLINE, HostShape
from fleet.hosts.blockmap import BARS, cell, lines

DMA32, MOVABLE = int(ZoneKind.DMA32), int(ZoneKind.MOVABLE)


def row(zone: int, used: int = 0, pinned: int = 0, isolated: int = 0) -> NDArray[np.int64]:
    """A row of ``Host.blocks`` of 1024 pages."""
    return np.array([zone, isolated, 1024 - used, used, pinned, 0, 0], np.int64)


def test_a_cell_shows_zone_use_and_mark() -> None:
    assert cell(row(-1), 1024) == "-  "
    assert cell(row(DMA32), 1024) == "D  "
    assert cell(row(MOVABLE + 3, 1024), 1024) == "M█ "
    assert cell(row(MOVABLE, 512, pinned=1), 1024) == "M▄*"
    assert cell(row(MOVABLE, 512, isolated=1), 1024) == "M▄!"
    assert cell(row(MOVABLE, 512, pinned=1, isolated=1), 1024) == "M▄#"


def test_only_an_empty_block_has_no_bar_and_only_a_full_one_the_highest() -> None:
    shown = [cell(row(MOVABLE, used), 1024)[1] for used in range(1025)]
    assert [BARS.index(bar) for bar in shown] == sorted(BARS.index(bar) for bar in shown)
    assert (shown[0], shown[1], shown[1023], shown[1024]) == (" ", "▁", "▇", "█")
    assert shown.count(" ") == shown.count("█") == 1


def test_lines_never_cross_a_node_or_a_hole() -> None:
    nodes = (0,) * 20 + (1,) * 4
    zones = (DMA32,) * 18 + (HOLE, MOVABLE) + (OFFLINE,) * 4
    shape = HostShape(9, 1024, nodes, zones, (1, *(0,) * 23), (0, 1))
    blocks = np.stack([row(zone) for zone in zones])
    ends = [(line.node, line.first, line.last) for line in lines(blocks, shape)]
    assert ends == [(0, 0, 15), (0, 16, 17), (0, 19, 19), (1, 20, 23)]
    assert lines(blocks, shape)[0].cells[:2] == ("D▄ ", "D  ")  # a pageblock of two is reserved
    assert lines(blocks, shape)[2].text == "node 0  b19         M"
