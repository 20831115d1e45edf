"""``fleet report``: the comparison of a run's arms."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from fleet.errors import InputError


def run(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help="Runs to compare (default: the newest)."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as one HTML file, too.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
) -> None:
    """Compare the arms of a run side by side: hangs, costs, failures, what applications lost.

    With several runs, all their arms; they must have had the same demands.

    Example: fleet report --html report.html
    """
    from fleet.log.disk import write_file
    from fleet.log.find import find_run
    from fleet.report.figures import collect
    from fleet.report.opening import as_input_errors, open_catalog, output_format
    from fleet.report.show import Format

    shown = output_format(form, csv=False)
    if html is not None and html.is_dir():
        raise InputError("is a folder, not a file", where=str(html))
    with as_input_errors():
        folders = [find_run(name) for name in names] if names else [find_run(None)]
        catalog = open_catalog(folders, partial=False)
        figures = collect(catalog)
        if html is not None:
            from fleet.report.html.page import page

            data = page(catalog, figures)
            write_file(html, data)
            print(f"{html}  {len(data) / 1024:,.0f} KiB", file=sys.stderr)
    if shown is Format.JSON:
        from fleet.report.verdict import verdict

        print(json.dumps({"verdict": verdict(figures), **figures}, indent=1, ensure_ascii=False))
        return
    from fleet.report.terminal import print_report

    print_report(figures)
