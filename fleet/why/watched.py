"""A machine that can be looked at: it keeps copies of its host at chosen moments.

It does exactly what ``Machine`` does; copies are made beside it, and what its engine is given is
written down. A copy is taken just before an attempt to offline, so that the same attempt can be
made again among the same later commands, after a change.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.enums import PoolSize
from engine.host import Host
from fleet.run.guests import Books, Guests
from fleet.run.machine import Machine
from fleet.run.messages import ATTEMPTS_PER_REQUEST, Do, Told
from fleet.run.notes import Notes
from fleet.run.world import Engine, World

Int64 = NDArray[np.int64]
NOW = -1
"""Key of a moment that is kept for no attempt."""
Call = tuple[Int64, int]
"""Commands of one call of an engine, and until when it then ran."""


class Recorder:
    """An engine that writes down its calls."""

    def __init__(self, engine: Engine) -> None:
        assert isinstance(engine, Host), "replays run on the fast engine"
        self.host = engine
        self.calls: list[Call] = []

    @property
    def offline_running(self) -> bool:
        """See ``Engine``."""
        return self.host.offline_running

    @property
    def offline_repeats_until_ns(self) -> int:
        """See ``Engine``."""
        return self.host.offline_repeats_until_ns

    @property
    def available_pages(self) -> int:
        """See ``Engine``."""
        return self.host.available_pages

    @property
    def kernel_available_pages(self) -> int:
        """See ``Engine``."""
        return self.host.kernel_available_pages

    @property
    def nr_errors(self) -> int:
        """See ``Engine``."""
        return self.host.nr_errors

    @property
    def nr_commands(self) -> int:
        """See ``Engine``."""
        return self.host.nr_commands

    def use_table(self, table: Int64) -> None:
        """See ``Engine``."""
        self.host.use_table(table)

    def settle(self) -> None:
        """See ``Engine``."""
        self.host.settle()

    def pool(self, size: int = PoolSize.HUGE) -> Int64:
        """See ``Engine``."""
        return self.host.pool(size)

    def probe(self, commands: Int64, until_ns: int) -> Int64:
        """See ``Engine``."""
        return self.host.probe(commands, until_ns)

    def execute(self, commands: Int64, until_ns: int) -> Int64:
        """See ``Engine``."""
        self.calls.append((commands, until_ns))
        return self.host.execute(commands, until_ns)


@dataclass(frozen=True)
class Moment:
    """A host as it was at a time, after what it was told until then.

    Attributes
    ----------
    time_ns : int
    engine : Host
        A copy; clone it before anything is done to it.
    books : Books
        Who owns what.
    later : tuple of Call
        What the engine was given from then on, until it went down or the replay ended.
    """

    time_ns: int
    engine: Host
    books: Books
    later: tuple[Call, ...] = ()

    def slot_of(self, workload: int) -> int:
        """Return the process and area number of a workload, -1 when it is not here."""
        guest = self.books.guests.get(workload)
        return guest.slot if guest is not None else -1


class WatchedMachine(Machine):
    """See ``Machine``; ``keep`` are the attempts before which to keep the host."""

    def __init__(self, host: int, world: World, notes: Notes, keep: Collection[int]) -> None:
        super().__init__(host, world, notes)
        self._keep = frozenset(keep)
        self._kept: dict[int, tuple[Moment, Recorder, int, int]] = {}
        self._lost: Books | None = None

    def moments(self) -> dict[int, Moment]:
        """Return the moments kept, by attempt."""
        found = {}
        for attempt, (moment, tape, call, skip) in self._kept.items():
            first, *rest = tape.calls[call:] or [(np.zeros((0, 8), np.int64), moment.time_ns)]
            found[attempt] = replace(moment, later=((first[0][skip:], first[1]), *rest))
        return found

    def moment(self, now_ns: int) -> Moment | None:
        """Return the host as it is now, with the commands that wait carried out; None if down."""
        host, guests = self.host_now, self._guests
        if host is None or guests is None:
            return None
        copy = host.clone()
        if guests.batch:
            copy.execute(np.array(guests.batch, np.int64), now_ns)
        return Moment(now_ns, copy, guests.books())

    @property
    def host_now(self) -> Host | None:
        """The engine itself, to be looked at only; None while the host is down."""
        return self._engine.host if isinstance(self._engine, Recorder) else None

    def area_of(self, workload: int) -> Int64:
        """Return where the pages of a workload are now (``Host.area``), no rows without it."""
        engine, guests = self._engine, self._guests
        guest = guests.guest(workload) if guests is not None else None
        if guest is None or not isinstance(engine, Recorder):
            return np.zeros((0, 4), np.int64)
        return engine.host.area(guest.slot)

    def mark(self, now_ns: int, key: int = NOW) -> None:
        """Keep the host as it is; ``moments`` names it by the key.

        A host that has not been told anything since it came up boots now, as it would then.
        """
        if self._engine is None and self._up_ns <= now_ns:
            self._start(now_ns)
        moment = self.moment(now_ns)
        if moment is not None:
            tape, guests = self._engine, self._guests
            assert isinstance(tape, Recorder)
            assert guests is not None
            self._kept[key] = moment, tape, len(tape.calls), len(guests.batch)

    def books(self) -> Books | None:
        """Return who owns what now, or owned it when the host last went down; None before."""
        return self._guests.books() if self._guests is not None else self._lost

    def _look(self, attempt: int, now_ns: int) -> None:
        """Keep the host as it is, if it is to be kept before this attempt."""
        if attempt in self._keep:
            self.mark(now_ns, attempt)

    def _start(self, now_ns: int) -> None:
        super()._start(now_ns)
        if self._engine is not None:
            self._engine = Recorder(self._engine)

    def _go_down(
        self, now_ns: int, told: Told, request: int, endless: int = 0, away_ns: int | None = None
    ) -> None:
        self._lost = self.books()
        super()._go_down(now_ns, told, request, endless, away_ns)

    def _translate(self, command: Sequence[int], guests: Guests) -> None:
        if command[1] == Do.OFFLINE:
            self._look(command[3], command[0])
        super()._translate(command, guests)

    def _probe(self, now_ns: int, request: int) -> None:
        self._look(request * ATTEMPTS_PER_REQUEST, now_ns)
        super()._probe(now_ns, request)
