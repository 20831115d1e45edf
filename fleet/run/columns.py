"""Rows of the event log as integer matrices, and their way to named columns.

A ``Batch`` is an int64 matrix per (table, shard): three leading columns ``time_ns, host, sequence``
that order the rows, then the table's columns in schema order, words as codes. ``sequence`` counts
the engine calls of one host; rows of one call stay in the order in which they were made.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fleet.log.tables import NULL, TABLES
from fleet.plan.backing import Backing

Matrix = NDArray[np.int64]

LEAD = 3
"""Leading columns: time, host, sequence."""

MECHANISMS = (
    "watchdog", "oom_killer", "panic_on_oom", "pin_user_pages", "too_many_isolated",
)  # fmt: skip
"""Words of ``incidents.mechanism``."""

BACKINGS = tuple(backing.name.lower() for backing in Backing)
"""Words of ``workloads.backing``, indexed by ``fleet.plan.backing.Backing``."""

_EXTRA_WORDS = {("incidents", "mechanism"): MECHANISMS, ("workloads", "backing"): BACKINGS}


class Batch(NamedTuple):
    """Rows of one table and shard."""

    table: str
    shard: int
    rows: Matrix


def width(table: str) -> int:
    """Number of matrix columns of a table, the leading ones included."""
    return LEAD + len(TABLES[table].columns)


@cache
def code(table: str, column: str, word: str) -> int:
    """Return the code of a word."""
    return _words(table, column).index(word)


def _words(table: str, column: str) -> tuple[str, ...]:
    extra = _EXTRA_WORDS.get((table, column))
    if extra is not None:
        return extra
    (spec,) = (c for c in TABLES[table].columns if c.name == column)
    return spec.values


def matrix(table: str, rows: Sequence[Sequence[int]]) -> Matrix:
    """Turn rows (leading columns included) into a matrix."""
    return np.array(rows, np.int64).reshape(len(rows), width(table))


def in_order(parts: Iterable[Matrix]) -> Matrix:
    """Join matrices and sort them by (time, host, sequence), equal keys as they came."""
    joined = np.concatenate(list(parts))
    order = np.lexsort((joined[:, 2], joined[:, 1], joined[:, 0]))
    return joined[order]


def named(
    table: str,
    rows: Matrix,
    lead: int = LEAD,
    words: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Return the table's columns as the writer takes them: integers, booleans, words.

    ``lead`` columns of the matrix come before those of the table; ``words`` has those of columns
    whose words only the run knows.
    """
    found: dict[str, Any] = {}
    for index, column in enumerate(TABLES[table].columns):
        values = np.ascontiguousarray(rows[:, lead + index])
        if column.type == "bool":
            found[column.name] = values.astype(np.bool_)
        elif column.type == "string":
            codes = pa.array(values, mask=values == NULL)
            known = (words or {}).get(column.name) or _words(table, column.name)
            found[column.name] = pa.array(known, pa.string()).take(codes)
        else:
            found[column.name] = values
    return found
