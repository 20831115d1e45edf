"""``fleet scenario``: shipped and own scenarios."""

import json
import os
import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fleet.errors import InputError
from fleet.scenario.load import find_scenario, load_scenario, resolve, shipped
from fleet.scenario.scenario import Scenario

app = typer.Typer(help="List, show, check and start scenarios.")

Source = Annotated[str, typer.Argument(help="Scenario file, or name of a shipped scenario.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Lay a value over a field; repeatable."),
]


class Format(StrEnum):
    """Output formats."""

    TABLE = "table"
    JSON = "json"


def _headline(file: Path) -> str:
    """Return the first comment of a scenario file, without its name."""
    first = file.read_text("utf-8").partition("\n")[0].lstrip("# ")
    return first.removeprefix(f"{file.stem}: ")


@app.command("list")
def list_scenarios(
    output: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.TABLE,
) -> None:
    """List the shipped scenarios.

    Example: fleet scenario list
    """
    rows = [{"name": name, "question": _headline(file)} for name, file in shipped().items()]
    if output is Format.JSON:
        print(json.dumps(rows, indent=2))
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        print(f"{row['name']:<{width}}  {row['question']}")


@app.command()
def show(
    source: Source,
    sets: Sets = None,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Validate and write every default out.")
    ] = False,
) -> None:
    """Print a scenario: as it is written, or with --resolved as it is understood.

    Example: fleet scenario show quickstart --resolved
    """
    if resolved or sets:
        print(resolve(load_scenario(source, sets or [])), end="")
        return
    print(find_scenario(source).read_text("utf-8"), end="")


@app.command()
def check(source: Source, sets: Sets = None) -> None:
    """Validate a scenario with its input files and print what a run of it holds.

    Example: fleet scenario check quickstart --set horizon=2h
    """
    from fleet.cli.steady import steady_lines
    from fleet.plan.build import build_plan
    from fleet.scenario.units import format_duration

    scenario = load_scenario(source, sets or [])
    plan = build_plan(scenario)
    probes = int(plan.requests.probe.sum())
    pages = int(plan.hosts.memory_pages.sum())
    lines = {
        "scenario": scenario.name,
        "arms": str(len(scenario.arms)),
        "replications": str(scenario.replications),
        "horizon": format_duration(scenario.horizon_ns),
        "hosts": f"{len(plan.hosts)} with {pages / 2**28:.2f} TiB",
        "workloads": f"{len(plan.workloads)}, {int((plan.workloads.age_ns > 0).sum())} of them "
        "residents of time zero",
        "holds": str(len(plan.holds)),
        "requests": f"{len(plan.requests) - probes} removals, {probes} probes",
    }
    assert plan.steady is not None
    lines |= steady_lines(plan.steady, scenario.workloads.trace is not None)
    for name, text in lines.items():
        print(f"{name:<12}  {text}")
    print(f"{scenario.name}: ok", file=sys.stderr)


@app.command()
def init(
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write; must not exist.")],
    name: Annotated[
        str | None, typer.Option(help="Name of the scenario; default the file's name.")
    ] = None,
    source: Annotated[
        str, typer.Option("--from", help="Shipped scenario to start from.")
    ] = "quickstart",
) -> None:
    """Start an own scenario as a copy of a shipped one, comments and all.

    Example: fleet scenario init -o my-fleet.yaml --from quickstart
    """
    if source not in shipped():
        known = ", ".join(shipped())
        raise InputError(f"no such shipped scenario (shipped: {known})", where="--from")
    text = shipped()[source].read_text("utf-8")
    mine = name or out.stem
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", mine):
        raise InputError(f"not a name: {mine!r} (letters, digits, '.', '-', '_')", where="--name")
    text = re.sub(r"(?m)^name: .*$", f"name: {mine}", text, count=1)
    try:
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "w") as stream:
            stream.write(text)
    except OSError as error:
        raise InputError(error.strerror or "cannot be written", where=str(out)) from None
    print(f"{out}: a copy of {source}; next: fleet scenario check {out}", file=sys.stderr)


@app.command()
def schema() -> None:
    """Print the JSON schema of scenario files.

    Example: fleet scenario schema
    """
    print(json.dumps(Scenario.model_json_schema(by_alias=True), indent=2))
