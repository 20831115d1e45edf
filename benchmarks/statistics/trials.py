"""Draws runs from a population and counts how often intervals and exact tests are wrong.

A trial is a run of n replications drawn from the population with replacement. Everything is
computed for all trials at once; ``check`` compares some of them with what the report computes.
Trials of few units are cheap, and theirs are the cells nearest to the limits: there are more.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import t as student

from benchmarks.statistics.population import Population
from engine.draws import below
from fleet.report.evidence import SIX
from fleet.report.intervals import CONFIDENCE, HALVINGS, Events, Units, score, sign_flip
from fleet.report.levels import beyond, level
from fleet.report.stopping import FIRST_LOOK
from fleet.report.totals import total

TRIALS = 4_000
"""Trials of a cell at least, and all that the exact test is tried on."""
UNITS = 400_000
"""Units of all trials of a cell, where that are more trials."""
LOOKS = 30
"""Halvings of the bounds of a growing run: down to a billionth."""
SURE = 100
"""Trials below which a share of them is not told."""
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
    """Two arms of a population.

    ``down`` and ``up`` are, per (replication, unit), sums of what the second arm has less and
    more, request by request; ``squares`` the sums of their squares. Of yes or no they are the
    numbers of requests hit under the first arm alone, the second alone, and both of these.
    ``wholes`` are the sums of the squares of what requests have in both arms.
    """

    a: Arm
    b: Arm
    down: Array
    up: Array
    squares: Array
    wholes: Array

    @property
    def difference(self) -> float:
        """The population's value."""
        return float(self.b.x.sum() / self.b.n.sum() - self.a.x.sum() / self.a.n.sum())

    @property
    def middle(self) -> float:
        """The population's value of a level: the median of what units differ by."""
        return float(np.median(self.b.x - self.a.x))

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
            pick(flip, self.up, self.down),
            pick(flip, self.down, self.up),
            self.squares,
            self.wholes,
        )

    def alone(self) -> "Pair":
        """Return the first arm against itself."""
        none = np.zeros_like(self.squares)
        return Pair(self.a, self.a, none, none, none, self.wholes)

    def without_wholes(self) -> "Pair":
        """Return it with nothing known of its requests' own sizes."""
        return replace(self, wholes=np.zeros_like(self.wholes))

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
        sums = (self.down, self.up, self.squares, self.wholes)
        return Pair(a, b, *(change(values) for values in sums))


def units(found: Population, values: Array, hosts: int) -> tuple[Array, Array]:
    """Return sums of ``values`` [replication, request] and requests per (replication, host)."""
    reps = np.arange(len(values))[:, None]
    place = (reps * hosts + found.host).ravel()
    size = len(values) * hosts
    sums = np.bincount(place, weights=values.ravel(), minlength=size).reshape(-1, hosts)
    counts = np.bincount(place, minlength=size).reshape(-1, hosts)
    return (sums if values.dtype.kind == "f" else np.rint(sums).astype(np.int64)), counts


def paired(found: Population, a: Array, b: Array, by_host: bool) -> Pair:
    """Return two arms whose requests are paired (values of yes or no, or times)."""

    def sums(values: Array) -> Array:
        if by_host:
            return units(found, values, int(found.host.max()) + 1)[0]
        return values.sum(axis=1, keepdims=True)

    change = b.astype(np.int64) - a.astype(np.int64)
    n = sums(np.ones_like(change))
    return Pair(
        Arm(sums(a.astype(np.int64)), n),
        Arm(sums(b.astype(np.int64)), n),
        sums(np.maximum(-change, 0)),
        sums(np.maximum(change, 0)),
        sums(change.astype(float) ** 2),
        sums(a.astype(float) ** 2 + b.astype(float) ** 2),
    )


def of_totals(a: Array, b: Array) -> Pair:
    """Return two arms of which only a total per replication is known: values [replication]."""
    a, b = a[:, None], b[:, None]
    one, change = np.ones_like(a), b - a
    squares = change.astype(float) ** 2
    down, up = np.maximum(-change, 0), np.maximum(change, 0)
    return Pair(Arm(a, one), Arm(b, one), down, up, squares, np.zeros_like(squares))


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
    """Return Satterthwaite's degrees of freedom by the units' kurtosis, of every trial."""
    count, rest = there(pair), residuals(pair)
    squares = (rest**2).sum(axis=1) / count
    kurtosis = (rest**4).sum(axis=1) / count / np.where(squares > 0, squares, 1.0) ** 2
    few = 2 * count / np.maximum(kurtosis - 1, 1e-9)
    return np.minimum(np.maximum(few, 1.0), count - 1)


