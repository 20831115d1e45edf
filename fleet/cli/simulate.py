"""``fleet simulate``: run a scenario under its arms and write a run folder."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.errors import InputError

if TYPE_CHECKING:
    from fleet.run.runner import Finished, Settings
    from fleet.scenario.scenario import Scenario


def run(
    scenario: Annotated[str, typer.Argument(help="Scenario file, or the name of a shipped one.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Run folder (default runs/<name>-<hash>).")
    ] = None,
    arms: Annotated[
        str | None, typer.Option(metavar="A,B", help="Arms instead of the scenario's.")
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change a field of the scenario."),
    ] = None,
    policies: Annotated[
        list[Path] | None,
        typer.Option("--policy", metavar="FILE", help="Own policy that arms may name (repeat)."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed instead of the scenario's.")] = None,
    replications: Annotated[
        int | None, typer.Option(help="Replications instead of the scenario's.")
    ] = None,
    until_ci: Annotated[
        str | None,
        typer.Option(
            metavar="HALF_WIDTH",
            help="Add replications until every difference of hang rates is known to this, as 1%.",
        ),
    ] = None,
    actors: Annotated[
        int | None, typer.Option(min=1, help="Ray actors (default: one per CPU).")
    ] = None,
    hosts_per_actor: Annotated[
        int | None, typer.Option(min=1, help="Hosts per actor instead; 1: a process per host.")
    ] = None,
    inline: Annotated[
        bool, typer.Option("--inline", help="No Ray: all hosts in this process.")
    ] = False,
    address: Annotated[
        str | None, typer.Option(help="Ray cluster to use, such as 10.0.0.1:6379.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted run.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would take, run nothing.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Simulate every arm of a scenario on the same demands and log every event.

    Example: fleet simulate quickstart
    """
    from fleet.report.stopping import rule_of
    from fleet.run.progress import Talk
    from fleet.run.runner import Settings, simulate
    from fleet.scenario.load import load_scenario

    _refuse_contradictions(actors, hosts_per_actor, inline, address)
    options: dict[str, tuple[str, object]] = {}
    if arms is not None:
        options["--arms"] = ("arms", [arm.strip() for arm in arms.split(",")])
    if seed is not None:
        options["--seed"] = ("seed", seed)
    if replications is not None:
        options["--replications"] = ("replications", replications)
    if until_ci is not None:
        options["--until-ci"] = ("until_ci.half_width", until_ci)
    loaded = load_scenario(scenario, sets or (), options, [str(file) for file in policies or ()])
    settings = Settings(out, actors, hosts_per_actor, inline, address, resume)
    if dry_run:
        _say_size(loaded, settings)
        return
    with Talk(quiet) as talk:
        finished = simulate(loaded, settings, talk, rule_of(loaded))
    _say_result(loaded, finished)


def _refuse_contradictions(
    actors: int | None, hosts_per_actor: int | None, inline: bool, address: str | None
) -> None:
    """Raise InputError for options that exclude each other."""
    if actors is not None and hosts_per_actor is not None:
        raise InputError("give either --actors or --hosts-per-actor", where="--hosts-per-actor")
    for label, given in (
        ("--actors", actors is not None),
        ("--hosts-per-actor", hosts_per_actor is not None),
        ("--address", address is not None),
    ):
        if inline and given:
            raise InputError("does not go with --inline", where=label)


def _say_size(scenario: "Scenario", settings: "Settings") -> None:
    """Print what a run would take."""
    import os

    from fleet.cli.steady import steady_lines
    from fleet.inputs.inventory import read_inventory
    from fleet.inputs.trace import read_trace
    from fleet.plan.estimate import available_bytes, estimate, refuse_if_too_large

    inventory, trace = scenario.hosts.inventory, scenario.workloads.trace
    try:
        size = estimate(
            scenario,
            read_inventory(inventory) if inventory else None,
            read_trace(trace) if trace else None,
        )
    except InputError as error:
        raise scenario.locate(error) from None
    cores = 1 if settings.inline else len(os.sched_getaffinity(0))
    rows = {
        "hosts": f"{size.hosts:,} ({size.memory_pages / 2**28:,.1f} TiB)",
        "workloads": f"{size.workloads:,}",
        **steady_lines(size.steady, trace is not None),
        "short references": f"{size.holds:,}",
        "requests": f"{size.requests:,}",
        "arms x replications": _units(scenario),
        "memory": f"about {size.total_bytes / 2**30:.1f} GiB",
        "time": f"about {max(1, round(size.seconds / 60 / cores))} min on {cores} cores",
    }
    for name, value in rows.items():
        print(f"{name:<20} {value}")
    refuse_if_too_large(size, available_bytes())


def _units(scenario: "Scenario") -> str:
    """Arms and replications; of a run that grows from where to where."""
    most = "" if scenario.until_ci is None else f" to {scenario.until_ci.limit}"
    return f"{len(scenario.arms)} x {scenario.replications}{most}"


def _say_result(scenario: "Scenario", finished: "Finished") -> None:
    """Print one line per arm, the verdict, where the run is and what to ask next."""
    from fleet.api import open_run
    from fleet.report.show import print_text

    if finished.was_complete:
        print(f"{finished.path} is complete already", file=sys.stderr)
    width = max(len("arm"), *(len(arm) for arm in scenario.arms))
    heads = ("requests", "hung", "hang rate", "moved at pin", "at offline", "pins failed", "OOM")
    print(f"{'arm':<{width}}  " + "  ".join(f"{head:>12}" for head in heads))
    for arm in dict.fromkeys(arm for arm, _ in finished.tallies):
        units = [tally for (name, _), tally in finished.tallies.items() if name == arm]
        requests, hung = sum(t.requests for t in units), sum(t.hung for t in units)
        cells = (
            f"{requests:,}",
            f"{hung:,}",
            f"{100 * hung / requests:.1f} %" if requests else "-",
            f"{sum(t.pin_pages for t in units) / 2**18:,.2f} GiB",
            f"{sum(t.offline_pages for t in units) / 2**18:,.2f} GiB",
            f"{sum(t.pin_failures for t in units):,}",
            f"{sum(t.oom_kills for t in units):,}",
        )
        print(f"{arm:<{width}}  " + "  ".join(f"{cell:>12}" for cell in cells))
    if scenario.until_ci is not None:
        _say_precision(scenario, finished)
    print()
    print_text(open_run(finished.path).verdict(), style="bold")
    print(f"\nrun   {finished.path}\nnext  fleet report {finished.path}")


def _say_precision(scenario: "Scenario", finished: "Finished") -> None:
    """Print how many replications it took, or that the limit came first."""
    from fleet.report.stopping import rule_of
    from fleet.run.looks import Look

    until, rule = scenario.until_ci, rule_of(scenario)
    assert until is not None
    assert rule is not None
    reps = sorted({rep for _, rep in finished.tallies})
    arms = list(dict.fromkeys(arm for arm, _ in finished.tallies))
    looks = [
        {arm: Look.from_json(finished.tallies[arm, rep].look or {}) for arm in arms} for rep in reps
    ]
    reached = "after" if rule(looks) else "not reached after"
    wanted = f"{until.half_width_millionths / 10**4:g} points"
    print(f"\nhalf-width of {wanted} {reached} {len(reps):,} replications")
