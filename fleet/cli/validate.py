"""``fleet validate``: replay recorded real-kernel cases and compare."""

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleet.cli.engines import EngineName, engine_class
from fleet.errors import InputError

if TYPE_CHECKING:
    from fleet.lab.validate import Progress, Summary


class Format(StrEnum):
    """Output formats."""

    TABLE = "table"
    JSON = "json"


def run(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE...]", help="Recorded cases, JSONL.")
    ] = None,
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
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes (default: one per CPU).")
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Compare costs with published measurements instead.")
    ] = False,
    fmt: Annotated[Format, typer.Option("--format", help="table or json.")] = Format.TABLE,
) -> int:
    """Replay recorded real-kernel cases and say where they agree, and every disagreement.

    Beside each class stands a null model that says everything succeeds. Exit code 1 when a
    disagreement is not in the list of known ones (docs/fidelity.md), a class is below --require, or
    a selected line could not be replayed; such lines are listed, never skipped.

    With --published and no file, run the experiments behind published tables of costs in the
    engine and print measured, simulated and error of every cell, and whether it was fitted or
    predicted; exit code 1 when a limit of docs/costs.md is broken.

    Example: fleet validate cases.jsonl --kernel 6.1
    """
    if published:
        return _published(files, fmt)
    if not files:
        raise InputError("a file of recorded cases is missing", field="FILE")
    from fleet.lab import report
    from fleet.lab.validate import validate

    summary = validate(
        files,
        engine_class(engine),
        _tables(profile),
        kernel or (),
        case or (),
        _progress(),
        jobs or os.cpu_count() or 1,
    )
    if not summary.by_class() and not summary.errors:
        raise InputError("no case was selected", where=" ".join(map(str, files)))
    if fmt is Format.JSON:
        print(json.dumps(report.as_json(summary), indent=2))
    else:
        print(report.as_text(summary))
    problems = [*_low(summary, require)]
    if new := report.unlisted(summary):
        problems.append(f"{len(new)} disagreements are not in the list of docs/fidelity.md")
    if summary.errors:
        problems.append(f"{len(summary.errors)} lines could not be replayed")
    for problem in problems:
        print(problem, file=sys.stderr)
    return int(bool(problems))


def _published(files: list[Path] | None, fmt: Format) -> int:
    """Compare costs with published measurements."""
    if files:
        raise InputError("takes no recorded cases", field="--published")
    from fleet.lab.published.report import as_json, as_text, published

    found = published()
    print(json.dumps(as_json(found), indent=2) if fmt is Format.JSON else as_text(found))
    return int(not found.holds)


def _low(summary: "Summary", require: int) -> list[str]:
    """Say which classes agree too seldom."""
    from fleet.lab.validate import agreement

    classes = summary.by_class()
    low = [name for name, found in classes.items() if 100 * agreement(found) < require]
    return [f"below {require} %: {', '.join(low)}"] if low else []


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


def _progress() -> "Progress":
    """Show one line that changes on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda _done, _all: None

    def show(done: int, total: int) -> None:
        end = "\r\033[K" if done == total else ""
        print(f"\r{done} of {total} cases{end}", end="", file=sys.stderr, flush=True)

    return show
