"""One host of one arm and replication, carried out again from the log.

A host is a pure function of what it was told, so its rows come out again to the last integer; a
replay that differs from the log is an error, never an answer. What happens between the rows is
then there to be looked at: the engine itself, who owns which pages, every command it was given.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from engine.host import compile_ahead
from fleet.errors import InputError
from fleet.log.tables import TABLES
from fleet.log.writer import to_table
from fleet.run.columns import Batch, named
from fleet.run.guests import Books
from fleet.run.messages import TIME, Do
from fleet.run.notes import Notes
from fleet.run.world import World
from fleet.why.orders import Order, orders_of, read_log
from fleet.why.source import Source
from fleet.why.watched import NOW, Int64, Moment, WatchedMachine

HOST_TABLES = (
    "attempts", "blockers", "pins", "migrations", "slowdowns", "incidents", "host_samples",
)  # fmt: skip
"""Tables whose rows the hosts make; the others are the coordinator's."""

_STAMP = {"attempts": "end_ns", "blockers": None}
"""Column by which a row must be there; ``time_ns`` unless named."""


@dataclass(frozen=True)
class Replayed:
    """A host at a time.

    Attributes
    ----------
    last : Moment or None
        At that time; None while the host is down.
    moments : dict
        Attempt to the host just before it began, where that was asked for.
    rows : dict of pyarrow.Table
        What the host logged before the time, by table.
    """

    last: Moment | None
    moments: dict[int, Moment]
    rows: dict[str, pa.Table]


class Birth(NamedTuple):
    """The memory of a workload at a time (``Host.area``), and whether a pin has just been taken."""

    time_ns: int
    area: Int64
    by_pin: bool


