"""The command line's shell: lazy imports, errors, exit codes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from fleet.cli import app as shell
from fleet.cli import policy
from fleet.cli.app import ENTRIES, main
from fleet.errors import FleetError, InputError

HEAVY = {"ray", "pyarrow", "duckdb", "numba", "numpy", "pydantic", "rich", "yaml", "scipy"}
ROOT = Path(__file__).resolve().parents[2]


def in_process(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *args],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )


def command(monkeypatch: pytest.MonkeyPatch, run: object) -> None:
    """Make ``fleet policy`` a single command that calls ``run``."""
    monkeypatch.delattr(policy, "app")
    monkeypatch.setattr(policy, "run", run, raising=False)


def test_help_lists_every_command_with_its_purpose(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for entry in ENTRIES:
        present = (ROOT / "fleet" / "cli" / f"{entry.module}.py").is_file()
        assert (f"{entry.name} {entry.purpose}" in out) == present


def test_no_arguments_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    asked = capsys.readouterr().out
    assert main([]) == 0
    assert capsys.readouterr().out == asked


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from fleet.cli.app import main; main(['--help']); "
        "print(sorted({m.split('.')[0] for m in sys.modules}), file=sys.stderr)"
    )
    done = in_process("-c", code)
    assert done.returncode == 0
    loaded = set(json.loads(done.stderr.replace("'", '"')))
    assert "typer" in loaded
    assert not loaded & HEAVY


def test_help_is_fast() -> None:
    """Promise: 0.2 s. Best of five, with a factor of four for a busy machine."""
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        assert in_process("-m", "fleet", "--help").returncode == 0
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.8


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "fleet 0.1.0\n"


@pytest.mark.parametrize("entry", shell._available(), ids=lambda e: e.name)
def test_every_command_loads_and_has_help(
    entry: shell.Entry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([entry.name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: fleet {entry.name} ")


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["polcy"], "fleet: No such command 'polcy'; did you mean 'policy'? (see 'fleet --help')"),
        (["--foo"], "fleet: No such option: --foo (see 'fleet --help')"),
        (["policy"], "fleet policy: Missing command (see 'fleet policy --help')"),
        (
            ["policy", "list", "--format", "xml"],
            "fleet policy list: Invalid value for '--format': 'xml' is not one of 'table', 'json'"
            " (see 'fleet policy list --help')",
        ),
    ],
)
def test_usage_errors_are_one_line(
    args: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(args) == 2
    captured = capsys.readouterr()
    assert captured.err == line + "\n"
    assert captured.out == ""


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("no such field", field="seed", where="a.yaml:3:1"), 2, "a.yaml:3:1 seed: no"),
        (FleetError("2 files differ"), 1, "2 files differ"),
        (FileNotFoundError(2, "No such file", "x.csv"), 1, "x.csv: No such file"),
        (ZeroDivisionError("a\nb"), 1, "fleet: unexpected ZeroDivisionError: a b (FLEET_DEBUG=1"),
        (typer.BadParameter("not\nthat"), 2, "fleet policy: Invalid value: not that (see"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(
    error: Exception,
    code: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run() -> None:
        raise error

    command(monkeypatch, run)
    monkeypatch.delenv("FLEET_DEBUG", raising=False)
    assert main(["policy"]) == code
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith(line)
    monkeypatch.setenv("FLEET_DEBUG", "1")
    assert main(["policy"]) == code
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> None:
        raise KeyboardInterrupt

    command(monkeypatch, run)
    assert main(["policy"]) == 130


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (1, 1)])
def test_a_returned_int_is_the_exit_code(
    result: int | None, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(monkeypatch, lambda: result)
    assert main(["policy"]) == code


def test_typer_exit_is_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> None:
        raise typer.Exit(3)

    command(monkeypatch, run)
    assert main(["policy"]) == 3


def test_a_closed_pipe_is_quiet() -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m fleet policy list | true"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""


@pytest.mark.parametrize("name", ["engine.py", "policies.py", "queries/__init__.py"])
def test_a_folder_with_modules_of_our_names_is_refused(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("raise SystemExit('imported the wrong module')\n")
    monkeypatch.chdir(tmp_path)
    assert main(["policy", "list"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"{tmp_path / name}: would be imported instead of")
    assert captured.err.count("\n") == 1


def test_a_folder_named_like_a_package_without_python_is_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "mine.sql").write_text("select 1")
    monkeypatch.chdir(tmp_path)
    assert main(["policy", "list"]) == 0
