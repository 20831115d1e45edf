"""Two runs that share nothing: what they gain, and what a failure says."""

from typing import Any

import pytest

from benchmarks import apart
from benchmarks.process_tree import Usage
from benchmarks.timing import Spread


def test_the_gain_is_of_twice_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    walls = iter([3.0, 4.0, 3.0, 3.0, 3.0, 6.0])
    counts: list[int] = []

    def wall_s(count: int, *_: Any) -> float:
        counts.append(count)
        return next(walls)

    monkeypatch.setattr(apart, "_wall_s", wall_s)
    assert apart.gain("arm", [], 3) == Spread(1.0, 1.5, 2.0)
    assert counts == [1, 2] * 3


def test_a_run_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = set()

    def fails(command: list[str], _: Any) -> Usage:
        folders.add(command[5])
        return Usage(exit_code=1, output="no such arm")

    monkeypatch.setattr(apart, "measure", fails)
    with pytest.raises(RuntimeError, match="no such arm"):
        apart._wall_s(2, "arm", ["hosts.total=1"])
    assert len(folders) == 2
