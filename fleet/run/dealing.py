"""Which actor runs which hosts: shares of like memory, and who is quicker takes over from others.

A byte depends on neither, as hosts are independent. Work is in proportion to memory, but not every
core gives the same: on a machine of two cores one of them was slower by a seventh for minutes, and
its actor aged hosts for 6.5 s more while the other had nothing to do.
"""

from collections.abc import Sequence
from itertools import pairwise

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

    Half of its share is an actor's own from the start. The other half it gets in order, and then
    the last pieces of whoever has most left: most shards of the log stay with one actor.

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
        self._first: list[list[int]] = []
        self._left: list[list[list[int]]] = []
        for share in shares:
            half = len(share) if fixed else (len(share) + 1) // 2
            size = max(len(share) // PIECES, 1)
            cuts = [*range(half, len(share), size), len(share)]
            self._first.append(list(share[:half]))
            self._left.append([list(share[a:b]) for a, b in pairwise(cuts)])
        self._may_take = [self._pages(share) * MOST_MEMORY_PERCENT // 100 for share in shares]
        for actor, hosts in enumerate(self._first):
            self._may_take[actor] -= self._pages(hosts)

    def first(self, actor: int) -> list[int]:
        """Return the hosts an actor has from the start."""
        return self._first[actor]

    def more(self, actor: int) -> list[int]:
        """Return more hosts for an actor; none when it has enough, or none are left."""
        if self._may_take[actor] <= 0:
            return []
        if self._left[actor]:
            hosts = self._left[actor].pop(0)
        else:
            slowest = max(self._left, key=len)
            hosts = slowest.pop() if slowest else []
        self._may_take[actor] -= self._pages(hosts)
        return hosts

    def _pages(self, hosts: Sequence[int]) -> int:
        return sum(self._memory_pages[host] for host in hosts)
