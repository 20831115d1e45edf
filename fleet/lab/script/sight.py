"""What is seen of one step: rows of the engine and the driver's own observations as plain fields.

The fields below are what `expect` may name, what decides whether two arms differ, and what JSON
holds; a field that does not apply to an operation is absent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.enums import (
    ZONES_PER_NODE,
    BlockerClass,
    Errno,
    FaultPath,
    Incident,
    MigrateReason,
    OfflineReason,
    Op,
    Row,
    SlowReason,
    ZoneKind,
)
from engine.rows import COLUMNS, FIRST
from fleet.hosts.zones import zone_name
from fleet.lab.machine import Ints

FIELDS: Mapping[str, str] = {
    "errno": "errno of the operation, 0 or a name",
    "pin_result": "errno of the pin",
    "pinned_movable_pages": "pages pinned in ZONE_MOVABLE",
    "pinned_elsewhere_pages": "pages pinned outside ZONE_MOVABLE",
    "faulted_pages": "pages faulted in",
    "fallbacks": "huge faults that found no huge page and fell back to base pages",
    "reclaimed_pages": "page cache dropped to make room",
    "moved_for_pin_pages": "pages moved out of ZONE_MOVABLE before a pin",
    "left_for_pin_pages": "pages that could not be moved before a pin",
    "result": "result of an offline: ok, EINTR_after_bound, EBUSY, ..",
    "reason": "why it ended",
    "block": "the memory block",
    "endless": "true: the loop repeats itself and would never end",
    "passes": "passes over the block",
    "moved_pages": "pages that the offline moved",
    "failed_tries": "pages that it tried and failed to move, all passes together",
    "blocked_by": "what keeps the block: classes, longterm_pin, short_reference, no_room, ..",
    "blocking_pages": "pages that keep the block",
    "movable_pages": "pages of the buffer in ZONE_MOVABLE afterwards",
    "elsewhere_pages": "pages of the buffer outside ZONE_MOVABLE afterwards",
    "absent_pages": "pages of the buffer that are not there",
    "thp_pages": "pages of the buffer in huge folios",
    "died": "oom-killed, stuck (in a pin) or kernel-panic",
    "time_ns": "how long the caller waited, by the cost model",
}
"""Fields of a step."""

END_FIELDS: Mapping[str, str] = {
    "fate": "finished, oom-killed, stuck or kernel-panic",
    "oom_kills": "processes that the OOM killer took",
}
"""Fields of the end of a script."""

FAULTING = frozenset({Op.TOUCH, Op.READ})
"""Commands about an area that fault pages in; a pin says so in rows of its own."""

TIMES = frozenset({"time_ns"})
"""Fields that alone do not make two arms differ."""

Seen = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One step as it went.

    Attributes
    ----------
    number : int
        From 1.
    op : str
        The operation as written.
    label, note : str or None
        As in the script.
    seen : dict
        ``FIELDS`` that apply.
    details : dict
        ``pins``, ``migrations``, ``attempts``, ``blockers``, ``incidents``: one mapping per row
        of the engine.
    drawn : int64[nr_blocks, 7] or None
        Memory blocks at this point (``map``), or while an offline ran that did not succeed.
    """

    number: int
    op: str
    label: str | None
    note: str | None
    seen: Seen
    details: dict[str, list[Any]]
    drawn: Ints | None = None


def table(rows: Ints, kind: Row) -> list[dict[str, int]]:
    """Rows of one kind as mappings, in order."""
    mine = rows[rows[:, 1] == kind]
    names = COLUMNS[kind]
    return [dict(zip(names, row[FIRST:].tolist(), strict=False)) for row in mine]


def is_movable(zone: int) -> bool:
    """Whether a zone id is a ZONE_MOVABLE."""
    return zone >= 0 and zone % ZONES_PER_NODE == ZoneKind.MOVABLE


