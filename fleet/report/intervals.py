"""95 % intervals and exact tests of paired differences between two arms, unit by unit.

A *unit* is what is taken as independent: a host of a replication (probes) or a whole replication
(everything with feedback). Per unit each arm has a sum ``x`` over ``n`` things; what is compared is
sum(x) / sum(n). ``docs/statistics.md`` says how the methods were chosen and how they do on what
the engine does.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, inf, sqrt

CONFIDENCE = 0.95
HALVINGS = 60
"""Halvings of a score interval's bounds: down to the last bit of a share."""

SCORE = "score (Tango), design effect of units"
IDENTICAL = "identical in every unit"
"""Method of an interval that there is none of: no unit differs (low and high are 0)."""
SAME = "the same in both arms, unit by unit"
SINGLE = "a single unit says nothing about scatter"

Integers = Sequence[int]


@dataclass(frozen=True, slots=True)
class Units:
    """One arm's sums, unit by unit, in the same order for both arms of a pair."""

    x: Integers
    n: Integers

    @property
    def ratio(self) -> float | None:
        """sum(x) / sum(n); None without anything counted."""
        return sum(self.x) / sum(self.n) if sum(self.n) else None


@dataclass(frozen=True, slots=True)
class Interval:
    """Bounds of a difference (None: unknown, ``note`` says why) and the method's name."""

    low: float | None
    high: float | None
    method: str
    note: str | None = None


def t_quantile(freedom: float) -> float:
    """Return the two-sided 95 % quantile of Student's t."""
    from scipy.stats import t

    return float(t.ppf((1 + CONFIDENCE) / 2, freedom))


def residuals(a: Units, b: Units) -> list[float]:
    """Return what each unit adds to the difference of two ratios beyond its share.

    Linearised: e = (x_b - r_b n_b) / N_b - (x_a - r_a n_a) / N_a.
    """
    size_a, size_b = sum(a.n), sum(b.n)
    ratio_a, ratio_b = sum(a.x) / size_a, sum(b.x) / size_b
    return [
        (xb - ratio_b * nb) / size_b - (xa - ratio_a * na) / size_a
        for xa, na, xb, nb in zip(a.x, a.n, b.x, b.n, strict=True)
    ]


def standard_error(rest: Sequence[float]) -> float:
    """Return the standard error of the difference of two ratios, robust to what units share.

    var = G / (G - 1) * sum(e^2) over the residuals of G units (Cameron and Miller, "A
    Practitioner's Guide to Cluster-Robust Inference", J. Human Resources 50 (2015)).
    """
    count = len(rest)
    return sqrt(count / (count - 1) * fsum(e * e for e in rest))


def freedom_of_events(units: int, events: float) -> float:
    """Return the degrees of freedom of a variance that ``events`` in ``units`` are scattered by.

    Satterthwaite's two moments (Biometrics Bulletin 2 (1946)) under independence, as Bell and
    McCaffrey take them (Survey Methodology 28 (2002)): D events fall on G units at random, each
    against either arm by a coin. The variance of units is then
    sum(d_i^2) - sum(d_i)^2 / G = D (1 - 1/G) + 2 sum(s_k s_l ([same unit] - 1/G)) over pairs of
    events; all these terms are uncorrelated, so its relative variance is
    2 (D - 1) / (D (G - 1)) and 2 over it is (G - 1) D / (D - 1): G - 1 of many events, more of
    a few, which mostly fall alone and leave no scatter to misjudge; infinite of one or none.
    """
    return (units - 1) * events / (events - 1) if events > 1 else inf


@dataclass(frozen=True, slots=True)
class Events:
    """What the requests of a pair of arms differ by, as a number of equal events.

    A request that hung under one arm alone is an event of size 1. Sums are matched in their first
    two moments, as Fay and Feuer do for weighted sums of rare events (Statistics in Medicine 16
    (1997), pp. 791-801): changes w_k sum and vary as sum(|w|) / size events of one size,
    size = sum(w^2) / sum(|w|).

    Attributes
    ----------
    down, up : int
        Sums of what the second arm has less, and more, request by request (not netted).
    size : int
        Of one event, in the same unit; 0 when no request differs.
    """

    down: int
    up: int
    size: int = 1

    @property
    def count(self) -> float:
        """How many events of the size there are."""
        return (self.down + self.up) / self.size if self.size else 0.0


@dataclass(frozen=True, slots=True)
class _Scored:
    """Effective counts that Tango's score is taken of, and the degrees of freedom."""

    down: float
    up: float
    pairs: float
    freedom: float


