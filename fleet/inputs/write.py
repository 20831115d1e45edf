"""Writing inventories and traces in the documented columns."""

import csv
import os
from pathlib import Path
from typing import Any

from fleet.errors import InputError


def write_table(columns: dict[str, list[Any]], out: str) -> None:
    """Write columns to CSV or Parquet (by the ending), whole or not at all.

    Raises
    ------
    InputError
        If the ending is neither, or the folder cannot be written.
    """
    target = Path(out)
    ending = target.suffix.lower()
    if ending not in (".csv", ".parquet"):
        raise InputError("want a .csv or .parquet file", where=out)
    hidden = target.with_name(f".{target.name}.tmp")
    try:
        (_write_csv if ending == ".csv" else _write_parquet)(columns, hidden)
        os.replace(hidden, target)
    except OSError as error:
        hidden.unlink(missing_ok=True)
        raise InputError(error.strerror or "cannot be written", where=out) from None


def _write_csv(columns: dict[str, list[Any]], file: Path) -> None:
    with open(file, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def _write_parquet(columns: dict[str, list[Any]], file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open(file, "wb") as stream:
        pq.write_table(pa.table(columns), stream, compression="zstd")
