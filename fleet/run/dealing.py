"""Which actor runs which hosts: shares of like memory, and who is quicker takes over from others.

A byte depends on neither, as hosts are independent. Work is in proportion to memory, but not every
core gives the same: on a machine of two cores one of them was slower by a seventh for minutes, and
its actor aged hosts for 6.5 s more while the other had nothing to do.
"""

from collections import deque
from collections.abc import Sequence

from fleet.run.messages import SHARD_HOSTS

PIECES = 64
"""Into how many pieces of like memory a share is cut, if it has so many hosts: the last one is what
others may have to wait for."""

MOST_MEMORY_PERCENT = 125
"""Who has so much of the memory of its share gets no more: its node must have it."""


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
    return [sorted(squad) for squad in _cut(dealt, memory_pages, actors) if squad]


def _cut(hosts: Sequence[int], memory_pages: Sequence[int], parts: int) -> list[list[int]]:
    """Cut hosts, in their order, into parts of like memory; some are empty when there are few."""
    found: list[list[int]] = [[] for _ in range(parts)]
    before, all_pages = 0, sum(memory_pages[host] for host in hosts)
    for host in hosts:
        middle = 2 * before + memory_pages[host]
        found[middle * parts // (2 * all_pages)].append(host)
        before += memory_pages[host]
    return found


class Deal:
    """The hosts of a unit, dealt out piece by piece to actors that are done with those they have.

    An actor gets its share in order, and then the last pieces of whoever has most memory left: most
    shards of the log stay with one actor. A quarter of its share is nobody else's, as it may be at
    work on that before (``Squad.prepare``).

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
            pieces = [piece for piece in _cut(share, memory_pages, PIECES) if piece]
            alone = fixed or len(shares) == 1
            own = len(pieces) if alone else (len(pieces) + 3) // 4
            self._own.append(deque(pieces[:own]))
            self._left.append(deque(pieces[own:]))
        self._left_pages = [sum(map(self._pages, left)) for left in self._left]
        self._may_take = [self._pages(share) * MOST_MEMORY_PERCENT // 100 for share in shares]

    def own(self, actor: int) -> list[int]:
        """Return the hosts that an actor will get whoever is quicker, and has not got yet."""
        return [host for piece in self._own[actor] for host in piece]

    def more(self, actor: int) -> list[int]:
        """Return the next hosts of an actor; none when it has enough, or none are left."""
        if self._may_take[actor] <= 0:
            return []
        hosts = self._own[actor].popleft() if self._own[actor] else self._of_left(actor)
        self._may_take[actor] -= self._pages(hosts)
        return hosts

    def _of_left(self, actor: int) -> list[int]:
        """Take a piece that anybody may take: the next of the actor's, or somebody's last."""
        if self._left[actor]:
            whose, hosts = actor, self._left[actor].popleft()
        else:
            whose = max(range(len(self._left)), key=self._left_pages.__getitem__)
            hosts = self._left[whose].pop() if self._left[whose] else []
        self._left_pages[whose] -= self._pages(hosts)
        return hosts

    def _pages(self, hosts: Sequence[int]) -> int:
        return sum(self._memory_pages[host] for host in hosts)
