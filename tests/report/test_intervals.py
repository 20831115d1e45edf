"""Intervals and exact tests against published examples and other ways of computing them."""

from itertools import product
from math import comb, inf, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, t, wilcoxon

from fleet.report.intervals import (
    Events,
    Units,
    freedom_of_events,
    holm,
    residuals,
    score,
    score_p,
    sign_flip,
    standard_error,
    tango,
)

Z = 1.959963984540054


def test_tangos_published_example() -> None:
    """21 children, 7 and 1 discordant: -0.517 to -0.026.

    Bentur et al.'s airway data in Fagerland, Lydersen and Laake, "Recommended tests and confidence
    intervals for paired binomial proportions", Statistics in Medicine 33 (2014), table VI.
    """
    low, high = tango(7, 1, 21, Z)
    assert (round(low, 3), round(high, 3)) == (-0.517, -0.026)


def test_tango_without_discordant_pairs_is_the_score_bound() -> None:
    """z^2 / (n + z^2), the Wilson bound of 0 in n."""
    low, high = tango(0, 0, 100, Z)
    assert high == pytest.approx(Z * Z / (100 + Z * Z), rel=1e-9)
    assert low == pytest.approx(-high)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 60))
def test_tango_mirrors_and_holds_the_estimate(a: int, b: int, rest: int) -> None:
    pairs = a + b + rest + 1
    low, high = tango(a, b, pairs, Z)
    mirrored = tango(b, a, pairs, Z)
    assert mirrored == pytest.approx((-high, -low), abs=1e-9)
    assert -1 <= low <= (b - a) / pairs <= high <= 1


def exact_mcnemar(b: int, c: int) -> float:
    """Sum the probabilities of all splits of b + c that are no likelier than the one seen."""
    n = b + c
    seen = comb(n, b)
    return float(sum(comb(n, k) for k in range(n + 1) if comb(n, k) <= seen) / 2**n)


@pytest.mark.parametrize(("b", "c"), [(1, 0), (5, 5), (10, 2), (0, 12), (31, 17), (1, 30)])
def test_sign_flip_of_single_pairs_is_mcnemar(b: int, c: int) -> None:
    assert sign_flip([1] * b + [-1] * c + [0] * 9) == pytest.approx(exact_mcnemar(b, c), rel=1e-9)


