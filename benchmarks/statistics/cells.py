"""The rows of docs/statistics.md's tables: what one population comes to, cell by cell."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.statistics import trials as t
from benchmarks.statistics.population import TOTALS, Population, Setting
from fleet.log.tables import NULL
from fleet.report.evidence import SIX

SIZES = (10, 30, 100)
LIMIT = 100
UNTIL_TRIALS = {"probe": 8_000, "removal": 16_000}
STEPS = ("removals-0.5", 10)
"""Population and size whose hang rates are tried with fixed quantiles, too."""
QUANTILES = (1.96, 1.97, 2.05, 2.10, 2.15, 2.20, 2.22, 2.24, 2.26)
ARMS = "ABC"
LABELS = {
    "pin_bytes": "moved at pin", "pins": "pins", "pin_p99_ns": "pin latency",
    "flow_us_lost": "flow-seconds", "headroom_pages": "head-room",
}  # fmt: skip
"""Totals that are tried, and what they are called."""
LEVELS = ("pin latency", "head-room")
"""Those that are no sums, and are compared by their middle."""
Rows = list[tuple[str, ...]]


def _arms(setting: Setting, found: Population) -> t.Pair:
    return t.paired(found, found.hung[0], found.hung[1], setting.kind == "probe")


def _thinned(setting: Setting, found: Population) -> t.Pair:
    kept = t.thinned(found.hung[0])
    return t.paired(found, found.hung[0], kept, setting.kind == "probe")


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.1f}"


def _gain(a: Any, b: Any) -> str:
    """How many times more replications unpaired arms would take: variance over variance."""
    a, b = (values.sum(axis=1).astype(float) for values in (a, b))
    return f"{(a.var() + b.var()) / (b - a).var():.2f}"


def _rates(_: Setting, found: Population) -> Rows:
    hung = found.hung
    row = (
        f"{hung.shape[1]:,}",
        *(f"{100 * hung[arm].mean():.2f} %" for arm in (0, 1)),
        f"{hung[0].sum(axis=1).mean():.1f}",
        _gain(hung[0], hung[1]),
        _gain(found.time_ns[0], found.time_ns[1]),
        f"{found.seconds:.0f}",
    )
    return [row]


def _tried(setting: Setting, found: Population) -> Rows:
    """Try the interval and the exact test of hang rates at every size."""
    arms, thin, rng = _arms(setting, found), _thinned(setting, found), np.random.default_rng(1)
    rows: Rows = []
    for n in SIZES:
        swaps = t.label_swaps(arms, rng, n)
        seeds = t.independent(found, setting.kind == "probe", rng, n)
        less, both = t.samples(thin, rng, n), t.samples(arms, rng, n)
        for pair in (swaps, less, both):
            t.check(pair, t.score_bounds)
        shares = (
            t.score_misses(swaps, 0.0),
            t.score_misses(seeds, 0.0),
            t.score_misses(less, thin.difference),
            t.score_misses(both, arms.difference),
            t.wrong(less, thin.difference, t.plain_t_bounds),
            t.exact(swaps),
            t.exact(seeds),
        )
        few = f"{t.events(both).mean():.1f}"
        rows.append((str(n), few, *map(_percent, shares)))
    return rows


def _few(setting: Setting, found: Population) -> Rows:
    """Tell how many runs the report calls cautious, and how often the others miss."""
    arms, rng = _arms(setting, found), np.random.default_rng(5)
    rows: Rows = []
    for n in SIZES:
        both = t.samples(arms, rng, n)
        few = (both.down + both.up).sum(axis=1) < SIX
        enough = (~few).sum() >= t.SURE
        rest = t.score_misses(both.only(~few), arms.difference) if enough else np.nan
        rows.append((str(n), _percent(float(few.mean())), _percent(rest)))
    return rows


def _times(setting: Setting, found: Population) -> Rows:
    """Try the interval of times to offline, and Student's t for comparison."""
    a, b = found.time_ns[:2]
    arms, rng = t.paired(found, a, b, setting.kind == "probe"), np.random.default_rng(2)
    rows: Rows = []
    for n in SIZES:
        swaps, both = t.label_swaps(arms, rng, n), t.samples(arms, rng, n)
        for pair in (swaps, both):
            t.check(pair, t.score_bounds)
        shares = (
            t.score_misses(swaps, 0.0),
            t.score_misses(both, arms.difference),
            t.wrong(swaps, 0.0, t.t_bounds),
            t.wrong(both, arms.difference, t.t_bounds),
        )
        few = f"{t.events(both).mean():.1f}"
        rows.append((str(n), few, *map(_percent, shares)))
    return rows


