"""Prints results: an aligned table for people, CSV or JSON for programs.

A table is styled only on a terminal; piped, it is plain text as wide as it needs to be.
"""

import csv
import json
import math
import sys
from collections.abc import Collection, Sequence
from decimal import Decimal
from enum import StrEnum
from shutil import get_terminal_size
from typing import Any, TextIO

import pyarrow as pa

TABLE_ROWS = 100
"""Rows of a result that the table format shows; CSV and JSON always have all."""


class Format(StrEnum):
    """Output formats of a result."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def show(result: pa.Table, form: Format, units: dict[str, str] | None = None) -> None:
    """Print a query result on stdout.

    Parameters
    ----------
    result : pyarrow.Table
    form : Format
        JSON is an array of objects, one row per line; CSV has a header line.
    units : dict
        Column name to unit, shown under the names of a table.
    """
    if form is Format.JSON:
        _json(result, sys.stdout)
    elif form is Format.CSV:
        _csv(result, sys.stdout)
    else:
        _table(result, units or {})


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: exact integers, no NaN or infinity, no dates."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if isinstance(value, str | int | float | None) else str(value)


def _json(result: pa.Table, out: TextIO) -> None:
    separator = "[\n"
    for batch in result.to_batches(max_chunksize=4096):
        for row in batch.to_pylist():
            out.write(separator + json.dumps(plain(row), ensure_ascii=False))
            separator = ",\n"
    out.write("\n]\n" if separator == ",\n" else "[]\n")


def _csv(result: pa.Table, out: TextIO) -> None:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(result.column_names)
    for batch in result.to_batches(max_chunksize=4096):
        columns = [column.to_pylist() for column in batch.columns]
        for row in zip(*columns, strict=True):
            writer.writerow(["" if value is None else plain(value) for value in row])


def _table(result: pa.Table, units: dict[str, str]) -> None:
    heads = [f"{name}\n{units[name]}" if units.get(name) else name for name in result.column_names]
    numeric = [
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        for kind in result.schema.types
    ]
    columns = [column.to_pylist() for column in result.slice(0, TABLE_ROWS).columns]
    rows = [[cell(value) for value in row] for row in zip(*columns, strict=True)]
    if sys.stdout.isatty() and _width(heads, rows) > get_terminal_size().columns:
        _records(heads, rows)
    else:
        print_table(heads, rows, numeric)
    if result.num_rows > TABLE_ROWS:
        more = f"{TABLE_ROWS} of {result.num_rows:,} rows; --format csv or json has all"
        print(more, file=sys.stderr)


def _width(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Return how wide a table would be."""
    lines = [*rows, *([head.split("\n")[i] if i < head.count("\n") + 1 else "" for head in heads]
                      for i in range(2))]  # fmt: skip
    return sum(max(map(len, column)) + 3 for column in zip(*lines, strict=True))


def _records(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print one line per value, for rows too wide for the terminal."""
    names = [head.replace("\n", ", ") for head in heads]
    width = max(map(len, names), default=0)
    for number, row in enumerate(rows, 1):
        print_text(f"row {number}", style="bold")
        for name, text in zip(names, row, strict=True):
            print_text(f"  {name:{width}}  {text}")


def cell(value: Any) -> str:
    """Return a value as a table shows it."""
    value = plain(value)
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def print_table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Sequence[bool],
    *,
    title: str = "",
    strong: Collection[int] = (),
    tight: bool = False,
) -> None:
    """Print one table on stdout; ``right`` says which columns are aligned to the right.

    Rows numbered in ``strong`` are bold on a terminal; ``tight`` leaves less room in between.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    padding = (0, 1, 0, 0) if tight else (0, 1)
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", padding=padding
    )
    for head, is_right in zip(heads, right, strict=True):
        table.add_column(Text(head), justify="right" if is_right else "left", overflow="fold")
    for number, row in enumerate(rows):
        style = "bold" if number in strong else ""
        table.add_row(*(Text(text) for text in row), style=style)
    if title:
        print_text(title, style="bold")
    print_rich(table)


def print_text(text: str, style: str = "") -> None:
    """Print a paragraph on stdout, wrapped and styled on a terminal only."""
    from rich.text import Text

    print_rich(Text(text, style=style))


def print_rich(item: Any) -> None:
    """Print anything rich knows on stdout, plain where that is no terminal."""
    from rich.console import Console

    if sys.stdout.isatty():
        Console(file=sys.stdout, highlight=False).print(item)
        return
    console = Console(file=sys.stdout, width=100_000, color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(item)
    for line in captured.get().splitlines():
        print(line.rstrip())
