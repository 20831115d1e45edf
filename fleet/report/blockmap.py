"""The memory blocks of a host as a picture wants them (``blockmap_svg`` draws it).

What keeps a block from being removed comes first: unmovable memory, then long-term pins, then
what can be moved, then page cache, then what is free.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

KINDS = ("DMA32", "Normal", "Movable")
ZONES_PER_NODE = 3


@dataclass(frozen=True, slots=True)
class Block:
    """One memory block; sizes in pages.

    Attributes
    ----------
    number, node, pages : int
        Which block of which node, and its size.
    zone : int
        Zone id, -1 offline, -2 no memory there.
    isolated : bool
        Being removed: nothing is allocated from it.
    unmovable, pinned, movable, cache, free : int
        Kernel memory (what was taken at boot included); under a long-term pin; other memory of
        processes; page cache; free or on a CPU's list. They add up to ``pages`` when online.
    """

    number: int
    node: int
    pages: int
    zone: int
    isolated: bool
    unmovable: int
    pinned: int
    movable: int
    cache: int
    free: int

    @property
    def state(self) -> str:
        """What decides about removing it: a key of ``STATES``."""
        if self.zone < 0:
            return "offline"
        if self.isolated:
            return "isolated"
        for name in ("unmovable", "pinned"):
            if getattr(self, name):
                return name
        used = self.movable + self.cache
        if not used:
            return "free"
        return "movable" if self.movable >= self.cache else "cache"


STATES = {
    "unmovable": "holds unmovable memory",
    "pinned": "holds pages under a long-term pin",
    "movable": "mostly movable memory",
    "cache": "mostly page cache",
    "free": "free",
    "isolated": "isolated: being removed",
    "offline": "offline",
}
"""State to what it means, worst first."""


def blocks_of(
    rows: Iterable[Sequence[int]], nodes: Sequence[int], block_pages: int, reserved: Sequence[int]
) -> list[Block]:
    """Return the blocks of a host from what its engine says.

    Parameters
    ----------
    rows : iterable of rows
        ``Host.blocks()``: zone, isolated, free, used, pinned, file, kernel.
    nodes : sequence of int
        Node of each block.
    block_pages : int
    reserved : sequence of int
        Pages of each block that the kernel took at boot.
    """
    found = []
    for number, row in enumerate(rows):
        zone, isolated, _, used, pinned, file, kernel = (int(value) for value in row)
        if zone == -2:
            continue
        taken = reserved[number] if zone >= 0 else 0
        movable = max(used - kernel - pinned - file, 0)
        cache = used - kernel - pinned - movable
        free = block_pages - taken - used if zone >= 0 else 0
        sizes = kernel + taken, pinned, movable, cache, free
        found.append(Block(number, nodes[number], block_pages, zone, bool(isolated), *sizes))
    return found


def zone_title(zone: int, node: int) -> str:
    """Return ``node0 Movable``, or ``node0 offline``."""
    return f"node{node} {KINDS[zone % ZONES_PER_NODE] if zone >= 0 else 'offline'}"


def groups(blocks: Sequence[Block]) -> list[tuple[str, list[Block]]]:
    """Return the blocks by zone, in the order of their addresses; a zone may come in pieces."""
    keyed = groupby(blocks, key=lambda block: (block.node, block.zone))
    return [(zone_title(zone, node), list(found)) for (node, zone), found in keyed]
