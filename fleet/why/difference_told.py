"""Tells how two runs differ, as plain data (``fleet diff --format json``) or on the terminal."""

from dataclasses import asdict
from typing import Any

from fleet.report import units
from fleet.report.show import print_table, print_text
from fleet.why.difference import common, fields, first_parting, sums
from fleet.why.rows import around, describe
from fleet.why.source import Source
from fleet.why.words import stamp

Facts = dict[str, Any]
CONTEXT = 4
"""What is told before and after the first difference."""
FIELDS = 20


def difference(a: Source, b: Source) -> Facts:
    """Return how two runs differ.

    ``identical`` says that scenarios, units and every event are equal; ``first`` is the first event
    in which common units part, ``sums`` what they came to in all.
    """
    scenario, shared = fields(a, b), common(a, b)
    alone = [[list(u) for u in x.units if u not in shared] for x in (a, b)]
    parting = first_parting(a, b)
    first = None if parting is None else {**asdict(parting), **_context(a, b, asdict(parting))}
    return {
        "a": str(a.folder), "b": str(b.folder),
        "identical": not scenario and not any(alone) and parting is None,
        "same_events": parting is None and not any(alone),
        "scenario": scenario, "only_in_a": alone[0], "only_in_b": alone[1],
        "common_units": [list(unit) for unit in shared],
        "rows": sum(map(a.catalog.count, a.catalog.columns)),
        "first": first, "sums": sums(a, b) if parting is not None else [],
    }  # fmt: skip


def _context(a: Source, b: Source, parting: Facts) -> Facts:
    """What happened on the host before the runs part, and in each from then on."""
    if parting["host"] is None:
        return {"before": [], "then_a": [], "then_b": []}
    place = parting["arm"], parting["rep"], parting["host"], parting["time_ns"], CONTEXT
    (before, then_a), (_, then_b) = around(a, *place), around(b, *place)
    told = {"before": before, "then_a": then_a, "then_b": then_b}
    return {
        key: [{"time_ns": time_ns, "text": text} for time_ns, text in lines]
        for key, lines in told.items()
    }


def print_difference(facts: Facts) -> None:
    """Print it on stdout."""
    if facts["identical"]:
        many = len(facts["common_units"])
        rows = f"{facts['rows']:,} rows in {many} unit{'s' if many != 1 else ''}"
        print_text(f"The runs are identical: {rows}, every byte.", style="bold")
        return
    _print_fields(facts)
    for side, name in (("only_in_a", facts["a"]), ("only_in_b", facts["b"])):
        if facts[side]:
            listed = ", ".join(f"{arm}/{rep}" for arm, rep in facts[side])
            print_text(f"Only {name} has {listed}.")
    if facts["first"] is None:
        shared = "Every event of the units both have is the same."
        print_text(shared if facts["common_units"] else "They have no unit in common.")
        return
    _print_first(facts)
    _print_sums(facts)


def _print_fields(facts: Facts) -> None:
    found = facts["scenario"]
    if not found:
        print_text("The scenarios are equal.")
        return
    count = "one field" if len(found) == 1 else f"{len(found)} fields"
    print_text(f"The scenarios differ in {count}:", style="bold")
    rows = [[item["field"], _value(item["a"]), _value(item["b"])] for item in found[:FIELDS]]
    print_table(["field", "A", "B"], rows, [False, False, False])
    if len(found) > FIELDS:
        print_text(f"{len(found) - FIELDS} more; --format json has all", style="dim")
    print()


def _value(value: Any) -> str:
    return "-" if value is None else str(value)


def _print_first(facts: Facts) -> None:
    first = facts["first"]
    unit = f"{first['arm']}/{first['rep']}"
    where = "" if first["host"] is None else f" on host {first['host']}"
    print_text(f"They part at {stamp(first['time_ns'])}{where}, {unit}:", style="bold")
    for name in ("a", "b"):
        row = first[name]
        print_text(f"  {name.upper()}  {describe(first['table'], row) if row else 'no such row'}")
    for column in first["columns"]:
        print_text(f"     {column}: {_value(first['a'][column])}, {_value(first['b'][column])}")
    for key, title in (
        ("before", "Before, in both"),
        ("then_a", "Then in A"),
        ("then_b", "Then in B"),
    ):
        if first[key]:
            print()
            print_text(title, style="underline")
            lines = [[stamp(item["time_ns"]), item["text"]] for item in first[key]]
            print_table(["time", ""], lines, [True, False])


def _print_sums(facts: Facts) -> None:
    print()
    print_text("In sum", style="underline")
    rows = [
        [f"{item['arm']}/{item['rep']}", item["what"], *_amounts(item)] for item in facts["sums"]
    ]
    if not rows:
        print_text("All totals are equal.")
        return
    print_table(["unit", "what", "A", "B", "B - A"], rows, [False, False, True, True, True])


def _amounts(item: Facts) -> list[str]:
    a, b = item["a"], item["b"]
    if item["unit"] == "pages":
        sign = "-" if b < a else "+"
        return [units.pages(a), units.pages(b), sign + units.pages(abs(b - a))]
    if item["unit"] == "flow-us":
        return [f"{n // 10**6:,} flow-s" for n in (a, b)] + [f"{(b - a) // 10**6:+,}"]
    return [f"{a:,}", f"{b:,}", f"{b - a:+,}"]