def _until(setting: Setting, found: Population) -> Rows:
    """Let runs grow to the half-width that about 20 and about 60 replications give."""
    arms, thin, rng = _arms(setting, found), _thinned(setting, found), np.random.default_rng(3)
    hosts, trials = arms.a.x.shape[1], UNTIL_TRIALS[setting.kind]
    rows: Rows = []
    for n in (20, 60):
        low, high = t.score_bounds(thin.take(t.drawn(rng, len(thin.a.x), n, 500)))
        width = float(np.median(high - low)) / 2
        less = thin.take(t.drawn(rng, len(thin.a.x), LIMIT, trials))
        swaps = t.label_swaps(arms, rng, LIMIT, trials)
        counts, others = t.until(less, hosts, width), t.until(swaps, hosts, width)
        less, swaps = t.stopped(less, counts, hosts), t.stopped(swaps, others, hosts)
        shares = (
            t.score_misses(swaps, 0.0),
            t.score_misses(less, thin.difference),
            t.exact(swaps.only(np.arange(t.TRIALS))),
        )
        middle = f"{np.median(counts):.0f}"
        rows.append((f"{100 * width:.2f}", middle, *map(_percent, shares)))
    return rows


def _totals(setting: Setting, found: Population) -> Rows:
    """Try the interval of totals: one row per total and arm that differs from the first."""
    return [
        (name, ARMS[arm], *_cells(pair, LEVEL if name in LEVELS else SUM))
        for arm in range(1, len(found.hung))
        for name, pair in _sums(setting, found, arm)
        if len(set((pair.b.x - pair.a.x).ravel().tolist())) > 1
    ]


def _sums(setting: Setting, found: Population, arm: int) -> Iterator[tuple[str, t.Pair]]:
    """Yield everything that the report compares by its totals."""
    by_host = setting.kind == "probe"
    moved, away = found.moved_bytes, found.unavailable_ns
    yield "bytes moved", t.paired(found, moved[0], moved[arm], by_host)
    yield "unavailable", t.paired(found, away[0], away[arm], by_host).without_wholes()
    for place, name in enumerate(TOTALS):
        a, b = found.totals[0, :, place], found.totals[arm, :, place]
        if name in LABELS and not (a == NULL).any() and not (b == NULL).any():
            yield LABELS[name], t.of_totals(a, b)


@dataclass(frozen=True, slots=True)
class Method:
    """The report's interval of a total or level.

    Attributes
    ----------
    bounds : callable
    misses : callable
        Tells of every trial whether it misses a value.
    truth : callable
        The population's value.
    cautious : callable
        Tells of every trial whether the report says that it rests on too few events.
    """

    bounds: t.Bounds
    misses: Callable[[t.Pair, float], t.Array]
    truth: Callable[[t.Pair], float]
    cautious: Callable[[t.Pair], t.Array]


SUM = Method(t.total_bounds, t.total_misses, lambda pair: pair.difference, t.cautious)
LEVEL = Method(
    t.level_bounds, lambda pair, value: t.outside(pair, value, t.level_bounds),
    lambda pair: pair.middle, lambda pair: np.zeros(len(pair.a.x), bool),
)  # fmt: skip


def _cells(pair: t.Pair, by: Method) -> tuple[str, ...]:
    """Return each column's figures at all sizes."""
    columns: list[list[float]] = [[] for _ in range(7)]
    rng, alone = np.random.default_rng(4), pair.alone()
    for n in SIZES:
        swaps, both = t.label_swaps(pair, rng, n), t.samples(pair, rng, n)
        for tried in (swaps, both):
            t.check(tried, by.bounds)
        missed, few = by.misses(both, by.truth(pair)), by.cautious(both)
        sure = missed[~few]
        seeds = t.other_seeds(alone, rng, n)
        none = len(np.unique(alone.a.x)) == 1
        shares = (
            by.misses(swaps, 0.0).mean(),
            np.nan if none else by.misses(seeds, 0.0).mean(),
            missed.mean(),
            t.wrong(swaps, 0.0, t.t_bounds),
            t.wrong(both, pair.difference, t.t_bounds),
            few.mean(),
            sure.mean() if len(sure) >= t.SURE else np.nan,
        )
        for column, share in zip(columns, shares, strict=True):
            column.append(float(share))
    return tuple(" ".join(map(_percent, c)) for c in columns)


def _fixed(setting: Setting, found: Population) -> Rows:
    """Try hang rates of ``STEPS`` with fixed quantiles."""
    name, n = STEPS
    if setting.name != name:
        return []
    arms, thin, rng = _arms(setting, found), _thinned(setting, found), np.random.default_rng(1)
    tried = (
        (t.label_swaps(arms, rng, n), 0.0),
        (t.independent(found, setting.kind == "probe", rng, n), 0.0),
        (t.samples(thin, rng, n), thin.difference),
        (t.samples(arms, rng, n), arms.difference),
    )
    return [
        (f"{quantile:.2f}", *(_percent(t.score_misses(*one, quantile)) for one in tried))
        for quantile in QUANTILES
    ]


SECTIONS: dict[str, Callable[[Setting, Population], Rows]] = {
    "populations": _rates,
    "hangs": _tried,
    "few": _few,
    "times": _times,
    "totals": _totals,
    "until": _until,
    "fixed": _fixed,
}
"""What is tried of a population, by the name its cells are kept under."""
