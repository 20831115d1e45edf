"""One simulated machine under a clock: commands in, errno and rows out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.costs import CostModel
from engine.enums import Cost, Counter, Errno, Incident, OfflineReason, Op, PoolSize, Row
from engine.rows import COLUMNS, FIRST
from engine.shape import HostShape

Ints = NDArray[np.int64]
SLACK = 10
"""How much slower a replay may be than the recorded run, where calls are counted, not time."""
RESULT = int(Row.RESULT)


class Engine(Protocol):
    """The surface both engines have (see the engine contract in docs/architecture.md)."""

    @property
    def counters(self) -> Ints: ...
    @property
    def now_ns(self) -> int: ...
    @property
    def offline_running(self) -> bool: ...
    def execute(self, commands: Ints, until_ns: int) -> Ints: ...
    def zones(self) -> Ints: ...
    def blocks(self) -> Ints: ...
    def area(self, area: int, /) -> Ints: ...
    def pool(self, size: int = PoolSize.HUGE) -> Ints: ...
    def free_list(self, zone: int, mt: int, order: int, /) -> Ints: ...


EngineFactory = Callable[[HostShape, Ints, Ints], Engine]


class ProcessKilledError(Exception):
    """The OOM killer took a process of the replay (attribute ``proc``)."""

    def __init__(self, proc: int) -> None:
        super().__init__(f"process {proc} was OOM-killed")
        self.proc = proc


class PinStuckError(Exception):
    """A pin of the watched process will never return."""


class HostPanickedError(Exception):
    """The host ran out of memory with nobody left to kill."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an offline attempt ended."""

    errno: Errno
    reason: OfflineReason
    end_ns: int


