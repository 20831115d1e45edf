"""The shape of what was recorded of one operation, as far as it is compared.

A field that is there must have its type; whether it has to be there depends on the operation, and
shows when it is compared. Everything else a line holds is left alone.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fleet.scenario.yamlpos import show_path

Count = Annotated[int, Field(strict=True, ge=0)]
Number = Annotated[str, Field(pattern=r"^\d+$")]
Text = Annotated[str, Field(strict=True)]


class _Part(BaseModel):
    """Fields that are compared; others are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Dist(_Part):
    """Where a buffer lay."""

    pages: Count
    absent: Count
    moved_since_last: Count
    thp: Count
    lru: Count
    by_zone: dict[str, Count]
    by_block: dict[Number, Count]
    by_node_zone: dict[str, Count] = {}
    hugetlb: Count = 0


_NO_DIST = _Dist(
    pages=0, absent=0, moved_since_last=0, thp=0, lru=0, by_zone={}, by_block={}
)  # fmt: skip
"""Stands for a distribution that is not there."""


class _Zone(_Part):
    """One zone's counters."""

    free: Count


class _Round(_Part):
    """One round of a ``repin``."""

    pin_result: Text
    moved: Count


class _Block(_Part):
    """One block of an ``offlineall``."""

    block: Count
    result: Text


class _Observed(_Part):
    """What a record may hold."""

    errno: Text = ""
    pin_result: Text = ""
    result: Text = ""
    value: Text = ""
    pin_pages: Count = 0
    pinned_blocks: list[Count] = []
    hot_blocks: dict[Number, Text] = {}
    dist: _Dist = _NO_DIST
    before: _Dist = _NO_DIST
    after: _Dist = _NO_DIST
    marked_block: Annotated[int, Field(strict=True)] = 0
    block: Count = 0
    target_block_pages_of_buffer: Count = 0
    rounds: list[_Round] = []
    blocks: list[_Block] | Count = []
    vmstat: dict[str, Annotated[int, Field(strict=True)]] = {}
    zones: dict[str, _Zone] = {}
    pageblocks: Count = 0
    va_runs: Count = 0
    phys_runs: Count = 0
    block_seq: list[Annotated[list[Count], Field(min_length=2, max_length=2)]] = []
    steps: Count = 0
    present_pages: Count = 0
    freed_pages: Count = 0
    turned_pages: Count = 0
    pageblocks_both: Count = 0
    pageblocks_a_only: Count = 0
    pageblocks_b_only: Count = 0
    overlap_pages: Count = 0
    c_pages: Count = 0


def fault(seen: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return field and reason of the first thing that is malformed in a record, or None."""
    try:
        _Observed.model_validate(dict(seen))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = tuple(part for part in first["loc"] if part not in ("list[_Block]", "[key]"))
        return show_path(
            path
        ), f"{first['msg'][0].lower()}{first['msg'][1:]}, got {first['input']!r}"
    return None
