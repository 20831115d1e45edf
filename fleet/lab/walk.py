"""The recorded driver's random walk of occupancy (operation ``steady``).

Frees and touches of random chunks in a buffer that is full at first. How the driver draws was
found by search: this order of draws, and no other that was tried, ends with the recorded numbers
of steps, present and freed pages in all of the recorded walks (``tests/lab/test_walk.py``).
"""

import itertools
from dataclasses import dataclass

from fleet.lab.draws import Lcg

UNIT_PAGES = 512
"""The walk stays inside whole 2 MiB of the buffer."""
COIN_BIT = 8
GIVE_UP = 8
"""Draws per chunk after which the walk looks whether there is one to find."""


class NoWalkError(ValueError):
    """The limits leave no step: at or above ``high`` nothing to free, or below nothing to touch."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What one walk does.

    Attributes
    ----------
    steps : list of (frees, first, pages)
        One chunk each: freed or touched.
    present_pages, freed_pages : int
        Pages of the buffer that are present at the end; pages freed in all.
    """

    steps: list[tuple[bool, int, int]]
    present_pages: int
    freed_pages: int


def _drawn(draws: Lcg, here: bytearray, chunk: int, state: int) -> int:
    """First page of a random chunk that begins in a state, -1 when there is none."""
    count = len(here) // chunk
    for tries in itertools.count():
        first = chunk * (draws.next() % count)
        if here[first] == state:
            return first
        if tries == GIVE_UP * count and state not in here[: count * chunk : chunk]:
            break
    return -1


def walk(seed: int, used: int, chunks: tuple[int, ...], goal: int, low: int, high: int) -> Walk:
    """Draw a walk until ``goal`` pages are freed.

    Parameters
    ----------
    used : int
        Pages of the buffer that were ever touched.
    chunks : tuple of int
        Chunk sizes to draw from, pages; a single one is not drawn.
    low, high : int
        Occupancy limits, percent: at or above ``high`` a step frees, at or below ``low`` it
        touches, in between a coin decides.

    Raises
    ------
    NoWalkError
        ``goal`` is never reached.
    """
    draws = Lcg(seed)
    pages = used // UNIT_PAGES * UNIT_PAGES
    least, most = pages * low // 100, pages * high // 100
    here = bytearray(b"\1") * pages
    steps: list[tuple[bool, int, int]] = []
    present, freed, chunk = pages, 0, chunks[0]
    missed: set[int] = set()
    while freed < goal:
        if len(chunks) > 1:
            chunk = chunks[draws.next() % len(chunks)]
        if present >= most:
            frees = 1
        elif present <= least:
            frees = 0
        else:
            frees = draws.next() >> COIN_BIT & 1
        first = _drawn(draws, here, chunk, frees)
        if first < 0:
            missed |= set() if least < present < most else {chunk}
            if len(missed) == len(set(chunks)):
                word = "free" if frees else "touch"
                raise NoWalkError(f"no chunk is left to {word} in these limits")
            continue
        missed.clear()
        changed = here.count(frees, first, first + chunk)
        here[first : first + chunk] = bytes((1 - frees,)) * chunk
        present += -changed if frees else changed
        freed += changed if frees else 0
        steps.append((bool(frees), first, chunk))
    return Walk(steps, present, freed)
