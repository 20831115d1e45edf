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
    Cost.ONLINE_PAGEBLOCK: Figure(
        15_300, "4.9 M instructions per block of 64 pageblocks at 6.0 k instructions = 1.2 us (6.1)"
    ),
    Cost.WRITEBACK_4K: Figure(8_000, "a page written to a disk of 500 MB/s, background estimate"),
    Cost.PIN_REVOKE: Figure(
        300_000,
        "hundreds of us for a device page fault, the same round of notification, invalidation and"
        " new mapping (Lesokhin et al., ASPLOS 2017), background estimate",
    ),
    Cost.PIN_SUSPEND: Figure(
        50_000_000, "stop and start of a network port's queues and link, background estimate"
    ),
}


@dataclass(frozen=True, slots=True)
class Law:
    """Time to migrate a folio: a part for the folio and a part for each of its 4 KiB pages."""

    folio_ns: int
    page_ns: int
    source: str

    def ns(self, pages: int) -> int:
        """Nanoseconds for a folio of so many pages."""
        return self.folio_ns + pages * self.page_ns


HUGE_PAGES = 512
"""Base pages of a 2 MiB folio."""


@dataclass(frozen=True, slots=True)
class CostModel:
    """All figures of one machine, in ns per unit named by ``Cost``.

    Attributes
    ----------
    name : str
        Name a scenario refers to.
    figures : dict of Cost to Figure
        Complete: a missing figure is a ValueError.
    law : Law or None
        What migrations cost by the size of the folio; it replaces their two figures.
    summary : str
        The machine, in one line.
    """

    name: str = "default"
    figures: dict[Cost, Figure] = field(default_factory=lambda: dict(DEFAULT_FIGURES))
    law: Law | None = None
    summary: str = "a recent server: figures of several machines, each named at its figure"

    def __post_init__(self) -> None:
        """Reject incomplete or negative models (ValueError)."""
        for cost in Cost:
            figure = self.figures.get(cost)
            if figure is None or figure.ns < 0:
                raise ValueError(f"cost {cost.name} is missing or negative")

    def figure(self, cost: Cost, pageblock_pages: int = HUGE_PAGES) -> Figure:
        """Return the figure of a cost, for huge folios of so many pages."""
        if self.law is not None and cost in (Cost.MIGRATE_4K, Cost.MIGRATE_2M):
            pages = 1 if cost == Cost.MIGRATE_4K else pageblock_pages
            return Figure(self.law.ns(pages), self.law.source)
        return self.figures[cost]

    def vector(self, pageblock_pages: int = HUGE_PAGES) -> NDArray[np.int64]:
        """Return the figures as int64, shape ``(NR_COSTS,)``, indexed by ``Cost``.

        A huge folio of a host is a pageblock; ``pageblock_pages`` is its size on that host.
        """
        out = np.zeros(NR_COSTS, np.int64)
        for cost in Cost:
            out[cost] = self.figure(cost, pageblock_pages).ns
        return out


def _like(base: dict[Cost, Figure], source: str, **ns: int) -> dict[Cost, Figure]:
    """Figures of ``base`` with others in place of some, all from one source."""
    return base | {Cost[name]: Figure(value, source) for name, value in ns.items()}


_GARG = "law fitted to 4 KiB and 1 MiB of move_pages on Zen 3 EPYC 2x32, {} (Garg, LKML {})"
_T1 = (
    "fitted to guests of 1 and 120 GB: VFIO pin of a fresh guest, 2-node Broadwell (commit"
    " 4d83de6da265)"
)
_LAB = "guest instructions of a recorded {} kernel in an emulated machine, 1 instruction = 1 ns"
_BETWEEN = "; a pass: between instructions and the rates by the clock; THP: between offline and pin"
_BROADWELL = {"FAULT_2M": 468_161, "PIN_CALL": 105}

_LAB_61 = _like(
    DEFAULT_FIGURES, _LAB.format("6.1.176") + _BETWEEN,
    FAULT_4K=3_320, FAULT_2M=563_000, PIN_4K=551, PIN_2M=345_000, PIN_CALL=1_000, UNPIN_4K=845,
    UNPIN_2M=460_000, MIGRATE_4K=6_440, MIGRATE_2M=680_000, MIGRATE_FAIL_4K=4_710,
    MIGRATE_FAIL_2M=300_000, OFFLINE_FIXED=12_100_000, PASS_FIXED=400_000,
    PASS_SCAN_PAGEBLOCK=25_000, ONLINE_PAGEBLOCK=77_000,
)  # fmt: skip
_LAB_510 = _like(
    _LAB_61, _LAB.format("5.10.223") + _BETWEEN,
    FAULT_4K=2_970, FAULT_2M=573_000, PIN_4K=532, PIN_2M=342_000, UNPIN_4K=805, UNPIN_2M=371_000,
    MIGRATE_4K=6_270, MIGRATE_FAIL_4K=3_990, MIGRATE_FAIL_2M=310_000, OFFLINE_FIXED=3_750_000,
    PASS_FIXED=100_000, ONLINE_PAGEBLOCK=38_000,
)  # fmt: skip
_LAB_612 = _like(
    _LAB_61,
    "as 6.1.176 but for failing tries, 3.5 times cheaper by the clock of a recorded 6.12 kernel",
    MIGRATE_FAIL_4K=1_346, MIGRATE_FAIL_2M=85_700,
)  # fmt: skip

MODELS: dict[str, CostModel] = {
    model.name: model
    for model in (
        CostModel(),
        CostModel(
            "zen3-7.0", law=Law(565, 589, _GARG.format("v7.0-rc2", "2603.2/06223")),
            summary="Zen 3 EPYC 2x32 cores, Linux v7.0-rc2: migration",
        ),
        CostModel(
            "zen3-7.1", law=Law(666, 572, _GARG.format("v7.1-rc1", "2605.1/00684")),
            summary="Zen 3 EPYC 2x32 cores, Linux v7.1-rc1: migration",
        ),
        CostModel(
            "broadwell", _like(DEFAULT_FIGURES, _T1, **_BROADWELL),
            summary="Broadwell, 2 nodes of 128 GB: first touch of a huge page and the GUP call",
        ),
        CostModel("lab-5.10", _LAB_510, summary="the recorded 5.10 guests, in instructions"),
        CostModel("lab-6.1", _LAB_61, summary="the recorded 6.1 guests, in instructions"),
        CostModel("lab-6.12", _LAB_612, summary="the recorded 6.12 guests, in instructions of 6.1"),
    )
}  # fmt: skip
"""All machines by name. ``fleet validate --published`` shows how far each can be trusted."""


def cost_model(name: str) -> CostModel:
    """Return the model of a machine; ValueError naming those known."""
    if name not in MODELS:
        raise ValueError(f"unknown cost model {name!r} (known: {', '.join(MODELS)})")
    return MODELS[name]
