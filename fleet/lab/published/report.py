"""Published cells and recorded ratios beside the engine's, as a table and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from fleet.lab.published.experiments import Cell, cells
from fleet.lab.published.ratios import Ratio, rates, ratios
from fleet.lab.published.tables import PREDICTED

MEDIAN_LIMIT, CELL_LIMIT = 0.15, 0.40
"""Predicted published cells: median and largest absolute error."""
RATIO_LIMIT = 0.25
"""Largest relative error of a recorded ratio."""
RATE_FACTOR = 1.5
"""Largest factor between a recorded and a simulated pass rate, after one scale per kernel."""


@dataclass(frozen=True, slots=True)
class Published:
    """Everything that was compared."""

    cells: tuple[Cell, ...]
    ratios: tuple[Ratio, ...]
    rates: tuple[Ratio, ...]

    def limits(self) -> dict[str, tuple[float, float]]:
        """What must hold: value and limit by name."""
        errors = [abs(c.error) for c in self.cells if c.how == PREDICTED]
        factors = [max(1 + r.error, 1 / (1 + r.error)) for r in self.rates]
        return {
            "median error of predicted cells": (median(errors), MEDIAN_LIMIT),
            "largest error of a predicted cell": (max(errors), CELL_LIMIT),
            "largest error of a ratio": (max(abs(r.error) for r in self.ratios), RATIO_LIMIT),
            "largest factor between pass rates": (max(factors), RATE_FACTOR),
        }

    @property
    def holds(self) -> bool:
        """Whether all limits are kept."""
        return all(value <= limit for value, limit in self.limits().values())


def published() -> Published:
    """Run every experiment."""
    return Published(tuple(cells()), tuple(ratios()), tuple(rates()))


def as_json(found: Published) -> dict[str, Any]:
    """The documented JSON shape (docs/costs.md)."""
    return {
        "holds": found.holds,
        "limits": {
            name: {"value": value, "limit": limit}
            for name, (value, limit) in found.limits().items()
        },
        "cells": [
            {
                "table": c.table.name, "row": c.row, "column": c.column, "unit": c.table.unit,
                "measured": c.measured, "simulated": c.simulated, "error": c.error, "how": c.how,
                "source": c.table.source,
            }
            for c in found.cells
        ],
        "ratios": [_ratio(r) for r in found.ratios],
        "rates": [_ratio(r) for r in found.rates],
    }  # fmt: skip


def _ratio(r: Ratio) -> dict[str, Any]:
    """One ratio or rate."""
    return {
        "kernel": r.kernel, "name": r.name, "recorded": r.recorded, "simulated": r.simulated,
        "error": r.error, "how": r.how,
    }  # fmt: skip


def as_text(found: Published) -> str:
    """One block per published table, then ratios, pass rates and the limits."""
    lines: list[str] = []
    for table in dict.fromkeys(c.table for c in found.cells):
        lines += [f"{table.name}: {table.title}, {table.unit}", f"  {table.source}"]
        lines += _grid(
            ("", "", "measured", "simulated", "error", ""),
            [
                (c.row, c.column, f"{c.measured:.4g}", f"{c.simulated:.4g}", _percent(c.error),
                 c.how)
                for c in found.cells
                if c.table is table
            ],
        )  # fmt: skip
        lines.append("")
    for title, rows in (
        ("ratios of instruction counts of recorded guests", found.ratios),
        ("passes a second over held pages, one scale factor per kernel", found.rates),
    ):
        lines.append(title)
        lines += _grid(
            ("", "", "recorded", "simulated", "error", ""),
            [
                (r.kernel, r.name, f"{r.recorded:.4g}", f"{r.simulated:.4g}", _percent(r.error),
                 r.how)
                for r in rows
            ],
        )  # fmt: skip
        lines.append("")
    for name, (value, limit) in found.limits().items():
        state = "holds" if value <= limit else "BROKEN"
        lines.append(f"{name}: {value:.3f}, at most {limit}: {state}")
    return "\n".join(lines)


def _percent(share: float) -> str:
    """``+6.5 %``."""
    return f"{100 * share:+.1f} %"


def _grid(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns as wide as their widest word; numbers to the right."""
    table = [head, *rows]
    width = [max(len(row[i]) for row in table) for i in range(len(head))]
    right = range(2, 5)
    return [
        "  "
        + "  ".join(
            word.rjust(width[i]) if i in right else word.ljust(width[i])
            for i, word in enumerate(row)
        ).rstrip()
        for row in table
    ]
