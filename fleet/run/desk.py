"""The coordinator's desk: what it still has to decide, what it has sent, and the log of decisions.

Everything is kept in total orders, (time, priority, id) for events and the command tuple itself for
commands, so that the length of a window can never show: a decision stamped ``t`` is taken after
all events before ``t`` and before all later ones, and acts at ``t + latency_ns``.
"""

from collections.abc import Callable
from enum import IntEnum
from heapq import heappop, heappush

from fleet.log.tables import NULL
from fleet.run.messages import CANCELLABLE, Command

Handler = Callable[[int, int, int], None]
"""``handler(now_ns, id, argument)``."""


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


class Desk:
    """Events to decide on, commands under way, decisions taken.

    Parameters
    ----------
    latency_ns : int
        Time from a decision to its effect.
    horizon_ns : int
        Commands and events from here on are dropped: the run is over.

    Attributes
    ----------
    decisions : list
        Rows of the ``commands`` table: time, host, decided, kind, workload, request, first block,
        number of blocks (``NULL`` where there is none).
    """

    def __init__(self, latency_ns: int, horizon_ns: int) -> None:
        self.latency_ns, self.horizon_ns = latency_ns, horizon_ns
        self.decisions: list[tuple[int, int, int, str, int, int, int, int]] = []
        self._commands: list[Command] = []
        self._events: list[tuple[int, int, int, int, int, Handler]] = []
        self._serial = 0
        self._cancelled: dict[tuple[int, int], int] = {}

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
        row = (time_ns, host, now_ns, kind, workload, request, first_block, nr_blocks)
        self.decisions.append(row)

    def cancel(self, workload: int, placement: int, from_ns: int) -> None:
        """Take back the commands of a placement that act at ``from_ns`` or later."""
        self._cancelled[workload, placement] = from_ns

    def decide(self, before_ns: int) -> None:
        """Handle every event stamped before ``before_ns``, in order."""
        events = self._events
        while events and events[0][0] < before_ns:
            time_ns, _, ident, argument, _, handler = heappop(events)
            handler(time_ns, ident, argument)

    def due(self, until_ns: int) -> list[Command]:
        """Take the commands that act before ``until_ns``, in order."""
        found = []
        while self._commands and self._commands[0][0] < until_ns:
            command = heappop(self._commands)
            if command[1] in CANCELLABLE:
                cancelled_ns = self._cancelled.get((command[5], command[4]))
                if cancelled_ns is not None and command[0] >= cancelled_ns:
                    continue
            found.append(command)
        return found

    @property
    def next_ns(self) -> int:
        """Time of the next event or command, the horizon when there is none."""
        times = [queue[0][0] for queue in (self._events, self._commands) if queue]
        return min([self.horizon_ns, *times])
