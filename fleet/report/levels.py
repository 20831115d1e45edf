"""95 % intervals of differences of levels: what a replication has (a quantile, a least), no sum.

One replication in a hundred may differ by many times the scatter of the others, and a run of ten
mostly has none such: its mean is then off by more than any interval made of that scatter reaches.
So levels are compared by their middle, which is told by counting, whatever else they do.
"""

from collections.abc import Sequence
from math import comb

from fleet.report.intervals import IDENTICAL, SAME, SINGLE, Interval, Units

METHOD = "order statistics of the median"
LEAST = 6
"""Units that an interval takes: all of five lie on one side of their median one time in sixteen."""
TOO_FEW = f"the middle of fewer than {LEAST} replications has no 95 % interval"
ODDS = 40
"""Two tails of 2.5 % are one part in forty each."""


def middle(values: Sequence[float]) -> float:
    """Return the median."""
    ordered, count = sorted(values), len(values)
    return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2


def changes(a: Units, b: Units) -> list[int]:
    """Return what each unit differs by."""
    return [y - x for x, y in zip(a.x, b.x, strict=True)]


def beyond(count: int) -> int:
    """Return how many of ``count`` values to leave out at either end; -1: too few for any interval.

    Each lies below the median by a coin. The interval from the k-th smallest to the k-th largest
    misses it when fewer than k lie on one side of it: the most k is taken whose chance is at most
    5 %. That holds for any distribution; where values are equal it is less (e.g. Conover,
    Practical Nonparametric Statistics, 3rd edition (1999), section 3.2).
    """
    out, ways = -1, 1
    while ODDS * ways <= 2**count:
        out += 1
        ways += comb(count, out + 1)
    return out


def level(a: Units, b: Units) -> Interval:
    """Return the interval of the median of what units differ by: one level per unit."""
    if len(a.x) < 2:
        return Interval(None, None, METHOD, SINGLE)
    ordered = sorted(changes(a, b))
    if not any(ordered):
        return Interval(0.0, 0.0, IDENTICAL, SAME)
    out = beyond(len(ordered))
    if out < 0:
        return Interval(None, None, METHOD, TOO_FEW)
    return Interval(ordered[out], ordered[-1 - out], METHOD)


def level_p(a: Units, b: Units) -> float | None:
    """Return the two-sided p-value of no difference: the exact sign test of the units that differ.

    None when nothing can be tested: a single unit, or none that differs.
    """
    shifts = [shift for shift in changes(a, b) if shift]
    if len(a.x) < 2 or not shifts:
        return None
    fewer = min(sum(shift < 0 for shift in shifts), sum(shift > 0 for shift in shifts))
    ways = sum(comb(len(shifts), k) for k in range(fewer + 1))
    chances: int = 2 ** len(shifts)
    return min(2 * ways / chances, 1.0)
