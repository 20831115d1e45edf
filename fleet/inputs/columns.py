"""The documented columns of inventories and traces, and the reader that enforces them.

CSV (with a header line) and Parquet hold the same columns. Columns that are not documented are
ignored. Errors name file, line (CSV) or row (Parquet) and column.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleet.errors import InputError

NULL = -1
"""What an absent optional number becomes."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One documented column.

    Attributes
    ----------
    name : str
        Header.
    unit : str
        ``text``, or the unit of a number.
    required : bool
        Whether the column must be there.
    nullable : bool
        Whether single values may be empty.
    low, high : int
        Range of numbers, in the scaled unit.
    scale : int
        Numbers are multiplied by this and must then be whole (seconds to ns: 10**9).
    description : str
        For the reference.
    """

    name: str
    unit: str
    description: str
    required: bool = False
    nullable: bool = False
    low: int = 0
    high: int = 2**40
    scale: int = 1


@dataclass(frozen=True, slots=True)
class Table:
    """Columns read from a file.

    Attributes
    ----------
    file : str
        Where from.
    rows : int
        Number of rows.
    numbers : dict of str to int64[rows]
        Scaled numbers, ``NULL`` where empty; only columns the file has.
    texts : dict of str to tuple of str
        Text columns the file has ("" where empty).
    places : sequence of int
        Line (CSV) or row from 1 (Parquet) of each row, for errors.
    place_word : str
        "" for lines, "row " for rows.
    """

    file: str
    rows: int
    numbers: dict[str, NDArray[np.int64]]
    texts: dict[str, tuple[str, ...]]
    places: Sequence[int]
    place_word: str

    def error(self, row: int, column: str, reason: str) -> InputError:
        """Build the error for one value."""
        where = f"{self.file}:{self.place_word}{self.places[row]}"
        return InputError(reason, field=column, where=where)


def read_columns(file: str, specs: Sequence[Spec]) -> Table:
    """Read a CSV or Parquet file (by its ending) and check it against the specs.

    Raises
    ------
    InputError
        Missing file or column, no rows, a value that is no number or out of range.
    """
    ending = Path(file).suffix.lower()
    if ending == ".csv":
        return _read_csv(file, specs)
    if ending == ".parquet":
        return _read_parquet(file, specs)
    raise InputError("want a .csv or .parquet file", where=file)


def _present(header: Sequence[str], specs: Sequence[Spec], where: str) -> list[Spec]:
    """Return the documented columns a file has; InputError for missing and repeated ones."""
    for spec in specs:
        if spec.required and spec.name not in header:
            reason = f"column missing (the file has: {', '.join(header) or 'none'})"
            raise InputError(reason, field=spec.name, where=where)
        if list(header).count(spec.name) > 1:
            raise InputError("column given twice", field=spec.name, where=where)
    return [spec for spec in specs if spec.name in header]


def _number(value: Any, spec: Spec) -> int:
    """Convert one value exactly; ValueError with the reason."""
    if value is None or value == "":
        if spec.nullable:
            return NULL
        raise ValueError("value missing")
    number = _exact(value, spec)
    if number < spec.low:
        above = "above 0" if spec.scale > spec.low == 1 else f"at least {spec.low // spec.scale}"
        raise ValueError(f"must be {above} {spec.unit}, got {value!r}")
    if number > spec.high:
        raise ValueError(f"too large: {value!r} {spec.unit}")
    return number


def _exact(value: Any, spec: Spec) -> int:
    """Scale a number; ValueError unless the result is whole (floats of seconds are rounded)."""
    if isinstance(value, int):
        return value * spec.scale
    if isinstance(value, str) and len(value) < 20 and value.isascii() and value.isdigit():
        return int(value) * spec.scale
    try:
        amount = Fraction(value.strip() if isinstance(value, str) else value) * spec.scale
    except (ValueError, ZeroDivisionError, TypeError, OverflowError):
        raise ValueError(f"not a number: {value!r}") from None
    if amount.denominator == 1:
        return int(amount)
    if isinstance(value, float) and spec.scale > 1:
        return round(amount)
    raise ValueError(f"{value!r} is not a whole number of {spec.unit}")


def _fill(file: str, specs: Sequence[Spec], rows: Iterator[tuple[int, Sequence[Any]]],
          word: str) -> Table:  # fmt: skip
    """Convert rows of raw values (in the order of ``specs``)."""
    columns: list[list[Any]] = [[] for _ in specs]
    places: list[int] = []
    for place, row in rows:
        places.append(place)
        for spec, value, column in zip(specs, row, columns, strict=True):
            if spec.unit == "text":
                column.append("" if value is None else str(value))
                continue
            try:
                column.append(_number(value, spec))
            except ValueError as error:
                where = f"{file}:{word}{place}"
                raise InputError(str(error), field=spec.name, where=where) from None
    if not places:
        raise InputError("no rows", where=file)
    numbers = {s.name: np.array(c, np.int64) for s, c in zip(specs, columns, strict=True)
               if s.unit != "text"}  # fmt: skip
    texts = {s.name: tuple(c) for s, c in zip(specs, columns, strict=True) if s.unit == "text"}
    return Table(file, len(places), numbers, texts, places, word)


def _read_csv(file: str, specs: Sequence[Spec]) -> Table:
    """Read a CSV file with a header line."""
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = [name.strip() for name in next(reader, [])]
            found = _present(header, specs, f"{file}:1")
            return _fill(file, found, _csv_rows(file, reader, header, found), "")
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", where=file) from None
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 text (byte {error.start})", where=file) from None
    except csv.Error as error:
        raise InputError(f"not CSV: {error}", where=f"{file}:{reader.line_num}") from None


def _csv_rows(
    file: str, reader: Any, header: Sequence[str], specs: Sequence[Spec]
) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield line number and wanted values of each line; InputError for a line of other length."""
    at = [header.index(spec.name) for spec in specs]
    for row in reader:
        if not row:
            continue
        if len(row) != len(header):
            reason = f"{len(row)} values, the header has {len(header)}"
            raise InputError(reason, where=f"{file}:{reader.line_num}")
        yield reader.line_num, [row[i] for i in at]


def _read_parquet(file: str, specs: Sequence[Spec]) -> Table:
    """Read a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        source = pq.ParquetFile(file)
        found = _present(source.schema_arrow.names, specs, file)
        table = source.read(columns=[spec.name for spec in found])
    except OSError as error:
        raise InputError(error.strerror or str(error).splitlines()[0], where=file) from None
    except pa.ArrowException as error:
        raise InputError(f"not Parquet: {str(error).splitlines()[0]}", where=file) from None
    columns = [table.column(spec.name).to_pylist() for spec in found]
    return _fill(file, found, enumerate(zip(*columns, strict=True), 1), "row ")
