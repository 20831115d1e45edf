"""Layouts of the result rows of ``Host.execute``.

A row is ``NR_COLUMNS`` int64 values: ``time_ns, kind, cause, v0..``. ``cause`` is the index of
the command (counted since the host was made) that set the row off, so that every row can be
traced to it. ``COLUMNS[kind]`` names the values from column 3 on; unused columns hold 0.
"""

from engine.enums import Row

NR_COLUMNS = 18
FIRST = 3
"""Index of the first kind-specific column."""

COLUMNS: dict[Row, tuple[str, ...]] = {
    Row.RESULT: (
        "op",
        "slot",
        "errno",
        "pages",
        "latency_ns",
        "faulted_pages",
        "thp_faults",
        "thp_fallbacks",
        "reclaimed_pages",
        "migrated_pages",
        "failed_pages",
        "calls",
    ),
    Row.PIN: (
        "pin",
        "area",
        "errno",
        "zone",
        "block",
        "path",
        "pinned_pages",
        "faulted_pages",
        "migrated_pages",
        "failed_pages",
        "latency_ns",
    ),
    Row.MIGRATION: (
        "reason",
        "slot",
        "zone_from",
        "zone_to",
        "folio_order",
        "folios",
        "pages",
        "latency_ns",
    ),
    Row.ATTEMPT: (
        "attempt",
        "first_block",
        "nr_blocks",
        "errno",
        "reason",
        "start_ns",
        "end_ns",
        "passes",
        "migrated_pages",
        "failed_pages",
        "failed_block",
        "endless",
        "unavailable_ns",
    ),
    Row.BLOCKER: (
        "attempt",
        "block",
        "class",
        "pfn_first",
        "pages",
        "area",
        "pins",
        "references",
        "path",
        "zone",
        "pin",
    ),
    Row.INCIDENT: ("incident", "proc", "slot", "pages"),
    Row.SAMPLE: (
        "sample",
        "zone",
        "managed_pages",
        "free_pages",
        "min_pages",
        "pinned_pages",
        "file_pages",
        "anon_pages",
        "kernel_pages",
        "blocks_online",
        "blocks_pinned",
    ),
    Row.SLOWED: ("reason", "slot", "area", "unmaps", "unavailable_ns"),
}
