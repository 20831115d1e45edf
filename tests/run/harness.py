"""Runs of small fleets, and what they leave behind."""

from collections import deque
from pathlib import Path
from typing import Any

import pyarrow as pa

from fleet.errors import PromiseError
from fleet.log.records import content_digest
from fleet.log.writer import FileRecord, UnitWriter
from fleet.plan.tables import Plan
from fleet.run.coordinator import Coordinator, Crew, Entered
from fleet.run.crews import InlineCrew, joined
from fleet.run.messages import Orders, Report, orders_of
from fleet.run.squad import Fetched, Squad, Told
from fleet.run.unit import run_unit
from fleet.run.world import World
from fleet.scenario.scenario import Scenario
from tests.run import small


class ManySquads:
    """A crew of several squads in this process: what actors do, without Ray.

    Squads have half of their hosts from the start, the others enter one by one, last one first.
    ``leisure``: pieces of work that each squad does between two windows of those that can wait.
    """

    def __init__(self, squads: list[list[int]], leisure: int = 0) -> None:
        self._hosts, self.leisure, self.promising = squads, leisure, True
        self.running, self.waiting_rows, self.done_ns = False, 0, 0

    def begin(self, world: World, entered: Entered = lambda _: None) -> None:
        halves = [hosts[: (len(hosts) + 1) // 2] for hosts in self._hosts]
        self._squads = [Squad(hosts, world, promising=self.promising) for hosts in halves]
        self._first, self._tell_entered = True, entered
        for squad in self._squads:
            squad.prepare()  # the first host of each
        self._state: list[tuple[bool, int, int]] = [(False, 0, 0)] * len(self._squads)
        self._posted: deque[tuple[Orders, int]] = deque()
        self._done: deque[Told] = deque()
        self._fetched: list[Fetched] = []
        self._come = 0
        self.left = 0

    def post(self, orders: Orders, until_ns: int) -> None:
        self._posted.append((orders, until_ns))  # a crew may be as late as it likes

    def _run(self) -> None:
        orders, until_ns = self._posted.popleft()
        reports: list[Report] = []
        for i in reversed(range(len(self._squads))):  # answers come in any order
            mine = orders_of(self._hosts[i], orders)
            if self._first:
                told = self._entered(i, mine, until_ns)
            elif len(mine) or self._state[i][0]:
                told = [self._squads[i].advance(mine, until_ns)]
            else:
                continue
            self._state[i] = (told[-1].running, told[-1].waiting_rows, told[-1].done_ns)
            reports += [report for said in told for report in said.reports]
            self.left += any(self._squads[i].work() for _ in range(self.leisure))
        if self._first:
            self._tell_entered(sum(map(len, self._hosts)))
        self._first = False
        running, rows, done_ns = zip(*self._state, strict=True)
        self._done.append(Told(reports, any(running), sum(rows), min(done_ns)))

    def _entered(self, i: int, orders: Orders, until_ns: int) -> list[Told]:
        hosts = self._hosts[i]
        half = (len(hosts) + 1) // 2
        told = []
        for some in (hosts[:half], *([host] for host in reversed(hosts[half:]))):
            mine = orders_of(some, orders)
            told.append(self._squads[i].enter(some, mine, until_ns))
        return told

    def hear(self) -> list[Report]:
        if not self._done:
            self._run()
        reports, self.running, self.waiting_rows, self.done_ns = self._done.popleft()
        return reports

    def ask(self, until_ns: int) -> None:
        while self._posted:
            self._run()
        self._state = [(running, 0, done_ns) for running, _, done_ns in self._state]
        self._fetched.append(joined(squad.collect(until_ns) for squad in self._squads))

    def wait(self) -> None:
        self._come = len(self._fetched)

    def fetched(self) -> list[Fetched]:
        come = max(self._come, len(self._fetched) - 1)  # the last ones come late
        found, self._fetched, self._come = self._fetched[:come], self._fetched[come:], 0
        return found

    def finish(self, horizon_ns: int) -> None:
        for squad in self._squads:
            squad.finish(horizon_ns)

    def distrust(self) -> None:
        self.promising = False


def run_files(
    folder: Path, world: World, scenario: Scenario, crew: Crew | None = None
) -> list[FileRecord]:
    """Run one unit, again when a promise is broken, and return the records of its files."""
    crew = crew or InlineCrew()
    for _ in range(2):
        writer = UnitWriter(folder, "arm", 0, part_rows=64, batch_rows=16)
        try:
            run_unit(world, scenario, crew, writer)
        except PromiseError:
            crew.distrust()
        else:
            break
    return writer.close()


def digests(files: list[FileRecord]) -> dict[str, str]:
    """Path to sha256 of all files, and the content digest."""
    return {f.path: f.sha256 for f in files} | {"content": content_digest(files)}


def read_rows(folder: Path, files: list[FileRecord], table: str) -> list[dict[str, Any]]:
    """Return all rows of a table, file after file."""
    rows: list[dict[str, Any]] = []
    for file in files:
        if file.path.split("/")[1] == table:
            with pa.ipc.open_file(folder / file.path) as reader:
                rows += reader.read_all().to_pylist()
    return rows


def coordinate(
    plan: Plan, scenario: Scenario, world: World | None = None, crew: Crew | None = None
) -> Coordinator:
    """Run one unit without writing; return the coordinator for its books."""
    known = world or small.world(plan, scenario)
    coordinator = Coordinator(known, scenario, crew or InlineCrew(), lambda _: None)
    coordinator.run()
    return coordinator
