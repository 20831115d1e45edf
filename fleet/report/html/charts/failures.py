"""Processes killed for want of memory, pins that failed, and panics where there were any."""

from collections.abc import Sequence

from markupsafe import Markup

from fleet.report import units
from fleet.report.html import bars
from fleet.report.html.answers import Row
from fleet.report.html.arms import Arm
from fleet.report.html.chart import Chart, Paper, source
from fleet.report.html.scale import Scale, counts
from fleet.report.html.svg import titled
from fleet.report.html.words import listed, named, say

KINDS = {
    "oom_kills": ("OOM kill", "OOM kills"), "pin_failures": ("failed pin", "failed pins"),
    "panics": ("kernel panic", "kernel panics"),
}  # fmt: skip


def chart(paper: Paper) -> Chart:
    """Return the chart; panics have a place in it only when there were any."""
    rows = paper.answers.rows("guardrails")
    shown = [key for key in KINDS if key != "panics" or any(row[key] for row in rows)]
    scale = counts(max(row[key] for row in rows for key in shown))
    groups = [
        bars.Group([_bar(arm, row, key, scale) for arm, row in zip(paper.arms, rows, strict=True)],
                   KINDS[key][1][0].upper() + KINDS[key][1][1:])
        for key in shown
    ]  # fmt: skip
    return Chart(
        key="failures",
        finding=_finding(paper.arms, rows, shown),
        what="Processes killed for want of memory, and long-term pins that failed",
        body=bars.draw(groups, bars.Axis(scale, "events")),
        sources=(source("guardrails"),),
    )


def _bar(arm: Arm, row: Row, key: str, scale: Scale) -> bars.Bar:
    title = titled(f"{arm.short}: {row[key]:,} {KINDS[key][row[key] != 1]}")
    shapes = bars.bar(scale, row[key], title=title, data=row.mark(key))
    return bars.Bar(arm, shapes, say("<b>{}</b>", row.show(key, units.count)))


def _finding(arms: Sequence[Arm], rows: Sequence[Row], shown: Sequence[str]) -> Markup:
    pairs = list(zip(arms, rows, strict=True))
    hit = [(arm, row) for arm, row in pairs if any(row[key] for key in shown)]
    if not hit:
        return say("No process is killed and no pin fails under {}", _any(arms))
    worst = max(hit, key=lambda pair: sum(pair[1][key] for key in shown))
    parts = [
        say("{} {}", worst[1].show(key, units.count), KINDS[key][worst[1][key] != 1])
        for key in shown
        if worst[1][key]
    ]
    equals = [arm for arm, row in pairs if all(row[key] == worst[1][key] for key in shown)]
    told = say("{} under {}", listed(parts), named(equals, arms))
    free = [arm for arm, row in pairs if (arm, row) not in hit]
    if free:
        return told + say(", none under {}", named(free, arms))
    return told if len(arms) == len(equals) else told + Markup(", more than elsewhere")


def _any(arms: Sequence[Arm]) -> Markup:
    return Markup("any arm") if len(arms) > 1 else named(arms, arms)
