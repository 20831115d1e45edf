"""The passes of an attempt one by one: stepped through on a copy of its host."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from engine.host import Host
from engine.state import O_FAILED, O_MIGRATED, O_ON, O_PASSES, O_STEP
from fleet.why.trial import Trial

MOST_PASSES = 64
"""Passes of an attempt that are told one by one; a loop's later ones are alike."""


_NOTHING = np.zeros((0, 8), np.int64)


class Pass(NamedTuple):
    """One pass, from its scan to the next one (mm/memory_hotplug.c ``offline_pages``).

    Attributes
    ----------
    start_ns, end_ns : int
    migrated_pages, failed_pages : int
        What it moved, and migrations that failed.
    """

    start_ns: int
    end_ns: int
    migrated_pages: int
    failed_pages: int


def passes(trial: Trial, most: int = MOST_PASSES) -> list[Pass]:
    """Return the first passes of an attempt.

    Between two steps nothing but commands can happen, so the host is run from step to step.
    """
    host, _ = trial.host()
    scans: list[tuple[int, int, int]] = []
    for commands, until_ns in trial.calls():
        at = 0
        while at < len(commands):
            now_ns = int(commands[at, 0])
            if _steps(host, now_ns, scans, most):
                return _joined(scans)
            end = at + int((commands[at:, 0] == now_ns).sum())
            host.execute(commands[at:end], now_ns)
            at = end
        if _steps(host, until_ns, scans, most):
            break
    return _joined(scans)


def _steps(host: Host, until_ns: int, scans: list[tuple[int, int, int]], most: int) -> bool:
    """Run the steps before a time and note each scan; say whether enough have been seen."""
    while True:
        registers = host.save()["g"]
        if not registers[O_ON] or registers[O_STEP] >= until_ns:
            return len(scans) > most or (bool(scans) and not registers[O_ON])
        step_ns, before = int(registers[O_STEP]), int(registers[O_PASSES])
        state = step_ns, int(registers[O_MIGRATED]), int(registers[O_FAILED])
        host.execute(_NOTHING, step_ns + 1)
        registers = host.save()["g"]
        if not registers[O_ON] or registers[O_PASSES] > before:
            scans.append(state)
        if len(scans) > most:
            return True


def _joined(scans: list[tuple[int, int, int]]) -> list[Pass]:
    """Return the passes between scans."""
    return [Pass(a[0], b[0], b[1] - a[1], b[2] - a[2]) for a, b in pairwise(scans)]
