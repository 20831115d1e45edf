"""Fresh against aged hosts: which verdicts hold when hosts have a past."""

from pathlib import Path
from typing import Any

import yaml

SCENARIO = "scenario.resolved.yaml"
Row = dict[str, Any]


def are_twins(folders: list[Path]) -> bool:
    """Return whether two runs asked the same of the same arms, and only the hosts' age differs."""
    if len(folders) != 2:
        return False
    first, second = (_scenario(folder) for folder in folders)
    if not first or not second or first.get("age") == second.get("age"):
        return False
    return _without_age(first) == _without_age(second)


def history_of(folder: Path) -> str:
    """Return what the hosts of a run have been through: ``fresh``, or the scenario's history."""
    age = _scenario(folder).get("age")
    history = age.get("history", "default") if isinstance(age, dict) else "none"
    return "fresh" if history == "none" else f"aged ({history})"


def tell_twins(rows: list[Row], histories: dict[str, str], arms_per_run: int) -> None:
    """Add to every comparison whether the other history has the same verdict.

    Parameters
    ----------
    rows : list of dict
        Comparisons within each of two runs.
    histories : dict
        Label of an arm to the history of its run.
    arms_per_run : int
        Arms of one run, in the same order in both.
    """
    labels = list(histories)
    twin = dict(zip(labels, labels[arms_per_run:] + labels[:arms_per_run], strict=True))
    found = {(row["metric"], row["estimand"], row["arm_b"]): row for row in rows}
    for row in rows:
        other = found.get((row["metric"], row["estimand"], twin[row["arm_b"]]))
        mine, theirs = histories[row["arm_b"]], histories[twin[row["arm_b"]]]
        if other is None or row["low"] is None or other["low"] is None:
            continue
        if row["verdict"] == other["verdict"]:
            told = f"holds {mine} and {theirs}"
        else:
            told = f"{mine}: {row['verdict']}, {theirs}: {other['verdict']}"
        row["ages"] = told
        row["survives"] = row["verdict"] == other["verdict"]


def _scenario(folder: Path) -> dict[str, Any]:
    path = folder / SCENARIO
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return data if isinstance(data, dict) else {}


def _without_age(scenario: dict[str, Any]) -> dict[str, Any]:
    """Return what decides everything but the hosts' past (and how the question is called)."""
    return {k: v for k, v in scenario.items() if k not in ("age", "name", "margins", "until_ci")}
