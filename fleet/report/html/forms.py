"""Numbers as a page spells them, where ``fleet.report.units`` has no word for it."""

from fleet.report import units


def later(value: int | None) -> str:
    """Nanoseconds; None lies beyond the deadline."""
    return "> deadline" if value is None else units.time(value)


def bound(requests: int) -> str:
    """The rate that zero of so many leave possible: 3/n, the "rule of three"."""
    return f"below {units.percent(min(3 / requests, 1.0))}"
