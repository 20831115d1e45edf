"""The life of workloads as the coordinator sees it: placed, ended, killed, placed again.

A workload keeps its id and its planned end whatever happens to it. Its memory comes and goes in
*placements*, counted from 0; commands and reports name the placement, so that news of an old one
can never touch a new one. What is known stands in columns, one entry per workload: the many that
only come and go are handled together, the few that something happens to one by one.
"""

from collections import deque
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fleet.log.tables import NULL
from fleet.plan.tables import RUNS_ON, Column, Plan
from fleet.run.demands import Demands
from fleet.run.desk import Desk, Priority, decisions
from fleet.run.ledger import Ledger
from fleet.run.messages import ANY_BOOT, NO_ORDERS, TIME, Do, Orders, orders
from fleet.run.placement import NOWHERE

MAX_OOM_RESTARTS = 3
"""After this many restarts an OOM kill is final: a workload that its own pin kills would
otherwise be started for ever. (Restart back-off of cluster managers, simplified.)"""


class Fate(IntEnum):
    """Outcomes of the ``workloads`` table; ``WAITING`` never reaches it."""

    WAITING = -1
    RUNNING = 0
    ENDED = 1
    REJECTED = 2
    PIN_FAILED = 3
    OOM_KILLED = 4
    HOST_RESET = 5
    HOST_PANICKED = 6


RUNNING, ENDED, REJECTED = int(Fate.RUNNING), int(Fate.ENDED), int(Fate.REJECTED)


class Tenant(NamedTuple):
    """What is known of one workload that was placed at least once (see ``Tenants``)."""

    host: int
    placed_ns: int
    end_ns: int
    placement: int
    start_ns: int
    fate: Fate
    ended_ns: int
    lost_ns: int
    oom_kills: int
    pin_errno: int


