"""Prints the comparisons of a report: each arm against the baseline, metric by metric."""

from collections.abc import Iterator, Sequence
from textwrap import fill
from typing import Any

from fleet.report import units
from fleet.report.comparisons import NOT_AFTER_HOLM
from fleet.report.intervals import IDENTICAL
from fleet.report.levels import METHOD as MIDDLE
from fleet.report.show import print_table, print_text

Row = dict[str, Any]
HEADS = ["", "change", "95 % interval", "margin", "verdict"]
WIDTH = 98
SECTIONS = {"primary": "What it is about", "guardrail": "Guardrails"}


def print_comparisons(figures: dict[str, Any], letters: dict[str, str]) -> None:
    """Print one table per compared pair of arms, and what must be known to read them."""
    rows: list[Row] = figures["comparisons"]
    pairs = list(dict.fromkeys((row["arm_a"], row["arm_b"]) for row in rows))
    for pair in pairs:
        mine = [row for row in rows if (row["arm_a"], row["arm_b"]) == pair]
        _print_pair(mine, letters[pair[0]], letters[pair[1]])
    if rows:
        print()
        for note in _notes(rows):
            print_text(fill(note, WIDTH, subsequent_indent="  "), style="dim")


def _print_pair(rows: list[Row], a: str, b: str) -> None:
    heads = [HEADS[0], a, b, *HEADS[1:]]
    cells: list[list[str]] = []
    strong: set[int] = set()
    for role, title in SECTIONS.items():
        mine = [row for row in rows if row["role"] == role]
        if mine:
            strong.add(len(cells))
            cells.append([title, *[""] * (len(heads) - 1)])
            cells += [line for row in mine for line in _lines(row)]
    print()
    right = [False] + [True] * (len(heads) - 2) + [False]
    title = f"{b} against {a}: {rows[0]['arm_b']}"
    print_table(heads, cells, right, title=title, strong=strong, tight=True)


def _lines(row: Row) -> Iterator[list[str]]:
    change, interval = units.change(row["unit"], row["difference"], row["low"], row["high"])
    if row["method"] == IDENTICAL:
        interval = f"same in all {row['n']:,}"
    yield [
        f"{'~' if row['cautious'] else ' '} {row['label']}",
        units.value(row["unit"], row["a"]),
        units.value(row["unit"], row["b"]),
        change,
        interval,
        units.change(row["unit"], row["margin"], None, None)[0].lstrip("+"),
        _verdict(row),
    ]
    counts = row["discordant"]
    if counts is not None:
        alone = [units.count(counts["only_a"]), units.count(counts["only_b"])]
        yield ["    under this arm alone", *alone, "", f"exact p {_p(row)}", "", ""]


def _verdict(row: Row) -> str:
    if row["low"] is None:
        return ""
    star = " *" if NOT_AFTER_HOLM in (row["note"] or "") else ""
    survives = {None: "", True: " =", False: " !"}[row["survives"]]
    return f"{row['verdict']}{star}{survives}"


def rests_on(row: Row) -> str:
    """Return how many events a comparison rests on."""
    events = row["rests_on"]
    return units.count(events) if isinstance(events, int) else units.digits(events)


def _p(row: Row) -> str:
    p = row["p_value"] if row["role"] == "guardrail" else row["p_holm"]
    return units.NONE if p is None else "<0.0001" if p < 0.0001 else f"{p:.4f}"


def over(rows: Sequence[Any]) -> str:
    """Return how many units comparisons are over: ``510 to 513 hosts and 12 replications``."""
    parts = []
    for unit in dict.fromkeys(row["n_unit"] for row in rows):
        counts = sorted({row["n"] for row in rows if row["n_unit"] == unit})
        parts.append(" to ".join(f"{n:,}" for n in (counts[0], counts[-1])[: len(counts)]))
        parts[-1] += f" {unit}"
    return " and ".join(parts)


def _notes(rows: list[Row]) -> Iterator[str]:
    for note in dict.fromkeys(row["note"] for row in rows if row["low"] is None and row["note"]):
        yield f"no interval: {note}."
    known = [row for row in rows if row["low"] is not None]
    if known:
        yield (
            f"intervals over {over(known)}: Tango's score interval for hang rates and times to "
            "offline, the score interval of totals for the rest; none at all in n: 3/n."
        )
        yield (
            "equivalent: all of the interval within the margin; better, worse: zero outside it, "
            "for the first section also after Holm's correction."
        )
    if any(row["method"] == MIDDLE for row in rows):
        yield (
            "pin latency and least head-room: those of the middle replication; the change is the "
            "middle one, with its exact interval by order."
        )
    if any(row["method"] == IDENTICAL for row in rows):
        yield "same in all n: no interval, but fewer than 3/n of the units can differ."
    if any(row["survives"] is not None for row in rows):
        yield "=: the same verdict on fresh and on aged hosts; !: another one."
    if any(NOT_AFTER_HOLM in (row["note"] or "") for row in rows):
        yield "*: zero lies outside the interval, but that does not outlive Holm's correction."
    few = sorted((row for row in rows if row["cautious"]), key=lambda row: row["rests_on"])
    if few:
        least = {row["rests_on_what"]: row for row in reversed(few)}
        told = ", ".join(f"{rests_on(row)} {what}" for what, row in sorted(least.items()))
        yield (
            f"~: rests on fewer than six events (as few as {told}), which no exact test could tell "
            "from chance; such an interval is cautious."
        )
    if any(row["discordant"] for row in rows):
        yield (
            "under this arm alone: the same request, or workload, fared well under the other; p of "
            "the exact sign-flip test over units, in the first section after Holm."
        )
    yield "docs/statistics.md says how the methods do on what the engine does."
