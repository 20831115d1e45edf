"""The demands of the churn benchmarks, the same for every side, drawn by key."""

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.draws import below, draw
from fleet.plan.draws import draw as draws

Int64 = NDArray[np.int64]
GIB_PAGES = 1 << 18
VM_GIB = (1, 2, 4, 8, 16, 32)
"""Sizes of VMs, equally likely."""
SIZE, END, PAGE, ORDER = range(4)
"""Purposes of draws."""


@dataclass(frozen=True, slots=True)
class Demand:
    """A VM starts with all of its memory touched, or ends.

    Attributes
    ----------
    starts : bool
    slot : int
        Its number while it lives: the lowest that is free.
    pages : int
    """

    starts: bool
    slot: int
    pages: int


class VmChurn:
    """VMs of mixed sizes on a host that stays nearly full; whoever has to make room is drawn.

    Parameters
    ----------
    room_pages : int
        Memory that VMs may take together.
    sizes_pages : sequence of int
        Sizes, equally likely.
    key : int
    """

    def __init__(self, room_pages: int, sizes_pages: Sequence[int], key: int) -> None:
        self._room, self._sizes, self._key = room_pages, tuple(sizes_pages), key
        self._vacant: list[int] = []
        self._drawn = 0
        self.running: dict[int, int] = {}
        """Slot to pages."""

    @property
    def used_pages(self) -> int:
        """Memory of all running VMs."""
        return sum(self.running.values())

    def fill(self) -> list[Demand]:
        """Start VMs while the next one drawn fits."""
        demands = []
        while self.used_pages + (pages := self._next_size()) <= self._room:
            demands.append(self._start(pages))
            self._drawn += 1
        return demands

    def turn(self, starts: int) -> list[Demand]:
        """Start this many VMs; before each, VMs end until it fits."""
        demands = []
        for _ in range(starts):
            pages = self._next_size()
            while self.used_pages + pages > self._room:
                demands.append(self._end())
            demands.append(self._start(pages))
            self._drawn += 1
        return demands

    def _next_size(self) -> int:
        return self._sizes[below(len(self._sizes), self._key, SIZE, self._drawn)]

    def _start(self, pages: int) -> Demand:
        slot = self._vacant.pop(0) if self._vacant else len(self.running)
        self.running[slot] = pages
        return Demand(True, slot, pages)

    def _end(self) -> Demand:
        alive = sorted(self.running)
        slot = alive[below(len(alive), self._key, END, self._drawn, len(alive))]
        insort(self._vacant, slot)
        return Demand(False, slot, self.running.pop(slot))


def nr_pages(demands: Sequence[Demand]) -> int:
    """Return the pages that demands take and free together."""
    return sum(demand.pages for demand in demands)


def random_pages(running: dict[int, int], count: int, key: int) -> tuple[Int64, Int64]:
    """Draw distinct pages of running VMs, in two random orders: to be freed, to be touched again.

    Returns
    -------
    (int64[count, 2], int64[count, 2])
        Slot and page number within it.
    """
    slots = np.array(sorted(running), np.int64)
    ends = np.cumsum([running[slot] for slot in slots.tolist()])
    total = int(ends[-1])
    tries = (draws(key, PAGE, np.arange(2 * count)) % np.uint64(total)).view(np.int64)
    _, first = np.unique(tries, return_index=True)
    flat = tries[np.sort(first)[:count]]
    if len(flat) < count:
        raise ValueError("too few pages to draw from")
    owner = np.searchsorted(ends, flat, side="right")
    pages = np.stack([slots[owner], flat - np.concatenate([[0], ends])[owner]], axis=1)
    order = np.argsort(draws(key, ORDER, np.arange(count)), kind="stable")
    return pages, pages[order]


def key_of(*words: int) -> int:
    """Return one key word for several."""
    return draw(*words) >> 1