def freedom_of_events(count: Array, number: Array) -> Array:
    """Return ``intervals.freedom_of_events`` of every trial."""
    many = number > 1
    return np.where(many, (count - 1) * number / np.where(many, number - 1, 1), np.inf)


def _quantiles(freedom: Array) -> Array:
    return student.ppf((1 + CONFIDENCE) / 2, freedom)


def sizes(pair: Pair) -> Array:
    """Return the size of an event (``intervals.Events``) of every trial; 0 without any."""
    total = (pair.down.sum(axis=1) + pair.up.sum(axis=1)).astype(float)
    return np.where(total > 0, pair.squares.sum(axis=1) / np.where(total > 0, total, 1.0), 0.0)


def events(pair: Pair) -> Array:
    """Return how many events there are in every trial: discordant requests of yes or no."""
    size, total = sizes(pair), pair.down.sum(axis=1) + pair.up.sum(axis=1)
    return np.where(size > 0, total / np.where(size > 0, size, 1.0), 0.0)


@dataclass(frozen=True, slots=True)
class Scores:
    """``intervals.score`` of every trial, ready to be asked."""

    down: Array
    up: Array
    pairs: Array
    size: Array
    quantile: Array

    @classmethod
    def of(cls, pair: Pair, quantile: float | None = None) -> "Scores":
        """Divide events and pairs by the design effect (``intervals._scored``)."""
        size = sizes(pair)
        size = np.where(size > 0, size, 1.0)
        pairs = pair.a.n.sum(axis=1).astype(float)
        down, up = pair.down.sum(axis=1) / size, pair.up.sum(axis=1) / size
        plain = ((down + up) / pairs - ((up - down) / pairs) ** 2) / pairs
        robust = errors(pair) / size**2
        known = (plain > 0) & (robust > 0)
        effect = np.where(known, robust / np.where(known, plain, 1.0), 1.0)
        if quantile is None:
            quantiles = _quantiles(freedom_of_events(there(pair), events(pair)))
        else:
            quantiles = np.full(len(pairs), quantile)
        return cls(down / effect, up / effect, pairs / effect, size, quantiles)

    def holds(self, delta: Array) -> Array:
        """Tell which intervals hold ``delta``, in events per pair."""
        a, b, n = self.down, self.up, self.pairs
        linear = -a - b + (2 * n - b + a) * delta
        root = np.sqrt(np.maximum(linear**2 + 8 * n * a * delta * (1 - delta), 0.0))
        variance = n * ((root - linear) / (2 * n) + delta * (1 - delta))
        far = np.abs(b - a - n * delta)
        with np.errstate(divide="ignore", invalid="ignore"):
            score = np.where(variance > 0, far / np.sqrt(variance), np.where(far == 0, 0, np.inf))
        return score <= self.quantile

    def bound(self, end: float, halvings: int) -> Array:
        """Return the interval's end towards ``end`` (-1 or 1)."""
        near, far = (self.up - self.down) / self.pairs, np.full(len(self.pairs), end)
        for _ in range(halvings):
            middle = (near + far) / 2
            inside = self.holds(middle)
            near, far = np.where(inside, middle, near), np.where(inside, far, middle)
        return near * self.size


def score_bounds(pair: Pair, halvings: int = HALVINGS) -> tuple[Array, Array]:
    """Return ``intervals.score`` of every trial."""
    scores = Scores.of(pair)
    return scores.bound(-1.0, halvings), scores.bound(1.0, halvings)


def score_misses(pair: Pair, value: float, quantile: float | None = None) -> float:
    """Return the share of trials whose score interval misses ``value``, without its bounds."""
    scores = Scores.of(pair, quantile)
    return float(np.mean(~scores.holds(value / scores.size)))


