"""From a script's file (or a shipped name) and options to a checked script."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

from fleet.errors import InputError
from fleet.lab.script.models import END, Script
from fleet.lab.script.sight import END_FIELDS, FIELDS
from fleet.scenario.load import read_file, validated, with_policies
from fleet.scenario.overrides import apply, read_set
from fleet.scenario.places import Places
from fleet.scenario.yamlpos import parse_yaml

LIBRARY = File(__file__).parent / "library"
"""Folder of the shipped scripts."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A script, its name, and where its fields were written."""

    name: str
    script: Script
    places: Places

    def step_error(self, number: int, reason: str) -> InputError:
        """The error for a step (from 0) that cannot be carried out on this host."""
        return self.places.error(("steps", number), reason)


def shipped() -> dict[str, File]:
    """Return the shipped scripts by name, in the order in which they tell their story."""
    files = sorted(LIBRARY.glob("*.yaml"))
    return {file.stem.partition("-")[2]: file for file in files}


def find_script(source: str) -> File:
    """Return the file of a shipped name or a path; InputError if there is none."""
    if source in shipped():
        return shipped()[source]
    file = File(source)
    if file.is_file():
        return file
    known = ", ".join(shipped())
    raise InputError(f"no such file or shipped script (shipped: {known})", where=source)


def load_script(source: str, sets: Sequence[str] = (), policies: Sequence[str] = ()) -> Loaded:
    """Load, override and validate a script.

    Parameters
    ----------
    source : str
        Path of a YAML file or name of a shipped script.
    sets : sequence of str
        ``path=value`` overrides in order (``--set``).
    policies : sequence of str
        Files of policies beside those the script names (``--policy``).

    Raises
    ------
    InputError
        One line for the first thing that is wrong.
    """
    file = find_script(source)
    document = parse_yaml(read_file(file), str(file))
    if not isinstance(document.data, dict):
        raise InputError("a script is a mapping of fields", where=f"{file}:1:1")
    data: dict[str, Any] = document.data
    places = Places(str(file), document)
    for text in sets:
        override = read_set(text)
        data = apply(data, override)
        places.options.append(override)
    data = with_policies(data, file.parent, policies, places)
    script = validated(Script, data, places)
    _check_expectations(script, places)
    name = source if source in shipped() else file.stem
    return Loaded(name, script, places)


def _check_expectations(script: Script, places: Places) -> None:
    """Each names an arm of the script, a label (or the end) and a field."""
    labels = [*script.labels(), END]
    for arm, steps in script.expect.items():
        if arm not in script.arms:
            raise places.error(("expect", arm), "not one of `arms`", key=True)
        for label, fields in steps.items():
            path = ("expect", arm, label)
            if label not in labels:
                raise places.error(path, f"no step is called so ({', '.join(labels)})", key=True)
            known = END_FIELDS if label == END else FIELDS
            for name in fields:
                if name not in known:
                    reason = f"nothing is called so ({', '.join(known)})"
                    raise places.error((*path, name), reason, key=True)
