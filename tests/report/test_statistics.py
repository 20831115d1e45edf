"""The statistics against other ways of computing them."""

from math import comb, sqrt
from random import Random

import pytest

from fleet.report.statistics import by_replication, paired


def row(only_a: int, only_b: int, pairs: int = 100, hosts: int = 10, **more: object) -> dict:
    difference = (only_b - only_a) / pairs
    return {"arm_a": "a", "arm_b": "b", "pairs": pairs, "hosts": hosts, "both_hung": 0,
            "only_a": only_a, "only_b": only_b, "neither": pairs - only_a - only_b,
            "difference": difference, "std_error": 0.02} | more  # fmt: skip


def exact_mcnemar(b: int, c: int) -> float:
    """Sum the probabilities of all splits of b + c that are no likelier than the one seen."""
    n = b + c
    seen = comb(n, b)
    return sum(comb(n, k) for k in range(n + 1) if comb(n, k) <= seen) / 2**n


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


def rates(arm: str, *values: float | None) -> list[dict]:
    return [{"arm": arm, "rep": rep, "hang_rate": v} for rep, v in enumerate(values)]


def test_replications_are_compared_one_by_one() -> None:
    rows = rates("a", 0.1, 0.2, 0.3) + rates("b", 0.2, 0.4, None) + rates("c", 0.1, 0.1, 0.1)
    found = by_replication(["a", "b", "c"], rows)
    assert [(r["arm_a"], r["arm_b"], r["replications"]) for r in found] == [
        ("a", "b", 2), ("a", "c", 3), ("b", "c", 2)
    ]  # fmt: skip
    assert found[1]["difference"] == pytest.approx(-0.1)
    # mean -0.1, standard deviation 0.1, t(0.975, 2) = 4.3026527
    assert found[1]["high"] == pytest.approx(-0.1 + 4.3026527 * 0.1 / sqrt(3))


def test_one_replication_has_no_interval() -> None:
    (found,) = by_replication(["a", "b"], rates("a", 0.5) + rates("b", 0.25))
    assert (found["difference"], found["low"], found["high"]) == (-0.25, None, None)
    assert by_replication(["a", "b"], rates("a", None) + rates("b", 0.1)) == []
