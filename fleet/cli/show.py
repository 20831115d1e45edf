"""``fleet show``: the memory of one host at a time."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def run(
    host: Annotated[int, typer.Option(help="Host, its place in the inventory.")],
    at: Annotated[str, typer.Option(help="Simulated time: 2h, 1h30m, or 0:33:19.216.")],
    name: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Run (default: newest).")
    ] = None,
    arm: Annotated[str | None, typer.Option(help="Arm (default: the first).")] = None,
    rep: Annotated[int | None, typer.Option(help="Replication (default: the first).")] = None,
    svg: Annotated[Path | None, typer.Option(help="Also draw the map into this file.")] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Take the finished part of an interrupted run.")
    ] = False,
) -> None:
    """Show the memory blocks of a host at a time: zones, pins, what is free, what cannot move.

    The host is replayed from the log and must come out as logged.

    Example: fleet show --host 0 --at 2m
    """
    from fleet.log.disk import replace_file
    from fleet.log.find import find_run
    from fleet.report.blockmap_svg import svg as drawn
    from fleet.why.hostmap import host_map
    from fleet.why.hostmap_told import print_host_map
    from fleet.why.replay import Replay
    from fleet.why.source import open_source
    from fleet.why.times import parse_at

    source = open_source(find_run(name), partial=partial)
    unit = source.unit(arm, rep)
    replay = Replay(source, *unit, source.check_host(host))
    shown = host_map(replay, parse_at(at, replay.plan.horizon_ns))
    print_host_map(shown)
    if svg is not None:
        replace_file(svg, drawn(shown.blocks, shown.title, shown.subtitle).encode())
        print(f"wrote {svg}", file=sys.stderr)