@given(st.lists(st.integers(-5, 5), max_size=9))
def test_sign_flip_counts_all_assignments(differences: list[int]) -> None:
    seen = abs(sum(differences))
    sums = [
        abs(sum(sign * d for sign, d in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    expected = sum(s >= seen for s in sums) / len(sums)
    assert sign_flip(differences) == pytest.approx(expected, rel=1e-9)


def test_sign_flip_of_ranks_is_wilcoxon() -> None:
    values = [1, -2, 3, 4, 5, -6, 7, 8, 9, 10]
    expected = wilcoxon(values, method="exact").pvalue
    assert sign_flip(values) == pytest.approx(expected, rel=1e-12)


def test_sign_flip_of_thousands_of_hosts_is_normal() -> None:
    differences = [3] * 2000 + [-3] * 1800
    z = (200 - 1) / sqrt(3800)
    assert sign_flip(differences) == pytest.approx(2 * (1 - 0.5 * (1 + erf(z))), rel=0.02)


def erf(z: float) -> float:
    from math import erf as of

    return of(z / sqrt(2))


def test_one_unit_is_no_interval() -> None:
    found = score(Units([3], [10]), Units([3], [10]), Events(1, 0))
    assert (found.low, found.high) == (None, None)
    assert "single unit" in str(found.note)


def test_independent_pairs_have_design_effect_one() -> None:
    """One pair per unit: the robust variance is that of independent pairs, up to G / (G - 1)."""
    x, y = [1] * 12 + [0] * 88, [0] * 9 + [1] * 3 + [0] * 83 + [1] * 5
    a, b = Units(x, [1] * 100), Units(y, [1] * 100)
    d = (5 - 9) / 100
    assert standard_error(residuals(a, b)) ** 2 == pytest.approx((14 / 100 - d * d) / 99, rel=1e-12)
    found = score(a, b, Events(9, 5))
    quantile = t.ppf(0.975, 99 * 14 / 13)
    expected = tango(9 * 0.99, 5 * 0.99, 99, quantile)
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-6)


def test_pairs_that_go_together_widen_the_interval() -> None:
    spread = score(Units([1] * 20, [5] * 20), Units([0] * 10 + [1] * 10, [5] * 20), Events(10, 0))
    lumped = score(
        Units([5] * 4 + [0] * 16, [5] * 20), Units([5] * 2 + [0] * 18, [5] * 20), Events(10, 0)
    )
    assert lumped.high - lumped.low > 1.5 * (spread.high - spread.low)  # type: ignore[operator]


@pytest.mark.parametrize(("units", "events"), [(10, 1), (10, 2), (10, 5), (4, 12), (30, 300)])
def test_freedom_of_events_is_that_of_their_scatter(units: int, events: int) -> None:
    """Satterthwaite's 2 mean^2 / variance, of events thrown on units with a sign each."""
    rng = np.random.default_rng(1)
    place = rng.integers(0, units, (40_000, events))
    sign = rng.choice([-1, 1], place.shape)
    sums = np.zeros((len(place), units))
    for k in range(events):
        sums[np.arange(len(place)), place[:, k]] += sign[:, k]
    scatter = sums.var(axis=1, ddof=1)
    expected = 2 * scatter.mean() ** 2 / scatter.var() if scatter.var() > 1e-20 else inf
    assert freedom_of_events(units, events) == pytest.approx(expected, rel=0.05)


def test_freedom_of_no_event_is_that_of_a_known_variance() -> None:
    """A unit without hangs has no scatter to misjudge: the bound is the normal one."""
    assert freedom_of_events(10, 0) == inf
    none = Units([0] * 10, [50] * 10)
    assert score(none, none, Events(0, 0)).high == pytest.approx(Z * Z / (500 + Z * Z), rel=1e-9)


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=9), st.integers(1, 10**12))
def test_events_of_another_size_scale_the_interval(changes: list[int], size: int) -> None:
    """Hangs in numbers, or in nanoseconds of their deadline: the same interval."""
    n, none = [5] * len(changes), [3] * len(changes)
    down, up = -sum(c for c in changes if c < 0), sum(c for c in changes if c > 0)
    plain = score(Units(none, n), Units([3 + c for c in changes], n), Events(down, up))
    times = score(Units([3 * size] * len(changes), n),
                  Units([(3 + c) * size for c in changes], n),
                  Events(down * size, up * size, size))  # fmt: skip
    assert plain.low is not None
    assert plain.high is not None
    assert times.low == pytest.approx(plain.low * size, rel=1e-6, abs=1e-9 * size)
    assert times.high == pytest.approx(plain.high * size, rel=1e-6, abs=1e-9 * size)


def test_the_p_value_is_five_per_cent_where_the_interval_ends_at_zero() -> None:
    below, above = 0, 0
    for up in range(1, 40):
        a = Units([0] * 40, [10] * 40)
        b = Units([1] * up + [0] * (40 - up), [10] * 40)
        found, p = score(a, b, Events(0, up)), score_p(a, b, Events(0, up))
        assert found.low is not None
        assert p is not None
        assert (p < 0.05) == (found.low > 0), up
        below, above = below + (p < 0.05), above + (p >= 0.05)
    assert below
    assert above
    assert score_p(Units([1], [1]), Units([0], [1]), Events(1, 0)) is None


def test_ratios_with_unequal_units() -> None:
    """The linearised variance by its definition, unit by unit."""
    a, b = Units([2, 0, 5], [10, 4, 30]), Units([1, 1, 9], [10, 4, 30])
    ra, rb = 7 / 44, 11 / 44
    e = [((y - rb * n) - (x - ra * n)) / 44 for x, y, n in zip(a.x, b.x, a.n, strict=True)]
    assert standard_error(residuals(a, b)) == pytest.approx(
        sqrt(3 / 2 * sum(v * v for v in e)), rel=1e-12
    )


def test_holms_published_example() -> None:
    """0.01, 0.04, 0.03, 0.005: 0.03, 0.06, 0.06, 0.02 (p.adjust of R, its manual's method)."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_the_false_discovery_rate_and_bonferroni(values: list[float]) -> None:
    adjusted = holm(values)
    for p, q, fdr in zip(values, adjusted, false_discovery_control(values), strict=True):
        assert fdr - 1e-12 <= q <= min(len(values) * p, 1.0) + 1e-12
