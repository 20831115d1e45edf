"""The same host as one would write it without the engine: SimPy processes and Python objects.

A page is an object that knows its block and its owner, free pages are a list (last freed, first
taken), free memory is a ``simpy.Container`` that VMs wait on, and a VM is a process that lives
until its event. There is no buddy order, zone fallback, watermark or per-CPU list: it knows less
than the engine does.
"""

from collections.abc import Generator, Sequence
from typing import Any

import simpy

from benchmarks.demands import Demand

NOBODY = -1


class Block:
    """A memory block: how many of its pages are used."""

    __slots__ = ("number", "used")

    def __init__(self, number: int) -> None:
        self.number, self.used = number, 0


class Page:
    """A 4 KiB page: frame number, memory block, owner."""

    __slots__ = ("block", "owner", "pfn")

    def __init__(self, pfn: int, block: Block) -> None:
        self.pfn, self.block, self.owner = pfn, block, NOBODY


class SimpyHost:
    """A host of pages, and a controller process that starts and ends VMs.

    Parameters
    ----------
    pages, block_pages : int
    """

    def __init__(self, pages: int, block_pages: int) -> None:
        self.env = simpy.Environment()
        self.blocks = [Block(number) for number in range(pages // block_pages)]
        self.free = [Page(pfn, self.blocks[pfn // block_pages]) for pfn in reversed(range(pages))]
        self.room = simpy.Container(self.env, capacity=pages, init=pages)
        self._ends: dict[int, simpy.Event] = {}

    def run(self, demands: Sequence[Demand]) -> None:
        """Carry out demands, one a second, and advance to the last one's end."""
        self.env.run(self.env.process(self._controller(demands)))

    def _controller(self, demands: Sequence[Demand]) -> Generator[simpy.Event, Any, None]:
        """Start and end VMs as demanded."""
        for demand in demands:
            yield self.env.timeout(1)
            if demand.starts:
                end = self._ends[demand.slot] = self.env.event()
                self.env.process(self._vm(demand.slot, demand.pages, end))
            else:
                self._ends.pop(demand.slot).succeed()
        yield self.env.timeout(1)

    def _vm(self, slot: int, count: int, end: simpy.Event) -> Generator[simpy.Event, Any, None]:
        """A VM: take memory, page by page; live; give it back."""
        yield self.room.get(count)
        mine = []
        for _ in range(count):
            page = self.free.pop()
            page.owner = slot
            page.block.used += 1
            mine.append(page)
        yield end
        for page in mine:
            page.owner = NOBODY
            page.block.used -= 1
            self.free.append(page)
        yield self.room.put(count)
