"""Bad input to every command (``bad_input.txt``): exit 2, one line on stderr, nothing written."""

import ast
import re
import shlex
import shutil
from pathlib import Path

import pytest

from fleet.cli.app import main
from tests.log.example import write_run
from tests.scenario.bad_inputs import Case, check_case

TABLE = Path(__file__).with_name("bad_input.txt")


def cases(section: str) -> list[Case]:
    """Return the cases of a section of the transcript."""
    text = TABLE.read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    found, files, typed = [], dict[str, str | bytes](), ""
    for line in text.splitlines():
        if line.startswith("+ "):
            name, content = line[2:].split(" ", 1)
            files[name] = ast.literal_eval(content)
        elif line.startswith("$ fleet "):
            typed = line.removeprefix("$ fleet ")
        elif typed:
            argv = [word.replace("\\n", "\n") for word in shlex.split(typed)]
            found.append(Case(typed, argv, line, files))
            files, typed = {}, ""
    return found


ALONE = cases("in an empty folder")
BESIDE_A_RUN = cases("beside a run")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small complete run."""
    return write_run(tmp_path_factory.mktemp("example"))


@pytest.mark.parametrize("case", ALONE, ids=lambda case: case.id)
def test_in_an_empty_folder(
    case: Case,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    check_case(case, tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("case", BESIDE_A_RUN, ids=lambda case: case.id)
def test_beside_a_run(
    case: Case,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(run, tmp_path / "runs" / run.name)
    check_case(case, tmp_path, monkeypatch, capsys)


def test_an_interrupted_run_is_refused_unless_partial(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(run, tmp_path / "runs" / run.name)
    (tmp_path / "runs" / run.name / "manifest.json").unlink()
    line = f"runs/{run.name}: interrupted run; --partial takes what is finished"
    check_case(Case("interrupted", ["query", "hang_rate"], line), tmp_path, monkeypatch, capsys)


def test_a_plan_larger_than_memory_is_refused_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", "quickstart", "--set", "hosts.total=90000000"]) == 2
    out, err = capsys.readouterr()
    assert re.fullmatch(r"plan: needs about [0-9.]+ GiB of memory, [0-9.]+ GiB are .*\n", err)
    assert (out, list(tmp_path.iterdir())) == ("", [])


def test_there_are_at_least_sixty_cases_all_different() -> None:
    typed = [(case.id, *case.files.items()) for case in ALONE + BESIDE_A_RUN]
    assert len(typed) >= 60
    assert len(set(typed)) == len(typed)
