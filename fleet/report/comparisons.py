"""Compares every arm with the baseline, metric by metric: difference, interval, verdict."""

from collections.abc import Iterable, Sequence
from typing import Any

from fleet.report.evidence import (
    Evidence,
    Paired,
    discordant_counts,
    of_changes,
    of_hangs,
    of_levels,
    of_moves,
    of_units,
)
from fleet.report.intervals import Interval, Units, holm
from fleet.report.levels import changes, middle
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
    paired: Paired,
    margins: dict[str, float],
) -> list[Row]:
    """Compare arms.

    Parameters
    ----------
    pairs : sequence of (str, str)
        Baseline and other arm.
    units : dict
        Rows of ``probe_clusters`` and ``replication_totals``, by the name of the query.
    paired : dict
        Rows of the queries that compare the same requests (``evidence.Paired``).
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
        if (row := _compare(metric, pair, units[metric.query], paired, margins)) is not None
    ]
    _correct(rows)
    for row in rows:
        _judge(row)
    return rows


def _compare(
    metric: Metric,
    pair: tuple[str, str],
    rows: list[Row],
    paired: Paired,
    margins: dict[str, float],
) -> Row | None:
    """Return the comparison without its verdict; None without data in both arms."""
    a, b = (_units(metric, rows, arm, pair) for arm in pair)
    if a.ratio is None or b.ratio is None:
        return None
    value_a, value_b, difference = (v / metric.scale for v in _values(metric, a, b))
    margin = margins[metric.margin] * (abs(value_a) if metric.margin in RELATIVE else 1.0)
    counts = discordant_counts(metric, pair, paired)
    found = _evidence(metric, a, b, pair, paired, counts)
    interval = found.interval
    note = interval.note
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
        "difference": difference,
        "relative": difference / value_a if value_a else None,
        "low": None if interval.low is None else interval.low / metric.scale,
        "high": None if interval.high is None else interval.high / metric.scale,
        "method": interval.method,
        "n": len(a.x),
        "n_unit": "hosts" if metric.estimand == "probe" else "replications",
        "margin": margin,
        "more_is_better": metric.up,
        "verdict": "undecided",
        "p_value": found.p_value,
        "p_holm": None,
        "discordant": None if counts is None else {"only_a": counts[0], "only_b": counts[1]},
        "rests_on": found.rests_on,
        "rests_on_what": found.what,
        "cautious": found.is_cautious,
        "note": note,
        "survives": None,
        "ages": None,
        "query": metric.query,
    }


def _values(metric: Metric, a: Units, b: Units) -> tuple[float, float, float]:
    """Return the value of either arm, and what they differ by: of a level the middle of each."""
    if metric.test == "level":
        return middle(a.x), middle(b.x), middle(changes(a, b))
    value_a, value_b = a.ratio or 0.0, b.ratio or 0.0
    return value_a, value_b, value_b - value_a


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


def _evidence(
    metric: Metric,
    a: Units,
    b: Units,
    pair: tuple[str, str],
    paired: Paired,
    counts: tuple[int, int] | None,
) -> Evidence:
    """Return interval, p-value, and what they rest on, by the metric's method."""
    if metric.test == "paired" and counts is not None:
        return of_hangs(a, b, *counts)
    if metric.test == "times":
        return of_changes(metric, a, b, pair, paired)
    if metric.unit == "share" and not any(a.x) and not any(b.x) and len(a.x) > 1:
        bound = min(3 / sum(a.n), 1.0)
        return Evidence(Interval(-bound, bound, "3/n", f"none in {sum(a.n):,}"), 1.0)
    if metric.test == "moves":
        return of_moves(metric, a, b, pair, paired)
    if metric.test == "level":
        return of_levels(metric, a, b)
    return of_units(metric, a, b, is_exact=counts is not None)


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
