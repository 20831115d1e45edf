"""Shapes of SVG as text: attributes in the order given, numbers rounded, everything escaped."""

from collections.abc import Iterable

from markupsafe import Markup, escape

Value = str | float


def shape(name: str, *inside: str, data: Markup | None = None, **attributes: Value) -> Markup:
    """Return one element; ``stroke_width`` becomes ``stroke-width``, ``class_`` ``class``."""
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(number(value))}"'
        for key, value in attributes.items()
    )
    head = f"<{name}{words}{data or ''}"
    body = "".join(escape(part) for part in inside)
    return Markup(f"{head}>{body}</{name}>" if body else f"{head}/>")


def number(value: Value) -> str:
    """Return a coordinate with at most two decimals."""
    if isinstance(value, str):
        return value
    return f"{value:.2f}".rstrip("0").rstrip(".") if value != int(value) else str(int(value))


def percent(share: float) -> str:
    """Return a share of the width, 0 to 1, as SVG reads it."""
    return f"{number(round(100 * share, 2))}%"


def titled(text: str) -> Markup:
    """Return the text that is shown when the pointer rests on a shape."""
    return shape("title", text)


def path(points: Iterable[tuple[float, float]], *, steps: bool = False) -> str:
    """Return the data of a line through points; ``steps``: right first, then up or down."""
    words: list[str] = []
    for x, y in ((round(x, 1), round(y, 1)) for x, y in points):
        if not words:
            words.append(f"M{number(x)} {number(y)}")
        elif steps:
            words.append(f"H{number(x)}V{number(y)}")
        else:
            words.append(f"L{number(x)} {number(y)}")
    return "".join(words)
