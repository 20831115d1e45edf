"""Numbers as a page spells them, where ``fleet.report.units`` has no word for it."""

from collections.abc import Callable
from functools import cache
from typing import Any

from fleet.report import units

FORMS: dict[str, Callable[[Any], str]] = {
    "share": units.percent, "bytes": units.size, "ns": units.time, "page-ns": units.time,
    "pages": units.pages, "flow-s": units.digits, "count": units.digits,
}  # fmt: skip
"""By the unit of a comparison, how its value is spelled."""


def later(value: int | None) -> str:
    """Nanoseconds; None lies beyond the deadline."""
    return "> deadline" if value is None else units.time(value)


def bound(requests: int) -> str:
    """The rate that zero of so many leave possible: 3/n, the "rule of three"."""
    return f"below {units.percent(min(3 / requests, 1.0))}"


@cache
def signed(unit: str) -> Callable[[Any], str]:
    """Return how a difference of that unit is spelled: with its sign, shares in points."""

    def form(value: float) -> str:
        if unit == "share":
            return f"{units.points(value)} pt"
        return ("+" if value > 0 else "-" if value < 0 else "") + FORMS[unit](abs(value))

    form.__name__ = f"signed_{unit}"
    return form


@cache
def width(unit: str) -> Callable[[Any], str]:
    """Return how a margin of that unit is spelled: without a sign, shares in points."""

    def form(value: float) -> str:
        return f"{units.digits(100 * value)} pt" if unit == "share" else FORMS[unit](value)

    form.__name__ = f"width_{unit}"
    return form
