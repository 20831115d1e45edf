"""What the coordinator tells hosts and what hosts tell the coordinator: integers.

A *command* is ``time_ns, do, host, id, a, b, c, boot``; many are the rows of a matrix, ``Orders``.
A host carries them out in the order of these columns. ``boot`` is the fence: the boot of the host
it was meant for, ``ANY_BOOT`` for all. A host that has been down since then does not carry it out.
A *report* is ``(time_ns, host, sequence, told, id, a, b, c, d, e)``; ``sequence`` counts the
reports of one host, so that reports too have a total order that no sharding can change.
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

Command = tuple[int, int, int, int, int, int, int, int]
Orders = NDArray[np.int64]
"""int64[n, 8], one command per row."""
Report = tuple[int, int, int, int, int, int, int, int, int, int]

TIME, DO, HOST, IDENT_OF, BOOT = 0, 1, 2, 3, 7
"""Columns of orders."""
NR_FIELDS = 8

SHARD_HOSTS = 64
"""Consecutive hosts of a shard: a function of the inventory alone."""

EVERY_HOST = -1
"""``host`` of a command that all hosts carry out (samples)."""

ANY_BOOT = -1
"""``boot`` of a command that does not depend on what the host has been through."""

IDENT = 4
"""Place of a report's id, behind which come its values."""

ATTEMPTS_PER_REQUEST = 1024
"""An attempt's id is ``request * ATTEMPTS_PER_REQUEST + number``, numbers from 0."""

PLACEMENTS_PER_WORKLOAD = 1024
MAPPING = 1 << 40
"""A pin's id is ``number * MAPPING + workload * PLACEMENTS_PER_WORKLOAD + placement``.

Placements count from 0. Number 0 is the pin taken at placement, later ones are DMA mappings.
"""


def pin_id(workload: int, placement: int, number: int = 0) -> int:
    """Return the id of a long-term pin."""
    return number * MAPPING + workload * PLACEMENTS_PER_WORKLOAD + placement


def pinned_by(ident: ArrayLike) -> NDArray[np.int64]:
    """Return the workloads behind ids of pins."""
    return np.asarray(ident) % MAPPING // PLACEMENTS_PER_WORKLOAD


class Do(IntEnum):
    """Commands; at equal times what frees comes before what takes."""

    END = 0  # id workload, a placement, b workload: it ends by itself
    EVICT = 1  # id workload, a placement: what is left of it is cleared away
    UNHOLD = 2  # id hold, a placement, b workload
    SIGNAL = 3  # id request: interrupts the running offline
    REBOOT = 4  # id request
    PLACE = 5  # id workload, a placement
    HOLD = 6  # id hold (short reference or DMA mapping), a placement, b workload
    OFFLINE = 7  # id attempt, a first block, b number of blocks, c watchdog ns (0: none)
    SAMPLE = 8  # id sample
    PROBE = 9  # id request


class Told(IntEnum):
    """Reports."""

    PIN_FAILED = 0  # id workload, a placement, b errno
    KILLED = 1  # id workload, a placement
    NOT_PLACED = 2  # id workload, a placement: the host was down when it came
    RETURNED = 3  # id attempt, a errno, b reason, c endless, d start_ns, e failed block
    PROBED = 4  # id request, a errno, b reason, c endless, d end_ns (-1: had not returned), e down
    RESET = 5  # id request, a ns until the host is back, b endless
    PANIC = 6  # id -1, a ns until the host is back
    REBOOTED = 7  # id request, a ns until the host is back
    NOT_BEGUN = 8  # id attempt: the host was down when it came


PATIENT = frozenset((Do.END, Do.EVICT, Do.UNHOLD, Do.SAMPLE, Do.PROBE))
"""Commands about which no decision needs to hear anything.

What frees memory asks the allocator for nothing, so nobody is killed and no pin fails; a sample and
a probe (on a clone) leave the host as it was, and what a probe found changes no decision.
"""


def orders(size: int, *columns: ArrayLike) -> Orders:
    """Return ``size`` commands from columns (arrays or integers); missing ones at the end are 0."""
    out = np.zeros((size, NR_FIELDS), np.int64)
    for index, column in enumerate(columns):
        out[:, index] = column
    return out


NO_ORDERS = orders(0)


def orders_of(hosts: Sequence[int], rows: Orders) -> Orders:
    """Return the orders of some hosts, and those of every host."""
    return rows[np.isin(rows[:, HOST], [EVERY_HOST, *hosts])]


def by_host(parts: Sequence[Orders]) -> Orders:
    """Join orders and sort them: by host, those of a host as it carries them out."""
    rows = np.concatenate(parts) if len(parts) > 1 else parts[0]
    if len(rows) < 2:
        return rows
    keys = (7, 6, 5, 4, 3, DO, TIME, HOST)
    return rows[np.lexsort(tuple(rows[:, key] for key in keys))]
