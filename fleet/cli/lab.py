"""``fleet lab``: own experiments on a simulated host."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fleet.cli.engines import EngineName, engine_class
from fleet.errors import InputError


class ScriptGroup(TyperGroup):
    """``fleet lab SCRIPT`` is short for ``fleet lab run SCRIPT``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``run`` before what is no subcommand."""
        if args and args[0] not in {*self.commands, "--help"}:
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=ScriptGroup,
    help="Run own experiments on a simulated host: fleet lab SCRIPT (short for fleet lab run).",
)


class Format(StrEnum):
    """Output formats."""

    TABLE = "table"
    JSON = "json"


Source = Annotated[str, typer.Argument(help="Script file, or name of a shipped script.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Lay a value over a field; repeatable."),
]
Policies = Annotated[
    list[Path] | None,
    typer.Option("--policy", metavar="FILE", help="Own policy that arms may name; repeatable."),
]


@app.command()
def run(
    script: Source,
    compare: Annotated[
        str | None, typer.Option(metavar="A,B", help="Arms instead of the script's, side by side.")
    ] = None,
    sets: Sets = None,
    engine: Annotated[EngineName, typer.Option(help="Engine to run on.")] = EngineName.FAST,
    policies: Policies = None,
    fmt: Annotated[Format, typer.Option("--format", help="table or json.")] = Format.TABLE,
) -> int:
    """Run a script and say step by step what happened, with maps of the memory blocks.

    An arm is [PROFILE:]PIN+OFFLINE[@SIZING], or a profile alone (its plain kernel). Exit code 1
    when an expectation of the script does not come true.

    Example: fleet lab run hang --compare linux-5.10,linux-6.1
    """
    from fleet.lab.script.load import load_script
    from fleet.lab.script.run import run_script
    from fleet.lab.script.show import as_json, print_script
    from policies.models import PolicyError

    loaded = load_script(script, sets or [], [str(file) for file in policies or []])
    arms = _arms(compare) if compare is not None else list(loaded.script.arms)
    factory = engine_class(engine)
    try:
        runs = [run_script(loaded, arm, factory) for arm in arms]
    except PolicyError as error:
        raise InputError(str(error), where="--compare") from error
    if fmt is Format.JSON:
        print(json.dumps(as_json(loaded, runs), indent=2))
    else:
        print_script(loaded, runs)
    unmet = sum(len(run.unmet) for run in runs)
    if unmet:
        print(f"{script}: {unmet} expectation(s) did not come true", file=sys.stderr)
    return int(unmet > 0)


@app.command("list")
def list_scripts(
    output: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.TABLE,
) -> None:
    """List the shipped scripts in the order in which they tell their story.

    Example: fleet lab list
    """
    from fleet.lab.script.load import load_script, shipped

    rows = [{"name": name, "title": load_script(name).script.title} for name in shipped()]
    if output is Format.JSON:
        print(json.dumps(rows, indent=2))
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        print(f"{row['name']:<{width}}  {row['title']}")


@app.command()
def show(script: Source) -> None:
    """Print a script as it is written.

    Example: fleet lab show hang
    """
    from fleet.lab.script.load import find_script

    print(find_script(script).read_text("utf-8"), end="")


@app.command()
def check(script: Source, sets: Sets = None, policies: Policies = None) -> None:
    """Validate a script without running it.

    Example: fleet lab check hang
    """
    from fleet.lab.script.load import load_script

    loaded = load_script(script, sets or [], [str(file) for file in policies or []])
    print(f"{loaded.name}: ok, {len(loaded.script.steps)} steps", file=sys.stderr)


@app.command()
def schema() -> None:
    """Print the JSON schema of script files.

    Example: fleet lab schema
    """
    from fleet.lab.script.models import Script

    print(json.dumps(Script.model_json_schema(by_alias=True), indent=2))


def _arms(text: str) -> list[str]:
    """Arms of ``--compare``."""
    arms = [arm.strip() for arm in text.split(",")]
    if not all(arms) or len(set(arms)) < len(arms):
        raise InputError("needs different arms with commas between them", where="--compare")
    return arms
