"""Intervals of differences of levels: exact, by counting, against scipy's binomial test."""

from itertools import product

import pytest
from scipy.stats import binom, binomtest, quantile_test

from fleet.report.intervals import IDENTICAL, Units
from fleet.report.levels import TOO_FEW, beyond, level, level_p, middle


def units(values: list[int]) -> Units:
    return Units(values, [1] * len(values))


def bounds(shifts: list[int]) -> tuple[float | None, float | None]:
    found = level(units([100] * len(shifts)), units([100 + shift for shift in shifts]))
    return found.low, found.high


@pytest.mark.parametrize("count", [*range(1, 40), 100, 999, 3000])
def test_as_many_are_left_out_as_a_coin_allows(count: int) -> None:
    out = beyond(count)
    assert out < 0 or 2 * binom.cdf(out, count, 0.5) <= 0.05
    assert 2 * binom.cdf(out + 1, count, 0.5) > 0.05
    assert (out < 0) == (count < 6)


def test_it_misses_the_median_of_any_distribution_as_often_as_it_says() -> None:
    """All ways in which six coins fall: only all of one kind miss, 2 of 64."""
    missed = 0
    for signs in product((-1, 1), repeat=6):
        low, high = bounds([sign * (10**i) for i, sign in enumerate(signs)])
        assert low is not None
        assert high is not None
        missed += not low <= 0 <= high
    assert missed / 2**6 <= 0.05
    assert missed == 2


def test_it_is_scipys_interval_of_a_quantile() -> None:
    shifts = [5, -3, 8, 2, 2, 9, -1, 4, 7, 6, 30, 1, 3]
    known = quantile_test(shifts, p=0.5).confidence_interval(0.95)
    assert bounds(shifts) == (known.low, known.high)


def test_one_replication_far_off_does_not_move_it() -> None:
    shifts = [7, 9, 8, 7, 9, 8, 7, 9, 8, 8]
    assert bounds(shifts) == bounds([*shifts[:-1], 10**6]) == (7, 9)


def test_the_p_value_is_the_exact_sign_test_of_those_that_differ() -> None:
    for less, more, same in ((0, 6, 0), (2, 7, 3), (5, 5, 1), (0, 1, 1)):
        shifts = [-3] * less + [2] * more + [0] * same
        found = level_p(units([9] * len(shifts)), units([9 + shift for shift in shifts]))
        assert found == pytest.approx(binomtest(less, less + more).pvalue), (less, more)


def test_few_units_or_no_difference_is_no_interval() -> None:
    assert "single unit" in str(level(units([3]), units([5])).note)
    assert level_p(units([3]), units([5])) is None
    few = level(units([3, 4, 5, 6, 7]), units([5, 5, 5, 5, 8]))
    assert (few.low, few.high, few.note) == (None, None, TOO_FEW)
    same = level(units([3, 4]), units([3, 4]))
    assert (same.low, same.high, same.method) == (0.0, 0.0, IDENTICAL)
    assert level_p(units([3, 4]), units([3, 4])) is None
    assert bounds([5] * 6) == (5, 5), "all six alike says that no half lies elsewhere"


def test_the_middle_is_the_median() -> None:
    assert middle([3]) == 3
    assert middle([9, 1, 4]) == 4
    assert middle([9, 1, 4, 5]) == 4.5
