"""Room left in the kernel zones over time: the median host and the worst one."""

from collections.abc import Sequence

from markupsafe import Markup

from fleet.report import units
from fleet.report.html import lines
from fleet.report.html.answers import Row
from fleet.report.html.arms import Arm
from fleet.report.html.chart import Chart, Column, Paper, source, table_of
from fleet.report.html.scale import clock, shares
from fleet.report.html.words import alike, named, say

COLUMNS = (
    Column("time_ns", "time", units.time),
    Column("hosts", "hosts", units.count),
    Column("median_share", "median share free", units.percent),
    Column("p10_share", "10 % of samples below", units.percent),
    Column("minimum_share", "worst host", units.percent),
    Column("minimum_pages", "least room", units.pages),
)


def chart(paper: Paper) -> Chart | None:
    """Return the chart; None when hosts were not sampled."""
    rows = paper.answers.rows("kernel_zone_timeline")
    if not rows:
        return None
    sums = paper.answers.rows("kernel_zone_headroom")
    drawn: list[lines.Line] = []
    for arm in paper.arms:
        mine = [row for row in rows if row["arm"] == arm.name]
        drawn.append(lines.Line(arm, _points(arm, mine, "minimum_share", "worst host")))
        drawn.append(lines.Line(arm, _points(arm, mine, "median_share", "median host"), faint=True))
    high = max(row["median_share"] for row in rows)
    plot = lines.Plot(
        clock(max(row["time_ns"] for row in rows)), shares(high), "time from the start of the run",
        "% of the kernel zones free", _alt(paper.arms, sums),
    )  # fmt: skip
    return Chart(
        key="headroom",
        finding=_finding(paper.arms, sums),
        what="Head-room of the kernel zones: worst host (strong line) and median host (thin line)",
        body=lines.draw(plot, [line for line in drawn if line.points]),
        sources=(source("kernel_zone_timeline"), source("kernel_zone_headroom")),
        values=table_of(paper, rows, COLUMNS),
        note="Head-room: free memory and page cache above the min watermark, which pins and kernel "
        "allocations can still get, as a share of the host's kernel zones.",
        wide=True,
    )


def _points(arm: Arm, rows: Sequence[Row], key: str, who: str) -> list[lines.Point]:
    return [
        lines.Point(
            row["time_ns"], row[key],
            f"{arm.short}, {who}: {units.percent(row[key])} at {units.time(row['time_ns'])}",
            row.mark(key),
        )
        for row in rows
        if row[key] is not None
    ]  # fmt: skip


def _alt(arms: Sequence[Arm], rows: Sequence[Row]) -> str:
    parts = [
        f"{arm.letter}: median {units.percent(row['median_share'])}, worst "
        f"{units.percent(row['minimum_share'])} ({units.pages(row['minimum_pages'])})"
        for arm, row in zip(arms, rows, strict=True)
    ]
    return "Lines of the share of the kernel zones that is free over time. " + "; ".join(parts)


def _finding(arms: Sequence[Arm], rows: Sequence[Row]) -> Markup:
    known = [(a, r) for a, r in zip(arms, rows, strict=True) if r["minimum_share"] is not None]
    if not known:
        return say("No host has kernel zones that were sampled")
    worst = min(known, key=lambda pair: float(pair[1]["minimum_share"]))
    best = max(known, key=lambda pair: float(pair[1]["minimum_share"]))
    low = worst[1].show("minimum_share", units.percent)
    room = worst[1].show("minimum_pages", units.pages)
    told = say("The worst host keeps {} of its kernel zones under {} (least room {})",
               low, named(alike(known, "minimum_share", worst[1]), arms), room)  # fmt: skip
    if units.percent(worst[1]["minimum_share"]) == units.percent(best[1]["minimum_share"]):
        everywhere = named([arm for arm, _ in known], arms)
        return say("The worst host keeps {} of its kernel zones under {}", low, everywhere)
    best_share = best[1].show("minimum_share", units.percent)
    return told + say(
        ", {} under {}", best_share, named(alike(known, "minimum_share", best[1]), arms)
    )
