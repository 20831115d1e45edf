"""docs/cookbook.md: every question is asked again, every answer compared."""

from pathlib import Path

import pytest

from fleet.api import open_run
from fleet.api.cookbook import answered, make_run, questions
from tests.conftest import COOKBOOK

FINDINGS = COOKBOOK.with_name("findings.md")


def test_there_are_enough_questions() -> None:
    text = COOKBOOK.read_text(encoding="utf-8")
    assert len(questions(text)) >= 25
    assert text.count("\n### ") == len(questions(text))


def test_every_answer_is_what_the_run_says(cookbook_run: Path) -> None:
    text = COOKBOOK.read_text(encoding="utf-8")
    with open_run(cookbook_run).session() as run:
        again = answered(text, run)
    assert again.splitlines() == text.splitlines(), (
        "stale: run python -m fleet.api.cookbook docs/cookbook.md"
    )


def test_findings_ask_what_can_be_asked(cookbook_run: Path) -> None:
    """Their own run takes a minute (below); here their questions are put to another."""
    run = open_run(cookbook_run)
    asked = questions(FINDINGS.read_text(encoding="utf-8"))
    assert len(asked) >= 7
    for sql in asked:
        assert run.sql(sql).columns


@pytest.mark.slow
def test_findings_are_what_their_run_says(tmp_path: Path) -> None:
    text = FINDINGS.read_text(encoding="utf-8")
    again = answered(text, make_run(text, tmp_path / "run"))
    assert again.splitlines() == text.splitlines(), (
        "stale: run python -m fleet.api.cookbook docs/findings.md"
    )


def test_answers_replace_old_ones(cookbook_run: Path) -> None:
    text = "Arms?\n\n```sql\nSELECT count(*) AS n FROM arms\n```\n\nMore.\n"
    once = answered(text, open_run(cookbook_run))
    assert "```text\nn\n─\n5\n```\n\nMore." in once
    assert answered(once.replace("\n5\n", "\n6\n"), open_run(cookbook_run)) == once


def test_a_cookbook_says_how_its_run_is_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no fleet simulate line"):
        make_run("nothing", tmp_path / "run")
