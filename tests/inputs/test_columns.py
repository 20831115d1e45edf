"""Reading documented columns: CSV and Parquet say the same, values are exact."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fleet.errors import InputError
from fleet.inputs.columns import NULL
from fleet.inputs.inventory import read_inventory
from fleet.inputs.trace import read_trace
from fleet.inputs.write import write_table

HOSTS: dict[str, list[Any]] = {
    "name": ["a", "b"], "class": ["x", ""], "memory_mib": [8192, 262144],
    "cpus": [4, None], "nodes": [None, 4], "memory_block_mib": [None, 512],
}  # fmt: skip
VMS: dict[str, list[Any]] = {
    "arrival_s": [5.5, 0.0, 5.5], "lifetime_s": [None, 60.0, 0.1],
    "memory_mib": [1024, 512, 2048], "vcpus": [None, 2, 3], "other": ["p", "q", "r"],
}  # fmt: skip


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_inventory(ending: str, tmp_path: Path) -> None:
    file = str(tmp_path / f"h.{ending}")
    write_table(HOSTS, file)
    inventory = read_inventory(file)
    assert inventory.name == ("a", "b")
    assert inventory.host_class == ("x", "host")
    assert inventory.memory_pages.tolist() == [2 << 20, 64 << 20]
    assert inventory.cpus.tolist() == [4, 32]
    assert inventory.nodes.tolist() == [NULL, 4]
    assert inventory.block_pages.tolist() == [NULL, 1 << 17]
    assert inventory.places[1] == f"{file}:" + ("3" if ending == "csv" else "row 2")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_trace_is_sorted_and_exact(ending: str, tmp_path: Path) -> None:
    file = str(tmp_path / f"t.{ending}")
    write_table(VMS, file)
    trace = read_trace(file)
    assert trace.arrival_ns.tolist() == [0, 5_500_000_000, 5_500_000_000]
    assert trace.lifetime_ns.tolist() == [60 * 10**9, NULL, 100_000_000]
    assert trace.pages.tolist() == [512 * 256, 1024 * 256, 2048 * 256]
    assert trace.vcpus.tolist() == [2, 1, 3]
    assert trace.row.tolist() == [1, 0, 2]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 8192.5, True, "8192 MiB"])
def test_parquet_rows_are_named(value: object, tmp_path: Path) -> None:
    file = str(tmp_path / "h.parquet")
    table = pa.table({"memory_mib": pa.array([value])})
    pq.write_table(table, file)
    with pytest.raises(InputError) as caught:
        read_inventory(file)
    assert caught.value.where == f"{file}:row 1"
    assert caught.value.field == "memory_mib"


def test_a_table_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        write_table(HOSTS, str(tmp_path / "no" / "h.csv"))
    with pytest.raises(ValueError, match=r"zip\(\)"):
        write_table({"a": [1, 2], "b": [1]}, str(tmp_path / "h.csv"))
    assert not (tmp_path / "h.csv").exists()


def test_columns_are_int64(tmp_path: Path) -> None:
    file = str(tmp_path / "h.csv")
    write_table(HOSTS, file)
    assert read_inventory(file).memory_pages.dtype == np.int64
