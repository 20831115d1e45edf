"""``fleet sql``: a user's own question."""

import sys
from typing import Annotated

import typer

from fleet.errors import InputError


def run(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN] [SQL]", help="Run (default: newest) and statement (default: stdin)."
        ),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
    partial: Annotated[
        bool, typer.Option("--partial", help="Take the finished part of an interrupted run.")
    ] = False,
) -> None:
    """Run one SQL statement (DuckDB) over a run's event log; fleet schema lists the tables.

    Example: fleet sql "SELECT arm, count(*) FROM pins GROUP BY arm ORDER BY arm"
    """
    from fleet.log.find import find_run
    from fleet.report.opening import as_input_errors, open_catalog, output_format
    from fleet.report.show import show

    shown = output_format(form)
    folder, sql = _split(words or [])
    with as_input_errors():
        catalog = open_catalog([find_run(folder)], partial=partial)
        result = catalog.query(sql)
    show(result, shown)


def _split(words: list[str]) -> tuple[str | None, str]:
    """Return run and statement; a single word is a run when there is one of that name."""
    from fleet.log.find import is_run

    if len(words) > 2:
        raise InputError("expected [RUN] [SQL]; quote the statement", where="fleet sql")
    if len(words) == 2:
        return words[0], words[1]
    if words and not is_run(words[0]):
        return None, words[0]
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("no SQL given", where="fleet sql")
    return (words[0] if words else None), sys.stdin.read()
