"""One attempt to offline made again on a copy of its host, after a change.

A probe lives alone on its clone, so nothing else happens here either. A removal is made again
among everything that its host was told later. Without a change the attempt must end as it did.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engine.enums import Errno, OfflineReason, Op, Row
from engine.host import Host
from engine.rows import FIRST
from fleet.why.watched import Call, Moment

Int64 = NDArray[np.int64]
STOP_NS = 10**6
"""Steps in which an interrupted removal is waited for."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Commands (op and arguments) given at once, under another decision table if it has one."""

    commands: tuple[tuple[int, ...], ...]
    table: Int64 | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended.

    Attributes
    ----------
    errno, reason : int
        ``engine.enums``; reason ``RUNNING`` when it had not by the deadline.
    end_ns : int
        When; the deadline when it had not.
    passes, migrated_pages, failed_pages : int
    failed_changes : tuple of (int, int)
        Op and errno of the commands of the change that failed.
    """

    errno: int
    reason: int
    end_ns: int
    passes: int
    migrated_pages: int
    failed_pages: int
    failed_changes: tuple[tuple[int, int], ...] = ()

    @property
    def returned(self) -> bool:
        """Whether the memory came back in time."""
        return not self.errno and self.reason == OfflineReason.NONE


@dataclass(frozen=True)
class Trial:
    """An attempt that can be made again.

    Attributes
    ----------
    moment : Moment
        The host just before it.
    attempt, first_block, nr_blocks, deadline_ns : int
    probe : bool
    table : int64 array
        Decision table of the arm.
    """

    moment: Moment
    attempt: int
    first_block: int
    nr_blocks: int
    deadline_ns: int
    probe: bool
    table: Int64

    @cached_property
    def unchanged(self) -> Ended:
        """How the attempt ends without a change: as it did."""
        return self.run()

    def host(
        self, stages: Sequence[Stage] = (), *, spare: bool = False
    ) -> tuple[Host, list[tuple[int, int]]]:
        """Return a copy of the host after a change, and what of the change failed (op, errno).

        A ``spare`` copy is lost when the process makes the next (``Host.clone``).
        """
        host, failed = self.moment.engine.clone(spare=spare), []
        for stage in stages:
            if stage.table is not None:
                host.use_table(stage.table)
            rows = host.execute(_at(self.moment.time_ns, stage.commands), self.moment.time_ns)
            host.use_table(self.table)
            results = rows[rows[:, 1] == Row.RESULT][:, FIRST : FIRST + 3]
            failed += [(int(op), int(errno)) for op, _, errno in results if errno]
        return host, failed

    def run(
        self,
        stages: Sequence[Stage] = (),
        first_block: int | None = None,
        table: Int64 | None = None,
    ) -> Ended:
        """Make a change, then the attempt.

        Parameters
        ----------
        stages : sequence of Stage
            The change.
        first_block : int, optional
            Another block to ask for.
        table : int64 array, optional
            Another decision table for what follows the change.
        """
        host, failed = self.host(stages, spare=True)
        if table is not None:
            host.use_table(table)
        for commands, until_ns in self.calls(first_block):
            rows = host.execute(commands, until_ns)
            found = rows[(rows[:, 1] == Row.ATTEMPT) & (rows[:, FIRST] == self.attempt)]
            refused = self._refused(rows)
            if refused is not None:
                return Ended(*refused, 0, 0, 0, tuple(failed))
            for row in found.tolist():
                _, _, _, errno, reason, _, end_ns, passes, moved, left = row[FIRST : FIRST + 10]
                late = reason == OfflineReason.RUNNING or end_ns > self.deadline_ns
                if late:
                    errno, reason, end_ns = 0, int(OfflineReason.RUNNING), self.deadline_ns
                return Ended(errno, reason, end_ns, passes, moved, left, tuple(failed))
        running = int(OfflineReason.RUNNING)
        return Ended(0, running, self.deadline_ns, 0, 0, 0, tuple(failed))

    def after_the_other(self) -> "Trial":
        """Return the attempt as soon as the removal that is running has been interrupted."""
        host, now_ns = self.moment.engine.clone(), self.moment.time_ns
        host.execute(_at(now_ns, [(int(Op.SIGNAL),)]), now_ns)
        while host.offline_running and now_ns < self.deadline_ns:
            now_ns = min(now_ns + STOP_NS, self.deadline_ns)
            host.execute(_at(now_ns, []), now_ns)
        return replace(self, moment=replace(self.moment, engine=host, time_ns=now_ns))

    def _refused(self, rows: Int64) -> tuple[int, int, int] | None:
        """Return errno, reason and time when the OFFLINE itself was refused."""
        ours = rows[(rows[:, 1] == Row.RESULT) & (rows[:, FIRST] == Op.OFFLINE)]
        if not len(ours) or not ours[0, FIRST + 2]:
            return None
        return int(ours[0, FIRST + 2]), int(OfflineReason.BAD_STATE), int(ours[0, 0])

    def calls(self, first_block: int | None = None) -> list[Call]:
        """Return the attempt and what the host was told after it, up to the deadline."""
        block = self.first_block if first_block is None else first_block
        offline = (int(Op.OFFLINE), self.attempt, block, self.nr_blocks)
        status = _at(self.deadline_ns, [(int(Op.STATUS), self.attempt)])
        if self.probe:
            return [(_at(self.moment.time_ns, [offline]), self.deadline_ns),
                    (status, self.deadline_ns)]  # fmt: skip
        calls: list[Call] = []
        for number, (commands, until_ns) in enumerate(self.moment.later):
            mine = commands.copy()
            if not number:
                mine[0] = _at(self.moment.time_ns, [offline])[0]
            early = mine[:, 0] <= self.deadline_ns
            calls.append((mine[early], min(until_ns, self.deadline_ns)))
            if until_ns > self.deadline_ns or not early.all():
                break
        return [*calls, (status, self.deadline_ns)]


def _at(now_ns: int, commands: Sequence[tuple[int, ...]]) -> Int64:
    """Return commands as the engine takes them."""
    rows = [(now_ns, *command, *[0] * (7 - len(command))) for command in commands]
    return np.array(rows, np.int64).reshape(len(rows), 8)


def errno_name(errno: int) -> str:
    """Return the name of an errno, ``ok`` for none."""
    return Errno(errno).name if errno else "ok"
