"""The statistics against other ways of computing them."""

from math import comb, sqrt
from random import Random
from typing import Any

import pytest

from fleet.report.statistics import paired, removals


def row(
    only_a: int, only_b: int, pairs: int = 100, hosts: int = 10, **more: object
) -> dict[str, Any]:
    difference = (only_b - only_a) / pairs
    return {"arm_a": "a", "arm_b": "b", "pairs": pairs, "hosts": hosts, "both_hung": 0,
            "only_a": only_a, "only_b": only_b, "neither": pairs - only_a - only_b,
            "difference": difference, "std_error": 0.02} | more  # fmt: skip


def exact_mcnemar(b: int, c: int) -> float:
    """Sum the probabilities of all splits of b + c that are no likelier than the one seen."""
    n = b + c
    seen = comb(n, b)
    return float(sum(comb(n, k) for k in range(n + 1) if comb(n, k) <= seen) / 2**n)


@pytest.mark.parametrize(("b", "c"), [(1, 0), (5, 5), (10, 2), (0, 12), (31, 17), (1, 30)])
def test_exact_mcnemar(b: int, c: int) -> None:
    assert paired(row(b, c))["p_value"] == pytest.approx(exact_mcnemar(b, c), rel=1e-9)


def test_interval_is_students_t_on_hosts() -> None:
    found = paired(row(3, 8, std_error=0.02, hosts=10))
    # 2.2621572 is the 97.5 % quantile of t with 9 degrees of freedom (any table).
    assert found["low"] == pytest.approx(0.05 - 2.2621572 * 0.02)
    assert found["high"] == pytest.approx(0.05 + 2.2621572 * 0.02)


def test_nothing_discordant_gives_the_rule_of_three() -> None:
    found = paired(row(0, 0, pairs=300, std_error=0.0))
    assert (found["low"], found["high"], found["p_value"]) == (-0.01, 0.01, 1.0)
    assert paired(row(0, 0, pairs=2, std_error=0.0))["high"] == 1.0


def test_one_host_has_no_interval() -> None:
    found = paired(row(3, 8, std_error=None, hosts=1))
    assert (found["low"], found["high"]) == (None, None)


def test_intervals_stay_within_what_is_possible() -> None:
    found = paired(row(10, 90, std_error=0.4))
    assert found["high"] == 1.0


def test_interval_covers_the_truth() -> None:
    """Simulate pairs on 20 hosts with a common host effect: about 95 % of intervals cover."""
    luck, covered, rounds = Random(11), 0, 400
    for _ in range(rounds):
        sums, n = [], 15
        for _ in range(20):
            p = luck.choice([0.05, 0.45])  # clustered: E = 0.25
            sums.append(sum(luck.random() < p for _ in range(n)))
        pairs = 20 * n
        d = sum(sums) / pairs
        error = sqrt(20 / 19 * sum((s - n * d) ** 2 for s in sums)) / pairs
        found = paired(row(0, sum(sums), pairs=pairs, hosts=20, difference=d, std_error=error))
        covered += found["low"] <= 0.25 <= found["high"]
    assert 0.92 <= covered / rounds <= 0.98


def rates(arm: str, *values: float | None) -> list[dict[str, Any]]:
    return [{"arm": arm, "rep": rep, "hang_rate": v} for rep, v in enumerate(values)]


def whole(arm: str, hung: int, n: int) -> dict[str, Any]:
    """A row of ``hang_rate`` with its Wilson interval, by the textbook form."""
    z = 1.959963984540054
    p = hung / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return {"arm": arm, "requests": n, "hung": hung, "hang_rate": p, "low": middle - half,
            "high": middle + half}  # fmt: skip


def test_newcombes_published_example() -> None:
    """56/70 - 48/80 = 0.2 with interval 0.0524 to 0.3339: Newcombe (1998), table II, method 10."""
    (found,) = removals(["b", "a"], [whole("b", 48, 80), whole("a", 56, 70)], [])
    assert found["difference"] == pytest.approx(0.2)
    assert round(found["low"], 4) == 0.0524
    assert round(found["high"], 4) == 0.3339
    assert found["mean"] is None


def test_replications_are_compared_one_by_one() -> None:
    rows = rates("a", 0.1, 0.2, 0.3) + rates("b", 0.2, 0.4, None) + rates("c", 0.1, 0.1, 0.1)
    all_of = [whole(arm, 1, 10) for arm in "abc"]
    found = removals(["a", "b", "c"], all_of, rows)
    assert [(r["arm_a"], r["arm_b"], r["replications"]) for r in found] == [
        ("a", "b", 2), ("a", "c", 3), ("b", "c", 2)
    ]  # fmt: skip
    assert found[1]["mean"] == pytest.approx(-0.1)
    # mean -0.1, standard deviation 0.1, t(0.975, 2) = 4.3026527
    assert found[1]["mean_high"] == pytest.approx(-0.1 + 4.3026527 * 0.1 / sqrt(3))


def test_without_scatter_there_is_no_interval_of_the_mean() -> None:
    all_of = [whole("a", 5, 10), whole("b", 2, 10)]
    for values in ((0.5,), (0.5, 0.5, 0.5)):
        (found,) = removals(["a", "b"], all_of, rates("a", *values) + rates("b", *values))
        assert (found["mean"], found["mean_low"], found["mean_high"]) == (0.0, None, None)
    assert removals(["a", "b"], [*all_of[:1], {"arm": "b", "requests": 0}], []) == []
