"""Disagreements that are known, described by what is observed and why, never by a case's name.

``known.yaml`` is shipped with the package; ``python -m fleet.lab.known DOCS_FOLDER`` renders it
into docs/fidelity.md. A disagreement that no entry describes makes ``fleet validate`` fail.
"""

import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from fleet.lab.operations import parse
from fleet.lab.replay import Disagreement, Outcome

FILE = Path(__file__).with_name("known.yaml")
BEGIN, END = "<!-- known: written by `python -m fleet.lab.known docs` -->\n", "<!-- /known -->"


@dataclass(frozen=True, slots=True)
class Known:
    """One known difference.

    Attributes
    ----------
    name : str
        What it is about, in a few words.
    classes, kernels : tuple of str
        Behaviour classes and kernels in which it was seen.
    observations : tuple of (operation, field)
        What differs: name of an operation and a field of it, both patterns.
    results : tuple of (recorded, simulated)
        Patterns of the values, for fields that hold words; empty: any values.
    mechanism : str
        What the kernel does and the engine does not.
    cannot : str
        Why it cannot change what the simulator is asked.
    """

    name: str
    classes: tuple[str, ...]
    kernels: tuple[str, ...]
    observations: tuple[tuple[str, str], ...]
    results: tuple[tuple[str, str], ...]
    mechanism: str
    cannot: str

    def describes(self, outcome: Outcome, found: Disagreement) -> bool:
        """Whether a disagreement of a case is this one."""
        operation = parse(found.text).name if found.text else ""
        field = found.mismatch.field
        return (
            outcome.kind in self.classes
            and outcome.case.kernel in self.kernels
            and any(
                fnmatchcase(operation, o) and fnmatchcase(field, f) for o, f in self.observations
            )
            and (not self.results or any(_matches(found, *pair) for pair in self.results))
        )


def _matches(found: Disagreement, recorded: str, simulated: str) -> bool:
    """Whether words match; numbers always do."""
    values = found.mismatch.recorded, found.mismatch.simulated
    pairs = zip(values, (recorded, simulated), strict=True)
    return all(not isinstance(value, str) or fnmatchcase(value, want) for value, want in pairs)


@lru_cache(maxsize=1)
def known() -> tuple[Known, ...]:
    """Return the shipped list."""
    rows: list[dict[str, Any]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return tuple(
        Known(
            row["name"],
            tuple(row["classes"]),
            tuple(row["kernels"]),
            tuple(_pair(text, ".") for text in row["observations"]),
            tuple(_pair(text, " -> ") for text in row.get("results", ())),
            " ".join(row["mechanism"].split()),
            " ".join(row["cannot"].split()),
        )
        for row in rows
    )


def _pair(text: str, between: str) -> tuple[str, str]:
    """``pin.after.thp`` as operation and field."""
    first, _, rest = text.partition(between)
    return first, rest


def entry_for(outcome: Outcome, found: Disagreement) -> Known | None:
    """Return the entry that describes a disagreement; None: it is not known."""
    return next((entry for entry in known() if entry.describes(outcome, found)), None)


def markdown() -> str:
    """The list as a table."""
    lines = [
        "| known difference | class, kernel | what differs | mechanism | what it cannot change |"
    ]
    lines.append("| --- | --- | --- | --- | --- |")
    for entry in known():
        where = f"{', '.join(entry.classes)}; {', '.join(entry.kernels)}"
        what = ", ".join(f"`{o}`: `{f}`" for o, f in entry.observations)
        if entry.results:
            what += "; " + ", ".join(f"{a} recorded, {b} simulated" for a, b in entry.results)
        lines.append(f"| {entry.name} | {where} | {what} | {entry.mechanism} | {entry.cannot} |")
    return "\n".join(lines) + "\n"


def main(folder: str) -> None:
    """Render the list into docs/fidelity.md, between its marks."""
    path = Path(folder, "fidelity.md")
    text = path.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{path}: the marks of the list are missing")
    path.write_text(head + begin + markdown() + end + tail, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
