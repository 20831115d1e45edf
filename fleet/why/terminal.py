"""Prints explanations: what happened, the other arms, what would have helped."""

from typing import Any

from fleet.report.show import print_table, print_text
from fleet.why import incident_told, words

Facts = dict[str, Any]
TRIED = 6
"""Changes that did not help are counted when there are more."""


def print_explanation(facts: Facts) -> None:
    """Print one explanation on stdout."""
    told = f"{facts['id']}  {facts['outcome']}"
    print_text(told, style="bold")
    print_text(words.summary(facts))
    where = f"host {facts['host']}: {facts['host_name']} ({facts['host_class']})"
    print_text(where, style="dim")
    _section("What happened")
    lines = [[words.stamp(time_ns), text] for time_ns, text in words.timeline(facts)]
    print_table(["time", ""], lines, [True, False])
    if facts["arms"]:
        _section("The same demand under the other arms")
        for arm in facts["arms"]:
            print_text(f"{arm['arm']}: {arm['outcome']}", style="bold")
            print_text(words.other_arm(facts, arm))
            cells = words.cells(arm)
            if cells:
                print_text(f"policy: {cells}", style="dim")
    _print_counterfactual(facts)


def print_incident(facts: Facts) -> None:
    """Print the explanation of an incident on stdout."""
    print_text(f"{facts['id']}  {facts['kind']}", style="bold")
    print_text(facts["summary"])
    print_text(f"host {facts['host']}: {facts['host_name']} ({facts['host_class']})", style="dim")
    _section("What happened")
    lines = [[words.stamp(item["time_ns"]), item["text"]] for item in facts["timeline"]]
    print_table(["time", ""], lines, [True, False])
    if facts["arms"]:
        _section("The same workloads under the other arms")
        for arm in facts["arms"]:
            print_text(arm["arm"], style="bold")
            print_text(incident_told.other_arm(facts, arm))
            cells = words.cells(arm)
            if cells:
                print_text(f"policy: {cells}", style="dim")
    found = facts["counterfactual"]
    if found is not None:
        _section("What would have avoided it (each tried on a copy of the host)")
        if found["smallest"] is None:
            print_text("Nothing that was tried.")
        rows = [
            ["smallest" if item == found["smallest"] else "yes" if item["avoided"] else "no",
             incident_told.change(item)]
            for item in found["tried"]
        ]  # fmt: skip
        print_table(["", "change"], rows, [False, False], strong={0})


def print_incidents(found: list[tuple[str, Facts]]) -> None:
    """Print a list of incidents: id and row of each."""
    if found:
        _section("Incidents of this host (fleet explain tells one by its id)")
        rows = [[words.stamp(row["time_ns"]), row["kind"], ident] for ident, row in found]
        print_table(["time", "kind", "id"], rows, [True, False, False])


def _print_counterfactual(facts: Facts) -> None:
    found = facts["counterfactual"]
    if found is None:
        return
    _section("What would have returned it (each tried on a copy of the host)")
    if found["smallest"] is None:
        print_text("Nothing that was tried.")
    helped = [item for item in found["tried"] if item["returned"]]
    failed = [item for item in found["tried"] if not item["returned"]]
    rows = [_row(facts, item, item == found["smallest"]) for item in [*helped, *failed[:TRIED]]]
    print_table(["", "change", "then"], rows, [False, False, False], strong={0} if helped else ())
    if len(failed) > TRIED:
        print_text(f"{len(failed) - TRIED} more did not help; --format json has all", style="dim")


def _row(facts: Facts, item: Facts, smallest: bool) -> list[str]:
    mark = "smallest" if smallest else "yes" if item["returned"] else "no"
    return [mark, words.change(facts, item), words.result(facts, item)]


def _section(title: str) -> None:
    print()
    print_text(title, style="bold underline")
