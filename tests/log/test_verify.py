"""Whatever is done to a finished run, verification names the file."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from fleet.log.disk import sha256
from fleet.log.folder import RunFolder
from fleet.log.records import content_digest, to_bytes
from fleet.log.verify import verify_run
from fleet.log.writer import FileRecord
from tests.log.example import SCENARIO, identity, make_units, restored, write_run, write_unit


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def run(original: Path) -> Iterator[Path]:
    with restored(original):
        yield original


def named(run: Path) -> list[str]:
    return [problem.path for problem in verify_run(run).problems]


def test_a_whole_run_has_no_problem(original: Path) -> None:
    found = verify_run(original)
    assert found.problems == ()
    assert found.complete
    assert found.units == 6
    manifest = json.loads((original / "manifest.json").read_text())
    assert found.rows == sum(manifest["rows"].values()) > 1000
    assert found.files == len(manifest["files"])


def test_an_interrupted_run_is_checked_as_far_as_it_goes(tmp_path: Path) -> None:
    path, units = tmp_path / "run", make_units()
    with RunFolder.open(path, identity(), SCENARIO, resume=False) as folder:
        for arm, rep in folder.missing[:2]:
            write_unit(folder, arm, rep, units[arm, rep])
    found = verify_run(path)
    assert (found.complete, found.units, found.problems) == (False, 2, ())
    victim = sorted(path.rglob("*.arrow"))[5]
    os.truncate(victim, victim.stat().st_size - 1)
    assert named(path) == [victim.relative_to(path).as_posix()]


def test_a_flipped_bit_in_any_file_is_reported(run: Path) -> None:
    luck = Random(4)
    files = sorted(path for path in run.rglob("*") if path.is_file())
    files.remove(run / "manifest.json")  # without it there is nothing to compare with
    for file in files:
        damaged = bytearray(file.read_bytes())
        bit = luck.randrange(len(damaged) * 8)
        damaged[bit // 8] ^= 1 << (bit % 8)
        file.write_bytes(damaged)
    assert {file.relative_to(run).as_posix() for file in files} <= set(named(run))


@pytest.mark.parametrize("name", ["manifest.json", "run.json", "commits"])
def test_every_byte_of_a_record_is_watched(run: Path, name: str) -> None:
    file = run / name if name.endswith(".json") else sorted((run / name).iterdir())[0]
    data = file.read_bytes()
    for position in Random(5).sample(range(len(data)), 12):
        damaged = bytearray(data)
        damaged[position] ^= 1
        file.write_bytes(damaged)
        assert not is_whole(file)
    file.write_bytes(data)
    assert is_whole(file)


def is_whole(file: Path) -> bool:
    try:
        record = json.loads(file.read_bytes())
        return to_bytes(record) == file.read_bytes()
    except ValueError:
        return False


def test_every_4_kib_of_a_file_is_watched(run: Path) -> None:
    file = max(run.rglob("*.arrow"), key=lambda path: path.stat().st_size)
    data, name = file.read_bytes(), file.relative_to(run).as_posix()
    for start in range(0, len(data), 4096):
        damaged = bytearray(data)
        damaged[start] ^= 1
        file.write_bytes(damaged)
        assert named(run) == [name], start


def test_every_cut_is_reported(run: Path) -> None:
    file = sorted(run.rglob("*.arrow"))[0]
    data, name = file.read_bytes(), file.relative_to(run).as_posix()
    for length in [0, 8, *range(64, len(data), 2048), len(data) - 1]:
        file.write_bytes(data[:length])
        assert named(run) == [name]


def drop_file(run: Path) -> str:
    victim = sorted(run.rglob("*.arrow"))[3]
    victim.unlink()
    return victim.relative_to(run).as_posix()


def add_file(run: Path) -> str:
    first = sorted(run.rglob("*.arrow"))[0]
    extra = first.with_name("part-00077.arrow")
    shutil.copy(first, extra)
    return extra.relative_to(run).as_posix()


def drop_commit(run: Path) -> str:
    victim = sorted((run / "commits").iterdir())[0]
    victim.unlink()
    return f"commits/{victim.name}"


def drop_run_record(run: Path) -> str:
    (run / "run.json").unlink()
    return "run.json"


def spoil_manifest(run: Path) -> str:
    (run / "manifest.json").write_text("{")
    return "manifest.json"


def edit_manifest(key: str, value: Any) -> Callable[[Path], str]:
    def edit(run: Path) -> str:
        manifest = json.loads((run / "manifest.json").read_text())
        manifest[key] = value
        (run / "manifest.json").write_bytes(to_bytes(manifest))
        return "manifest.json"

    return edit


def edit_scenario(run: Path) -> str:
    (run / "scenario.resolved.yaml").write_text("name: other\n")
    return "scenario.resolved.yaml"


@pytest.mark.parametrize(
    "damage",
    [
        drop_file, add_file, drop_commit, drop_run_record, spoil_manifest, edit_scenario,
        edit_manifest("seed", 2), edit_manifest("rows", {}), edit_manifest("content_digest", ""),
        edit_manifest("files", []), edit_manifest("files", [{"path": "x"}]),
        edit_manifest("records", None), edit_manifest("arms", ["a"]),
    ],
)  # fmt: skip
def test_damage_is_named(run: Path, damage: Callable[[Path], str]) -> None:
    name = damage(run)
    assert name in named(run)


def rewrite(run: Path, change: Callable[[pa.Table], pa.Table]) -> str:
    """Change the rows of one requests file and make every record agree with it again."""
    manifest = json.loads((run / "manifest.json").read_text())
    record = next(f for f in manifest["files"] if f["path"].startswith("events/requests/"))
    file = run / record["path"]
    table = change(pa.ipc.open_file(pa.OSFile(str(file))).read_all())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    data = sink.getvalue().to_pybytes()
    file.write_bytes(data)
    old = record["sha256"]
    record.update(bytes=len(data), sha256=sha256(data))
    digest = content_digest(FileRecord(**f) for f in manifest["files"])
    manifest["content_digest"] = digest
    for commit in (run / "commits").iterdir():
        text = json.loads(commit.read_text())
        for entry in text["files"]:
            if entry["sha256"] == old:
                entry.update(record)
        text["content_digest"] = content_digest(FileRecord(**f) for f in text["files"])
        commit.write_bytes(to_bytes(text))
        manifest["records"][f"commits/{commit.name}"] = sha256(commit.read_bytes())
    (run / "manifest.json").write_bytes(to_bytes(manifest))
    return str(record["path"])


def set_column(name: str, values: list[Any]) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index(name)
        filled = (values * table.num_rows)[: table.num_rows]
        array = pa.array(filled, table.schema.field(at).type)
        return table.set_column(at, table.schema.field(at), array)

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda table: table, None),
        (lambda table: table.slice(1), "rows, recorded"),
        (lambda table: table.drop_columns(["errno"]), "schema is not the documented one"),
        (lambda table: table.replace_schema_metadata({}), "schema is not the documented one"),
        (set_column("outcome", ["vanished"]), "outcome: undocumented values vanished"),
        (set_column("reset", [None]), "reset: null in a required column"),
    ],
)
def test_content_is_checked_even_when_all_checksums_match(
    run: Path, change: Callable[[pa.Table], pa.Table], reason: str | None
) -> None:
    name = rewrite(run, change)
    problems = verify_run(run).problems
    if reason is None:
        assert problems == ()
        return
    assert [problem.path for problem in problems] == [name]
    assert reason in problems[0].reason
