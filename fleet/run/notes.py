"""What the hosts of one process have to say: reports, and rows of the event log until fetched.

Rows of which there are many (pins, migrations, samples) are kept as the engine made them, with
whose they are, and turned into rows of the log all at once when they are fetched.
"""

from collections.abc import Iterator
from itertools import chain

import numpy as np

from engine.enums import MigrateReason, Row, SlowReason
from engine.rows import FIRST
from fleet.log.tables import NULL
from fleet.run.columns import Batch, Matrix, in_order, matrix, width
from fleet.run.messages import SHARD_HOSTS, TIME, Report, pinned_by

PAGE_SHIFT = 12


class Bulk:
    """Rows of one kind as the engine made them."""

    def __init__(self) -> None:
        self._rows: list[Matrix] = []
        self._hosts: list[int] = []
        self._sequences: list[int] = []
        self._causes: list[list[int]] = []

    def add(self, rows: Matrix, host: int, sequence: int, causes: list[int]) -> None:
        """Add rows (not copied) of one engine call of a host, with the id that caused each."""
        self._rows.append(rows)
        self._hosts.append(host)
        self._sequences.append(sequence)
        self._causes.append(causes)

    def take(self) -> tuple[Matrix, Matrix, Matrix] | None:
        """Take rows, leading columns (time, host, sequence) and causes; None without any."""
        if not self._rows:
            return None
        counts = [len(rows) for rows in self._rows]
        rows = np.concatenate(self._rows)
        whose = np.repeat(np.array([self._hosts, self._sequences], np.int64), counts, axis=1)
        lead = np.stack((rows[:, 0], *whose), axis=1)
        causes = np.fromiter(chain.from_iterable(self._causes), np.int64, len(rows))
        self.__init__()  # type: ignore[misc]
        return rows, lead, causes


class Notes:
    """Reports and rows of the hosts of one process.

    Attributes
    ----------
    reports : list of Report
        Since they were last taken.
    probed : list of Report
        Those of probes, for which no decision waits.
    waiting_rows : int
        Log rows not fetched yet.
    """

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.probed: list[Report] = []
        self.waiting_rows = 0
        self._bulk = {int(kind): Bulk() for kind, _, _ in _BULK}
        self._single: dict[str, list[list[int]]] = {}
        self._held: dict[str, Matrix] = {}

    def take_reports(self) -> list[Report]:
        """Take the reports."""
        taken, self.reports = self.reports, []
        return taken

    def take_probed(self, until_ns: int) -> list[Report]:
        """Take the reports of probes that ended before ``until_ns``."""
        taken = [report for report in self.probed if report[TIME] < until_ns]
        self.probed = [report for report in self.probed if report[TIME] >= until_ns]
        return taken

    def keep(self, kind: int, rows: Matrix, host: int, sequence: int, causes: list[int]) -> None:
        """Keep rows of a kind (``engine.enums.Row``) as ``Bulk.add`` does."""
        self._bulk[kind].add(rows, host, sequence, causes)
        self.waiting_rows += len(rows)

    def log(self, table: str, row: list[int]) -> None:
        """Log one row, leading columns included."""
        self._single.setdefault(table, []).append(row)
        self.waiting_rows += 1

    def collect(self, until_ns: int) -> list[Batch]:
        """Take the rows stamped before ``until_ns``, one ordered batch per table and shard."""
        found = {table: [rows] for table, rows in self._held.items()}
        for kind, table, convert in _BULK:
            taken = self._bulk[kind].take()
            if taken is not None:
                found.setdefault(table, []).append(convert(*taken))
        for table, singles in self._single.items():
            found.setdefault(table, []).append(matrix(table, singles))
        self._single, self._held, self.waiting_rows = {}, {}, 0
        batches: list[Batch] = []
        for table in sorted(found):
            ordered = in_order(found[table])
            split = int(np.searchsorted(ordered[:, 0], until_ns))
            batches += by_shard(table, ordered[:split])
            if split < len(ordered):
                self._held[table] = ordered[split:]
        return batches


def by_shard(table: str, rows: Matrix) -> Iterator[Batch]:
    """Divide ordered rows (leading columns included) by the shards of their hosts."""
    shard = rows[:, 1] // SHARD_HOSTS
    for number in np.unique(shard).tolist():
        yield Batch(table, number, rows[shard == number])


def _pins(raw: Matrix, lead: Matrix, ident: Matrix) -> Matrix:
    """``pins`` rows of PIN rows."""
    out = np.empty((len(raw), width("pins")), np.int64)
    out[:, :3], out[:, 3], out[:, 4] = lead, ident, lead[:, 1]
    out[:, 5], out[:, 6] = pinned_by(ident), raw[:, 0]
    out[:, 7:] = raw[:, FIRST + 2 : FIRST + 11]
    return out


def _migrations(raw: Matrix, lead: Matrix, ident: Matrix) -> Matrix:
    """``migrations`` rows of MIGRATION rows."""
    reason, _, zone_from, zone_to, order, folios, pages, ns = raw[:, FIRST : FIRST + 8].T
    cause = np.where(reason == MigrateReason.SYSCALL, NULL, ident)
    columns = (
        lead[:, 1], raw[:, 0], reason, cause, zone_from, zone_to, order, folios, pages,
        pages << PAGE_SHIFT, ns,
    )  # fmt: skip
    return np.concatenate((lead, np.stack(columns, axis=1)), axis=1)


def _slowdowns(raw: Matrix, lead: Matrix, ident: Matrix) -> Matrix:
    """``slowdowns`` rows of SLOWED rows whose area has become a workload."""
    reason, _, workload, unmaps, ns = raw[:, FIRST : FIRST + 5].T
    cause = np.where(reason == SlowReason.SYSCALL, NULL, ident)
    columns = (lead[:, 1], raw[:, 0], reason, cause, workload, unmaps, ns)
    return np.concatenate((lead, np.stack(columns, axis=1)), axis=1)


def _samples(raw: Matrix, lead: Matrix, _: Matrix) -> Matrix:
    """``host_samples`` rows of SAMPLE rows."""
    out = np.empty((len(raw), width("host_samples")), np.int64)
    out[:, :3], out[:, 3], out[:, 4] = lead, lead[:, 1], raw[:, 0]
    out[:, 5:] = raw[:, FIRST + 1 : FIRST + 11]
    return out


_BULK = (
    (Row.PIN, "pins", _pins),
    (Row.MIGRATION, "migrations", _migrations),
    (Row.SAMPLE, "host_samples", _samples),
    (Row.SLOWED, "slowdowns", _slowdowns),
)
