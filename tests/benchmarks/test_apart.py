"""Two runs that share nothing: what they gain, and what a failure says."""

from typing import Any

import pytest

from benchmarks import apart, fleet_stages
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


def test_runs_write_to_folders_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    outs: list[str] = []

    def notes(command: list[str], _: Any) -> Usage:
        outs.append(command[5])
        return Usage()

    monkeypatch.setattr(fleet_stages, "measure", notes)
    assert apart._wall_s(2, "arm", ["hosts.total=1"]) > 0
    assert len(set(outs)) == len(outs) == 2


def test_a_run_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_stages, "measure", lambda *_: Usage(exit_code=1, output="no arm"))
    with pytest.raises(RuntimeError, match="no arm"):
        apart._wall_s(2, "arm", ["hosts.total=1"])
