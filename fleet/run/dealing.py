"""Which actor runs which hosts: shares of like memory, and who is quicker takes over from others.

A byte depends on neither, as hosts are independent. Work is in proportion to memory, but not every
core gives the same: on a machine of two cores one of them was slower by a seventh for minutes, and
its actor aged hosts for 6.5 s more while the other had nothing to do.
"""

from collections import deque
from collections.abc import Sequence

from fleet.run.messages import SHARD_HOSTS

PIECES = 64
"""Into how many pieces a share is cut: the last one is what others may have to wait for."""

MOST_MEMORY_PERCENT = 125
"""How much of its share an actor may take, as its node must have the memory."""


def divide(
    memory_pages: Sequence[int], actors: int, hosts_per_actor: int | None = None
) -> list[list[int]]:
    """Return which hosts each actor runs; ``memory_pages``: of each host.

    Shards are dealt in turn, and what each actor has been dealt is moved on so that all have the
    same memory, which is what work is in proportion to. Consecutive hosts when
    ``hosts_per_actor`` is given.
    """
    hosts = len(memory_pages)
    if hosts_per_actor is not None:
        return [
            list(range(first, min(first + hosts_per_actor, hosts)))
            for first in range(0, hosts, hosts_per_actor)
        ]
    dealt = sorted(range(hosts), key=lambda host: (host // SHARD_HOSTS % actors, host))
    squads: list[list[int]] = [[] for _ in range(actors)]
    before, fleet_pages = 0, sum(memory_pages)
    for host in dealt:
        middle = 2 * before + memory_pages[host]
        squads[middle * actors // (2 * fleet_pages)].append(host)
        before += memory_pages[host]
    return [sorted(squad) for squad in squads if squad]


class Deal:
    """The hosts of a unit, dealt out piece by piece to actors that are done with those they have.

    An actor gets its share in order, and then the last pieces of whoever has most left: most shards
    of the log stay with one actor. A quarter of its share is nobody else's, as it may be at work on
    that before (``Squad.prepare``).

    Parameters
    ----------
    shares : sequence of sequence of int
        Hosts of each actor, at least one (``divide``).
    memory_pages : sequence of int
        Of each host.
    fixed : bool
        Whether every actor runs its share, whoever is quicker.
    """

    def __init__(
        self,
        shares: Sequence[Sequence[int]],
        memory_pages: Sequence[int],
        *,
        fixed: bool = False,
    ) -> None:
        self._memory_pages = memory_pages
        self._own: list[deque[list[int]]] = []
        self._left: list[deque[list[int]]] = []
        for share in shares:
            size = max(len(share) // PIECES, 1)
            pieces = [list(share[at : at + size]) for at in range(0, len(share), size)]
            own = len(pieces) if fixed else (len(pieces) + 3) // 4
            self._own.append(deque(pieces[:own]))
            self._left.append(deque(pieces[own:]))
        self._may_take = [self._pages(share) * MOST_MEMORY_PERCENT // 100 for share in shares]

    def own(self, actor: int) -> list[int]:
        """Return the hosts that an actor will get whoever is quicker, and has not got yet."""
        return [host for piece in self._own[actor] for host in piece]

    def more(self, actor: int) -> list[int]:
        """Return the next hosts of an actor; none when it has enough, or none are left."""
        if self._may_take[actor] <= 0:
            return []
        hosts: list[int] = []
        slowest = max(self._left, key=len)
        if self._own[actor]:
            hosts = self._own[actor].popleft()
        elif self._left[actor]:
            hosts = self._left[actor].popleft()
        elif slowest:
            hosts = slowest.pop()
        self._may_take[actor] -= self._pages(hosts)
        return hosts

    def _pages(self, hosts: Sequence[int]) -> int:
        return sum(self._memory_pages[host] for host in hosts)
