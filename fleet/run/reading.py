"""What an engine's result rows mean: rows of the event log, and reports to the coordinator.

An engine call after which every command has succeeded and nothing else is to be told is passed
over at a glance; bulk rows (pins, migrations, samples) go to the notes as they are; the few others
are read one by one.
"""

import numpy as np
from numpy.typing import NDArray

from engine.enums import Errno, Incident, MigrateReason, OfflineReason, Op, Row, SlowReason
from engine.rows import FIRST
from fleet.log.tables import NULL
from fleet.plan.tables import Plan
from fleet.run.columns import Matrix, code
from fleet.run.guests import NOBODY, Guests
from fleet.run.messages import (
    ATTEMPTS_PER_REQUEST,
    MAPPING,
    PLACEMENTS_PER_WORKLOAD,
    Told,
    pinned_by,
)
from fleet.run.notes import Notes

ERRNO = FIRST + 2
"""Column of a RESULT row."""
AREA = FIRST + 2
"""Column of a SLOWED row."""
INCIDENTS_PER_HOST = 1 << 24
"""An incident's id is ``host * INCIDENTS_PER_HOST + number``."""

MIGRATION, SLOWED = int(Row.MIGRATION), int(Row.SLOWED)
RESULT = int(Row.RESULT)
BULK = frozenset(map(int, (Row.PIN, Row.MIGRATION, Row.SAMPLE, Row.SLOWED)))
BY_ATTEMPT = (int(SlowReason.MEMORY_HOTPLUG), int(SlowReason.SUSPENDED))
"""Reasons of SLOWED rows that are logged with the attempt, not at once."""

_KINDS = {
    Incident.OOM_KILL: ("oom_kill", "oom_killer"),
    Incident.PANIC: ("panic", "panic_on_oom"),
    Incident.PIN_FAILED: ("pin_failed", "pin_user_pages"),
    Incident.PIN_STUCK: ("pin_stuck", "too_many_isolated"),
}


class Slowed:
    """What an attempt has cost those whose pages it worked, as far as it was reported.

    Attributes
    ----------
    cause : int
        Command that is the cause of the attempt's reports.
    told, away : list of rows
        Up to the last report: reason, workload, unmaps, ns. Those of mappings that are away are
        told anew by each report.
    since : list of rows
        Of areas that have ended since.
    """

    def __init__(self) -> None:
        self.cause = NOBODY
        self.told: list[list[int]] = []
        self.away: list[list[int]] = []
        self.since: list[list[int]] = []

    def report(self, cause: int) -> None:
        """A report begins, with rows of the same cause."""
        self.cause = cause
        self.told += self.since
        self.since, self.away = [], []

    def add(self, cause: int, row: list[int]) -> None:
        """Add a row."""
        if cause != self.cause:
            self.since.append(row)
        elif row[0] == SlowReason.SUSPENDED:
            self.away.append(row)
        else:
            self.told.append(row)


