"""Prints a script as it ran: maps, steps, arms side by side; or as JSON."""

import sys
import textwrap
from collections.abc import Sequence
from shutil import get_terminal_size
from typing import Any

from engine.shape import HostShape
from fleet.hosts import blockmap
from fleet.hosts.zones import zone_name
from fleet.lab.machine import Ints
from fleet.lab.script.load import Loaded
from fleet.lab.script.run import Ran
from fleet.lab.script.sight import TIMES, Seen, Step
from fleet.lab.script.words import amount, duration, outcome, told

WIDTH = 110
"""Columns where the output is no terminal."""
NARROWEST = 20
"""Columns of a cell at least, whatever the terminal."""
MARK_STYLES = {"*": "red", "!": "yellow", "#": "bold red"}


def print_script(loaded: Loaded, runs: Sequence[Ran]) -> None:
    """Print one run, or several arms side by side."""
    shape = runs[0].shape
    _line(loaded.script.title, "bold")
    _line(_host(shape))
    _line(blockmap.LEGEND, "dim")
    _maps("before", [(run, run.before) for run in runs])
    _line("")
    if len(runs) == 1:
        _print_one(runs[0])
    else:
        _print_arms(loaded, runs)
    _maps("after", [(run, run.after) for run in runs])
    _line("")
    for run in runs:
        _verdict(loaded, run)


def as_json(loaded: Loaded, runs: Sequence[Ran]) -> dict[str, Any]:
    """The documented JSON shape (docs/lab.md)."""
    return {
        "script": loaded.name,
        "title": loaded.script.title,
        "arms": [
            {
                "arm": run.arm,
                "before": _blocks(run.before, run.shape),
                "steps": [_step(step, run.shape) for step in run.steps],
                "after": _blocks(run.after, run.shape),
                "end": run.end,
                "unmet": [
                    {"step": u.label, "field": u.field, "expected": u.expected, "seen": u.seen}
                    for u in run.unmet
                ],
            }
            for run in runs
        ],
        "differ": differing(runs),
    }


def differing(runs: Sequence[Ran]) -> list[int]:
    """Numbers of the steps (from 1) in which arms differ in more than time."""
    longest = max(len(run.steps) for run in runs)
    return [n + 1 for n in range(longest) if len({_essence(run, n) for run in runs}) > 1]


def _essence(run: Ran, index: int) -> tuple[tuple[str, Any], ...]:
    """What a step saw, times left out."""
    seen = run.steps[index].seen if index < len(run.steps) else {}
    return tuple((name, value) for name, value in seen.items() if name not in TIMES)


def _step(step: Step, shape: HostShape) -> dict[str, Any]:
    """One step of the JSON shape."""
    row: dict[str, Any] = {"step": step.number, "op": step.op}
    row |= {"as": step.label} if step.label else {}
    row |= {"seen": step.seen} | step.details
    return row | ({"map": _blocks(step.drawn, shape)} if step.drawn is not None else {})


def _blocks(blocks: Ints, shape: HostShape) -> list[dict[str, Any]]:
    """One mapping per block that exists."""
    names = ("isolated", "free", "used", "pinned", "file", "kernel")
    return [
        {"block": b, "node": shape.block_node[b], "zone": zone_name(int(row[0]))}
        | dict(zip(names, (int(v) for v in row[1:7]), strict=True))
        for b, row in enumerate(blocks)
        if row[0] >= -1
    ]


def _host(shape: HostShape) -> str:
    """The host in one line."""
    nodes = f"{shape.nr_nodes} node{'s' if shape.nr_nodes > 1 else ''}"
    cpus = f"{len(shape.cpu_node)} CPU{'s' if len(shape.cpu_node) > 1 else ''}"
    size = amount(shape.nr_blocks * shape.block_pages)
    return f"{size} in blocks of {amount(shape.block_pages)}, {nodes}, {cpus}"


def _print_one(run: Ran) -> None:
    """Steps of a single arm; notes and maps have the whole width."""
    ops = max(len(step.op) for step in run.steps)
    ends = max(len(outcome(step.seen)) for step in run.steps)
    indent = 4 + ops + 2 + ends + 2
    for step in run.steps:
        if step.note:
            _line(f"    {step.note}", "italic")
        lines = textwrap.wrap(_happened(step), max(_width() - indent, NARROWEST)) or [""]
        head = f"{step.number:>2}  {step.op:<{ops}}  "
        _print(_text(head) + _text(f"{outcome(step.seen):<{ends}}", _style(step.seen)) + "  "
               + lines[0])  # fmt: skip
        for line in lines[1:]:
            _line(" " * indent + line)
        for text in _drawn(step, run.shape):
            _print(_text("    ") + text)


