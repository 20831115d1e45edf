"""Runs are found by path, name, start of the name, or as the newest."""

import os
from pathlib import Path

import pytest

from fleet.errors import InputError
from fleet.log.find import find_run, is_run, list_runs
from fleet.log.folder import RunFolder
from tests.log.example import SCENARIO, identity, write_run


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    old = write_run(root)
    with RunFolder.open(root / "example-new", identity(seed=2), SCENARIO, resume=False) as folder:
        new = folder.path
    (root / "broken").mkdir()
    (root / "broken" / "run.json").write_text("{")
    (root / "notes.txt").write_text("not a run")
    for age, path in enumerate((new / "run.json", old / "manifest.json", root / "broken/run.json")):
        os.utime(path, ns=(0, 10**18 - age))
    return root


def test_runs_are_listed_newest_first(root: Path) -> None:
    found = list_runs(root)
    assert [run.state for run in found] == ["interrupted", "complete", "unreadable"]
    assert [run.units_done for run in found] == [0, 6, 0]
    assert found[1].rows > 1000
    assert list_runs(root / "absent") == []


def test_a_run_is_found(root: Path) -> None:
    name = identity().folder_name
    assert find_run(None, root).name == "example-new"
    assert find_run(name, root) == root / name
    assert find_run(str(root / name)) == root / name
    assert find_run(name[:10], root) == root / name
    assert is_run("example-new", root)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("example", "example: fits several runs: example-"),
        ("quickstart", "quickstart: no such run"),
        ("notes.txt", "notes.txt: no such run"),
        ("", "no such run"),
    ],
)
def test_a_run_is_not_found(root: Path, name: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        find_run(name, root)
    assert not is_run(name, root)


def test_no_runs_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no runs here yet; fleet simulate makes one"):
        find_run(None, tmp_path)
