"""What a unit's rows sum to, as ``replication_totals`` and ``probe_clusters`` have it.

Straight from the engine's rows: a population has thousands of units, and writing them as event
logs to ask the shipped SQL would take longer than simulating them. A test compares the two.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.enums import MigrateReason
from fleet.log.tables import NULL, SCHEMAS
from fleet.run.columns import LEAD, Batch, code
from fleet.run.coordinator import Coordinator

Column = NDArray[np.int64]
MOVABLE = 2
"""Remainder of a Movable zone's id by three (macro ``is_movable``)."""


def work_of_requests(batches: Sequence[Batch], requests: int) -> tuple[Column, Column]:
    """Return bytes moved and page-time unavailable by the attempts of each request."""
    tries = _columns(batches, "attempts", "attempt", "request", "unavailable_ns")
    moves = _columns(batches, "migrations", "reason", "cause", "bytes")
    moves = moves[moves[:, 0] == MigrateReason.MEMORY_HOTPLUG]
    moved, away = np.zeros(requests, np.int64), np.zeros(requests, np.int64)
    if len(tries):
        order = np.argsort(tries[:, 0])
        place = order[np.searchsorted(tries[order, 0], moves[:, 1])]
        np.add.at(moved, tries[place, 1], moves[:, 2])
        np.add.at(away, tries[:, 1], tries[:, 2])
    return moved, away


def totals_of(batches: Sequence[Batch], coordinator: Coordinator) -> Column:
    """Return the unit's ``population.TOTALS``."""
    moves = _columns(batches, "migrations", "reason", "bytes")
    kinds = _columns(batches, "incidents", "kind")[:, 0]
    tenants, work = coordinator.tenants, coordinator.plan.workloads
    pins, p99_ns = _waits(_columns(batches, "pins", "pin", "latency_ns"))
    return np.array(
        [
            moves[moves[:, 0] == MigrateReason.MEMORY_HOTPLUG, 1].sum(),
            moves[moves[:, 0] == MigrateReason.LONGTERM_PIN, 1].sum(),
            pins,
            p99_ns,
            np.sum(kinds == code("incidents", "kind", "pin_failed")),
            np.sum(kinds == code("incidents", "kind", "oom_kill")),
            len(work),
            (tenants.unserved_ns() // 1000 * work.flows).sum(),
            _least_room(_columns(
                batches, "host_samples", "host", "time_ns", "zone", "free_pages", "file_pages",
                "min_pages",
            )),
        ],
        np.int64,
    )  # fmt: skip


def _columns(batches: Sequence[Batch], table: str, *names: str) -> Any:
    """Return columns of a table's rows: int64[row, name]."""
    place = [LEAD + SCHEMAS[table].names.index(name) for name in names]
    parts = [batch.rows[:, place] for batch in batches if batch.table == table]
    return np.concatenate(parts) if parts else np.zeros((0, len(names)), np.int64)


def _waits(pins: Any) -> tuple[int, int]:
    """Return the number of pin calls, and the time that 99 % of them waited at most."""
    _, place = np.unique(pins[:, 0], return_inverse=True)
    waits = np.zeros(place.max(initial=-1) + 1, np.int64)
    np.add.at(waits, place, pins[:, 1])
    count = len(waits)
    return count, int(np.sort(waits)[-(-99 * count // 100) - 1]) if count else NULL


def _least_room(samples: Any) -> int:
    """Return the smallest head-room of any host's kernel zones at any sampling time."""
    kernel = samples[samples[:, 2] % 3 != MOVABLE]
    if not len(kernel):
        return NULL
    _, place = np.unique(kernel[:, :2], axis=0, return_inverse=True)
    rooms = np.zeros(place.max() + 1, np.int64)
    np.add.at(rooms, place, kernel[:, 3] + kernel[:, 4] - kernel[:, 5])
    return max(int(rooms.min()), 0)
