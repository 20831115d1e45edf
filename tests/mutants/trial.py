"""One trial of a fault: a child process that may hang or crash, and the tests run in it."""

import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

import pytest

SEQUENCE_SECONDS, TEST_SECONDS = 10, 60
"""CPU time of one sequence and of one test; what takes more does not end: caught. Without a fault
the same limits hold."""
CAUGHT_BY_SIGNAL = {
    signal.SIGPROF: "hangs", signal.SIGSEGV: "crashes", signal.SIGBUS: "crashes",
    signal.SIGABRT: "crashes",  # malloc found its heap overwritten: an index out of range
}  # fmt: skip
BROKEN = "error: "
"""Start of an answer that says that the hunt itself does not work."""


def forked(trial: Callable[[], str]) -> tuple[int, int]:
    """Run a trial in a child; its process and where it answers."""
    read, write = os.pipe()
    child = os.fork()
    if child:
        os.close(write)
        return child, read
    try:
        text = trial()
    except BaseException as error:
        text = f"{BROKEN}{error!r}"
    os.write(write, text.encode())
    os._exit(0)


def answer(child: int, read: int) -> str:
    """What a child found; nothing: the fault survives."""
    with os.fdopen(read) as stream:
        text = stream.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        code = signal.Signals(os.WTERMSIG(status))
        return CAUGHT_BY_SIGNAL.get(code, f"{BROKEN}killed by {code.name}")
    return text if os.WEXITSTATUS(status) == 0 else f"{BROKEN}exit code {os.WEXITSTATUS(status)}"


def limit(seconds: int) -> None:
    """Give what runs now its CPU time."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def tested(files: Sequence[str], *options: str) -> str:
    """The first test that fails, with all that tests print thrown away; nothing: all pass.

    Starts with ``BROKEN`` where pytest neither passed all nor failed a test or a file of tests.
    """
    failed = Failed()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    options = ("-x", "-q", "-n0", "-p", "no:cacheprovider", "-m", "not slow", *options)
    code = int(pytest.main([*options, *files], plugins=[failed]))
    if code == pytest.ExitCode.OK and not failed.name:
        return ""
    if failed.name and code in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED):
        return failed.name
    return f"{BROKEN}pytest ended with {code} and failed {failed.name or 'no test'}"


class Failed:
    """Notes the first test, or file of tests, that fails."""

    name = ""

    def pytest_collection_finish(self) -> None:
        """Called by pytest before the first test: what fails need not be cut to what it needs."""
        from tests.engine import bench

        bench.shortest = lambda bench, error: bench.log  # noqa: ARG005

    def pytest_runtest_logstart(self) -> None:
        """Called by pytest before every test."""
        limit(TEST_SECONDS)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Called by pytest for every part of a test."""
        self._note(report)

    def pytest_collectreport(self, report: Any) -> None:
        """Called by pytest for every file."""
        self._note(report)

    def _note(self, report: Any) -> None:
        if report.failed:
            self.name = self.name or str(report.nodeid)
