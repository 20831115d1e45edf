"""Puts a report on one page: verdict, charts, guardrails, what was simulated, how sure it is."""

import hashlib
from base64 import b64encode
from collections.abc import Iterator

from markupsafe import Markup

from fleet.report.figures import Figures
from fleet.report.html import certainty, comparisons, guardrails, simulated
from fleet.report.html.answers import Answers
from fleet.report.html.arms import arms_of
from fleet.report.html.chart import Chart, Paper
from fleet.report.html.charts import (
    blockers,
    damage,
    failures,
    flow_seconds,
    hang_rate,
    headroom,
    migration_cost,
    offline_curve,
    outcomes,
    pin_latency,
)
from fleet.report.html.render import render, text_of
from fleet.report.verdict import verdict
from queries.catalog import Catalog

REQUESTS = {
    "probe": ("Probes", "Offline attempts at planned times on clones of hosts, forgotten "
              "afterwards: the same block of the same host under every arm, without feedback."),
    "removal": ("Removals", "Real hot-removes with a controller that reacts; each changes what "
                "comes after it, so the unit of comparison is the replication."),
}  # fmt: skip


def page(catalog: Catalog, figures: Figures) -> bytes:
    """Return the report as one self-contained HTML file.

    Parameters
    ----------
    catalog : Catalog
        The runs, for what ``figures`` do not hold.
    figures : dict
        ``fleet.report.figures.collect`` of the same catalog.

    Returns
    -------
    bytes
        UTF-8; equal for equal runs. Nothing in it is fetched from anywhere.
    """
    with catalog.session():
        paper = Paper(
            arms_of(figures["arms"], figures["baseline"]), Answers(catalog, figures), figures
        )
        sections = list(_sections(paper))
        rest = [comparisons.section(paper), guardrails.section(paper)] if sections else []
        text = render(
            "page.html",
            style=Markup(text_of("style.css")),
            script=Markup(text_of("script.js")),
            script_hash=_hash(text_of("script.js")),
            title=_title(figures),
            verdict=verdict(figures),
            runs=figures["runs"],
            arms=paper.arms,
            sections=sections,
            tables=rest,
            simulated=simulated.section(catalog),
            certainty=certainty.section(catalog, paper),
        )
    return str(text).encode()


def _title(figures: Figures) -> str:
    names = dict.fromkeys(run["name"] for run in figures["runs"])
    return " and ".join(names) or "run"


def _hash(script: str) -> str:
    """Return what the page's own policy says about its script: no other may run."""
    return "sha256-" + b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _sections(paper: Paper) -> Iterator[tuple[str, str, list[Chart]]]:
    """Yield heading, introduction and charts of each section."""
    for kind in paper.figures["kinds"]:
        made = [
            hang_rate.chart(paper, kind), outcomes.chart(paper, kind), blockers.chart(paper, kind),
            offline_curve.chart(paper, kind),
        ]  # fmt: skip
        yield *REQUESTS[kind], [chart for chart in made if chart]
    if not any(row["workloads"] for row in paper.answers.rows("workload_impact")):
        return
    price = [migration_cost.chart(paper), pin_latency.chart(paper), headroom.chart(paper),
             failures.chart(paper), flow_seconds.chart(paper), damage.chart(paper)]  # fmt: skip
    yield (
        "The price",
        "What the same demands cost under each arm: memory moved, time waited, room used up, "
        "processes and service lost.",
        [chart for chart in price if chart],
    )
