"""Every arm against the baseline, metric by metric: value, change with interval, verdict."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from fleet.report import units
from fleet.report.html.answers import Row
from fleet.report.html.arms import Arm
from fleet.report.html.chart import Paper
from fleet.report.html.forms import FORMS, signed, width
from fleet.report.html.render import render
from fleet.report.html.words import say
from fleet.report.intervals import IDENTICAL
from fleet.report.levels import METHOD as MIDDLE
from fleet.report.versus import over

ROLES = {
    "primary": "What it is about",
    "guardrail": "Guardrails: must not get worse by more than their margin",
}
BADGES = {"better": "\u2713", "worse": "\u2717", "equivalent": "=", "undecided": "?"}
"""A sign per verdict, so that colour is not alone."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One arm's part of a line: value, change, verdict and what else is known."""

    arm: Arm
    value: Markup
    change: Markup
    verdict: str
    badge: str
    more: Sequence[Markup]


@dataclass(frozen=True, slots=True)
class Line:
    """One metric: its name, the margin, the baseline's value, the other arms."""

    label: str
    margin: Markup
    base: Markup
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Table:
    """The arms that are compared with one baseline, and the lines of each role."""

    base: Arm
    arms: Sequence[Arm]
    parts: Sequence[tuple[str, Sequence[Line]]]


def section(paper: Paper) -> Markup:
    """Return the table; nothing when there is nothing to compare."""
    rows = [
        Row(row, f"comparisons#{i}") for i, row in enumerate(paper.figures.get("comparisons", ()))
    ]
    if not rows:
        return Markup("")
    bases = list(dict.fromkeys(row["arm_a"] for row in rows))
    return render(
        "comparisons.html",
        tables=[
            _table(paper, name, [row for row in rows if row["arm_a"] == name]) for name in bases
        ],
        twins=any(row.get("survives") is not None for row in rows),
        notes=list(_notes(rows, {arm.name: arm.letter for arm in paper.arms})),
        queries=sorted({row["query"] for row in rows}),
    )


def _table(paper: Paper, base: str, rows: Sequence[Row]) -> Table:
    """Return what is compared with one baseline: fresh and aged runs have each their own."""
    others = {row["arm_b"] for row in rows}
    arms = [arm for arm in paper.arms if arm.name in others]
    parts = [
        (title, [_line(arms, mine) for mine in _by_metric(rows, role)])
        for role, title in ROLES.items()
    ]
    first = next(arm for arm in paper.arms if arm.name == base)
    return Table(first, arms, [part for part in parts if part[1]])


def _by_metric(rows: Sequence[Row], role: str) -> Iterator[list[Row]]:
    """Yield the rows of each metric (of one kind of requests), arm by arm."""
    keys = dict.fromkeys((row["metric"], row["kind"]) for row in rows if row["role"] == role)
    for key in keys:
        yield [row for row in rows if (row["metric"], row["kind"]) == key and row["role"] == role]


def _line(arms: Sequence[Arm], rows: Sequence[Row]) -> Line:
    first = rows[0]
    form = FORMS[first["unit"]]
    margin = Markup("")
    if first["margin"] is not None:
        margin = say("margin {}", first.show("margin", width(first["unit"])))
    found = {row["arm_b"]: row for row in rows}
    cells = [_cell(arm, found[arm.name], form) for arm in arms if arm.name in found]
    return Line(first["label"], margin, first.show("a", form), cells)


def _cell(arm: Arm, row: Row, form: Callable[[Any], str]) -> Cell:
    change = signed(row["unit"])
    told = row.show("difference", change)
    known = row["low"] is not None
    if row["method"] == IDENTICAL:
        told += say(
            " <small>(same in all {} {})</small>", row.show("n", units.count), row["n_unit"]
        )
    elif known:
        told += say(" <small>({} to {})</small>", row.show("low", change), row.show("high", change))
    return Cell(
        arm, row.show("b", form), told, row["verdict"] if known else "no interval",
        BADGES[row["verdict"]] if known else "", list(_more(row)),
    )  # fmt: skip


def _more(row: Row) -> Iterator[Markup]:
    if row.get("ages"):
        yield say("{}", row["ages"])
    counts = row["discordant"]
    if counts:
        alone = Row(counts, f"{row.origin}.discordant")
        yield say("alone {} against {}", alone.show("only_b", units.count),
                  alone.show("only_a", units.count))  # fmt: skip
    if row["cautious"]:
        form = units.count if isinstance(row["rests_on"], int) else units.digits
        yield say("cautious: rests on {} {}", row.show("rests_on", form), row["rests_on_what"])
    if row["p_holm"] is not None:
        yield say("p {}", row.show("p_holm", p_value))
    elif counts and row["p_value"] is not None:
        yield say("p {}", row.show("p_value", p_value))


def p_value(value: float) -> str:
    """A p-value, four decimals."""
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _begun(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _lines(rows: Sequence[Row], letters: dict[str, str], columns: Counter[str]) -> str:
    """Return where some cells of the table are: the line, and the columns unless it is all."""
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["label"], []).append(letters[row["arm_b"]])
    return "; ".join(
        label if len(mine) == columns[label] else f"{label} ({', '.join(mine)})"
        for label, mine in found.items()
    )


def _notes(rows: Sequence[Row], letters: dict[str, str]) -> Iterator[str]:
    """Yield what must be known: methods and their units, why an interval is missing."""
    known = [row for row in rows if row["low"] is not None and row["method"] != IDENTICAL]
    for method in dict.fromkeys(row["method"] for row in known):
        mine = [row for row in known if row["method"] == method]
        more = "; value and change are those of the middle one" if method == MIDDLE else ""
        what = "; ".join(dict.fromkeys(row["label"] for row in mine))
        yield f"{_begun(method)} (over {over(mine)}{more}): {what}."
    told = [row for row in rows if row["note"] and row["method"] != IDENTICAL]
    columns = Counter(row["label"] for row in rows)
    for note in dict.fromkeys(row["note"] for row in told):
        where = _lines([row for row in told if row["note"] == note], letters, columns)
        yield f"{_begun(note)}: {where}."
    if any(row["method"] == IDENTICAL for row in rows):
        yield "Same in all n: there is no interval, but fewer than 3/n of the units can differ."
    if any(row["cautious"] for row in rows):
        yield (
            "Cautious: rests on fewer than six events, which no exact test could tell from chance; "
            "the interval reaches further than 95 % asks."
        )
