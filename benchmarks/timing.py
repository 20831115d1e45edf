"""CPU time, and ratios of sides that are measured in turns in one process.

Everything is CPU time of this process (user and system): the machine may be shared. Sides take
turns (A B A B ...), so that a change of the machine's speed meets all of them; a ratio is taken
within each turn, and its minimum, median and maximum over the turns are reported.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Side = Callable[[int], int]
"""Does the work of turn ``i`` and returns the CPU time of it in ns (set-up not counted)."""


def cpu_ns(work: Callable[[], object]) -> int:
    """Return the CPU time that a call takes, in ns."""
    start_ns = time.process_time_ns()
    work()
    return time.process_time_ns() - start_ns


def in_turns(sides: Sequence[Side], turns: int) -> NDArray[np.float64]:
    """Let the sides do turn 0, 1, ... one after the other.

    Turn -1 comes first and is not counted: it warms caches and memory of every side.

    Returns
    -------
    float64[turns, sides]
        CPU time in ns.
    """
    for side in sides:
        side(-1)
    return np.array([[side(turn) for side in sides] for turn in range(turns)], np.float64)


@dataclass(frozen=True, slots=True)
class Spread:
    """Minimum, median and maximum over the turns."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: ArrayLike) -> "Spread":
        """Return the spread of some values."""
        array = np.asarray(values, np.float64)
        return cls(float(array.min()), float(np.median(array)), float(array.max()))

    def __str__(self) -> str:
        """Write ``median (low to high)``."""
        return f"{number(self.median)} ({number(self.low)} to {number(self.high)})"


def number(value: float) -> str:
    """Write a figure with three significant digits and no exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 2 - int(np.floor(np.log10(abs(value))))
    return f"{value:,.{max(digits, 0)}f}"


def exponent(sizes: Sequence[float], times: Sequence[float]) -> float:
    """Fit ``time ~ size ** e`` by least squares on the logarithms and return ``e``."""
    if len(set(sizes)) < 2:
        raise ValueError("an exponent needs two sizes")
    slope, _ = np.polyfit(np.log(np.asarray(sizes)), np.log(np.asarray(times)), 1)
    return float(slope)
