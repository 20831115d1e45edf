"""Draws runs from a population and counts how often intervals and exact tests are wrong.

A trial is a run of n replications drawn from the population with replacement. Everything is
computed for all trials at once; ``check`` compares some of them with what the report computes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.statistics.population import Population
from engine.draws import below
from fleet.report.intervals import HALVINGS, Units, score, sign_flip, student, t_quantile
from fleet.report.stopping import FIRST_LOOK

TRIALS = 4_000
KEPT_MILLIONTHS = 125_000
"""Part of the hangs that thinning leaves: the known factor."""

Array = Any
"""A numpy array; indexing and sums have no better type."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm of a population: ``x`` and ``n`` per (replication, unit)."""

    x: Array
    n: Array


@dataclass(frozen=True, slots=True)
class Pair:
    """Two arms of a population, and discordant requests per (replication, unit)."""

    a: Arm
    b: Arm
    only_a: Array
    only_b: Array

    @property
    def difference(self) -> float:
        """The population's value."""
        return float(self.b.x.sum() / self.b.n.sum() - self.a.x.sum() / self.a.n.sum())

    def take(self, rows: Array) -> "Pair":
        """Return the replications ``rows``: int[trial, n] gives arrays [trial, n * units]."""
        return self._map(lambda v: v[rows].reshape(len(rows), -1))

    def swapped(self, flip: Array) -> "Pair":
        """Return it with the labels swapped where ``flip`` is set."""
        a, b = self.a, self.b
        pick = np.where
        return Pair(
            Arm(pick(flip, b.x, a.x), pick(flip, b.n, a.n)),
            Arm(pick(flip, a.x, b.x), pick(flip, a.n, b.n)),
            pick(flip, self.only_b, self.only_a),
            pick(flip, self.only_a, self.only_b),
        )

    def first(self, count: int) -> "Pair":
        """Return the first ``count`` units of every trial."""
        return self._map(lambda v: v[:, :count])

    def only(self, rows: Array) -> "Pair":
        """Return the trials ``rows``."""
        return self._map(lambda v: v[rows])

    def without(self, gone: Array) -> "Pair":
        """Return it with nothing counted in the units ``gone``: bool[trial, unit]."""
        return self._map(lambda v: np.where(gone, 0, v))

    def _map(self, change: Callable[[Array], Array]) -> "Pair":
        a, b = (Arm(change(arm.x), change(arm.n)) for arm in (self.a, self.b))
        return Pair(a, b, change(self.only_a), change(self.only_b))


def units(found: Population, values: Array, hosts: int) -> tuple[Array, Array]:
    """Return sums of ``values`` [replication, request] and requests per (replication, host)."""
    reps = np.arange(len(values))[:, None]
    place = (reps * hosts + found.host).ravel()
    size = len(values) * hosts
    sums = np.bincount(place, weights=values.ravel(), minlength=size).reshape(-1, hosts)
    counts = np.bincount(place, minlength=size).reshape(-1, hosts)
    return np.rint(sums).astype(np.int64), counts


def paired(found: Population, a: Array, b: Array, by_host: bool) -> Pair:
    """Return two arms whose requests are paired (values of yes or no, or times)."""
    whole = a.shape[1]

    def sums(values: Array) -> Array:
        if by_host:
            return units(found, values, int(found.host.max()) + 1)[0]
        return values.sum(axis=1, keepdims=True).astype(np.int64)

    n = sums(np.ones_like(a)) if by_host else np.full((len(a), 1), whole)
    yes = a.dtype == np.bool_
    only = (sums(a & ~b), sums(b & ~a)) if yes else (np.zeros_like(n), np.zeros_like(n))
    return Pair(Arm(sums(a), n), Arm(sums(b), n), *only)


def thinned(hung: Array) -> Array:
    """Return the hangs that are kept, drawn by (replication, request)."""
    kept = hung.copy()
    for rep, request in zip(*np.nonzero(hung), strict=True):
        kept[rep, request] = below(10**6, 1, int(rep), int(request), 7) < KEPT_MILLIONTHS
    return kept


