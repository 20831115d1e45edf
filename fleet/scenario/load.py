"""From a file (or a shipped name) and options to a validated scenario, and back to text."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path as File
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from fleet.errors import InputError
from fleet.scenario.overrides import (
    FILE_FIELDS,
    Override,
    apply,
    field_path,
    read_set,
    spread_aliases,
)
from fleet.scenario.own import OwnPolicy
from fleet.scenario.places import Places
from fleet.scenario.problems import path_of, reason_of
from fleet.scenario.scenario import Digests, Scenario
from fleet.scenario.yamlpos import parse_yaml

M = TypeVar("M", bound=BaseModel)

LIBRARY = File(__file__).parent / "library"
"""Folder of the shipped scenarios."""


def shipped() -> dict[str, File]:
    """Return the shipped scenarios by name, in order of name."""
    return {file.stem: file for file in sorted(LIBRARY.glob("*.yaml"))}


def find_scenario(source: str) -> File:
    """Return the file of a shipped name or a path; InputError if there is none."""
    if source in shipped():
        return shipped()[source]
    file = File(source)
    if file.is_file():
        return file
    known = ", ".join(shipped())
    raise InputError(f"no such file or shipped scenario (shipped: {known})", where=source)


class UnreadableError(InputError):
    """A file that is not there, or holds no text."""


def read_file(file: File) -> str:
    """Return the text of a file; UnreadableError if it cannot be read."""
    try:
        return file.read_bytes().decode("utf-8")
    except OSError as error:
        raise UnreadableError(error.strerror or "cannot be read", where=str(file)) from None
    except ValueError as error:
        at = getattr(error, "start", None)
        reason = "not a file name" if at is None else f"not UTF-8 text (byte {at})"
        raise UnreadableError(reason, where=str(file)) from None


def load_scenario(
    source: str,
    sets: Sequence[str] = (),
    options: Mapping[str, tuple[str, object]] | None = None,
    policies: Sequence[str] = (),
) -> Scenario:
    """Load, override and validate a scenario.

    Parameters
    ----------
    source : str
        Path of a YAML file or name of a shipped scenario.
    sets : sequence of str
        ``path=value`` overrides in order (``--set``).
    options : mapping of str to (path, plain value)
        Other options by the name that errors shall show: ``{"--seed": ("seed", 7)}``; they win.
    policies : sequence of str
        Files of policies beside those the scenario names (``--policy``).

    Returns
    -------
    Scenario
        With absolute file names and the digests of the files.

    Raises
    ------
    InputError
        One line for the first thing that is wrong.
    """
    file = find_scenario(source)
    document = parse_yaml(read_file(file), str(file))
    if not isinstance(document.data, dict):
        raise InputError("a scenario is a mapping of fields", where=f"{file}:1:1")
    marks = (document.keys, document.values)
    data = spread_aliases(document.data, marks, f"{file}")
    data = _absolute(data, file.parent)
    places = Places(str(file), document)
    overrides = [read_set(text) for text in sets]
    for label, (path, value) in (options or {}).items():
        overrides.append(Override(field_path(path), value, label))
    for override in overrides:
        data = apply(data, override)
        if override.path in FILE_FIELDS:
            data = _absolute(data, File.cwd())
        places.options.append(override)
    data = with_policies(data, file.parent, policies, places)
    scenario = validated(Scenario, data, places)
    return scenario.model_copy(update={"digests": _digests(scenario, places)}).written_at(places)


def load_policy(source: str | File) -> OwnPolicy:
    """Load and validate the file of one own policy.

    Raises
    ------
    InputError
        One line for the first thing that is wrong.
    """
    file = File(source)
    document = parse_yaml(read_file(file), str(file))
    if not isinstance(document.data, dict):
        raise InputError("a policy is a mapping of fields", where=f"{file}:1:1")
    return validated(OwnPolicy, document.data, Places(str(file), document))


def with_policies(
    data: dict[str, Any], folder: File, more: Sequence[str], places: Places
) -> dict[str, Any]:
    """Put the content of policy files in the place of their names, and that of more files behind.

    So a scenario holds its policies, and its hash depends on what they say, not on where they are.
    Lab scripts name theirs in the same way. A file that cannot be read is an error of the field
    that names it; what is wrong inside one has a place of its own.
    """
    held = data.get("policies", [])
    if not isinstance(held, list):
        return data
    found = []
    for index, item in enumerate(held):
        if not isinstance(item, str):
            found.append(item)
            continue
        try:
            found.append(_policy_data(folder / item))
        except UnreadableError as error:
            raise places.error(("policies", index), f"{error.reason}: {item}") from None
    found += [_policy_data(File(item)) for item in more]
    return {**data, "policies": found} if found else data


def _policy_data(file: File) -> dict[str, Any]:
    """Return the content of a policy's file."""
    return load_policy(file).model_dump(mode="json", exclude_none=True)


def _absolute(data: dict[str, Any], folder: File) -> dict[str, Any]:
    """Make relative file names absolute, counted from ``folder``."""
    for section, name in FILE_FIELDS:
        held = data.get(str(section))
        if isinstance(held, dict) and isinstance(held.get(name), str) and held[name].strip():
            held = {**held, name: os.path.abspath(folder / held[name])}
            data = {**data, str(section): held}
    return data


def validated(model: type[M], data: dict[str, Any], places: Places) -> M:
    """Validate a file's data; the first error by place becomes an InputError.

    Consequences come after causes: a field that is missing because it was misspelt, a list that is
    too short because an entry was wrong.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        items = [(path_of(item), item) for item in error.errors(include_url=False)]
        found = []
        for path, item in items:
            key = item["type"] == "extra_forbidden"
            inner = any(len(p) > len(path) and p[: len(path)] == path for p, _ in items)
            late = inner or item["type"] == "missing"
            found.append((late, places.order(path, key), path, reason_of(item, path, model), key))
        *_, path, reason, key = min(found, key=lambda item: item[:2])
        raise places.error(path, reason, key) from None


def _digests(scenario: Scenario, places: Places) -> Digests:
    """Hash the input files; refuse one that is not what a resolved scenario says."""
    files = {"inventory": scenario.hosts.inventory, "trace": scenario.workloads.trace}
    known = scenario.digests.model_dump()
    found: dict[str, str | None] = {}
    for path in sorted(FILE_FIELDS):
        short = str(path[1])
        name = files[short]
        found[short] = None
        if name is not None:
            try:
                with open(name, "rb") as stream:
                    found[short] = hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as error:
                raise places.error(path, f"{error.strerror}: {name}") from None
            except ValueError:
                raise places.error(path, f"not a file name: {name!r}") from None
        if known[short] not in (None, found[short]):
            raise places.error(("digests", short), "the file has changed since it was resolved")
    return Digests.model_validate({k: v for k, v in found.items() if v is not None})


def _dump(scenario: Scenario) -> dict[str, Any]:
    """Plain data with units, without what does not change results."""
    return scenario.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"executor"})


def resolve(scenario: Scenario) -> str:
    """Return canonical YAML: every default written out, loads to an equal scenario.

    The executor is left out (it changes no result); input files are absolute paths with digests.
    """
    return str(yaml.safe_dump(_dump(scenario), sort_keys=False, allow_unicode=True, width=100))


def hash_input(scenario: Scenario) -> bytes:
    """Return canonical bytes of all that decides results: no executor, digests for file names."""
    data = _dump(scenario)
    for section, name in FILE_FIELDS:
        data[str(section)].pop(name, None)
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
