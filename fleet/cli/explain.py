"""``fleet explain``: why a request ended as it did."""

import json
import sys
from typing import Annotated

import typer

from fleet.errors import InputError


def run(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN] [ID]", help="Run (default: newest) and request, as arm/rep/id."
        ),
    ] = None,
    worst: Annotated[int, typer.Option(help="The N worst requests instead.", min=0)] = 0,
    host: Annotated[int | None, typer.Option(help="Requests of this host, worst first.")] = None,
    arm: Annotated[str | None, typer.Option(help="Only requests of this arm.")] = None,
    rep: Annotated[int | None, typer.Option(help="Only requests of this replication.")] = None,
    form: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
    partial: Annotated[
        bool, typer.Option("--partial", help="Take the finished part of an interrupted run.")
    ] = False,
) -> None:
    """Tell why a removal or probe ended as it did, and what would have returned its memory.

    The host is replayed from the log and must come out as logged; changes are tried on copies of
    it. Without an id: the worst request. An id may be cut short as far as it is unambiguous.

    Example: fleet explain --worst 1
    """
    from fleet.log.find import find_run
    from fleet.report.opening import output_format
    from fleet.report.show import Format
    from fleet.why.explain import Explainer
    from fleet.why.ids import chosen, parse
    from fleet.why.source import open_source

    shown = output_format(form, csv=False)
    name, ident = _split(words or [])
    source = open_source(find_run(name), partial=partial)
    if ident is not None:
        if worst or host is not None:
            raise InputError("does not go with an id", where="--worst" if worst else "--host")
        wanted = [parse(ident, source)]
    else:
        wanted = chosen(source, arm, rep, host, worst or (1 if host is None else 3))
    if not wanted:
        print("no request fits", file=sys.stderr)
    explainer = Explainer(source)
    if shown is Format.JSON:
        told = [explainer.explain(item) for item in wanted]
        print(json.dumps({"run": str(source.folder), "explained": told}, indent=1))
        return
    from fleet.why.terminal import print_explanation

    for number, item in enumerate(wanted):
        if number:
            print()
        print_explanation(explainer.explain(item))


def _split(words: list[str]) -> tuple[str | None, str | None]:
    """Return run and id out of what was given: an id ends in a number after its last slash."""
    from fleet.log.find import is_run

    if len(words) > 2:
        raise InputError(f"expected [RUN] [ID], got {len(words)} words", where="fleet explain")
    if len(words) == 2:
        return words[0], words[1]
    if not words:
        return None, None
    ident = words[0].rpartition("/")[2].isdecimal() and not is_run(words[0])
    return (None, words[0]) if ident else (words[0], None)
