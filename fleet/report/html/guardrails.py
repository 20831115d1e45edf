"""The guardrail table: what must not get worse, arm by arm, as plain totals and quantiles.

Changes with intervals, margins and verdicts stand in ``comparisons``.
"""

from dataclasses import dataclass

from markupsafe import Markup

from fleet.report import units
from fleet.report.html import forms
from fleet.report.html.answers import Form, Row
from fleet.report.html.chart import Paper
from fleet.report.html.render import render


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of the table: a column of a shipped query."""

    label: str
    query: str
    column: str
    form: Form
    by_kind: bool = False


MEASURES = (
    Measure("failed pins", "guardrails", "pin_failures", units.count),
    Measure("OOM kills", "guardrails", "oom_kills", units.count),
    Measure("kernel panics", "guardrails", "panics", units.count),
    Measure("hosts reset by a watchdog", "guardrails", "resets", units.count),
    Measure("pin latency, 99 %", "pin_latency", "p99_ns", units.time),
    Measure("mapping unavailable", "offline_work", "unavailable_ns", units.time, True),
    Measure("time to offline, 99 %", "offline_time", "p99_ns", forms.later, True),
    Measure("kernel-zone head-room, minimum", "kernel_zone_headroom", "minimum_pages", units.pages),
    Measure("flow-seconds lost", "workload_impact", "flow_seconds_lost", units.digits),
)  # fmt: skip


def section(paper: Paper) -> Markup:
    """Return the table."""
    kinds = paper.figures["kinds"]
    lines = [
        (
            f"{measure.label}, {kind}s" if kind else measure.label,
            measure,
            _rows(paper, measure, kind),
        )
        for measure in MEASURES
        for kind in (kinds if measure.by_kind else [""])
    ]
    compared = bool(paper.figures["comparisons"])
    return render("guardrails.html", arms=paper.arms, lines=lines, compared=compared)


def _rows(paper: Paper, measure: Measure, kind: str) -> list[Row]:
    given = {"kind": kind} if kind else {}
    return paper.answers.rows(measure.query, **given)
