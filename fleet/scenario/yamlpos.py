"""YAML to plain data that remembers where every key and value stands.

The subset is what scenarios need: mappings, lists, text, whole numbers, decimals, true/false,
null (YAML 1.2 core schema, so ``on`` is text and ``10:30`` is no number). Duplicate keys, tags,
anchors and aliases are errors.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from fleet.errors import InputError

Path = tuple[str | int, ...]
"""Way to a value: mapping keys and list indices."""

Mark = tuple[int, int]
"""Line and column, from 1."""


@dataclass(slots=True)
class Document:
    """Plain data and the marks of its keys and values (a value's mark also serves list items)."""

    data: Any
    keys: dict[Path, Mark] = field(default_factory=dict)
    values: dict[Path, Mark] = field(default_factory=dict)


def show_path(path: Path) -> str:
    """Write a path as ``hosts.classes[0].memory``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


_PART = re.compile(r"\[(\d{1,6})\]|\.?([^.\[\]=]+)")


def read_path(text: str) -> Path:
    """Parse ``hosts.classes[0].memory`` (``hosts.classes.0.memory`` too); ValueError if not one."""
    parts: list[str | int] = []
    at = 0
    while at < len(text):
        match = _PART.match(text, at)
        if match is None or (at == 0 and text.startswith(".")):
            raise ValueError(f"not a field path: {text!r}")
        name = match[2] if match[2] is not None else match[1]
        parts.append(int(name) if name.isdigit() and parts else name)
        at = match.end()
    if not parts:
        raise ValueError("the field path is empty")
    return tuple(parts)


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """SafeLoader with the core schema's scalars and without aliases."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 (PyYAML's own protocol)

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse anchors and aliases: a scenario says each thing where it belongs."""
        event = self.peek_event()
        if getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(
                problem="anchors and aliases are not used here", problem_mark=event.start_mark
            )
        return super().compose_node(parent, index)


_TAG = "tag:yaml.org,2002:"
for _name, _pattern, _first in (
    ("null", r"null|~|", ["n", "~", ""]),
    ("bool", r"true|false", list("tf")),
    ("int", r"[-+]?[0-9]{1,30}", list("-+0123456789")),
    ("float", r"[-+]?[0-9]{1,30}(\.[0-9]{0,30})?([eE][-+]?[0-9]{1,3})?", list("-+0123456789")),
):
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})\\Z"), _first)


def _mark(node: yaml.Node) -> Mark:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _wrong(reason: str, mark: Mark, path: Path) -> yaml.MarkedYAMLError:
    """An error of ours that travels like the parser's own."""
    place = yaml.Mark("", 0, mark[0] - 1, mark[1] - 1, None, 0)
    return yaml.MarkedYAMLError(context=show_path(path), problem=reason, problem_mark=place)


def _scalar(node: yaml.ScalarNode, path: Path) -> Any:
    """Return the plain value of a scalar node."""
    text = str(node.value)
    match node.tag.removeprefix(_TAG):
        case "null":
            return None
        case "bool":
            return text == "true"
        case "int":
            return int(text)
        case "float":
            return float(text)
        case "str":
            return text
    raise _wrong(f"tags are not used here: {node.tag}", _mark(node), path)


def _items(node: yaml.MappingNode, path: Path, doc: Document) -> Iterator[tuple[str, yaml.Node]]:
    """Yield the entries of a mapping; keys must be text and differ."""
    seen: dict[str, Mark] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _wrong("a field name must be text", _mark(key), path)
        name = str(key.value)
        if name in seen:
            line = seen[name][0]
            raise _wrong(f"written twice (first in line {line})", _mark(key), (*path, name))
        seen[name] = doc.keys[(*path, name)] = _mark(key)
        yield name, value


def _build(node: yaml.Node, path: Path, doc: Document) -> Any:
    """Turn a node into plain data, noting marks in ``doc``."""
    doc.values[path] = _mark(node)
    if isinstance(node, yaml.MappingNode):
        return {k: _build(v, (*path, k), doc) for k, v in _items(node, path, doc)}
    if isinstance(node, yaml.SequenceNode):
        return [_build(v, (*path, i), doc) for i, v in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode)
    return _scalar(node, path)


def parse_yaml(text: str, name: str) -> Document:
    """Parse one document.

    Parameters
    ----------
    text : str
        The YAML.
    name : str
        What errors call the source: ``name:line:col``.

    Raises
    ------
    InputError
        For every kind of malformed text.
    """
    doc = Document(None)
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
        if node is not None:
            doc.data = _build(node, (), doc)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        ours = isinstance(mark, yaml.Mark) and mark.name == ""
        field_name = str(error.context or "") if ours else ""
        reason = str(error.problem)
        if reason.startswith("but ") and not ours:
            reason = f"{error.context}, {reason}"
        raise InputError(reason, field=field_name, where=where) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        col = error.position - text.rfind("\n", 0, error.position)
        reason = "a character that YAML does not allow"
        raise InputError(reason, where=f"{name}:{line}:{col}") from None
    except RecursionError:
        raise InputError("nested too deeply", where=name) from None
    return doc
