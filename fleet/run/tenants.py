"""The life of workloads as the coordinator sees it: placed, ended, killed, placed again.

A workload keeps its id and its planned end whatever happens to it. Its memory comes and goes in
*placements*, counted from 0; commands and reports name the placement, so that news of an old one
can never touch a new one.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from fleet.log.tables import NULL
from fleet.plan.tables import RUNS_ON, Plan
from fleet.run.desk import Desk, Priority
from fleet.run.ledger import Ledger
from fleet.run.messages import ANY_BOOT, Do
from fleet.run.placement import NOWHERE, Rule

MAX_OOM_RESTARTS = 3
"""After this many restarts an OOM kill is final: a workload that its own pin kills would
otherwise be started for ever. (Restart back-off of cluster managers, simplified.)"""


class Fate(IntEnum):
    """Outcomes of the ``workloads`` table; ``WAITING`` never reaches it."""

    RUNNING = 0
    ENDED = 1
    REJECTED = 2
    PIN_FAILED = 3
    OOM_KILLED = 4
    HOST_RESET = 5
    HOST_PANICKED = 6


@dataclass(slots=True)
class Tenant:
    """One workload that was placed at least once.

    Attributes
    ----------
    host : int
        Where it is, or was last.
    placed_ns, end_ns : int
        First placement; planned end, ``NULL`` when none is seen.
    placement, start_ns : int
        Number and begin of the current placement.
    fate, ended_ns : Fate, int
        What it is now and since when, if that is an end; a restart revokes it.
    lost_ns : int
        Time it was not served before its current placement.
    """

    host: int
    placed_ns: int
    end_ns: int
    placement: int = 0
    start_ns: int = 0
    fate: Fate = Fate.RUNNING
    ended_ns: int = NULL
    lost_ns: int = 0
    oom_kills: int = 0
    pin_errno: int = 0


class Tenants:
    """Places workloads and follows them to their end.

    Attributes
    ----------
    of : dict
        Workload id to ``Tenant``.
    on : list of set
        Workloads per host, as far as the ledger knows.
    rejected : dict
        Workload id to the time it was turned away.
    """

    def __init__(self, plan: Plan, ledger: Ledger, desk: Desk, rule: Rule) -> None:
        self._plan, self._ledger, self._desk, self._rule = plan, ledger, desk, rule
        self.of: dict[int, Tenant] = {}
        self.on: list[set[int]] = [set() for _ in range(len(plan.hosts))]
        self.rejected: dict[int, int] = {}
        self._pages = plan.workloads.pages.tolist()
        ids = np.arange(len(plan.workloads) + 1)
        self._first_hold = np.searchsorted(plan.holds.workload, ids).tolist()

    # -- arrivals and departures ----------------------------------------------------------------

    def arrive(self, now_ns: int, workload: int, resident: int = 0) -> None:
        """Place a workload that asks for it; a resident is there from ``now_ns`` on."""
        host = self._rule(self._ledger.room_pages, self._pages[workload])
        if host == NOWHERE:
            self.rejected[workload] = now_ns
            self._desk.log("place", now_ns, now_ns, NULL, workload=workload)
            return
        start_ns = now_ns if resident else now_ns + self._desk.latency_ns
        lifetime_ns = int(self._plan.workloads.lifetime_ns[workload])
        end_ns = NULL if lifetime_ns == RUNS_ON else start_ns + lifetime_ns
        self.of[workload] = Tenant(host, start_ns, end_ns)
        self._desk.log("place", now_ns, start_ns, host, workload=workload)
        self._start(workload, host, start_ns)

    def _start(self, workload: int, host: int, start_ns: int) -> None:
        """Commit the memory and send what the placement consists of."""
        tenant, desk = self.of[workload], self._desk
        tenant.host, tenant.start_ns = host, start_ns
        self._ledger.commit(host, self._pages[workload])
        self.on[host].add(workload)
        number, boot = tenant.placement, self._ledger.boots[host]
        desk.send((start_ns, Do.PLACE, host, workload, number, 0, 0, boot))
        if tenant.end_ns != NULL:
            desk.send((tenant.end_ns, Do.END, host, workload, number, workload, 0, ANY_BOOT))
            desk.at(tenant.end_ns, Priority.DEPARTURE, workload, self._depart, number)
        self._send_holds(workload, tenant, start_ns)

    def _send_holds(self, workload: int, tenant: Tenant, start_ns: int) -> None:
        """Send the short references that start while this placement runs."""
        holds = self._plan.holds
        for hold in range(self._first_hold[workload], self._first_hold[workload + 1]):
            begin_ns = tenant.placed_ns + int(holds.offset_ns[hold])
            if begin_ns < start_ns or (tenant.end_ns != NULL and begin_ns >= tenant.end_ns):
                continue
            tail = (tenant.host, hold, tenant.placement, workload, 0, ANY_BOOT)
            self._desk.send((begin_ns, Do.HOLD, *tail))
            end_ns = begin_ns + int(holds.duration_ns[hold])
            if tenant.end_ns == NULL or end_ns < tenant.end_ns:
                self._desk.send((end_ns, Do.UNHOLD, *tail))

    def _depart(self, now_ns: int, workload: int, placement: int) -> None:
        """Its planned end has come."""
        tenant = self._current(workload, placement)
        if tenant is not None:
            self._leave(workload, Fate.ENDED, now_ns)

    def _leave(self, workload: int, fate: Fate, now_ns: int) -> None:
        """Give the memory of the current placement back and note why."""
        tenant = self.of[workload]
        self._ledger.commit(tenant.host, -self._pages[workload])
        self.on[tenant.host].discard(workload)
        tenant.fate, tenant.ended_ns = fate, now_ns

    # -- what goes wrong ------------------------------------------------------------------------

    def _current(self, workload: int, placement: int) -> Tenant | None:
        """Return the tenant if news of this placement still matter."""
        tenant = self.of[workload]
        stale = tenant.placement != placement or tenant.fate != Fate.RUNNING
        return None if stale else tenant

    def _clear(self, now_ns: int, workload: int) -> None:
        """Have what is left of a placement cleared away after the reaction latency."""
        tenant, act_ns = self.of[workload], now_ns + self._desk.latency_ns
        self._desk.cancel(workload, tenant.placement, act_ns)
        if tenant.end_ns == NULL or tenant.end_ns >= act_ns:
            number = tenant.placement
            self._desk.send((act_ns, Do.EVICT, tenant.host, workload, number, 0, 0, ANY_BOOT))
            self._desk.log("evict", now_ns, act_ns, tenant.host, workload=workload)

    def pin_failed(self, now_ns: int, workload: int, placement: int, errno: int) -> None:
        """Its long-term pin failed, so its device cannot be attached: the start has failed."""
        tenant = self._current(workload, placement)
        if tenant is not None:
            tenant.pin_errno = errno
            self._clear(now_ns, workload)
            self._leave(workload, Fate.PIN_FAILED, now_ns)

    def killed(self, now_ns: int, workload: int, placement: int) -> None:
        """The OOM killer took it: clear up, start it on another host if one has room."""
        tenant = self._current(workload, placement)
        if tenant is None:
            return
        self._clear(now_ns, workload)
        self._leave(workload, Fate.OOM_KILLED, now_ns)
        tenant.oom_kills += 1
        if tenant.oom_kills <= MAX_OOM_RESTARTS:
            self._restart(now_ns, workload, self._elsewhere(workload))

    def not_placed(self, now_ns: int, workload: int, placement: int, fate: Fate) -> None:
        """Its host was down when it came: try another."""
        if self._current(workload, placement) is not None:
            self._desk.cancel(workload, placement, now_ns + self._desk.latency_ns)
            self._leave(workload, fate, now_ns)
            self._restart(now_ns, workload, self._elsewhere(workload))

    def host_down(self, now_ns: int, host: int, fate: Fate, *, move: bool) -> None:
        """A host went down with all its workloads.

        With ``move`` they start on other hosts where there is room; what finds none waits for
        the host to come back (``host_up``). Placements under way are lost, too: the host will
        not carry them out (``messages``: the fence).
        """
        lost = sorted(self.on[host])
        for workload in lost:
            tenant = self.of[workload]
            self._desk.cancel(workload, tenant.placement, now_ns + self._desk.latency_ns)
            self._leave(workload, fate, now_ns)
        self._ledger.down(host)
        for workload in lost:
            target = self._elsewhere(workload) if move else NOWHERE
            if target == NOWHERE:
                self.on[host].add(workload)
                self._ledger.commit(host, self._pages[workload])
            else:
                self._restart(now_ns, workload, target)

    def host_up(self, now_ns: int, host: int) -> None:
        """A host is back: start what waited for it."""
        for workload in sorted(self.on[host]):
            tenant = self.of[workload]
            self._leave(workload, tenant.fate, tenant.ended_ns)
            self._restart(now_ns, workload, host)

    def _elsewhere(self, workload: int) -> int:
        """Return another host with room, or ``NOWHERE``."""
        room = self._ledger.room_pages
        room[self.of[workload].host] = -1
        return self._rule(room, self._pages[workload])

    def _restart(self, now_ns: int, workload: int, host: int) -> None:
        """Place a lost workload again, unless there is no host or its planned end comes first."""
        tenant = self.of[workload]
        start_ns = now_ns + self._desk.latency_ns
        over_ns = self._desk.horizon_ns if tenant.end_ns == NULL else tenant.end_ns
        if host == NOWHERE or start_ns >= min(over_ns, self._desk.horizon_ns):
            return
        tenant.lost_ns += start_ns - max(tenant.ended_ns, tenant.start_ns)
        tenant.placement += 1
        tenant.fate, tenant.ended_ns = Fate.RUNNING, NULL
        self._desk.log("replace", now_ns, start_ns, host, workload=workload)
        self._start(workload, host, start_ns)

    def lost_ns(self, workload: int) -> int:
        """Return how long a workload was not served between arrival, planned end and horizon.

        The reaction latency before the first placement does not count.
        """
        horizon_ns = self._desk.horizon_ns
        lifetime_ns = int(self._plan.workloads.lifetime_ns[workload])
        if workload in self.rejected:
            since_ns = self.rejected[workload]
            end_ns = horizon_ns if lifetime_ns == RUNS_ON else since_ns + lifetime_ns
            return min(end_ns, horizon_ns) - since_ns
        tenant = self.of[workload]
        if tenant.fate in (Fate.RUNNING, Fate.ENDED):
            return tenant.lost_ns
        end_ns = horizon_ns if tenant.end_ns == NULL else min(tenant.end_ns, horizon_ns)
        since_ns = max(tenant.ended_ns, tenant.start_ns)
        return tenant.lost_ns + max(end_ns - since_ns, 0)
