"""The engine's quick tests as sequences: what their benches were told and what the reference said.

A test on a ``Bench`` asks the reference, which has no faults; a fault shows where the fast engine
differs from it. So the tests run once, without a fault, and then only the fast engine repeats
them: a fraction of the time, with the same comparisons at the same steps.
"""

import pickle
from collections.abc import Sequence as Many
from functools import partial
from pathlib import Path
from typing import Any

from engine.reference.host import ReferenceHost
from tests.engine.bench import Bench, commands_of
from tests.mutants.sequences import Sequence, Step, digest, state
from tests.mutants.trial import answer, forked, tested


def listened(files: Many[str], path: Path) -> list[Sequence]:
    """Run tests in a child process, which leaves at ``path`` what all benches were told.

    Raises SystemExit when a test does not pass.
    """
    wrong = answer(*forked(partial(_listen, files, path)))
    if wrong:
        raise SystemExit(f"without a fault: {wrong}")
    stories: list[Sequence] = pickle.loads(path.read_bytes())
    path.unlink()
    return stories


def _listen(files: Many[str], path: Path) -> str:
    """Run tests on benches that remember; what fails, or nothing."""
    stories: list[Sequence] = []
    make, step = Bench.__init__, Bench._step

    def remember(bench: Bench, *arguments: Any, **options: Any) -> None:
        make(bench, *arguments, **options)
        if type(bench.host) is ReferenceHost and len(bench.hosts) > 1:
            story = Sequence(bench.shape, bench.table.copy(), bench.costs.copy())
            bench.story = story  # type: ignore[attr-defined]
            stories.append(story)

    def note(bench: Bench, row: list[int]) -> None:
        step(bench, row)
        told = getattr(bench, "story", None)
        if told is not None:
            full = bool(bench.full_every) and len(bench.log) % bench.full_every == 0
            commands, host = commands_of(row), bench.host
            done = Step(commands, row[0], bench.rows.copy(), state(host))
            done.digest = digest(host, bench.shape) if full else b""
            told.steps.append(done)

    Bench.__init__ = remember  # type: ignore[assignment, method-assign]
    Bench._step = note  # type: ignore[assignment, method-assign]
    wrong = tested(files)
    if not wrong:
        path.write_bytes(pickle.dumps([s for s in stories if s.steps]))
    return wrong