class Replay:
    """Replays one host of a unit, as often and to whatever time is asked.

    Parameters
    ----------
    source : Source
    arm, rep, host
        Which host of which unit.
    """

    def __init__(self, source: Source, arm: str, rep: int, host: int) -> None:
        self.source, self.arm, self.rep, self.host = source, arm, rep, host
        self.plan = source.plan(rep)
        self.world: World = source.world(arm, rep)
        logged = read_log(source, arm, rep, host)
        self.down_ns = logged.down_ns
        self.orders: list[Order] = orders_of(source, rep, host, logged)

    def to(self, until_ns: int, keep: Collection[int] = ()) -> Replayed:
        """Replay to a time and check every row made before it.

        Parameters
        ----------
        until_ns : int
            Commands before it are carried out; at most the horizon, at which the run ends.
        keep : collection of int
            Attempts before which to keep the host.

        Raises
        ------
        InputError
            The rows differ from the log.
        """
        compile_ahead()
        until_ns = min(until_ns, self.plan.horizon_ns)
        notes = Notes()
        machine = WatchedMachine(self.host, self.world, notes, keep)
        self._advance(machine, until_ns)
        over = until_ns == self.plan.horizon_ns
        last = machine.moment(until_ns)
        if over:
            machine.finish(until_ns)
        rows = _tables(notes.collect(until_ns + over))
        for table in HOST_TABLES:
            self._check(table, rows[table], until_ns, over=over)
        return Replayed(last, machine.moments(), rows)

    def instant(self, at_ns: int) -> tuple[Moment, Books] | None:
        """Return a host just before an instant, and who owned what just after it.

        When it went down in it, who owned what then. The moment's ``later`` is what the engine was
        given at that instant. None while the host is down.

        Raises
        ------
        InputError
            The rows differ from the log.
        """
        compile_ahead()
        notes = Notes()
        machine = WatchedMachine(self.host, self.world, notes, ())
        self._advance(machine, at_ns)
        machine.mark(at_ns)
        self._advance(machine, at_ns + 1, at_ns)
        rows = _tables(notes.collect(at_ns + 1))
        for table in HOST_TABLES:
            self._check(table, rows[table], at_ns + 1, over=False)
        moment = machine.moments().get(NOW)
        return None if moment is None else (moment, machine.books() or moment.books)

    def births(self, moment: Moment, workloads: Collection[int]) -> dict[int, list[Birth]]:
        """Return where the pages of workloads were when they came to be.

        Parameters
        ----------
        moment : Moment
            When they are there.
        workloads : collection of int

        Returns
        -------
        dict
            Workload to its memory just after it was placed on this host, then just before and
            just after each DMA mapping that it has at the moment was pinned.
        """
        guests, held = moment.books.guests, moment.books.held
        numbers = {w: guests[w].placement for w in workloads if w in guests}
        mapped = {hold: w for w in numbers for hold in held.get(w, {})}
        wanted: dict[int, list[tuple[int, bool]]] = {}
        for time_ns, do, _, ident, number, *_ in self.orders:
            if time_ns > moment.time_ns:
                break
            if do == Do.PLACE and numbers.get(ident) == number:
                wanted.setdefault(time_ns + 1, []).append((ident, False))
            elif do == Do.HOLD and ident in mapped and number == numbers[mapped[ident]]:
                wanted.setdefault(time_ns, []).append((mapped[ident], False))
                wanted.setdefault(time_ns + 1, []).append((mapped[ident], True))
        found: dict[int, list[Birth]] = {workload: [] for workload in numbers}
        for until_ns, machine in self.visit(sorted(wanted)):
            for workload, by_pin in wanted[until_ns]:
                found[workload].append(Birth(until_ns, machine.area_of(workload), by_pin))
        return found

    def visit(self, times: Iterable[int]) -> Iterator[tuple[int, WatchedMachine]]:
        """Run through ascending times, and yield each with the machine as it then is.

        The machine is to be looked at only; its rows are not compared with the log (``to`` does).
        """
        compile_ahead()
        machine, begin_ns = WatchedMachine(self.host, self.world, Notes(), ()), 0
        for until_ns in times:
            self._advance(machine, until_ns, begin_ns)
            begin_ns = until_ns
            yield until_ns, machine

    def _advance(self, machine: WatchedMachine, until_ns: int, begin_ns: int = 0) -> None:
        """Run to a time in windows no longer than the reaction latency.

        Rows are read at the end of a window: numbers of processes and pins are not used again, and
        no second attempt begins, within one.
        """
        times = [order[TIME] for order in self.orders]
        first, end = bisect_left(times, begin_ns), bisect_left(times, until_ns)
        while first < end:
            if machine.running:
                machine.advance([], times[first])
            over_ns = min(times[first] + self.world.latency_ns, until_ns)
            last = bisect_left(times, over_ns)
            machine.advance(self.orders[first:last], over_ns)
            first = last
        machine.advance([], until_ns)

    def _check(self, table: str, made: pa.Table, until_ns: int, *, over: bool) -> None:
        """Compare what was made with the beginning of what was logged."""
        logged = self.source.rows(table, self.arm, self.rep, host=self.host)
        whole = logged.num_rows == made.num_rows
        same = made.num_rows <= logged.num_rows and logged.slice(0, made.num_rows).equals(made)
        if same and (whole or not over) and not self._missing(table, logged, made, until_ns):
            return
        row = _first_difference(logged, made)
        version = "" if self.source.same_version else "; another version of fleet made this run"
        raise InputError(
            f"replay of {self.arm}/{self.rep} host {self.host} differs from the log at row {row} of"
            f" its {table}{version} (fleet verify says whether files are damaged)",
            where=str(self.source.folder),
        )

    def _missing(self, table: str, logged: pa.Table, made: pa.Table, until_ns: int) -> bool:
        """Whether a row that was logged before the time did not come out."""
        stamp = _STAMP.get(table, "time_ns")
        if stamp is None:
            return False
        late = logged.slice(made.num_rows)[stamp].to_pylist()
        return any(time_ns is not None and time_ns < until_ns for time_ns in late)


def _tables(batches: list[Batch]) -> dict[str, pa.Table]:
    """Return the rows of one host as the log has them."""
    found: dict[str, Any] = {table: TABLES[table].schema.empty_table() for table in HOST_TABLES}
    for batch in batches:
        found[batch.table] = to_table(batch.table, named(batch.table, batch.rows))
    return {table: rows.replace_schema_metadata(None) for table, rows in found.items()}


def _first_difference(logged: pa.Table, made: pa.Table) -> int:
    """Return the number of the first row that differs."""
    ours, theirs = made.to_pylist(), logged.to_pylist()
    pairs = zip(ours, theirs, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(ours), len(theirs)))
