"""Equal rows give equal bytes, however they arrive; wrong rows are refused."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fleet.log.tables import NULL, SCHEMAS, TABLES
from fleet.log.writer import UnitWriter, to_table

CUT: dict[str, Any] = {"part_rows": 256, "batch_rows": 64}


def draw_columns(table: str, rows: int, seed: int = 1) -> dict[str, Any]:
    """Random columns of a table as numpy arrays and lists, nulls as the sentinel or None."""
    luck = np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    for column in TABLES[table].columns:
        null = luck.random(rows) < 0.3
        if column.type == "string":
            words = column.values or ("a", "bb", "")
            drawn = [words[i] for i in luck.integers(0, len(words), rows)]
            nulls = column.nullable
            columns[column.name] = [
                None if nulls and n else w for w, n in zip(drawn, null, strict=True)
            ]
        elif column.type == "bool":
            columns[column.name] = luck.integers(0, 2, rows).astype(bool)
        else:
            values = luck.integers(0, 2**31 - 1, rows)
            columns[column.name] = np.where(null & column.nullable, NULL, values)
    return columns


def part(columns: dict[str, Any], start: int, stop: int) -> dict[str, Any]:
    return {name: values[start:stop] for name, values in columns.items()}


def digests(root: Path, table: str, pieces: list[Any]) -> list[Any]:
    writer = UnitWriter(root, "a+b", 0, **CUT)
    for piece in pieces:
        writer.append(table, 3, piece)
    return writer.close()


@pytest.mark.parametrize("table", TABLES)
def test_bytes_do_not_depend_on_how_rows_arrive(tmp_path: Path, table: str) -> None:
    columns, n = draw_columns(table, 700), 700
    cuts = np.random.default_rng(2).integers(0, n, 30).tolist()
    edges = [0, *sorted(cuts), n]
    pieces = [part(columns, a, b) for a, b in pairwise(edges)]
    whole = to_table(table, columns)
    expected = digests(tmp_path / "1", table, [columns])
    assert [file.rows for file in expected] == [256, 256, 188]
    assert digests(tmp_path / "2", table, pieces) == expected
    assert digests(tmp_path / "3", table, [part(columns, i, i + 1) for i in range(n)]) == expected
    assert digests(tmp_path / "4", table, [to_table(table, piece) for piece in pieces]) == expected
    slices = [whole.slice(0, 5), whole.slice(5, 600), whole.slice(605)]
    assert digests(tmp_path / "5", table, slices) == expected
    batches = list(whole.to_batches(max_chunksize=37))
    assert digests(tmp_path / "6", table, batches) == expected
    lists = {name: whole[name].to_pylist() for name in whole.column_names}
    assert digests(tmp_path / "7", table, [lists]) == expected


@pytest.mark.parametrize("table", TABLES)
def test_rows_come_back_as_they_were(tmp_path: Path, table: str) -> None:
    columns = draw_columns(table, 300)
    files = digests(tmp_path, table, [columns])
    read = pa.concat_tables(
        pa.ipc.open_file(pa.OSFile(str(tmp_path / file.path))).read_all() for file in files
    )
    assert read.schema.equals(SCHEMAS[table], check_metadata=True)
    for column in TABLES[table].columns:
        wanted = [
            None if isinstance(v, np.integer) and v == NULL else v for v in columns[column.name]
        ]
        assert read[column.name].to_pylist() == wanted


def test_bytes_do_not_depend_on_what_lies_under_a_null(tmp_path: Path) -> None:
    columns = draw_columns("pins", 100)
    mask = columns["zone"] == NULL
    other = dict(columns)
    other["zone"] = pa.array(np.where(mask, 77, columns["zone"]), mask=mask)
    assert digests(tmp_path / "1", "pins", [columns]) == digests(tmp_path / "2", "pins", [other])


def test_no_rows_no_file(tmp_path: Path) -> None:
    writer = UnitWriter(tmp_path, "a+b", 0)
    writer.append("pins", 0, draw_columns("pins", 0))
    assert writer.close() == []
    assert list(tmp_path.iterdir()) == []


def test_shards_and_tables_do_not_mix(tmp_path: Path) -> None:
    writer = UnitWriter(tmp_path, "linux-5.13+timeout@movable-75", 7, **CUT)
    for shard in (2, 0, 1):
        writer.append("hosts", shard, draw_columns("hosts", 10 + shard, seed=shard))
    writer.append("pins", 0, draw_columns("pins", 1))
    found = {file.path: file.rows for file in writer.close()}
    where = "arm=linux-5.13+timeout@movable-75/rep=0007"
    assert found == {
        f"events/hosts/{where}/shard=0000/part-00000.arrow": 10,
        f"events/hosts/{where}/shard=0001/part-00000.arrow": 11,
        f"events/hosts/{where}/shard=0002/part-00000.arrow": 12,
        f"events/pins/{where}/shard=0000/part-00000.arrow": 1,
    }


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("host", [None], "pins.host: null in a required column"),
        ("host", np.array([NULL]), "pins.host: null in a required column"),
        ("errno", np.array([2**40]), "pins.errno: Integer value"),
        ("host", ["x"], "pins.host:"),
        ("path", np.array([3]), "pins.path: integers given for a column of type string"),
    ],
)
def test_wrong_values_are_refused(tmp_path: Path, column: str, values: Any, reason: str) -> None:
    columns = {**draw_columns("pins", 1), column: values}
    writer = UnitWriter(tmp_path, "a+b", 0)
    with pytest.raises(ValueError, match=reason):
        writer.append("pins", 0, columns)


def test_wrong_columns_are_refused(tmp_path: Path) -> None:
    columns = draw_columns("pins", 1)
    del columns["errno"]
    with pytest.raises(ValueError, match=r"pins: missing or unknown columns: err, errno"):
        UnitWriter(tmp_path, "a+b", 0).append("pins", 0, {**columns, "err": [0]})