class Sight:
    """Turns the rows of a step into fields and details.

    Parameters
    ----------
    rows : int64[n, 18]
        What the engine said during the step.
    owners : mapping of int to str
        Area slot -> name of the buffer.
    """

    def __init__(self, rows: Ints, owners: Mapping[int, str]) -> None:
        self._rows, self._owners = rows, owners

    def fields(self) -> Seen:
        """Fields that follow from the engine's rows."""
        return {**self._faults(), **self._pins(), **self._offlines()}

    def details(self) -> dict[str, list[Any]]:
        """Everything the engine said, in names; empty lists left out."""
        found = {
            "pins": [self._pin(row) for row in table(self._rows, Row.PIN)],
            "migrations": [_migration(row) for row in table(self._rows, Row.MIGRATION)],
            "slowdowns": [self._slowdown(row) for row in table(self._rows, Row.SLOWED)],
            "attempts": [_attempt(row) for row in self._attempts()],
            "blockers": [self._blocker(row) for row in table(self._rows, Row.BLOCKER)],
            "incidents": [_incident(row) for row in table(self._rows, Row.INCIDENT)],
        }
        return {name: rows for name, rows in found.items() if rows}

    def offline_ns(self) -> int:
        """Time that offlines took."""
        return sum(row["end_ns"] - row["start_ns"] for row in self._attempts())

    def _attempts(self) -> list[dict[str, int]]:
        """Attempts that ended."""
        rows = table(self._rows, Row.ATTEMPT)
        return [row for row in rows if row["reason"] != OfflineReason.RUNNING]

    def _faults(self) -> Seen:
        """Pages of buffers faulted in, fallbacks and reclaim."""
        results = table(self._rows, Row.RESULT)
        pins = table(self._rows, Row.PIN)
        mine = [r for r in results if r["op"] in FAULTING and r["slot"] in self._owners]
        total = {
            "faulted_pages": sum(r["faulted_pages"] for r in [*mine, *pins]),
            "reclaimed_pages": sum(r["reclaimed_pages"] for r in results),
            "fallbacks": sum(r["thp_fallbacks"] for r in mine),
        }
        return {name: pages for name, pages in total.items() if pages}

    def _pins(self) -> Seen:
        """Where a pin's pages are and what it moved."""
        pins = table(self._rows, Row.PIN)
        if not pins:
            return {}
        there = sum(r["pinned_pages"] for r in pins if is_movable(r["zone"]))
        return {
            "pinned_movable_pages": there,
            "pinned_elsewhere_pages": sum(r["pinned_pages"] for r in pins) - there,
            "moved_for_pin_pages": sum(r["migrated_pages"] for r in pins),
            "left_for_pin_pages": sum(r["failed_pages"] for r in pins),
        }

    def _offlines(self) -> Seen:
        """How offlines ended."""
        rows = self._attempts()
        if not rows:
            return {}
        blockers = table(self._rows, Row.BLOCKER)
        seen: Seen = {
            "reason": _joined(OfflineReason(r["reason"]).name.lower() for r in rows),
            "endless": any(r["endless"] for r in rows),
            "passes": sum(r["passes"] for r in rows),
            "moved_pages": sum(r["migrated_pages"] for r in rows),
            "failed_tries": sum(r["failed_pages"] for r in rows),
        }
        if len(rows) == 1:
            seen["block"] = rows[0]["first_block"]
        if blockers:
            seen["blocked_by"] = _joined(_class(r) for r in blockers)
            seen["blocking_pages"] = sum(r["pages"] for r in blockers)
        return seen

    def _pin(self, row: dict[str, int]) -> dict[str, Any]:
        return {
            "buffer": self._owners.get(row["area"], ""),
            "errno": Errno(row["errno"]).name,
            "zone": zone_name(row["zone"]),
            "block": row["block"],
            "path": _path(row["path"]),
            **{k: row[k] for k in (
                "pinned_pages", "faulted_pages", "migrated_pages", "failed_pages", "latency_ns",
            )},
        }  # fmt: skip

    def _slowdown(self, row: dict[str, int]) -> dict[str, Any]:
        return {
            "reason": SlowReason(row["reason"]).name.lower(),
            "buffer": self._owners.get(row["area"], ""),
            **{k: row[k] for k in ("unmaps", "unavailable_ns")},
        }

    def _blocker(self, row: dict[str, int]) -> dict[str, Any]:
        return {
            "block": row["block"],
            "class": _class(row),
            "zone": zone_name(row["zone"]),
            "first_pfn": row["pfn_first"],
            "pages": row["pages"],
            "buffer": self._owners.get(row["area"], ""),
            "pins": row["pins"],
            "references": row["references"],
        }


def _class(row: dict[str, int]) -> str:
    return BlockerClass(row["class"]).name.lower()


def _path(value: int) -> str:
    return FaultPath(value).name.lower() if value in list(FaultPath) else ""


def _joined(words: Any) -> str:
    """Distinct words in order of first use."""
    return ",".join(dict.fromkeys(words))


def _migration(row: dict[str, int]) -> dict[str, Any]:
    return {
        "reason": MigrateReason(row["reason"]).name.lower(),
        "from": zone_name(row["zone_from"]),
        "to": zone_name(row["zone_to"]),
        **{k: row[k] for k in ("folio_order", "folios", "pages", "latency_ns")},
    }


def _attempt(row: dict[str, int]) -> dict[str, Any]:
    return {
        "block": row["first_block"],
        "errno": Errno(row["errno"]).name,
        "reason": OfflineReason(row["reason"]).name.lower(),
        "passes": row["passes"],
        "moved_pages": row["migrated_pages"],
        "failed_tries": row["failed_pages"],
        "endless": bool(row["endless"]),
        "time_ns": row["end_ns"] - row["start_ns"],
    }


def _incident(row: dict[str, int]) -> dict[str, Any]:
    kind = Incident(row["incident"]).name.lower()
    return {"kind": kind, "process": row["proc"], "pages": row["pages"]}


def merged(rows: Sequence[Ints]) -> Ints:
    """All rows of a step in one table."""
    return np.concatenate(rows) if rows else np.zeros((0, FIRST), np.int64)
