"""What holds for every test, and the one run that several rooms look at."""

import signal
from pathlib import Path

import pytest

# A shell that starts the tests in the background has SIGINT ignored, and children inherit that:
# tests that interrupt a child would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

COOKBOOK = Path(__file__).resolve().parents[1] / "docs" / "cookbook.md"


@pytest.fixture(scope="session")
def cookbook_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run: the one that docs/cookbook.md asks."""
    from fleet.api.cookbook import make_run

    out = tmp_path_factory.mktemp("cookbook") / "runs" / "quickstart"
    return make_run(COOKBOOK.read_text(encoding="utf-8"), out).path
