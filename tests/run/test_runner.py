"""Whole runs: folders, interrupts, resuming, the command itself."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from fleet.api import open_run
from fleet.cli.app import main
from fleet.errors import InputError, PromiseError
from fleet.log.verify import verify_run
from fleet.plan.build import Inputs, build_plan, read_inputs
from fleet.run.progress import Talk, clock
from fleet.run.runner import Finished, Settings, _compile, identity_of, simulate
from fleet.run.unit import run_unit
from fleet.scenario.load import load_scenario
from fleet.scenario.scenario import Scenario

TINY = str(Path(__file__).parent / "tiny.yaml")
CHILD = """
import sys
from pathlib import Path
from fleet.cli import simulate as command
from fleet.run import runner
plain = runner.Settings
def settings(*args):
    return plain(*args, engine="reference")
runner.Settings = settings
runner.code_digest = lambda: "this code"
from fleet.cli.app import main
sys.exit(main(sys.argv[1:]))
"""
"""The command on the reference engine: it does not wait for a compiler, and is slow enough to be
stopped in its midst. Runs of the tests' own process are on the fast one; both write the same."""


def run_tiny(out: Path, *sets: str, **settings: Any) -> Finished:
    known = {"inline": True, **settings}
    with Talk(quiet=True) as talk:
        return simulate(load_scenario(TINY, sets), Settings(out=out, **known), talk)


def digest(run: Path) -> str:
    return str(json.loads((run / "manifest.json").read_text())["content_digest"])


@pytest.fixture(scope="module", autouse=True)
def _same_code() -> Iterator[None]:
    """Runs of this process and of children are the same run, even while sources are edited."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fleet.run.runner.code_digest", lambda: "this code")
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    run_tiny(out)
    return out


def test_a_run_is_complete_and_verified(whole: Path) -> None:
    found = verify_run(whole)
    assert found.complete
    assert found.problems == ()
    assert (found.units, found.rows > 300) == (2, True)


def test_the_manifest_remembers_what_the_workloads_come_to(whole: Path) -> None:
    plan = build_plan(load_scenario(TINY))
    said = json.loads((whole / "manifest.json").read_text())["provenance"]
    assert plan.steady is not None
    assert said == {"steady": asdict(plan.steady)}


def test_inputs_are_read_once_for_all_replications(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(scenario: Scenario) -> Inputs:
        read.append(scenario.name)
        return read_inputs(scenario)

    monkeypatch.setattr("fleet.run.runner.read_inputs", counted)
    monkeypatch.setattr("fleet.plan.build.read_inputs", counted)
    run_tiny(tmp_path / "run", "replications=2")
    assert len(read) == 1


def test_rows_do_not_contradict_each_other(whole: Path) -> None:
    from queries.catalog import Catalog
    from queries.shipped import find

    assert find("conservation").run(Catalog.open([whole])).to_pylist() == []
    rates = find("hang_rate").run(Catalog.open([whole])).to_pylist()
    assert [row["requests"] for row in rates] == [12, 12]


def test_the_same_command_again_says_so(whole: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in whole.rglob("*") if p.is_file()}
    again = run_tiny(whole)
    assert again.was_complete
    assert sum(t.requests for t in again.tallies.values()) == 24
    assert {p: p.stat().st_mtime_ns for p in whole.rglob("*") if p.is_file()} == before


def test_executor_settings_are_not_part_of_the_run(whole: Path, tmp_path: Path) -> None:
    same = run_tiny(tmp_path / "run", "executor.window=250ms")
    assert digest(same.path) == digest(whole)


def test_another_seed_is_another_run(whole: Path) -> None:
    with pytest.raises(InputError, match="holds another run"):
        run_tiny(whole, "seed=6")
    identities = {identity_of(load_scenario(TINY, sets)).run_hash for sets in ([], ["seed=6"])}
    assert len(identities) == 2


def start(out: Path, *options: str) -> subprocess.Popen[str]:
    """Start the command in a process of its own, in its own group."""
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, "simulate", TINY, "--out", str(out), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_commit(run: Path, process: subprocess.Popen[str]) -> None:
    """Wait until the first unit is committed."""
    end_s = time.monotonic() + 600  # beside other work it may take long
    while not list((run / "commits").glob("[!.]*.json")):
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < end_s
        time.sleep(0.01)


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    process = start(tmp_path / "run", "--inline")
    try:
        yield tmp_path / "run", process
    finally:
        process.kill()
        process.communicate()


def test_sigkill_and_resume_equal_an_uninterrupted_run(
    killed: tuple[Path, subprocess.Popen[str]], whole: Path
) -> None:
    out, process = killed
    wait_for_commit(out, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "manifest.json").exists()
    with pytest.raises(InputError, match="--resume"):
        run_tiny(out)
    first = next((out / "commits").glob("[!.]*.json"))
    kept_ns = first.stat().st_mtime_ns
    (out / "events" / "torn.arrow").write_bytes(b"half")
    run_tiny(out, resume=True)
    assert first.stat().st_mtime_ns == kept_ns, "finished units are not run again"
    assert digest(out) == digest(whole)
    assert verify_run(out).problems == ()


@pytest.mark.slow
def test_sigint_is_130_and_resumable(
    killed: tuple[Path, subprocess.Popen[str]], whole: Path
) -> None:
    out, process = killed
    wait_for_commit(out, process)
    process.send_signal(signal.SIGINT)
    said, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in told
    assert said == ""
    run_tiny(out, resume=True)
    assert digest(out) == digest(whole)


@pytest.mark.slow
@pytest.mark.ray
def test_an_interrupt_leaves_no_process(tmp_path: Path, whole: Path) -> None:
    process = start(tmp_path / "run", "--actors", "2")
    try:
        wait_for_commit(tmp_path / "run", process)
        os.killpg(process.pid, signal.SIGINT)
        said, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, told
    assert said == ""
    assert "Traceback" not in told
    assert all(line.startswith(("an actor was lost", "pin", "linux")) for line in told.splitlines())
    time.sleep(3)
    assert _members(process.pid) == [], "processes of the command's session are left"
    run_tiny(tmp_path / "run", resume=True)
    assert digest(tmp_path / "run") == digest(whole)


def _members(session: int) -> list[str]:
    """Command lines of the processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append((stat.parent / "cmdline").read_text().replace("\0", " "))
        except (OSError, ProcessLookupError):
            continue
    return found


