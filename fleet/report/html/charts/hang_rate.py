"""Hang rate by arm, with its 95 % interval."""

from collections.abc import Sequence

from markupsafe import Markup

from fleet.report import units
from fleet.report.html import bars, forms
from fleet.report.html.answers import Row
from fleet.report.html.arms import Arm
from fleet.report.html.chart import Chart, Paper, source
from fleet.report.html.scale import Scale, shares
from fleet.report.html.svg import percent, shape, titled
from fleet.report.html.words import NOUNS, alike, capital, named, say


def chart(paper: Paper, kind: str) -> Chart:
    """Return the chart of one kind of requests."""
    rows = paper.answers.rows("hang_rate", kind=kind)
    scale = shares(max((row["high"] or 0.0 for row in rows), default=0.0))
    drawn = [
        bars.Bar(arm, _shapes(scale, arm, row), _value(row))
        for arm, row in zip(paper.arms, rows, strict=True)
    ]
    return Chart(
        key=f"hang-rate-{kind}",
        finding=_finding(paper.arms, rows, kind),
        what=f"Hang rate of {NOUNS[kind][1]}, with its 95 % interval",
        body=bars.draw([bars.Group(drawn)], bars.Axis(scale, f"% of {NOUNS[kind][1]}")),
        sources=(source("hang_rate", kind=kind),),
        note="Hung: stuck at its deadline, or its host reset by a watchdog. Interval: Wilson's.",
    )


def _shapes(scale: Scale, arm: Arm, row: Row) -> list[Markup]:
    if row["hang_rate"] is None:
        return []
    low, high = percent(scale.at(row["low"])), percent(scale.at(row["high"]))
    title = titled(f"{arm.short}: {row['hung']:,} of {row['requests']:,} hung, {_spelled(row)}")
    ends = [
        shape("line", x1=x, x2=x, y1=5.0, y2=15.0, data=row.mark(name), class_="whisker")
        for x, name in ((low, "low"), (high, "high"))
    ]
    return [
        shape("line", x1=low, x2=high, y1=10.0, y2=10.0, class_="whisker"),
        *ends,
        shape("circle", title, data=row.mark("hang_rate"), cx=percent(scale.at(row["hang_rate"])),
              cy=10.0, r=5.5, class_="fill"),
    ]  # fmt: skip


def _spelled(row: Row) -> str:
    return f"{units.percent(row['hang_rate'])} ({units.interval(row['low'], row['high'])})"


def _value(row: Row) -> Markup:
    if row["hang_rate"] is None:
        return Markup("no requests")
    counted = say("{} of {}", row.show("hung", units.count), row.show("requests", units.count))
    if row["hung"] == 0:
        return say("<b>{}</b> <small>{}</small>", row.show("requests", forms.bound), counted)
    return say(
        "<b>{}</b> <small>{} to {}, {}</small>",
        row.show("hang_rate", units.percent),
        row.show("low", units.percent),
        row.show("high", units.percent),
        counted,
    )


def _finding(arms: Sequence[Arm], rows: Sequence[Row], kind: str) -> Markup:
    one, many = NOUNS[kind]
    asked = [(arm, row) for arm, row in zip(arms, rows, strict=True) if row["requests"]]
    hung = [pair for pair in asked if pair[1]["hung"]]
    if not hung:
        return say("No {} hangs under {}", one, "any arm" if len(arms) > 1 else named(arms, arms))
    worst = max(hung, key=lambda pair: float(pair[1]["hang_rate"]))
    best = min(asked, key=lambda pair: float(pair[1]["hang_rate"]))
    rate = worst[1].show("hang_rate", units.percent)
    if len(asked) == 1:
        return say("{} of the {} hang under {}", rate, many, named([worst[0]], arms))
    same = {row["hang_rate"] for _, row in asked}
    if len(same) == 1:
        return say("{} of the {} hang, alike under {}", rate, many, named(arms, arms))
    if best[1]["hung"] == 0:
        none = [arm for arm, row in asked if not row["hung"]]
        return say(
            "{} of the {} hang under {}, none under {}",
            rate, many, named(alike(asked, "hang_rate", worst[1]), arms), named(none, arms),
        )  # fmt: skip
    unsure = ", but their intervals overlap" if best[1]["high"] >= worst[1]["low"] else ""
    return capital(
        say(
            "Fewest hang under {}, {} of the {}; most under {}, {}{}",
            named(alike(asked, "hang_rate", best[1]), arms),
            best[1].show("hang_rate", units.percent), many,
            named(alike(asked, "hang_rate", worst[1]), arms), rate, unsure,
        )
    )  # fmt: skip
