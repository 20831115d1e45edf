"""What a run folder says of the scenario it was made from."""

from pathlib import Path
from typing import Any

import yaml

from engine.costs import MODELS, CostModel
from queries.catalog import Catalog


def scenario_of(folder: Path) -> dict[str, Any]:
    """Return the resolved scenario as plain data; empty when there is none."""
    read = yaml.safe_load(text_of(folder / "scenario.resolved.yaml"))
    return read if isinstance(read, dict) else {}


def cost_models(catalog: Catalog) -> list[CostModel]:
    """Return the cost models of the runs, those this version knows, each once."""
    names = dict.fromkeys(
        str(scenario_of(run.path).get("costs", "default")) for run in catalog.runs
    )
    return [MODELS[name] for name in names if name in MODELS]


def text_of(path: Path) -> str:
    """Return a file's text; empty when there is no such file."""
    return path.read_text(encoding="utf-8") if path.is_file() else ""
