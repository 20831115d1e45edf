"""``fleet runs``: what there is."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def run(
    folder: Annotated[Path, typer.Argument(help="Where to look.")] = Path("runs"),
    form: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
) -> None:
    """List runs, newest first: state, arms, replications, rows, size.

    Example: fleet runs
    """
    import pyarrow as pa

    from fleet.log.find import list_runs
    from fleet.report.opening import output_format
    from fleet.report.show import show

    shown = output_format(form)
    found = list_runs(folder)
    if not found:
        print(f"no runs under {folder}/; fleet simulate makes one", file=sys.stderr)
    columns = {
        "run": pa.array([run.path.name for run in found], pa.string()),
        "state": pa.array([run.state for run in found], pa.string()),
        "arms": pa.array([run.arms for run in found], pa.int64()),
        "replications": pa.array([run.replications for run in found], pa.int64()),
        "units_done": pa.array([run.units_done for run in found], pa.int64()),
        "seed": pa.array([str(run.seed) for run in found], pa.string()),
        "rows": pa.array([run.rows for run in found], pa.int64()),
        "bytes": pa.array([run.bytes for run in found], pa.int64()),
    }
    if found or shown.value != "table":
        show(pa.table(columns), shown)
