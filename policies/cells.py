"""What each cell of the decision table means, and which values it may take."""

from dataclasses import dataclass
from enum import IntEnum

from engine.enums import (
    Cell,
    FilePin,
    OfflineRule,
    OfflineTarget,
    PcpRule,
    PinFailure,
    PinIsolation,
    PinMigrates,
)


@dataclass(frozen=True, slots=True)
class CellDoc:
    """Meaning and range of one cell.

    Attributes
    ----------
    meaning : str
        One sentence, unit included where there is one.
    low, high : int
        Inclusive range of valid values.
    names : type of IntEnum or None
        Names of the values where they are choices.
    """

    meaning: str
    low: int
    high: int
    names: type[IntEnum] | None = None

    def show(self, value: int) -> str:
        """Return ``value`` as text: its name for a choice, yes/no for a flag, digits otherwise."""
        if self.names is not None:
            return self.names(value).name.lower().replace("_", "-")
        if (self.low, self.high) == (0, 1):
            return "yes" if value else "no"
        return str(value)


_DAY_NS = 86_400_000_000_000


def _flag(meaning: str) -> CellDoc:
    return CellDoc(meaning, 0, 1)


CELL_DOCS: dict[Cell, CellDoc] = {
    Cell.FAULT_FLAG_ANON: _flag(
        "a 4 KiB anonymous page faulted in by a long-term pin avoids MOVABLE"
    ),
    Cell.FAULT_FLAG_THP: _flag("a THP faulted in by a long-term pin avoids MOVABLE"),
    Cell.FAULT_FLAG_FILE: _flag("a page-cache page faulted in by a long-term pin avoids MOVABLE"),
    Cell.FAULT_FLAG_HUGETLB: _flag(
        "a hugetlb page faulted in by a long-term pin is taken from pool pages outside MOVABLE"
    ),
    Cell.PIN_MIGRATES: CellDoc(
        "when pages in MOVABLE are migrated out for a long-term pin: after the faults of each GUP"
        " call, or before any fault, so that what the pin faults in stays",
        0,
        2,
        PinMigrates,
    ),
    Cell.PIN_FAILURE: CellDoc(
        "what a pin does when a page cannot be migrated out", 0, 1, PinFailure
    ),
    Cell.PIN_DENIED: _flag(
        "a long-term pin of any page that is or would be in MOVABLE gets -EBUSY"
    ),
    Cell.HINT_HONOURED: _flag(
        "the first touch of an area hinted as 'will be pinned' avoids MOVABLE"
    ),
    Cell.ISOLATED_UNPINNABLE: _flag(
        "pages in an isolated pageblock count as unpinnable, in every zone"
    ),
    Cell.MIGRATE_TRIES: CellDoc("passes of one migrate_pages call over its list", 1, 1000),
    Cell.VFIO_CALL_PAGES: CellDoc("pages of one GUP call made by VFIO type1", 1, 1 << 20),
    Cell.OFFLINE_RULE: CellDoc("when an offline gives up or pauses by itself", 0, 4, OfflineRule),
    Cell.OFFLINE_BOUND_NS: CellDoc(
        "ns from the start of an offline attempt to its own end (0: none)", 0, 365 * _DAY_NS
    ),
    Cell.OFFLINE_MAX_ERRORS: CellDoc(
        "failed migration passes before an offline gives up, or pauses (0: no limit)", 0, 1_000_000
    ),
    Cell.PCP_HIGH_PAGES: CellDoc(
        "capacity of a CPU's page lists of a zone in pages (0: by the rule below)", 0, 1 << 30
    ),
    Cell.PCP_RULE: CellDoc(
        "how the capacity of a CPU's page lists follows from their zone", 0, 2, PcpRule
    ),
    Cell.MOVABLE_MARK_CAPPED: _flag(
        "the min watermark of MOVABLE is managed/1024 within 32..128 pages, not its share"
    ),
    Cell.THP_FAIL_PAGES: CellDoc("pgmigrate_fail counted for one THP that failed to move", 1, 512),
    Cell.HUGETLB_PIN_MIGRATES: _flag(
        "a pin that migrates also migrates hugetlb pages (no: refuses them with -ENOMEM)"
    ),
    Cell.PCP_THP: _flag("per-CPU page lists hold THP too"),
    Cell.SPLIT_TAILS_LAST: _flag(
        "tails of a THP that a migration has to split are tried after everything else on its list"
    ),
    Cell.OFFLINE_TARGET: CellDoc(
        "where an offline moves pages to: the other nodes, or then also the block's own node",
        0,
        1,
        OfflineTarget,
    ),
    Cell.GATHER_IN_ORDER: _flag(
        "base pages that are unmapped together are freed first to last, not each batch last to"
        " first"
    ),
    Cell.IOU_FOLIO_PINS: _flag(
        "an io_uring buffer that consists of huge folios keeps one pin of each, not one per page"
    ),
    Cell.COMPACT_ISOLATED_SHIFT: CellDoc(
        "compaction waits while more pages are isolated than are on the LRU lists of the node,"
        " shifted right by this",
        0,
        63,
    ),
    Cell.SPLIT_COUNTS_FAIL: _flag(
        "thp_migration_fail also counts a THP that found no target and was split"
    ),
    Cell.PIN_ISOLATION: CellDoc(
        "what a pin does with a page that it cannot isolate because an offline has it on its list",
        0,
        2,
        PinIsolation,
    ),
    Cell.PIN_RETRIES: CellDoc(
        "migrate_pages calls of one GUP call before a page counts as not to be moved", 1, 1000
    ),
    Cell.PIN_WAIT_NS: CellDoc(
        "ns that a pin waits for each page's references to drop before migrate_pages (0: none)",
        0,
        3600 * 1_000_000_000,
    ),
    Cell.UNPIN_RETURNS: _flag(
        "pages outside MOVABLE go back there when their last pin is gone, as far as there is room"
    ),
    Cell.PIN_REVOCABLE: _flag(
        "an offline moves pages that only long-term pins hold; the pinner lets go and pins again"
    ),
    Cell.OFFLINE_PAUSE_NS: CellDoc(
        "ns of the first pause of a paced offline; each further one is twice as long", 0, _DAY_NS
    ),
    Cell.OFFLINE_PAUSE_MAX_NS: CellDoc("ns of the longest pause of a paced offline", 0, _DAY_NS),
    Cell.OFFLINE_UNMAPS: _flag(
        "applications with pins in the block unmap their areas before and map them again after"
    ),
    Cell.FAULT_FLAG_SHMEM: _flag(
        "a shmem page (tmpfs, memfd) faulted in by a long-term pin avoids MOVABLE"
    ),
    Cell.FILE_PIN: CellDoc(
        "who may take a long-term pin of page cache with a disk behind it: all, all but io_uring"
        " (which refuses after the pin, -EOPNOTSUPP), nobody (-EFAULT before)",
        0,
        2,
        FilePin,
    ),
    Cell.HUGETLB_COUNTS_PAGES: _flag(
        "pgmigrate_success counts the base pages of a hugetlb page that moved, not one"
    ),
    Cell.HUGETLB_POOL_BATCHED: _flag(
        "pages that nr_hugepages adds join the pool at once, last one first, so the first is taken"
        " first"
    ),
    Cell.FAULT_FLAG_ZERO: _flag(
        "a page that a long-term pin puts in the place of the zero page avoids MOVABLE"
    ),
    Cell.FAULT_FLAG_HZP: _flag(
        "the first page (or the THP) that a long-term pin puts in the place of a huge zero page"
        " avoids MOVABLE"
    ),
    Cell.FAULT_FLAG_COW: _flag(
        "the copy that a long-term pin makes of a page shared with another process avoids MOVABLE"
    ),
    Cell.HZP_WRITE_THP: _flag("a write to the huge zero page allocates a THP (before 5.8, 6.13)"),
    Cell.PIN_POOL_MILLIONTHS: CellDoc(
        "millionths of the kernel zones that only long-term pins get, who then fail with -ENOMEM"
        " rather than call the OOM killer (0: no pool)",
        0,
        900_000,
    ),
    Cell.RECLAIM_BY_ZONE: _flag(
        "reclaim drops the page cache of the highest zone that a request may use first, not what"
        " is oldest in all its zones"
    ),
    Cell.GIGANTIC_STRADDLE_FAILS: _flag(
        "a 1 GiB hugetlb page, free or in use, that goes on behind the end of a memory block makes"
        " the isolation of the block fail (-EBUSY)"
    ),
    Cell.PCP_BATCH_SCALE: CellDoc(
        "how often the batch that a per-CPU page list gives back (6.7+: and takes) may double", 0, 6
    ),
}
"""Complete: one entry per ``Cell``."""
