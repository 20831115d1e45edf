"""What things cost, in integer nanoseconds, each figure with its source."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.enums import NR_COSTS, Cost


@dataclass(frozen=True, slots=True)
class Figure:
    """One cost figure: nanoseconds and where the number comes from."""

    ns: int
    source: str


_T4 = (
    "move_pages on Zen 3, v7.0-rc2: 3.55 GB/s in 4 KiB, 10.9 GB/s in 2 MiB folios"
    " (Garg, LKML 2603.2/06223)"
)
_T5 = "page zeroing on Milan: 13.7 GB/s in 4 KiB, 15.1 GB/s in 2 MiB units (commit cb431accb36e)"
_T2 = "VFIO map and unmap of 16 GiB populated memory, v6.16-rc4 (LKML 2507.0/02205)"

DEFAULT_FIGURES: dict[Cost, Figure] = {
    Cost.FAULT_4K: Figure(800, _T5 + "; 0.30 us zeroing + 0.5 us minor fault"),
    Cost.FAULT_2M: Figure(150_000, _T5 + "; 139 us zeroing + fault and PMD set-up"),
    Cost.PIN_4K: Figure(67, _T2 + ": 17.5 ms/GiB"),
    Cost.PIN_2M: Figure(5_700, _T2 + ": 2.9 ms/GiB"),
    Cost.PIN_CALL: Figure(
        500, "GUP call overhead: 1-page against 512-page calls, commit 4d83de6da265"
    ),
    Cost.UNPIN_4K: Figure(74, _T2 + ": 19.5 ms/GiB"),
    Cost.UNPIN_2M: Figure(16_400, _T2 + ": 8.4 ms/GiB"),
    Cost.MIGRATE_4K: Figure(1_200, _T4),
    Cost.MIGRATE_2M: Figure(190_000, _T4),
    Cost.MIGRATE_FAIL_4K: Figure(
        870, "pass of a pinned page costs 7.3 migrations in 10 tries (instruction counts, 6.1)"
    ),
    Cost.MIGRATE_FAIL_2M: Figure(
        104_500, "pass of a pinned THP costs 5.5 migrations in 10 tries (instruction counts, 6.1)"
    ),
    Cost.OFFLINE_FIXED: Figure(
        2_800_000, "empty block: 14.1 M instructions against 6.0 k per migrated page (6.1) x 1.2 us"
    ),
    Cost.PASS_FIXED: Figure(200_000, "LRU drain and loop overhead, background estimate"),
    Cost.PASS_SCAN_PAGEBLOCK: Figure(
        8_000, "2.61 M instructions per pass over 64 pageblocks at 6.0 k instructions = 1.2 us"
    ),
    Cost.RECLAIM_4K: Figure(500, "clean page-cache drop, background estimate"),
    Cost.OOM_KILL: Figure(100_000_000, "victim selection and exit, background estimate"),
    Cost.FREE_4K: Figure(100, "munmap of touched pages, background estimate"),
    Cost.FREE_2M: Figure(2_000, "munmap of a THP, background estimate"),
    Cost.WRITEBACK_4K: Figure(8_000, "a page written to a disk of 500 MB/s, background estimate"),
}


@dataclass(frozen=True, slots=True)
class CostModel:
    """All figures of one machine, in ns per unit named by ``Cost``.

    Attributes
    ----------
    name : str
        Name a scenario refers to.
    figures : dict of Cost to Figure
        Complete: a missing figure is a ValueError.
    """

    name: str = "default"
    figures: dict[Cost, Figure] = field(default_factory=lambda: dict(DEFAULT_FIGURES))

    def __post_init__(self) -> None:
        """Reject incomplete or negative models (ValueError)."""
        for cost in Cost:
            figure = self.figures.get(cost)
            if figure is None or figure.ns < 0:
                raise ValueError(f"cost {cost.name} is missing or negative")

    def vector(self) -> NDArray[np.int64]:
        """Return the figures as int64, shape ``(NR_COSTS,)``, indexed by ``Cost``."""
        out = np.zeros(NR_COSTS, np.int64)
        for cost, figure in self.figures.items():
            out[cost] = figure.ns
        return out
