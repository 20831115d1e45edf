"""docs/cookbook.md: every question is asked again, every answer compared."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fleet.api import open_run
from fleet.api.cookbook import answered, make_run, questions
from fleet.api.run import Run
from queries.catalog import Catalog
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
    with shuffled(run).session() as mixed:
        assert answered(text, mixed).splitlines() == text.splitlines()


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
    run = make_run(text, tmp_path / "run")
    assert answered(text, run).splitlines() == text.splitlines(), (
        "stale: run python -m fleet.api.cookbook docs/findings.md"
    )
    assert answered(text, shuffled(run)).splitlines() == text.splitlines()


def test_answers_replace_old_ones(cookbook_run: Path) -> None:
    text = "Arms?\n\n```sql\nSELECT count(*) AS n FROM arms\n```\n\nMore.\n"
    once = answered(text, open_run(cookbook_run))
    assert "```text\nn\n─\n5\n```\n\nMore." in once
    assert answered(once.replace("\n5\n", "\n6\n"), open_run(cookbook_run)) == once


def test_a_cookbook_says_how_its_run_is_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no fleet simulate line"):
        make_run("nothing", tmp_path / "run")


def shuffled(run: Run) -> Run:
    """Return the run with the rows of every table in another order.

    DuckDB's threads bring rows together in any order, so an answer that needs the one in which
    they were written is sometimes another one (a window ordered by columns with ties, once).
    """
    mixed = np.random.default_rng(5)
    catalog = run._catalog
    views = {}
    for name, view in catalog._views.items():
        table = view if isinstance(view, pa.Table) else view.to_table()
        views[name] = table.take(mixed.permutation(table.num_rows))
    return Run(Catalog(catalog.runs, catalog.arms, catalog.columns, views))
