"""What a comparison of two arms rests on: interval, p-value, and how many events they stand on."""

from dataclasses import dataclass
from typing import Any

from fleet.report.intervals import Events, Interval, Units, score, score_p, sign_flip
from fleet.report.levels import level, level_p
from fleet.report.metrics import Metric
from fleet.report.totals import differing, total, total_p

Row = dict[str, Any]
Paired = dict[str, dict[str, list[Row]]]
"""Rows of ``paired_outcomes``, ``paired_mishaps``, ``paired_times``, ``paired_moves`` by kind."""

SIX = 6
"""Events below which arms cannot be told apart: five of one kind and none of the other are p 0.06
by the sign test, six are p 0.03."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """An interval and what it rests on.

    Attributes
    ----------
    interval : Interval
    p_value : float or None
        Of no difference.
    rests_on : int, float or None
        How many events of the kind ``what`` the arms differ by; None where nothing is counted.
    what : str or None
    is_few : bool
        They are fewer than ``SIX``.
    """

    interval: Interval
    p_value: float | None
    rests_on: float | None = None
    what: str | None = None
    is_few: bool = False

    @property
    def is_cautious(self) -> bool:
        """There is an interval, and it has to reach far because it rests on few events."""
        low, high = self.interval.low, self.interval.high
        return self.is_few and low is not None and high is not None and low < high


def discordant_counts(
    metric: Metric, pair: tuple[str, str], paired: Paired
) -> tuple[int, int] | None:
    """Return how many things were hit in one arm alone, for metrics of yes or no."""
    if metric.pairing is None:
        return None
    name = "paired_mishaps" if metric.mishap else "paired_outcomes"
    return _of_pair(paired, name, metric.pairing, pair, "only_a", "only_b")


def of_hangs(a: Units, b: Units, only_a: int, only_b: int) -> Evidence:
    """Score interval of paired requests; the p-value is the exact sign-flip test's over units."""
    exact = _exact(a, b) if len(a.x) > 1 else None
    found, hung = score(a, b, Events(only_a, only_b)), only_a + only_b
    what = f"{'request' if hung == 1 else 'requests'} that hung under one arm alone"
    return Evidence(found, exact, hung, what, hung < SIX)


def of_changes(
    metric: Metric, a: Units, b: Units, pair: tuple[str, str], paired: Paired
) -> Evidence:
    """Score interval of what the times of the same requests differ by."""
    kind = metric.kind or ""
    down, up = _of_pair(paired, "paired_times", kind, pair, "sooner_ns", "later_ns")
    size, _ = _of_pair(paired, "paired_times", kind, pair, "jump_ns", "jump_ns")
    events = Events(down, up, size)
    return Evidence(score(a, b, events), score_p(a, b, events), *_units_that_differ(metric, a, b))


def of_moves(metric: Metric, a: Units, b: Units, pair: tuple[str, str], paired: Paired) -> Evidence:
    """Score interval of totals of requests, each of which may move as much as a whole block."""
    kind, unit = metric.kind or "", metric.over.removeprefix("offline_")
    less, more = _of_pair(paired, "paired_moves", kind, pair, f"less_{unit}", f"more_{unit}")
    whole, _ = _of_pair(paired, "paired_moves", kind, pair, f"whole_{unit}", f"whole_{unit}")
    moves = (less + more) / whole if whole else 0.0
    what = "whole moves more or less"
    return Evidence(total(a, b, whole), total_p(a, b), moves, what, moves < SIX)


def of_units(metric: Metric, a: Units, b: Units, *, is_exact: bool) -> Evidence:
    """Score interval of totals of which only the units are known."""
    p_value = _exact(a, b) if is_exact and len(a.x) > 1 else total_p(a, b)
    return Evidence(total(a, b), p_value, *_units_that_differ(metric, a, b))


def of_levels(metric: Metric, a: Units, b: Units) -> Evidence:
    """Middle of what is no sum; its interval is exact, however few units differ."""
    count, what, _ = _units_that_differ(metric, a, b)
    return Evidence(level(a, b), level_p(a, b), count, what)


def _units_that_differ(metric: Metric, a: Units, b: Units) -> tuple[int, str, bool]:
    """Return how many differ, and whether they are few among others that do not."""
    count, unit = differing(a, b), "host" if metric.estimand == "probe" else "replication"
    what = f"{unit} that differs" if count == 1 else f"{unit}s that differ"
    return count, what, count < min(SIX, len(a.x))


def _exact(a: Units, b: Units) -> float:
    return sign_flip([y - x for x, y in zip(a.x, b.x, strict=True)])


def _of_pair(
    paired: Paired, name: str, kind: str, pair: tuple[str, str], first: str, second: str
) -> tuple[int, int]:
    """Return two columns of a pair's row, as the first arm of ``pair`` sees them; zeros without."""
    for row in paired.get(name, {}).get(kind, ()):
        if (row["arm_a"], row["arm_b"]) == pair:
            return row[first], row[second]
        if (row["arm_b"], row["arm_a"]) == pair:
            return row[second], row[first]
    return 0, 0
