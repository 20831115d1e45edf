"""The recorded driver's random numbers, so that a replay draws what it drew."""

from collections.abc import Sequence

_MULTIPLIER, _INCREMENT, _MASK = 6364136223846793005, 1442695040888963407, (1 << 64) - 1
_DROPPED = 4


class Lcg:
    """64-bit linear congruential generator; an output is the state's upper 31 bits."""

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK
        for _ in range(_DROPPED):
            self.next()

    def next(self) -> int:
        """Return the next output, in [0, 2**31)."""
        self._state = (self._state * _MULTIPLIER + _INCREMENT) & _MASK
        return self._state >> 33

    def pick(self, wanted: int, items: Sequence[int]) -> list[int]:
        """Return the first ``wanted`` of a Fisher-Yates shuffle of ``items``."""
        pool = list(items)
        for i in range(wanted):
            j = i + self.next() % (len(pool) - i)
            pool[i], pool[j] = pool[j], pool[i]
        return pool[:wanted]

    def shuffle(self, items: Sequence[int]) -> list[int]:
        """Return all ``items`` in random order: exchanged from the last one down."""
        pool = list(items)
        for i in range(len(pool) - 1, 0, -1):
            j = self.next() % (i + 1)
            pool[i], pool[j] = pool[j], pool[i]
        return pool
