"""What holds for all four commands: bad runs are one line and exit 2, interrupts are 130."""

import json
import os
import shutil
from pathlib import Path

import pytest

from fleet.cli.app import main
from fleet.errors import RunError
from fleet.log.disk import replace_file

COMMANDS = {
    "explain": ["explain", "RUN"],
    "show": ["show", "RUN", "--host", "0", "--at", "1m"],
    "trace": ["trace", "RUN", "--host", "0", "-o", "OUT"],
    "diff": ["diff", "RUN", "RUN"],
}


def argv(name: str, run: Path, out: Path) -> list[str]:
    places = {"RUN": str(run), "OUT": str(out)}
    return [places.get(word, word) for word in COMMANDS[name]]


@pytest.fixture
def own(aged_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(aged_run, tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("version", "events of schema version 99, this version reads"),
        ("interrupted", "interrupted run; --partial takes what is finished"),
        ("empty", "no replication is finished yet"),
        ("cut", "fleet verify says more"),
        ("gone", "no such run"),
    ],
)
def test_bad_runs_are_one_line(
    command: str, damage: str, reason: str, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extra = []
    if damage == "version":
        record = json.loads((own / "run.json").read_text())
        (own / "run.json").write_text(json.dumps({**record, "schema_version": 99}))
    elif damage in ("interrupted", "empty"):
        (own / "manifest.json").unlink()
        if damage == "empty":
            shutil.rmtree(own / "commits")
            extra = ["--partial"]
    elif damage == "cut":
        os.truncate(sorted(own.rglob("*.arrow"))[0], 99)
    else:
        shutil.rmtree(own)
    assert main([*argv(command, own, own.parent / "out.json"), *extra]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert reason in said.err
    assert not (own.parent / "out.json").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_the_finished_part_of_an_interrupted_run(
    command: str, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own / "manifest.json").unlink()
    for record in sorted((own / "commits").iterdir())[1:]:
        record.unlink()
    assert main([*argv(command, own, own.parent / "out.json"), "--partial"]) == 0
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_an_interrupt_is_130(
    command: str, aged_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fleet.why.source.Source.rows", interrupted)
    monkeypatch.setattr("fleet.why.source.Source.file_digests", interrupted)
    assert main(argv(command, aged_run, tmp_path / "out.json")) == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_file_that_was_there_stays_when_the_new_one_fails(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "map.svg"
    out.write_text("old")

    def fail(self: Path, data: bytes) -> None:
        with self.open("wb") as file:
            file.write(data[:1])
        raise error

    monkeypatch.setattr(Path, "write_bytes", fail)
    expected = RunError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        replace_file(out, b"new")
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]
