"""Small numbers for processes, areas and pins of a host.

A number comes back into use only ``rest_ns`` after it was given up, so that at no time two have
it, whatever of the first is still told; and the choice depends on command times alone, not on
which commands a host is given in one go.
"""

from collections import deque
from heapq import heappop, heappush


class Slots:
    """Hands out the lowest free number from ``first`` on."""

    def __init__(self, first: int, rest_ns: int) -> None:
        self._next, self._rest_ns = first, rest_ns
        self._free: list[int] = []
        self._resting: deque[tuple[int, int]] = deque()

    def take(self, now_ns: int) -> int:
        """Return the lowest number that is free at ``now_ns``; times must not go back."""
        while self._resting and self._resting[0][0] <= now_ns:
            heappush(self._free, self._resting.popleft()[1])
        if self._free:
            return heappop(self._free)
        self._next += 1
        return self._next - 1

    def give(self, slot: int, now_ns: int) -> None:
        """Give a number up at ``now_ns``."""
        self._resting.append((now_ns + self._rest_ns, slot))
