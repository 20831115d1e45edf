"""Recorded cases of real kernels, replayed under a policy: what would have gone otherwise."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.host import Host
from fleet.errors import InputError
from fleet.lab.lines import Case, read
from fleet.lab.replay import replay
from fleet.policy.change import Change
from fleet.policy.pair import Int64

Observations = dict[tuple[int, str], tuple[str, str]]
"""By operation and field: what was recorded, and what was simulated."""


def compare_cases(
    files: Sequence[Path], profile: str, before: Int64, after: Int64
) -> tuple[int, list[Change]]:
    """Replay cases under two tables on the fast engine.

    Parameters
    ----------
    files : sequence of Path
        Recorded cases, JSONL (see docs/fidelity.md).
    profile : str
        Cases of its kernel are replayed, others passed over.
    before, after : int64[NR_CELLS]
        The tables.

    Returns
    -------
    int, list of Change
        Cases replayed, and observations that differ between the tables.

    Raises
    ------
    InputError
        A file cannot be read, a line is malformed or cannot be replayed, or no case is left.
    """
    kernel, count, changes = profile.removeprefix("linux-"), 0, list[Change]()
    for file in files:
        for item in read(file):
            if item.kernel != kernel:
                continue
            if not isinstance(item, Case):
                raise item
            count += 1
            changes += _differences(item, _seen(item, before), _seen(item, after))
    if not count:
        raise InputError(f"no case of kernel {kernel}", where=" ".join(map(str, files)))
    return count, changes


def _seen(case: Case, table: Int64) -> Observations:
    """Observations that differ from the record under a table."""
    factory: Any = Host
    found = replay(case, factory, table).disagreements
    return {
        (d.operation, f"{d.text}: {d.mismatch.field}"): (
            str(d.mismatch.recorded),
            str(d.mismatch.simulated),
        )
        for d in found
    }


def _differences(case: Case, before: Observations, after: Observations) -> list[Change]:
    """What differs between two replays; where one agrees with the record it shows the record."""
    changes = []
    for place in sorted({*before, *after}):
        recorded = (before.get(place) or after[place])[0]
        plain = before.get(place, ("", recorded))[1]
        own = after.get(place, ("", recorded))[1]
        if plain != own:
            changes.append(Change(f"{case.label} ops[{place[0]}]", place[1], plain, own))
    return changes
