"""Every command says its purpose in one line and gives an example, and every example runs."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from fleet.cli.app import app, main
from tests.inputs.test_importers import folder as azure_folder
from tests.lab import cases

LIGHTER = {
    "fleet simulate quickstart": "--inline --set hosts.total=4 --set removals.count=2"
    " --set probes.count=2 --set horizon=5m",
    "fleet policy check deny": "--sequences 2",
}
"""What tests add to an example, so that it takes a second."""
NODES = "sn,cpu_milli,memory_mib,gpu,model\nopenb-node-0000,64000,262144,2,P100\n"


def leaves(command: Any, parent: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield path and help text of every command that does something."""
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    if hasattr(command, "list_commands"):
        for sub in command.list_commands(context):
            yield from leaves(command.get_command(context, sub), context, sub)
    else:
        yield context.command_path, command.help or ""


COMMANDS = dict(leaves(get_command(app), None, "fleet"))


def example_of(text: str) -> str:
    found = re.search(r"Examples?:\s+(fleet .*)", text)
    return found[1].strip() if found else ""


@pytest.fixture(scope="module")
def folder(cookbook_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a run and the input files that examples name."""
    place = tmp_path_factory.mktemp("examples")
    (place / "runs").mkdir()
    (place / "runs" / "quickstart").symlink_to(cookbook_run)
    (place / "openb_node_list_all_node.csv").write_text(NODES)
    (place / "azure-folder").mkdir()
    azure_folder(place / "azure-folder")
    (place / "cases.jsonl").write_text(cases.text(cases.pin_line()))
    return place


@pytest.mark.parametrize("path", COMMANDS)
def test_a_command_says_what_it_is_for(path: str) -> None:
    first = COMMANDS[path].strip().split("\n\n")[0]
    assert first.endswith("."), path
    assert "\n" not in first, f"{path}: the purpose is one line"
    assert example_of(COMMANDS[path]).startswith(path), f"{path}: no example"


@pytest.mark.parametrize("path", COMMANDS)
def test_its_example_runs(path: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    example = example_of(COMMANDS[path])
    words = shlex.split(f"{example} {LIGHTER.get(example, '')}")
    assert main(words[1:]) == 0, example
