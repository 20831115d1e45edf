"""Reading documented columns: CSV and Parquet say the same, values are exact."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fleet.errors import InputError
from fleet.inputs.inventory import read_inventory
from fleet.inputs.numbers import NULL, BadValueError, Spec, number, numbers
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


SECONDS = Spec("s", "seconds", "", scale=10**9, high=2**62, nullable=True)
MEBIBYTES = Spec("m", "MiB", "", low=1, high=2**26)


def one_by_one(values: list[Any], spec: Spec) -> list[int] | tuple[int, str]:
    """What the path of single values makes of a column: the numbers or the first error."""
    out: list[int] = []
    for row, value in enumerate(values):
        try:
            out.append(number(value, spec))
        except ValueError as error:
            return row, str(error)
    return out


def at_once(values: pa.Array, spec: Spec) -> list[int] | tuple[int, str]:
    try:
        return [int(value) for value in numbers(values, spec)]
    except BadValueError as error:
        return error.row, str(error)


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.one_of(st.none(), st.floats(), st.floats(0, 1e6), st.integers(0, 9).map(float))))
@example([0.5e-9, 1.5e-9, 2.5e-9, 1.0000000005, 3.0000000015, 2**52 - 0.5])
@example([float(Fraction(2 * k + 1, 2**10)) for k in range(200)])
@example([3.5, -0.0, float("nan"), float("inf"), -1.0, 5e9])
def test_floats_at_once_are_as_exact_as_one_by_one(values: list[float | None]) -> None:
    column = pa.array(values, pa.float64())
    for spec in (SECONDS, MEBIBYTES):
        assert at_once(column, spec) == one_by_one(values, spec)


WORDS = st.one_of(
    st.none(), st.integers(-(10**20), 10**20).map(str), st.integers(0, 99).map(str),
    st.sampled_from(["", " 7 ", "1.5", "1/4", "0x1", "1e3", "+4", "\u0664", "7\n"]),
)  # fmt: skip


@given(st.lists(WORDS), st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 99)))
def test_text_and_integers_at_once(words: list[str | None], integers: list[int]) -> None:
    for spec in (SECONDS, MEBIBYTES):
        assert at_once(pa.array(words, pa.string()), spec) == one_by_one(words, spec)
        assert at_once(pa.array(integers, pa.int64()), spec) == one_by_one(integers, spec)
        few = [abs(value) % 2**64 for value in integers]
        assert at_once(pa.array(few, pa.uint64()), spec) == one_by_one(few, spec)


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (["0,1,x", "0,y,64", "0,1"], "2 memory_mib: not a number: 'x'"),
        (["0,y,x"], "2 lifetime_s: not a number: 'y'"),
        (["0,1,64", "", "0,1", "0,1,x"], "4: 2 values, the header has 3"),
        (["0,1,64"] * 40_000 + ["0,1,0"], "40002 memory_mib: must be at least 1 MiB, got '0'"),
    ],
)
def test_the_first_error_by_line_then_column_is_told(
    lines: list[str], error: str, tmp_path: Path
) -> None:
    file = tmp_path / "t.csv"
    file.write_text("\n".join(["arrival_s,lifetime_s,memory_mib", *lines]) + "\n")
    with pytest.raises(InputError) as caught:
        read_trace(str(file))
    assert str(caught.value) == f"{file}:{error}"
