"""Some hosts of one process: whole shards, parts of them, or a single host.

A window is over for the coordinator when everything has been done that could change a decision.
Commands that cannot (``messages.PATIENT``), on a host that is up, has no others and removes no
memory, are done when the host gets another one, when rows are fetched, or whenever this process has
nothing else to do (``work``): hosts are independent, so neither the time at which one of them does
its work nor the process can show in a byte. So a process with few arrivals in a window works while
others hold the coordinator up.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from fleet.run.columns import Batch
from fleet.run.machine import Commands, Machine
from fleet.run.messages import DO, EVERY_HOST, HOST, PATIENT, Orders, Report
from fleet.run.notes import Notes
from fleet.run.world import World


class Told(NamedTuple):
    """What a squad says after a window."""

    reports: list[Report]
    running: bool
    """Whether an offline is running."""
    waiting_rows: int
    """Rows waiting to be fetched."""


class Fetched(NamedTuple):
    """What a squad gives when it is asked for rows."""

    batches: list[Batch]
    probed: list[Report]
    """Reports of probes."""


class Squad:
    """Runs hosts window by window; a pure function of the world and the commands.

    Parameters
    ----------
    hosts : sequence of int
        Which hosts.
    world : World
    """

    def __init__(self, hosts: Sequence[int], world: World) -> None:
        self._notes = Notes()
        self._machines = {host: Machine(host, world, self._notes) for host in sorted(hosts)}
        self._running: set[int] = set()
        self._waiting: dict[int, deque[tuple[Commands, int]]] = {}

    def advance(self, orders: Orders, until_ns: int) -> Told:
        """Carry out orders (``messages.by_host``) and run to ``until_ns``; idle hosts cost nothing.

        Whoever gets a command or has an offline running is advanced, in the order of hosts; one
        whose commands can wait is not, for now.
        """
        machines, running = self._machines, self._running
        for host, commands in self._divided(orders):
            machine = machines[host]
            can_wait = machine.up and not machine.running
            if can_wait and all(command[DO] in PATIENT for command in commands):
                self._waiting.setdefault(host, deque()).append((commands, until_ns))
                continue
            if host in self._waiting:
                self._catch_up(host)
            machine.advance(commands, until_ns)
            if machine.running:
                running.add(host)
            else:
                running.discard(host)
        return Told(self._notes.take_reports(), bool(running), self._notes.waiting_rows)

    def work(self) -> bool:
        """Do something that was left for later; False when nothing is left."""
        if not self._waiting:
            return False
        host = next(iter(self._waiting))
        left = self._waiting[host]
        self._do(host, *left.popleft())
        if not left:
            del self._waiting[host]
        return True

    def _catch_up(self, host: int) -> None:
        """Do everything that was left for later on a host."""
        for commands, until_ns in self._waiting.pop(host):
            self._do(host, commands, until_ns)

    def _do(self, host: int, commands: Commands, until_ns: int) -> None:
        """Carry out commands that could wait."""
        known = len(self._notes.reports)
        self._machines[host].advance(commands, until_ns)
        assert len(self._notes.reports) == known, f"news from commands that could wait: {commands}"

    def _divided(self, orders: Orders) -> Iterable[tuple[int, list[list[int]]]]:
        """Return the commands of each host that has something to do, by host."""
        hosts = orders[:, HOST]
        if len(hosts) and hosts[0] == EVERY_HOST:
            return self._shared_out(orders)
        edges = [0, *(np.flatnonzero(hosts[1:] != hosts[:-1]) + 1).tolist(), len(hosts)]
        rows = orders.tolist()
        found = {rows[a][HOST]: rows[a:b] for a, b in pairwise(edges) if a < b}
        for host in self._running:
            found.setdefault(host, [])
        return sorted(found.items())

    def _shared_out(self, orders: Orders) -> Iterable[tuple[int, list[list[int]]]]:
        """Give everybody's commands to everybody."""
        common = [row for row in orders.tolist() if row[HOST] == EVERY_HOST]
        found: dict[int, list[list[int]]] = {host: list(common) for host in self._machines}
        for row in orders[len(common) :].tolist():
            found[row[HOST]].append(row)
        return ((host, sorted(rows)) for host, rows in found.items())

    def finish(self, horizon_ns: int) -> None:
        """End the run: report offlines that have not returned."""
        while self.work():
            pass
        for machine in self._machines.values():
            machine.finish(horizon_ns)

    def collect(self, until_ns: int) -> Fetched:
        """Take the rows stamped before ``until_ns``, one ordered batch per table and shard."""
        while self.work():
            pass
        return Fetched(self._notes.collect(until_ns), self._notes.take_probed())
