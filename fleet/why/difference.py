"""Where two runs part: the first row that differs, what came before it, and what changed in sum.

Files whose bytes are equal are not opened. A table that is ordered by time parts at its first row
that differs; of tables of ids (``workloads``, ``requests``) every row that differs has a time.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from fleet.errors import InputError
from fleet.log import paths
from fleet.why.source import Source
from queries.catalog import parse_part

Row = dict[str, Any]
Part = tuple[str, str, int, int]
"""Table, arm, replication, shard."""
DEMANDED = frozenset(
    {"memory_pages", "backing", "vfio", "flows", "kind", "host", "first_block", "nr_blocks"}
)
"""Columns that are known when a row begins; others only become known when it ends."""

STAMPS: dict[str, tuple[str, ...]] = {
    "hosts": (),
    "commands": ("decided_ns", "time_ns"),
    "pins": ("time_ns",),
    "migrations": ("time_ns",),
    "slowdowns": ("time_ns",),
    "incidents": ("time_ns",),
    "attempts": ("start_ns", "end_ns"),
    "blockers": (),
    "requests": ("issued_ns", "started_ns", "ended_ns"),
    "workloads": ("arrived_ns", "placed_ns", "ended_ns"),
    "host_samples": ("time_ns",),
}
"""Tables in the order in which rows of one time are told, and their columns of time."""
BY_ID = ("hosts", "workloads", "requests")

SUMS = """
SELECT 'requests ' || outcome AS what, 'requests' AS unit, count(*) AS value FROM requests
WHERE arm = $arm AND rep = $rep GROUP BY ALL
UNION ALL SELECT 'requests reset', 'requests', count(*) FROM requests
WHERE arm = $arm AND rep = $rep AND reset
UNION ALL SELECT 'attempts', 'attempts', count(*) FROM attempts WHERE arm = $arm AND rep = $rep
UNION ALL SELECT 'offline passes', 'passes', coalesce(sum(passes), 0)::BIGINT FROM attempts
WHERE arm = $arm AND rep = $rep
UNION ALL SELECT 'migrated, ' || reason, 'pages', sum(pages)::BIGINT FROM migrations
WHERE arm = $arm AND rep = $rep GROUP BY ALL
UNION ALL SELECT 'pages away, ' || reason, 'ns', sum(unavailable_ns)::BIGINT FROM slowdowns
WHERE arm = $arm AND rep = $rep GROUP BY ALL
UNION ALL SELECT 'pins', 'pins', count(DISTINCT pin) FROM pins WHERE arm = $arm AND rep = $rep
UNION ALL SELECT 'pinned', 'pages', coalesce(sum(pinned_pages), 0)::BIGINT FROM pins
WHERE arm = $arm AND rep = $rep
UNION ALL SELECT 'incidents ' || kind, 'incidents', count(*) FROM incidents
WHERE arm = $arm AND rep = $rep GROUP BY ALL
UNION ALL SELECT 'workloads ' || outcome, 'workloads', count(*) FROM workloads
WHERE arm = $arm AND rep = $rep GROUP BY ALL
UNION ALL SELECT 'lost', 'flow-us', coalesce(sum(flow_us_lost), 0)::BIGINT FROM workloads
WHERE arm = $arm AND rep = $rep
ORDER BY ALL
"""


@dataclass(frozen=True)
class Parting:
    """The first row in which a unit of two runs differs.

    Attributes
    ----------
    time_ns : int
        When it differs; 0 for what has no time.
    table, arm, rep : str, str, int
    host : int or None
    row : int
        Number of the row within its table and shard.
    a, b : dict or None
        The rows; None where a run has no more.
    columns : list of str
        What differs between them.
    """

    time_ns: int
    table: str
    arm: str
    rep: int
    host: int | None
    row: int
    a: Row | None
    b: Row | None
    columns: list[str]


def fields(a: Source, b: Source) -> list[dict[str, Any]]:
    """Return the fields in which two resolved scenarios differ: path and both values."""
    ours, theirs = (_flat(_scenario(source.folder)) for source in (a, b))
    return [
        {"field": path, "a": ours.get(path), "b": theirs.get(path)}
        for path in dict.fromkeys([*ours, *theirs])
        if ours.get(path) != theirs.get(path)
    ]


def _scenario(folder: Path) -> Any:
    file = folder / paths.SCENARIO
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError("unreadable scenario; fleet verify says more", where=str(file)) from error


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Return the leaves of nested mappings and lists by their paths."""
    if isinstance(value, dict):
        items = [(f"{path}.{key}" if path else str(key), item) for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        items = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    else:
        return {path: value}
    return {key: leaf for name, item in items for key, leaf in _flat(item, name).items()}


def first_parting(a: Source, b: Source) -> Parting | None:
    """Return the first difference of all units that both runs have; None when they are equal."""
    found = [parting for part in _differing(a, b) if (parting := _parting(a, b, part)) is not None]
    order = list(STAMPS)
    units = list(a.units)

    def key(parting: Parting) -> tuple[int, int, int, int]:
        unit = units.index((parting.arm, parting.rep))
        return parting.time_ns, order.index(parting.table), unit, parting.host or 0

    return min(found, key=key, default=None)


def common(a: Source, b: Source) -> list[tuple[str, int]]:
    """Return the units that both runs have."""
    return [unit for unit in a.units if unit in set(b.units)]


def _differing(a: Source, b: Source) -> list[Part]:
    """Return (table, arm, rep, shard) of which a file differs."""
    ours, theirs = a.file_digests(), b.file_digests()
    units = set(common(a, b))
    names = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    found = dict.fromkeys(parse_part(name) for name in names)
    return [part for part in found if (part[1], part[2]) in units]


def _parting(a: Source, b: Source, part: Part) -> Parting | None:
    """Return the first difference within a table and shard."""
    ours, theirs = (source.shard_rows(*part) for source in (a, b))
    differs = _mask(ours, theirs)
    if part[0] in BY_ID:
        rows = [i for i, value in enumerate(differs.to_pylist()) if value]
        rows += [len(differs)] if len(ours) != len(theirs) else []
    else:
        at = pc.index(differs, True).as_py()
        at = len(differs) if at < 0 else at
        rows = [at] if at < max(len(ours), len(theirs)) else []
    found = [_at(a, ours, theirs, part, row) for row in rows]
    return min(found, key=lambda p: (p.time_ns, p.row), default=None)


def _mask(ours: pa.Table, theirs: pa.Table) -> pa.Array:
    """Return which of the common first rows differ."""
    count = min(len(ours), len(theirs))
    mask = pa.array([False] * count, pa.bool_())
    for name in ours.schema.names:
        left, right = (t[name].slice(0, count).combine_chunks() for t in (ours, theirs))
        same = pc.fill_null(pc.equal(left, right), False)
        both = pc.and_(pc.is_null(left), pc.is_null(right))
        mask = pc.or_(mask, pc.invert(pc.or_(same, both)))
    return mask


def _at(source: Source, ours: pa.Table, theirs: pa.Table, part: Part, row: int) -> Parting:
    """Describe the difference in one row."""
    table, arm, rep, _ = part
    a, b = (t.slice(row, 1).to_pylist() for t in (ours, theirs))
    one, other = (rows[0] if rows else None for rows in (a, b))
    both = one is not None and other is not None
    columns = [n for n in ours.schema.names if both and one[n] != other[n]] if both else []  # type: ignore[index]
    known = [found for found in (one, other) if found is not None]
    time_ns = min(_time_ns(source, part, found, columns) for found in known)
    return Parting(time_ns, table, arm, rep, known[0]["host"], row, one, other, columns)


def _time_ns(source: Source, part: Part, row: Row, columns: list[str]) -> int:
    """Return when a row differs: its first time that does, or when what differs became known."""
    table, arm, rep, _ = part
    if table == "blockers":
        same = source.rows("attempts", arm, rep, attempt=row["attempt"]).to_pylist()
        return int((same[0]["end_ns"] or same[0]["start_ns"]) if same else 0)
    stamps = [name for name in STAMPS[table] if row[name] is not None]
    if not stamps:
        return 0
    own = [row[name] for name in stamps if name in columns]
    early = not columns or not DEMANDED.isdisjoint(columns)
    return max(int(min(own) if own else row[stamps[0 if early else -1]]), 0)


def sums(a: Source, b: Source) -> list[dict[str, Any]]:
    """Return totals of each common unit that differ: what, unit, in a, in b."""
    found = []
    for arm, rep in common(a, b):
        names = {"arm": arm, "rep": rep}
        each = [
            {(r["what"], r["unit"]): r["value"] for r in s.catalog.query(SUMS, names).to_pylist()}
            for s in (a, b)
        ]
        for what, unit in sorted({*each[0], *each[1]}):
            values = [side.get((what, unit), 0) for side in each]
            if values[0] != values[1]:
                found.append({**names, "what": what, "unit": unit, "a": values[0], "b": values[1]})
    return found
