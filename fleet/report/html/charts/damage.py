"""Where the damage sits: hosts from top to bottom, time from left to right, one map per arm."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from markupsafe import Markup

from fleet.report import units
from fleet.report.html.answers import Row
from fleet.report.html.arms import Arm
from fleet.report.html.chart import Chart, Column, Paper, source, table_of
from fleet.report.html.render import render
from fleet.report.html.scale import clock
from fleet.report.html.svg import percent, shape, titled
from fleet.report.html.words import named, say

ROWS, STEPS = 24, 36
"""Defaults of the query: groups of hosts and steps of time."""
HEIGHT = 216
"""Pixels of a map at most."""
COLUMNS = (
    Column("hung", "hung", units.count),
    Column("oom_kills", "OOM kills", units.count),
    Column("pin_failures", "failed pins", units.count),
    Column("panics", "panics", units.count),
    Column("damage", "in all", units.count),
)
HOSTS = (
    Column("first_host", "first host", units.count),
    Column("last_host", "last host", units.count),
)
TIME = (Column("time_ns", "from", units.time),)


@dataclass(frozen=True, slots=True)
class Grid:
    """How the query groups hosts, and how high a group is drawn."""

    hosts: int
    group: int
    cell: float
    height: float
    step_ns: int

    @classmethod
    def of(cls, hosts: int, step_ns: int) -> Self:
        """Return the grid of so many hosts."""
        group = max(hosts - 1, 0) // ROWS + 1
        rows = max(-(-hosts // group), 1)
        cell = float(min(HEIGHT // rows, 18))
        return cls(hosts, group, cell, cell * rows, step_ns)


def chart(paper: Paper) -> Chart:
    """Return the maps; an arm without damage has a line that says so."""
    cells = paper.answers.rows("damage_map")
    spread = paper.answers.rows("damage_spread")
    worst = max((cell["damage"] for cell in cells), default=0)
    return Chart(
        key="damage",
        finding=_finding(paper.arms, spread),
        what="Hung requests, OOM kills, failed pins and panics, by group of hosts and time",
        body=_body(paper, cells, spread, worst),
        sources=(source("damage_map"), source("damage_spread")),
        values=_tables(paper) if cells else Markup(""),
        note="Hosts in the order of the inventory. A hung probe is a removal that would have hung. "
        "fleet explain --host tells the story of one host.",
        wide=True,
    )


def _tables(paper: Paper) -> Markup:
    """Return the map's sums, by group of hosts and by step of time."""
    by_host = table_of(paper, paper.answers.rows("damage_map", steps="1"), (*HOSTS, *COLUMNS))
    by_time = table_of(paper, paper.answers.rows("damage_map", host_rows="1"), (*TIME, *COLUMNS))
    return by_host + by_time


def classes(worst: int) -> list[tuple[int, int]]:
    """Return at most five classes of counts from 1 to ``worst``: their first and last."""
    edges = [1]
    while len(edges) < 5 and edges[-1] < worst:
        edges.append(max(edges[-1] + 1, round(worst ** (len(edges) / 5)) + 1))
    edges = [edge for edge in edges if edge <= worst] or [1]
    ends = [*(edge - 1 for edge in edges[1:]), max(worst, 1)]
    return list(zip(edges, ends, strict=True))


def _body(paper: Paper, cells: Sequence[Row], spread: Sequence[Row], worst: int) -> Markup:
    grid = Grid.of(max(row["hosts"] for row in spread), cells[0]["step_ns"] if cells else 1)
    ranges = classes(worst)
    maps = [
        (arm, row, Markup("").join(_cell(arm, cell, grid, ranges) for cell in cells
                                   if cell["arm"] == arm.name))
        for arm, row in zip(paper.arms, spread, strict=True)
    ]  # fmt: skip
    return render(
        "damage.html", maps=maps, height=grid.height, ranges=ranges, axes=_axes(grid), units=units
    )


def _axes(grid: Grid) -> Markup:
    parts = []
    time = clock(grid.step_ns * STEPS)
    for value, text in time.ticks:
        x = percent(time.at(value))
        anchor = "start" if value == 0 else "end" if time.at(value) > 0.97 else "middle"
        parts.append(shape("line", x1=x, x2=x, y1=grid.height, y2=grid.height + 4, class_="zero"))
        parts.append(
            shape("text", text, x=x, y=grid.height + 17, text_anchor=anchor, class_="tick")
        )
    for y, text in ((10.0, "host 0"), (grid.height, f"{max(grid.hosts - 1, 0):,}")):
        parts.append(shape("text", text, x=-6.0, y=y, text_anchor="end", class_="tick"))
    return Markup("").join(parts)


def _cell(arm: Arm, cell: Row, grid: Grid, ranges: Sequence[tuple[int, int]]) -> Markup:
    level = next(i for i, (_, end) in enumerate(ranges) if cell["damage"] <= end)
    title = titled(
        f"{arm.short}, hosts {cell['first_host']:,} to {cell['last_host']:,} from "
        f"{units.time(cell['time_ns'])}: {_counts(cell)}"
    )
    return shape(
        "rect", title, data=cell.mark("damage"),
        x=percent(cell["time_ns"] / cell["step_ns"] / STEPS), width=percent(1 / STEPS),
        y=cell["first_host"] // grid.group * grid.cell, height=grid.cell,
        class_=f"heat heat{level}",
    )  # fmt: skip


def _counts(cell: Row) -> str:
    names = {"hung": "hung", "oom_kills": "OOM kills", "pin_failures": "failed pins",
             "panics": "panics"}  # fmt: skip
    return ", ".join(f"{cell[key]:,} {word}" for key, word in names.items() if cell[key])


def _finding(arms: Sequence[Arm], rows: Sequence[Row]) -> Markup:
    pairs = list(zip(arms, rows, strict=True))
    worst = max(pairs, key=lambda pair: int(pair[1]["damage"]))
    if not worst[1]["damage"]:
        return say("No host is damaged under {}", "any arm" if len(arms) > 1 else arms[0].short)
    row, same = worst[1], ("hosts_half", "hosts_hit", "damage")
    equals = [arm for arm, other in pairs if all(other[key] == row[key] for key in same)]
    return say(
        "Half of the damage under {} sits on {} of {} hosts; {} are hit at all",
        named(equals, arms), row.show("hosts_half", units.count),
        row.show("hosts", units.count), row.show("hosts_hit", units.count),
    )  # fmt: skip
