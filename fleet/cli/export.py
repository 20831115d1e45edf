"""``fleet export``: the event log as Parquet, for tools that do not read Arrow."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from fleet.errors import InputError


def run(
    parquet: Annotated[Path, typer.Option(help="Folder to make, one .parquet file per table.")],
    name: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Run (default: newest).")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Take the finished part of an interrupted run.")
    ] = False,
) -> None:
    """Copy a run's event log to Parquet files with arm, rep and shard as columns.

    Example: fleet export --parquet events-parquet
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from fleet.log import disk
    from fleet.log.find import find_run
    from fleet.report.opening import as_input_errors, open_catalog

    if parquet.exists() and (not parquet.is_dir() or any(parquet.iterdir())):
        raise InputError("exists and is not an empty folder", where=str(parquet))
    with as_input_errors():
        catalog = open_catalog([find_run(name)], partial=partial)
        for table in catalog.columns:
            rows = catalog.rows(table)
            sink = pa.BufferOutputStream()
            pq.write_table(rows, sink, compression="zstd")
            target = parquet / f"{table}.parquet"
            disk.write_file(target, memoryview(sink.getvalue()))
            print(f"{target}  {rows.num_rows:,} rows", file=sys.stderr)
