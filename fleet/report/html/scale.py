"""Axes: where a value lies between 0 and 1, and the round values that get a label."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor, inf, log10

from fleet.report import units

_ROUND_NS = (
    *(10**k for k in range(11)), *(60 * 10**9 * m for m in (1, 10, 60, 600, 6000, 60_000)),
)  # fmt: skip
"""Times people count in: decades up to 10 s, then 1 and 10 minutes, 1, 10, 100 and 1,000 hours."""


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from ``low`` to ``high``, linear or logarithmic, with labelled ticks.

    Attributes
    ----------
    low, high : float
        Ends of the axis; a logarithmic one needs ``low`` above 0.
    ticks : tuple of (float, str)
        Values and their labels.
    log : bool
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def at(self, value: float) -> float:
        """Return the place of a value, 0 to 1; what lies outside is put on the edge."""
        if self.log:
            value = max(value, self.low)
            place = (log10(value) - log10(self.low)) / (log10(self.high) - log10(self.low))
        else:
            place = (value - self.low) / (self.high - self.low)
        return min(max(place, 0.0), 1.0)


def shares(high: float) -> Scale:
    """Return an axis of shares from 0 to at least ``high``, in per cent."""
    return _linear(
        min(high, 1.0) or 0.05, lambda value: short(units.percent(value)), unit=0.01, cap=1.0
    )


def counts(high: float) -> Scale:
    """Return an axis of whole numbers from 0."""
    return _linear(max(high, 1), _count, whole=True)


def _count(value: float) -> str:
    """A tick of whole numbers: all digits below ten million, then words, which are shorter."""
    return f"{value:,.0f}" if value < 10**7 else short(units.digits(value))


def sizes(high: float) -> Scale:
    """Return an axis of bytes from 0, with ticks at round numbers of a binary unit."""
    high = max(high, 4096)
    unit = 1024 ** floor(log10(high) / log10(1024))
    return _linear(high, lambda value: short(units.size(round(value))), unit=unit)


def times(low: float, high: float) -> Scale:
    """Return a logarithmic axis of nanoseconds that begins and ends near ``low`` and ``high``."""
    low, high = max(low, 1) / 1.3, max(high, low, 1) * 1.1
    many = log10(high / low) > 2.5
    values = [m * base for base in _ROUND_NS for m in ((1,) if many else (1, 2, 5))]
    inside = [value for value in values if low <= value <= high]
    ticks = _apart(inside[:: ceil(len(inside) / 6)], 0.17 * log10(high / low))
    return Scale(low, high, tuple((value, short(units.time(value))) for value in ticks), True)


def _apart(values: list[int], decades: float) -> list[int]:
    """Leave out what is followed too closely by the next."""
    kept: list[int] = []
    for value in reversed(values):
        if not kept or log10(kept[-1] / value) >= decades:
            kept.append(value)
    return kept[::-1]


def clock(high: float) -> Scale:
    """Return an axis of simulated time from 0, in the unit that suits its end."""
    choices = (("s", 1e9), ("min", 60e9), ("h", 3600e9), ("d", 86400e9))
    name, unit = [c for c in choices if high >= 2 * c[1] or c[0] == "s"][-1]
    step = _step(high / unit)
    ticks = [(k * step * unit, f"{k * step:g}") for k in range(floor(high / unit / step) + 1)]
    ticks[-1] = (ticks[-1][0], f"{ticks[-1][1]} {name}")
    return Scale(0.0, max(high, 1.0), tuple(ticks))


def short(text: str) -> str:
    """Drop decimals that say nothing: ``1.50 GiB`` is ``1.5 GiB``, ``10.0 %`` ``10 %``."""
    return re.sub(r"\.0+(?!\d)|(\.\d*[1-9])0+(?!\d)", r"\1", text)


def _step(high: float, *, wanted: int = 4) -> float:
    """Return 1, 2 or 5 times a power of ten, so that about ``wanted`` steps make ``high``."""
    rough = high / wanted
    power = 10.0 ** floor(log10(rough)) if rough > 0 else 1.0
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.9999)


def _linear(
    high: float, label: Callable[[float], str], *, unit: float = 1.0, cap: float = inf,
    whole: bool = False,
) -> Scale:  # fmt: skip
    """Return an axis from 0 to the first tick at or above ``high``, at most ``cap``."""
    step = _step(high / unit) * unit
    if whole:
        step = max(round(step), 1)
    n = max(ceil(high / step - 1e-9), 1)
    ticks = [(k * step, label(k * step)) for k in range(n + 1) if k * step <= cap * 1.0001]
    if max(len(text) for _, text in ticks) > 6:
        ticks = ticks[:: ceil((len(ticks) - 1) / 3)]
    return Scale(0.0, min(n * step, cap), tuple(ticks))
