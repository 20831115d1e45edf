"""The trials of the report's statistics: what they compute is what the report computes."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.statistics import trials
from benchmarks.statistics.population import CHUNK, SETTINGS, TOTALS, Population, make
from fleet.report.stopping import narrow_enough
from fleet.run.looks import Look


@pytest.fixture(scope="module")
def some() -> Population:
    """Sixty made-up replications of forty requests on five hosts, hangs that go together."""
    rng = np.random.default_rng(5)
    rate = rng.beta(1, 9, (60, 1))
    first = rng.random((60, 40)) < rate
    hung = np.array([first, first & (rng.random((60, 40)) < 0.6)])
    times = np.where(hung, 10**9, rng.integers(10**6, 10**7, hung.shape))
    host = rng.integers(0, 5, (60, 40))
    return Population(hung, times, host, np.zeros((2, 60, len(TOTALS)), np.int64), 0.0)


@pytest.mark.parametrize("by_host", [True, False])
@pytest.mark.parametrize("n", [3, 12])
def test_all_trials_at_once_are_the_reports_intervals(
    some: Population, by_host: bool, n: int
) -> None:
    rng = np.random.default_rng(1)
    arms = trials.paired(some, some.hung[0], some.hung[1], by_host)
    times = trials.paired(some, some.time_ns[0], some.time_ns[1], by_host)
    for pair in (arms.take(trials.drawn(rng, 60, n, 30)), trials.label_swaps(arms, rng, n)):
        trials.check(pair, trials.score_bounds, times=30)
    for bounds in (trials.t_bounds, trials.score_bounds):
        trials.check(times.take(trials.drawn(rng, 60, n, 30)), bounds, times=30)


@pytest.mark.parametrize("value", [0.0, -0.02, -0.05, 0.01])
def test_an_interval_misses_what_lies_outside_its_bounds(some: Population, value: float) -> None:
    arms = trials.paired(some, some.hung[0], some.hung[1], True)
    pair = arms.take(trials.drawn(np.random.default_rng(2), 60, 12, 200))
    assert trials.score_misses(pair, value) == trials.wrong(pair, value, trials.score_bounds)


def test_cells_of_few_units_have_more_trials(some: Population) -> None:
    arms = trials.paired(some, some.hung[0], some.hung[1], False)
    hosts = trials.paired(some, some.hung[0], some.hung[1], True)
    assert trials.trials_of(arms, 10) == 40_000
    assert trials.trials_of(hosts, 10) == 8_000
    assert trials.trials_of(hosts, 100) == trials.TRIALS


def test_a_wrong_bound_is_noticed(some: Population) -> None:
    pair = trials.paired(some, some.hung[0], some.hung[1], False)
    pair = pair.take(trials.drawn(np.random.default_rng(1), 60, 9, 5))
    with pytest.raises(AssertionError):
        trials.check(pair, off_by_one)


def off_by_one(pair: trials.Pair) -> tuple[trials.Array, trials.Array]:
    low, high = trials.t_bounds(pair)
    return low + 0.01, high


def test_thinning_keeps_the_known_part_and_repeats() -> None:
    hung = np.ones((100, 80), bool)
    kept = trials.thinned(hung)
    assert kept.mean() == pytest.approx(trials.KEPT_MILLIONTHS / 10**6, abs=0.015)
    assert np.array_equal(kept, trials.thinned(hung))


def test_labels_do_not_matter_to_a_trial_without_difference(some: Population) -> None:
    arms = trials.paired(some, some.hung[0], some.hung[1], False)
    swapped = trials.label_swaps(arms, np.random.default_rng(3), 30)
    assert abs(swapped.difference) < 0.005
    assert trials.wrong(swapped, 0.0, trials.score_bounds) == pytest.approx(0.05, abs=0.02)


def test_growing_stops_where_the_interval_is_narrow(some: Population) -> None:
    arms = trials.paired(some, some.hung[0], some.hung[1], False)
    taken = arms.take(trials.drawn(np.random.default_rng(4), 60, 60, 40))
    counts = trials.until(taken, 1, 0.02)
    assert counts.min() >= 10
    assert (counts < 60).sum() >= 5
    for row in np.flatnonzero(counts < 60):
        widths = [np.subtract(*trials.score_bounds(taken.first(n))[::-1])[row] / 2
                  for n in range(10, counts[row] + 1)]  # fmt: skip
        assert [width <= 0.02 for width in widths] == [False] * (len(widths) - 1) + [True]


def test_growing_stops_where_the_run_stops(some: Population) -> None:
    """The trials' rule and the product's, on the same replications with hosts as units."""
    arms = trials.paired(some, some.hung[0], some.hung[1], True)
    rows = np.arange(60)[None, :]
    (count,) = trials.until(arms.take(rows), 5, 0.025)
    enough = narrow_enough(0.025)
    looks = [{"a": look(some, 0, rep), "b": look(some, 1, rep)} for rep in range(60)]
    assert 2 < count < 60
    assert [enough(looks[:n]) for n in range(2, count + 1)] == [False] * (count - 2) + [True]


def look(some: Population, arm: int, rep: int) -> Look:
    """Return what a run looks at: requests by host, and the host of every hang."""
    host = some.host[rep].tolist()
    hung = np.flatnonzero(some.hung[arm, rep]).tolist()
    return Look(dict(Counter(host)), {request: host[request] for request in hung})


def test_a_trial_that_stopped_is_the_shorter_trial(some: Population) -> None:
    arms = trials.paired(some, some.hung[0], some.hung[1], True)
    taken = arms.take(trials.drawn(np.random.default_rng(6), 60, 9, 20))
    stopped = trials.stopped(taken, np.full(20, 4), 5)
    for bounds in (trials.score_bounds, trials.t_bounds):
        np.testing.assert_allclose(bounds(stopped), bounds(taken.first(20)), atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS[1::3], ids=lambda s: s.name)
def test_populations_repeat(setting: object) -> None:
    first, again = (make(setting, range(1, 3)) for _ in range(2))  # type: ignore[arg-type]
    assert np.array_equal(first.hung, again.hung)
    assert np.array_equal(first.time_ns, again.time_ns)
    assert first.hung.any()
    assert CHUNK >= 2


def test_the_docs_have_the_tables() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "statistics.md").read_text()
    assert all(setting.name in text for setting in SETTINGS)
