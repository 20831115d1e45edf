"""What the machine gives a second process: two runs that share nothing, at the same time.

Two actors cannot gain more than that, whatever they do for each other: cores share memory, caches,
the power they may draw, and often (as virtual CPUs) their execution units.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.process_tree import measure
from benchmarks.timing import Spread

ROOT = Path(__file__).resolve().parents[1]


def gain(arm: str, settings: Sequence[str], turns: int) -> Spread:
    """Measure how much faster two runs in one process each are at once than in turn.

    Parameters
    ----------
    arm : str
    settings : sequence of str
        ``PATH=VALUE`` for ``benchmarks.fleet_stages``, the same for both.
    turns : int

    Returns
    -------
    Spread
        Wall time of twice a run alone over that of both at once; 2 where they do not notice.

    Raises
    ------
    RuntimeError
        When a run fails, with what it said.
    """
    return Spread.of(
        [2 * _wall_s(1, arm, settings) / _wall_s(2, arm, settings) for _ in range(turns)]
    )


def _wall_s(count: int, arm: str, settings: Sequence[str]) -> float:
    """Wall time until so many runs, begun together, have ended."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(count) as threads:
        stages = [sys.executable, "-m", "benchmarks.fleet_stages", arm, "0"]
        commands = [[*stages, f"{folder}/{i}", *settings] for i in range(count)]
        start_s = time.perf_counter()
        done = list(threads.map(lambda command: measure(command, ROOT), commands))
        wall_s = time.perf_counter() - start_s
    for usage in done:
        if usage.exit_code:
            raise RuntimeError(usage.output)
    return wall_s