# -- all trials at once --------------------------------------------------------------------------


def residuals(pair: Pair) -> Array:
    """Return ``intervals.residuals`` of every trial."""
    na, nb = (arm.n.sum(axis=1, keepdims=True) for arm in (pair.a, pair.b))
    ra, rb = (arm.x.sum(axis=1, keepdims=True) / arm.n.sum(axis=1, keepdims=True)
              for arm in (pair.a, pair.b))  # fmt: skip
    return (pair.b.x - rb * pair.b.n) / nb - (pair.a.x - ra * pair.a.n) / na


def there(pair: Pair) -> Array:
    """Return the number of units of every trial: hosts without requests are none."""
    return ((pair.a.n > 0) | (pair.b.n > 0)).sum(axis=1)


def errors(pair: Pair) -> Array:
    """Return ``intervals.standard_error`` squared for every trial."""
    count = there(pair)
    return (residuals(pair) ** 2).sum(axis=1) * count / (count - 1)


def freedom(pair: Pair) -> Array:
    """Return ``intervals.freedom`` of every trial."""
    count, rest = there(pair), residuals(pair)
    squares = (rest**2).sum(axis=1) / count
    kurtosis = (rest**4).sum(axis=1) / count / np.where(squares > 0, squares, 1.0) ** 2
    few = 2 * count / np.maximum(kurtosis - 1, 1e-9)
    return np.minimum(np.maximum(few, 1.0), count - 1)


def _quantiles(freedom: Array) -> Array:
    known, place = np.unique(freedom, return_inverse=True)
    return np.array([t_quantile(float(value)) for value in known])[place]


def score_bounds(pair: Pair) -> tuple[Array, Array]:
    """Return ``intervals.score`` of every trial."""
    pairs = pair.a.n.sum(axis=1).astype(float)
    only_a, only_b = pair.only_a.sum(axis=1), pair.only_b.sum(axis=1)
    plain = ((only_a + only_b) / pairs - ((only_b - only_a) / pairs) ** 2) / pairs
    robust = errors(pair)
    known = (plain > 0) & (robust > 0)
    effect = np.where(known, robust / np.where(known, plain, 1.0), 1.0)
    a, b, n, quantile = (
        only_a / effect,
        only_b / effect,
        pairs / effect,
        _quantiles(there(pair) - 1),
    )

    def distance(delta: Array) -> Array:
        linear = -a - b + (2 * n - b + a) * delta
        root = np.sqrt(np.maximum(linear**2 + 8 * n * a * delta * (1 - delta), 0.0))
        variance = n * ((root - linear) / (2 * n) + delta * (1 - delta))
        far = np.abs(b - a - n * delta)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(variance > 0, far / np.sqrt(variance), np.where(far == 0, 0, np.inf))

    def bound(end: float) -> Array:
        near, far = (b - a) / n, np.full(len(n), end)
        for _ in range(HALVINGS):
            middle = (near + far) / 2
            inside = distance(middle) <= quantile
            near, far = np.where(inside, middle, near), np.where(inside, far, middle)
        return near

    return bound(-1.0), bound(1.0)


def t_bounds(pair: Pair) -> tuple[Array, Array]:
    """Return ``intervals.student`` of every trial."""
    return _t_bounds(pair, freedom(pair))


def plain_t_bounds(pair: Pair) -> tuple[Array, Array]:
    """Return Student's t with the usual degrees of freedom, for comparison."""
    return _t_bounds(pair, there(pair) - 1)


def _t_bounds(pair: Pair, freedom: Array) -> tuple[Array, Array]:
    ra, rb = (arm.x.sum(axis=1) / arm.n.sum(axis=1) for arm in (pair.a, pair.b))
    half = _quantiles(freedom) * np.sqrt(errors(pair))
    return rb - ra - half, rb - ra + half


