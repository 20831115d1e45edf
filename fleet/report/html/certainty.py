"""How sure the page is: what the intervals cover, and what no interval covers."""

from pathlib import Path

from markupsafe import Markup

from engine.costs import CostModel
from fleet.report import units
from fleet.report.html.chart import Paper
from fleet.report.html.recorded import cost_models, scenario_of
from fleet.report.html.render import render
from queries.catalog import Catalog


def section(catalog: Catalog, paper: Paper) -> Markup:
    """Return the section; its words are in the template."""
    models = cost_models(catalog) or [CostModel()]
    sources = [model.figure(cost).source for model in models for cost in model.figures]
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
    age = scenario_of(folder).get("age")
    return "aged" if isinstance(age, dict) and age.get("history") != "none" else "fresh"
