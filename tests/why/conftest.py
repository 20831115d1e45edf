"""One run of small aged hosts under several arms, for all tests of this folder."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.run.progress import Talk
from fleet.run.runner import Settings, simulate
from fleet.scenario.load import load_scenario
from fleet.why.source import Source, open_source

REBOOTS = (
    "watchdog.mechanism=reboot", "watchdog.timeout=10s", "watchdog.boot=[5s,20s]",
    "removals.before_reboot=true", "removals.blocks=2",
)  # fmt: skip


@pytest.fixture(autouse=True, scope="session")
def no_fsync() -> Iterator[None]:
    """Durability can not be seen by a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)  # noqa: ARG005
        yield


def run(out: Path, *sets: str, scenario: str = "aged") -> Path:
    """Run a scenario of this folder."""
    file = str(Path(__file__).parent / f"{scenario}.yaml")
    with Talk(quiet=True) as talk:
        simulate(load_scenario(file, sets), Settings(out=out, inline=True), talk)
    return out


def incidents(source: Source, arm: str, kind: str) -> list[dict[str, Any]]:
    """The incidents of a kind, by time."""
    rows: list[dict[str, Any]] = source.rows("incidents", arm, 0, kind=kind).to_pylist()
    return rows


@pytest.fixture(scope="session")
def aged_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Probes and single blocks asked back, no watchdog."""
    return run(tmp_path_factory.mktemp("why") / "aged")


@pytest.fixture(scope="session")
def reboot_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ranges removed before reboots, under a watchdog."""
    return run(tmp_path_factory.mktemp("why") / "reboots", *REBOOTS)


@pytest.fixture
def aged(aged_run: Path) -> Source:
    return open_source(aged_run)


@pytest.fixture
def reboots(reboot_run: Path) -> Source:
    return open_source(reboot_run)
