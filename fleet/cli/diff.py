"""``fleet diff``: where two runs part."""

import json
from typing import Annotated

import typer


def run(
    a: Annotated[str, typer.Argument(metavar="RUN-A", help="A run.")],
    b: Annotated[str, typer.Argument(metavar="RUN-B", help="Another run.")],
    form: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
    partial: Annotated[
        bool, typer.Option("--partial", help="Take the finished part of interrupted runs.")
    ] = False,
) -> int:
    """Find the first event in which two runs part, with what came before, and what changed in sum.

    Units (arm and replication) that both runs have are compared. Exit code 0 when the events of
    both runs are the same, 1 when they differ.

    Example: fleet diff quickstart quickstart
    """
    from fleet.log.find import find_run
    from fleet.report.opening import output_format
    from fleet.report.show import Format
    from fleet.why.difference_told import difference, print_difference
    from fleet.why.source import open_source

    shown = output_format(form, csv=False)
    one, other = (open_source(find_run(name), partial=partial) for name in (a, b))
    facts = difference(one, other)
    if shown is Format.JSON:
        print(json.dumps(facts, indent=1, ensure_ascii=False))
    else:
        print_difference(facts)
    return 0 if facts["same_events"] else 1
