"""``fleet query``: shipped questions."""

from typing import Annotated

import typer

from fleet.errors import InputError


def run(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN] [NAME]", help="Run (default: newest) and name of the query."),
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="A parameter of the query, as name=value.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
    partial: Annotated[
        bool, typer.Option("--partial", help="Take the finished part of an interrupted run.")
    ] = False,
) -> None:
    """Answer a shipped question about a run; without a name, list the questions.

    Example: fleet query hang_rate --param kind=probe
    """
    from fleet.log.find import find_run
    from fleet.report.opening import as_input_errors, open_catalog, output_format
    from fleet.report.show import show
    from queries.shipped import find

    shown = output_format(form)
    folder, name = _split(words or [])
    if name is None:
        _list()
        return
    with as_input_errors():
        query = find(name)
        values = dict(_pair(text) for text in param or [])
        query.values(values)
        catalog = open_catalog([find_run(folder)], partial=partial)
        result = query.run(catalog, values)
    show(result, shown, {column.name: column.unit for column in query.columns})


def _split(words: list[str]) -> tuple[str | None, str | None]:
    """Return run and query name out of what was given."""
    from fleet.log.find import is_run
    from queries.shipped import shipped

    if len(words) > 2:
        raise InputError(f"expected [RUN] [NAME], got {len(words)} words", where="fleet query")
    if len(words) == 2:
        return words[0], words[1]
    if not words:
        return None, None
    return (words[0], None) if words[0] not in shipped() and is_run(words[0]) else (None, words[0])


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InputError(f"{text!r} is not name=value", where="--param")
    return name, value


def _list() -> None:
    from fleet.report.show import print_table
    from queries.shipped import shipped

    rows = [
        [q.name, q.question, " ".join(f"{p.name}={p.default}" for p in q.parameters)]
        for q in shipped().values()
    ]
    print_table(["query", "question", "parameters"], rows, [False, False, False])
