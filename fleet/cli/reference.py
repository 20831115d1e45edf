"""Writes docs/cli.md and docs/policies.md: ``python -m fleet.cli.reference DOCS_FOLDER``."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from engine.enums import Cell
from fleet.cli.app import app
from fleet.cli.policy import KINDS
from policies.cells import CELL_DOCS
from policies.models import Setting, Settings
from policies.offlines import OFFLINE_POLICIES
from policies.pins import HONOURS, PIN_POLICIES
from policies.profiles import PROFILES

_GENERATED = "<!-- written by `python -m fleet.cli.reference docs`; do not edit -->"
_WIDTH = 100


def cli_markdown() -> str:
    """Return the reference of all commands: what each one's ``--help`` says."""
    root: Any = get_command(app)
    parts = ["# Command line", _GENERATED, *_command(root, None, "fleet")]
    return "\n\n".join(parts) + "\n"


def _command(command: Any, parent: Any, name: str) -> Iterator[str]:
    """Yield heading and help of a command and of its subcommands."""
    context = command.make_context(
        name, [], parent=parent, resilient_parsing=True, terminal_width=_WIDTH,
        max_content_width=_WIDTH,
    )  # fmt: skip
    level = "##" if parent is None else "###" if parent.parent is None else "####"
    yield f"{level} {context.command_path}"
    yield f"```\n{command.get_help(context).rstrip()}\n```"
    subcommands = command.list_commands(context) if hasattr(command, "list_commands") else []
    for sub in subcommands:
        yield from _command(command.get_command(context, sub), context, sub)


def policies_markdown() -> str:
    """Return the reference of profiles, policies, presets and their cells."""
    parts = [
        "# Profiles, policies and presets",
        _GENERATED,
        "An arm is written `PIN+OFFLINE[@SIZING]`, for example `linux-5.13+unbounded@movable-75`."
        " The profile fills every cell of the decision table; the pin policy and the offline policy"
        " override the cells listed under them; the sizing preset says how much memory is in"
        " ZONE_MOVABLE.",
        *(_listing(kind) for kind in KINDS),
        "`timeout-DURATION` (`ms`, `s`, `min`, `h`, up to a day) and `movable-N` (0 to 90 per cent)"
        " are understood for every value. `PIN-loses-PATH[-PATH]` is PIN with the long-term flag"
        f" lost on fault paths ({', '.join(f'`{path}`' for path in HONOURS)}), for example"
        " `fault-aware-loses-thp`; `reserved-pool-N` keeps N per cent of the kernel zones.",
        "## Cells",
        _table("cell", "meaning", [(cell.name, CELL_DOCS[cell].meaning) for cell in Cell]),
    ]
    for title, owners in (
        ("profile", PROFILES),
        ("pin policy", PIN_POLICIES),
        ("offline policy", OFFLINE_POLICIES),
    ):
        for owner in owners:
            parts += [
                f"## {title} {owner.name}",
                owner.summary[0].upper() + owner.summary[1:] + ".",
            ]
            if owner.settings:
                parts.append(_settings(owner.settings))
    return "\n\n".join(parts) + "\n"


def _listing(kind: str) -> str:
    return _table(kind, "summary", [(f"`{i.name}`", i.summary) for i in KINDS[kind]])


def _table(first: str, second: str, rows: list[tuple[str, str]]) -> str:
    head = [f"| {first} | {second} |", "| --- | --- |"]
    return "\n".join(head + [f"| {a} | {b} |" for a, b in rows])


def _settings(settings: Settings) -> str:
    def row(cell: Cell, setting: Setting) -> str:
        return f"| {cell.name} | {CELL_DOCS[cell].show(setting.value)} | {setting.source} |"

    head = ["| cell | value | source |", "| --- | --- | --- |"]
    return "\n".join(head + [row(cell, setting) for cell, setting in settings.items()])


def main(folder: str) -> None:
    """Write both references into ``folder``."""
    for name, text in (("cli.md", cli_markdown()), ("policies.md", policies_markdown())):
        Path(folder, name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
