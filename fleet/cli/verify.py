"""``fleet verify``: is a run what its records say, and do its rows agree with each other?"""

import sys
from pathlib import Path
from typing import Annotated

import typer


def run(
    name: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Run (default: newest).")
    ] = None,
) -> int:
    """Check every byte of a run against its records, then its rows against each other.

    One line per problem on stdout; exit code 1 when there is any.

    Example: fleet verify
    """
    from fleet.log.find import find_run
    from fleet.log.verify import verify_run

    path = find_run(name)
    found = verify_run(path)
    problems = [f"{path}/{problem}" for problem in found.problems]
    if not problems and found.units:
        problems = [f"{path}: {line}" for line in _contradictions(path)]
    for line in problems:
        print(line)
    state = "complete" if found.complete else "interrupted"
    told = f"{path}: {state}, {found.units} units, {found.files} files, {found.rows:,} rows"
    print(f"{told}: {len(problems) or 'no'} problem{'s' * (len(problems) != 1)}", file=sys.stderr)
    return 1 if problems else 0


def _contradictions(path: Path) -> list[str]:
    """Return what ``conservation.sql`` lists, one line each."""
    from fleet.report.opening import as_input_errors
    from queries.catalog import Catalog
    from queries.shipped import find

    with as_input_errors():
        rows = find("conservation").run(Catalog.open([path], partial=True)).to_pylist()
    return [
        f"{row['arm']}/{row['rep']}: not so: {row['rule']}"
        f" ({row['rows']:,} rows, first {row['first']})"
        for row in rows
    ]
