"""One arm and replication from start to end: discrete, conservative lookahead.

A decision stamped ``t`` uses demands and reports up to ``t`` and acts at ``t + reaction_latency``.
So the commands of a window that ends at ``e`` are known once all reports up to ``e -
reaction_latency`` have been heard and everything stamped before has been decided, in the order
(time, priority, id). A window is a reaction latency long, if not told otherwise: while the
coordinator hears, decides and sends the next, hosts do what they owe of earlier ones (``squad``).
The length of windows never changes a byte. Windows in which nothing happens are skipped.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fleet.run.campaign import Campaign
from fleet.run.columns import Batch
from fleet.run.demands import asked
from fleet.run.desk import Desk, Priority
from fleet.run.heap import give_back
from fleet.run.ledger import Ledger
from fleet.run.messages import IDENT, TIME, Orders, Report, Told, by_host
from fleet.run.placement import RULES
from fleet.run.squad import Fetched
from fleet.run.tenants import Fate, Tenants
from fleet.run.world import World
from fleet.scenario.scenario import Scenario

FLUSH_ROWS = 200_000
"""Rows that may wait on the hosts' side before they are fetched: each arrival costs the writer the
same, and 1,523 hosts have some 190 tables of shards, which then get a thousand rows at once."""


Entered = Callable[[int], None]
"""Takes the number of hosts that have been through the first window."""


class Crew(Protocol):
    """Whoever runs the hosts: this process, or Ray actors."""

    @property
    def running(self) -> bool:
        """Whether an offline was running anywhere at the end of the last window heard."""
        ...

    @property
    def waiting_rows(self) -> int:
        """Rows not fetched yet, as last heard."""
        ...

    @property
    def done_ns(self) -> int:
        """Up to when hosts had done everything, as last heard; what can wait may be left."""
        ...

    def begin(self, world: World, entered: Entered) -> None:
        """Take up the hosts of a unit; whatever there was before is forgotten.

        ``entered`` is called during the first window, at its end at the latest.
        """
        ...

    def post(self, orders: Orders, until_ns: int) -> None:
        """Have all hosts carry out orders (``messages.by_host``) and run to ``until_ns``."""
        ...

    def hear(self) -> list[Report]:
        """Wait for the oldest window not heard yet; return its reports, in any order."""
        ...

    def ask(self, until_ns: int) -> None:
        """Ask for rows stamped before ``until_ns`` and probes that ended before.

        Not after the end of the last window posted. Nobody waits for them: who has answered goes
        on, at once if it was done so far.
        """
        ...

    def wait(self) -> None:
        """Wait until all that was asked for has come."""
        ...

    def fetched(self) -> list[Fetched]:
        """Return what has come of what was asked for, first asked first."""
        ...

    def finish(self, horizon_ns: int) -> None:
        """End the run: report offlines that have not returned."""
        ...

    def distrust(self) -> None:
        """Let no host promise anything from the next ``begin`` on (after ``PromiseError``)."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a unit is.

    Attributes
    ----------
    now_ns : int
        0 while hosts go through the first window: they age, boot, are filled with residents.
    requests, workloads : int
        Issued, and started.
    hosts : int
        That have been through the first window.
    """

    now_ns: int
    requests: int
    workloads: int
    hosts: int


class Coordinator:
    """Decides for the whole fleet in one arm and replication.

    Parameters
    ----------
    scenario : Scenario
    world : World
        What the hosts of this unit know.
    crew : Crew
    sink : callable
        Takes fetched rows: ``sink(batches)``; together they are complete up to a time, so rows of
        later calls are later.
    """

    def __init__(
        self,
        world: World,
        scenario: Scenario,
        crew: Crew,
        sink: Callable[[list[Batch]], None],
    ) -> None:
        plan, self._world = world.plan, world
        self.plan, self._scenario, self._crew, self._sink = plan, scenario, crew, sink
        self.desk = Desk(scenario.reaction_latency_ns, plan.horizon_ns)
        self.ledger = Ledger(plan.hosts, world.shapes, RULES[scenario.placement])
        self.tenants = Tenants(plan, self.ledger, self.desk)
        self.campaign = Campaign(
            plan, self.ledger, self.desk, self.tenants, scenario.removals, scenario.watchdog
        )
        self._asked = asked(plan, scenario.samples_ns)
        self._next_asked = 0
        self._posted: deque[int] = deque()
        self._heard_ns = self._fetched_ns = 0

    def run(self, tell: Callable[[Progress], None] = lambda _: None) -> None:
        """Run from time zero to the horizon; ``tell`` is called now and then."""
        crew, horizon_ns, latency_ns = self._crew, self.plan.horizon_ns, self.desk.latency_ns
        length_ns = min(self._scenario.executor.window_ns or latency_ns, latency_ns)
        crew.begin(self._world, lambda hosts: tell(Progress(0, 0, 0, hosts)))
        self._open()
        begin_ns = 0
        while (begin_ns := self._next_begin(begin_ns)) < horizon_ns:
            end_ns = min(begin_ns + length_ns, horizon_ns)
            self._hear(end_ns - latency_ns)
            crew.post(self._due(end_ns), end_ns)
            self._posted.append(end_ns)
            self._store()
            if crew.waiting_rows >= FLUSH_ROWS:
                self._fetch(end_ns)
            tell(self._progress(end_ns))
            begin_ns = end_ns
        self._hear(horizon_ns)
        crew.finish(horizon_ns)
        crew.ask(horizon_ns + 1)
        crew.wait()
        self._store()
        self.campaign.close()

    def _open(self) -> None:
        """Place the residents and put the removal demands of the plan on the desk."""
        self.tenants.settle()
        requests = self.plan.requests
        columns = (requests.time_ns, requests.probe)
        for request, (time_ns, probe) in enumerate(
            zip(*(c.tolist() for c in columns), strict=True)
        ):
            if not probe:
                self.desk.at(time_ns, Priority.REQUEST, request, self.campaign.issue)

    def _next_begin(self, begin_ns: int) -> int:
        """Return where the next window begins: later than ``begin_ns`` when nothing happens."""
        if self._next_ns > begin_ns:
            self._hear(begin_ns)
            if not self._crew.running:
                return max(begin_ns, self._next_ns)
        return begin_ns

    @property
    def _next_ns(self) -> int:
        """Time of the next event or command."""
        times = [self.desk.next_ns, self.tenants.next_ns]
        times += self._asked[self._next_asked : self._next_asked + 1, TIME].tolist()
        return min(times)

    def _due(self, until_ns: int) -> Orders:
        """Take the commands that act before ``until_ns``."""
        first = self._next_asked
        last = self._next_asked = int(self._asked[:, TIME].searchsorted(until_ns))
        parts = [*self.tenants.due(until_ns), self.desk.due(until_ns), self._asked[first:last]]
        return by_host([part for part in parts if len(part)] or parts[:1])

    def _progress(self, now_ns: int) -> Progress:
        """Return how far the unit is."""
        issued = int(self.plan.requests.time_ns.searchsorted(now_ns))
        return Progress(now_ns, issued, self.tenants.placed, len(self.plan.hosts))

    def _fetch(self, end_ns: int) -> None:
        """Ask for rows: as far as all hosts are done, unless too few can be stamped before.

        Without that limit rows would pile up where a host waits for long.
        """
        done_ns, enough_ns = self._crew.done_ns, (3 * self._fetched_ns + end_ns) // 4
        self._fetched_ns = done_ns if done_ns > enough_ns else end_ns
        self._crew.ask(self._fetched_ns)

    def _store(self) -> None:
        """Hand on rows and what probes found: the hosts have their next window by then."""
        for batches, probed in self._crew.fetched():
            for report in probed:
                self.campaign.probed(*report[IDENT:])
            self._sink(batches)
            give_back()

    # -- reports --------------------------------------------------------------------------------

    def _hear(self, until_ns: int) -> None:
        """Hear all reports up to ``until_ns`` and decide what is stamped before."""
        while self._posted and self._heard_ns < until_ns:
            self._sort_out(self._crew.hear())
            self._heard_ns = self._posted.popleft()
            self._decide(self._heard_ns)
        if not self._posted and self._heard_ns < until_ns:
            self._heard_ns = until_ns
            self._decide(until_ns)

    def _decide(self, before_ns: int) -> None:
        """Decide on every event stamped before ``before_ns``, in order."""
        desk, tenants = self.desk, self.tenants
        while (turn := desk.turn(before_ns)) is not None:
            tenants.follow(*turn)
            desk.take_turn()
        tenants.follow(before_ns, Priority.REPORT)

    def _sort_out(self, reports: list[Report]) -> None:
        """Put reports on the desk in the order of (time, host, sequence)."""
        for report in sorted(reports):
            time_ns, host = report[:2]

            def handle(now_ns: int, _host: int, _: int, report: Report = report) -> None:
                self._handle(now_ns, report)

            self.desk.at(time_ns, Priority.REPORT, host, handle)

    def _handle(self, now_ns: int, report: Report) -> None:
        """React to one report."""
        _, host, _, told, ident, a, b, c, _, _ = report
        if told == Told.PIN_FAILED:
            self.tenants.pin_failed(now_ns, ident, a, b)
        elif told == Told.KILLED:
            self.tenants.killed(now_ns, ident, a)
        elif told == Told.NOT_PLACED:
            self.tenants.not_placed(now_ns, ident, a, Fate.HOST_RESET)
        elif told == Told.RETURNED:
            self.campaign.returned(now_ns, ident, a, b, c)
        elif told == Told.NOT_BEGUN:
            self.campaign.not_begun(ident)
        elif told == Told.RESET:
            self.campaign.host_reset(now_ns, ident, a, b)
        elif told == Told.PANIC:
            self.campaign.host_panicked(now_ns, host, a)
        elif told == Told.REBOOTED:
            self.campaign.host_rebooted(now_ns, host, a)
        else:
            raise ValueError(f"unknown report {told}")
