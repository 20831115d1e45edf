"""The smallest change that would have returned a block, found by trying changes on clones."""

from dataclasses import dataclass

from fleet.plan.tables import Plan
from fleet.why.changes import Change, Changes, Pinned
from fleet.why.trial import Ended, Trial

MANY_PINS = 40
"""Pins that are tried one by one at most; more than these are released together."""


@dataclass(frozen=True)
class Tried:
    """A change and how the attempt then ended."""

    change: Change
    ended: Ended


def search(trial: Trial, plan: Plan) -> list[Tried]:
    """Try what could have returned the memory and return everything tried, the best first.

    Changes that returned this memory come first, the one that concerns fewest pages before others;
    then another block; then what did not help. Every result is that of an attempt really made.
    """
    changes = Changes(trial, plan)
    tried: list[Tried] = []

    def attempt(change: Change) -> bool:
        tried.append(Tried(change, trial.run(change.stages, change.first_block, change.table)))
        return tried[-1].ended.returned

    base: Change | None = None
    if changes.pins:
        needed = _needed(trial, changes, attempt)
        attempt(changes.move(needed or changes.pins))
        base = None if needed else changes.release(changes.pins)
    for change in (changes.references(), changes.same_node(), changes.pool()):
        if change is not None and not attempt(change) and base is not None:
            attempt(base + change)
    if not any(item.ended.returned for item in tried):
        _ = any(attempt(change if base is None else base + change) for change in changes.room())
    _ = any(attempt(change) for change in changes.others())
    return sorted(tried, key=_rank)


def _rank(tried: Tried) -> tuple[bool, bool, int]:
    """Order of changes: those that helped, on this memory, with fewest pages."""
    change = tried.change
    return not tried.ended.returned, change.first_block is not None, change.pages


def _needed(trial: Trial, changes: Changes, attempt: object) -> list[Pinned]:
    """Return the pins that had to go, none when releasing them all does not help."""
    assert callable(attempt)
    if not attempt(changes.release(changes.pins)):
        return []
    needed = list(changes.pins)
    if 1 < len(needed) <= MANY_PINS:
        for item in changes.pins:
            fewer = [pin for pin in needed if pin is not item]
            if fewer and trial.run(changes.release(fewer).stages).returned:
                needed = fewer
        if len(needed) < len(changes.pins):
            attempt(changes.release(needed))
    return needed
