"""Repeats of a case: the same guest and operations, whatever the lines are called.

Where the kernel's own pages fall is a matter of chance: a page that cannot be moved, in a block of
a kernel zone, makes its offline fail with EBUSY in one run and not in the next. Where repeats were
recorded with such different results, each of them is right for that offline; all else of the case
is compared as ever. No kernel puts such pages into ZONE_MOVABLE, so offlines there are never
excused.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

from fleet.lab.lines import Case
from fleet.lab.replay import Disagreement, Outcome, Stray

UNMOVABLE = "EBUSY"
"""Result of an offline that met a page which cannot be moved."""


def key(case: Case) -> Hashable:
    """What repeats of a case have in common; the kernel is not part of it, chance has none."""
    last = None if case.unfinished is None else case.unfinished.text
    texts = tuple(record.operation.text for record in case.records)
    return case.guest, case.hot_blocks, (*texts, last)


def accept(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Take out of each outcome what turns on stray kernel pages by its recorded repeats."""
    groups: dict[Hashable, list[Case]] = {}
    for outcome in outcomes:
        groups.setdefault(key(outcome.case), []).append(outcome.case)
    found = {each: strays(group) for each, group in groups.items()}
    return [_accepted(outcome, found[key(outcome.case)]) for outcome in outcomes]


def strays(group: Sequence[Case]) -> tuple[Stray, ...]:
    """Offlines outside ZONE_MOVABLE that failed with EBUSY in some repeats and not in others."""
    found = []
    for index, record in enumerate(group[0].records):
        seen = [case.records[index].seen for case in group if index < len(case.records)]
        results = {str(row["result"]) for row in seen if "result" in row}
        movable = any(row.get("block_zone") == "Movable" for row in seen)
        if UNMOVABLE in results and len(results) > 1 and not movable:
            block = int(record.seen.get("block", -1))
            found.append(Stray(index, record.operation.text, block, tuple(sorted(results))))
    return tuple(found)


def _accepted(outcome: Outcome, found: tuple[Stray, ...]) -> Outcome:
    """An outcome without the disagreements that are excused."""
    if not found:
        return outcome
    left = tuple(d for d in outcome.disagreements if not excused(d, outcome, found))
    return replace(outcome, disagreements=left, strays=found)


def excused(d: Disagreement, outcome: Outcome, found: Iterable[Stray]) -> bool:
    """Whether a disagreement is another recorded result of such an offline, or follows from it."""
    by_operation = {stray.operation: stray for stray in found}
    results = {
        x.operation: x.mismatch.simulated
        for x in outcome.disagreements
        if x.mismatch.field == "result"
    }
    stray = by_operation.get(d.operation)
    if stray is not None:
        other = results.get(d.operation) in stray.results
        return other and (d.mismatch.field == "result" or d.mismatch.field.startswith("vmstat."))
    blocks = {str(s.block) for s in by_operation.values() if results.get(s.operation) in s.results}
    return d.mismatch.field == "hot_blocks" and _differing(d) <= blocks


def _differing(d: Disagreement) -> set[str]:
    """Hot blocks whose states differ."""
    was: Mapping[str, str] = d.mismatch.recorded
    now: Mapping[str, str] = d.mismatch.simulated
    return {block for block in {*was, *now} if was.get(block) != now.get(block)}
