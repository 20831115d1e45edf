"""Share of requests offline over the time since they were issued, with censoring."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from fleet.report import units
from fleet.report.html import lines
from fleet.report.html.answers import Row
from fleet.report.html.arms import Arm
from fleet.report.html.chart import Chart, Column, Paper, source, table_of
from fleet.report.html.scale import Scale, shares, times
from fleet.report.html.words import NOUNS, alike, named, say

COLUMNS = (
    Column("time_ns", "time since issue, at most", units.time),
    Column("at_risk", "still watched", units.count),
    Column("offlined", "went offline", units.count),
    Column("censored", "censored", units.count),
    Column("offline_share", "share offline", units.percent),
)


def chart(paper: Paper, kind: str) -> Chart | None:
    """Return the chart of one kind of requests; None when none of them was followed."""
    rows = paper.answers.rows("offline_curve", kind=kind)
    if not rows:
        return None
    scale = axis_of(rows)
    drawn = [_line(arm, [r for r in rows if r["arm"] == arm.name], scale) for arm in paper.arms]
    quantiles = paper.answers.rows("offline_time", kind=kind)
    plot = lines.Plot(
        scale, shares(1.0), "time since issue", f"% of {NOUNS[kind][1]} offline",
        _alt(paper.arms, quantiles),
    )  # fmt: skip
    return Chart(
        key=f"offline-curve-{kind}",
        finding=_finding(paper.arms, quantiles),
        what=f"Share of {NOUNS[kind][1]} whose memory is offline, by time since issue",
        body=lines.draw(plot, [line for line in drawn if line.points]),
        sources=(source("offline_curve", kind=kind), source("offline_time", kind=kind)),
        values=table_of(paper, rows, COLUMNS),
        note="Product-limit estimate. Refused, given up and hung requests never go offline and are "
        "watched to their deadline. Upright strokes: requests that were no longer watched.",
        wide=True,
    )


def axis_of(rows: Sequence[Mapping[str, Any]]) -> Scale:
    """Return the axis of time: what comes before anything is offline lies on its left edge.

    A refusal is instant, and an axis with decades of nothing would be all for it.
    """
    seen = [row["time_ns"] for row in rows if row["offlined"]] or [row["time_ns"] for row in rows]
    return times(min(seen), max(row["time_ns"] for row in rows))


def _line(arm: Arm, rows: Sequence[Row], scale: Scale) -> lines.Line:
    points = [_point(arm, row) for row in rows]
    ticks = [point for point, row in zip(points, rows, strict=True) if row["censored"]]
    if points:
        points.insert(0, lines.Point(scale.low, 0.0, "", Markup("")))
        if rows[-1]["offline_share"] == 1:
            points.append(lines.Point(scale.high, 1.0, "", Markup("")))
    return lines.Line(arm, points, steps=True, ticks=ticks)


def _point(arm: Arm, row: Row) -> lines.Point:
    left = f", {row['censored']:,} no longer watched" if row["censored"] else ""
    title = (
        f"{arm.short}: {units.percent(row['offline_share'])} offline after "
        f"{units.time(row['time_ns'])}{left}"
    )
    return lines.Point(row["time_ns"], row["offline_share"], title, row.mark("offline_share"))


def _alt(arms: Sequence[Arm], rows: Sequence[Row]) -> str:
    parts = [
        f"{arm.letter}: half are offline after {_told(row['p50_ns'])}, 99 % after "
        f"{_told(row['p99_ns'])}, {row['beyond']:,} of {row['requests']:,} not by the deadline"
        for arm, row in zip(arms, rows, strict=True)
    ]
    return "Curves of the share offline over time. " + "; ".join(parts) + "."


def _told(time_ns: int | None) -> str:
    return "more than the deadline" if time_ns is None else units.time(time_ns)


def _finding(arms: Sequence[Arm], rows: Sequence[Row]) -> Markup:
    known = [(arm, row) for arm, row in zip(arms, rows, strict=True) if row["requests"]]
    if not known:
        return say("No request has a known end")
    never = [arm for arm, row in known if row["p50_ns"] is None]
    if len(never) == len(known):
        return say("Under {} not even half are offline by the deadline", named(arms, arms))
    timed = [pair for pair in known if pair[1]["p50_ns"] is not None]
    quick = min(timed, key=lambda pair: int(pair[1]["p50_ns"]))
    slow = max(timed, key=lambda pair: int(pair[1]["p50_ns"]))
    first = quick[1].show("p50_ns", units.time)
    rest = say("; under {} not by the deadline", named(never, arms)) if never else Markup("")
    if units.time(quick[1]["p50_ns"]) == units.time(slow[1]["p50_ns"]):
        return say("Half are offline after {} under {}", first, _all(timed, arms)) + rest
    last = say(
        "{} under {}",
        slow[1].show("p50_ns", units.time),
        named(alike(timed, "p50_ns", slow[1]), arms),
    )
    return say("Half are offline after {} under {}, {}{}",
               first, named(alike(timed, "p50_ns", quick[1]), arms), last, rest)  # fmt: skip


def _all(pairs: Sequence[tuple[Arm, Row]], arms: Sequence[Arm]) -> Markup:
    return named([arm for arm, _ in pairs], arms)
