"""The catalog trusts records alone, shuts users' SQL in, and fails in one line."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from fleet.log.folder import RunFolder
from fleet.log.tables import SCHEMAS
from queries.catalog import SCHEMA_VERSION, Catalog, QueryError, one_line
from tests.log.example import ARMS, SCENARIO, identity, make_units, restored, write_run, write_unit

UNITS = make_units()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def run(original: Path) -> Iterator[Path]:
    with restored(original):
        yield original


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "half"
    with RunFolder.open(path, identity(), SCENARIO, resume=False) as folder:
        for arm, rep in folder.missing[:3]:
            write_unit(folder, arm, rep, UNITS[arm, rep])
    return path


def test_views_have_every_row_and_its_partition(original: Path) -> None:
    catalog = Catalog.open([original])
    for table in SCHEMAS:
        rows = catalog.query(f"SELECT * FROM {table}").to_pylist()
        expected = [
            row | {"arm": arm, "rep": rep}
            for (arm, rep), unit in UNITS.items()
            for row in sorted(unit[table], key=lambda row: row["shard"])
        ]
        assert rows == expected
        assert catalog.rows(table).to_pylist() == expected
        assert catalog.count(table) == len(expected)


def test_order_of_arms_is_the_scenarios(original: Path) -> None:
    catalog = Catalog.open([original])
    assert catalog.arms == ARMS
    rows = catalog.query("SELECT arm FROM arms ORDER BY position")
    assert rows["arm"].to_pylist() == list(ARMS)
    assert catalog.query("SELECT count(*) AS n FROM units")["n"].to_pylist() == [6]


def test_stray_files_do_not_enter(run: Path) -> None:
    before = Catalog.open([run]).query("SELECT count(*) AS n FROM pins")
    first = sorted((run / "events/pins").rglob("*.arrow"))[0]
    shutil.copy(first, first.with_name("part-00009.arrow"))
    assert Catalog.open([run]).query("SELECT count(*) AS n FROM pins").equals(before)


def test_tables_without_rows_are_there(tmp_path: Path) -> None:
    units = {key: {**unit, "pins": [], "migrations": []} for key, unit in UNITS.items()}
    catalog = Catalog.open([write_run(tmp_path, units)])
    assert not list(tmp_path.rglob("events/pins/**/*.arrow"))
    assert catalog.query("SELECT * FROM pins").num_rows == 0
    names = catalog.query("SELECT * FROM pins").column_names
    assert names == [*SCHEMAS["pins"].names, "arm", "rep", "shard"]


def test_an_interrupted_run_needs_to_be_asked_for(interrupted: Path) -> None:
    with pytest.raises(QueryError, match="half: interrupted run; --partial takes what is finished"):
        Catalog.open([interrupted])
    catalog = Catalog.open([interrupted], partial=True)
    assert not catalog.runs[0].complete
    found = catalog.query("SELECT DISTINCT arm, rep FROM requests ORDER BY arm DESC, rep")
    assert found.to_pylist() == [{"arm": ARMS[0], "rep": 0}, {"arm": ARMS[0], "rep": 1},
                                 {"arm": ARMS[1], "rep": 0}]  # fmt: skip


def test_several_runs_side_by_side(tmp_path: Path) -> None:
    one, two = write_run(tmp_path), write_run(tmp_path, name="other")
    catalog = Catalog.open([one, two])
    assert catalog.arms == tuple(f"{path.name}:{arm}" for path in (one, two) for arm in ARMS)
    counts = catalog.query("SELECT arm, count(*) AS n FROM hosts GROUP BY arm")["n"].to_pylist()
    assert counts == [12] * 6
    with pytest.raises(QueryError, match="same run folder name twice"):
        Catalog.open([one, one])


@pytest.mark.parametrize("name", ["run.json", "manifest.json"])
@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"schema_version": 1}', "\x00"])
def test_broken_records_are_one_line(run: Path, name: str, text: str) -> None:
    (run / name).write_text(text)
    with pytest.raises(QueryError, match=str(run)) as caught:
        Catalog.open([run])
    assert "\n" not in str(caught.value)


def test_other_schema_versions_are_refused(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    record["schema_version"] = SCHEMA_VERSION + 1
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(
        QueryError,
        match=f"schema version {SCHEMA_VERSION + 1}, this version reads {SCHEMA_VERSION}",
    ):
        Catalog.open([run])


def test_missing_and_cut_files_are_refused(run: Path) -> None:
    victim = sorted(run.rglob("*.arrow"))[2]
    os.truncate(victim, 100)
    with pytest.raises(QueryError, match=r"100 bytes, recorded .*; fleet verify says more"):
        Catalog.open([run])
    victim.unlink()
    with pytest.raises(QueryError, match="No such file or directory; fleet verify says more"):
        Catalog.open([run])


def test_a_file_of_the_right_size_but_wrong_bytes_is_one_line(run: Path) -> None:
    victim = sorted((run / "events/pins").rglob("*.arrow"))[0]
    victim.write_bytes(b"x" * victim.stat().st_size)
    with pytest.raises(QueryError) as caught:
        Catalog.open([run]).query("SELECT sum(pages) FROM migrations, pins WHERE pins.pin > 0")
    assert "\n" not in str(caught.value)


def test_no_run_there(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="no run here"):
        Catalog.open([tmp_path])


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT nope FROM pins", r"sql:1:8 Referenced column .nope. not found"),
        ("SELECT *\nFROM nope", r"sql:2:6 Table with name nope does not exist"),
        ("SELEC 1", r"sql:1:1 syntax error at or near .SELEC."),
        ("SELECT 'a'::INT", r"sql:1:11 Could not convert string 'a' to INT32"),
        ("SELECT $x", r"sql: .*parameter"),
        ("", "sql: one statement expected, 0 given"),
        ("SELECT 1; SELECT 2", "sql: one statement expected, 2 given"),
        ("CREATE TABLE t (i INT)", "sql: only queries are run here, not CREATE"),
        ("COPY pins TO '/tmp/stolen.csv'", "sql: only queries are run here, not COPY"),
        ("SET enable_external_access = true", "sql: only queries are run here, not SET"),
        ("SELECT * FROM read_csv('/etc/passwd')", "Cannot access file"),
        ("SELECT * FROM '/etc/passwd'", "disabled|does not exist"),
        ("SELECT * FROM SCHEMAS", "does not exist"),
    ],
)
def test_users_sql_is_shut_in(original: Path, sql: str, reason: str) -> None:
    catalog = Catalog.open([original])
    with pytest.raises(QueryError, match=reason) as caught:
        catalog.query(sql)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "sql",
    [
        "COPY pins TO '/tmp/stolen.csv'", "ATTACH '/tmp/stolen.db'", "INSTALL httpfs",
        "LOAD httpfs", "SET enable_external_access = true", "SET lock_configuration = false",
        "SET threads = 1", "PRAGMA threads = 1", "RESET enable_external_access",
    ],
)  # fmt: skip
def test_connection_is_shut_even_without_that_check(original: Path, sql: str) -> None:
    connection = Catalog.open([original])._connect(None)
    with pytest.raises(duckdb.Error, match=r"locked|disabled|Cannot change"):
        connection.execute(sql)
    connection.close()
    assert not Path("/tmp/stolen.csv").exists()
    assert not Path("/tmp/stolen.db").exists()


@pytest.mark.parametrize(
    "sql", ["FROM hosts", "DESCRIBE pins", "SUMMARIZE hosts", "EXPLAIN SELECT 1", "SHOW TABLES",
            "PIVOT hosts ON class USING count(*)", "VALUES (1)"]
)  # fmt: skip
def test_all_kinds_of_queries_are_answered(original: Path, sql: str) -> None:
    assert Catalog.open([original]).query(sql).num_rows > 0


def test_a_failed_query_does_not_spoil_the_next(original: Path) -> None:
    catalog = Catalog.open([original])
    for _ in range(3):
        with pytest.raises(QueryError):
            catalog.query("SELECT nope FROM pins")
        assert catalog.query("SELECT count(*) AS n FROM hosts")["n"].to_pylist() == [36]


def test_one_line_of_messages_without_position() -> None:
    assert one_line("Binder Error: no\nsuch thing", "q.sql") == "q.sql: no such thing"
    assert one_line("odd", "q.sql") == "q.sql: odd"


HUGE = "SELECT count(*) FROM range(100000000) a, range(100000) b WHERE a.range + b.range = 17"
SCRIPT = """
import sys
from pathlib import Path
from queries.catalog import Catalog
catalog = Catalog.open([Path(sys.argv[1])])
print("ready", flush=True)
try:
    catalog.query(sys.argv[2])
