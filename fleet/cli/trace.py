"""``fleet trace``: one host's run for a trace viewer."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def run(
    host: Annotated[int, typer.Option(help="Host, its place in the inventory.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write, JSON.")],
    name: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Run (default: newest).")
    ] = None,
    arm: Annotated[str | None, typer.Option(help="Arm (default: the first).")] = None,
    rep: Annotated[int | None, typer.Option(help="Replication (default: the first).")] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Take the finished part of an interrupted run.")
    ] = False,
) -> None:
    """Write the run of one host as a trace for ui.perfetto.dev or chrome://tracing.

    Removals with their passes, probes, pins, workloads, incidents, decisions of the controller, and
    counters of free and pinned pages. The host is replayed and must come out as logged.

    Example: fleet trace --host 0 -o host0.json
    """
    from fleet.log.disk import replace_file
    from fleet.log.find import find_run
    from fleet.why.replay import Replay
    from fleet.why.source import open_source
    from fleet.why.trace import to_bytes, trace

    source = open_source(find_run(name), partial=partial)
    unit = source.unit(arm, rep)
    found = trace(Replay(source, *unit, source.check_host(host)))
    replace_file(out, to_bytes(found))
    print(f"wrote {out}: {len(found['traceEvents']):,} events", file=sys.stderr)
