"""The smallest change that would have returned a block, found by trying changes on clones."""

from collections.abc import Callable
from dataclasses import dataclass

from engine.enums import OfflineReason
from fleet.plan.tables import Plan
from fleet.why.changes import Change, Changes, Pinned
from fleet.why.trial import Ended, Trial

MANY_PINS = 40
"""Pins that are tried one by one at most; more than these are released together."""

Attempt = Callable[[Change], bool]
"""Makes a change and the attempt, notes how it ended, and says whether the memory came back."""


@dataclass(frozen=True)
class Tried:
    """A change and how the attempt then ended."""

    change: Change
    ended: Ended


def search(trial: Trial, plan: Plan, changes: Changes | None = None) -> list[Tried]:
    """Try what could have returned the memory and return everything tried, the best first.

    Changes that returned this memory come first, the one that concerns fewest pages before others;
    then another block; then what did not help. Every result is that of an attempt really made.
    ``changes`` are those of this trial, when they are known.
    """
    tried: list[Tried] = []
    if trial.probe and trial.moment.engine.offline_running:
        trial, changes = trial.after_the_other(), None
        tried.append(Tried(Change("wait", 0), trial.run()))
        if tried[0].ended.returned:
            return tried
    found = Changes(trial, plan) if changes is None else changes
    waited = Change("wait", 0) if tried else None

    def attempt(change: Change) -> bool:
        ended = trial.run(change.stages, change.first_block, change.table)
        tried.append(Tried(change if waited is None else waited + change, ended))
        return ended.returned

    hopeless = trial.unchanged.reason in (OfflineReason.UNMOVABLE, OfflineReason.BAD_STATE)
    if not hopeless:
        _on_these_blocks(found, trial, attempt)
    _ = any(attempt(change) for change in found.others())
    return sorted(tried, key=_rank)


def _on_these_blocks(changes: Changes, trial: Trial, attempt: Attempt) -> None:
    """Try what may return the very memory that was asked for."""
    base: Change | None = None
    helped = False
    if changes.pins:
        needed = _needed(trial, changes, attempt)
        helped |= attempt(changes.move(needed or changes.pins)) or bool(needed)
        base = None if needed else changes.release(changes.pins)
    helped = helped or any(_either(attempt, base, change) for change in changes.references())
    if not helped:
        _shrink_pools(changes, trial, attempt)
        for make in (changes.grow_pool, changes.room, changes.same_node):
            _ = any(_either(attempt, base, change) for change in make())


def _shrink_pools(changes: Changes, trial: Trial, attempt: Attempt) -> None:
    """Try smaller hugetlb pools, node by node: all that is free, then as little as is enough."""
    for node, most in changes.free_folios():
        if attempt(changes.shrink_pool(node, most)):
            low, high = 0, most
            while high - low > 1:
                middle = (low + high) // 2
                enough = trial.run(changes.shrink_pool(node, middle).stages).returned
                low, high = (low, middle) if enough else (middle, high)
            _ = high < most and attempt(changes.shrink_pool(node, high))
            return


def _either(attempt: Attempt, base: Change | None, change: Change) -> bool:
    """Try a change, alone and, where pins are in the way as well, with them released."""
    return attempt(change) or (base is not None and attempt(base + change))


def _rank(tried: Tried) -> tuple[bool, bool, int]:
    """Order of changes: those that helped, on this memory, with fewest pages."""
    change = tried.change
    return not tried.ended.returned, change.first_block is not None, change.pages


def _needed(trial: Trial, changes: Changes, attempt: Attempt) -> list[Pinned]:
    """Return the pins that had to go, none when releasing them all does not help."""
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
