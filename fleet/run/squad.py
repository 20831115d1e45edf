"""Some hosts of one process: whole shards, parts of them, or a single host."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from fleet.run.columns import Batch
from fleet.run.machine import Machine
from fleet.run.messages import EVERY_HOST, HOST, Orders, Report
from fleet.run.notes import Notes
from fleet.run.world import World


class Told(NamedTuple):
    """What a squad says after a window."""

    reports: list[Report]
    running: bool
    """Whether an offline is running."""
    waiting_rows: int
    """Rows waiting to be fetched."""


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

    def advance(self, orders: Orders, until_ns: int) -> Told:
        """Carry out orders (``messages.by_host``) and run to ``until_ns``; idle hosts cost nothing.

        Whoever gets a command or has an offline running is advanced, in the order of hosts.
        """
        machines, running = self._machines, self._running
        for host, commands in self._divided(orders):
            machine = machines[host]
            machine.advance(commands, until_ns)
            if machine.running:
                running.add(host)
            else:
                running.discard(host)
        return Told(self._notes.take_reports(), bool(running), self._notes.waiting_rows)

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
        for machine in self._machines.values():
            machine.finish(horizon_ns)

    def collect(self, until_ns: int) -> list[Batch]:
        """Take the rows stamped before ``until_ns``, one ordered batch per table and shard."""
        return self._notes.collect(until_ns)
