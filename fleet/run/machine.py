"""One host of the fleet: an engine while it is up, nothing while it is down.

``advance`` is cut where something other than the engine acts: at a probe (a clone is made), at a
reboot, when an armed watchdog runs out, after a panic, and at background steps while an offline may
be running. All cuts are at times that commands and the
host's own state decide, so it does not matter into which windows a span is divided.
"""

import sys
from array import array
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from engine.enums import Errno, OfflineReason, Op, PoolSize, ZoneKind
from fleet.hosts.ageing import Age, first_slot, history
from fleet.hosts.background import Background
from fleet.hosts.populate import populate
from fleet.run.guests import NOBODY, EngineCommand, Guests
from fleet.run.messages import ANY_BOOT, ATTEMPTS_PER_REQUEST, BOOT, TIME, Do, Told
from fleet.run.notes import Notes
from fleet.run.reading import Reading
from fleet.run.world import Engine, World, has_panicked

NEVER = sys.maxsize
Commands = Sequence[Sequence[int]]
"""Rows of ``messages.Orders``."""

_PLACE, _END, _EVICT = int(Do.PLACE), int(Do.END), int(Do.EVICT)
_PROBE, _REBOOT = int(Do.PROBE), int(Do.REBOOT)
_LOOKS = (_PROBE, int(Do.OFFLINE), int(Do.SAMPLE))
_NOTHING = np.zeros((0, 8), np.int64)