except KeyboardInterrupt:
    print("interrupted", flush=True)
    print(catalog.query("SELECT 1 AS one")["one"][0])
    sys.exit(130)
"""


REGISTERING = """
import os, signal, sys, time
import duckdb
from fleet.cli.app import main

def ask():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.3)  # Python code that DuckDB calls: where Ctrl-C would be delivered
    return 1

connect = duckdb.connect
class Connection:
    def __init__(self, *given): self.real = connect(*given)
    def __getattr__(self, name): return getattr(self.real, name)
    def register(self, name, view):
        if name == "pins_by_unit":
            self.real.create_function("ask", ask, [], "BIGINT")
            self.real.execute("SELECT ask()").fetchall()
        self.real.register(name, view)
duckdb.connect = Connection
sys.exit(main(["query", sys.argv[1], "hang_rate"]))
"""


def test_ctrl_c_while_tables_are_registered(original: Path) -> None:
    """DuckDB turns what is raised in Python code that it calls into an error of its own."""
    command = [sys.executable, "-c", REGISTERING, str(original)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (130, ""), done.stderr
    assert "Error" not in done.stderr


def test_ctrl_c_stops_a_query(original: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(original), HUGE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        timer = threading.Timer(0.5, process.send_signal, [signal.SIGINT])
        timer.start()
        started = time.monotonic()
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == "interrupted\n1\n"
    assert time.monotonic() - started < 30


def test_no_folder_is_made_where_the_user_stands(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = Catalog.open([original]).query("SELECT * FROM range(200000) ORDER BY hash(range)")
    assert isinstance(result, pa.Table)
    assert list(tmp_path.iterdir()) == []