Bounds = Callable[[Pair], tuple[Array, Array]]


def wrong(pair: Pair, value: float, bounds: Bounds) -> float:
    """Return the share of trials whose interval misses ``value``."""
    low, high = bounds(pair)
    return float(np.mean((value < low) | (value > high)))


def exact(pair: Pair) -> float:
    """Return the share of trials that the exact test calls different at 5 %."""
    rows = pair.b.x - pair.a.x
    return float(np.mean([sign_flip(row.tolist()) <= 0.05 for row in rows]))


def discordant(pair: Pair) -> Array:
    """Return the number of things hit in one arm alone, of every trial."""
    return pair.only_a.sum(axis=1) + pair.only_b.sum(axis=1)


def check(pair: Pair, bounds: Bounds, times: int = 20) -> None:
    """Compare the first trials with what the report computes (AssertionError when they differ)."""
    low, high = bounds(pair)
    for i in range(min(times, len(low))):
        there = (pair.a.n[i] > 0) | (pair.b.n[i] > 0)
        a, b = (Units(arm.x[i][there].tolist(), arm.n[i][there].tolist())
                for arm in (pair.a, pair.b))  # fmt: skip
        if bounds is score_bounds:
            found = score(a, b, int(pair.only_a[i].sum()), int(pair.only_b[i].sum()))
        else:
            found = student(a, b)
        if found.low is not None and found.high is not None:
            np.testing.assert_allclose((found.low, found.high), (low[i], high[i]), atol=1e-9)


# -- what is tried -------------------------------------------------------------------------------


def drawn(rng: Any, population: int, n: int, trials: int = TRIALS) -> Array:
    """Return the replications of every trial: int[trial, n]."""
    return rng.integers(0, population, (trials, n))


def label_swaps(pair: Pair, rng: Any, n: int, trials: int = TRIALS) -> Pair:
    """Both arms, each unit's labels swapped by a coin: no difference by construction."""
    taken = pair.take(drawn(rng, len(pair.a.x), n, trials))
    return taken.swapped(rng.integers(0, 2, taken.a.x.shape).astype(bool))


def independent(found: Population, by_host: bool, rng: Any, n: int) -> Pair:
    """One arm against itself on other seeds: no difference, and nothing that pairs."""
    hung = found.hung[0]
    alone = paired(found, hung, hung, by_host)
    left, right = (drawn(rng, len(hung), n) for _ in range(2))
    a, b = alone.take(left), alone.take(right)
    common = np.array([int((hung[i] & hung[j]).sum()) for i, j in zip(left, right, strict=True)])
    only_a, only_b = np.zeros_like(a.a.x), np.zeros_like(a.a.x)
    only_a[:, 0] = a.a.x.sum(axis=1) - common
    only_b[:, 0] = b.a.x.sum(axis=1) - common
    return Pair(a.a, b.a, only_a, only_b)


def until(taken: Pair, per: int, width: float) -> Array:
    """Let every trial add replications until its interval is narrow enough.

    Parameters
    ----------
    taken : Pair
        All replications that every trial may come to, in order.
    per : int
        Units of one replication.
    width : float
        The half-width asked for.

    Returns
    -------
    int[trial]
        How many replications it took; all of them where the interval stayed too wide.
    """
    most = taken.a.x.shape[1] // per
    counts = np.full(len(taken.a.x), most)
    for count in range(-(-FIRST_LOOK // per), most):
        rows = np.flatnonzero(counts == most)
        low, high = score_bounds(taken.only(rows).first(count * per))
        counts[rows[(high - low) / 2 <= width]] = count
    return counts


def stopped(taken: Pair, counts: Array, per: int) -> Pair:
    """Return the trials as they are when they stop: units after the last replication are empty."""
    beyond = np.arange(taken.a.x.shape[1])[None, :] >= counts[:, None] * per
    return taken.without(beyond)