class Machine:
    """A host with its number, its engine and what runs on it.

    Attributes
    ----------
    reading : Reading
        Collects what the engine's rows say: log rows and reports.
    """

    def __init__(self, host: int, world: World, notes: Notes) -> None:
        self.host, self._world = host, world
        self.reading = Reading(host, world.plan, notes)
        self._boot, self._up_ns, self._kernel_pages = 0, 0, 0
        self._engine: Engine | None = None
        self._aged: tuple[Engine, bool] | None = None
        self._guests: Guests | None = None
        self._background: Background | None = None
        self._paused = False
        self._watch_ns = NEVER
        self._attempt = NOBODY

    @property
    def running(self) -> bool:
        """Whether an offline is running."""
        return self._engine is not None and self._engine.offline_running

    @property
    def repeats_until_ns(self) -> int:
        """Until when a running offline only repeats itself, if no command comes; 0: it may not."""
        if self._engine is None:
            return 0
        due_ns = NEVER if self._background is None else self._background.due_ns
        return min(self._engine.offline_repeats_until_ns, self._watch_ns, due_ns)

    @property
    def up(self) -> bool:
        """Whether the host has booted; if not, what it is told next may boot it, or fail to."""
        return self._engine is not None

    @property
    def spare_pages(self) -> int:
        """Memory that workloads without a pin could have as things are, less an eighth of all."""
        if self._engine is None:
            return 0
        shape = self._world.shapes[self.host]
        return self._engine.available_pages - shape.nr_blocks * shape.block_pages // 8

    @property
    def spare_kernel_pages(self) -> int:
        """Memory of kernel zones that pins could have as things are, less an eighth of it."""
        if self._engine is None:
            return 0
        return self._engine.kernel_available_pages - self._kernel_pages // 8

    def is_meant(self, command: Sequence[int]) -> bool:
        """Whether a command is for this boot of the host, or for any."""
        return command[BOOT] in (ANY_BOOT, self._boot)

    def prepare(self) -> None:
        """Age already, if the host has an age; it boots when it is told something."""
        if self._world.age is not None and self._boot == 0 and self._engine is None:
            self._aged = self._world.aged_engine(self.host, self._world.age)

    def advance(self, commands: Commands, until_ns: int) -> None:
        """Carry out commands (ordered, all before ``until_ns``) and run to ``until_ns``."""
        index = 0
        while True:
            if self._engine is None:
                while index < len(commands) and commands[index][0] < self._up_ns:
                    self._absent(commands[index])
                    index += 1
                if index == len(commands):
                    return
                self._start(commands[index][TIME])
                if self._engine is None:
                    continue
            index = self._run(commands, index, until_ns)
            if self._engine is not None and index == len(commands) and not self._paused:
                return

    def finish(self, horizon_ns: int) -> None:
        """Report an offline that has not returned by the end of the run."""
        if self.running:
            self._report_running(horizon_ns)
        self.reading.drop_attempt(horizon_ns)

    # -- up -------------------------------------------------------------------------------------

    def _start(self, now_ns: int) -> None:
        """Boot: build the engine and fill it with the host's own memory.

        A kernel whose own memory does not fit panics, and would at every boot: the host stays away.
        It boots when it is first told something, which nobody can tell from booting at once, and so
        it panics then: at ``now_ns``.
        """
        world, up_ns = self._world, self._up_ns
        shape = world.shapes[self.host]
        if world.age is None:
            engine = world.new_engine(self.host)
            own, slots = populate(world.plan, self.host, shape, up_ns)
            panicked = has_panicked(engine.execute(own, up_ns))
        else:
            engine, panicked = self._boot_aged(world.age, up_ns)
            slots = first_slot(shape)
        if panicked:
            self.reading.incident(now_ns, "panic", "panic_on_oom")
            self._go_down(now_ns, Told.PANIC, NOBODY, away_ns=world.plan.horizon_ns - now_ns)
            return
        self._engine = engine
        kernel = sum(0 <= zone < ZoneKind.MOVABLE for zone in shape.block_zone)
        self._kernel_pages = kernel * shape.block_pages
        reserved = engine.pool(PoolSize.GIGANTIC)[:, 0].tolist()
        self._guests = Guests(world, shape, slots, reserved)
        self._guests.causes = array("q", [NOBODY]) * engine.nr_commands
        self.reading.booted(self._guests)

    def _boot_aged(self, age: Age, now_ns: int) -> tuple[Engine, bool]:
        """Return the host as its history left it, after a later boot without one; did it panic?"""
        world, own, shape = self._world, self._world.own(self.host), self._world.shapes[self.host]
        self._background = Background(own, shape, age, now_ns)
        if self._boot == 0:
            aged, self._aged = self._aged, None
            return aged or world.aged_engine(self.host, age)
        engine = world.new_engine(self.host)
        rows = engine.execute(history(own, shape, "none", now_ns), now_ns)
        return engine, has_panicked(rows)

    def _catch_up(self, now_ns: int) -> None:
        """Have the background steps made that are due by ``now_ns``."""
        if self._background is not None and self._background.due_ns <= now_ns:
            assert self._guests is not None
            for op, *args in self._background.take(now_ns):
                self._guests.send(now_ns, Op(op), *args)

    def _limit_ns(self, until_ns: int) -> int:
        """Until when to run in one go: a watchdog, or the background of a host asked for memory."""
        limit_ns = min(until_ns, self._watch_ns)
        if self._background is None or self._attempt == NOBODY:
            return limit_ns
        return min(limit_ns, self._background.due_ns)

    def _run(self, commands: Commands, index: int, until_ns: int) -> int:
        """Carry out commands up to the next cut; return the index of the next command."""
        engine, guests = self._engine, self._guests
        assert engine is not None
        assert guests is not None
        starts: list[int] = []
        sent = len(guests.causes)
        first = sent - len(guests.batch)
        limit_ns, boots = self._limit_ns(until_ns), (ANY_BOOT, self._boot)
        at, end, cut, self._paused = index, len(commands), False, False
        while at < end and commands[at][TIME] < limit_ns:
            time_ns, do, _, ident, a, _, _, boot = command = commands[at]
            if time_ns or do in _LOOKS:  # residents come before the first background step
                self._catch_up(time_ns)
            sent = len(guests.causes)
            if do in (_PROBE, _REBOOT):
                cut, limit_ns = True, time_ns
                break
            starts.append(sent - first)
            if do == _PLACE and boot in boots:
                guests.place(time_ns, ident, a)
            elif do in (_END, _EVICT):
                guests.leave(time_ns, ident, a)
            else:
                self._translate(command, guests)
            sent = len(guests.causes)
            limit_ns = min(limit_ns, self._limit_ns(until_ns))
            at += 1
        rows = engine.execute(_array(guests.batch), limit_ns)
        guests.batch = []
        panic = self.reading.rows(rows, sent - first, engine.nr_errors)
        guests.settle()
        if self.reading.attempt_over:
            self._watch_ns, self._attempt = NEVER, NOBODY
        if panic is not None:
            return self._after_panic(commands, index, starts, panic[0], panic[1] - first)
        if cut:
            self._cut(commands[at])
            self._paused = True  # the rest of the window is still to be run
            return at + 1
        if limit_ns == self._watch_ns:
            self._bite(limit_ns)
        elif limit_ns < until_ns:
            self._catch_up(limit_ns)
            self._paused = True
        return at

    def _after_panic(
        self, commands: Commands, index: int, starts: list[int], time_ns: int, cause: int
    ) -> int:
        """Go down at ``time_ns``; return the index of the first command the host did not see."""
        seen = index
        for start in starts:
            when_ns = commands[seen][0]
            if when_ns > time_ns or (when_ns == time_ns and start > cause):
                break
            seen += 1
        self._go_down(time_ns, Told.PANIC, NOBODY)
        return seen

    def _translate(self, command: Sequence[int], guests: Guests) -> None:
        """Turn a command that is not about a workload's memory into the engine's."""
        time_ns, do, _, ident, a, b, c, boot = command
        if boot not in (ANY_BOOT, self._boot):
            self._absent(command)
        elif do == Do.HOLD:
            guests.hold(time_ns, ident, b, a)
        elif do == Do.UNHOLD:
            guests.unhold(time_ns, ident, b, a)
        elif do == Do.OFFLINE:
            self._attempt = ident
            self._watch_ns = time_ns + c if c else NEVER
            self.reading.attempt_begins(ident, a, b, time_ns)
            guests.send(time_ns, Op.OFFLINE, ident, a, b, 0, cause=ident)
        elif do == Do.SIGNAL:
            if self._attempt // ATTEMPTS_PER_REQUEST == ident:
                guests.send(time_ns, Op.STATUS, self._attempt, cause=self._attempt)
                guests.send(time_ns, Op.SIGNAL)
        elif do == Do.SAMPLE:
            guests.send(time_ns, Op.SAMPLE, ident)
        else:
            raise ValueError(f"unknown command {do}")

    # -- cuts -----------------------------------------------------------------------------------

    def _cut(self, command: Sequence[int]) -> None:
        time_ns, do, _, request, _, _, _, boot = command
        if do == Do.PROBE:
            self._probe(time_ns, request)
        elif boot == self._boot:
            self._go_down(time_ns, Told.REBOOTED, request)

    def _bite(self, now_ns: int) -> None:
        """The watchdog runs out: reset the host if the removal still runs."""
        attempt, self._watch_ns = self._attempt, NEVER
        if self.running:
            self._report_running(now_ns)
            endless = self.reading.drop_attempt(now_ns)
            self.reading.incident(now_ns, "reset", "watchdog", attempt // ATTEMPTS_PER_REQUEST)
            self._go_down(now_ns, Told.RESET, attempt // ATTEMPTS_PER_REQUEST, int(endless))

    def _report_running(self, now_ns: int) -> None:
        """Have the engine say how far the running offline is."""
        assert self._engine is not None
        assert self._guests is not None
        self._guests.send(now_ns, Op.STATUS, self._attempt, cause=self._attempt)
        rows = self._engine.execute(_array(self._guests.batch), now_ns)
        self._guests.batch = []
        self.reading.rows(rows, 1, self._engine.nr_errors)
        self._guests.settle()

    def _probe(self, now_ns: int, request: int) -> None:
        """Offline the probe's block on a copy of this host that is forgotten.

        The copy lives on its own: nothing arrives or leaves there while the probe runs.
        """
        assert self._engine is not None
        assert self._guests is not None
        plan = self._world.plan
        attempt = request * ATTEMPTS_PER_REQUEST
        block = int(plan.requests.first_block[request])
        count = int(plan.requests.nr_blocks[request])
        end_ns = min(int(plan.requests.deadline_ns[request]), plan.horizon_ns)
        probe = [
            (now_ns, int(Op.OFFLINE), attempt, block, count, 0, 0, 0),
            (end_ns, int(Op.STATUS), attempt, 0, 0, 0, 0, 0),
        ]
        rows = self._engine.probe(_array(probe), end_ns)
        self.reading.probe(rows, request, attempt)

    # -- down -----------------------------------------------------------------------------------

    def _go_down(
        self, now_ns: int, told: Told, request: int, endless: int = 0, away_ns: int | None = None
    ) -> None:
        """Lose everything and come back after a boot."""
        if away_ns is None:
            away_ns = self._world.boot_time_ns(self.host, self._boot)
        self.reading.drop_attempt(now_ns)
        self.reading.report(now_ns, told, request, away_ns, endless)
        self._boot += 1
        self._up_ns = now_ns + away_ns
        self._engine = self._guests = self._background = None
        self._watch_ns, self._attempt = NEVER, NOBODY

    def _absent(self, command: Sequence[int]) -> None:
        """A command for a host that is down, or that has been down since it was sent."""
        time_ns, do, _, ident, a, _, _, _ = command
        if do == Do.PLACE:
            self.reading.report(time_ns, Told.NOT_PLACED, ident, a)
        elif do == Do.OFFLINE:
            self.reading.report(time_ns, Told.NOT_BEGUN, ident)
        elif do == Do.PROBE:
            down = int(OfflineReason.BAD_STATE), 0, -1, 1
            self.reading.report(time_ns, Told.PROBED, ident, int(Errno.EINVAL), *down)


def _array(commands: list[EngineCommand]) -> NDArray[np.int64]:
    """Return commands as the engine takes them."""
    if not commands:
        return _NOTHING
    flat = np.fromiter(chain.from_iterable(commands), np.int64, 8 * len(commands))
    return flat.reshape(-1, 8)
