"""The decision table: a fixed vector of integers that both engines read."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from engine.enums import NR_CELLS, Cell

Table = NDArray[np.int64]
"""Decision table: int64, shape ``(NR_CELLS,)``, indexed by ``Cell``."""


def make_table(cells: Mapping[Cell, int]) -> Table:
    """Build a table from a complete mapping of cells.

    Raises
    ------
    ValueError
        If a cell is missing, so that no rule is ever taken from a silent default.
    """
    missing = [c.name for c in Cell if c not in cells]
    if missing:
        raise ValueError(f"cells not set: {', '.join(missing)}")
    table = np.zeros(NR_CELLS, np.int64)
    for cell, value in cells.items():
        table[cell] = value
    return table
