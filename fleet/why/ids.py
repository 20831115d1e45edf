"""Which requests and incidents are meant: ``arm/rep/id``, what is short for it, the worst."""

from typing import Any, NamedTuple

from fleet.errors import InputError
from fleet.why.source import Source

SEVERITY = (
    "reset",
    "stuck",
    "host_down",
    "gave_up",
    "refused",
    "withdrawn",
    "censored",
    "offlined",
)
"""Ends of a request, worst first; a reset comes before the outcome beside it."""


class RequestId(NamedTuple):
    """One request of one unit, printed ``arm/rep/id``."""

    arm: str
    rep: int
    request: int

    def __str__(self) -> str:
        """Return ``arm/rep/id``."""
        return f"{self.arm}/{self.rep}/{self.request}"


class IncidentId(NamedTuple):
    """One incident of one unit, printed ``incident:arm/rep/id``."""

    arm: str
    rep: int
    incident: int

    def __str__(self) -> str:
        """Return ``incident:arm/rep/id``."""
        return f"{INCIDENT}{self.arm}/{self.rep}/{self.incident}"


INCIDENT = "incident:"
"""What an incident's id begins with; a request's has no such word."""


def parse(text: str, source: Source) -> RequestId | IncidentId:
    """Return the request that ``arm/rep/id``, ``arm/id``, ``rep/id`` or ``id`` names.

    With ``incident:`` before it, it is the incident of that id. An arm may be cut short. What fits
    several units is told as such.

    Raises
    ------
    InputError
        Not an id, nothing fits, several fit, or the run has no such request or incident.
    """
    if text.startswith(INCIDENT):
        incident = IncidentId(*_unit_and_id(text.removeprefix(INCIDENT), source, "an incident's"))
        incident_row(source, incident)
        return incident
    found = RequestId(*_unit_and_id(text, source, "a request's"))
    request_row(source, found)
    return found


def _unit_and_id(text: str, source: Source, whose: str) -> tuple[str, int, int]:
    """Return arm, replication and number of an id without its word (InputError: see parse)."""
    *front, last = text.split("/")
    if not last.isdecimal() or len(front) > 2:
        raise InputError(f"not {whose} id (arm/rep/id, as fleet sql prints them)", where=text)
    if len(front) == 1 and front[0].isdecimal():
        front = ["", front[0]]
    arm = front[0] if front else ""
    rep = front[1] if len(front) == 2 else ""
    if rep and not rep.isdecimal():
        raise InputError(f"{rep!r} is not a replication", where=text)
    exact = [unit for unit in source.units if unit[0] == arm]
    fits = exact or [unit for unit in source.units if unit[0].startswith(arm)]
    fits = [unit for unit in fits if not rep or unit[1] == int(rep)]
    if not fits:
        known = ", ".join(dict.fromkeys(name for name, _ in source.units))
        raise InputError(f"no finished unit fits (arms: {known})", where=text)
    if len(fits) > 1:
        listed = ", ".join(f"{name}/{number}/{last}" for name, number in fits[:4])
        more = ", ..." if len(fits) > 4 else ""
        raise InputError(f"fits several units: {listed}{more}", where=text)
    return (*fits[0], int(last))


def incident_row(source: Source, ident: IncidentId) -> dict[str, Any]:
    """Return the row of an incident (InputError when there is none)."""
    table = source.rows("incidents", ident.arm, ident.rep, incident=ident.incident).to_pylist()
    if not table:
        count = source.rows("incidents", ident.arm, ident.rep).num_rows
        raise InputError(
            f"no such incident; {ident.arm}/{ident.rep} has {count or 'none'}", where=str(ident)
        )
    found: dict[str, Any] = table[0]
    return found


def incidents_of(source: Source, arm: str | None, rep: int | None, host: int) -> list[IncidentId]:
    """Return the incidents of a host in the units of these names, by unit and number."""
    found = []
    for name, number in source.units:
        if arm in (None, name) and rep in (None, number):
            rows = source.rows("incidents", name, number, host=source.check_host(host)).to_pylist()
            rows.sort(key=lambda row: (row["time_ns"], row["incident"]))
            found += [IncidentId(name, number, row["incident"]) for row in rows]
    return found


def request_row(source: Source, ident: RequestId) -> dict[str, Any]:
    """Return the row of a request (InputError when there is none)."""
    rows = source.rows("requests", ident.arm, ident.rep, request=ident.request).to_pylist()
    if not rows:
        count = source.rows("requests", ident.arm, ident.rep).num_rows
        span = f"0 to {count - 1}" if count else "none"
        raise InputError(f"no such request; {ident.arm}/{ident.rep} has {span}", where=str(ident))
    found: dict[str, Any] = rows[0]
    return found


def chosen(
    source: Source, arm: str | None, rep: int | None, host: int | None, count: int
) -> list[RequestId]:
    """Return the worst requests of a unit (of all units without a name), worst first.

    Parameters
    ----------
    arm, rep : optional
        Only this arm, this replication.
    host : int, optional
        Only requests of this host.
    count : int
        How many at most.
    """
    if arm is not None or rep is not None:
        source.unit(arm, rep)
    found: list[tuple[tuple[int, int, int, int], RequestId]] = []
    for position, (name, number) in enumerate(source.units):
        if arm not in (None, name) or rep not in (None, number):
            continue
        equal = {} if host is None else {"host": source.check_host(host)}
        for row in source.rows("requests", name, number, **equal).to_pylist():
            key = (_severity(row), -_waited_ns(row), position, row["request"])
            found.append((key, RequestId(name, number, row["request"])))
    return [ident for _, ident in sorted(found)[:count]]


def _severity(row: dict[str, Any]) -> int:
    return SEVERITY.index("reset" if row["reset"] else row["outcome"])


def _waited_ns(row: dict[str, Any]) -> int:
    """How long a request was open."""
    ended_ns = row["ended_ns"] if row["ended_ns"] is not None else row["deadline_ns"]
    return int(ended_ns - row["issued_ns"])
