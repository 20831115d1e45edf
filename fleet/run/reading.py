"""What an engine's result rows mean: rows of the event log, and reports to the coordinator.

Bulk rows (pins, migrations, samples) are kept as they are and turned into columns when they are
fetched; the few others are read one by one.
"""

import numpy as np

from engine.enums import Errno, Incident, MigrateReason, OfflineReason, Op, Row
from engine.rows import FIRST
from fleet.log.tables import NULL
from fleet.plan.tables import Plan
from fleet.run.columns import Matrix, code, in_order, matrix, width
from fleet.run.guests import NOBODY, Guests
from fleet.run.messages import ATTEMPTS_PER_REQUEST, PLACEMENTS_PER_WORKLOAD, Report, Told

PAGE_SHIFT = 12
INCIDENTS_PER_HOST = 1 << 24
"""An incident's id is ``host * INCIDENTS_PER_HOST + number``."""

_KINDS = {
    Incident.OOM_KILL: ("oom_kill", "oom_killer"),
    Incident.PANIC: ("panic", "panic_on_oom"),
    Incident.PIN_FAILED: ("pin_failed", "pin_user_pages"),
}


class Reading:
    """Log rows and reports of one host.

    Attributes
    ----------
    reports : list of Report
        Since they were last taken.
    waiting_rows : int
        Log rows not fetched yet.
    attempt_over : bool
        Whether the rows read last ended the running attempt.
    """

    def __init__(self, host: int, plan: Plan) -> None:
        self._host, self._plan = host, plan
        self._guests: Guests | None = None
        self.reports: list[Report] = []
        self.waiting_rows = 0
        self.attempt_over = False
        self._told = self._incidents = self._sequence = 0
        self._bulk: dict[int, list[Matrix]] = {}
        self._single: dict[str, list[list[int]]] = {}
        self._held: dict[str, Matrix] = {}
        self._begun: list[int] | None = None
        self._last_status: tuple[list[int], list[list[int]]] | None = None

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
        self.reports.append((time_ns, self._host, self._told, int(told), ident, a, b, c, d, e))

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
        self._single.setdefault(table, []).append(lead + row)
        self.waiting_rows += 1

    # -- rows of the host -----------------------------------------------------------------------

    def rows(self, rows: Matrix) -> tuple[int, int] | None:
        """Read the rows of one engine call.

        Returns time and cause of a panic, after which nothing counts any more; None without.
        """
        self.attempt_over = False
        self._sequence += 1
        kinds = rows[:, 1]
        plain = kinds == Row.RESULT
        odd = rows[(plain & (rows[:, FIRST + 2] != 0)) | (kinds == Row.INCIDENT)]
        panic = self._panic(odd)
        if panic is not None:
            rows = rows[: self._panic_index(rows)]
            self._read(rows)
            return panic
        if plain.all() and not len(odd):
            return None
        self._read(rows)
        return None

    def _panic(self, odd: Matrix) -> tuple[int, int] | None:
        hit = odd[(odd[:, 1] == Row.INCIDENT) & (odd[:, FIRST] == Incident.PANIC)]
        return (int(hit[0, 0]), int(hit[0, 2])) if len(hit) else None

    def _panic_index(self, rows: Matrix) -> int:
        """Rows up to and with the panic."""
        hit = (rows[:, 1] == Row.INCIDENT) & (rows[:, FIRST] == Incident.PANIC)
        return int(np.argmax(hit)) + 1

    def _read(self, rows: Matrix) -> None:
        """Sort rows by what they are."""
        kinds = rows[:, 1]
        failed = (kinds == Row.RESULT) & (rows[:, FIRST + 2] != 0)
        special = (kinds >= Row.ATTEMPT) & (kinds <= Row.INCIDENT)
        for kind in (Row.PIN, Row.MIGRATION, Row.SAMPLE):
            self._keep(kind, rows[kinds == kind])
        if not (failed.any() or special.any()):
            return
        with_rows = set(rows[kinds == Row.PIN, 2].tolist())
        for row in rows[failed | special].tolist():
            kind, values = row[1], row[FIRST:]
            if kind == Row.RESULT:
                self._failure(row, row[2] in with_rows)
            elif kind == Row.INCIDENT:
                self._read_incident(row[0], values, self._cause(row[2]))
            elif kind == Row.ATTEMPT:
                self._attempt(row[0], values)
            else:
                self._blocker(row[0], values)
        self._end_attempt()

    def _cause(self, index: int) -> int:
        """Return the pin or attempt id behind a command's number."""
        assert self._guests is not None
        return self._guests.causes[index]

    def _keep(self, kind: Row, rows: Matrix, cause: int | None = None) -> None:
        """Keep bulk rows, the sequence in column 1 and the id of the cause in column 2."""
        if not len(rows):
            return
        kept = rows.copy()
        if cause is not None:
            kept[:, 2] = cause
        elif kind != Row.SAMPLE:
            assert self._guests is not None
            kept[:, 2] = [self._guests.causes[i] for i in rows[:, 2].tolist()]
        kept[:, 1] = self._sequence
        self._bulk.setdefault(int(kind), []).append(kept)
        self.waiting_rows += len(kept)

    def _failure(self, row: list[int], has_rows: bool) -> None:
        """A command that failed."""
        time_ns, values, ident = row[0], row[FIRST:], self._cause(row[2])
        op, errno, latency_ns = values[0], values[2], values[4]
        if op == Op.PIN:
            workload, placement = divmod(ident, PLACEMENTS_PER_WORKLOAD)
            if not has_rows:
                nothing = [NULL, NULL, NULL, 0, 0, 0, 0]
                pin = [ident, self._host, workload, time_ns, errno, *nothing, latency_ns]
                self._log("pins", time_ns, pin)
            if errno != Errno.EINTR:
                self.report(time_ns, Told.PIN_FAILED, workload, placement, errno)
        elif op == Op.OFFLINE:
            self._refused(time_ns, ident, errno)

    def _read_incident(self, time_ns: int, values: list[int], cause: int) -> None:
        """An OOM kill, a panic or a failed pin."""
        assert self._guests is not None
        what, proc, _, pages = values[:4]
        kind, mechanism = _KINDS[Incident(what)]
        workload, placement = self._guests.owner(proc)
        if what == Incident.PIN_FAILED:
            workload = cause // PLACEMENTS_PER_WORKLOAD
        known = workload if workload != NOBODY else NULL
        self.incident(time_ns, kind, mechanism, cause if cause >= 0 else NULL, known, pages)
        if what == Incident.OOM_KILL and workload != NOBODY:
            self.report(time_ns, Told.KILLED, workload, placement)

    # -- attempts -------------------------------------------------------------------------------

    def attempt_begins(self, attempt: int, first: int, count: int, now_ns: int) -> None:
        """An OFFLINE is sent: from here on the attempt has a row, whatever becomes of it."""
        self._begun = [attempt, first, count, now_ns]

    def _attempt(self, time_ns: int, values: list[int]) -> None:
        """An ATTEMPT row: the end of an attempt, or how far it is."""
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
        workload = self._guests.owner(area)[0]
        ident = self._guests.pin_id(pin)
        row = [
            attempt, attempt // ATTEMPTS_PER_REQUEST, self._host, block, zone, cls, pfn, pages,
            workload if workload != NOBODY else NULL, ident if ident != NOBODY else NULL,
            pins, references, path if 0 <= path < KNOWN_PATHS else NULL,
        ]  # fmt: skip
        self._last_status[1].append([time_ns, self._host, self._sequence, *row])

    def _end_attempt(self) -> None:
        """Log the attempt and tell the coordinator, if the last row about it was its end."""
        if self._last_status is None:
            return
        row = self._last_status[0]
        if row[LEAD_REASON] == OfflineReason.RUNNING:
            return
        time_ns = row[0]
        self._log_attempt()
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

    def _log_attempt(self) -> None:
        """Log the last row about the attempt and its blockers; the attempt is over."""
        assert self._last_status is not None
        row, blockers = self._last_status
        self._single.setdefault("attempts", []).append(row)
        self._single.setdefault("blockers", []).extend(blockers)
        self.waiting_rows += 1 + len(blockers)
        self._begun = self._last_status = None
        self.attempt_over = True

    def drop_attempt(self, now_ns: int) -> bool:
        """The attempt under way, if any, will never return; say whether it was endless."""
        if self._begun is None:
            return False
        if self._last_status is None:
            self._last_status = (self._bare_row(now_ns, 0, OfflineReason.RUNNING), [])
        endless = bool(self._last_status[0][LEAD_ENDLESS])
        self._log_attempt()
        return endless

    # -- probes ---------------------------------------------------------------------------------

    def probe(self, rows: Matrix, request: int, attempt: int) -> None:
        """Read the rows of a probe's clone: attempt, blockers and migrations, nothing else."""
        self._sequence += 1
        saved = self._begun, self._last_status, self.attempt_over
        self._begun = self._last_status = None
        kinds = rows[:, 1]
        self._keep(Row.MIGRATION, rows[kinds == Row.MIGRATION], cause=attempt)
        refusal = None
        for row in rows.tolist():
            if row[1] == Row.ATTEMPT:
                self._attempt(row[0], row[FIRST:])
            elif row[1] == Row.BLOCKER:
                self._blocker(row[0], row[FIRST:])
            elif row[1] == Row.RESULT and row[FIRST] == Op.OFFLINE and row[FIRST + 2]:
                refusal = row[0], row[FIRST + 2]
        self._tell_probe(request, attempt, refusal)
        self._begun, self._last_status, self.attempt_over = saved

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
        self._log_attempt()
        end_ns = row[LEAD_END] if returned else -1
        facts = row[LEAD_ERRNO], row[LEAD_REASON], row[LEAD_ENDLESS]
        self.report(row[0], Told.PROBED, request, *facts, end_ns)

    # -- fetching -------------------------------------------------------------------------------

    def collect(self, until_ns: int) -> dict[str, Matrix]:
        """Take the rows stamped before ``until_ns``, per table in order; keep the others."""
        found = {table: [rows] for table, rows in self._held.items()}
        for kind, table, convert in _BULK:
            for raw in self._bulk.pop(int(kind), []):
                found.setdefault(table, []).append(convert(raw, self._host))
        for table, rows in self._single.items():
            found.setdefault(table, []).append(matrix(table, rows))
        self._single, self._held, taken = {}, {}, {}
        self.waiting_rows = 0
        for table, parts in found.items():
            ordered = in_order(parts)
            split = int(np.searchsorted(ordered[:, 0], until_ns))
            if split:
                taken[table] = ordered[:split]
            if split < len(ordered):
                self._held[table] = ordered[split:]
        return taken


