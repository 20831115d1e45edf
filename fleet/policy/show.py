"""A check's report as text and as JSON."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from fleet.policy.change import Change
from fleet.policy.check import Report

WIDTH = 98
MOST_CASES = 20
"""Changed observations of recorded cases that the text lists; JSON has all."""


def as_json(report: Report) -> dict[str, Any]:
    """Return the report's fields as they are, and ``passes``."""
    return {**asdict(report), "passes": not report.broken}


def as_text(report: Report) -> str:
    """Return the report for a terminal."""
    lines = [f"{report.kind} policy {report.name}: {report.arm} beside {report.plain}"]
    lines[0] += f" on {report.profile}"
    lines += ["", "cells", *_changes(report.cells)] if report.cells else ["", "no cell differs"]
    for where, changes in groupby(report.outcomes, key=lambda change: change.where):
        lines += ["", where, *_changes(list(changes))]
    if report.same:
        same = f"as without the policy: {'; '.join(report.same)}"
        lines += ["", textwrap.fill(same, WIDTH, subsequent_indent="  ")]
    if report.cases:
        lines += ["", *_cases(report)]
    lines += ["", *_verdict(report)]
    return "\n".join(lines)


def _changes(changes: Sequence[Change]) -> Iterator[str]:
    """Yield a line per change: what it was without, and with the policy."""
    width = max(len(change.what) for change in changes)
    plain = max(len(change.plain) for change in changes)
    for change in changes:
        yield f"  {change.what:<{width}}  {change.plain:<{plain}} -> {change.own}"


def _cases(report: Report) -> Iterator[str]:
    """Yield what recorded cases would have shown."""
    changed = len({change.where.split(" ops[")[0] for change in report.changed_cases})
    yield f"{report.cases} recorded cases, {changed} of them go otherwise"
    for change in report.changed_cases[:MOST_CASES]:
        yield f"  {change.where} {change.what}: {change.plain} -> {change.own}"
    left = len(report.changed_cases) - MOST_CASES
    if left > 0:
        yield f"  and {left} more (--format json)"


def _verdict(report: Report) -> Iterator[str]:
    """Yield whether the invariants hold."""
    stories = len(report.same) + len({change.where for change in report.outcomes})
    ran = f"{stories} stories and {report.sequences} sequences of {report.steps} random commands"
    if not report.broken:
        yield f"passes: {ran}, both engines equal, nothing lost, no held page moved"
        return
    yield f"BROKEN, in {ran}:"
    for text in report.broken:
        yield from textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ")
