# ruff: noqa: ARG001 (fixtures that change the working folder)
"""The commands over runs: results on stdout, talk on stderr, one line and exit 2 for bad input."""

import csv
import io
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fleet.cli.app import main
from fleet.log.folder import RunFolder
from tests.log.example import ARMS, SCENARIO, identity, make_units, restored, write_run, write_unit

RUN = identity().folder_name


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("place")
    write_run(root / "runs")
    return root


@pytest.fixture
def place(original: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand where ``runs/`` holds the finished example."""
    monkeypatch.chdir(original)
    return original


@pytest.fixture
def own_place(original: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stand in the same place, and leave it as it was."""
    monkeypatch.chdir(original)
    before = set((original / "runs").iterdir())
    with restored(original / "runs"):
        yield original
    for extra in set((original / "runs").iterdir()) - before:
        shutil.rmtree(extra)


class Talk:
    """Runs a command; keeps exit code, stdout and stderr."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *argv: str) -> tuple[int, str, str]:
        code = main(argv)
        out, err = self._capsys.readouterr()
        return code, out, err


@pytest.fixture
def fleet(capsys: pytest.CaptureFixture[str]) -> Talk:
    return Talk(capsys)


def test_query_without_a_name_lists_them(place: Path, fleet: Talk) -> None:
    code, out, err = fleet("query")
    assert (code, err) == (0, "")
    assert "hang_rate" in out
    assert "Which share of the requests hung, per arm?" in out


@pytest.mark.parametrize("words", [("hang_rate",), (RUN, "hang_rate"), (f"runs/{RUN}", "hang_rate"),
                                   (RUN[:9], "hang_rate")])  # fmt: skip
def test_query_answers_in_three_formats(place: Path, fleet: Talk, words: tuple[str, ...]) -> None:
    code, out, err = fleet("query", *words, "--param", "kind=probe", "--format", "json")
    assert (code, err) == (0, "")
    rows = json.loads(out)
    assert [row["arm"] for row in rows] == list(ARMS)
    assert [row["requests"] for row in rows] == [60, 60, 60]
    _, text, _ = fleet("query", *words, "--param", "kind=probe", "--format", "csv")
    read = list(csv.DictReader(io.StringIO(text)))
    assert [{k: str(v) for k, v in row.items()} for row in rows] == read
    _, table, _ = fleet("query", *words, "--param", "kind=probe")
    assert table.splitlines()[1].split() == ["arm", "count", "count", "share", "share", "share"]
    assert all(arm in table for arm in ARMS)


def test_sql_takes_a_statement(place: Path, fleet: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    sql = "SELECT arm, sum(pages) AS pages FROM migrations GROUP BY arm ORDER BY arm"
    code, out, _ = fleet("sql", sql, "--format", "json")
    rows = json.loads(out)
    assert code == 0
    assert [row["arm"] for row in rows] == sorted(ARMS)
    assert all(isinstance(row["pages"], int) for row in rows), "decimals become integers"
    assert json.loads(fleet("sql", RUN, sql, "--format", "json")[1]) == rows
    for words in ((), (RUN,)):
        monkeypatch.setattr("sys.stdin", io.StringIO(sql))
        assert json.loads(fleet("sql", *words, "--format", "json")[1]) == rows


def test_json_has_no_nan_and_spells_what_it_can_not_hold(place: Path, fleet: Talk) -> None:
    sql = "SELECT 1/0 AS inf, DATE '2026-11-23' AS day, [1, NULL] AS list, 1.5::DECIMAL(3,1) AS d"
    _, out, _ = fleet("sql", sql, "--format", "json")
    assert json.loads(out) == [{"inf": None, "day": "2026-11-23", "list": [1, None], "d": 1.5}]
    assert fleet("sql", "SELECT 1 WHERE false", "--format", "json")[1] == "[]\n"


def test_a_long_table_says_that_it_is_cut(place: Path, fleet: Talk) -> None:
    code, out, err = fleet("sql", "SELECT range AS n FROM range(1000)")
    assert code == 0
    assert len(out.splitlines()) == 102
    assert err == "100 of 1,000 rows; --format csv or json has all\n"
    assert len(fleet("sql", "SELECT range AS n FROM range(1000)", "--format", "csv")[1]) > 2000


def test_schema_describes_every_column(place: Path, fleet: Talk) -> None:
    code, out, _ = fleet("schema", "--format", "json")
    rows = json.loads(out)
    assert code == 0
    assert {"hosts", "commands", "(every table)"} <= {row["table"] for row in rows}
    counted = json.loads(fleet("schema", RUN, "--format", "json")[1])
    assert {row["rows"] for row in counted if row["table"] == "hosts"} == {36}


def test_export_writes_parquet(place: Path, fleet: Talk, tmp_path: Path) -> None:
    target = tmp_path / "out"
    code, out, err = fleet("export", "--parquet", str(target))
    assert (code, out) == (0, "")
    assert "36 rows" in err
    table = pq.read_table(target / "hosts.parquet")
    assert table.num_rows == 36
    assert table.column_names[-3:] == ["arm", "rep", "shard"]
    assert sorted(path.stem for path in target.iterdir()) == sorted(
        {row["table"] for row in json.loads(fleet("schema", "--format", "json")[1])}
        - {"(every table)"}
    )


def test_report_prints_verdict_and_arms(place: Path, fleet: Talk) -> None:
    code, out, err = fleet("report")
    assert (code, err) == (0, "")
    assert "Not decided: linux-5.13+unbounded has fewest, 7 of 60 probes against 19 under" in out
    assert "A  pin-in-place+unbounded  (baseline)" in out
    document = json.loads(fleet("report", RUN, "--format", "json")[1])
    assert document["verdict"] in out
    assert document["arms"] == list(ARMS)


def test_report_of_two_runs(own_place: Path, fleet: Talk) -> None:
    write_run(own_place / "runs", name="other")
    other = identity(name="other").folder_name
    code, out, _ = fleet("report", RUN, other, "--format", "json")
    assert code == 0
    assert len(json.loads(out)["arms"]) == 6


def test_runs_lists_what_there_is(place: Path, fleet: Talk, tmp_path: Path) -> None:
    code, out, _ = fleet("runs", "--format", "json")
    (row,) = json.loads(out)
    assert code == 0
    assert (row["run"], row["state"], row["arms"], row["units_done"]) == (RUN, "complete", 3, 6)
    code, out, err = fleet("runs", str(tmp_path))
    assert (code, out) == (0, "")
    assert "fleet simulate makes one" in err


def test_verify_is_quiet_about_a_whole_run(place: Path, fleet: Talk) -> None:
    code, out, err = fleet("verify")
    assert (code, out) == (0, "")
    assert "complete, 6 units" in err
    assert err.endswith(": no problems\n")


def test_verify_names_damage(own_place: Path, fleet: Talk) -> None:
    victim = sorted(own_place.rglob("*.arrow"))[4]
    data = bytearray(victim.read_bytes())
    data[1000] ^= 4
    victim.write_bytes(data)
    code, out, err = fleet("verify", RUN)
    assert code == 1
    assert out == f"{victim.relative_to(own_place)}: sha256 differs: its bytes were changed\n"
    assert err.endswith(": 1 problem\n")


def test_verify_names_contradictions(own_place: Path, fleet: Talk) -> None:
    units = make_units()
    units[ARMS[1], 1]["requests"][7]["attempts"] += 1
    path = write_run(own_place / "runs", units, name="odd")
    code, out, _ = fleet("verify", str(path))
    assert code == 1
    told = f"{ARMS[1]}/1: not so: a request counts its attempts (1 rows, first 7)"
    assert out == f"{path}: {told}\n"


def test_interrupted_runs_are_announced(own_place: Path, fleet: Talk) -> None:
    path, units = own_place / "runs" / "half", make_units()
    with RunFolder.open(path, identity(seed=5), SCENARIO, resume=False) as folder:
        for arm, rep in folder.missing[:2]:
            write_unit(folder, arm, rep, units[arm, rep])
    code, out, err = fleet("query", "half", "outcomes")
    assert (code, out) == (2, "")
    assert err == "runs/half: interrupted run; --partial takes what is finished\n"
    code, out, err = fleet("query", "half", "outcomes", "--partial", "--format", "json")
    assert (code, err) == (0, "runs/half: interrupted, 2 of 6 units\n")
    assert [row["requests"] for row in json.loads(out)] == [80, 0, 0]
    assert fleet("report", "half")[0] == 2
    code, out, err = fleet("verify", "half")
    assert (code, out) == (0, "")
    assert "interrupted, 2 units" in err


def test_report_refuses_unpaired_arms(own_place: Path, fleet: Talk) -> None:
    units = make_units()
    del units[ARMS[0], 0]["requests"][39]
    path = write_run(own_place / "runs", units, name="odd")
    code, out, err = fleet("report", str(path))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "the arms did not get the same demands" in err


BAD = [
    (("query", "hang_rat"), "no query 'hang_rat'; did you mean hang_rate?"),
    (("query", "nope", "hang_rate"), "nope: no such run, nor one under runs/"),
    (("query", "a", "b", "c"), "fleet query: expected [RUN] [NAME], got 3 words"),
    (("query", "hang_rate", "--param", "kind"), "--param: 'kind' is not name=value"),
    (("query", "hang_rate", "--param", "kind=x"), "parameter kind: 'x' is not one of all, removal"),
    (("query", "hang_rate", "--param", "n=1"), "hang_rate: no parameter 'n'; it has kind"),
    (("query", "hang_rate", "--format", "xml"), "--format: 'xml' is not one of table, csv, json"),
    (("query", "fleet_timeline", "--param", "step_ns=-1"), "step_ns: must lie between 1 and"),
    (("sql", "SELECT nope FROM pins"), 'sql:1:8 Referenced column "nope" not found'),
    (("sql", "SELEC 1"), 'sql:1:1 syntax error at or near "SELEC"'),
    (("sql", "SELECT 1; SELECT 2"), "sql: one statement expected, 2 given"),
    (("sql", "SELECT", "1", "2"), "fleet sql: expected [RUN] [SQL]; quote the statement"),
    (("sql", "nope", "SELECT 1"), "nope: no such run"),
    (("sql", "COPY pins TO 'x.csv'"), "sql: only queries are run here, not COPY"),
    (("sql", "SELECT * FROM 'runs/x.csv'"), "sql"),
    (("schema", "nope"), "nope: no such run"),
    (("schema", "--format", "yaml"), "--format: 'yaml' is not one of"),
    (("export", "--parquet", "runs"), "runs: exists and is not an empty folder"),
    (("export", "nope", "--parquet", "new"), "nope: no such run"),
    (("report", "nope"), "nope: no such run"),
    (("report", RUN, RUN), "the same run folder name twice"),
    (("report", "--format", "csv"), "--format: 'csv' is not one of table, json"),
    (("verify", "nope"), "nope: no such run"),
    (("runs", "--format", "x"), "--format: 'x' is not one of table, csv, json"),
]


@pytest.mark.parametrize(("argv", "reason"), BAD, ids=[" ".join(argv) for argv, _ in BAD])
def test_bad_input_is_one_line(
    place: Path, fleet: Talk, argv: tuple[str, ...], reason: str
) -> None:
    code, out, err = fleet(*argv)
    assert (code, out) == (2, "")
    assert reason in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert not Path("new").exists()


@pytest.mark.parametrize("command", [("query", "hang_rate"), ("sql", "SELECT 1"), ("report",),
                                     ("verify",), ("export", "--parquet", "new")])  # fmt: skip
def test_no_runs_yet(
    tmp_path: Path, fleet: Talk, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = fleet(*command)
    assert (code, out, err) == (2, "", "runs/: no runs here yet; fleet simulate makes one\n")


@pytest.mark.parametrize("command", [("query", "hang_rate"), ("report",), ("sql", "SELECT 1"),
                                     ("schema", RUN)])  # fmt: skip
@pytest.mark.parametrize("damage", ["cut", "gone", "manifest", "run"])
def test_damaged_runs_are_one_line(
    own_place: Path, fleet: Talk, command: tuple[str, ...], damage: str
) -> None:
    victim = sorted(own_place.rglob("*.arrow"))[0]
    if damage == "cut":
        os.truncate(victim, 99)
    elif damage == "gone":
        victim.unlink()
    else:
        (own_place / "runs" / RUN / f"{damage}.json").write_text("{]")
    code, out, err = fleet(*command)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "fleet verify says more" in err
    assert fleet("verify")[0] == 1


def test_export_to_a_place_that_can_not_be_written(place: Path, fleet: Talk) -> None:
    code, out, err = fleet("export", "--parquet", "/proc/fleet")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("/proc/fleet/hosts.parquet: cannot write: ")


def test_rows_too_wide_for_a_terminal_become_lines(
    place: Path, fleet: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    _, out, _ = fleet("sql", "SELECT * FROM hosts ORDER BY arm, rep, host LIMIT 2")
    lines = [re.sub(r"\x1b\[\d*m", "", line).split() for line in out.splitlines()]
    assert [line[-2:] for line in lines if line[:1] != ["row"]][:2] == [
        ["host", "0"], ["name", "host-0"]
    ]  # fmt: skip
    assert len(lines) == 2 * (1 + 11)
    _, out, _ = fleet("sql", "SELECT host FROM hosts ORDER BY arm, rep, host LIMIT 2")
    assert len(out.splitlines()) == 4
