"""Some hosts of one process: whole shards, parts of them, or a single host.

A window is over for the coordinator when everything has been done that could change a decision.
Commands that cannot (``messages.PATIENT``), on a host that is up, has no others and removes no
memory, are done when the host gets another one, when rows of that time are fetched, or whenever
this process has nothing else to do (``work``): hosts are independent, so neither the time at which
one of them does its work nor the process can show in a byte. So a process with few arrivals in a
window works while others hold the coordinator up; and what a host owes from several windows it does
in one go, while its memory is in the processor's caches.

A squad that may promise also lets wait

* workloads that cannot but find their memory, as far as a squad can tell: on a host that has more
  to give than all it owes and an eighth of its memory; with memory from kernel zones (of a pin, or
  of a hint where the policy honours it), if they have as well,
* an offline that only repeats itself, until somebody does something on its host.

That is no proof. When one has news after all (somebody was killed, the pin failed), decisions were
made without it: the unit is repeated by squads that promise nothing (``PromiseError``), so that no
byte can depend on what was promised.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from engine.enums import Cell, Pinner
from fleet.errors import PromiseError
from fleet.plan.backing import Backing
from fleet.plan.tables import NO_PINNER
from fleet.run.columns import Batch
from fleet.run.machine import Commands, Machine
from fleet.run.messages import DO, EVERY_HOST, HOST, IDENT_OF, PATIENT, Do, Orders, Report
from fleet.run.notes import Notes
from fleet.run.world import World

MOST_PROMISED = 2048
"""Workloads that a squad may owe; with more the fleet's clock would run ahead of the work."""
MODEST = (Backing.ANON, Backing.THP)
"""Memory that may come from any zone."""


class Told(NamedTuple):
    """What a squad says after a window."""

    reports: list[Report]
    running: bool
    """Whether an offline is running."""
    waiting_rows: int
    """Rows waiting to be fetched."""
    done_ns: int
    """Up to when all hosts have done everything."""


NOTHING_TOLD = Told([], running=False, waiting_rows=0, done_ns=0)


class Fetched(NamedTuple):
    """What a squad gives when it is asked for rows."""

    batches: list[Batch]
    probed: list[Report]
    """Reports of probes."""


class Left(NamedTuple):
    """What a host has been told and will do later."""

    commands: Commands
    since_ns: int
    """Begin of the window; what comes before is done."""
    until_ns: int
    placements: int
    """Workloads promised to start without news, and their memory."""
    pages: int