@dataclass(slots=True)
class Machine:
    """A host, its clock and the commands that other threads will issue later.

    Attributes
    ----------
    engine : Engine
        The host.
    clock_ns : int
        Time of the next command.
    later : list of (time, command)
        Commands of background threads, issued when the clock passes them.
    oom_kills : int
        OOM kills so far.
    watched : int or None
        Process whose death ends the replay.
    """

    engine: Engine
    shape: HostShape
    clock_ns: int = 0
    later: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    oom_kills: int = 0
    watched: int | None = None
    pass_ns: int = 1_000_000
    """Shortest pass of an offline."""
    _attempts: dict[int, Attempt] = field(default_factory=dict)
    _next_attempt: int = 0

    def do(self, op: Op, *args: int) -> Errno:
        """Issue one command now and wait for it; returns its errno."""
        return self.do_all(op, [args])

    def do_all(self, op: Op, rows: Sequence[Sequence[int]] | Ints) -> Errno:
        """Issue one command per row of arguments; returns the first errno that is not OK.

        Raises
        ------
        ProcessKilledError, PinStuckError, HostPanickedError
            The watched process was killed or hangs in a pin, or the host panicked, meanwhile.
        """
        arguments = np.asarray(rows, np.int64)
        if not len(arguments):
            return Errno.OK
        table = np.empty((len(arguments), 1 + arguments.shape[1]), np.int64)
        table[:, 0], table[:, 1:] = op, arguments
        return self.do_each(table)

    def do_each(self, table: Ints) -> Errno:
        """Issue the commands ``int64[n, 1 + arguments]`` (op first); as ``do_all`` otherwise."""
        commands = np.zeros((len(table), 8), np.int64)
        commands[:, 0] = self.clock_ns
        commands[:, 1 : 1 + table.shape[1]] = table
        result = self._execute(commands, self.clock_ns)
        mine = result[result[:, 1] == RESULT]
        errno, latency = self._column(mine, Row.RESULT, "errno", "latency_ns")
        self.clock_ns += int(latency.sum())
        bad = errno[errno != 0]
        return Errno(int(bad[0])) if len(bad) else Errno.OK

    def at(self, time_ns: int, op: Op, *args: int) -> None:
        """Issue a command from another thread at ``time_ns``."""
        command = (time_ns, int(op), *args)
        self.later.append((time_ns, command + (0,) * (8 - len(command))))
        self.later.sort(key=lambda item: item[0])

    def wait(self, until_ns: int) -> None:
        """Let time pass."""
        due = [command for t, command in self.later if t <= until_ns]
        self.later = [item for item in self.later if item[0] > until_ns]
        self._execute(np.array(due, np.int64).reshape(-1, 8), until_ns)
        self.clock_ns = max(self.clock_ns, until_ns)

    def offline(self, block: int, bound_ns: int, calls: int | None = None) -> Attempt:
        """Offline one memory block; the writer gets a signal after ``bound_ns``.

        With ``calls``, the signal comes after so many calls of migrate_pages instead, if they are
        made within ten times the bound.
        """
        attempt, start = self._next_attempt, self.clock_ns
        self._next_attempt += 1
        if calls is not None:
            bound_ns *= SLACK
            calls += int(self.engine.counters[Counter.MIGRATE_PAGES_CALLS])
        command = np.array([[start, Op.OFFLINE, attempt, block, 1, bound_ns, 0, 0]], np.int64)
        rows = self._execute(command, start)
        result = rows[rows[:, 1] == Row.RESULT]
        refused = Errno(int(self._column(result, Row.RESULT, "errno")[0][-1]))
        if refused != Errno.OK:
            return Attempt(refused, OfflineReason.BAD_STATE, start)
        step = 1_000_000
        while attempt not in self._attempts:
            if calls is not None:
                left = calls - int(self.engine.counters[Counter.MIGRATE_PAGES_CALLS])
                step = left * self.pass_ns
                if left <= 0:
                    self.do(Op.SIGNAL)
                    calls, step = None, self.pass_ns
            if self.clock_ns > start + 2 * bound_ns + 1_000_000_000:
                raise RuntimeError(f"offline of block {block} outlived its bound")
            self.wait(self.clock_ns + step)
            step *= 2
        return self._attempts[attempt]

    def _execute(self, commands: Ints, until_ns: int) -> Ints:
        """Run the engine and take note of deaths and ended attempts."""
        rows = self.engine.execute(commands, max(until_ns, int(self.engine.now_ns)))
        if (rows[:, 1] == RESULT).all():
            return rows
        ended = rows[rows[:, 1] == Row.ATTEMPT]
        names = ("attempt", "errno", "reason", "end_ns")
        for attempt, errno, reason, end in zip(
            *self._column(ended, Row.ATTEMPT, *names), strict=True
        ):
            if reason != OfflineReason.RUNNING:
                self._attempts[int(attempt)] = Attempt(
                    Errno(int(errno)), OfflineReason(int(reason)), int(end)
                )
        incidents = rows[rows[:, 1] == Row.INCIDENT]
        kinds, procs = self._column(incidents, Row.INCIDENT, "incident", "proc")
        self.oom_kills += int((kinds == Incident.OOM_KILL).sum())
        if (kinds == Incident.PANIC).any():
            raise HostPanickedError
        if self.watched is not None and (procs[kinds == Incident.OOM_KILL] == self.watched).any():
            raise ProcessKilledError(self.watched)
        if self.watched is not None and (procs[kinds == Incident.PIN_STUCK] == self.watched).any():
            raise PinStuckError
        return rows

    @staticmethod
    def _column(rows: Ints, kind: Row, *names: str) -> list[Ints]:
        """Columns of rows of one kind, by name."""
        return [rows[:, FIRST + COLUMNS[kind].index(name)] for name in names]

    def counters(self) -> Mapping[Counter, int]:
        """A copy of the host's counters."""
        return {c: int(self.engine.counters[c]) for c in Counter}


def build(
    factory: EngineFactory, shape: HostShape, table: Ints, costs: CostModel | None = None
) -> Machine:
    """Make a machine of a shape under a decision table."""
    vector = (costs or CostModel()).vector()
    shortest = int(vector[Cost.PASS_FIXED])
    return Machine(factory(shape, table, vector), shape, pass_ns=shortest)
