"""Opens runs for a command: query errors become input errors, interrupted runs are announced."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fleet.errors import InputError
from fleet.report.show import Format
from queries.catalog import Catalog, QueryError


@contextmanager
def as_input_errors() -> Iterator[None]:
    """Turn a QueryError (bad run, unknown query, wrong SQL) into an InputError: exit 2."""
    try:
        yield
    except QueryError as error:
        raise InputError(str(error)) from error


def open_catalog(folders: Sequence[Path], *, partial: bool) -> Catalog:
    """Open runs, saying on stderr which are not complete (QueryError when they cannot be)."""
    catalog = Catalog.open(folders, partial=partial)
    for run in catalog.runs:
        if not run.complete:
            whole = len(run.run["arms"]) * run.run["replications"]
            print(f"{run.path}: interrupted, {len(run.units)} of {whole} units", file=sys.stderr)
    return catalog


def output_format(text: str, *, csv: bool = True) -> Format:
    """Return an output format by name (InputError for another word)."""
    allowed = [form for form in Format if csv or form is not Format.CSV]
    if text not in allowed:
        raise InputError(f"{text!r} is not one of {', '.join(allowed)}", where="--format")
    return Format(text)
