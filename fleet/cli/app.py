"""The ``fleet`` command: names, errors and exit codes. Commands are imported when they are run.

A command is a module of this package with either a function ``run`` (annotated for typer) or a
``typer.Typer`` named ``app`` (a group). A returned int is the exit code; None means 0.
"""

import gc
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from fleet.cli.folder import check_working_folder
from fleet.errors import FleetError, InputError

EXIT_FAILED, EXIT_BAD_INPUT, EXIT_INTERRUPTED = 1, 2, 130
LOOK_EACH = 500_000
"""New objects after which Python looks for cycles (700 by default)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: its name, the module that holds it, and its purpose in one line."""

    name: str
    module: str
    purpose: str


ENTRIES: tuple[Entry, ...] = (
    Entry("simulate", "simulate", "Run a scenario under its arms and write a run folder."),
    Entry("scenario", "scenario", "List, show, check and start scenarios."),
    Entry("policy", "policy", "List, explain and check kernel profiles, policies and presets."),
    Entry("import", "import_", "Turn real inventories and traces into fleet's own columns."),
    Entry("query", "query", "Answer a shipped question about a run."),
    Entry("sql", "sql", "Run your own SQL over a run's event log."),
    Entry("schema", "schema", "Describe the tables of the event log."),
    Entry("export", "export", "Copy a run's event log to Parquet."),
    Entry("report", "report", "Compare the arms of a run side by side."),
    Entry("explain", "explain", "Tell why a request ended as it did, and what would have helped."),
    Entry("diff", "diff", "Find the first event in which two runs part."),
    Entry("show", "show", "Show the memory blocks of a host at a time, and draw them."),
    Entry("trace", "trace", "Write the run of one host for a trace viewer."),
    Entry("verify", "verify", "Check every file of a run against its manifest."),
    Entry("runs", "runs", "List the runs there are."),
    Entry("validate", "validate", "Replay recorded real-kernel cases and compare."),
    Entry("lab", "lab", "Run own experiments on a simulated host, step by step."),
)
"""Commands in the order of ``fleet --help``; those whose module is absent are not offered."""


class LazyGroup(TyperGroup):
    """The root group: knows every command by name, imports only the one that is run."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Return the names of the commands that exist."""
        return [entry.name for entry in _available()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Import and return one command, None if there is none of that name."""
        entry = next((e for e in _available() if e.name == cmd_name), None)
        return None if entry is None else load(entry)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command to run; an unknown name fails with the nearest known one."""
        names = self.list_commands(ctx)
        if args[0] not in names and not args[0].startswith("-"):
            near = get_close_matches(args[0], names, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"No such command '{args[0]}'{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write names and purposes without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(entry.name, entry.purpose) for entry in _available()])


def _available() -> list[Entry]:
    return [entry for entry in ENTRIES if find_spec(f"fleet.cli.{entry.module}") is not None]


def load(entry: Entry) -> Any:
    """Import a command and return it as typer's command object."""
    module = import_module(f"fleet.cli.{entry.module}")
    if hasattr(module, "app"):
        app = module.app
        app.rich_markup_mode = None
        command: Any = get_group(app)
    else:
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command()(module.run)
        command = get_command(single)
    command.name = entry.name
    return command


def _show_version(asked: bool) -> None:
    if asked:
        print(f"fleet {metadata.version('fleet')}")
        raise typer.Exit


app = typer.Typer(
    cls=LazyGroup, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)


@app.callback(
    epilog="Results go to stdout, talk to stderr. Exit codes: 0 ok, 1 something failed, "
    "2 bad input, 130 interrupted. FLEET_DEBUG=1 shows tracebacks, NO_COLOR=1 removes colour."
)
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Simulate a fleet's memory hot-remove under kernel pinning policies, and compare them."""


@contextmanager
def _rarely_collected() -> Iterator[None]:
    """Have Python look for cycles rarely: commands make few, and keep most of what they make.

    Of the six seconds that ``fleet explain`` took on the real fleet 1.4 went there.
    """
    before = gc.get_threshold()
    gc.set_threshold(LOOK_EACH, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; ``sys.argv[1:]`` by default.
    """
    args = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    try:
        check_working_folder(Path.cwd())
        with _rarely_collected():
            result = get_command(app).main(args, prog_name="fleet", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:
        if os.environ.get("FLEET_DEBUG", "") not in ("", "0"):
            traceback.print_exc()
        return _fail(*_told(error))


def _told(error: Exception) -> tuple[str, int]:
    """Return the line to print for an error, and its exit code."""
    if isinstance(error, InputError):
        return str(error), EXIT_BAD_INPUT
    if isinstance(error, typer.TyperException):
        ctx = getattr(error, "ctx", None)
        path = ctx.command_path if ctx is not None else "fleet"
        reason = error.format_message().replace("Value error, ", "").rstrip(".")
        return f"{path}: {reason} (see '{path} --help')", EXIT_BAD_INPUT
    if isinstance(error, FleetError):
        return str(error), EXIT_FAILED
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}", EXIT_FAILED
    kind = type(error).__name__
    return f"fleet: unexpected {kind}: {error} (FLEET_DEBUG=1 shows where)", EXIT_FAILED


def _fail(line: str, code: int) -> int:
    print(" ".join(line.split()), file=sys.stderr)
    return code
