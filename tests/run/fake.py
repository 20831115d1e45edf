"""A scripted engine: each offline returns when and how the script says. No memory at all."""

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.enums import Errno, Incident, OfflineReason, Op, Row
from engine.rows import NR_COLUMNS
from fleet.run.world import World

NEVER = 10**18
ASKS_NOTHING = (Op.EXIT, Op.UNPIN, Op.SAMPLE)
"""Commands that take no memory."""


@dataclass
class Script:
    """What the engines of a world do.

    Attributes
    ----------
    offlines : list of (duration_ns, errno, reason)
        Of the n-th OFFLINE a host sees, the last one again and again.
    pin_errno : int
        Of every PIN.
    killed_at : dict
        Time to process: the OOM killer takes it at the first command from then on
        that takes memory.
    panic_ns : int
        Time of the first command from then on that takes memory, which panics the host.
    """

    offlines: list[tuple[int, int, int]] = field(default_factory=lambda: [(10**6, 0, 0)])
    pin_errno: int = 0
    killed_at: dict[int, int] = field(default_factory=dict)
    panic_ns: int = NEVER
    seen: list[tuple[int, int, int]] = field(default_factory=list)


class FakeEngine:
    """Surface of ``engine.host.Host`` as far as the fleet uses it."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.commands, self.offlines, self.now_ns = 0, 0, 0
        self.running: dict[str, int] | None = None
        self.killed: set[int] = set()
        self.panicked = False

    @property
    def offline_running(self) -> bool:
        return self.running is not None

    @property
    def offline_repeats_until_ns(self) -> int:
        return 0

    @property
    def nr_commands(self) -> int:
        return self.commands

    @property
    def nr_errors(self) -> int:
        return sum(row[1] == Row.RESULT and row[5] != Errno.OK for row in self.rows)

    def pool(self, size: int = 0) -> Any:  # noqa: ARG002
        return np.zeros((1, 4), np.int64)

    def probe(self, commands: Any, until_ns: int) -> Any:
        twin = copy.copy(self)
        twin.running = copy.copy(self.running)
        return twin.execute(commands, until_ns)

    def execute(self, commands: Any, until_ns: int) -> Any:
        self.rows: list[list[int]] = []
        for time_ns, op, *args in commands.tolist():
            if time_ns < self.now_ns:  # as the real one does
                raise ValueError(f"command at {time_ns} ns, host is at {self.now_ns} ns")
            self._advance(time_ns)
            self._command(time_ns, op, args)
            self.commands += 1
        self._advance(until_ns)
        self.now_ns = until_ns
        out = np.zeros((len(self.rows), NR_COLUMNS), np.int64)
        for row, values in zip(out, self.rows, strict=True):
            row[: len(values)] = values
        return out

    def _emit(self, time_ns: int, kind: int, cause: int, *values: int) -> None:
        self.rows.append([time_ns, int(kind), cause, *map(int, values)])

    def _advance(self, until_ns: int) -> None:
        if self.running is not None and self.running["end_ns"] < until_ns:
            run, self.running = self.running, None
            self._attempt(run["end_ns"], run, run["errno"], run["reason"])

    def _attempt(self, now_ns: int, run: dict[str, int], errno: int, reason: int) -> None:
        block = run["first"] if errno or reason == OfflineReason.RUNNING else -1
        self._emit(
            now_ns, Row.ATTEMPT, run["cause"], run["attempt"], run["first"], run["count"], errno,
            reason, run["start_ns"], now_ns, 3, 0, 3, block, run["end_ns"] >= NEVER, 0,
        )  # fmt: skip

    def _command(self, time_ns: int, op: int, args: list[int]) -> None:
        if not self.panicked:
            self.script.seen.append((time_ns, op, args[0]))
        errno = int(Errno.EINVAL) if self.panicked else self._apply(time_ns, op, args)
        self._emit(time_ns, Row.RESULT, self.commands, op, args[0], errno)

    def _apply(self, time_ns: int, op: int, args: list[int]) -> int:
        script = self.script
        if op in ASKS_NOTHING:
            return Errno.OK
        if time_ns >= script.panic_ns:
            script.panic_ns, self.panicked, self.running = NEVER, True, None
            self._emit(time_ns, Row.INCIDENT, self.commands, Incident.PANIC, -1, 0, 0)
            return Errno.ENOMEM
        for at_ns, proc in sorted(script.killed_at.items()):
            if time_ns >= at_ns:
                del script.killed_at[at_ns]
                self._emit(time_ns, Row.INCIDENT, self.commands, Incident.OOM_KILL, proc, proc, 8)
        if op == Op.PIN and script.pin_errno:
            incident = Incident.PIN_FAILED, args[1], args[0], 0
            self._emit(time_ns, Row.INCIDENT, self.commands, *incident)
            return script.pin_errno
        if op == Op.OFFLINE:
            return self._offline(time_ns, args)
        if op == Op.SIGNAL and self.running is not None:
            self.running |= {
                "end_ns": time_ns + 1000, "errno": Errno.EINTR, "reason": OfflineReason.SIGNAL,
            }  # fmt: skip
        if op == Op.STATUS and self.running is not None:
            self._attempt(time_ns, self.running, 0, OfflineReason.RUNNING)
        return Errno.OK

    def _offline(self, time_ns: int, args: list[int]) -> int:
        if self.running is not None:
            return Errno.EAGAIN
        script = self.script.offlines
        lasts_ns, errno, reason = script[min(self.offlines, len(script) - 1)]
        self.offlines += 1
        self.running = {
            "attempt": args[0], "first": args[1], "count": args[2], "start_ns": time_ns,
            "end_ns": time_ns + lasts_ns, "errno": errno, "reason": reason, "cause": self.commands,
        }  # fmt: skip
        return Errno.OK


class FakeWorld(World):
    """A world of scripted engines; one script per host, shared by all its boots."""

    def __init__(self, world: World, *scripts: Script) -> None:
        for name in ("plan", "shapes", "table", "costs", "latency_ns", "boot_ns", "engine"):
            object.__setattr__(self, name, getattr(world, name))
        object.__setattr__(self, "scripts", scripts)

    def new_engine(self, host: int) -> Any:
        scripts = self.__dict__["scripts"]
        return FakeEngine(scripts[min(host, len(scripts) - 1)])
