"""The null model of validation: everything succeeds.

It says errno 0 for every operation, 0 for every pin, ok for every offline, and that the program
ends by itself. It is asked for nothing else: it has no opinion on where pages lie or how many
move, so cases without a pin or an offline are not scored.
A class in which it scores as well as the engine is one that shows little.
"""

from collections.abc import Iterable, Sequence

from fleet.lab.lines import Case, Record

OUTCOMES = {"errno": "0", "pin_result": "0", "result": "ok"}
"""Fields that say whether an operation succeeded, and what success is."""
ASKED = frozenset({"pin", "pinblocks", "pinstride", "repin", "offline", "offlineall"})
"""Operations that make a case worth asking."""


def asked(case: Case) -> bool:
    """Whether a case has an outcome that is worth predicting."""
    names = {record.operation.name for record in case.records}
    if case.unfinished is not None:
        names.add(case.unfinished.name)
    return not names.isdisjoint(ASKED)


def right(case: Case) -> bool:
    """Whether everything succeeded in a recorded case."""
    return case.fate == "finished" and all(_succeeded(record) for record in case.records)


def score(cases: Iterable[Case]) -> tuple[int, int]:
    """Cases that the null model has right, and cases it was asked about."""
    found: Sequence[bool] = [right(case) for case in cases if asked(case)]
    return sum(found), len(found)


def _succeeded(record: Record) -> bool:
    """Whether one recorded operation and each of its parts succeeded."""
    seen = record.seen
    rows = [seen, *seen.get("rounds", ()), *(b for b in seen.get("blocks", ()) if type(b) is dict)]
    return all(row.get(name, good) == good for row in rows for name, good in OUTCOMES.items())
