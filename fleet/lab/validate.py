"""Whole files of recorded cases: select, replay (in several processes), and collect."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from multiprocessing import get_context
from pathlib import Path

from fleet.lab import repeats
from fleet.lab.lines import Case, CaseError, read
from fleet.lab.machine import EngineFactory, Ints
from fleet.lab.replay import Outcome, replay

TableOf = Callable[[str], Ints | None]
"""Kernel version of a case to the decision table it runs under; None: no profile yet."""

Progress = Callable[[int, int], None]
"""Cases that are done, of how many."""

CASES_PER_PROCESS = 8
"""Fewer cases are not worth another process, which takes seconds to load the engine."""


@dataclass(slots=True)
class Summary:
    """What replaying some files gave.

    Attributes
    ----------
    outcomes : list of Outcome
        Cases that were replayed, in file order.
    errors : list of CaseError
        Lines that could not be replayed (kernel without a profile, unknown or unsupported
        operation, unknown guest): one each, never left out.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    errors: list[CaseError] = field(default_factory=list)

    def by_class(self, kernel: str | None = None) -> dict[str, list[Outcome]]:
        """Outcomes per class, sorted by class, of one kernel or all."""
        out: dict[str, list[Outcome]] = {}
        for outcome in self.outcomes:
            if kernel in (None, outcome.case.kernel):
                out.setdefault(outcome.kind, []).append(outcome)
        return dict(sorted(out.items()))

    def kernels(self) -> list[str]:
        """Kernels that were replayed, oldest first."""
        found = {o.case.kernel for o in self.outcomes}
        return sorted(found, key=lambda k: [int(x) if x.isdigit() else 0 for x in k.split(".")])


def agreement(outcomes: Sequence[Outcome]) -> float:
    """Share of cases that agree (1.0 when there are none)."""
    return sum(o.agrees for o in outcomes) / len(outcomes) if outcomes else 1.0


def validate(
    files: Iterable[Path],
    factory: EngineFactory,
    table_of: TableOf,
    kernels: Sequence[str] = (),
    names: Sequence[str] = (),
    progress: Progress = lambda _done, _all: None,
    jobs: int = 1,
) -> Summary:
    """Replay the selected cases of some files.

    Parameters
    ----------
    kernels, names : sequences of str
        Only cases of these kernels, and whose id matches one of these patterns (all when empty).
        The selection is all that ids are used for.
    jobs : int
        Processes at most; what they find is the same for every number.

    Raises
    ------
    CaseError
        A file cannot be read or a line is malformed.
    """
    chosen = [
        item for path in files for item in list(read(path)) if _selected(item, kernels, names)
    ]
    work = [(item, factory, _table(item, table_of)) for item in chosen]
    summary = Summary()
    for result in _replayed(work, min(jobs, len(work) // CASES_PER_PROCESS), progress):
        if isinstance(result, Outcome):
            summary.outcomes.append(result)
        else:
            summary.errors.append(result)
    summary.outcomes = repeats.accept(summary.outcomes)
    return summary


_Work = tuple[Case | CaseError, EngineFactory, Ints | None]


def _selected(item: Case | CaseError, kernels: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a case was asked for."""
    if kernels and item.kernel not in kernels:
        return False
    return not names or any(fnmatchcase(item.name, pattern) for pattern in names)


def _table(item: Case | CaseError, table_of: TableOf) -> Ints | None:
    """The decision table of a case."""
    return table_of(item.kernel) if isinstance(item, Case) else None


def _replayed(
    work: Sequence[_Work], jobs: int, progress: Progress
) -> Iterator[Outcome | CaseError]:
    """Results in the order of the work."""
    if jobs < 2:
        for done, (item, factory, table) in enumerate(work, 1):
            yield _one(item, factory, table)
            progress(done, len(work))
        return
    yield _one(*work[0])  # here, so that the engine is compiled once and not by every process
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        try:
            futures = [pool.submit(_one, *each) for each in work[1:]]
            for done, _ in enumerate(as_completed(futures), 2):
                progress(done, len(work))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    yield from map(Future.result, futures)


def _one(item: Case | CaseError, factory: EngineFactory, table: Ints | None) -> Outcome | CaseError:
    """Replay one case; its error when it cannot be."""
    if isinstance(item, CaseError):
        return item
    if table is None:
        return CaseError(item.where, "kernel", f"no profile for kernel {item.kernel!r} yet")
    try:
        return replay(item, factory, table)
    except CaseError as error:
        return error
