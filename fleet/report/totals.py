"""95 % intervals of differences of sums (bytes, times, pages): score intervals of unequal events.

A few units may carry most of such a sum, to one side: what a run has not seen is on the side where
more of it would lie. ``docs/statistics.md`` says how they do on what the engine does.
"""

from dataclasses import dataclass
from math import copysign, fsum, sqrt

from fleet.report.intervals import (
    HALVINGS,
    IDENTICAL,
    SAME,
    SINGLE,
    Interval,
    Units,
    residuals,
    standard_error,
    t_quantile,
)

METHOD = "score of what units differ by"


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the units of two arms differ by, all as parts of the difference of the ratios.

    Attributes
    ----------
    down, up : float
        Sums over units of what the second arm has less, and more.
    variance : float
        Of the difference, robust to what units share.
    unseen : float
        Size of an event that was not seen.
    """

    down: float
    up: float
    variance: float
    unseen: float

    @property
    def difference(self) -> float:
        return self.up - self.down

    @property
    def mass(self) -> float:
        """Sum of all changes."""
        return self.up + self.down

    @property
    def size(self) -> float:
        """Of an event: so many equal ones of it have the sum and the variance that were seen."""
        return self.variance / self.mass if self.mass else 0.0

    def variance_under(self, delta: float) -> float:
        """Return the variance of the difference if ``delta`` is the true one."""
        more = _mass_under(self.down, self.up, delta) - self.mass
        return self.variance + (max(self.size, self.unseen) if more > 0 else self.size) * more


def total(a: Units, b: Units, whole: float = 0.0) -> Interval:
    """Return the score interval of a difference of two ratios of sums.

    What units differ by is taken as Poisson numbers of equal events, less and more, that have the
    sum of the changes and their variance (Fay and Feuer, Statistics in Medicine 16 (1997), pp.
    791-801; the variance is the unit-robust one, so what comes together counts as one event). The
    interval holds the true differences within Student's quantile of the estimate under the
    variance that *they* would have, their likeliest numbers of events constrained to that
    difference: Tango's score (Statistics in Medicine 17 (1998)) for things that are many. It
    reaches further to the side on which more events would lie.

    Parameters
    ----------
    a, b : Units
        Per unit the sums ``x`` over ``n`` things in both arms.
    whole : float
        Size that an event can have, seen or not, in units of ``x``: what was seen may have been
        small by luck. Fay and Feuer give the event that their upper limit adds the largest weight.
        Where no unit differs it is all there is: the bound that the number of things gives.
    """
    if len(a.x) < 2:
        return Interval(None, None, METHOD, SINGLE)
    if not whole and not differing(a, b):
        return Interval(0.0, 0.0, IDENTICAL, SAME)
    seen = _seen(a, b, whole)
    if seen.variance == 0.0 and seen.mass:
        return Interval(None, None, METHOD, "all units differ by the same amount")
    quantile = t_quantile(len(a.x) - 1)
    return Interval(_bound(seen, quantile, -1.0), _bound(seen, quantile, 1.0), METHOD)


def total_p(a: Units, b: Units) -> float | None:
    """Return the two-sided p-value of no difference by ``total``, whatever ``whole`` is.

    None when nothing can be tested: a single unit, or all differ by the same amount (none at all).
    Under no difference the likeliest number of events is the one seen: it is the paired t-test's.
    """
    from scipy.stats import t

    if len(a.x) < 2:
        return None
    seen = _seen(a, b, 0.0)
    if seen.variance == 0.0:
        return None
    distance = abs(seen.difference) / sqrt(seen.variance)
    return float(2 * t.sf(distance, len(a.x) - 1))


def differing(a: Units, b: Units) -> int:
    """Return how many units differ between the arms."""
    return sum(pair[:2] != pair[2:] for pair in zip(a.x, a.n, b.x, b.n, strict=True))


def _seen(a: Units, b: Units, whole: float) -> _Seen:
    size_a, size_b = sum(a.n), sum(b.n)
    changes = [y / size_b - x / size_a for x, y in zip(a.x, b.x, strict=True)]
    return _Seen(
        down=-fsum(change for change in changes if change < 0),
        up=fsum(change for change in changes if change > 0),
        variance=standard_error(residuals(a, b)) ** 2,
        unseen=whole / max(size_a, size_b),
    )


def _mass_under(down: float, up: float, delta: float) -> float:
    """Return the likeliest sum of two Poisson numbers that differ by ``delta``.

    The root of the likelihood equation up / (m + delta) + down / (m - delta) = 1 for their sum m.
    """
    root = sqrt(max((2 * delta - up - down) ** 2 + 8 * down * delta, 0.0))
    return (root + up + down) / 2


def _bound(seen: _Seen, quantile: float, side: float) -> float:
    """Return the end of the interval to one side, by halving what is between it and too far.

    The mass grows by at most the difference, so the bound of a variance that grows so fast lies
    outside. Where no difference at all lies outside, so does what is beyond it: the mass falls
    and rises again on the way there, and events not seen can make that the more likely.
    """
    square = quantile * quantile
    size = max(seen.size, seen.unseen)
    reach = square * size / 2 + sqrt(square * size * square * size / 4 + square * seen.variance)

    def holds(delta: float) -> bool:
        distance = delta - seen.difference
        return distance * distance <= square * seen.variance_under(delta)

    near, far = seen.difference, seen.difference + copysign(reach, side)
    if min(near, far) < 0 < max(near, far) and not holds(0.0):
        far = 0.0
    for _ in range(HALVINGS):
        middle = (near + far) / 2
        near, far = (middle, far) if holds(middle) else (near, middle)
    return near
