"""Which requests are meant: ``arm/rep/id`` and what is short for it, the worst, those of a host."""

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


def parse(text: str, source: Source) -> RequestId:
    """Return the request that ``arm/rep/id``, ``arm/id``, ``rep/id`` or ``id`` names.

    An arm may be cut short. What fits several units is told as such.

    Raises
    ------
    InputError
        Not an id, nothing fits, several fit, or the run has no such request.
    """
    *front, last = text.split("/")
    if not last.isdecimal() or len(front) > 2:
        raise InputError("not a request's id (arm/rep/id, as fleet sql prints them)", where=text)
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
    found = RequestId(*fits[0], int(last))
    request_row(source, found)
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
