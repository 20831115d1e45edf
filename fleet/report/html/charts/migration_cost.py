"""What is migrated when pages are pinned, against what is migrated when memory goes offline."""

from collections.abc import Sequence

from markupsafe import Markup

from fleet.report import units
from fleet.report.html import bars
from fleet.report.html.answers import Row
from fleet.report.html.arms import Arm
from fleet.report.html.chart import Chart, Paper, source
from fleet.report.html.scale import Scale, sizes
from fleet.report.html.svg import titled
from fleet.report.html.words import alike, named, say


def chart(paper: Paper) -> Chart:
    """Return the chart of all migrations, those of probes on clones included."""
    rows = paper.answers.rows("migration_cost", kind="all")
    most = max(max(row["pin_bytes"], row["offline_bytes"]) for row in rows)
    scale = sizes(most)
    drawn = [
        bars.Bar(arm, _shapes(scale, arm, row), _value(row), height=34)
        for arm, row in zip(paper.arms, rows, strict=True)
    ]
    return Chart(
        key="migration-cost",
        finding=_finding(paper.arms, rows),
        what="Memory migrated at pin (solid) and at offline (hatched), with the time it took",
        body=bars.draw([bars.Group(drawn)], bars.Axis(scale, "bytes migrated")),
        sources=(source("migration_cost", kind="all"),),
        note="At pin: moved out of ZONE_MOVABLE by long-term pins while their caller waits. At "
        "offline: moved out of the block by removals and by probes.",
    )


def _shapes(scale: Scale, arm: Arm, row: Row) -> list[Markup]:
    shapes: list[Markup] = []
    for y, key, where in ((2, "pin", "at pin"), (18, "offline", "at offline")):
        amount, took = units.size(row[f"{key}_bytes"]), units.time(row[f"{key}_ns"])
        shapes += bars.bar(
            scale,
            row[f"{key}_bytes"],
            title=titled(f"{arm.short}: {amount} {where}, which took {took}"),
            data=row.mark(f"{key}_bytes"),
            y=y,
            class_="fill" if key == "pin" else "hatched",
        )
    return shapes


def _value(row: Row) -> Markup:
    parts = [
        say(
            '<span class="line"><b>{}</b> <small>{}, {}</small></span>',
            row.show(f"{key}_bytes", units.size), where, row.show(f"{key}_ns", units.time),
        )
        for key, where in (("pin", "at pin"), ("offline", "at offline"))
    ]  # fmt: skip
    return Markup("").join(parts)


def _finding(arms: Sequence[Arm], rows: Sequence[Row]) -> Markup:
    pairs = list(zip(arms, rows, strict=True))
    most = max(pairs, key=lambda pair: int(pair[1]["pin_bytes"]))
    if not most[1]["pin_bytes"]:
        top = max(pairs, key=lambda pair: int(pair[1]["offline_bytes"]))
        moved = top[1].show("offline_bytes", units.size)
        return say("No pin migrates anything; offlining moves up to {}", moved)
    told = most[1].show("pin_bytes", units.size)
    where = named(alike(pairs, "pin_bytes", most[1]), arms)
    none = [arm for arm, row in pairs if not row["pin_bytes"]]
    if none:
        return say("Pins migrate {} under {}, nothing under {}", told, where, named(none, arms))
    if len(arms) == 1:
        moved = most[1].show("offline_bytes", units.size)
        return say("Pins migrate {}, offlining {}", told, moved)
    least = min(pairs, key=lambda pair: int(pair[1]["pin_bytes"]))
    less = least[1].show("pin_bytes", units.size)
    if least[1]["pin_bytes"] == most[1]["pin_bytes"]:
        return say("Pins migrate {} under {}", told, where)
    few = named(alike(pairs, "pin_bytes", least[1]), arms)
    return say("Pins migrate {} under {}, {} under {}", told, where, less, few)
