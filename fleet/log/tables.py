"""The tables of the event log: one Arrow schema each, with unit and description per column.

Plain types only (int64, int32, bool, string): DuckDB's Arrow scan had defects with most others.
Integers hold nanoseconds, pages, bytes, counts and ids; floats are made in SQL. The partition
columns ``arm`` (string), ``rep`` and ``shard`` (int32) come from the path, not from the files.
``docs/events.md`` is generated from here.
"""

from dataclasses import dataclass

import pyarrow as pa

SCHEMA_VERSION = 3
"""Raised whenever a table comes, or a column changes its name, type, unit or meaning."""

NULL = -(2**63)
"""In an integer numpy column given to the writer: this value is written as null."""

ARROW_TYPES: dict[str, pa.DataType] = {
    "int64": pa.int64(),
    "int32": pa.int32(),
    "bool": pa.bool_(),
    "string": pa.string(),
}
PARTITIONS: tuple[tuple[str, str, str], ...] = (
    ("arm", "string", "PIN+OFFLINE[@SIZING], the policies compared"),
    ("rep", "int32", "replication, counted from 0"),
    ("shard", "int32", "64 consecutive hosts of the inventory; rows without a host are in shard 0"),
)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: Arrow type name, unit (empty for names and flags) and meaning.

    ``values`` lists every word a string column may hold (empty: free text).
    """

    name: str
    type: str
    unit: str
    description: str
    nullable: bool = False
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogTable:
    """One table: what a row is, its columns, and the columns that name a row (ids)."""

    name: str
    row: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema with ``unit``, ``description`` (and ``values``) metadata per field."""
        fields = []
        for c in self.columns:
            meta = {"unit": c.unit, "description": c.description}
            if c.values:
                meta["values"] = ",".join(c.values)
            fields.append(pa.field(c.name, ARROW_TYPES[c.type], c.nullable, meta))
        return pa.schema(fields, {"table": self.name, "schema_version": str(SCHEMA_VERSION)})


def _column(
    name: str, kind: str, unit: str, description: str, values: tuple[str, ...] = ()
) -> Column:
    """Build a column; a name that ends in ``?`` is nullable."""
    return Column(name.rstrip("?"), kind, unit, description, name.endswith("?"), values)


def _id(name: str, description: str) -> Column:
    return _column(name, "int64", "id", description)


def _int(name: str, unit: str, description: str) -> Column:
    return _column(name, "int64", unit, description)


def _small(name: str, unit: str, description: str) -> Column:
    return _column(name, "int32", unit, description)


def _flag(name: str, description: str) -> Column:
    return _column(name, "bool", "", description)


def _word(name: str, description: str, *values: str) -> Column:
    return _column(name, "string", "", description, values)


_ZONE = "zone id: node * 3 + kind (0 DMA32, 1 Normal, 2 Movable); zone_name(zone) spells it"
_ERRNO = "0 or the positive Linux errno; errno_name(errno) spells it"
_PATHS = ("anon", "thp", "file", "hugetlb", "shmem", "zero", "hzp", "cow")
_REASONS = (
    "none", "bad_state", "unmovable", "signal", "max_errors", "timeout", "pin_seen", "dissolve",
    "running",
)  # fmt: skip

_HOST = _id("host", "host, its place in the inventory")