def score(a: Units, b: Units, events: Events) -> Interval:
    """Return the score interval of a difference of paired requests, for what units share.

    Tango's score interval (Statistics in Medicine 17 (1998), pp. 891-908) of the number of events,
    with all numbers divided by the design effect, the ratio of the unit-robust variance to that of
    independent pairs (Rao and Scott, Biometrics 48 (1992), pp. 577-585), and Student's quantile
    for what the events tell about that variance (``freedom_of_events``). Without any event of a
    known size (a hang) it is the bound that the number of pairs gives.

    Parameters
    ----------
    a, b : Units
        Per unit the sums ``x`` over the same ``n`` requests in both arms.
    events : Events
        What the requests differ by; for hangs the numbers that hung under one arm alone.
    """
    method = SCORE
    if len(a.x) < 2:
        return Interval(None, None, method, SINGLE)
    if not events.size:
        return Interval(0.0, 0.0, IDENTICAL, SAME)
    found = _scored(a, b, events)
    low, high = tango(found.down, found.up, found.pairs, t_quantile(found.freedom))
    return Interval(low * events.size, high * events.size, method)


def score_p(a: Units, b: Units, events: Events) -> float | None:
    """Return the two-sided p-value of no difference by ``score``; None of a single unit."""
    from scipy.stats import t

    if len(a.x) < 2:
        return None
    if not events.size:
        return 1.0
    found = _scored(a, b, events)
    return float(2 * t.sf(_score(found.down, found.up, found.pairs, 0.0), found.freedom))


def _scored(a: Units, b: Units, events: Events) -> _Scored:
    """Divide events and pairs by the design effect."""
    pairs, down, up = sum(a.n), events.down / events.size, events.up / events.size
    plain = ((down + up) / pairs - ((up - down) / pairs) ** 2) / pairs
    robust = (standard_error(residuals(a, b)) / events.size) ** 2
    effect = robust / plain if plain > 0 and robust > 0 else 1.0
    freedom = freedom_of_events(len(a.x), events.count)
    return _Scored(down / effect, up / effect, pairs / effect, freedom)


def tango(only_a: float, only_b: float, pairs: float, quantile: float) -> tuple[float, float]:
    """Return Tango's score interval of (only_b - only_a) / pairs.

    Counts may be fractions (effective numbers). The bounds are found by halving, from the
    estimate outwards.
    """
    difference = (only_b - only_a) / pairs

    def bound(end: float) -> float:
        near, far = difference, end
        for _ in range(HALVINGS):
            middle = (near + far) / 2
            if _score(only_a, only_b, pairs, middle) <= quantile:
                near = middle
            else:
                far = middle
        return near

    return bound(-1.0), bound(1.0)


def _score(only_a: float, only_b: float, pairs: float, delta: float) -> float:
    """Return |score statistic| under a true difference ``delta`` (Tango, equations 7 to 9)."""
    linear = -only_a - only_b + (2 * pairs - only_b + only_a) * delta
    constant = -only_a * delta * (1 - delta)
    root = sqrt(max(linear**2 - 8 * pairs * constant, 0.0))
    share = (root - linear) / (4 * pairs)
    variance = pairs * (2 * share + delta * (1 - delta))
    distance = abs(only_b - only_a - pairs * delta)
    if variance <= 0:
        return 0.0 if distance == 0 else float("inf")
    return distance / sqrt(variance)


def sign_flip(differences: Integers) -> float:
    """Return the exact two-sided p-value of "which arm is which does not matter" in every unit.

    Every unit's difference may as well have had the other sign; the p-value is the share of all
    2^G assignments whose sum is at least as far from zero as the one seen (Fisher's randomisation
    test). With one pair per unit it is McNemar's exact test (Psychometrika 12 (1947)).
    """
    import numpy as np
    from scipy.signal import convolve
    from scipy.stats import binom

    sizes = Counter(abs(d) for d in differences if d)
    chance = np.ones(1)
    for size, count in sorted(sizes.items()):
        spread = np.zeros(2 * size * count + 1)
        spread[:: 2 * size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chance = convolve(chance, spread)
    seen, reach = abs(sum(differences)), sum(size * count for size, count in sizes.items())
    far = np.abs(np.arange(-reach, reach + 1)) >= seen
    return float(np.clip(np.sum(chance[far]), 0.0, 1.0))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values (Scandinavian J. of Statistics 6 (1979)), in order."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min((len(p_values) - rank) * p_values[index], 1.0))
        adjusted[index] = largest
    return adjusted
