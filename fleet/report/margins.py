"""The margins a run is judged by: those of its scenario."""

from pathlib import Path

import yaml

from fleet.errors import RunError
from fleet.scenario.verdicts import Margins

SCENARIO = "scenario.resolved.yaml"


def margins_of(folder: Path | None) -> dict[str, float]:
    """Return the margins of a run as shares by name; the defaults where its scenario has none.

    Raises
    ------
    RunError
        Margins that cannot be read.
    """
    path = None if folder is None else folder / SCENARIO
    if path is None or not path.is_file():
        return Margins.model_validate({}).shares()
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        given = data.get("margins", {}) if isinstance(data, dict) else {}
        return Margins.model_validate(given).shares()
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RunError(f"{path}: margins cannot be read") from error
