"""Prints the map of a host: its blocks as text, and what each zone holds."""

from rich.text import Text

from fleet.hosts.blockmap import UNMOVABLE_LEGEND, Line
from fleet.report import units
from fleet.report.show import print_rich, print_table, print_text
from fleet.why.hostmap import HostMap

STYLES = {"*": "bold red", "!": "bold yellow", "#": "bold red on yellow", "k": "magenta"}
"""By the mark of a block; others are blue as far as they are used, green when free."""


def print_host_map(shown: HostMap) -> None:
    """Print it on stdout."""
    print_text(shown.title, style="bold")
    print_text(shown.subtitle, style="dim")
    if not shown.blocks:
        return
    print()
    for line in shown.lines:
        print_rich(_coloured(line))
    print_text(UNMOVABLE_LEGEND, style="dim")
    print()
    heads = ["zone", "managed", "free", "min mark", "pinned", "blocks", "with a pin"]
    sizes = ("managed_pages", "free_pages", "min_pages", "pinned_pages")
    rows = [
        [
            zone["zone"],
            *(units.pages(zone[key]) for key in sizes),
            *(units.count(zone[key]) for key in ("blocks", "pinned_blocks")),
        ]
        for zone in shown.zones
    ]
    print_table(heads, rows, [False] + [True] * 6)


def _coloured(line: Line) -> Text:
    """A line of the map with its cells in colour."""
    text = Text(line.text)
    at = len(line.text) - len(" ".join(line.cells).rstrip())
    for cell in line.cells:
        plain = "dim" if cell[0] == "-" else "green" if cell[1] == " " else "blue"
        text.stylize(STYLES.get(cell[2], plain), at, at + len(cell))
        at += len(cell) + 1
    return text
