"""How long callers wait for a long-term pin: one small histogram per arm on a common axis."""

from collections.abc import Sequence

from markupsafe import Markup

from fleet.report import units
from fleet.report.html import bars
from fleet.report.html.answers import Row
from fleet.report.html.arms import Arm
from fleet.report.html.chart import Chart, Column, Paper, source, table_of
from fleet.report.html.scale import Scale, times
from fleet.report.html.svg import percent, shape, titled
from fleet.report.html.words import alike, named, say

HEIGHT = 46
COLUMNS = (
    Column("least_ns", "from", units.time),
    Column("most_ns", "to", units.time),
    Column("pins", "pins", units.count),
    Column("migrating", "of them with migration", units.count),
    Column("pin_share", "share of pins", units.percent),
)


def chart(paper: Paper) -> Chart | None:
    """Return the chart; None when nothing was pinned."""
    rows = paper.answers.rows("pin_latency_histogram")
    if not rows:
        return None
    low, high = min(r["step"] for r in rows), max(r["step"] for r in rows) + 1
    scale = times(10 ** (low / 10), 10 ** (high / 10))
    highest = max(row["pin_share"] for row in rows)
    quantiles = paper.answers.rows("pin_latency")
    drawn = []
    for arm, row in zip(paper.arms, quantiles, strict=True):
        steps = [r for r in rows if r["arm"] == arm.name]
        shapes = _shapes(scale, arm, steps, highest) + _median(scale, arm, row)
        drawn.append(bars.Bar(arm, shapes, _value(row), height=HEIGHT))
    return Chart(
        key="pin-latency",
        finding=_finding(paper.arms, quantiles),
        what="How long callers wait for a long-term pin",
        body=bars.draw([bars.Group(drawn)], bars.Axis(scale, "time a caller waits")),
        sources=(source("pin_latency_histogram"), source("pin_latency")),
        values=table_of(paper, rows, COLUMNS),
        note="Height: share of the arm's pins in a tenth of a decade, the same scale in every row. "
        "Upright line: median. p99: 99 % of the pins are quicker.",
    )


def _shapes(scale: Scale, arm: Arm, rows: Sequence[Row], highest: float) -> list[Markup]:
    shapes = []
    for row in rows:
        start, end = (scale.at(10 ** (step / 10)) for step in (row["step"], row["step"] + 1))
        height = max((HEIGHT - 4) * row["pin_share"] / highest, 1.0)
        title = titled(
            f"{arm.short}: {units.percent(row['pin_share'])} of the pins ({row['pins']:,}) take "
            f"{units.time(row['least_ns'])} to {units.time(row['most_ns'])}"
        )
        shapes.append(
            shape("rect", title, data=row.mark("pin_share"), x=percent(start),
                  width=percent(max(end - start, 0.002)), y=HEIGHT - height, height=height,
                  class_="fill bin")
        )  # fmt: skip
    return shapes


def _median(scale: Scale, arm: Arm, row: Row) -> list[Markup]:
    if row["p50_ns"] is None:
        return []
    x = percent(scale.at(row["p50_ns"]))
    title = titled(f"{arm.short}: half of the pins take at most {units.time(row['p50_ns'])}")
    return [shape("line", title, data=row.mark("p50_ns"), x1=x, x2=x, y1=0.0, y2=float(HEIGHT),
                  class_="median")]  # fmt: skip


def _value(row: Row) -> Markup:
    if not row["pins"]:
        return Markup("no pins")
    return say(
        '<span class="line"><b>{}</b> <small>median</small></span>'
        '<span class="line"><b>{}</b> <small>p99</small></span>'
        '<span class="line"><small>{} pins</small></span>',
        row.show("p50_ns", units.time), row.show("p99_ns", units.time),
        row.show("pins", units.count),
    )  # fmt: skip


def _finding(arms: Sequence[Arm], rows: Sequence[Row]) -> Markup:
    known = [(arm, row) for arm, row in zip(arms, rows, strict=True) if row["pins"]]
    quick = min(known, key=lambda pair: int(pair[1]["p50_ns"]))
    slow = max(known, key=lambda pair: int(pair[1]["p50_ns"]))
    first = quick[1].show("p50_ns", units.time)
    if units.time(quick[1]["p50_ns"]) == units.time(slow[1]["p50_ns"]):
        tail = max(known, key=lambda pair: int(pair[1]["p99_ns"]))
        worst = tail[1].show("p99_ns", units.time)
        who = named([arm for arm, _ in known], arms)
        return say("Half of the pins take {} under {}; one in a hundred up to {} or more",
                   first, who, worst)  # fmt: skip
    return say(
        "A pin takes {} in the median under {}, {} under {}",
        first, named(alike(known, "p50_ns", quick[1]), arms),
        slow[1].show("p50_ns", units.time), named(alike(known, "p50_ns", slow[1]), arms),
    )  # fmt: skip
