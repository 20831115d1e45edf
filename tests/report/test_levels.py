"""Intervals of differences of levels, against scipy's t."""

import pytest
from scipy.stats import norm, t, ttest_rel

from fleet.report.intervals import Units, residuals
from fleet.report.levels import freedom, level, level_p


def units(values: list[int]) -> Units:
    return Units(values, [1] * len(values))


def test_it_is_scipys_paired_t() -> None:
    x, y = [5, 9, 2, 7, 7, 3], [6, 14, 1, 9, 13, 5]
    a, b = units(x), units(y)
    known = ttest_rel(y, x)
    bounds = known.confidence_interval(0.95)
    found = level(a, b)
    middle, half = (bounds.low + bounds.high) / 2, (bounds.high - bounds.low) / 2
    degrees = freedom(residuals(a, b))
    assert 1 <= degrees <= 5
    half *= t.ppf(0.975, degrees) / t.ppf(0.975, 5)
    assert (found.low, found.high) == pytest.approx((middle - half, middle + half), rel=1e-9)
    assert level_p(a, b) == pytest.approx(2 * t.sf(known.statistic, degrees), rel=1e-9)


def test_freedom_is_that_of_all_units_unless_a_few_carry_it() -> None:
    even = [(-1.0) ** i for i in range(40)]
    normal = [norm.ppf((i + 0.5) / 4000) for i in range(4000)]
    assert freedom(even) == 39
    assert freedom(normal) == pytest.approx(4000, rel=0.02), "k = 3: 2 G / (k - 1) = G"
    assert freedom([0.0] * 98 + [1.0, -1.0]) == pytest.approx(2 * 100 / 49)


def test_one_unit_or_no_scatter_is_no_interval() -> None:
    assert "single unit" in str(level(units([3]), units([5])).note)
    assert level(units([3, 3]), units([5, 5])).low is None
    assert level_p(units([3, 3]), units([5, 5])) is None
    assert level_p(units([3]), units([5])) is None
    same = level(units([3, 4]), units([3, 4]))
    assert (same.low, same.high) == (0.0, 0.0)
