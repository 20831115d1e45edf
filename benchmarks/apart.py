"""What the machine gives a second process: two runs that share nothing, at the same time.

Two actors cannot be expected to gain more, whatever they do for each other: cores share memory,
caches, the power they may draw, and often (as virtual CPUs) their execution units.
"""

import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.fleet_stages import staged
from benchmarks.timing import Spread


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
        start_s = time.perf_counter()
        outs = [Path(folder) / str(i) for i in range(count)]
        list(threads.map(lambda out: staged(arm, 0, out, settings), outs))
        return time.perf_counter() - start_s
