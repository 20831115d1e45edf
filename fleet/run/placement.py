"""Where a workload goes: two rules over the free pages of hosts, ties to the lower host number.

Hosts are kept in groups of about the square root of their number, each with its largest value. A
rule looks at the groups, then into one of them: with list functions that run at C speed this beats
a tree up to tens of thousands of hosts, and a look at all hosts from a dozen on.
"""

from collections.abc import Callable, Sequence
from math import isqrt
from typing import Literal

NOWHERE = -1
"""No host has room."""


class Rooms:
    """Free pages per host, and the host that a rule picks.

    Parameters
    ----------
    pages : sequence of int
        Free pages of each host; negative for a host that takes nothing.
    """

    def __init__(self, pages: Sequence[int]) -> None:
        self._pages = list(pages)
        self._size = isqrt(len(self._pages)) + 1
        self._most = [max(self._group(first)) for first in range(0, len(pages), self._size)]

    def _group(self, first: int) -> list[int]:
        return self._pages[first : first + self._size]

    def __getitem__(self, host: int) -> int:
        """Return the free pages of a host."""
        return self._pages[host]

    def put(self, host: int, pages: int) -> None:
        """Set the free pages of a host."""
        group = host // self._size
        before, most = self._pages[host], self._most[group]
        self._pages[host] = pages
        if pages >= most:
            self._most[group] = pages
        elif before == most:
            self._most[group] = max(self._group(group * self._size))

    def first_fit(self, pages: int) -> int:
        """Return the first host with room for ``pages``."""
        for group, most in enumerate(self._most):
            if most >= pages:
                first = group * self._size
                fits = (room >= pages for room in self._group(first))
                return first + next(at for at, fit in enumerate(fits) if fit)
        return NOWHERE

    def spread(self, pages: int) -> int:
        """Return the host with most room, if that is enough for ``pages``."""
        most = max(self._most)
        if most < pages:
            return NOWHERE
        return self._pages.index(most, self._most.index(most) * self._size)


Rule = Callable[[Rooms, int], int]
"""``rule(rooms, pages) -> host`` or ``NOWHERE``."""

RULES: dict[Literal["first-fit", "spread"], Rule] = {
    "first-fit": Rooms.first_fit,
    "spread": Rooms.spread,
}
"""Rules by the name a scenario gives them."""
