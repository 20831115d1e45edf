"""``--set path=value`` and other options laid over a scenario's data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.errors import InputError
from fleet.scenario.yamlpos import Path, parse_yaml, read_path, show_path

ALIASES: Mapping[str, Path] = {
    "inventory": ("hosts", "inventory"),
    "trace": ("workloads", "trace"),
}
"""Short top-level names, in files and with ``--set``."""

FILE_FIELDS = frozenset(ALIASES.values())
"""Fields that hold a path: taken literally from ``--set``, resolved to absolute ones."""


@dataclass(frozen=True, slots=True)
class Override:
    """One value laid over the file's.

    Attributes
    ----------
    path : Path
        Field, aliases already replaced.
    value : object
        Plain data.
    label : str
        What errors call it, ``--set hosts.total``.
    """

    path: Path
    value: Any
    label: str


def field_path(name: str) -> Path:
    """Return the field that a dotted path or a short top-level name stands for.

    Raises
    ------
    ValueError
        If the path is malformed.
    """
    path = read_path(name)
    return ALIASES.get(str(path[0]), path) if len(path) == 1 else path


def read_set(text: str) -> Override:
    """Parse ``path=value``; the value is YAML (a file name is taken as it is).

    Raises
    ------
    InputError
        If there is no ``=``, the path is malformed or the value is not YAML.
    """
    name, equals, value = text.partition("=")
    name = name.strip()
    label = f"--set {name}"
    if not equals or not name:
        raise InputError(f"want path=value, got {text!r}", where="--set")
    try:
        path = field_path(name)
    except ValueError as error:
        raise InputError(str(error), where="--set") from None
    if not value.strip():
        raise InputError("needs a value (null unsets it)", where=label)
    if path in FILE_FIELDS and value.strip() != "null":
        return Override(path, value, label)
    try:
        return Override(path, parse_yaml(value, label).data, label)
    except InputError as error:
        raise InputError(error.reason, where=label) from None


def apply(data: Any, override: Override) -> Any:
    """Return ``data`` with the override laid over it; missing mappings on the way are made.

    Raises
    ------
    InputError
        If the path leads through a value that is neither mapping nor list, or past a list's end.
    """
    return _put(data, override.path, 0, override)


def _put(data: Any, path: Path, depth: int, override: Override) -> Any:
    if depth == len(path):
        return override.value
    part = path[depth]
    if data is None:
        data = {}
    if isinstance(data, list) and isinstance(part, int):
        if part >= len(data):
            reason = f"the list {show_path(path[:depth])} has {len(data)} entries (from 0)"
            raise InputError(reason, where=override.label)
        return [_put(v, path, depth + 1, override) if i == part else v for i, v in enumerate(data)]
    if isinstance(data, dict):
        key = str(part)
        return {**data, key: _put(data.get(key), path, depth + 1, override)}
    raise InputError(f"{show_path(path[:depth])} has no field {part!r}", where=override.label)


def spread_aliases(data: Any, marks: Sequence[dict[Path, Any]], where: str) -> Any:
    """Move the short top-level names of a file to the fields they stand for.

    ``marks`` are position maps to move along. InputError if both names are given.
    """
    for short, path in ALIASES.items():
        if not isinstance(data, dict) or short not in data:
            continue
        value = data.pop(short)
        section = data.get(path[0])
        if isinstance(section, dict) and path[1] in section:
            raise InputError(f"also given as {show_path(path)}", field=short, where=where)
        data = _put(data, path, 0, Override(path, value, where))
        for mark in marks:
            if (short,) in mark:
                mark[path] = mark.pop((short,))
    return data
