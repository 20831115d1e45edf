"""``fleet explain``: why a request ended as it did."""

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleet.errors import InputError

if TYPE_CHECKING:
    from fleet.why.explain import Explainer
    from fleet.why.ids import IncidentId, RequestId

MOST_LISTED = 20
"""Incidents of a host that are listed in the terminal."""


def run(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN] [ID]",
            help="Run (default: newest), and request or incident, as [incident:]arm/rep/id.",
        ),
    ] = None,
    worst: Annotated[int, typer.Option(help="The N worst requests instead.", min=0)] = 0,
    host: Annotated[
        int | None,
        typer.Option(help="Requests of this host, worst first; its incidents are listed."),
    ] = None,
    arm: Annotated[str | None, typer.Option(help="Only requests of this arm.")] = None,
    rep: Annotated[int | None, typer.Option(help="Only requests of this replication.")] = None,
    form: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
    partial: Annotated[
        bool, typer.Option("--partial", help="Take the finished part of an interrupted run.")
    ] = False,
) -> None:
    """Tell why a removal or probe ended, or an incident happened, and what would have helped.

    The host is replayed from the log and must come out as logged; changes are tried on copies of
    it. Without an id: the worst request. An id may be cut short as far as it is unambiguous;
    incident: before it names an OOM kill, a failed or stuck pin, a panic or a reset.

    Example: fleet explain --worst 1
    """
    from fleet.log.find import find_run
    from fleet.report.opening import output_format
    from fleet.report.show import Format
    from fleet.why.explain import Explainer
    from fleet.why.ids import RequestId, chosen, incident_row, incidents_of, parse
    from fleet.why.source import open_source
    from fleet.why.terminal import print_incidents

    shown = output_format(form, csv=False)
    name, ident = _split(words or [])
    source = open_source(find_run(name), partial=partial)
    if ident is not None:
        if worst or host is not None:
            raise InputError("does not go with an id", where="--worst" if worst else "--host")
        wanted: list[RequestId | IncidentId] = [parse(ident, source)]
    else:
        wanted = list(chosen(source, arm, rep, host, worst or (1 if host is None else 3)))
    if not wanted:
        print("no request fits", file=sys.stderr)
    listed = incidents_of(source, arm, rep, host) if host is not None and ident is None else []
    explainer = Explainer(source)
    if host is not None and ident is None:
        explainer.foresee(item for item in wanted if isinstance(item, RequestId))
    explained = ((item, _explained(explainer, item)) for item in wanted)
    if shown is Format.JSON:
        document: dict[str, Any] = {"run": str(source.folder)}
        document["explained"] = [found for _, found in explained]
        if host is not None:
            document["incidents"] = [str(item) for item in listed]
        print(json.dumps(document, indent=1))
        return
    _print(explained)
    print_incidents([(str(item), incident_row(source, item)) for item in listed[:MOST_LISTED]])
    if len(listed) > MOST_LISTED:
        print(f"{len(listed) - MOST_LISTED} more incidents; --format json names all")


def _explained(explainer: "Explainer", item: "RequestId | IncidentId") -> dict[str, Any]:
    """Explain a request or an incident."""
    from fleet.why.ids import RequestId
    from fleet.why.incident import explain_incident

    if isinstance(item, RequestId):
        return explainer.explain(item)
    return explain_incident(explainer, item)


def _print(explained: "Iterable[tuple[RequestId | IncidentId, dict[str, Any]]]") -> None:
    """Print each explanation as soon as it is there."""
    from fleet.why.ids import RequestId
    from fleet.why.terminal import print_explanation, print_incident

    for number, (item, found) in enumerate(explained):
        if number:
            print()
        if isinstance(item, RequestId):
            print_explanation(found)
        else:
            print_incident(found)


def _split(words: list[str]) -> tuple[str | None, str | None]:
    """Return run and id out of what was given: an id ends in a number after its last slash."""
    from fleet.log.find import is_run

    if len(words) > 2:
        raise InputError(f"expected [RUN] [ID], got {len(words)} words", where="fleet explain")
    if len(words) == 2:
        return words[0], words[1]
    if not words:
        return None, None
    last = words[0].rpartition("/")[2].removeprefix("incident:")
    ident = (last.isdecimal() or words[0].startswith("incident:")) and not is_run(words[0])
    return (None, words[0]) if ident else (words[0], None)
