"""Hosts whose memory is split: two processes grow in turns, and one of them ends."""

from typing import Any

import numpy as np

from benchmarks.demands import PAGE
from benchmarks.driver import Driver, command, commands, new_host
from engine.enums import AreaKind, Op
from engine.shape import HostShape
from fleet.plan.draws import below

LONGEST_PAGES = 64
"""Longest range touched at once."""


def aged_host(shape: HostShape, percent: int, key: int, arm: str = "kernel+unbounded") -> Driver:
    """Return a host on which process 0 holds every other range of what two of them took.

    Parameters
    ----------
    shape : HostShape
    percent : int
        Share of memory both held together.
    key : int
        Decides the lengths of the ranges.
    """
    driver = Driver(new_host(shape, arm))
    each = driver.free_pages() * percent // 200
    lengths = below(LONGEST_PAGES, key, PAGE, np.arange(2 * each // (LONGEST_PAGES // 2))) + 1
    lengths = lengths[: len(lengths) // 2 * 2].reshape(-1, 2)
    firsts = np.cumsum(lengths, axis=0) - lengths
    fits = (firsts + lengths <= each).all(axis=1)
    touches = np.zeros((int(fits.sum()), 2, 8), np.int64)
    touches[:, :, 1], touches[:, :, 2] = int(Op.TOUCH), [0, 1]
    touches[:, :, 3], touches[:, :, 4] = firsts[fits], lengths[fits]
    touches[:, :, 5:7] = -1
    for slot in (0, 1):
        driver.run(commands([command(Op.SPAWN, slot, 0, 1)]))
        driver.run(commands([command(Op.MAP, slot, slot, AreaKind.ANON, each)]))
    driver.run(touches.reshape(-1, 8))
    driver.run(commands([command(Op.EXIT, 1)]))
    return driver


def state(host: Any) -> str:
    """Say how split a host is, and what that costs."""
    held = host.fragments()
    blocks = sum(held[name] for name in ("free", "uniform", "folio", "split"))
    runs = held["runs"] / max(held["split"], 1)
    each_bytes = held["pageblock_bytes"] + runs * held["run_bytes"]
    return (
        f"{held['split'] / blocks:.0%} of pageblocks are split, with {runs:.1f} runs and"
        f" {each_bytes:,.0f} bytes each"
    )
