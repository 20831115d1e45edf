"""How sure the page is: what the intervals cover, and what no interval covers."""

from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from engine.costs import DEFAULT_FIGURES
from fleet.report import units
from fleet.report.html.chart import Paper
from fleet.report.html.render import render
from queries.catalog import Catalog


def section(catalog: Catalog, paper: Paper) -> Markup:
    """Return the section; its words are in the template."""
    sources = [figure.source for figure in DEFAULT_FIGURES.values()]
    return render(
        "certainty.html",
        requests={
            kind: paper.answers.rows("hang_rate", kind=kind)[0].show("requests", units.count)
            for kind in paper.figures["kinds"]
        },
        replications=min((run.run["replications"] for run in catalog.runs), default=1),
        aged_words=" and ".join(sorted({age_of(run.path) for run in catalog.runs})) or "fresh",
        costs=len(sources),
        estimates=sum("estimate" in source for source in sources),
    )


def age_of(folder: Path) -> str:
    """Say whether the hosts of a run are ``aged`` or ``fresh``."""
    file = folder / "scenario.resolved.yaml"
    scenario: Any = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None
    age = scenario.get("age") if isinstance(scenario, dict) else None
    return "aged" if isinstance(age, dict) and age.get("history") != "none" else "fresh"
