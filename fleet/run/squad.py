"""Some hosts of one process: whole shards, parts of them, or a single host."""

from collections.abc import Sequence

from fleet.run.columns import Batch, Matrix, in_order
from fleet.run.machine import Machine
from fleet.run.messages import EVERY_HOST, Command, Report
from fleet.run.world import World

SHARD_HOSTS = 64
"""Consecutive hosts of a shard: a function of the inventory alone."""

Told = tuple[list[Report], bool, int]
"""Reports of a window, whether an offline is running, rows waiting to be fetched."""


class Squad:
    """Runs hosts window by window; a pure function of the world and the commands.

    Parameters
    ----------
    hosts : sequence of int
        Which hosts.
    world : World
    """

    def __init__(self, hosts: Sequence[int], world: World) -> None:
        self._machines = {host: Machine(host, world) for host in sorted(hosts)}
        self._running: set[int] = set()
        self._waiting = 0

    def advance(self, commands: Sequence[Command], until_ns: int) -> Told:
        """Carry out ordered commands and run to ``until_ns``; idle hosts cost nothing."""
        mine: dict[int, list[Command]] = {host: [] for host in sorted(self._running)}
        for command in commands:
            if command[2] == EVERY_HOST:
                for host in self._machines:
                    mine.setdefault(host, []).append(command)
            else:
                mine.setdefault(command[2], []).append(command)
        for host, orders in mine.items():
            machine = self._machines[host]
            waiting = machine.reading.waiting_rows
            machine.advance(orders, until_ns)
            self._waiting += machine.reading.waiting_rows - waiting
            if machine.running:
                self._running.add(host)
            else:
                self._running.discard(host)
        reports: list[Report] = []
        for host in mine:
            reading = self._machines[host].reading
            reports += reading.reports
            reading.reports = []
        return reports, bool(self._running), self._waiting

    def finish(self, horizon_ns: int) -> None:
        """End the run: report offlines that have not returned."""
        for machine in self._machines.values():
            machine.finish(horizon_ns)

    def collect(self, until_ns: int) -> list[Batch]:
        """Take the rows stamped before ``until_ns``, one ordered batch per table and shard."""
        parts: dict[tuple[str, int], list[Matrix]] = {}
        for host, machine in self._machines.items():
            for table, rows in machine.reading.collect(until_ns).items():
                parts.setdefault((table, host // SHARD_HOSTS), []).append(rows)
        self._waiting = 0
        return [Batch(*key, in_order(parts[key])) for key in sorted(parts)]
