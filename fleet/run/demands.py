"""What the plan alone decides about a unit, worked out once in columns and then read in order.

A workload is placed when it asks for it or never. So its planned start and end, the turn in which
arrivals and departures are decided, and when which command about it would have to reach its host
are known before the run; only the host, and whether it still lives, is not.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fleet.log.tables import NULL
from fleet.plan.tables import RUNS_ON, Column, Plan
from fleet.run.messages import ANY_BOOT, EVERY_HOST, Do, Orders, by_host, orders


class Turns(NamedTuple):
    """Arrivals and departures in the order of (time, departures first, workload).

    ``who`` is the workload of an arrival, ``~workload`` of a departure.
    """

    time_ns: Column
    who: Column


class Planned(NamedTuple):
    """Commands about workloads by time: END, HOLD, UNHOLD.

    ``since_ns`` is the begin of the hold, the time itself for END: a placement that starts later
    has nothing to do with it.
    """

    time_ns: Column
    do: Column
    ident: Column
    workload: Column
    since_ns: Column


class Demands:
    """The plan of a unit under a reaction latency.

    Attributes
    ----------
    start_ns, end_ns : int64[n]
        Of each workload if it is placed; ``end_ns`` is ``NULL`` when none is seen.
    residents : int64[k]
        Workloads that are there from time zero.
    turns : Turns
        All others, and all departures, before the horizon.
    planned : Planned
        Before the horizon, whether it comes to them or not.
    hold_begin_ns, hold_end_ns : int64[m]
        Of each short reference.
    """

    def __init__(self, plan: Plan, latency_ns: int) -> None:
        work, holds = plan.workloads, plan.holds
        self._horizon_ns = plan.horizon_ns
        resident = work.arrival_ns == 0
        self.start_ns: Column = np.where(resident, 0, work.arrival_ns + latency_ns)
        runs_on = work.lifetime_ns == RUNS_ON
        self.end_ns: Column = np.where(runs_on, NULL, self.start_ns + work.lifetime_ns)
        self.residents: Column = np.flatnonzero(resident).astype(np.int64)
        self.hold_begin_ns: Column = self.start_ns[holds.workload] + holds.offset_ns
        self.hold_end_ns: Column = self.hold_begin_ns + holds.duration_ns
        self.turns = self._turns(plan, resident)
        self.planned = self._planned(plan)

    def _ending(self) -> NDArray[np.int64]:
        """Return the workloads whose planned end lies before the horizon."""
        seen = (self.end_ns != NULL) & (self.end_ns < self._horizon_ns)
        return np.flatnonzero(seen).astype(np.int64)

    def _turns(self, plan: Plan, resident: NDArray[np.bool_]) -> Turns:
        arrival_ns = plan.workloads.arrival_ns
        come = np.flatnonzero(~resident & (arrival_ns < plan.horizon_ns)).astype(np.int64)
        go = self._ending()
        time_ns = np.concatenate((self.end_ns[go], arrival_ns[come]))
        workload = np.concatenate((go, come))
        arrives = np.arange(len(workload)) >= len(go)
        order = np.lexsort((workload, arrives, time_ns))
        return Turns(time_ns[order], np.where(arrives, workload, ~workload)[order])

    def _planned(self, plan: Plan) -> Planned:
        go, workload = self._ending(), plan.holds.workload
        hold = np.arange(len(workload), dtype=np.int64)
        end_ns = self.end_ns[workload]
        lasts = np.where(end_ns == NULL, plan.horizon_ns, np.minimum(end_ns, plan.horizon_ns))
        taken = self.hold_begin_ns < lasts
        dropped = taken & (self.hold_end_ns < lasts)
        parts = [
            (self.end_ns[go], Do.END, go, go, self.end_ns[go]),
            (self.hold_begin_ns[taken], Do.HOLD, hold[taken], workload[taken],
             self.hold_begin_ns[taken]),
            (self.hold_end_ns[dropped], Do.UNHOLD, hold[dropped], workload[dropped],
             self.hold_begin_ns[dropped]),
        ]  # fmt: skip
        do = np.concatenate([np.full(len(part[0]), int(part[1]), np.int64) for part in parts])
        columns = [np.concatenate([part[i] for part in parts]) for i in (0, 2, 3, 4)]
        order = np.lexsort((do, columns[0]))
        time_ns, ident, who, since_ns = (column[order] for column in columns)
        return Planned(time_ns, do[order], ident, who, since_ns)


def asked(plan: Plan, every_ns: int | None) -> Orders:
    """Return the commands that depend on nothing else, by time: probes and samples."""
    requests = plan.requests
    probes = np.flatnonzero((requests.probe == 1) & (requests.time_ns < plan.horizon_ns))
    time_ns, host = requests.time_ns[probes], requests.host[probes]
    parts = [orders(len(probes), time_ns, Do.PROBE, host, probes, 0, 0, 0, ANY_BOOT)]
    if every_ns:
        times = np.arange(0, plan.horizon_ns, every_ns, dtype=np.int64)
        samples = np.arange(len(times))
        parts.append(orders(len(times), times, Do.SAMPLE, EVERY_HOST, samples, 0, 0, 0, ANY_BOOT))
    rows = by_host(parts)
    return rows[np.argsort(rows[:, 0], kind="stable")]
