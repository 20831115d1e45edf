"""What was simulated: scenario, profile, ageing, costs with sources, seed, versions, digests."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from markupsafe import Markup

from engine.costs import CostModel
from fleet.report import units
from fleet.report.html.recorded import cost_models, scenario_of, text_of
from fleet.report.html.render import render
from queries.catalog import Catalog, RunFiles

PLAIN = ("removals", "probes", "watchdog", "margins")
"""Parts of a scenario that are told field by field."""


def section(catalog: Catalog) -> Markup:
    """Return the section, one card per run."""
    cards = [_card(run) for run in catalog.runs]
    costs = [(model, list(_costs(model))) for model in cost_models(catalog)]
    return render("simulated.html", cards=cards, costs=costs) if cards else Markup("")


def _card(run: RunFiles) -> dict[str, Any]:
    manifest = _mapping(json.loads(text_of(run.path / "manifest.json") or "null"))
    return {
        "name": run.run["name"],
        "facts": [*_scenario_facts(scenario_of(run.path)), *_run_facts(run.run, manifest)],
        "resolved": text_of(run.path / "scenario.resolved.yaml"),
    }


def _scenario_facts(scenario: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield term and words for what a scenario says; what it does not say is left out."""
    if not scenario:
        return
    yield "simulated time", str(scenario.get("horizon", "not recorded"))
    yield "kernel profile", str(scenario.get("profile", "not recorded"))
    yield "zone sizing", f"{scenario.get('sizing')}, where an arm names no other"
    digests = _mapping(scenario.get("digests"))
    yield "hosts", _hosts(_mapping(scenario.get("hosts")), digests)
    age = scenario.get("age")
    yield "ageing", told(age) if age else "none: fresh hosts that stay as they are"
    yield "workloads", _workloads(_mapping(scenario.get("workloads")), digests)
    for name in PLAIN:
        if scenario.get(name):
            yield name, told(scenario[name])
    yield "controller", told({key: scenario.get(key) for key in ("reaction_latency", "placement")})
    yield "samples", f"every {scenario['samples']}" if scenario.get("samples") else "none"
    yield "costs", str(scenario.get("costs", "default"))


def _run_facts(run: dict[str, Any], manifest: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "seed", f"{run['seed']}, replications {run['replications']}"
    steady = _mapping(_mapping(manifest.get("provenance")).get("steady"))
    if steady:
        yield "in the long run", _steady(steady)
    if manifest.get("rows"):
        rows = sum(manifest["rows"].values())
        yield "event log", f"{rows:,} rows, schema version {run['schema_version']}"
        yield "digest of the log", str(manifest.get("content_digest"))
    yield "digest of the run", str(run["run_hash"])
    if manifest.get("versions"):
        yield "versions", told(manifest["versions"])


def _hosts(hosts: dict[str, Any], digests: dict[str, Any]) -> str:
    if hosts.get("inventory"):
        total = f"{hosts['total']} hosts of " if hosts.get("total") else ""
        what = f"{total}{Path(str(hosts['inventory'])).name} (SHA-256 {digests.get('inventory')})"
    else:
        classes = [_named(_mapping(item)) for item in hosts.get("classes") or ()]
        total = f"{hosts['total']} in classes: " if hosts.get("total") else ""
        what = total + "; ".join(classes)
    rest = {k: v for k, v in hosts.items() if k not in ("inventory", "classes", "total")}
    return f"{what}; {told(rest)}" if rest else what


def _named(item: dict[str, Any]) -> str:
    rest = {key: value for key, value in item.items() if key != "name"}
    return f"{item.get('name')} ({told(rest)})"


def _workloads(workloads: dict[str, Any], digests: dict[str, Any]) -> str:
    if workloads.get("trace"):
        name = Path(str(workloads["trace"])).name
        what = f"trace {name} (SHA-256 {digests.get('trace')})"
        what += f", mix {told(workloads.get('mix'))}"
    else:
        streams = [_mapping(item) for item in workloads.get("generators") or ()]
        what = "; ".join(
            f"{s.get('name')} {s.get('arrivals')}, mix {told(s.get('mix'))}" for s in streams
        )
    rest = {k: v for k, v in workloads.items() if k in ("commitment", "scale", "holds", "stuck_io")}
    return f"{what}; {told(rest)}" if rest else what


def _steady(steady: dict[str, Any]) -> str:
    """Return what arrivals and lifetimes come to, beside what the fleet has."""
    return (
        f"{steady['workloads']:,} workloads with {units.pages(steady['memory_pages'])} of "
        f"{units.pages(steady['fleet_pages'])} memory and {steady['vcpus']:,} vCPUs on "
        f"{steady['fleet_cpus']:,} CPUs; {steady['arrivals_per_day']:,} arrivals a day"
    )


def told(value: Any) -> str:
    """Return a value of a scenario in words: ``count 192, blocks 1``."""
    if isinstance(value, dict):
        known = {key: item for key, item in value.items() if item is not None}
        words = {k: f"({told(v)})" if isinstance(v, dict) else told(v) for k, v in known.items()}
        return ", ".join(f"{str(key).replace('_', ' ')} {text}" for key, text in words.items())
    if isinstance(value, list):
        return " ".join(told(item) for item in value)
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _costs(model: CostModel) -> Iterator[tuple[str, int, str]]:
    """Yield name, nanoseconds and source of every figure of a cost model."""
    for cost in model.figures:
        figure = model.figure(cost)
        yield cost.name.lower().replace("_", " "), figure.ns, figure.source


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
