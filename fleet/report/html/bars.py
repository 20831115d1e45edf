"""A picture with one row per arm: who, shapes along a common axis, the value spelled."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fleet.report.html.arms import Arm
from fleet.report.html.render import render
from fleet.report.html.scale import Scale
from fleet.report.html.svg import percent, shape


@dataclass(frozen=True, slots=True)
class Bar:
    """One row.

    Attributes
    ----------
    arm : Arm
    shapes : list of Markup
        SVG, x in per cent of the axis, y in pixels below ``height``.
    value : Markup or str
        The value as text, beside the shapes.
    below : Markup or str
        More text under the shapes.
    height : int
        Pixels.
    """

    arm: Arm
    shapes: Sequence[Markup]
    value: Markup | str
    below: Markup | str = ""
    height: int = 20


@dataclass(frozen=True, slots=True)
class Group:
    """Rows under a common heading."""

    bars: Sequence[Bar]
    heading: str = ""


@dataclass(frozen=True, slots=True)
class Axis:
    """The axis under all rows: ticks and what they count."""

    scale: Scale
    label: str


def draw(groups: Sequence[Group], axis: Axis) -> Markup:
    """Return the picture."""
    return render("bars.html", groups=groups, axis=axis, grid=grid(axis.scale), foot=foot(axis))


def bar(
    scale: Scale, value: float, *, title: Markup, data: Markup, y: int = 3, height: int = 14,
    class_: str = "fill",
) -> list[Markup]:  # fmt: skip
    """Return a bar from 0; a value too small to see is still a hair."""
    if not value:
        return []
    width = percent(max(scale.at(value), 0.003))
    shapes = [
        shape("rect", title, data=data, x=0, y=y, width=width, height=height, rx=2, class_=class_)
    ]
    if class_ == "hatched":
        shapes.append(shape("rect", x=0, y=y, width=width, height=height, rx=2, class_="hatch"))
    return shapes


def grid(scale: Scale) -> Markup:
    """Return the vertical lines behind a row."""
    lines = [
        shape("line", x1=percent(scale.at(v)), x2=percent(scale.at(v)), y1=0.0, y2="100%",
              class_="zero" if v == 0 else "grid")
        for v, _ in scale.ticks
    ]  # fmt: skip
    return Markup("").join(lines)


def foot(axis: Axis) -> Markup:
    """Return the labels of the ticks and of the axis."""
    parts = []
    for value, text in axis.scale.ticks:
        place = axis.scale.at(value)
        anchor = "start" if place < 0.02 else "end" if place > 0.98 else "middle"
        parts.append(
            shape("text", text, x=percent(place), y=14.0, text_anchor=anchor, class_="tick")
        )
    parts.append(shape("text", axis.label, x="100%", y=30.0, text_anchor="end", class_="unit"))
    return Markup("").join(parts)