class Tenants:
    """Places workloads and follows them to their end.

    Attributes (int64[n], one entry per workload of the plan)
    ----------
    host : where it is, or was last; ``NULL`` before the first placement
    fate, ended_ns : what it is now and since when, if that is an end; a restart revokes it
    placement, start_ns : number and begin of the current placement
    lost_ns : time it was not served before its current placement
    oom_kills, pin_errno
    """

    def __init__(self, plan: Plan, ledger: Ledger, desk: Desk) -> None:
        count = len(plan.workloads)
        self._plan, self._ledger, self._desk = plan, ledger, desk
        self.demands = Demands(plan, desk.latency_ns)
        self.host: Column = np.full(count, NULL, np.int64)
        self.fate: Column = np.full(count, Fate.WAITING, np.int64)
        self.ended_ns: Column = np.full(count, NULL, np.int64)
        self.start_ns: Column = self.demands.start_ns.copy()
        zeros = np.zeros((4, count), np.int64)
        self.placement, self.lost_ns, self.oom_kills, self.pin_errno = zeros
        self.placed = 0
        """Workloads placed so far."""
        self._pages = memoryview(plan.workloads.pages)  # type: ignore[arg-type]
        self._hosts, self._fates = memoryview(self.host), memoryview(self.fate)  # type: ignore[arg-type]
        self._turn = self._next_planned = 0
        self._ready: deque[Orders] = deque()
        self._waiting: dict[int, list[int]] = {}
        self._sent_ns = 0

    # -- arrivals and departures ----------------------------------------------------------------

    def settle(self) -> None:
        """Place the residents of time zero."""
        self._take_turns(self.demands.residents)

    def follow(self, time_ns: int, priority: int) -> None:
        """Decide on the arrivals and departures whose turn is before (time, priority)."""
        side = "left" if priority <= Priority.DEPARTURE else "right"
        last = int(self.demands.turns.time_ns.searchsorted(time_ns, side))  # type: ignore[call-overload]
        if last > self._turn:
            first, self._turn = self._turn, last
            self._take_turns(self.demands.turns.who[first:last])

    def _take_turns(self, turns: Column) -> None:
        """Decide on arrivals and departures (``demands.Turns``) in their order."""
        hosts, fates, pages = self._hosts, self._fates, self._pages
        find, commit = self._ledger.find, self._ledger.commit
        for who in turns.tolist():
            if who >= 0:
                host = find(pages[who])
                if host == NOWHERE:
                    fates[who] = REJECTED
                else:
                    hosts[who], fates[who] = host, RUNNING
                    commit(host, pages[who])
            elif fates[~who] == RUNNING:
                fates[~who] = ENDED
                commit(hosts[~who], -pages[~who])
        left = ~turns[turns < 0]
        left = left[self.fate[left] == ENDED]
        self.ended_ns[left] = self.demands.end_ns[left]
        self._announce(turns[turns >= 0])

    def _announce(self, came: Column) -> None:
        """Log where those who asked are placed, and send them there."""
        arrived_ns, start_ns = self._plan.workloads.arrival_ns[came], self.demands.start_ns[came]
        host = self.host[came]
        placed = host != NULL
        act_ns = np.where(placed, start_ns, arrived_ns)
        self._desk.log_all(decisions(len(came), "place", act_ns, host, arrived_ns, came))
        self.placed += int(placed.sum())
        seen = placed & (start_ns < self._desk.horizon_ns)
        if seen.any():
            boots = self._ledger.boots[host[seen]]
            columns = (start_ns[seen], Do.PLACE, host[seen], came[seen], 0, 0, 0, boots)
            self._ready.append(orders(int(seen.sum()), *columns))

    # -- commands -------------------------------------------------------------------------------

    @property
    def next_ns(self) -> int:
        """Time of the next turn or command, the horizon when there is none."""
        turns, planned = self.demands.turns.time_ns, self.demands.planned.time_ns
        times = [self._desk.horizon_ns]
        times += [int(self._ready[0][0, TIME])] if self._ready else []
        times += [int(turns[self._turn])] if self._turn < len(turns) else []
        times += [int(planned[self._next_planned])] if self._next_planned < len(planned) else []
        return min(times)

    def due(self, until_ns: int) -> list[Orders]:
        """Take the commands that act before ``until_ns``."""
        found, ready = [], self._ready
        while ready and ready[0][0, TIME] < until_ns:
            rows = ready.popleft()
            split = int(rows[:, TIME].searchsorted(until_ns))
            found.append(rows[:split])
            if split < len(rows):
                ready.appendleft(rows[split:])
        self._sent_ns = until_ns
        found.append(self._due_planned(until_ns))
        return found

    def _due_planned(self, until_ns: int) -> Orders:
        """Return what is due of the planned commands to workloads that are where they should be."""
        planned, first = self.demands.planned, self._next_planned
        last = self._next_planned = int(planned.time_ns.searchsorted(until_ns))
        if first == last:
            return NO_ORDERS
        time_ns, do, ident, who, since_ns = (column[first:last] for column in planned)
        live = (self.fate[who] == RUNNING) & (self.start_ns[who] <= since_ns)
        who = who[live]
        columns = (self.host[who], ident[live], self.placement[who], who, 0, ANY_BOOT)
        return orders(len(who), time_ns[live], do[live], *columns)

    def _send_last(self, workload: int, until_ns: int) -> None:
        """Send the planned commands of a placement that ends now and cannot be held back.

        The controller reacts to an end at ``until_ns``; what is planned from then on is off.
        """
        demands, desk, start_ns = self.demands, self._desk, int(self.start_ns[workload])

        def send(time_ns: int, do: Do, ident: int, since_ns: int) -> None:
            if self._sent_ns <= time_ns < until_ns and start_ns <= since_ns:
                where = self._hosts[workload], ident, int(self.placement[workload])
                desk.send((time_ns, do, *where, workload, 0, ANY_BOOT))

        end_ns = int(demands.end_ns[workload])
        if end_ns != NULL:
            send(end_ns, Do.END, workload, end_ns)
        lasts_ns = desk.horizon_ns if end_ns == NULL else end_ns
        first, last = self._plan.holds.workload.searchsorted([workload, workload + 1]).tolist()
        for hold in range(first, last):
            begin_ns, drop_ns = int(demands.hold_begin_ns[hold]), int(demands.hold_end_ns[hold])
            if begin_ns < lasts_ns:
                send(begin_ns, Do.HOLD, hold, begin_ns)
                if drop_ns < lasts_ns:
                    send(drop_ns, Do.UNHOLD, hold, begin_ns)

    # -- what goes wrong ------------------------------------------------------------------------

    def _current(self, workload: int, placement: int) -> bool:
        """Whether news of this placement still matter."""
        return self._fates[workload] == RUNNING and self.placement[workload] == placement

    def _leave(self, workload: int, fate: Fate, now_ns: int) -> None:
        """Give the memory of the current placement back and note why."""
        act_ns = now_ns + self._desk.latency_ns
        self._send_last(workload, act_ns)
        self._ledger.commit(self._hosts[workload], -self._pages[workload])
        self._fates[workload], self.ended_ns[workload] = fate, now_ns

    def _clear(self, now_ns: int, workload: int) -> None:
        """Have what is left of a placement cleared away after the reaction latency."""
        act_ns, end_ns = now_ns + self._desk.latency_ns, int(self.demands.end_ns[workload])
        if end_ns == NULL or end_ns >= act_ns:
            host, number = self._hosts[workload], int(self.placement[workload])
            self._desk.send((act_ns, Do.EVICT, host, workload, number, 0, 0, ANY_BOOT))
            self._desk.log("evict", now_ns, act_ns, host, workload=workload)

    def pin_failed(self, now_ns: int, workload: int, placement: int, errno: int) -> None:
        """Its long-term pin failed, so its device cannot be attached: the start has failed."""
        if self._current(workload, placement):
            self.pin_errno[workload] = errno
            self._clear(now_ns, workload)
            self._leave(workload, Fate.PIN_FAILED, now_ns)

    def killed(self, now_ns: int, workload: int, placement: int) -> None:
        """The OOM killer took it: clear up, start it on another host if one has room."""
        if not self._current(workload, placement):
            return
        self._clear(now_ns, workload)
        self._leave(workload, Fate.OOM_KILLED, now_ns)
        self.oom_kills[workload] += 1
        if self.oom_kills[workload] <= MAX_OOM_RESTARTS:
            self._restart(now_ns, workload, self._elsewhere(workload))

    def not_placed(self, now_ns: int, workload: int, placement: int, fate: Fate) -> None:
        """Its host was down when it came: try another."""
        if self._current(workload, placement):
            self._leave(workload, fate, now_ns)
            self._restart(now_ns, workload, self._elsewhere(workload))

    def on(self, host: int) -> list[int]:
        """Return the workloads of a host, as far as the ledger knows, ascending."""
        running = np.flatnonzero((self.host == host) & (self.fate == RUNNING)).tolist()
        return sorted([*running, *self._waiting.get(host, [])])

    def host_down(self, now_ns: int, host: int, fate: Fate, *, move: bool) -> None:
        """A host went down with all its workloads.

        With ``move`` they start on other hosts where there is room; what finds none waits for
        the host to come back (``host_up``). Placements under way are lost, too: the host will
        not carry them out (``messages``: the fence).
        """
        lost = self.on(host)
        for workload in lost:
            self._leave(workload, fate, now_ns)
        self._ledger.down(host)
        waiting = self._waiting[host] = []
        for workload in lost:
            target = self._elsewhere(workload) if move else NOWHERE
            if target == NOWHERE:
                waiting.append(workload)
                self._ledger.commit(host, self._pages[workload])
            else:
                self._restart(now_ns, workload, target)

    def host_up(self, now_ns: int, host: int) -> None:
        """A host is back: start what waited for it."""
        for workload in self._waiting.pop(host, []):
            self._ledger.commit(host, -self._pages[workload])
            self._restart(now_ns, workload, host)

    def _elsewhere(self, workload: int) -> int:
        """Return another host with room, or ``NOWHERE``."""
        return self._ledger.find_elsewhere(self._pages[workload], self._hosts[workload])

    def _restart(self, now_ns: int, workload: int, host: int) -> None:
        """Place a lost workload again, unless there is no host or its planned end comes first."""
        desk, end_ns = self._desk, int(self.demands.end_ns[workload])
        start_ns = now_ns + desk.latency_ns
        over_ns = desk.horizon_ns if end_ns == NULL else min(end_ns, desk.horizon_ns)
        if host == NOWHERE or start_ns >= over_ns:
            return
        since_ns = max(int(self.ended_ns[workload]), int(self.start_ns[workload]))
        self.lost_ns[workload] += start_ns - since_ns
        self.placement[workload] += 1
        self._fates[workload], self.ended_ns[workload] = RUNNING, NULL
        self._hosts[workload], self.start_ns[workload] = host, start_ns
        desk.log("replace", now_ns, start_ns, host, workload=workload)
        self._ledger.commit(host, self._pages[workload])
        number, boot = int(self.placement[workload]), int(self._ledger.boots[host])
        desk.send((start_ns, Do.PLACE, host, workload, number, 0, 0, boot))

    # -- what became of them --------------------------------------------------------------------

    def unserved_ns(self) -> NDArray[np.int64]:
        """Return how long each was not served between arrival, planned end and horizon.

        The reaction latency before the first placement does not count.
        """
        work, horizon_ns = self._plan.workloads, self._desk.horizon_ns
        end_ns = np.where(self.demands.end_ns == NULL, horizon_ns, self.demands.end_ns)
        since_ns = np.maximum(self.ended_ns, self.start_ns)
        lost_ns = self.lost_ns + np.maximum(np.minimum(end_ns, horizon_ns) - since_ns, 0)
        served = (self.fate == RUNNING) | (self.fate == ENDED)
        runs_on = work.lifetime_ns == RUNS_ON
        asked_ns = np.where(runs_on, horizon_ns, work.arrival_ns + work.lifetime_ns)
        never_ns = np.minimum(asked_ns, horizon_ns) - work.arrival_ns
        found = np.where(served, self.lost_ns, lost_ns)
        return np.where(self.fate == REJECTED, never_ns, found)

    @property
    def of(self) -> dict[int, Tenant]:
        """All that were placed, one by one: for a closer look, not for a whole fleet."""
        placed_ns, end_ns = self.demands.start_ns, self.demands.end_ns
        columns = (
            self.host, placed_ns, end_ns, self.placement, self.start_ns, self.fate, self.ended_ns,
            self.lost_ns, self.oom_kills, self.pin_errno,
        )  # fmt: skip
        found = {}
        for workload in np.flatnonzero(self.host != NULL).tolist():
            values: list[Any] = [int(column[workload]) for column in columns]
            found[workload] = Tenant(*values)._replace(fate=Fate(values[5]))
        return found

    @property
    def rejected(self) -> set[int]:
        """Those that were turned away."""
        return set(np.flatnonzero(self.fate == REJECTED).tolist())
