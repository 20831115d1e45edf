"""Rows to Arrow files: one ``UnitWriter`` per (arm, replication).

Rows of a (table, shard) are gathered and cut at fixed counts, whatever the sizes in which they
arrive, so that equal rows give equal bytes. A part grows as compressed record batches in memory
and reaches the disk in one piece: no file stays open, and memory holds compressed rows plus at
most ``BATCH_ROWS`` plain ones per (table, shard).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from fleet.log import disk, paths
from fleet.log.tables import NULL, SCHEMAS

BATCH_ROWS = 4096
"""Rows of a record batch inside a part."""
PART_ROWS = 131_072
"""Rows of a part file, a multiple of ``BATCH_ROWS``."""

Rows: TypeAlias = pa.RecordBatch | pa.Table | Mapping[str, Any]
"""What ``append`` takes: Arrow, or a column name to numpy array, list or Arrow array mapping."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One finished event file: path relative to the run folder, rows, bytes, sha256."""

    path: str
    rows: int
    bytes: int
    sha256: str


class UnitWriter:
    """Writes the event files of one (arm, replication).

    Parameters
    ----------
    root : Path
        Run folder.
    arm, rep
        The unit.
    part_rows : int
        Rows per file (smaller in tests), a multiple of ``batch_rows``.
    """

    def __init__(
        self,
        root: Path,
        arm: str,
        rep: int,
        *,
        part_rows: int = PART_ROWS,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        if part_rows % batch_rows:
            raise ValueError("part_rows must be a multiple of batch_rows")
        self.arm, self.rep = arm, rep
        self._root, self._part_rows, self._batch_rows = root, part_rows, batch_rows
        self._streams: dict[tuple[str, int], _Stream] = {}
        self._files: list[FileRecord] = []

    def append(self, table: str, shard: int, rows: Rows) -> None:
        """Append ordered rows of one shard to a table.

        Integer columns may be any integer dtype; ``tables.NULL`` in a nullable integer column
        becomes null. A wrong column set, a null in a required column or a value that does not
        fit is a ValueError (a bug of the caller); a failed write is a RunError.
        """
        batch = to_table(table, rows)
        if batch.num_rows == 0:
            return
        stream = self._streams.get((table, shard))
        if stream is None:
            stream = self._streams[table, shard] = _Stream(table, shard)
        stream.pending.append(batch)
        stream.pending_rows += batch.num_rows
        while stream.pending_rows >= self._batch_rows:
            stream.encode(self._batch_rows)
            if stream.part_rows == self._part_rows:
                self._write_part(stream)

    def close(self) -> list[FileRecord]:
        """Write what is left and return the records of all files, sorted by path."""
        for key in sorted(self._streams):
            stream = self._streams[key]
            if stream.pending_rows:
                stream.encode(stream.pending_rows)
            if stream.part_rows:
                self._write_part(stream)
        self._streams.clear()
        return sorted(self._files, key=lambda file: file.path)

    def _write_part(self, stream: "_Stream") -> None:
        path = paths.part_path(stream.table, self.arm, self.rep, stream.shard, stream.part)
        rows, data = stream.finish_part()
        disk.write_file(self._root / path, data)
        self._files.append(FileRecord(path, rows, len(data), disk.sha256(data)))


class _Stream:
    """The rows of one (table, shard) on their way into part files."""

    def __init__(self, table: str, shard: int) -> None:
        self.table, self.shard, self.part = table, shard, 0
        self.pending: list[pa.Table] = []
        self.pending_rows = 0
        self.part_rows = 0
        self._sink: Any = None
        self._ipc: Any = None

    def encode(self, rows: int) -> None:
        """Move the first ``rows`` pending rows into the open part as one compressed batch."""
        if self._ipc is None:
            self._sink = pa.BufferOutputStream()
            options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
            self._ipc = pa.ipc.new_file(self._sink, SCHEMAS[self.table], options=options)
        joined = pa.concat_tables(self.pending)
        head = joined.slice(0, rows).combine_chunks().to_batches(max_chunksize=rows)
        (batch,) = head
        self._ipc.write_batch(_compact(batch))
        rest = joined.slice(rows)
        self.pending = [rest] if rest.num_rows else []
        self.pending_rows = rest.num_rows
        self.part_rows += rows

    def finish_part(self) -> tuple[int, memoryview]:
        """Close the open part; return its rows and its bytes."""
        self._ipc.close()
        data, rows = memoryview(self._sink.getvalue()), self.part_rows
        self._sink = self._ipc = None
        self.part, self.part_rows = self.part + 1, 0
        return rows, data


def to_table(table: str, rows: Rows) -> pa.Table:
    """Return ``rows`` as an Arrow table of exactly the table's schema (see ``append``)."""
    schema = SCHEMAS[table]
    columns: Mapping[str, Any]
    if isinstance(rows, pa.RecordBatch | pa.Table):
        columns = {name: rows.column(name) for name in rows.schema.names}
    else:
        columns = rows
    if set(columns) != set(schema.names):
        odd = sorted(set(columns) ^ set(schema.names))
        raise ValueError(f"{table}: missing or unknown columns: {', '.join(odd)}")
    arrays = [_column(table, field, columns[field.name]) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _column(table: str, field: pa.Field, values: Any) -> pa.Array:
    try:
        array = _array(field, values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"{table}.{field.name}: {error}") from error
    if array.null_count and not field.nullable:
        raise ValueError(f"{table}.{field.name}: null in a required column")
    return array


def _array(field: pa.Field, values: Any) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.Array):
        return values.cast(field.type)
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
        if not pa.types.is_integer(field.type):
            raise pa.ArrowTypeError(f"integers given for a column of type {field.type}")
        null = values == NULL if values.dtype == np.int64 else None
        if null is not None and null.any():
            return pa.array(values, mask=null).cast(field.type)
        return pa.array(values).cast(field.type)
    return pa.array(values, field.type)


def _compact(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Copy a batch so that offsets, padding and needless bitmaps of its origin cannot reach a file.

    ``take`` always builds fresh buffers from values alone.
    """
    fresh = batch.take(pa.array(np.arange(batch.num_rows, dtype=np.int64)))
    columns = [
        pa.Array.from_buffers(c.type, len(c), [None, *c.buffers()[1:]]) if not c.null_count else c
        for c in fresh.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def column_rows(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Turn a non-empty list of row mappings into columns for ``append``."""
    return {name: [row[name] for row in rows] for name in rows[0]}
