"""``fleet validate``: replay recorded real-kernel cases and compare."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from fleet.errors import InputError


class Format(StrEnum):
    """Output formats."""

    TABLE = "table"
    JSON = "json"


class EngineName(StrEnum):
    """The two engines."""

    FAST = "fast"
    REFERENCE = "reference"


def run(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Recorded cases, JSONL.")],
    kernel: Annotated[
        list[str] | None, typer.Option(help="Only cases of this kernel (may be repeated).")
    ] = None,
    case: Annotated[
        list[str] | None, typer.Option(help="Only cases whose id matches this pattern (repeat).")
    ] = None,
    profile: Annotated[
        str, typer.Option(help="Replay every case under this profile, not its own kernel's.")
    ] = "",
    require: Annotated[
        int, typer.Option(help="Fail when a class agrees in fewer than this percentage.")
    ] = 0,
    engine: Annotated[EngineName, typer.Option(help="Engine to replay on.")] = EngineName.FAST,
    fmt: Annotated[Format, typer.Option("--format", help="table or json.")] = Format.TABLE,
) -> int:
    """Replay recorded real-kernel cases and print agreement per class and every disagreement.

    Exit code 1 when a selected line could not be replayed (no profile for its kernel, an
    operation that is unknown or not supported) or a class is below --require; those lines are
    listed, never skipped. Disagreements alone do not fail.

    Example: fleet validate cases.jsonl --kernel 6.1
    """
    from fleet.lab import report

    summary = report.validate(
        files,
        _factory(engine),
        _tables(profile),
        kernel or (),
        case or (),
        _progress(),
    )
    if not summary.by_class() and not summary.errors:
        raise InputError("no case was selected", where=" ".join(map(str, files)))
    if fmt is Format.JSON:
        print(json.dumps(report.as_json(summary), indent=2))
    else:
        print(report.as_text(summary))
    low = [
        name
        for name, found in summary.by_class().items()
        if 100 * report.agreement(found) < require
    ]
    if low:
        print(f"below {require} %: {', '.join(low)}", file=sys.stderr)
    if summary.errors:
        print(f"{len(summary.errors)} lines could not be replayed", file=sys.stderr)
    return int(bool(low or summary.errors))


def _factory(engine: EngineName) -> Any:
    """The class of an engine."""
    if engine is EngineName.REFERENCE:
        from engine.reference.host import ReferenceHost

        return ReferenceHost
    from engine.host import Host

    return Host


def _tables(profile: str) -> Any:
    """A function from a case's kernel to the decision table to replay under."""
    from engine.table import make_table
    from policies.models import PolicyError
    from policies.profiles import PROFILES
    from policies.registry import profile as find

    def table(name: str) -> Any:
        return make_table({cell: int(s.value) for cell, s in find(name).settings.items()})

    if profile:
        try:
            chosen = table(profile)
        except PolicyError as error:
            raise InputError(str(error), field="--profile") from error
        return lambda _kernel: chosen
    known = {p.name.removeprefix("linux-"): table(p.name) for p in PROFILES}
    return known.get


def _progress() -> Any:
    """Show one line that grows on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda _: None
    count = 0

    def show(_: object) -> None:
        nonlocal count
        count += 1
        print(f"\r{count} cases", end="", file=sys.stderr, flush=True)

    return show
