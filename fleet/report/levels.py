"""95 % intervals of differences of levels: what a replication has (a quantile, a least), no sum."""

from collections.abc import Sequence
from math import fsum

from fleet.report.intervals import Interval, Units, residuals, standard_error, t_quantile

METHOD = "Student's t over units, freedom by kurtosis"


def freedom(rest: Sequence[float]) -> float:
    """Return the degrees of freedom of ``standard_error``: few where few units carry it all.

    Satterthwaite's (Biometrics Bulletin 2 (1946)): 2 var^2 over the variance of the variance,
    which by the residuals' kurtosis k is 2 G / (k - 1); at most G - 1.
    """
    count = len(rest)
    squares = fsum(e * e for e in rest) / count
    kurtosis = fsum(e**4 for e in rest) / count / squares**2 if squares else 1.0
    return min(max(2 * count / (kurtosis - 1), 1.0), count - 1) if kurtosis > 1 else count - 1


def level(a: Units, b: Units) -> Interval:
    """Return Student's t interval on the robust standard error."""
    if len(a.x) < 2:
        return Interval(None, None, METHOD, "a single unit says nothing about scatter")
    if list(a.x) == list(b.x) and list(a.n) == list(b.n):
        return Interval(0.0, 0.0, "identical in every unit", "the same in both arms, unit by unit")
    rest = residuals(a, b)
    error = standard_error(rest)
    if error == 0.0:
        return Interval(None, None, METHOD, "all units differ by the same amount")
    difference = sum(b.x) / sum(b.n) - sum(a.x) / sum(a.n)
    half = t_quantile(freedom(rest)) * error
    return Interval(difference - half, difference + half, METHOD)


def level_p(a: Units, b: Units) -> float | None:
    """Return the two-sided p-value of ``level``.

    None when nothing can be tested: a single unit, or all differ by the same amount (none at all).
    """
    from scipy.stats import t

    if len(a.x) < 2:
        return None
    difference = sum(b.x) / sum(b.n) - sum(a.x) / sum(a.n)
    rest = residuals(a, b)
    error = standard_error(rest)
    return float(2 * t.sf(abs(difference) / error, freedom(rest))) if error else None
