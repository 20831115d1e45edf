"""What chance decided where the operations of a recorded run do not, and what is tried for it."""

from dataclasses import dataclass
from itertools import product

from fleet.lab.guest import TICK_PARTS, presses_by_chance, start_cpus
from fleet.lab.lines import Case


@dataclass(frozen=True, slots=True)
class Chance:
    """One way that chance may have gone.

    Attributes
    ----------
    start_cpu : int
        CPU that the driver started on (``fleet.lab.guest.start_cpus``).
    second_begins : bool
        Of two threads at once (``par:A:B``) B's begins, on the CPU that the driver was on.
    missed_turns : int
        Turns that the other thread misses before its first one: its CPU was idle and has to be
        woken. (In the recorded run of 6.1 a thread has two turns in a row at once and once again.)
    tick : int
        Eighths of a turn that had passed when the guest was up: when kswapd, where it shares the
        CPU and the tick decides, has its turns (``fleet.lab.guest.presses_by_chance``).
    """

    start_cpu: int = 0
    second_begins: bool = False
    missed_turns: int = 0
    tick: int = 0

    def threads(self) -> str:
        """The order of the threads in words."""
        begins = "second" if self.second_begins else "first"
        return f"{begins} thread begins, the other one misses {self.missed_turns} turns"


AS_USUAL = Chance()
"""The first way that is tried."""


def ways(case: Case) -> tuple[Chance, ...]:
    """The ways that chance may have gone in a case, the likeliest first."""
    threads = [(False, 0)]
    if any(r.operation.name == "par" for r in case.records):
        threads = [(second, missed) for missed in (0, 1) for second in (False, True)]
    ticks = range(TICK_PARTS if presses_by_chance(case) else 1)
    return tuple(Chance(c, *order, t) for c, order, t in product(start_cpus(case), threads, ticks))
