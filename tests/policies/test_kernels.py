"""What changed in the kernel's rules between the three profiles, and nothing else."""

from itertools import pairwise

from engine.enums import Cell, FilePin, PcpRule, PinFailure, PinIsolation
from policies.pins import FLAG_CELLS
from policies.profiles import PROFILES

CHANGES: dict[str, dict[Cell, tuple[int, int]]] = {
    "linux-6.1": {
        # 5.13: long-term pins leave ZONE_MOVABLE, and faults under them avoid it
        **dict.fromkeys(FLAG_CELLS, (0, 1)),
        Cell.PIN_MIGRATES: (0, 1),
        Cell.PIN_FAILURE: (PinFailure.PIN_IN_PLACE, PinFailure.ENOMEM),
        # a page that is off the LRU lists: 5.10 skips it, 6.1 tries again for ever
        Cell.PIN_ISOLATION: (PinIsolation.PIN_IN_PLACE, PinIsolation.WAIT),
        # is_longterm_pinnable_page asks for the pageblock's type, so MIGRATE_ISOLATE is refused
        Cell.ISOLATED_UNPINNABLE: (0, 1),
        # vfio_pin_pages_remote pins a batch (5.12), not page by page
        Cell.VFIO_CALL_PAGES: (1, 512),
        # per-CPU lists by the low mark, and of huge pages (5.14)
        Cell.PCP_RULE: (PcpRule.BATCH_TIMES_6, PcpRule.LOW_MARK),
        Cell.PCP_THP: (0, 1),
        # a full list gives back twice as much each time (5.13)
        Cell.PCP_BATCH_SCALE: (0, 5),
        # migrate_pages: pages of a THP that stays are counted, tails of a split one come at once
        Cell.THP_FAIL_PAGES: (1, 512),
        Cell.SPLIT_TAILS_LAST: (1, 0),
        Cell.SPLIT_COUNTS_FAIL: (0, 1),
        # hugetlb: folios move page by page in the counters, but not for a pin (until 6.12)
        Cell.HUGETLB_PIN_MIGRATES: (1, 0),
        Cell.HUGETLB_COUNTS_PAGES: (0, 1),
        # a gigantic page that reaches over the end of a block (5.19)
        Cell.GIGANTIC_STRADDLE_FAILS: (0, 1),
    },
    "linux-6.12": {
        # per-CPU lists that tune themselves (6.7), freed in order
        Cell.PCP_RULE: (PcpRule.LOW_MARK, PcpRule.ZONE_EIGHTH),
        Cell.GATHER_IN_ORDER: (0, 1),
        # ZONE_MOVABLE's mark has a limit
        Cell.MOVABLE_MARK_CAPPED: (0, 1),
        # pins of folios: hugetlb moves again, io_uring pins a huge page once, no files
        Cell.HUGETLB_PIN_MIGRATES: (0, 1),
        Cell.IOU_FOLIO_PINS: (0, 1),
        Cell.FILE_PIN: (FilePin.IO_URING_REFUSES, FilePin.REFUSED),
        Cell.COMPACT_ISOLATED_SHIFT: (1, 4),
        Cell.HUGETLB_POOL_BATCHED: (0, 1),
        Cell.RECLAIM_BY_ZONE: (0, 1),
    },
}
"""Profile -> cell -> value in the profile before it, and its own."""


def test_kernels_differ_in_what_changed_between_them() -> None:
    for before, after in pairwise(PROFILES):
        old, new = before.settings, after.settings
        assert set(old) == set(new)
        found = {c: (old[c].value, new[c].value) for c in old if old[c].value != new[c].value}
        assert found == CHANGES[after.name], after.name


def test_what_no_kernel_changed() -> None:
    """migrate_pages tries ten times; writes to the huge zero page give base pages."""
    for profile in PROFILES:
        values = {cell: s.value for cell, s in profile.settings.items()}
        assert values[Cell.MIGRATE_TRIES] == 10
        assert values[Cell.HZP_WRITE_THP] == 0
        assert values[Cell.PCP_HIGH_PAGES] == 0
