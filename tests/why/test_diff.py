"""Two runs compared: equal ones, other scenarios, and the very first event that differs."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fleet.cli.app import main
from fleet.why.difference import STAMPS, common, fields, first_parting
from fleet.why.difference_told import difference
from fleet.why.source import Source, open_source
from queries.catalog import Catalog
from tests.why.conftest import run


@pytest.fixture(scope="module")
def later_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, but failed removals are tried again a second later."""
    return run(tmp_path_factory.mktemp("why") / "later", "removals.retry_delay=6s")


def test_a_run_is_identical_to_its_copy(
    aged_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which the digests say: no row is unpacked."""
    shutil.copytree(aged_run, tmp_path / "copy")
    monkeypatch.delattr(Catalog, "rows")
    facts = difference(open_source(aged_run), open_source(tmp_path / "copy"))
    assert facts["identical"]
    assert facts["same_events"]
    assert facts["first"] is None
    assert facts["rows"] > 1000


def test_the_first_event_is_the_first(aged: Source, later_run: Path) -> None:
    """Nothing before it differs in any table of any unit, and it does."""
    other = open_source(later_run)
    assert [item["field"] for item in fields(aged, other)] == ["removals.retry_delay"]
    parting = first_parting(aged, other)
    assert parting is not None
    assert (parting.table, parting.columns) == ("commands", ["time_ns", "decided_ns"])
    assert parting.a is not None
    assert parting.b is not None
    assert parting.b["time_ns"] - parting.a["time_ns"] == 10**9
    for unit in common(aged, other):
        for table in ("commands", "pins", "migrations", "incidents", "host_samples"):
            stamp = STAMPS[table][0]
            early = [
                [row for row in s.rows(table, *unit).to_pylist() if row[stamp] < parting.time_ns]
                for s in (aged, other)
            ]
            assert early[0] == early[1]


def changed(source: Source, path: Path, table: str, edit: Any) -> Source:
    """A copy of the run in which the rows of one table are edited."""
    shutil.copytree(source.folder, path)
    victim = sorted((path / "events" / table).rglob("*.arrow"))[0]
    with pa.ipc.open_file(victim) as reader:
        schema, rows = reader.schema, reader.read_all().to_pylist()
    edit(rows)
    with pa.ipc.new_file(victim, schema) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    manifest = json.loads((path / "manifest.json").read_bytes())
    for file in manifest["files"]:
        if file["path"] == str(victim.relative_to(path)):
            file |= {"bytes": victim.stat().st_size, "sha256": "edited"}
    (path / "manifest.json").write_text(json.dumps(manifest))
    return open_source(path)


@pytest.mark.parametrize(
    ("table", "column", "row"),
    [("pins", "pinned_pages", 17), ("migrations", "pages", 3), ("attempts", "passes", 5),
     ("blockers", "pages", 2), ("host_samples", "free_pages", 40), ("commands", "time_ns", 60),
     ("requests", "errno", 9), ("workloads", "flow_us_lost", 33), ("hosts", "memory_pages", 2)],
)  # fmt: skip
def test_one_changed_value_is_found(
    aged: Source, tmp_path: Path, table: str, column: str, row: int
) -> None:
    def edit(rows: list[dict[str, Any]]) -> None:
        rows[row][column] += 1

    other = changed(aged, tmp_path / "run", table, edit)
    parting = first_parting(aged, other)
    assert parting is not None
    assert (parting.table, parting.row, parting.columns) == (table, row, [column])
    assert first_parting(other, aged) is not None


def test_a_missing_row_is_found(aged: Source, tmp_path: Path) -> None:
    other = changed(aged, tmp_path / "run", "pins", lambda rows: rows.pop())
    parting = first_parting(aged, other)
    assert parting is not None
    assert parting.b is None
    assert parting.a is not None
    assert parting.time_ns == parting.a["time_ns"]


def test_the_command(
    aged_run: Path, later_run: Path, reboot_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", str(aged_run), str(aged_run)]) == 0
    assert capsys.readouterr().out.startswith("The runs are identical: ")
    assert main(["diff", str(aged_run), str(later_run)]) == 1
    out = capsys.readouterr().out
    assert "removals.retry_delay" in out
    assert "They part at 0:00:" in out
    assert "Then in B" in out
    assert "In sum" in out
    assert main(["diff", str(aged_run), str(reboot_run), "--format", "json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert {item["field"] for item in facts["scenario"]} >= {"watchdog.mechanism"}
    assert facts["sums"]
    assert main(["diff", str(aged_run), "nope"]) == 2
    assert "no such run" in capsys.readouterr().err
    assert main(["diff", str(aged_run)]) == 2
