"""A trace as a stationary process: its whole days, and how long those live that nobody saw end.

Residents, arrivals and load all read a trace through this file, so they follow one law.
"""

from dataclasses import dataclass

import numpy as np

from fleet.inputs.numbers import NULL
from fleet.inputs.trace import Trace
from fleet.plan.draws import Column, Purpose, below, entity

DAY_NS = 86_400 * 10**9
LATE_NS = 3_600 * 10**9
"""A day is whole when the trace goes on into its last hour: the trace's end is not recorded, and a
sampled trace has its last arrivals a sample before it."""


@dataclass(frozen=True, slots=True)
class Days:
    """The whole days of a trace: windows of 24 h from its time zero.

    What lies behind the last whole day is not used, except of a trace without a whole day.

    Attributes
    ----------
    whole : int
        Number of whole days; 0: the trace is played once, as it is, and has no stationary load.
    ends : int64[max(whole, 1) + 1]
        Rows ``[ends[i], ends[i + 1])`` of the trace are day i (all rows if ``whole`` is 0).
    step_ns : int
        Mean distance between times at which something arrives: 300 s in a trace of full 300 s
        samples.
    """

    whole: int
    ends: Column
    step_ns: int

    @property
    def rows(self) -> int:
        """Number of rows used, from the first."""
        return int(self.ends[-1])

    def of_horizon(self, day: int, seed: tuple[int, int]) -> int:
        """Return the trace's day for a day of the horizon: itself, beyond the trace one drawn."""
        if day < max(self.whole, 1):
            return day
        return int(below(self.whole, *seed, entity("trace"), Purpose.DAY, day)[0])


def days_of(trace: Trace) -> Days:
    """Cut a trace into days."""
    arrival = trace.arrival_ns
    last = int(arrival[-1])
    whole = (last + LATE_NS) // DAY_NS
    ends = np.searchsorted(arrival, np.arange(whole + 1, dtype=np.int64) * DAY_NS).astype(np.int64)
    if ends[-1] == 0:
        whole, ends = 0, np.array([0, len(arrival)], np.int64)
    used = arrival[: ends[-1]]
    times = int(np.count_nonzero(np.diff(used))) + 1
    return Days(whole, ends, max(1, (whole * DAY_NS or last) // times))


def lifetimes(trace: Trace) -> Column:
    """Return lifetimes (int64[n], ns) in which an unknown end is a number.

    Who is never seen to end lives as long as the longest lifetime known, or from the trace's begin
    to its last arrival if that is longer. It is Efron's completion of the Kaplan-Meier estimate
    (Proc. 5th Berkeley Symp. 4, 1967): the longest observation counts as an end. The true load is
    at least the one that follows from it.
    """
    longest = max(int(trace.lifetime_ns.max()), int(trace.arrival_ns[-1]), 1)
    return np.where(trace.lifetime_ns == NULL, longest, trace.lifetime_ns)


def arrivals_before(trace: Trace, days: Days, horizon_ns: int) -> int:
    """Return the expected arrivals of one copy of a trace before ``horizon_ns``."""
    arrival = trace.arrival_ns[: days.rows]
    if days.whole == 0:
        return int(np.count_nonzero(arrival < horizon_ns))
    full, rest_ns = divmod(horizon_ns, DAY_NS)
    rest = int(np.count_nonzero(arrival % DAY_NS < rest_ns))
    return (full * days.rows + rest) // days.whole
