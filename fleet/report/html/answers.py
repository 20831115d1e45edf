"""Rows of shipped queries whose every number remembers which query, row and column it is from.

A number in the page is a ``<data>`` element (a mark of a chart has the same attributes)::

    <data value="0.046875" data-from="hang_rate?kind=probe#0.hang_rate" data-as="percent">...

so a reader, or a test, can ask the shipped query again and compare.
"""

from collections.abc import Callable
from typing import Any

from markupsafe import Markup

from fleet.report.figures import Figures
from fleet.report.show import plain
from queries.catalog import Catalog
from queries.shipped import find

Form = Callable[[Any], str]
"""A function of ``fleet.report.units``: a value as people read it."""


class Row(dict[str, Any]):
    """One row of an answer, and where it is from."""

    def __init__(self, values: dict[str, Any], origin: str) -> None:
        super().__init__(values)
        self.origin = origin

    def show(self, column: str, form: Form) -> Markup:
        """Return the value as text in a ``<data>`` element."""
        return Markup('<data value="{}" data-from="{}" data-as="{}">{}</data>').format(
            self._raw(column), f"{self.origin}.{column}", form.__name__, form(self[column])
        )

    def mark(self, column: str) -> Markup:
        """Return the attributes that say which value a shape stands for."""
        return Markup(' data-value="{}" data-from="{}"').format(
            self._raw(column), f"{self.origin}.{column}"
        )

    def _raw(self, column: str) -> str:
        value = self[column]
        return "" if value is None else value if isinstance(value, str) else repr(value)


class Answers:
    """Answers of shipped queries to one report; what ``figures`` hold is not asked again."""

    def __init__(self, catalog: Catalog, figures: Figures) -> None:
        self._catalog = catalog
        self._figures = figures
        self._asked: dict[str, list[Row]] = {}

    def rows(self, name: str, **given: str) -> list[Row]:
        """Return all rows of a query (QueryError when there is none of that name)."""
        asked = name + "".join(f"?{key}={value}" for key, value in given.items())
        if asked not in self._asked:
            rows = self._known(name, given)
            if rows is None:
                rows = [plain(row) for row in find(name).run(self._catalog, given).to_pylist()]
            self._asked[asked] = [Row(row, f"{asked}#{i}") for i, row in enumerate(rows)]
        return self._asked[asked]

    def _known(self, name: str, given: dict[str, str]) -> list[dict[str, Any]] | None:
        rows = self._figures.get(name)
        if isinstance(rows, dict) and set(given) == {"kind"}:
            rows = rows.get(given["kind"])
        elif given:
            rows = None
        return rows if isinstance(rows, list) else None