def test_replications_differ_and_share_demands_across_arms(tmp_path: Path) -> None:
    finished = run_tiny(tmp_path / "run", "replications=2", "horizon=1m")
    events = tmp_path / "run" / "events" / "workloads"
    arms = sorted(p.name for p in events.iterdir())
    assert len(finished.tallies) == 4
    assert len(arms) == 2
    counts = {key: tally.workloads for key, tally in finished.tallies.items()}
    first, second = (arm for arm, rep in finished.tallies if rep == 0)
    assert counts[first, 0] == counts[second, 0]
    assert counts[first, 1] == counts[second, 1]


def test_the_summary_counts_what_the_queries_count(tmp_path: Path) -> None:
    """Of pins that failed more than once for one workload, too, which it is started again for."""
    arm = "linux-5.13+unbounded@movable-75"
    finished = run_tiny(tmp_path / "run", f"arms=[{arm}]", "workloads.commitment=70%")
    run = open_run(finished.path)
    (tally,) = finished.tallies.values()
    (guard,) = run.query("guardrails").arrow().to_pylist()
    assert (tally.pin_failures, tally.oom_kills) == (guard["pin_failures"], guard["oom_kills"])
    failed = "SELECT count(*) AS n FROM workloads WHERE pin_errno <> 0"
    (row,) = run.sql(failed).arrow().to_pylist()
    assert tally.pin_failures > row["n"]
    (cost,) = run.query("migration_cost").arrow().to_pylist()
    assert 4096 * tally.pin_pages == cost["pin_bytes"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--actors", "2", "--hosts-per-actor", "1"], "--hosts-per-actor: give either"),
        (["--inline", "--actors", "2"], "--actors: does not go with --inline"),
        (["--inline", "--address", "x"], "--address: does not go with --inline"),
        (["--arms", "kernel+nonsense"], "--arms"),
        (["--seed", "-1"], "--seed"),
        (["--replications", "0"], "--replications"),
        (["--set", "hosts.classes[0].count=100000000"], "memory"),
        (["--out", "/proc/no"], "/proc/no"),
    ],
)
def test_bad_options_are_one_line(
    options: list[str], line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = [] if "--out" in options else ["--out", str(tmp_path / "run")]
    assert main(["simulate", TINY, *out, *options]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert line in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_dry_run_says_sizes_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", TINY, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert [line.split("  ")[0] for line in said.splitlines()] == [
        "hosts", "workloads", "commitment", "arrivals", "CPUs", "short references", "requests",
        "arms x replications", "memory", "time",
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_its_own_engine_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "engine.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", TINY]) == 2
    assert "engine.py" in capsys.readouterr().err


def test_clock() -> None:
    assert clock(61 * 10**9) == "1m01s"
    assert clock(86_400 * 10**9) == "24h00m"


def test_kernels_are_loaded_where_hosts_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []
    monkeypatch.setattr("engine.host.compile_ahead", lambda _: loads.append("here"))
    monkeypatch.setattr("engine.kernel.CACHE_DIR", tmp_path)
    with Talk(quiet=True) as talk:
        _compile(Settings(actors=2), talk)
        assert loads == ["here"], "nothing was compiled before"
        _compile(Settings(actors=2), talk)
        assert loads == ["here"]
        _compile(Settings(inline=True), talk)
    assert loads == ["here", "here"]


def test_a_broken_promise_repeats_the_unit(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the first attempt wrote is written again."""
    tries: list[str] = []
    begun: list[str] = []
    plain = Talk.unit

    def unit(talk: Talk, label: str, *size: int) -> None:
        begun.append(label)
        plain(talk, label, *size)

    monkeypatch.setattr(Talk, "unit", unit)

    def twice(*arguments: Any) -> Any:
        found = run_unit(*arguments)
        tries.append("whole")
        if len(tries) == 1:
            raise PromiseError("host 3 has news from commands that could wait")
        return found

    monkeypatch.setattr("fleet.run.runner.run_unit", twice)
    run = run_tiny(tmp_path / "run").path
    assert digest(run) == digest(whole)
    assert verify_run(run).problems == ()
    said = "host 3 has news from commands that could wait; repeating"
    assert capsys.readouterr().err.count(said) == 1
    first, second = begun[:2]
    assert first == second, "progress begins anew"
    assert len(begun) == len(tries)