def _happened(step: Step) -> str:
    """What a step did and how long it took."""
    time_ns = step.seen["time_ns"]
    return "; ".join(part for part in (told(step), duration(time_ns) if time_ns else "") if part)


def _drawn(step: Step, shape: HostShape) -> list[Any]:
    """The map that a step drew; of an offline that did not succeed the lines with its blocks."""
    if step.drawn is None:
        return []
    tried = {row["block"] for row in step.details.get("attempts", [])}
    lines = blockmap.lines(step.drawn, shape)
    shown = [x for x in lines if not tried or any(x.first <= b <= x.last for b in tried)]
    return [_coloured(line) for line in shown]


def _print_arms(loaded: Loaded, runs: Sequence[Ran]) -> None:
    """Steps of several arms side by side; those that differ are marked."""
    ops = max(len(step.op) for step in loaded.script.steps)
    width = max((_width() - 5 - ops) // len(runs) - 2, NARROWEST)
    differ = set(differing(runs))
    _row("", ops, [(run.arm, "bold") for run in runs], width)
    for index, step in enumerate(loaded.script.steps):
        if step.note:
            _line(f"     {step.note}", "italic")
        cells = [_cell(run, index) for run in runs]
        if index + 1 not in differ:
            cells[1:] = [("=", "dim")] * (len(runs) - 1)
        mark = "≠" if index + 1 in differ else " "
        _row(f"{mark} {index + 1:>2} {step.op}", ops, cells, width)


def _row(head: str, ops: int, cells: Sequence[tuple[str, str]], width: int) -> None:
    """One step: its head, and a wrapped cell for each arm."""
    wrapped = [textwrap.wrap(text, width) or [""] for text, _ in cells]
    for index in range(max(len(lines) for lines in wrapped)):
        line = _text(f"{head if index == 0 else '':<{5 + ops}}")
        for lines, (_, style) in zip(wrapped, cells, strict=True):
            shown = lines[index] if index < len(lines) else ""
            line += _text("  ") + _text(f"{shown:<{width}}", style)
        _print(line)


def _cell(run: Ran, index: int) -> tuple[str, str]:
    """What one arm did in a step, and its style."""
    if index >= len(run.steps):
        return "-", "dim"
    step = run.steps[index]
    happened = _happened(step)
    return outcome(step.seen) + (f"; {happened}" if happened else ""), _style(step.seen)


def _style(seen: Seen) -> str:
    """Red for what went wrong."""
    return "" if outcome(seen) == "ok" else "red"


def _verdict(loaded: Loaded, run: Ran) -> None:
    """How it ended, and whether that was expected."""
    text = f"{run.arm}: {run.end['fate']}"
    if run.end["oom_kills"]:
        text += f", {run.end['oom_kills']} OOM kill(s)"
    expected = sum(len(fields) for fields in loaded.script.expect.get(run.arm, {}).values())
    if expected:
        text += f"; {expected - len(run.unmet)} of {expected} expectations hold"
    _line(text, "red" if run.unmet else "")
    for u in run.unmet:
        _line(f"  {u.label}.{u.field}: expected {u.expected!r}, seen {u.seen!r}", "red")


def _maps(title: str, drawn: Sequence[tuple[Ran, Ints]]) -> None:
    """Maps of all arms, those that look the same once."""
    groups: dict[tuple[str, ...], list[tuple[Ran, Ints]]] = {}
    for run, blocks in drawn:
        looks = tuple(line.text for line in blockmap.lines(blocks, run.shape))
        groups.setdefault(looks, []).append((run, blocks))
    for group in groups.values():
        run, blocks = group[0]
        arms = "" if len(groups) == 1 else ", " + ", ".join(other.arm for other, _ in group)
        _line("")
        _line(title + arms, "bold")
        for line in blockmap.lines(blocks, run.shape):
            _print(_coloured(line))


def _coloured(line: blockmap.Line) -> Any:
    """A line of a map with coloured marks."""
    text = _text(line.text)
    for mark, style in MARK_STYLES.items():
        text.highlight_words([mark], style)
    return text


# -- the terminal ----------------------------------------------------------------------------


def _width() -> int:
    """Columns to fill."""
    return get_terminal_size().columns if sys.stdout.isatty() else WIDTH


def _text(text: str, style: str = "") -> Any:
    from rich.text import Text

    return Text(text, style=style)


def _line(text: str, style: str = "") -> None:
    """Print a line of text."""
    _print(_text(text, style))


def _print(item: Any) -> None:
    """Print a line, styled on a terminal only."""
    if sys.stdout.isatty():
        from rich.console import Console

        Console(file=sys.stdout, highlight=False).print(item, soft_wrap=True)
        return
    print(str(item).rstrip())
