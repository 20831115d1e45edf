"""Runs in a copy with seeded kernels: each fault on its own against the recorded sequences.

``python -m tests.mutants.hunt FAULTS SEQUENCES STEPS JOBS [NUMBER...]`` prints ``number answer``
for each fault (number 0: none is on; nothing may differ then). What no sequence shows, the
engine's quick tests may.
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import engine.state
from engine.host import Host
from tests.mutants.sequences import Sequence, differs, record

CPU_SECONDS = 90
"""A fault that makes the engine run longer is caught: a test would not end."""
CAUGHT_BY_SIGNAL = {signal.SIGPROF: "hangs", signal.SIGSEGV: "crashes"}


TESTS = [
    f"tests/engine/test_{name}.py"
    for name in (
        "semantics", "reclaim", "gather", "history", "inflight", "page_cache", "same_node",
        "sharing", "skipped_loops", "arena", "fast_engine", "seeded", "compaction", "hugetlb",
        "pinners", "checkerboard",
    )
]  # fmt: skip
"""Quick tests of the engine, for what the sequences leave."""


def hunt(number: int, sequences: list[Sequence]) -> str:
    """Switch a fault on and say what catches it; nothing: it survives."""
    engine.state.MUTANT = number  # type: ignore[attr-defined]
    for index, sequence in enumerate(sequences):
        try:
            found = differs(sequence, Host)
        except Exception as error:
            found = type(error).__name__
        if found:
            return f"sequence {index}: {found}"
    return "" if number == 0 else tested()


def tested() -> str:
    """The first test that fails, with all that tests print thrown away."""
    failed = _Failed()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    there = [name for name in TESTS if Path(name).exists()]
    pytest.main(["-x", "-q", "-p", "no:cacheprovider", *there], plugins=[failed])
    return failed.name


class _Failed:
    """Notes the name of a test that fails."""

    name = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Called by pytest for every part of a test."""
        if report.failed:
            self.name = self.name or str(report.nodeid)


def forked(number: int, sequences: list[Sequence]) -> tuple[int, int]:
    """Hunt in a child, which may hang or crash; its process and where it answers."""
    read, write = os.pipe()
    child = os.fork()
    if child:
        os.close(write)
        return child, read
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    os.write(write, hunt(number, sequences).encode())
    os._exit(0)


def answer(child: int, read: int) -> str:
    """What a child found."""
    with os.fdopen(read) as stream:
        text = stream.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        code = signal.Signals(os.WTERMSIG(status))
        return CAUGHT_BY_SIGNAL.get(code, code.name)
    return text


def main(faults: int, count: int, steps: int, jobs: int, *only: int) -> None:
    """Hunt all faults (or only some), some at a time; without any first."""
    start = time.monotonic()
    sequences = [record(key, steps) for key in range(count)]
    print(f"recorded {count} sequences in {time.monotonic() - start:.0f} s", file=sys.stderr)
    Host(sequences[0].shape, sequences[0].table, sequences[0].costs)  # compiles
    print(f"compiled after {time.monotonic() - start:.0f} s", file=sys.stderr)
    numbers = [0, *(only or range(1, faults + 1))]
    for first in range(0, len(numbers), jobs):
        running = [(n, *forked(n, sequences)) for n in numbers[first : first + jobs]]
        for number, child, read in running:
            print(number, answer(child, read), flush=True)
            print(f"\r{number} of {faults}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
