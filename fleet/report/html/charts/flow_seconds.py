"""Service that applications lost: network flows times the seconds they were not served."""

from collections.abc import Sequence

from markupsafe import Markup

from fleet.report import units
from fleet.report.html import bars
from fleet.report.html.answers import Row
from fleet.report.html.arms import Arm
from fleet.report.html.chart import Chart, Paper, source
from fleet.report.html.scale import Scale, counts
from fleet.report.html.svg import titled
from fleet.report.html.words import alike, named, say

LOSSES = {
    "rejected": "rejected for want of room", "pin_failed": "ended by a failed pin",
    "oom_killed": "killed for want of memory", "host_reset": "lost with a reset host",
    "host_panicked": "lost with a panicked host", "restarts": "restarts",
}  # fmt: skip


def chart(paper: Paper) -> Chart:
    """Return the chart."""
    rows = paper.answers.rows("workload_impact")
    scale = counts(max(row["flow_seconds_lost"] for row in rows))
    drawn = [
        bars.Bar(arm, _shapes(scale, arm, row), _value(row), _below(row))
        for arm, row in zip(paper.arms, rows, strict=True)
    ]
    return Chart(
        key="flow-seconds",
        finding=_finding(paper.arms, rows),
        what="Flow-seconds lost, and what became of the workloads",
        body=bars.draw([bars.Group(drawn)], bars.Axis(scale, "flow-seconds lost")),
        sources=(source("workload_impact"),),
        note="Network flows of a workload times the seconds from its loss until it is served "
        "again.",
    )


def _shapes(scale: Scale, arm: Arm, row: Row) -> list[Markup]:
    lost = row["flow_seconds_lost"]
    title = titled(f"{arm.short}: {units.digits(lost)} flow-seconds lost")
    return bars.bar(scale, lost, title=title, data=row.mark("flow_seconds_lost"))


def _value(row: Row) -> Markup:
    of = say("of {} workloads", row.show("workloads", units.count))
    return say("<b>{}</b> <small>{}</small>", row.show("flow_seconds_lost", units.digits), of)


def _below(row: Row) -> Markup:
    parts = [
        say('<span class="share">{} {}</span>', row.show(key, units.count), word)
        for key, word in LOSSES.items()
        if row[key]
    ]
    return Markup("").join(parts)


def _finding(arms: Sequence[Arm], rows: Sequence[Row]) -> Markup:
    pairs = list(zip(arms, rows, strict=True))
    worst = max(pairs, key=lambda pair: float(pair[1]["flow_seconds_lost"]))
    if not worst[1]["flow_seconds_lost"]:
        return say("Applications lose nothing under {}", "any arm" if len(arms) > 1 else "this arm")
    told = say("Applications lose {} flow-seconds under {}",
               worst[1].show("flow_seconds_lost", units.digits),
               named(alike(pairs, "flow_seconds_lost", worst[1]), arms))  # fmt: skip
    free = [arm for arm, row in pairs if not row["flow_seconds_lost"]]
    if free:
        return told + say(", nothing under {}", named(free, arms))
    if len(arms) == 1:
        return told
    best = min(pairs, key=lambda pair: float(pair[1]["flow_seconds_lost"]))
    least = best[1].show("flow_seconds_lost", units.digits)
    return told + say(
        ", {} under {}", least, named(alike(pairs, "flow_seconds_lost", best[1]), arms)
    )
