"""What holds for every test, and the one run that several rooms look at."""

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

EARLY = ("tests/why/", "tests/run/", "tests/report/")
"""Folders that take longest, so that none of them is left for the end."""
COOKBOOK = Path(__file__).resolve().parents[1] / "docs" / "cookbook.md"


@pytest.fixture(scope="session")
def cookbook_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run: the one that docs/cookbook.md asks."""
    from fleet.api.cookbook import make_run

    out = tmp_path_factory.mktemp("cookbook") / "runs" / "quickstart"
    return make_run(COOKBOOK.read_text(encoding="utf-8"), out).path


class Together(LoadScopeScheduling):  # type: ignore[misc]
    """Hands tests to processes file by file, so that what a file shares is made once.

    ``tests/why`` and those who ask the cookbook's run are each one piece; a sequence of commands
    shares nothing. (xdist's own groups are lost with pytest 9.2, which keeps node ids elsewhere.)
    """

    def _split_scope(self, nodeid: str) -> str:
        """Name of the piece that a test belongs to."""
        file = nodeid.partition("::")[0]
        if file.endswith("/test_state_machine.py"):
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
    items.sort(key=lambda item: not item.nodeid.startswith(EARLY))