_TABLES = (
    LogTable(
        "hosts",
        "one host of the inventory as this arm sizes it",
        (
            _HOST,
            _word("name", "name in the inventory"),
            _word("class", "host class, or the model of a listed host"),
            _int("memory_pages", "pages", "memory installed"),
            _small("nodes", "count", "NUMA nodes"),
            _int("block_pages", "pages", "size of a memory block"),
            _int("movable_pages", "pages", "online in ZONE_MOVABLE at the start"),
            _int("kernel_pages", "pages", "online in kernel zones (DMA32, Normal) at the start"),
        ),
        ("host",),
    ),
    LogTable(
        "workloads",
        "one workload of the plan and what became of it",
        (
            _id("workload", "workload, the same number in every arm"),
            _id("host?", "last host it ran on; null: never placed"),
            _int("arrived_ns", "ns", "arrival (before 0: resident at the start)"),
            _int("placed_ns?", "ns", "first placement; null: never placed"),
            _int("ended_ns?", "ns", "end; null: still running at the horizon"),
            _int("memory_pages", "pages", "memory asked for"),
            _word("kind", "its kind in the scenario"),
            _word("backing", "what its memory is made of: anon, thp, hugetlb, hugetlb1g"),
            _flag("vfio", "a device is attached: its memory is pinned for long"),
            _int("flows", "count", "network flows it serves"),
            _small("pin_errno", "errno", f"errno of its pin; {_ERRNO}"),
            _word(
                "outcome", "what became of it", "running", "ended", "rejected", "pin_failed",
                "oom_killed", "host_reset", "host_panicked",
            ),
            _int("restarts", "count", "placements after the first"),
            _int("flow_us_lost", "flow-us", "flows x microseconds they were not served"),
        ),
        ("workload",),
    ),
    LogTable(
        "requests",
        "one removal demand or probe of the plan and its one outcome",
        (
            _id("request", "request, the same number in every arm"),
            _word("kind", "real removal, or a probe on a clone of the host", "removal", "probe"),
            _id("host?", "host asked; null: none was chosen"),
            _int("first_block?", "block", "first memory block; null: none was chosen"),
            _int("nr_blocks", "blocks", "memory blocks asked for"),
            _int("issued_ns", "ns", "when the demand was made"),
            _int("started_ns?", "ns", "first attempt; null: never started"),
            _int("deadline_ns", "ns", "not returned by then: stuck"),
            _int("ended_ns?", "ns", "when it returned or was given up; null: it never did"),
            _word(
                "outcome", "exactly one per request", "offlined", "refused", "gave_up", "stuck",
                "host_down", "withdrawn", "censored",
            ),
            _small("errno", "errno", f"of the last attempt; {_ERRNO}"),
            _flag("reset", "a watchdog reset the host because of it"),
            _flag("endless", "the loop would never have ended without outside change"),
            _int("attempts", "count", "offline attempts made"),
            _word("reason", "why the last attempt ended (mm/memory_hotplug.c)", *_REASONS),
        ),
        ("request",),
    ),
    LogTable(
        "attempts",
        "one call of offline_pages on a block or range",
        (
            _id("attempt", "attempt"),
            _id("request", "request it serves"),
            _HOST,
            _int("first_block", "block", "first memory block"),
            _int("nr_blocks", "blocks", "memory blocks"),
            _int("start_ns", "ns", "when the call began"),
            _int("end_ns?", "ns", "when it returned; null: running at the last report"),
            _small("errno", "errno", _ERRNO),
            _word("reason", "why it ended; running: it had not", *_REASONS),
            _int("passes", "count", "scan-and-migrate passes"),
            _int("migrated_pages", "pages", "moved away"),
            _int("failed_pages", "pages", "migrations that failed, each try counted"),
            _int("failed_block?", "block", "block that stopped it; null: none"),
            _flag("endless", "the loop would never have ended without outside change"),
            _int("unavailable_ns", "ns", "sum over pages of the time they were not mapped"),
        ),
        ("attempt",),
    ),
    LogTable(
        "blockers",
        "one run of pages that kept an attempt from finishing",
        (
            _id("attempt", "attempt it blocked"),
            _id("request", "request of that attempt"),
            _HOST,
            _int("block", "block", "memory block"),
            _small("zone", "zone", _ZONE),
            _word(
                "class", "what kept the pages there", "longterm_pin", "short_reference", "no_room",
                "hugetlb_shuttle", "kernel_zone_pin", "unmovable", "hugetlb_reserved",
            ),
            _int("pfn_first", "pfn", "first page frame of the run (1 GiB: maybe before the block)"),
            _int("pages", "pages", "pages of the run"),
            _id("workload?", "whose pages; null: the host itself"),
            _id("pin?", "pin that holds them; null: none"),
            _int("pins", "count", "pin references per page"),
            _int("refs", "count", "short references per page"),
            _word("path?", "fault path that put the pages there; null: kernel", *_PATHS),
        ),
    ),
    LogTable(
        "pins",
        "one long-term pin call group in one memory block by one fault path (or its failure)",
        (
            _id("pin", "pin call group; several rows when it spans blocks"),
            _HOST,
            _id("workload", "workload that pins"),
            _int("time_ns", "ns", "when it was asked"),
            _small("errno", "errno", _ERRNO),
            _small("zone?", "zone", f"null: nothing was pinned; {_ZONE}"),
            _int("block?", "block", "memory block; null: nothing was pinned"),
            _word("path?", "fault path; null: nothing was pinned", *_PATHS),
            _int("pinned_pages", "pages", "pinned here"),
            _int("faulted_pages", "pages", "of them faulted in by the pin"),
            _int("migrated_pages", "pages", "of them migrated before the pin"),
            _int("failed_pages", "pages", "migrations that failed"),
            _int("latency_ns", "ns", "this row's share of what the caller waited"),
        ),
    ),
    LogTable(
        "migrations",
        "folios of one order moved between two zones for one cause",
        (
            _HOST,
            _int("time_ns", "ns", "when they moved"),
            _word(
                "reason", "enum migrate_reason; unpin: back to ZONE_MOVABLE after a pin",
                "memory_hotplug", "longterm_pin", "syscall", "unpin",
            ),
            _id("cause?", "attempt (memory_hotplug) or pin (longterm_pin, unpin); null: a syscall"),
            _small("zone_from", "zone", _ZONE),
            _small("zone_to", "zone", _ZONE),
            _small("folio_order", "order", "folios of 2**order pages"),
            _int("folios", "count", "folios moved"),
            _int("pages", "pages", "base pages moved"),
            _int("bytes", "bytes", "bytes moved"),
            _int("latency_ns", "ns", "time the moving took"),
        ),
    ),
    LogTable(
        "slowdowns",
        "pages of one workload that could not be used for a while, for one cause",
        (
            _HOST,
            _int("time_ns", "ns", "when it is told: with the end of the command or attempt"),
            _word(
                "reason", "as in migrations; suspended: an attempt had a mapping taken away",
                "memory_hotplug", "longterm_pin", "syscall", "unpin", "suspended",
            ),
            _id("cause?", "attempt (memory_hotplug, suspended) or pin; null: a syscall"),
            _id("workload?", "whose pages; null: the host's own, or nobody's any more"),
            _int("unmaps", "count", "times a folio was unmapped, moved or not; mappings suspended"),
            _int("unavailable_ns", "ns", "time in which one of its folios was unmapped, summed"),
        ),
    ),
    LogTable(
        "incidents",
        "one event nobody asked for",
        (
            _id("incident", "incident"),
            _HOST,
            _int("time_ns", "ns", "when"),
            _word("kind", "what happened", "reset", "oom_kill", "panic", "pin_failed",
                  "pin_stuck"),
            _id("workload?", "workload hit; null: the host itself"),
            _id("cause?", "request (reset) or pin that set it off; null: none"),
            _int("pages", "pages", "pages freed, lost or not pinned"),
            _word("mechanism", "how: the watchdog, or the call that failed"),
        ),
        ("incident",),
    ),
    LogTable(
        "host_samples",
        "state of one zone of one host at a sampling time",
        (
            _HOST,
            _int("time_ns", "ns", "sampling time"),
            _small("zone", "zone", _ZONE),
            _int("managed_pages", "pages", "managed by the buddy allocator"),
            _int("free_pages", "pages", "free"),
            _int("min_pages", "pages", "min watermark"),
            _int("pinned_pages", "pages", "under a long-term pin"),
            _int("file_pages", "pages", "page cache"),
            _int("anon_pages", "pages", "anonymous, THP included"),
            _int("kernel_pages", "pages", "unmovable kernel memory"),
            _int("blocks_online", "blocks", "memory blocks online in the zone"),
            _int("blocks_pinned", "blocks", "of them holding a pinned page"),
        ),
        ("host", "time_ns", "zone"),
    ),
    LogTable(
        "commands",
        "one decision of the coordinator",
        (
            _id("command", "command"),
            _id("host?", "host it is for; null: none fits"),
            _int("time_ns", "ns", "when it takes effect on the host"),
            _int("decided_ns", "ns", "when it was decided"),
            _word(
                "kind", "what was decided", "place", "evict", "offline", "retry", "reset",
                "replace", "withdraw",
            ),
            _id("workload?", "workload it is about; null: none"),
            _id("request?", "request it is about; null: none"),
            _int("first_block?", "block", "first memory block; null: none"),
            _int("nr_blocks?", "blocks", "memory blocks; null: none"),
        ),
        ("command",),
    ),
)  # fmt: skip

TABLES: dict[str, LogTable] = {table.name: table for table in _TABLES}
SCHEMAS: dict[str, pa.Schema] = {table.name: table.schema for table in _TABLES}
