"""``fleet report``: the comparison of a run's arms."""

import json
from typing import Annotated

import typer


def run(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help="Runs to compare (default: the newest)."),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
) -> None:
    """Compare the arms of a run side by side: hangs, costs, failures, what applications lost.

    With several runs, all their arms; they must have had the same demands.

    Example: fleet report --format json
    """
    from fleet.log.find import find_run
    from fleet.report.figures import collect
    from fleet.report.opening import as_input_errors, open_catalog, output_format
    from fleet.report.show import Format

    shown = output_format(form, csv=False)
    with as_input_errors():
        folders = [find_run(name) for name in names] if names else [find_run(None)]
        catalog = open_catalog(folders, partial=False)
        figures = collect(catalog)
    if shown is Format.JSON:
        from fleet.report.verdict import verdict

        print(json.dumps({"verdict": verdict(figures), **figures}, indent=1, ensure_ascii=False))
        return
    from fleet.report.terminal import print_report

    print_report(figures)
