"""What kept memory from going offline: classes of blockers by arm."""

from collections.abc import Sequence

from markupsafe import Markup

from fleet.report import units
from fleet.report.html import bars
from fleet.report.html.answers import Row
from fleet.report.html.chart import Chart, Paper, source
from fleet.report.html.scale import Scale, counts
from fleet.report.html.svg import titled
from fleet.report.html.words import NOUNS, named, say

CLASSES = {
    "longterm_pin": "long-term pin", "short_reference": "short reference", "no_room": "no room",
    "hugetlb_shuttle": "hugetlb shuttle", "hugetlb_reserved": "reserved hugetlb page",
    "kernel_zone_pin": "pin in a kernel zone", "unmovable": "unmovable kernel memory",
}  # fmt: skip


def chart(paper: Paper, kind: str) -> Chart:
    """Return the chart of one kind of requests."""
    rows = paper.answers.rows("blocked_by", kind=kind)
    scale = counts(max((row["requests"] for row in rows), default=1))
    return Chart(
        key=f"blockers-{kind}",
        finding=_finding(paper, rows, kind),
        what=f"{NOUNS[kind][1].capitalize()} that met each class of blocker",
        body=_body(paper, rows, scale, kind),
        sources=(source("blocked_by", kind=kind),),
        note="One request can meet several classes, so they may add up to more than all.",
        wide=bool(rows),
    )


def _body(paper: Paper, rows: Sequence[Row], scale: Scale, kind: str) -> Markup:
    order = {name: i for i, name in enumerate(CLASSES)}
    kinds = sorted({_kind(row) for row in rows}, key=lambda k: (order.get(k[0], 99), *k))
    groups = [
        bars.Group([_bar(paper, row, scale) for row in rows if _kind(row) == found], _word(found))
        for found in kinds
    ]
    if not groups:
        return say('<p class="nothing">Nothing to show: no {} met a blocker.</p>', NOUNS[kind][0])
    return bars.draw(groups, bars.Axis(scale, NOUNS[kind][1]))


def _kind(row: Row) -> tuple[str, str]:
    return row["class"], row["path"] or ""


def _word(kind: tuple[str, str]) -> str:
    name = CLASSES.get(kind[0], kind[0].replace("_", " "))
    return f"{name}, {kind[1]}" if kind[1] else name


def _bar(paper: Paper, row: Row, scale: Scale) -> bars.Bar:
    arm = paper.arm(row["arm"])
    title = titled(
        f"{arm.short}: {row['requests']:,} requests met {_word(_kind(row))}, {row['pages']:,} "
        f"pages in {row['blocks']:,} memory blocks on {row['hosts']:,} hosts"
    )
    shapes = bars.bar(scale, row["requests"], title=title, data=row.mark("requests"))
    several = "s" if row["hosts"] != 1 else ""
    hosts = say("on {} host{}", row.show("hosts", units.count), several)
    value = say("<b>{}</b> <small>{}</small>", row.show("requests", units.count), hosts)
    return bars.Bar(arm, shapes, value)


def _finding(paper: Paper, rows: Sequence[Row], kind: str) -> Markup:
    if not rows:
        return say("Nothing kept memory from going offline")
    top = max(rows, key=lambda row: int(row["requests"]))
    met = {row["arm"] for row in rows}
    free = [arm for arm in paper.arms if arm.name not in met]
    equals = [paper.arm(row["arm"]) for row in rows
              if _kind(row) == _kind(top) and row["requests"] == top["requests"]]  # fmt: skip
    rest = say(", under {} nothing", named(free, paper.arms)) if free else ""
    return say(
        "Most in the way: {}, of {} {} under {}{}",
        _word(_kind(top)), top.show("requests", units.count),
        NOUNS[kind][top["requests"] != 1], named(equals, paper.arms), rest,
    )  # fmt: skip
