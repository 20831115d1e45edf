"""The documented columns of inventories and traces, and the reader that enforces them.

CSV (with a header line) and Parquet hold the same columns. Columns that are not documented are
ignored. Errors name file, line (CSV) or row (Parquet) and column.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fleet.errors import InputError
from fleet.inputs.numbers import BadValueError, Spec, numbers

CHUNK = 1 << 15
"""Lines of a CSV file held as text at a time."""


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


def _convert(specs: Sequence[Spec], raw: Sequence[pa.Array], places: Sequence[int], where: str) -> (
    tuple[list[NDArray[np.int64]], list[list[str]]]
):  # fmt: skip
    """Convert columns of raw values; InputError for the first bad value by row, then column.

    ``where`` is the file and the word before a place.
    """
    found: list[NDArray[np.int64]] = []
    texts: list[list[str]] = []
    worst: tuple[BadValueError, Spec] | None = None
    for spec, values in zip(specs, raw, strict=True):
        if spec.unit == "text":
            texts.append(["" if v is None else str(v) for v in values.to_pylist()])
            continue
        try:
            found.append(numbers(values, spec))
        except BadValueError as error:
            if worst is None or error.row < worst[0].row:
                worst = error, spec
    if worst is not None:
        bad, spec = worst
        raise InputError(str(bad), field=spec.name, where=f"{where}{places[bad.row]}")
    return found, texts


def _read_csv(file: str, specs: Sequence[Spec]) -> Table:
    """Read a CSV file with a header line."""
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = [name.strip() for name in next(reader, [])]
            found = _present(header, specs, f"{file}:1")
            return _fill(file, found, _csv_rows(file, reader, header, found))
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", where=file) from None
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 text (byte {error.start})", where=file) from None
    except csv.Error as error:
        raise InputError(f"not CSV: {error}", where=f"{file}:{reader.line_num}") from None


def _fill(file: str, specs: Sequence[Spec], rows: Iterator[tuple[int, Sequence[str]]]) -> Table:
    """Convert lines of text (values in the order of ``specs``) chunk by chunk."""
    places: list[int] = []
    numbers_of: list[list[NDArray[np.int64]]] = []
    texts_of: list[list[list[str]]] = []
    for chunk in _chunks(rows):
        lines = [line for line, _ in chunk]
        raw = [pa.array(column, pa.string()) for column in zip(*(r for _, r in chunk), strict=True)]
        found, texts = _convert(specs, raw, lines, f"{file}:")
        places += lines
        numbers_of.append(found)
        texts_of.append(texts)
    if not places:
        raise InputError("no rows", where=file)
    numeric = [spec.name for spec in specs if spec.unit != "text"]
    textual = [spec.name for spec in specs if spec.unit == "text"]
    return Table(
        file=file,
        rows=len(places),
        numbers={n: np.concatenate([f[i] for f in numbers_of]) for i, n in enumerate(numeric)},
        texts={n: tuple(chain(*(t[i] for t in texts_of))) for i, n in enumerate(textual)},
        places=places,
        place_word="",
    )


def _chunks(
    rows: Iterator[tuple[int, Sequence[str]]],
) -> Iterator[list[tuple[int, Sequence[str]]]]:
    """Yield rows in lists. What stops the reading comes after the rows read before it."""
    chunk: list[tuple[int, Sequence[str]]] = []
    try:
        for row in rows:
            chunk.append(row)
            if len(chunk) == CHUNK:
                yield chunk
                chunk = []
    except (InputError, UnicodeDecodeError, csv.Error):
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


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
    import pyarrow.parquet as pq

    try:
        source = pq.ParquetFile(file)
        found = _present(source.schema_arrow.names, specs, file)
        table = source.read(columns=[spec.name for spec in found])
    except OSError as error:
        raise InputError(error.strerror or str(error).splitlines()[0], where=file) from None
    except pa.ArrowException as error:
        raise InputError(f"not Parquet: {str(error).splitlines()[0]}", where=file) from None
    if not table.num_rows:
        raise InputError("no rows", where=file)
    places = range(1, table.num_rows + 1)
    raw = [_one_array(table.column(spec.name)) for spec in found]
    columns, texts = _convert(found, raw, places, f"{file}:row ")
    numeric = [spec.name for spec in found if spec.unit != "text"]
    textual = [spec.name for spec in found if spec.unit == "text"]
    return Table(
        file=file,
        rows=table.num_rows,
        numbers=dict(zip(numeric, columns, strict=True)),
        texts={name: tuple(column) for name, column in zip(textual, texts, strict=True)},
        places=places,
        place_word="row ",
    )


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    """Join the chunks of a column; all kinds of text as plain strings."""
    kind = column.type
    text = pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if text or (pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type)):
        column = column.cast(pa.string())
    return column.combine_chunks()
