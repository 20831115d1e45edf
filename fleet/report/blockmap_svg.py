"""The map of memory blocks as one self-contained SVG, light and dark, readable without hovering."""

from collections.abc import Sequence
from html import escape

from fleet.report import units
from fleet.report.blockmap import STATES, Block, groups

PARTS = ("unmovable", "pinned", "movable", "cache", "free")
COLOURS = {
    # light and dark; told apart without red and green, too (Okabe, Ito: Color Universal Design)
    "unmovable": ("#4b3f72", "#a99be0"),
    "pinned": ("#d55e00", "#ff8c42"),
    "movable": ("#0072b2", "#5ab0e6"),
    "cache": ("#9ccbe8", "#2f5f7d"),
    "free": ("#eef1f4", "#20262d"),
}
LABELS = {
    "unmovable": "unmovable", "pinned": "pinned", "movable": "movable", "cache": "page cache",
    "free": "free",
}  # fmt: skip
CELL, GAP, HIGH = 30, 6, 44
LEFT, PER_ROW = 168, 24
NARROW = 760
LETTER = 7.2
"""Width of a letter of the legend, about."""


def svg(blocks: Sequence[Block], title: str, subtitle: str) -> str:
    """Return the picture.

    Parameters
    ----------
    blocks : sequence of Block
    title : str
        The finding.
    subtitle : str
        Which host when.
    """
    longest = max([0, *(len(held) for _, held in groups(blocks))])
    wide = max(LEFT + min(longest, PER_ROW) * (CELL + GAP) + 20, NARROW)
    legend, y = _legend(blocks, wide)
    body = [legend]
    for name, held in groups(blocks):
        body.append(_zone(name, held, y))
        y += -(-len(held) // PER_ROW) * (HIGH + GAP + 12) + 20
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {y}" width="{wide}"'
        f' height="{y}" role="img" aria-label="{escape(title, quote=True)}">',
        f"<title>{escape(title)}</title><desc>{escape(_described(blocks))}</desc>",
        _style(), _pattern(),
        f'<rect class="ground" width="{wide}" height="{y}"/>',
        f'<text class="title" x="20" y="36">{escape(title)}</text>',
        f'<text class="quiet" x="20" y="60">{escape(subtitle)}</text>',
        *body, "</svg>", "",
    ])  # fmt: skip


def _style() -> str:
    """Colours of both themes."""
    light = "".join(f".{n}{{fill:{c[0]}}}" for n, c in COLOURS.items())
    dark = "".join(f".{n}{{fill:{c[1]}}}" for n, c in COLOURS.items())
    return (
        "<style>text{font:13px system-ui,sans-serif;fill:#1c2733}.title{font-size:19px;"
        "font-weight:600}.quiet,.number{fill:#5b6875}.number{font-size:9px;text-anchor:middle}"
        ".zone{font-weight:600}.ground{fill:#fff}.edge{fill:none;stroke:#8794a1;stroke-width:1}"
        ".held{fill:none;stroke:#d55e00;stroke-width:2}"
        ".out{fill:none;stroke:#8794a1;stroke-width:1;stroke-dasharray:3 3}"
        f".iso{{fill:url(#hatch);stroke:#b58900;stroke-width:2.5}}.hatch{{stroke:#b58900}}{light}"
        "@media (prefers-color-scheme:dark){text{fill:#e6ebf0}.ground{fill:#12161b}"
        f".quiet,.number{{fill:#9aa7b4}}.iso,.hatch{{stroke:#ffd166}}.held{{stroke:#ff8c42}}{dark}}}</style>"
    )


def _pattern() -> str:
    return (
        '<defs><pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse"'
        ' patternTransform="rotate(45)"><line class="hatch" y2="7" stroke-width="3"/></pattern>'
        "</defs>"
    )


def _legend(blocks: Sequence[Block], wide: int) -> tuple[str, int]:
    """Colours with the share of memory each has, marks that occur; and where it ends."""
    online = sum(block.pages for block in blocks if block.zone >= 0) or 1
    texts = {
        name: f"{LABELS[name]} {units.pages(pages)}, {units.percent(pages / online)}"
        for name in PARTS
        if (pages := sum(getattr(block, name) for block in blocks))
    }
    if any(block.isolated for block in blocks):
        texts["iso"] = "being removed"
    if any(block.zone < 0 for block in blocks):
        texts["out"] = "offline"
    out, x, y = [], 20, 78
    for name, text in texts.items():
        needed = int(44 + LETTER * len(text))
        if x + needed > wide:
            x, y = 20, y + 24
        for drawn in (name, "edge") if name in PARTS else (name,):
            out.append(f'<rect class="{drawn}" x="{x}" y="{y}" width="14" height="14" rx="2"/>')
        out.append(f'<text x="{x + 20}" y="{y + 12}">{text}</text>')
        x += needed
    return "".join(out), y + 42


def _zone(name: str, held: Sequence[Block], top: int) -> str:
    """One zone: its name, size and pinned share, and its blocks."""
    pages = sum(block.pages for block in held)
    pinned = sum(1 for block in held if block.pinned and block.zone >= 0)
    told = f"{len(held)} blocks, {units.pages(pages)}"
    out = [
        f'<text class="zone" x="20" y="{top + 16}">{escape(name)}</text>',
        f'<text class="quiet" x="20" y="{top + 34}">{told}</text>',
    ]
    if held[0].zone >= 0:
        out.append(f'<text class="quiet" x="20" y="{top + 51}">{pinned} with a pin</text>')
    for index, block in enumerate(held):
        row, column = divmod(index, PER_ROW)
        out.append(_cell(block, LEFT + column * (CELL + GAP), top + row * (HIGH + GAP + 12)))
    return "".join(out)


def _cell(block: Block, x: int, top: int) -> str:
    """A block, filled from the bottom by what keeps it first."""
    out, bottom = [f"<g><title>{escape(_told(block))}</title>"], float(top + HIGH)
    if block.zone < 0:
        out.append(f'<rect class="out" x="{x}" y="{top}" width="{CELL}" height="{HIGH}" rx="3"/>')
    else:
        out.append(f'<rect class="free" x="{x}" y="{top}" width="{CELL}" height="{HIGH}" rx="3"/>')
        for name in PARTS[:-1]:
            high = HIGH * getattr(block, name) / block.pages
            if high:
                high = max(high, 1.5)  # one page in two GiB is still to be seen
                bottom -= high
                out.append(
                    f'<rect class="{name}" x="{x}" y="{bottom:.2f}" width="{CELL}"'
                    f' height="{high:.2f}"/>'
                )
        mark = "iso" if block.isolated else "held" if block.pinned else "edge"
        out.append(
            f'<rect class="{mark}" x="{x}" y="{top}" width="{CELL}" height="{HIGH}" rx="3"/>'
        )
    out.append(
        f'<text class="number" x="{x + CELL // 2}" y="{top + HIGH + 10}">{block.number}</text></g>'
    )
    return "".join(out)


def _told(block: Block) -> str:
    """A block in words, for whoever hovers."""
    parts = [f"{LABELS[n]} {units.pages(getattr(block, n))}" for n in PARTS if getattr(block, n)]
    return f"block {block.number}: {STATES[block.state]}" + (f"; {', '.join(parts)}" * bool(parts))


def _described(blocks: Sequence[Block]) -> str:
    """The picture in words."""
    counts = {name: sum(block.state == name for block in blocks) for name in STATES}
    return "; ".join(f"{n} blocks: {STATES[name]}" for name, n in counts.items() if n)