class Squad:
    """Runs hosts window by window; a pure function of the world and the commands.

    Parameters
    ----------
    hosts : sequence of int
        Which hosts.
    world : World
    promising : bool
        Whether workloads may wait.
    """

    def __init__(self, hosts: Sequence[int], world: World, *, promising: bool = False) -> None:
        self._notes = Notes()
        self._world = world
        self._machines: dict[int, Machine] = {}
        self._take_up(hosts)
        self._unprepared = iter(self._machines.values())
        self._running: dict[int, int] = {}
        """Hosts with an offline, and until when it only repeats itself."""
        self._waiting: dict[int, deque[Left]] = {}
        """By host; who has waited longest comes first."""
        self._until_ns = 0
        self._wants, self._promising, self._promised = world.wants, promising, 0
        self._hints = bool(world.table[Cell.HINT_HONOURED])
        self._strict = bool(world.table[Cell.PIN_DENIED] or world.table[Cell.PIN_POOL_MILLIONTHS])

    def advance(self, orders: Orders, until_ns: int) -> Told:
        """Carry out orders (``messages.by_host``) and run to ``until_ns``; idle hosts cost nothing.

        Whoever gets a command or has an offline running is advanced, in the order of hosts; one
        whose commands can wait is not, for now.

        Raises
        ------
        PromiseError
            A workload that waited has news; as in all that follows.
        """
        found = self._divided(orders, self._machines)
        for host in self._running:
            found.setdefault(host, [])
        return self._run(found, until_ns)

    def enter(self, hosts: Sequence[int], orders: Orders, until_ns: int) -> Told:
        """Run hosts through the first window, and no others; those that are new are taken up.

        Orders are of these hosts or of every host. A host is not up yet, so nothing can wait.
        """
        self._take_up(hosts)
        return self._run(self._divided(orders, hosts), until_ns)

    def _take_up(self, hosts: Sequence[int]) -> None:
        """Have machines for hosts, all in the order of hosts."""
        world, notes, known = self._world, self._notes, self._machines
        new = {host: Machine(host, world, notes) for host in hosts if host not in known}
        self._machines = dict(sorted((known | new).items()))

    def _run(self, found: dict[int, list[list[int]]], until_ns: int) -> Told:
        """Run hosts with their commands to ``until_ns``, or leave it for later."""
        machines, running, self._unprepared = self._machines, self._running, iter(())
        for host, commands in sorted(found.items()):
            machine = machines[host]
            left = self._left(machine, commands, until_ns)
            if left is not None:
                self._waiting.setdefault(host, deque()).append(left)
                self._promised += left.placements
                continue
            if host in self._waiting:
                self._catch_up(host)
            machine.advance(commands, until_ns)
            if machine.running:
                running[host] = machine.repeats_until_ns if self._promising else 0
            else:
                running.pop(host, None)
        while self._promised > MOST_PROMISED:
            self.work()
        self._until_ns = until_ns
        notes = self._notes
        return Told(notes.take_reports(), bool(running), notes.waiting_rows, self.done_ns)

    @property
    def done_ns(self) -> int:
        """Up to when all hosts have done everything."""
        for left in self._waiting.values():
            return left[0].since_ns
        return self._until_ns

    def prepare(self) -> bool:
        """Age a host while the coordinator fills the fleet; False when there is nothing to do.

        Only before the first window: no host is made that may not be needed later.
        """
        machine = next(self._unprepared, None)
        if machine is None:
            return False
        machine.prepare()
        return True

    def work(self) -> bool:
        """Do what the host that has waited longest owes; False when nothing is left.

        But for offlines that repeat themselves: the longer they wait, the less they cost.
        """
        host = next((host for host in self._waiting if host not in self._running), None)
        if host is not None:
            self._catch_up(host)
        return host is not None

    def _left(self, machine: Machine, commands: Commands, until_ns: int) -> Left | None:
        """Return what a host may do later; None when its commands cannot wait."""
        if machine.running:
            repeats = not commands and until_ns < self._running.get(machine.host, 0)
            return Left((), self._until_ns, until_ns, 0, 0) if repeats else None
        if not machine.up:
            return None
        placed = [command for command in commands if command[DO] not in PATIENT]
        if not placed:
            return Left(commands, self._until_ns, until_ns, 0, 0)
        if not self._promising or not all(self._is_modest(machine, c) for c in placed):
            return None
        wants, workloads = self._wants, [command[IDENT_OF] for command in placed]
        pages = sum(wants.pages[workload] for workload in workloads)
        owed = sum(left.pages for left in self._waiting.get(machine.host, ()))
        if owed + pages > machine.spare_pages:
            return None
        of_kernel = any(self._takes_kernel_zones(workload) for workload in workloads)
        if of_kernel and owed + pages > machine.spare_kernel_pages:
            return None
        return Left(commands, self._until_ns, until_ns, len(placed), pages)

    def _is_modest(self, machine: Machine, command: Sequence[int]) -> bool:
        """Whether a command starts a workload that any memory will do for, or any of its zones.

        A pin of pages that are there already may fail where short references hold them, and hang
        where it isolates many at once (io_uring).
        """
        if command[DO] != Do.PLACE or not machine.is_meant(command):
            return False
        wants, workload = self._wants, command[IDENT_OF]
        if wants.backing[workload] not in MODEST:
            return False
        pinner = wants.pinner[workload]
        if pinner == NO_PINNER:
            return True
        alone = pinner == Pinner.VFIO and not wants.io_before_pin[workload]
        return not self._strict and (alone or not wants.present_pages[workload])

    def _takes_kernel_zones(self, workload: int) -> bool:
        """Whether a workload may need memory outside of ZONE_MOVABLE."""
        wants = self._wants
        pinned = wants.pinner[workload] != NO_PINNER
        return pinned or bool(self._hints and wants.hinted[workload])

    def _do_all_before(self, time_ns: int) -> None:
        """Do everything that was left for later in windows that began before."""
        while self._waiting and self.done_ns < time_ns:
            self._catch_up(next(iter(self._waiting)))

    def _catch_up(self, host: int) -> None:
        """Do everything that was left for later on a host, in one go."""
        lefts, known = self._waiting.pop(host), len(self._notes.reports)
        commands = [command for left in lefts for command in left.commands]
        self._machines[host].advance(commands, lefts[-1].until_ns)
        self._promised -= sum(left.placements for left in lefts)
        if len(self._notes.reports) != known:
            raise PromiseError(f"host {host} has news from commands that could wait")

    def _divided(self, orders: Orders, everybody: Iterable[int]) -> dict[int, list[list[int]]]:
        """Return the commands of each host that has any."""
        hosts = orders[:, HOST]
        if len(hosts) and hosts[0] == EVERY_HOST:
            return self._shared_out(orders, everybody)
        edges = [0, *(np.flatnonzero(hosts[1:] != hosts[:-1]) + 1).tolist(), len(hosts)]
        rows = orders.tolist()
        return {rows[a][HOST]: rows[a:b] for a, b in pairwise(edges) if a < b}

    def _shared_out(self, orders: Orders, everybody: Iterable[int]) -> dict[int, list[list[int]]]:
        """Give everybody's commands to everybody."""
        common = [row for row in orders.tolist() if row[HOST] == EVERY_HOST]
        found: dict[int, list[list[int]]] = {host: list(common) for host in everybody}
        for row in orders[len(common) :].tolist():
            found[row[HOST]].append(row)
        return {host: sorted(rows) for host, rows in found.items()}

    def finish(self, horizon_ns: int) -> None:
        """End the run: report offlines that have not returned."""
        self._do_all_before(horizon_ns)
        for machine in self._machines.values():
            machine.finish(horizon_ns)

    def collect(self, until_ns: int) -> Fetched:
        """Take the rows stamped before ``until_ns``, one ordered batch per table and shard."""
        self._do_all_before(until_ns)
        return Fetched(self._notes.collect(until_ns), self._notes.take_probed(until_ns))
