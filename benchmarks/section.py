"""What a benchmark says: a section of text and tables, and the results file made of sections."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import fill

HEAD = """# Benchmarks

<!-- written by `python -m benchmarks --write`; do not edit -->

CPU time of one process unless a line says otherwise. Ratios are measured in one run, the sides
taking turns; `median (low to high)` over the turns. `python -m benchmarks --help` says how to run
them again.
"""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under a head; the first column is text, the others are figures."""

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def __str__(self) -> str:
        """Write it as Markdown with aligned columns."""
        lines = [self.head, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.head))]
        out = [_row(line, widths) for line in lines]
        marks = [("-" * w if i == 0 else "-" * (w - 1) + ":") for i, w in enumerate(widths)]
        return "\n".join([out[0], "| " + " | ".join(marks) + " |", *out[1:]])


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    """One line of a table: text to the left, figures to the right."""
    padded = [c.rjust(w) for c, w in zip(cells, widths, strict=True)]
    padded[0] = cells[0].ljust(widths[0])
    return "| " + " | ".join(padded) + " |"


@dataclass(slots=True)
class Section:
    """One subject's results.

    Attributes
    ----------
    title : str
        Heading; unique in the results file.
    parts : list of str or Table
        Paragraphs and tables in order.
    """

    title: str
    parts: list[str | Table] = field(default_factory=list)

    def __str__(self) -> str:
        """Write it as Markdown."""
        parts = [_filled(part) if isinstance(part, str) else str(part) for part in self.parts]
        return "\n\n".join([f"## {self.title}", *parts]) + "\n"


def _filled(text: str) -> str:
    """A paragraph in lines of at most 100 characters."""
    return fill(" ".join(text.split()), 100, break_long_words=False, break_on_hyphens=False)


def update(path: Path, sections: Sequence[Section]) -> None:
    """Put sections into a results file in place of those with the same title; keep the others."""
    held: dict[str, str] = {}
    if path.exists():
        for text in re.split(r"^(?=## )", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            held[text.splitlines()[0].removeprefix("## ")] = text.rstrip("\n") + "\n"
    held |= {section.title: str(section) for section in sections}
    path.write_text("\n".join([HEAD, *held.values()]), encoding="utf-8")