class Reading:
    """Reads the rows of one host into the notes of its process.

    Attributes
    ----------
    attempt_over : bool
        Whether the rows read last ended the running attempt.
    """

    def __init__(self, host: int, plan: Plan, notes: Notes) -> None:
        self._host, self._plan, self._notes = host, plan, notes
        self._guests: Guests | None = None
        self.attempt_over = False
        self._told = self._incidents = self._sequence = 0
        self._begun: list[int] | None = None
        self._last_status: tuple[list[int], list[list[int]]] | None = None
        self._slowed = Slowed()

    def booted(self, guests: Guests) -> None:
        """Read rows as those of a host that has just booted."""
        self._guests = guests

    # -- reports and single rows ----------------------------------------------------------------

    def report(
        self,
        time_ns: int,
        told: Told,
        ident: int,
        a: int = 0,
        b: int = 0,
        c: int = 0,
        d: int = 0,
        e: int = 0,
    ) -> None:
        """Tell the coordinator something."""
        self._told += 1
        told_row = (time_ns, self._host, self._told, int(told), ident, a, b, c, d, e)
        waiting = self._notes.probed if told == Told.PROBED else self._notes.reports
        waiting.append(told_row)

    def incident(
        self,
        time_ns: int,
        kind: str,
        mechanism: str,
        cause: int = NULL,
        workload: int = NULL,
        pages: int = 0,
    ) -> None:
        """Log an incident."""
        ident = self._host * INCIDENTS_PER_HOST + self._incidents
        self._incidents += 1
        words = code("incidents", "kind", kind), code("incidents", "mechanism", mechanism)
        row = [ident, self._host, time_ns, words[0], workload, cause, pages, words[1]]
        self._log("incidents", time_ns, row)

    def _log(self, table: str, time_ns: int, row: list[int]) -> None:
        """Log one row."""
        lead = [time_ns, self._host, self._sequence]
        self._notes.log(table, lead + row)

    # -- rows of the host -----------------------------------------------------------------------

    def rows(self, rows: Matrix, commands: int, errors: int) -> tuple[int, int] | None:
        """Read the rows of one engine call.

        Every command makes one RESULT row: with as many rows as ``commands`` and no ``errors``
        there is nothing to read.

        Returns time and cause of a panic, after which nothing counts any more; None without.
        """
        self.attempt_over = False
        self._sequence += 1
        if len(rows) == commands and not errors:
            return None
        kinds = rows[:, 1]
        present = set(kinds.tolist()) - {RESULT}
        plain = present <= BULK and not (SLOWED in present and _by_attempt(rows, kinds).any())
        if plain and not errors:
            self._keep(rows, kinds, present)
            return None
        panic = self._panic(rows[kinds == Row.INCIDENT])
        self._read(rows if panic is None else rows[: self._panic_index(rows)])
        return panic

    def _panic(self, incidents: Matrix) -> tuple[int, int] | None:
        hit = incidents[incidents[:, FIRST] == Incident.PANIC]
        return (int(hit[0, 0]), int(hit[0, 2])) if len(hit) else None

    def _panic_index(self, rows: Matrix) -> int:
        """Rows up to and with the panic."""
        hit = (rows[:, 1] == Row.INCIDENT) & (rows[:, FIRST] == Incident.PANIC)
        return int(np.argmax(hit)) + 1

    def _read(self, rows: Matrix) -> None:
        """Sort rows by what they are."""
        kinds = rows[:, 1]
        failed = (kinds == Row.RESULT) & (rows[:, ERRNO] != 0)
        special = (kinds >= Row.ATTEMPT) & (kinds <= Row.INCIDENT) | _by_attempt(rows, kinds)
        self._keep(rows, kinds, set(kinds.tolist()))
        if not (failed.any() or special.any()):
            return
        with_rows = set(rows[kinds == Row.PIN, 2].tolist())
        for row in rows[failed | special].tolist():
            kind, values = row[1], row[FIRST:]
            if kind == Row.RESULT:
                self._failure(row, row[2] in with_rows)
            elif kind == Row.INCIDENT:
                cause = self._cause(row[2])
                if values[0] == Incident.PIN_FAILED and self._by_offline(row[2]):
                    cause = self._not_mapped_again(row[0], values[2])
                elif values[0] == Incident.PIN_STUCK and self._by_offline(row[2]):
                    cause = self._guests.pin_id(values[2], row[0]) if self._guests else cause
                self._read_incident(row[0], values, cause)
            elif kind == Row.ATTEMPT:
                self._attempt(row[0], row[2], values)
            elif kind == Row.SLOWED:
                self._slow(row[0], row[2], values)
            else:
                self._blocker(row[0], values)
        self._end_attempt()

    def _cause(self, index: int) -> int:
        """Return the pin or attempt id behind a command's number."""
        assert self._guests is not None
        return self._guests.causes[index]

    def _by_offline(self, index: int) -> bool:
        """Whether a command is the last OFFLINE."""
        assert self._guests is not None
        return index == self._guests.last_offline

    def _not_mapped_again(self, time_ns: int, pin: int) -> int:
        """A pin that an offline had unmapped could not be taken again; returns its id.

        The workload ends as if its pin had failed at the start: it cannot work without.
        """
        assert self._guests is not None
        ident = self._guests.pin_id(pin, time_ns)
        if ident < MAPPING:
            workload, placement = divmod(ident, PLACEMENTS_PER_WORKLOAD)
            self.report(time_ns, Told.PIN_FAILED, workload, placement, Errno.ENOMEM)
        return ident

    def _keep(self, rows: Matrix, kinds: Matrix, present: set[int]) -> None:
        """Keep bulk rows with the ids of their causes."""
        assert self._guests is not None
        causes = self._guests.causes
        for kind in BULK & present:
            own = rows[kinds == kind]
            if kind == SLOWED:
                own = self._with_workloads(own[~np.isin(own[:, FIRST], BY_ATTEMPT)])
            idents = [causes[index] for index in own[:, 2].tolist()]
            if self._guests.last_offline in own[:, 2]:
                self._name_mapped_again(kind, own, idents)
            self._notes.keep(kind, own, self._host, self._sequence, idents)

    def _with_workloads(self, slowed: Matrix) -> Matrix:
        """SLOWED rows, each with the workload instead of the area."""
        whose = zip(slowed[:, AREA].tolist(), slowed[:, 0].tolist(), strict=True)
        slowed[:, AREA] = [self._known(area, at_ns) for area, at_ns in whose]
        return slowed

    def _known(self, area: int, at_ns: int) -> int:
        """The workload behind an area, null for the host's own and for nobody's."""
        assert self._guests is not None
        workload = self._guests.owner(area, at_ns)[0]
        return workload if workload != NOBODY else NULL

    def _name_mapped_again(self, kind: int, own: Matrix, idents: list[int]) -> None:
        """Rows of pins that an offline had unmapped and mapped again belong to those pins."""
        assert self._guests is not None
        for at, row in enumerate(own.tolist()):
            if row[2] != self._guests.last_offline:
                continue
            if kind == Row.PIN:
                idents[at] = self._guests.pin_id(row[FIRST], row[0])
            elif kind in (MIGRATION, SLOWED) and row[FIRST] == MigrateReason.LONGTERM_PIN:
                idents[at] = self._guests.pin_id(row[FIRST + 1], row[0])

    def _failure(self, row: list[int], has_rows: bool) -> None:
        """A command that failed."""
        time_ns, values, ident = row[0], row[FIRST:], self._cause(row[2])
        op, errno, latency_ns = values[0], values[2], values[4]
        if op == Op.PIN:
            workload = int(pinned_by(ident))
            if not has_rows:
                nothing = [NULL, NULL, NULL, 0, 0, 0, 0]
                pin = [ident, self._host, workload, time_ns, errno, *nothing, latency_ns]
                self._log("pins", time_ns, pin)
            if errno != Errno.EINTR and ident < MAPPING:
                placement = ident % PLACEMENTS_PER_WORKLOAD
                self.report(time_ns, Told.PIN_FAILED, workload, placement, errno)
        elif op == Op.OFFLINE:
            self._refused(time_ns, ident, errno)

    def _read_incident(self, time_ns: int, values: list[int], cause: int) -> None:
        """An OOM kill, a panic, a failed pin, or one that hangs (and fails when it is killed)."""
        assert self._guests is not None
        what, proc, _, pages = values[:4]
        kind, mechanism = _KINDS[Incident(what)]
        workload, placement = self._guests.owner(proc, time_ns)
        if what == Incident.PIN_FAILED:
            workload = int(pinned_by(cause))
        known = workload if workload != NOBODY else NULL
        self.incident(time_ns, kind, mechanism, cause if cause >= 0 else NULL, known, pages)
        if what == Incident.OOM_KILL and workload != NOBODY:
            self.report(time_ns, Told.KILLED, workload, placement)
        if what == Incident.PIN_STUCK and workload != NOBODY:  # its owner kills it
            self.report(time_ns, Told.PIN_FAILED, workload, placement, int(Errno.EINTR))

    # -- attempts -------------------------------------------------------------------------------

    def attempt_begins(self, attempt: int, first: int, count: int, now_ns: int) -> None:
        """An OFFLINE is sent: from here on the attempt has a row, whatever becomes of it."""
        self._begun = [attempt, first, count, now_ns]

    def _attempt(self, time_ns: int, cause: int, values: list[int]) -> None:
        """An ATTEMPT row: the end of an attempt, or how far it is."""
        self._slowed.report(cause)
        attempt, first, count, errno, reason, start_ns, end_ns = values[:7]
        passes, migrated, failed, block, endless, unavailable_ns = values[7:13]
        if self._last_status is not None and self._last_status[0][LEAD_ATTEMPT] == attempt:
            endless = int(endless or self._last_status[0][LEAD_ENDLESS])
        row = [
            attempt, attempt // ATTEMPTS_PER_REQUEST, self._host, first, count, start_ns,
            NULL if reason == OfflineReason.RUNNING else end_ns, errno, reason, passes, migrated,
            failed, block if block >= 0 else NULL, endless, unavailable_ns,
        ]  # fmt: skip
        self._last_status = ([time_ns, self._host, self._sequence, *row], [])

    def _blocker(self, time_ns: int, values: list[int]) -> None:
        """A BLOCKER row; it belongs to the ATTEMPT row before it."""
        assert self._guests is not None
        assert self._last_status is not None
        attempt, block, cls, pfn, pages, area, pins, references, path, zone, pin = values[:11]
        workload = self._guests.owner(area, time_ns)[0]
        ident = self._guests.pin_id(pin, time_ns)
        row = [
            attempt, attempt // ATTEMPTS_PER_REQUEST, self._host, block, zone, cls, pfn, pages,
            workload if workload != NOBODY else NULL, ident if ident != NOBODY else NULL,
            pins, references, path if 0 <= path < KNOWN_PATHS else NULL,
        ]  # fmt: skip
        self._last_status[1].append([time_ns, self._host, self._sequence, *row])

    def _slow(self, time_ns: int, cause: int, values: list[int]) -> None:
        """A SLOWED row of the attempt under way."""
        reason, _, area, unmaps, ns = values[:5]
        self._slowed.add(cause, [reason, self._known(area, time_ns), unmaps, ns])

    def _end_attempt(self) -> None:
        """Log the attempt and tell the coordinator, if the last row about it was its end."""
        if self._last_status is None:
            return
        row = self._last_status[0]
        if row[LEAD_REASON] == OfflineReason.RUNNING:
            return
        time_ns = row[0]
        self._log_attempt(time_ns)
        errno, reason, endless = row[LEAD_ERRNO], row[LEAD_REASON], row[LEAD_ENDLESS]
        start_ns = row[LEAD_START]
        self.report(time_ns, Told.RETURNED, row[LEAD_ATTEMPT], errno, reason, endless, start_ns)

    def _refused(self, time_ns: int, attempt: int, errno: int) -> None:
        """An OFFLINE that failed before it began."""
        if self._begun is None or self._begun[0] != attempt:
            return
        self._last_status = (self._bare_row(time_ns, errno, OfflineReason.BAD_STATE), [])
        self._end_attempt()

    def _bare_row(self, time_ns: int, errno: int, reason: OfflineReason) -> list[int]:
        """Return the row of the attempt under way when the engine has not made one."""
        assert self._begun is not None
        attempt, first, count, start_ns = self._begun
        end_ns = NULL if reason == OfflineReason.RUNNING else time_ns
        row = [attempt, attempt // ATTEMPTS_PER_REQUEST, self._host, first, count, start_ns, end_ns]
        return [time_ns, self._host, self._sequence, *row, errno, reason, 0, 0, 0, NULL, 0, 0]

    def _log_attempt(self, now_ns: int) -> None:
        """Log the last row about the attempt, its blockers and whom it slowed; it is over."""
        assert self._last_status is not None
        row, blockers = self._last_status
        self._notes.log("attempts", row)
        for blocker in blockers:
            self._notes.log("blockers", blocker)
        for reason, *slowed in self._slowed.told + self._slowed.away:
            self._log("slowdowns", now_ns, [self._host, now_ns, reason, row[LEAD_ATTEMPT], *slowed])
        self._slowed = Slowed()
        self._begun = self._last_status = None
        self.attempt_over = True

    def drop_attempt(self, now_ns: int) -> bool:
        """The attempt under way, if any, will never return; say whether it was endless."""
        if self._begun is None:
            return False
        if self._last_status is None:
            self._last_status = (self._bare_row(now_ns, 0, OfflineReason.RUNNING), [])
        endless = bool(self._last_status[0][LEAD_ENDLESS])
        self._log_attempt(now_ns)
        return endless

    # -- probes ---------------------------------------------------------------------------------

    def probe(self, rows: Matrix, request: int, attempt: int) -> None:
        """Read the rows of a probe's clone: attempt, blockers, migrations and whom they slowed."""
        self._sequence += 1
        saved = self._begun, self._last_status, self._slowed, self.attempt_over
        self._begun, self._last_status, self._slowed = None, None, Slowed()
        kinds = rows[:, 1]
        self._keep_probe(MIGRATION, rows[kinds == MIGRATION], attempt)
        self._keep_probe(SLOWED, self._with_workloads(rows[kinds == SLOWED]), attempt)
        refusal = None
        for row in rows[(kinds != MIGRATION) & (kinds != SLOWED)].tolist():
            if row[1] == Row.ATTEMPT:
                self._attempt(row[0], row[2], row[FIRST:])
            elif row[1] == Row.BLOCKER:
                self._blocker(row[0], row[FIRST:])
            elif row[1] == Row.RESULT and row[FIRST] == Op.OFFLINE and row[FIRST + 2]:
                refusal = row[0], row[FIRST + 2]
        self._tell_probe(request, attempt, refusal)
        self._begun, self._last_status, self._slowed, self.attempt_over = saved

    def _keep_probe(self, kind: int, rows: Matrix, attempt: int) -> None:
        """Keep bulk rows of a probe with their causes; its attempt makes one report only."""
        if len(rows):
            assert self._guests is not None
            causes = [
                self._guests.pin_id(row[FIRST + 1], row[0])
                if row[FIRST] == MigrateReason.LONGTERM_PIN
                else attempt
                for row in rows.tolist()
            ]
            self._notes.keep(kind, rows, self._host, self._sequence, causes)

    def _tell_probe(self, request: int, attempt: int, refusal: tuple[int, int] | None) -> None:
        """Log the probe's one attempt and report how it ended."""
        requests = self._plan.requests
        if refusal is not None:
            place = int(requests.first_block[request]), int(requests.nr_blocks[request])
            self._begun = [attempt, *place, refusal[0]]
            bare = self._bare_row(refusal[0], refusal[1], OfflineReason.BAD_STATE)
            self._last_status = (bare, [])
        assert self._last_status is not None, "a probe without an ATTEMPT row"
        row = self._last_status[0]
        returned = row[LEAD_REASON] != OfflineReason.RUNNING
        self._log_attempt(row[0])
        end_ns = row[LEAD_END] if returned else -1
        facts = row[LEAD_ERRNO], row[LEAD_REASON], row[LEAD_ENDLESS]
        self.report(row[0], Told.PROBED, request, *facts, end_ns)


def _by_attempt(rows: Matrix, kinds: Matrix) -> NDArray[np.bool_]:
    """Which rows say whom an attempt slowed."""
    mine: NDArray[np.bool_] = (kinds == SLOWED) & np.isin(rows[:, FIRST], BY_ATTEMPT)
    return mine


LEAD_ATTEMPT, LEAD_START, LEAD_END = 3, 8, 9
LEAD_ERRNO, LEAD_REASON, LEAD_ENDLESS = 10, 11, 16
"""Places in an ``attempts`` row with its leading columns."""
KNOWN_PATHS = 8
