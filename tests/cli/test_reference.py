"""docs/cli.md and docs/policies.md say what the code says."""

from pathlib import Path

import pytest

from engine.enums import Cell
from fleet.cli.reference import cli_markdown, policies_markdown

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize(
    ("name", "text"), [("cli.md", cli_markdown), ("policies.md", policies_markdown)]
)
def test_generated_reference_is_fresh(name: str, text: object) -> None:
    assert callable(text)
    fresh = (DOCS / name).read_text(encoding="utf-8") == text()
    assert fresh, f"docs/{name} is stale: run python -m fleet.cli.reference docs"


def test_policies_reference_has_every_cell_of_every_profile() -> None:
    text = policies_markdown()
    for cell in Cell:
        assert text.count(f"| {cell.name} | ") >= 3
