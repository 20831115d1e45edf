"""How requests ended, as shares of all."""

from collections.abc import Sequence

from markupsafe import Markup

from fleet.report import units
from fleet.report.html import bars
from fleet.report.html.answers import Row
from fleet.report.html.arms import Arm
from fleet.report.html.chart import Chart, Paper, source
from fleet.report.html.scale import shares
from fleet.report.html.svg import percent, shape, titled
from fleet.report.html.words import NOUNS, alike, named, say

ENDS = {
    "offlined": "offline", "refused": "refused", "gave_up": "gave up", "host_down": "host down",
    "withdrawn": "withdrawn", "censored": "cut off by the end", "stuck": "stuck",
    "reset": "host reset",
}  # fmt: skip
"""Outcomes from left to right, with their words; the last two are hangs."""


def chart(paper: Paper, kind: str) -> Chart:
    """Return the chart of one kind of requests."""
    rows = paper.answers.rows("outcome_shares", kind=kind)
    drawn = [
        bars.Bar(arm, _segments(arm, row), _value(row), _spelled(row), height=22)
        for arm, row in zip(paper.arms, rows, strict=True)
    ]
    return Chart(
        key=f"outcomes-{kind}",
        finding=_finding(paper.arms, rows, kind),
        what=f"How the {NOUNS[kind][1]} ended",
        body=bars.draw([bars.Group(drawn)], bars.Axis(shares(1.0), f"% of {NOUNS[kind][1]}")),
        sources=(source("outcome_shares", kind=kind),),
        note="Stuck and reset are the hangs; they are hatched.",
    )


def _segments(arm: Arm, row: Row) -> list[Markup]:
    shapes, start = [], 0.0
    for name, word in ENDS.items():
        share = row[name] or 0.0
        if share:
            x, width = percent(start), percent(share)
            title = titled(f"{arm.short}: {units.percent(share)} {word}")
            shapes.append(
                shape("rect", title, data=row.mark(name), x=x, width=width, y=2, height=18,
                      class_=f"part end-{name}")
            )  # fmt: skip
            if name in ("stuck", "reset"):
                shapes.append(
                    shape("rect", x=x, width=width, y=2, height=18, class_=f"hatch hatch-{name}")
                )
        start += share
    return shapes


def _value(row: Row) -> Markup:
    return say("<small>{} in all</small>", row.show("requests", units.count))


def _spelled(row: Row) -> Markup:
    parts = [
        say('<span class="key end-{}"></span>{} {}', name, row.show(name, units.percent), word)
        for name, word in ENDS.items()
        if row[name]
    ]
    return Markup("").join(say('<span class="share">{}</span>', part) for part in parts)


def _finding(arms: Sequence[Arm], rows: Sequence[Row], kind: str) -> Markup:
    many = NOUNS[kind][1]
    known = [(arm, row) for arm, row in zip(arms, rows, strict=True) if row["requests"]]
    if not known:
        return say("No {} were made", many)
    most = max(known, key=lambda pair: float(pair[1]["offlined"]))
    least = min(known, key=lambda pair: float(pair[1]["offlined"]))
    top = most[1].show("offlined", units.percent)
    if len(known) == 1 or most[1]["offlined"] == least[1]["offlined"]:
        under = named([most[0]] if len(known) == 1 else arms, arms)
        return say("{} of the {} take memory offline under {}", top, many, under)
    return say(
        "{} of the {} take memory offline under {}, {} under {}",
        top, many, named(alike(known, "offlined", most[1]), arms),
        least[1].show("offlined", units.percent), named(alike(known, "offlined", least[1]), arms),
    )  # fmt: skip
