"""What the coordinator believes about hosts: room, memory blocks, who is up and who is busy.

"Room" means by this ledger. A host may know better and refuse; that is an outcome, not an error.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.enums import ZoneKind
from engine.shape import HostShape
from fleet.plan.tables import Hosts
from fleet.run.placement import NOWHERE, Rooms, Rule

RESERVE_SHIFT = 5
"""A host keeps 1/32 of its memory back for watermarks, page tables and a minimal page cache:
between the 2 % (above 128 GiB) and 6 % (16 to 128 GiB) steps of the node reservation formula of
the large Kubernetes services (GKE, "Allocatable memory resources")."""


class Ledger:
    """Room and state of every host.

    Parameters
    ----------
    hosts : Hosts
        The plan's inventory.
    shapes : sequence of HostShape
        Zones and blocks of each host under this arm's sizing.
    rule : callable
        Of placement.

    Attributes
    ----------
    capacity_pages, committed_pages : list of int
        What workloads may use of each host, and what they were promised.
    up : list of bool
        False while the host is known to be down.
    boots : int64[n]
        How often each host is known to have gone down; the fence of commands.
    """

    def __init__(self, hosts: Hosts, shapes: Sequence[HostShape], rule: Rule) -> None:
        own = hosts.kernel_pages + hosts.base_pages + (hosts.memory_pages >> RESERVE_SHIFT)
        self._whole: list[int] = np.maximum(hosts.memory_pages - own, 0).tolist()
        self.capacity_pages = self._whole.copy()
        self.committed_pages = [0] * len(hosts)
        self.up = [True] * len(hosts)
        self.boots: NDArray[np.int64] = np.zeros(len(hosts), np.int64)
        self._rooms, self._rule = Rooms(self._whole), rule
        self._block_pages = hosts.block_pages
        self._shapes = shapes
        self._removed: dict[int, set[int]] = {}

    def commit(self, host: int, pages: int) -> None:
        """Promise ``pages`` of a host (negative: give them back)."""
        self.committed_pages[host] += pages
        if self.up[host]:
            self._rooms.put(host, self._rooms[host] - pages)

    def find(self, pages: int) -> int:
        """Return the host on which the rule places ``pages``, ``NOWHERE`` when none has room."""
        return self._rule(self._rooms, pages)

    def find_elsewhere(self, pages: int, host: int) -> int:
        """Return what ``find`` would if ``host`` had no room."""
        room = self._rooms[host]
        self._rooms.put(host, NOWHERE)
        found = self.find(pages)
        self._rooms.put(host, room)
        return found

    def _measure(self, host: int) -> None:
        """Set the room of a host by its capacity and promises."""
        room = self.capacity_pages[host] - self.committed_pages[host]
        self._rooms.put(host, room if self.up[host] else NOWHERE)

    def has_room_without(self, host: int, nr_blocks: int) -> bool:
        """Whether a host could lose that many blocks and keep its promises."""
        lost = nr_blocks * int(self._block_pages[host])
        return bool(self.capacity_pages[host] - lost >= self.committed_pages[host])

    def remove(self, host: int, first: int, nr_blocks: int) -> None:
        """Count a block range as gone, from the decision to remove it on."""
        self._removed.setdefault(host, set()).update(range(first, first + nr_blocks))
        self.capacity_pages[host] -= nr_blocks * int(self._block_pages[host])
        self._measure(host)

    def restore(self, host: int, first: int, nr_blocks: int) -> None:
        """Count a block range as there again (the removal failed)."""
        self._removed[host].difference_update(range(first, first + nr_blocks))
        self.capacity_pages[host] += nr_blocks * int(self._block_pages[host])
        self._measure(host)

    def close(self, host: int) -> None:
        """Give a host no more workloads: it is about to go down."""
        self.up[host] = False
        self._measure(host)

    def open(self, host: int) -> None:
        """Note that a host is back."""
        self.up[host] = True
        self._measure(host)

    def down(self, host: int) -> None:
        """Note that a host went down: nothing runs there, and it will boot with all its memory."""
        self.up[host] = False
        self.boots[host] += 1
        self.committed_pages[host] = 0
        self._removed.pop(host, None)
        self.capacity_pages[host] = self._whole[host]
        self._measure(host)

    def ranges(self, host: int, nr_blocks: int) -> list[int]:
        """Return the first blocks of the ranges that could be removed, ascending.

        A range lies in one zone: ZONE_MOVABLE when the host has any such block, otherwise
        NORMAL (as ``fleet.hosts.shape.removable_blocks``).
        """
        shape = self._shapes[host]
        removed = self._removed.get(host, set())
        kind = ZoneKind.MOVABLE if ZoneKind.MOVABLE in shape.block_zone else ZoneKind.NORMAL
        found, run, last = [], 0, (-1, -1)
        for block in range(shape.nr_blocks):
            zone = (shape.block_node[block], shape.block_zone[block])
            usable = zone[1] == kind and block not in removed
            run = (run + 1 if zone == last else 1) if usable else 0
            last = zone
            if run >= nr_blocks:
                found.append(block - nr_blocks + 1)
        return found
