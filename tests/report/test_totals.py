"""Intervals of differences of sums: against other ways of computing them, and their limits."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import t, ttest_rel

from fleet.report.intervals import Units
from fleet.report.totals import _mass_under, differing, total, total_p

CHANGES = st.lists(st.integers(-50, 50), min_size=3, max_size=12)


def units(values: list[int], n: int = 1) -> Units:
    return Units(values, [n] * len(values))


def test_one_unit_or_no_scatter_is_no_interval() -> None:
    assert "single unit" in str(total(units([3]), units([5])).note)
    assert total(units([3, 3]), units([5, 5])).low is None
    assert total_p(units([3, 3]), units([5, 5])) is None
    assert total_p(units([3]), units([5])) is None
    same = total(units([3, 4]), units([3, 4]))
    assert (same.low, same.high) == (0.0, 0.0)
    assert total_p(units([3, 4]), units([3, 4])) is None


@given(CHANGES)
def test_the_p_value_is_the_paired_t_tests(changes: list[int]) -> None:
    assume(len(set(changes)) > 1)
    base = [100 + i for i in range(len(changes))]
    other = [x + c for x, c in zip(base, changes, strict=True)]
    found = total_p(units(base), units(other))
    assert found == pytest.approx(ttest_rel(other, base).pvalue, rel=1e-9)


@given(CHANGES, st.floats(0, 200))
def test_the_interval_holds_zero_unless_the_p_value_is_small(
    changes: list[int], whole: float
) -> None:
    assume(len(set(changes)) > 1)
    a, b = units([60] * len(changes)), units([60 + c for c in changes])
    found, p = total(a, b, whole), total_p(a, b)
    assert found.low is not None
    assert found.high is not None
    assert p is not None
    assume(abs(p - 0.05) > 1e-9)
    assert (found.low <= 0 <= found.high) == (p > 0.05)


@given(CHANGES, st.integers(1, 10**9), st.integers(1, 40))
def test_it_mirrors_and_scales(changes: list[int], scale: int, n: int) -> None:
    assume(len(set(changes)) > 1)
    a, b = units([60] * len(changes), n), units([60 + c for c in changes], n)
    found, turned = total(a, b, 20), total(b, a, 20)
    larger = total(units([60 * scale] * len(changes), n),
                   units([(60 + c) * scale for c in changes], n), 20 * scale)  # fmt: skip
    assert found.low is not None
    assert found.high is not None
    assert turned.low == pytest.approx(-found.high, rel=1e-9, abs=1e-9)
    assert turned.high == pytest.approx(-found.low, rel=1e-9, abs=1e-9)
    assert larger.low == pytest.approx(found.low * scale, rel=1e-6, abs=1e-6 * scale)
    assert larger.high == pytest.approx(found.high * scale, rel=1e-6, abs=1e-6 * scale)


@pytest.mark.parametrize(("down", "up", "delta"), [(3, 5, 1), (0, 4, 6), (2, 2, -3), (5, 0, 1.5)])
def test_the_mass_under_a_difference_is_the_likeliest(down: float, up: float, delta: float) -> None:
    def unlikely(mass: float) -> float:
        more, less = (mass + delta) / 2, (mass - delta) / 2
        logs = (up * np.log(more) if up else 0) + (down * np.log(less) if down else 0)
        return float(mass - logs)

    low = abs(delta)
    best = minimize_scalar(unlikely, bounds=(low + 1e-12, low + 50), method="bounded",
                           options={"xatol": 1e-10})  # fmt: skip
    assert _mass_under(down, up, delta) == pytest.approx(best.x, abs=1e-5)


def test_rare_events_of_one_size_have_the_score_interval_of_a_poisson_number() -> None:
    """One event per unit: (x - m)^2 = q^2 m at both ends, the score interval of a Poisson mean.

    Many units and few events; units that share nothing have a variance of m (1 - m / G) G / (G-1).
    """
    count, seen = 5000, 12
    a, b = units([0] * count), units([1] * seen + [0] * (count - seen))
    found = total(a, b)
    q = t.ppf(0.975, count - 1)
    middle, half = seen + q * q / 2, q * sqrt(seen + q * q / 4)
    assert found.low == pytest.approx((middle - half) / count, rel=2e-3)
    assert found.high == pytest.approx((middle + half) / count, rel=2e-3)


def test_nothing_seen_of_whole_moves_is_the_bound_of_their_number() -> None:
    """q^2 events of that size, to either side."""
    found = total(units([7] * 10, 50), units([7] * 10, 50), whole=20)
    bound = t.ppf(0.975, 9) ** 2 * 20 / 500
    assert (found.low, found.high) == pytest.approx((-bound, bound), rel=1e-9)


def test_an_unseen_event_widens_the_side_where_more_would_lie() -> None:
    a, b = units([100] * 10), units([101, 100, 102, 100, 100, 101, 100, 100, 103, 100])
    plain, known = total(a, b), total(a, b, whole=50)
    assert plain.high is not None
    assert known.high is not None
    assert known.high > plain.high + 5
    assert known.low is not None
    assert total(a, b, whole=1e-6) == plain
    assert differing(a, b) == 4


def test_covers_what_students_t_misses() -> None:
    """One replication in ten moves a block more, the rest a few pages: ten of them."""
    rng = np.random.default_rng(1)
    block, missed, by_t = 1024, 0, 0
    truth = 0.1 * block
    for _ in range(600):
        changes = rng.integers(-20, 21, 10) + block * rng.poisson(0.1, 10)
        found = total(units([10**6] * 10), units((10**6 + changes).tolist()), whole=block)
        assert found.low is not None
        assert found.high is not None
        missed += not found.low <= truth <= found.high
        half = t.ppf(0.975, 9) * changes.std(ddof=1) / sqrt(10)
        by_t += not changes.mean() - half <= truth <= changes.mean() + half
    assert by_t > 0.25 * 600
    assert missed < 0.065 * 600
