"""The coordinator's desk: what it still has to decide, what it has sent, and the log of decisions.

Everything is kept in total orders, (time, priority, id) for events and the command tuple itself for
commands, so that the length of a window can never show: a decision stamped ``t`` is taken after
all events before ``t`` and before all later ones, and acts at ``t + latency_ns``. What the plan
has decided already (``demands``) never lies here: it would be most of it.
"""

from collections.abc import Callable
from enum import IntEnum
from heapq import heappop, heappush

import numpy as np
from numpy.typing import ArrayLike

from fleet.log.tables import NULL
from fleet.run.columns import Matrix, code
from fleet.run.messages import NO_ORDERS, NR_FIELDS, Command, Orders

Handler = Callable[[int, int, int], None]
"""``handler(now_ns, id, argument)``."""

NR_DECISION = 8
"""Columns of the ``commands`` table without its id."""


class Priority(IntEnum):
    """Order of events of one time: first what happened, then who leaves, then who asks.

    A host's return has a priority of its own: it is put on the desk ahead of its time, reports
    are not, and the order of insertion must never decide.
    """

    REPORT = 0
    RETURN = 1
    DEPARTURE = 2
    ARRIVAL = 3
    REQUEST = 4
    TIMER = 5


def decisions(size: int, kind: str, *columns: ArrayLike) -> Matrix:
    """Return rows of the ``commands`` table without the id.

    ``columns`` are arrays or integers: time_ns, host, decided_ns, workload; what concerns requests
    is ``NULL``.
    """
    time_ns, host, decided_ns, workload = columns
    out = np.full((size, NR_DECISION), NULL, np.int64)
    row = (host, time_ns, decided_ns, code("commands", "kind", kind), workload)
    for index, column in enumerate(row):
        out[:, index] = column
    return out


class Desk:
    """Events to decide on, commands under way, decisions taken.

    Parameters
    ----------
    latency_ns : int
        Time from a decision to its effect.
    horizon_ns : int
        Commands and events from here on are dropped: the run is over.
    """

    def __init__(self, latency_ns: int, horizon_ns: int) -> None:
        self.latency_ns, self.horizon_ns = latency_ns, horizon_ns
        self._commands: list[Command] = []
        self._events: list[tuple[int, int, int, int, int, Handler]] = []
        self._serial = 0
        self._logged: list[Matrix] = []
        self._single: list[tuple[int, ...]] = []

    def at(
        self, time_ns: int, priority: Priority, ident: int, handler: Handler, argument: int = 0
    ) -> None:
        """Have ``handler(time_ns, ident, argument)`` called in its turn."""
        if time_ns < self.horizon_ns:
            self._serial += 1
            event = (time_ns, int(priority), ident, argument, self._serial, handler)
            heappush(self._events, event)

    def send(self, command: Command) -> None:
        """Have a command carried out at its time."""
        if command[0] < self.horizon_ns:
            heappush(self._commands, command)

    # -- the log of decisions -------------------------------------------------------------------

    def log(
        self,
        kind: str,
        now_ns: int,
        time_ns: int,
        host: int,
        *,
        workload: int = NULL,
        request: int = NULL,
        first_block: int = NULL,
        nr_blocks: int = NULL,
    ) -> None:
        """Record a decision taken at ``now_ns`` that acts at ``time_ns``."""
        word = code("commands", "kind", kind)
        row = (host, time_ns, now_ns, word, workload, request, first_block, nr_blocks)
        self._single.append(row)

    def log_all(self, rows: Matrix) -> None:
        """Record many decisions (``decisions``) after those recorded before."""
        self._close_singles()
        self._logged.append(rows)

    def _close_singles(self) -> None:
        if self._single:
            self._logged.append(np.array(self._single, np.int64))
            self._single = []

    def logged(self) -> Matrix:
        """Return all decisions in the order they were taken; int64[n, NR_DECISION]."""
        self._close_singles()
        nothing = np.zeros((0, NR_DECISION), np.int64)
        self._logged = [np.concatenate([nothing, *self._logged])]
        return self._logged[0]

    # -- turns and commands ---------------------------------------------------------------------

    def turn(self, before_ns: int) -> tuple[int, int] | None:
        """Return time and priority of the next event, None when there is none before."""
        if self._events and self._events[0][0] < before_ns:
            return self._events[0][:2]
        return None

    def take_turn(self) -> None:
        """Handle the next event."""
        time_ns, _, ident, argument, _, handler = heappop(self._events)
        handler(time_ns, ident, argument)

    def due(self, until_ns: int) -> Orders:
        """Take the commands that act before ``until_ns``."""
        found = []
        while self._commands and self._commands[0][0] < until_ns:
            found.append(heappop(self._commands))
        return np.array(found, np.int64).reshape(-1, NR_FIELDS) if found else NO_ORDERS

    @property
    def next_ns(self) -> int:
        """Time of the next event or command, the horizon when there is none."""
        times = [queue[0][0] for queue in (self._events, self._commands) if queue]
        return min([self.horizon_ns, *times])
