"""A picture with one line per arm over a common axis, letters at the ends of the lines."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from fleet.report.html.arms import Arm
from fleet.report.html.render import render
from fleet.report.html.scale import Scale
from fleet.report.html.svg import path, percent, shape, titled

HEIGHT = 240
"""Height of the plot in pixels; its width follows the page."""
APART = 15
"""Pixels between two letters at the right edge."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a line, what is said about it (may be nothing), which value it stands for."""

    x: float
    y: float
    title: str
    data: Markup


@dataclass(frozen=True, slots=True)
class Line:
    """One line; ``faint`` ones are thin and carry no letter."""

    arm: Arm
    points: Sequence[Point]
    steps: bool = False
    faint: bool = False
    ticks: Sequence[Point] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Plot:
    """Axes of a picture of lines.

    Attributes
    ----------
    x, y : Scale
    x_label, y_label : str
        What they count, with the unit.
    alt : str
        The picture in words.
    """

    x: Scale
    y: Scale
    x_label: str
    y_label: str
    alt: str


def draw(plot: Plot, lines: Sequence[Line]) -> Markup:
    """Return the picture."""
    return render(
        "lines.html",
        height=HEIGHT,
        alt=plot.alt,
        y_label=plot.y_label,
        axes=_axes(plot),
        strokes=Markup("").join(_stroke(plot, line) for line in lines),
        marks=Markup("").join(_marks(plot, line) for line in lines),
        ends=_ends(plot, lines),
    )


def _at(plot: Plot, point: Point) -> tuple[float, float]:
    return plot.x.at(point.x), 1 - plot.y.at(point.y)


def _axes(plot: Plot) -> Markup:
    parts = []
    for value, text in plot.y.ticks:
        y = HEIGHT * (1 - plot.y.at(value))
        kind = "zero" if value == plot.y.low else "grid"
        parts.append(shape("line", x1=0.0, x2="100%", y1=y, y2=y, class_=kind))
        parts.append(shape("text", text, x=-8.0, y=y + 4, text_anchor="end", class_="tick"))
    for value, text in plot.x.ticks:
        x = percent(plot.x.at(value))
        parts.append(shape("line", x1=x, x2=x, y1=float(HEIGHT), y2=HEIGHT + 5.0, class_="zero"))
        parts.append(shape("text", text, x=x, y=HEIGHT + 19.0, text_anchor="middle", class_="tick"))
    parts.append(
        shape("text", plot.x_label, x="100%", y=HEIGHT + 36.0, text_anchor="end", class_="unit")
    )
    return Markup("").join(parts)


def _stroke(plot: Plot, line: Line) -> Markup:
    """Return the line itself, in a box of 1000 x 1000 that is stretched over the plot."""
    places = [(1000 * x, 1000 * y) for x, y in (_at(plot, point) for point in line.points)]
    kind = f"stroke {line.arm.style}" + (" faint" if line.faint else "")
    return shape("path", d=path(places, steps=line.steps), class_=kind)


def _marks(plot: Plot, line: Line) -> Markup:
    """Return a spot to hover over for each point, and a bar where something was censored."""
    parts = []
    for point in (point for point in line.points if point.title):
        x, y = _at(plot, point)
        parts.append(
            shape("circle", titled(point.title), data=point.data, cx=percent(x), cy=HEIGHT * y,
                  r=5.0, class_=f"spot {line.arm.style}")
        )  # fmt: skip
    for point in line.ticks:
        x, y = _at(plot, point)
        parts.append(
            shape("line", titled(point.title), data=point.data, x1=percent(x), x2=percent(x),
                  y1=HEIGHT * y - 5, y2=HEIGHT * y + 5, class_=f"censor {line.arm.style}")
        )  # fmt: skip
    return Markup("").join(parts)


def _ends(plot: Plot, lines: Sequence[Line]) -> Markup:
    """Return the letters at the right edge, moved apart where they would meet."""
    ends = sorted(
        (HEIGHT * _at(plot, line.points[-1])[1], i)
        for i, line in enumerate(lines)
        if line.points and not line.faint
    )
    parts, last = [], -float("inf")
    lowest = HEIGHT - APART * (len(ends) - 1)
    for rank, (y, i) in enumerate(ends):
        y = max(min(y, lowest + APART * rank), last + APART)
        last = y
        arm = lines[i].arm
        parts.append(
            shape("text", arm.letter, x="100%", dx=9.0, y=y + 4, class_=f"end {arm.style}")
        )
    return Markup("").join(parts)
