"""A map of a host's memory blocks in a few lines of text: zone, use, pins and isolation.

One cell of three characters per block: the zone's letter, a bar for the share of its pages in
use, and a mark (``*`` pinned pages, ``!`` isolated, ``#`` both; where it is asked for, ``k`` for
memory that cannot move).
"""

from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from engine.enums import ZONES_PER_NODE
from engine.shape import HOLE, HostShape

BLOCKS_PER_LINE = 16
BARS = " ▁▂▃▄▅▆▇█"
LETTERS = "DNM"
"""DMA32, NORMAL and MOVABLE, as ``ZoneKind`` numbers them."""
LEGEND = "D DMA32  N NORMAL  M MOVABLE  - offline   ▁..█ in use   * pinned  ! isolated  # both"
UNMOVABLE_LEGEND = f"{LEGEND}  k unmovable"


@dataclass(frozen=True, slots=True)
class Line:
    """Blocks beside each other: the first and last number, their node, a cell for each."""

    node: int
    first: int
    last: int
    cells: tuple[str, ...]

    @property
    def text(self) -> str:
        """The line as plain text."""
        ends = f"b{self.first}-b{self.last}" if self.last > self.first else f"b{self.first}"
        return f"node {self.node}  {ends:<11} {' '.join(self.cells)}".rstrip()


def cell(
    block: NDArray[np.int64], block_pages: int, reserved_pages: int = 0, *, unmovable: bool = False
) -> str:
    """Three characters for one row of ``Host.blocks``; what boot took counts as used.

    With ``unmovable`` a block with kernel memory and neither pins nor isolation is marked ``k``.
    """
    zone, isolated, _free, used, pinned = (int(value) for value in block[:5])
    if zone < 0:
        return "-  "
    used += reserved_pages
    levels = len(BARS) - 1
    bar = -(-used * levels // block_pages) if used < block_pages else levels
    mark = " *!#"[(pinned > 0) + 2 * (isolated > 0)]
    if unmovable and mark == " " and (reserved_pages or block[6]):
        mark = "k"
    return LETTERS[zone % ZONES_PER_NODE] + BARS[min(bar, levels - (used < block_pages))] + mark


def lines(blocks: NDArray[np.int64], shape: HostShape, *, unmovable: bool = False) -> list[Line]:
    """Draw a host.

    Parameters
    ----------
    blocks : int64[nr_blocks, 7]
        ``Host.blocks()``: zone id, isolated, free, used, pinned, file, kernel.
    shape : HostShape
        The host; nodes and holes come from it.
    unmovable : bool
        Mark blocks with memory that cannot move.

    Returns
    -------
    list of Line
        Sixteen blocks at most on a line; a line never crosses a node or a hole.
    """
    found: list[Line] = []
    numbers = [b for b in range(shape.nr_blocks) if shape.block_zone[b] != HOLE]
    for _, run in groupby(enumerate(numbers), lambda pair: _stretch(shape, *pair)):
        stretch = [number for _, number in run]
        for at in range(0, len(stretch), BLOCKS_PER_LINE):
            part = stretch[at : at + BLOCKS_PER_LINE]
            cells = tuple(
                cell(
                    blocks[b],
                    shape.block_pages,
                    shape.block_reserved[b] * shape.pageblock_pages,
                    unmovable=unmovable,
                )
                for b in part
            )
            found.append(Line(shape.block_node[part[0]], part[0], part[-1], cells))
    return found


def _stretch(shape: HostShape, index: int, block: int) -> tuple[int, int]:
    """Node, and what is constant while block numbers follow each other."""
    return shape.block_node[block], block - index
