"""What holds for every test, and the one run that several rooms look at."""

import fcntl
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

# A shell that starts the tests in the background has SIGINT ignored, and children inherit that:
# tests that interrupt a child would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says nothing here but how busy the machine is.
settings.register_profile("fleet", deadline=None)
settings.load_profile("fleet")

EARLY = (
    "tests/api/test_cookbook.py::test_findings",
    "tests/engine/test_fast_engine.py::test_index_checks",
    "tests/run/test_aged.py::test_both_engines",
    "tests/lab/test_recorded.py",
    "tests/engine/test_state_machine.py",
    "tests/run/test_actors.py",
    "tests/why/",
    "tests/run/",
    "tests/report/",
)
"""What takes longest, in this order, so that none of it is left for the end."""
ALONE = (
    "tests/engine/test_state_machine.py",
    "tests/run/test_aged.py::test_both_engines",
    "tests/api/test_cookbook.py::test_findings_are_what_their_run_says",
    "tests/engine/test_fast_engine.py::test_index_checks",
)
"""Long tests that share nothing with their file."""
WITHOUT_ENGINE = (
    "tests/report/test_html", "tests/report/test_report", "tests/report/test_comparisons",
    "tests/queries/", "tests/policies/", "tests/log/", "tests/scenario/", "tests/inputs/",
    "tests/plan/", "tests/cli/",
)  # fmt: skip
"""Folders and files most of whose tests need no compiled engine."""
COOKBOOK = Path(__file__).resolve().parents[1] / "docs" / "cookbook.md"


@pytest.fixture(scope="session")
def cookbook_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run: the one that docs/cookbook.md asks."""
    from fleet.api.cookbook import make_run

    out = tmp_path_factory.mktemp("cookbook") / "runs" / "quickstart"
    return make_run(COOKBOOK.read_text(encoding="utf-8"), out).path


class Together(LoadScopeScheduling):  # type: ignore[misc]
    """Hands tests to processes file by file, so that what a file shares is made once.

    ``tests/why`` and those who ask the cookbook's run are each one piece; the tests of ``ALONE``
    are a piece each. (xdist's own groups are lost with pytest 9.2, which keeps node ids elsewhere.)
    """

    def _assign_work_unit(self, node: Any) -> None:
        """Give a process the next piece.

        Until the first process has run a test, and so has compiled what is not compiled yet, the
        others get pieces that can do without.
        """
        first = self.nodes[0]
        if node is not first and not self._has_run(first):
            spare = (piece for piece in self.workqueue if piece.startswith(WITHOUT_ENGINE))
            if piece := next(spare, None):
                self.workqueue.move_to_end(piece, last=False)
        super()._assign_work_unit(node)

    def _has_run(self, node: Any) -> bool:
        """Whether a process has completed a test."""
        return any(any(piece.values()) for piece in self.assigned_work.get(node, {}).values())

    def _split_scope(self, nodeid: str) -> str:
        """Name of the piece that a test belongs to."""
        file = nodeid.partition("::")[0]
        if nodeid.startswith(ALONE):
            return nodeid
        if file.startswith("tests/why/"):
            return "tests/why/"
        return "cookbook" if file.endswith(("/test_examples.py", "/test_api.py",
                                            "/test_cookbook.py")) else file  # fmt: skip


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Use it, whatever ``--dist`` says."""
    return Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Pieces are handed out in this order."""

    def place(item: pytest.Item) -> int:
        early = (i for i, prefix in enumerate(EARLY) if item.nodeid.startswith(prefix))
        return next(early, len(EARLY))

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def one_process_compiles(request: pytest.FixtureRequest) -> None:
    """Of xdist's processes that find the engine not compiled one compiles it, the others wait."""
    if not hasattr(request.config, "workerinput"):
        return
    from engine import host, kernel

    plain = kernel.compile_kernels

    def alone(types: dict[str, Any], announce: Any) -> None:
        if all(entry.signatures for entry in kernel._ENTRIES):
            return
        with (kernel.CACHE_DIR / "tests.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            plain(types, announce)

    vars(host)["compile_kernels"] = alone
