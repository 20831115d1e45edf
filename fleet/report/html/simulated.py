"""What was simulated: scenario, profile, ageing, costs with sources, seed, versions, digests."""

import json
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from engine.costs import DEFAULT_FIGURES
from fleet.report.html.chart import Paper
from fleet.report.html.render import render
from queries.catalog import Catalog


def section(catalog: Catalog, paper: Paper) -> Markup:
    """Return the section, one part per run."""
    runs = [_describe(run.path, run.run) for run in catalog.runs]
    return render("simulated.html", runs=runs, figures=paper.figures)


def _describe(folder: Path, run: dict[str, Any]) -> dict[str, Any]:
    resolved = _read(folder / "scenario.resolved.yaml")
    scenario = _mapping(yaml.safe_load(resolved) if resolved else None)
    manifest = _mapping(json.loads(_read(folder / "manifest.json") or "{}"))
    return {
        "name": run["name"],
        "run_hash": run["run_hash"],
        "seed": run["seed"],
        "replications": run["replications"],
        "scenario": scenario,
        "resolved": resolved,
        "content_digest": manifest.get("content_digest"),
        "versions": _mapping(manifest.get("versions")),
        "rows": _mapping(manifest.get("rows")),
        "costs": _costs(scenario.get("costs")),
    }


def _costs(name: Any) -> list[tuple[str, int, str]]:
    """Return name, nanoseconds and source of every figure of the cost model."""
    if name != "default":
        return []
    return [
        (cost.name.lower().replace("_", " "), figure.ns, figure.source)
        for cost, figure in DEFAULT_FIGURES.items()
    ]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