@dataclass(frozen=True, slots=True)
class Totals:
    """``totals.total`` of every trial, ready to be asked."""

    down: Array
    up: Array
    variance: Array
    unseen: Array
    quantile: Array

    @classmethod
    def of(cls, pair: Pair) -> "Totals":
        """Return what units differ by (``totals._seen``)."""
        size_a, size_b = (arm.n.sum(axis=1, keepdims=True) for arm in (pair.a, pair.b))
        changes = pair.b.x / size_b - pair.a.x / size_a
        down, up = np.maximum(-changes, 0).sum(axis=1), np.maximum(changes, 0).sum(axis=1)
        variance = errors(pair)
        quantile = _quantiles(there(pair) - 1.0)
        unseen = whole_moves(pair)[0] / np.maximum(size_a, size_b)[:, 0]
        return cls(down, up, variance, unseen, quantile)

    def holds(self, delta: Array) -> Array:
        """Tell which intervals hold ``delta``."""
        mass = self.down + self.up
        size = self.variance / np.where(mass > 0, mass, 1.0)
        root = (2 * delta - mass) ** 2 + 8 * self.down * delta
        more = (np.sqrt(np.maximum(root, 0.0)) - mass) / 2
        each = np.where(more > 0, np.maximum(size, self.unseen), size)
        far = (self.up - self.down - delta) ** 2
        return far <= self.quantile**2 * (self.variance + each * more)

    def bound(self, side: float, halvings: int) -> Array:
        """Return the interval's end to one side (-1 or 1)."""
        mass, square = self.down + self.up, self.quantile**2
        size = np.maximum(self.variance / np.where(mass > 0, mass, 1.0), self.unseen)
        reach = square * size / 2 + np.sqrt((square * size) ** 2 / 4 + square * self.variance)
        near = self.up - self.down
        far = near + side * reach
        beyond = (near * far < 0) & ~self.holds(np.zeros_like(near))
        far = np.where(beyond, 0.0, far)
        for _ in range(halvings):
            middle = (near + far) / 2
            inside = self.holds(middle)
            near, far = np.where(inside, middle, near), np.where(inside, far, middle)
        return near


def total_bounds(pair: Pair, halvings: int = HALVINGS) -> tuple[Array, Array]:
    """Return ``totals.total`` of every trial."""
    totals = Totals.of(pair)
    return totals.bound(-1.0, halvings), totals.bound(1.0, halvings)


def total_misses(pair: Pair, value: float) -> Array:
    """Tell of every trial whether the interval of totals misses ``value``.

    Where all units differ by the same amount there is none.
    """
    totals = Totals.of(pair)
    none = (totals.variance == 0) & (totals.up + totals.down > 0)
    beyond = (totals.up - totals.down) * value < 0
    outside = ~totals.holds(np.full(len(totals.up), value))
    outside |= beyond & ~totals.holds(np.zeros(len(totals.up)))
    return outside & ~none


def whole_moves(pair: Pair) -> tuple[Array, Array]:
    """Return the size of a whole move, and how many of it the arms differ by; 0 of unit totals."""
    sums = (pair.a.x.sum(axis=1) + pair.b.x.sum(axis=1)).astype(float)
    size = np.floor(pair.wholes.sum(axis=1) / np.where(sums > 0, sums, 1.0))
    changes = pair.down.sum(axis=1) + pair.up.sum(axis=1)
    return size, np.where(size > 0, changes / np.where(size > 0, size, 1.0), 0.0)


def cautious(pair: Pair) -> Array:
    """Tell of every trial whether the report says that it rests on too few events, or on none."""
    size, moves = whole_moves(pair)
    units = ((pair.a.x != pair.b.x) | (pair.a.n != pair.b.n)).sum(axis=1)
    return np.where(size > 0, moves < SIX, units < np.minimum(SIX, there(pair)))


def level_bounds(pair: Pair) -> tuple[Array, Array]:
    """Return ``levels.level`` of every trial; without bounds where there are too few units."""
    ordered = np.sort(pair.b.x - pair.a.x, axis=1)
    count = ordered.shape[1]
    out = beyond(count)
    if out < 0:
        nowhere = np.full(len(ordered), np.inf)
        return -nowhere, nowhere
    return ordered[:, out], ordered[:, count - 1 - out]


def t_bounds(pair: Pair) -> tuple[Array, Array]:
    """Return Student's t with degrees of freedom by kurtosis, for comparison."""
    return _t_bounds(pair, freedom(pair))


def plain_t_bounds(pair: Pair) -> tuple[Array, Array]:
    """Return Student's t with the usual degrees of freedom, for comparison."""
    return _t_bounds(pair, there(pair) - 1)


def _t_bounds(pair: Pair, freedom: Array) -> tuple[Array, Array]:
    ra, rb = (arm.x.sum(axis=1) / arm.n.sum(axis=1) for arm in (pair.a, pair.b))
    half = _quantiles(freedom) * np.sqrt(errors(pair))
    return rb - ra - half, rb - ra + half


Bounds = Callable[[Pair], tuple[Array, Array]]


