"""The shipped questions: reads the header of each ``.sql`` file and checks parameters.

A header is the comment block at the top::

    -- hang_rate
    -- Question: Which share of the requests hung, per arm?
    -- Parameters:
    --   kind {all, removal, probe} = all: which requests count
    --   step_ns int = 3600000000000: width of a time step in ns
    -- Columns:
    --   arm: policies compared
    --   requests count: requests issued
    -- Notes:
    --   Anything a reader must know.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyarrow as pa

from queries.catalog import Catalog, QueryError

FOLDER = Path(__file__).parent

_PARAMETER = re.compile(r"(\w+) (?:\{([^}]*)\}|(int)) = (\w+): (.+)")
_COLUMN = re.compile(r"(\w+)(?: ([\w.-]+))?: (.+)")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A ``$name`` of a query: its choices (empty: an integer), default and meaning."""

    name: str
    choices: tuple[str, ...]
    default: str | int
    description: str

    def value(self, text: str) -> str | int:
        """Return ``text`` as a value of this parameter (QueryError when it is none)."""
        if self.choices:
            if text not in self.choices:
                raise QueryError(
                    f"parameter {self.name}: {text!r} is not one of {', '.join(self.choices)}"
                )
            return text
        try:
            number = int(text)
        except ValueError as error:
            raise QueryError(f"parameter {self.name}: {text!r} is not an integer") from error
        if not 1 <= number < 2**63:
            raise QueryError(f"parameter {self.name}: must lie between 1 and 2^63 - 1")
        return number


@dataclass(frozen=True, slots=True)
class ColumnDoc:
    """A result column: name, unit (empty for names and ids) and meaning."""

    name: str
    unit: str
    description: str


@dataclass(frozen=True, slots=True)
class Query:
    """One shipped question."""

    name: str
    question: str
    parameters: tuple[Parameter, ...]
    columns: tuple[ColumnDoc, ...]
    notes: str
    sql: str

    def values(self, given: Mapping[str, str]) -> dict[str, str | int]:
        """Return the value of every parameter, defaults filled in.

        Raises
        ------
        QueryError
            An unknown parameter or a value out of its range.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in given:
            if name not in known:
                has = f"it has {', '.join(known)}" if known else "it has none"
                raise QueryError(f"{self.name}: no parameter {name!r}; {has}")
        return {p.name: p.value(given[p.name]) if p.name in given else p.default
                for p in self.parameters}  # fmt: skip

    def run(
        self, catalog: Catalog, given: Mapping[str, str] | None = None, threads: int | None = None
    ) -> pa.Table:
        """Answer the question on open runs (QueryError on bad parameters)."""
        values = self.values(given or {})
        return catalog.query(self.sql, values, name=f"{self.name}.sql", threads=threads)


def parse(text: str) -> Query:
    """Parse a ``.sql`` file (ValueError when its header does not follow the form)."""
    lines = text.splitlines()
    end = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    head = [line[3:] for line in lines[:end]]
    if len(head) < 2 or not head[1].startswith("Question: "):
        raise ValueError("the header must start with the name and 'Question: '")
    sections: dict[str, list[str]] = {"Parameters": [], "Columns": [], "Notes": []}
    current: list[str] | None = None
    for line in head[2:]:
        if line.endswith(":") and line[:-1] in sections:
            current = sections[line[:-1]]
        elif current is not None and line.startswith("  "):
            current.append(line[2:])
        else:
            raise ValueError(f"header line not understood: {line!r}")
    return Query(
        head[0],
        head[1].removeprefix("Question: "),
        tuple(_parameter(line) for line in sections["Parameters"]),
        tuple(_column(line) for line in sections["Columns"]),
        " ".join(line.strip() for line in sections["Notes"]),
        text,
    )


@cache
def shipped() -> dict[str, Query]:
    """Return all shipped queries by name, sorted."""
    found = {}
    for path in sorted(FOLDER.glob("*.sql")):
        query = parse(path.read_text())
        if query.name != path.stem:
            raise ValueError(f"{path.name}: header names {query.name!r}")
        found[query.name] = query
    return found


def find(name: str) -> Query:
    """Return a shipped query (QueryError, with the nearest name, when there is none)."""
    import difflib

    query = shipped().get(name)
    if query is None:
        near = difflib.get_close_matches(name, shipped(), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise QueryError(f"no query {name!r}{hint} (fleet query lists them)")
    return query


def _parameter(line: str) -> Parameter:
    match = _PARAMETER.fullmatch(line)
    if not match:
        raise ValueError(f"parameter line not understood: {line!r}")
    name, choices, _, default, description = match.groups()
    if choices is None:
        return Parameter(name, (), int(default), description)
    return Parameter(name, tuple(choices.split(", ")), default, description)


def _column(line: str) -> ColumnDoc:
    match = _COLUMN.fullmatch(line)
    if not match:
        raise ValueError(f"column line not understood: {line!r}")
    name, unit, description = match.groups()
    return ColumnDoc(name, unit or "", description)
