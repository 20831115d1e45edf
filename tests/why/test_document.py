"""docs/explain.md shows what its two commands print today."""

import re
from pathlib import Path

import pytest

from fleet.cli.app import main

DOCUMENT = Path(__file__).parents[2] / "docs" / "explain.md"


def words(text: str) -> list[str]:
    """Words without the rules of tables, whose width is the terminal's."""
    return re.sub("─+", "", text).split()


@pytest.mark.slow
def test_the_sample_is_what_its_commands_print(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"```\n(.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)
    commands, shown = blocks[0].splitlines(), blocks[1]
    assert [line.split()[:2] for line in commands] == [["fleet", "simulate"], ["fleet", "explain"]]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "132")
    assert main([*commands[0].split()[1:], "--quiet"]) == 0
    capsys.readouterr()
    assert main(commands[1].split()[1:]) == 0
    assert words(capsys.readouterr().out) == words(shown)