def outside(pair: Pair, value: float, bounds: Bounds) -> Array:
    """Tell of every trial whether its interval misses ``value``."""
    low, high = bounds(pair)
    return (value < low) | (value > high)


def wrong(pair: Pair, value: float, bounds: Bounds) -> float:
    """Return the share of trials whose interval misses ``value``."""
    return float(np.mean(outside(pair, value, bounds)))


def exact(pair: Pair) -> float:
    """Return the share of the first ``TRIALS`` that the exact test calls different at 5 %."""
    rows = (pair.b.x - pair.a.x)[:TRIALS]
    return float(np.mean([sign_flip(row.tolist()) <= 0.05 for row in rows]))


def check(pair: Pair, bounds: Bounds, times: int = 20) -> None:
    """Compare the first trials with what the report computes (AssertionError when they differ)."""
    low, high = bounds(pair)
    for i in range(min(times, len(low))):
        there = (pair.a.n[i] > 0) | (pair.b.n[i] > 0)
        a, b = (Units(arm.x[i][there].tolist(), arm.n[i][there].tolist())
                for arm in (pair.a, pair.b))  # fmt: skip
        if bounds is score_bounds:
            down, up, squares = (int(v[i].sum()) for v in (pair.down, pair.up, pair.squares))
            size = squares // (down + up) if down + up else 1
            found = score(a, b, Events(down, up, size))
        else:
            whole = float(whole_moves(pair)[0][i])
            found = level(a, b) if bounds is level_bounds else total(a, b, whole)
        if found.low is not None and found.high is not None:
            near = 1e-6 * max(found.high - found.low, 1e-3)
            np.testing.assert_allclose((found.low, found.high), (low[i], high[i]), atol=near)


# -- what is tried -------------------------------------------------------------------------------


def drawn(rng: Any, population: int, n: int, trials: int = TRIALS) -> Array:
    """Return the replications of every trial: int[trial, n]."""
    return rng.integers(0, population, (trials, n))


def trials_of(pair: Pair, n: int) -> int:
    """Return how many trials of n replications a cell has."""
    per: int = pair.a.x.shape[1]
    return max(TRIALS, UNITS // (n * per))


def samples(pair: Pair, rng: Any, n: int) -> Pair:
    """Draw the trials of a cell."""
    return pair.take(drawn(rng, len(pair.a.x), n, trials_of(pair, n)))


def label_swaps(pair: Pair, rng: Any, n: int, trials: int | None = None) -> Pair:
    """Both arms, each unit's labels swapped by a coin: no difference by construction."""
    taken = pair.take(drawn(rng, len(pair.a.x), n, trials or trials_of(pair, n)))
    return taken.swapped(rng.integers(0, 2, taken.a.x.shape).astype(bool))


def independent(found: Population, by_host: bool, rng: Any, n: int) -> Pair:
    """One arm against itself on other seeds: no difference, and nothing that pairs."""
    hung = found.hung[0]
    alone = paired(found, hung, hung, by_host)
    trials = trials_of(alone, n)
    left, right = (drawn(rng, len(hung), n, trials) for _ in range(2))
    a, b = alone.take(left), alone.take(right)
    common = np.array([int((hung[i] & hung[j]).sum()) for i, j in zip(left, right, strict=True)])
    down, up = np.zeros_like(a.a.x), np.zeros_like(a.a.x)
    down[:, 0] = a.a.x.sum(axis=1) - common
    up[:, 0] = b.a.x.sum(axis=1) - common
    return Pair(a.a, b.a, down, up, down + up, down + up)


def other_seeds(pair: Pair, rng: Any, n: int) -> Pair:
    """The first arm's totals against themselves on other seeds: no difference, nothing paired."""
    trials = trials_of(pair, n)
    a, b = (pair.take(drawn(rng, len(pair.a.x), n, trials)) for _ in range(2))
    change = (b.a.x - a.a.x).astype(float)
    down, up = np.maximum(-change, 0), np.maximum(change, 0)
    return Pair(a.a, b.a, down, up, change**2, (a.wholes + b.wholes) / 2)


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
        low, high = score_bounds(taken.only(rows).first(count * per), LOOKS)
        counts[rows[(high - low) / 2 <= width]] = count
    return counts


def stopped(taken: Pair, counts: Array, per: int) -> Pair:
    """Return the trials as they are when they stop: units after the last replication are empty."""
    beyond = np.arange(taken.a.x.shape[1])[None, :] >= counts[:, None] * per
    return taken.without(beyond)
