"""When a run with ``until_ci`` has replications enough: its intervals are as narrow as asked."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from fleet.report.intervals import Events, Units, score
from fleet.scenario.scenario import Scenario

FIRST_LOOK = 10
"""Units there must be before a look counts: fewer may agree by luck and end the run too soon."""


class Look(Protocol):
    """Hangs of one arm and replication (``fleet.run.looks.Look``)."""

    @property
    def requests(self) -> Mapping[int, int]:
        """Requests per host."""
        ...

    @property
    def hung(self) -> Mapping[int, int]:
        """Request that hung to its host."""
        ...


def rule_of(scenario: Scenario) -> Callable[[Sequence[Mapping[str, Any]]], bool] | None:
    """Return the rule of a scenario; None when it has a fixed number of replications."""
    until = scenario.until_ci
    return None if until is None else narrow_enough(until.half_width_millionths / 10**6)


def narrow_enough(half_width: float) -> Callable[[Sequence[Mapping[str, Any]]], bool]:
    """Return the rule "every interval of the hang rate's difference is half as wide as this".

    Parameters
    ----------
    half_width : float
        As a share (0.01: one point).

    Returns
    -------
    callable
        Takes the replications so far, each with a look per arm, the baseline first; True when the
        interval of every other arm against it reaches at most ``half_width`` to each side on
        average. It is the interval that the report prints for the same replications.
    """

    def enough(looks: Sequence[Mapping[str, Any]]) -> bool:
        base, *others = looks[0]
        return all(_half_width(looks, base, arm) <= half_width for arm in others)

    return enough


def _half_width(looks: Sequence[Mapping[str, Look]], base: str, arm: str) -> float:
    """Return half the width of the interval; more than any share when there is none yet."""
    sums: list[tuple[int, int, int, int]] = []
    only_a = only_b = 0
    for by_arm in looks:
        a, b = by_arm[base], by_arm[arm]
        only_a += len(a.hung.keys() - b.hung.keys())
        only_b += len(b.hung.keys() - a.hung.keys())
        hung_a, hung_b = Counter(a.hung.values()), Counter(b.hung.values())
        for host in sorted(a.requests):
            sums.append((hung_a[host], hung_b[host], a.requests[host], b.requests[host]))
    if len(sums) < FIRST_LOOK:
        return 2.0
    xa, xb, na, nb = (list(column) for column in zip(*sums, strict=True))
    found = score(Units(xa, na), Units(xb, nb), Events(only_a, only_b))
    return 2.0 if found.low is None or found.high is None else (found.high - found.low) / 2
