"""Compares every arm with the baseline, metric by metric: difference, interval, verdict."""

from collections.abc import Iterable, Sequence
from typing import Any

from fleet.report.intervals import (
    Events,
    Interval,
    Units,
    holm,
    score,
    score_p,
    sign_flip,
    student,
    student_p,
)
from fleet.report.metrics import METRICS, RELATIVE, Metric

Row = dict[str, Any]
ALPHA = 0.05
ONE_REPLICATION = (
    "one replication: all of it shares one course of events, so there is no interval "
    "(--replications N)"
)
NOT_AFTER_HOLM = "not after Holm's correction over the primary comparisons"
ONE_HOST = "all probes are on one host, so there is no interval"


def compare(
    pairs: Sequence[tuple[str, str]],
    units: dict[str, list[Row]],
    discordant: dict[str, list[Row]],
    times: dict[str, list[Row]],
    margins: dict[str, float],
) -> list[Row]:
    """Compare arms.

    Parameters
    ----------
    pairs : sequence of (str, str)
        Baseline and other arm.
    units : dict
        Rows of ``probe_clusters`` and ``replication_totals``, by the name of the query.
    discordant : dict
        Rows of ``paired_outcomes`` and ``paired_mishaps`` by kind.
    times : dict
        Rows of ``paired_times`` by kind.
    margins : dict
        Shares by name of the margin (``fleet.scenario.verdicts.Margins``).

    Returns
    -------
    list of dict
        One per metric and pair that have data; keys in docs/report.md.
    """
    rows = [
        row
        for metric in METRICS
        for pair in pairs
        if (row := _compare(metric, pair, units[metric.query], discordant, times, margins))
        is not None
    ]
    _correct(rows)
    for row in rows:
        _judge(row)
    return rows


def _compare(
    metric: Metric,
    pair: tuple[str, str],
    rows: list[Row],
    discordant: dict[str, list[Row]],
    times: dict[str, list[Row]],
    margins: dict[str, float],
) -> Row | None:
    """Return the comparison without its verdict; None without data in both arms."""
    a, b = (_units(metric, rows, arm, pair) for arm in pair)
    if a.ratio is None or b.ratio is None:
        return None
    value_a, value_b = a.ratio / metric.scale, b.ratio / metric.scale
    margin = margins[metric.margin] * (abs(value_a) if metric.margin in RELATIVE else 1.0)
    counts = _discordant(metric, pair, discordant)
    if metric.test == "times":
        events = _changes(metric, pair, times)
        found, p_value = score(a, b, events), score_p(a, b, events)
    else:
        found, p_value = _interval(metric, a, b, counts)
    note = found.note
    if len(a.x) < 2:
        note = ONE_HOST if metric.estimand == "probe" else ONE_REPLICATION
    return {
        "metric": metric.name,
        "label": metric.label,
        "role": metric.role,
        "unit": metric.unit,
        "kind": metric.kind,
        "estimand": metric.estimand,
        "arm_a": pair[0],
        "arm_b": pair[1],
        "a": value_a,
        "b": value_b,
        "difference": value_b - value_a,
        "relative": (value_b - value_a) / value_a if value_a else None,
        "low": None if found.low is None else found.low / metric.scale,
        "high": None if found.high is None else found.high / metric.scale,
        "method": found.method,
        "n": len(a.x),
        "n_unit": "hosts" if metric.estimand == "probe" else "replications",
        "margin": margin,
        "more_is_better": metric.up,
        "verdict": "undecided",
        "p_value": p_value,
        "p_holm": None,
        "discordant": None if counts is None else {"only_a": counts[0], "only_b": counts[1]},
        "note": note,
        "survives": None,
        "ages": None,
        "query": metric.query,
    }


def _units(metric: Metric, rows: Iterable[Row], arm: str, pair: tuple[str, str]) -> Units:
    """Return an arm's sums over the units in which both arms have something to count."""
    wanted: dict[str, dict[tuple[int, int], Row]] = {name: {} for name in pair}
    for row in rows:
        if row["arm"] in wanted and row[metric.over] is not None:
            wanted[row["arm"]][row["rep"], row.get("host", -1)] = row
    both = [
        key
        for key in sorted(wanted[arm])
        if all(key in wanted[name] for name in pair)
        and (not metric.per or any(wanted[name][key][metric.per] for name in pair))
    ]
    mine = [wanted[arm][key] for key in both]
    return Units(
        [row[metric.over] for row in mine], [row[metric.per] if metric.per else 1 for row in mine]
    )


def _discordant(
    metric: Metric, pair: tuple[str, str], rows: dict[str, list[Row]]
) -> tuple[int, int] | None:
    """Return how many things were hit in one arm alone, for metrics of yes or no."""
    if metric.pairing is None:
        return None
    for row in rows.get(metric.pairing, ()):
        if (row["arm_a"], row["arm_b"]) == pair:
            return row["only_a"], row["only_b"]
        if (row["arm_b"], row["arm_a"]) == pair:
            return row["only_b"], row["only_a"]
    return 0, 0


def _changes(metric: Metric, pair: tuple[str, str], rows: dict[str, list[Row]]) -> Events:
    """Return what the times of the pair's requests differ by."""
    for row in rows.get(metric.kind or "", ()):
        if (row["arm_a"], row["arm_b"]) == pair:
            return Events(row["sooner_ns"], row["later_ns"], row["jump_ns"])
        if (row["arm_b"], row["arm_a"]) == pair:
            return Events(row["later_ns"], row["sooner_ns"], row["jump_ns"])
    return Events(0, 0, 0)


def _interval(
    metric: Metric, a: Units, b: Units, counts: tuple[int, int] | None
) -> tuple[Interval, float | None]:
    """Return interval and p-value by the metric's method."""
    exact = None
    if counts is not None and len(a.x) > 1:
        exact = sign_flip([y - x for x, y in zip(a.x, b.x, strict=True)])
    if counts is not None and metric.test == "paired":
        return score(a, b, Events(*counts)), exact
    if metric.unit == "share" and not any(a.x) and not any(b.x) and len(a.x) > 1:
        bound = min(3 / sum(a.n), 1.0)
        return Interval(-bound, bound, "3/n", f"none in {sum(a.n):,}"), 1.0
    return student(a, b), student_p(a, b) if counts is None else exact


def _correct(rows: list[Row]) -> None:
    """Fill in Holm's p-values over all primary comparisons that have one."""
    primary = [row for row in rows if row["role"] == "primary" and row["p_value"] is not None]
    for row, p_value in zip(primary, holm([r["p_value"] for r in primary]), strict=True):
        row["p_holm"] = p_value


def _judge(row: Row) -> None:
    """Fill in the verdict from interval and margin; a primary one must survive Holm."""
    if row["low"] is None:
        return
    low, high = (row["low"], row["high"]) if not row["more_is_better"] else (
        -row["high"], -row["low"])  # fmt: skip
    if -row["margin"] <= low and high <= row["margin"]:
        row["verdict"] = "equivalent"
    elif high < 0 or low > 0:
        if row["p_holm"] is not None and row["p_holm"] > ALPHA:
            row["note"] = NOT_AFTER_HOLM
        else:
            row["verdict"] = "better" if high < 0 else "worse"
