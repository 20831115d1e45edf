"""One arm and replication from start to end: discrete, conservative lookahead.

A window is at most ``reaction_latency`` long. Before a window all events stamped before its begin
have been decided, in the order (time, priority, id); their effects lie at or behind its begin. So
every command of the window is known before it starts, hosts can run through it independently, and
its length never changes a byte. Windows in which nothing happens are skipped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fleet.run.campaign import Campaign
from fleet.run.columns import Batch
from fleet.run.desk import Desk, Priority
from fleet.run.ledger import Ledger
from fleet.run.messages import ANY_BOOT, EVERY_HOST, Command, Do, Report, Told
from fleet.run.placement import RULES
from fleet.run.tenants import Fate, Tenants
from fleet.run.world import World
from fleet.scenario.models import Scenario

FLUSH_ROWS = 50_000
"""Rows that may wait on the hosts' side before they are fetched."""


class Crew(Protocol):
    """Whoever runs the hosts: this process, or Ray actors."""

    @property
    def running(self) -> bool:
        """Whether an offline is running anywhere."""
        ...

    @property
    def waiting_rows(self) -> int:
        """Rows not fetched yet."""
        ...

    def begin(self, world: World) -> None:
        """Take up the hosts of a unit; whatever there was before is forgotten."""
        ...

    def advance(self, commands: list[Command], until_ns: int) -> list[Report]:
        """Run all hosts to ``until_ns`` and return what they report, in any order."""
        ...

    def collect(self, until_ns: int) -> list[Batch]:
        """Fetch the rows stamped before ``until_ns``."""
        ...

    def finish(self, horizon_ns: int) -> None:
        """End the run: report offlines that have not returned."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a unit is."""

    now_ns: int
    requests: int
    workloads: int


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
        self.ledger = Ledger(plan.hosts, world.shapes)
        rule = RULES[scenario.placement]
        self.tenants = Tenants(plan, self.ledger, self.desk, rule)
        self.campaign = Campaign(
            plan, self.ledger, self.desk, self.tenants, scenario.removals, scenario.watchdog
        )

    def run(self, tell: Callable[[Progress], None] = lambda _: None) -> None:
        """Run from time zero to the horizon; ``tell`` is called after each window."""
        self._crew.begin(self._world)
        self._open()
        desk, crew, horizon_ns = self.desk, self._crew, self.plan.horizon_ns
        longest_ns = self._scenario.executor.window_ns or desk.latency_ns
        length_ns = min(longest_ns, desk.latency_ns)
        begin_ns = 0
        while begin_ns < horizon_ns:
            desk.decide(begin_ns)
            if not crew.running:
                begin_ns = max(begin_ns, desk.next_ns)
            if begin_ns >= horizon_ns:
                break
            end_ns = min(begin_ns + length_ns, horizon_ns)
            self._hear(crew.advance(desk.due(end_ns), end_ns))
            if crew.waiting_rows >= FLUSH_ROWS:
                self._sink(crew.collect(end_ns))
            tell(Progress(end_ns, len(self.campaign.of), len(self.tenants.of)))
            begin_ns = end_ns
        desk.decide(horizon_ns)
        crew.finish(horizon_ns)
        self._sink(crew.collect(horizon_ns + 1))
        self.campaign.close()

    def _open(self) -> None:
        """Place the residents and put every demand of the plan on the desk."""
        work, requests, desk = self.plan.workloads, self.plan.requests, self.desk
        for workload, arrival_ns in enumerate(work.arrival_ns.tolist()):
            if arrival_ns == 0:
                self.tenants.arrive(0, workload, resident=1)
            else:
                desk.at(arrival_ns, Priority.ARRIVAL, workload, self.tenants.arrive)
        columns = (requests.time_ns, requests.probe, requests.host)
        for request, (time_ns, probe, host) in enumerate(
            zip(*(c.tolist() for c in columns), strict=True)
        ):
            if probe:
                desk.send((time_ns, Do.PROBE, host, request, 0, 0, 0, ANY_BOOT))
            else:
                desk.at(time_ns, Priority.REQUEST, request, self.campaign.issue)
        every_ns = self._scenario.samples_ns
        if every_ns:
            times = np.arange(0, self.plan.horizon_ns, every_ns, dtype=np.int64)
            for sample, time_ns in enumerate(times.tolist()):
                desk.send((time_ns, Do.SAMPLE, EVERY_HOST, sample, 0, 0, 0, ANY_BOOT))

    def _hear(self, reports: list[Report]) -> None:
        """Put reports on the desk in the order of (time, host, sequence)."""
        for report in sorted(reports):
            time_ns, host, _, told, ident, a, b, c, d, e = report
            if told == Told.PROBED:
                self.campaign.probed(ident, a, b, c, d, e)
                continue

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
