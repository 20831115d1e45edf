"""Right-censored lifetimes: the Kaplan-Meier estimate over bins, in exact integers."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.draws import below

ONE = 10**18
"""Fixed-point one of survival probabilities."""


@dataclass(frozen=True, slots=True)
class Survival:
    """Survival beyond each bin.

    Attributes
    ----------
    beyond : tuple of int
        ``beyond[b]``: probability, in units of 1/ONE, to live longer than bin ``b``.
    """

    beyond: tuple[int, ...]

    def draw_bin(self, censored_bin: int, *key: int) -> int | None:
        """Draw the bin a lifetime ends in, given that it outlived ``censored_bin``.

        Returns
        -------
        int or None
            None when it outlives the last bin in which anybody was seen to end.
        """
        alive = self.beyond[censored_bin]
        if alive == 0:
            return None
        level = below(alive, *key)
        if level < self.beyond[-1]:
            return None
        low, high = censored_bin, len(self.beyond) - 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.beyond[middle] <= level else (middle, high)
        return high


def kaplan_meier(ended: Sequence[int], censored: Sequence[int]) -> Survival:
    """Estimate survival from counts per bin (Kaplan and Meier, JASA 53, 1958).

    Within a bin ends come before censorings, the usual convention.

    Parameters
    ----------
    ended, censored : sequence of int, equal length
        Per bin: lifetimes seen to end, and lifetimes last seen there.
    """
    at_risk = sum(ended) + sum(censored)
    alive, beyond = ONE, []
    for ends, lost in zip(ended, censored, strict=True):
        if at_risk:
            alive = alive * (at_risk - ends) // at_risk
        beyond.append(alive)
        at_risk -= ends + lost
    return Survival(tuple(beyond))