LEAD_ATTEMPT, LEAD_START, LEAD_END = 3, 8, 9
LEAD_ERRNO, LEAD_REASON, LEAD_ENDLESS = 10, 11, 16
"""Places in an ``attempts`` row with its leading columns."""
KNOWN_PATHS = 4


def _lead(raw: Matrix, table: str, host: int) -> Matrix:
    """Return an empty matrix of a table with the leading columns of kept rows."""
    out = np.empty((len(raw), width(table)), np.int64)
    out[:, 0], out[:, 1], out[:, 2] = raw[:, 0], host, raw[:, 1]
    return out


def _pins(raw: Matrix, host: int) -> Matrix:
    """``pins`` rows of PIN rows."""
    out = _lead(raw, "pins", host)
    _, _, errno, zone, block, path, pinned, faulted, migrated, failed, ns = raw[:, FIRST:14].T
    ident = raw[:, 2]
    columns = (
        ident, np.full(len(raw), host), ident // PLACEMENTS_PER_WORKLOAD, raw[:, 0], errno, zone,
        block, path, pinned, faulted, migrated, failed, ns,
    )  # fmt: skip
    out[:, 3:] = np.stack(columns, axis=1)
    return out


def _migrations(raw: Matrix, host: int) -> Matrix:
    """``migrations`` rows of MIGRATION rows."""
    out = _lead(raw, "migrations", host)
    reason, _, zone_from, zone_to, order, folios, pages, ns = raw[:, FIRST:11].T
    cause = np.where(reason == MigrateReason.SYSCALL, NULL, raw[:, 2])
    columns = (
        np.full(len(raw), host), raw[:, 0], reason, cause, zone_from, zone_to, order, folios, pages,
        pages << PAGE_SHIFT, ns,
    )  # fmt: skip
    out[:, 3:] = np.stack(columns, axis=1)
    return out


def _samples(raw: Matrix, host: int) -> Matrix:
    """``host_samples`` rows of SAMPLE rows."""
    out = _lead(raw, "host_samples", host)
    out[:, 3], out[:, 4], out[:, 5:] = host, raw[:, 0], raw[:, FIRST + 1 : FIRST + 11]
    return out


_BULK = (
    (Row.PIN, "pins", _pins),
    (Row.MIGRATION, "migrations", _migrations),
    (Row.SAMPLE, "host_samples", _samples),
)
