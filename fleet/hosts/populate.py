"""What a fresh host holds before any workload: kernel memory, page cache, its own daemons.

Three areas of one process that the OOM killer spares. Each is touched in pieces on CPUs of all
nodes, and the pieces of the three come in an order drawn by key: kernel memory ends up between
cache and daemons as on a host that grew up, not in one lump at the bottom of the zone.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.draws import below, draw
from engine.enums import AreaKind, Op
from engine.shape import HostShape

PIECES_PER_NODE = 8
FIRST_SLOT = 3
"""Process, area and pin numbers below this one are the host's own."""
ORDER_PURPOSE, CPU_PURPOSE = 15, 16
"""``fleet.plan.draws.Purpose.POPULATE_ORDER`` and ``POPULATE_CPU``."""


class _Hosts(Protocol):
    """The columns of ``fleet.plan.tables.Hosts`` that are read here."""

    @property
    def kernel_pages(self) -> NDArray[np.int64]: ...
    @property
    def cache_pages(self) -> NDArray[np.int64]: ...
    @property
    def base_pages(self) -> NDArray[np.int64]: ...


class _Plan(Protocol):
    """The part of ``fleet.plan.tables.Plan`` that is read here."""

    @property
    def seed(self) -> int: ...
    @property
    def replication(self) -> int: ...
    @property
    def hosts(self) -> _Hosts: ...


def populate(
    plan: _Plan, host: int, shape: HostShape, now_ns: int
) -> tuple[NDArray[np.int64], int]:
    """Return the commands that fill a host which has just booted.

    The draws are about the host alone, so the same host is filled alike after every boot and
    under every arm (the pages still depend on the arm's zones).

    Parameters
    ----------
    plan : Plan
        Seed, replication and the host's own memory.
    host : int
        Row of the plan's hosts.
    shape : HostShape
        The host under the arm's sizing.
    now_ns : int
        Time of all commands.

    Returns
    -------
    commands : int64[n, 8]
    first_slot : int
        Lowest number free for workloads.
    """
    amounts = (
        (AreaKind.KERNEL, int(plan.hosts.kernel_pages[host])),
        (AreaKind.ANON, int(plan.hosts.base_pages[host])),
        (AreaKind.FILE, int(plan.hosts.cache_pages[host])),
    )
    key = (plan.seed, plan.replication, host)
    rows: list[list[int]] = [[now_ns, Op.SPAWN, 0, 0, 1, 0, 0, 0]]
    touches: list[tuple[int, list[int]]] = []
    pieces = PIECES_PER_NODE * shape.nr_nodes
    for area, (kind, pages) in enumerate(amounts):
        if not pages:
            continue
        rows.append([now_ns, Op.MAP, area, 0, kind, pages, 0, 0])
        for piece in range(pieces):
            first, end = pages * piece // pieces, pages * (piece + 1) // pieces
            if first == end:
                continue
            index = area * pieces + piece
            cpu = _cpu(shape, piece % shape.nr_nodes, index, key)
            order = draw(*key, ORDER_PURPOSE, index)
            touches.append((order, [now_ns, Op.TOUCH, area, first, end - first, cpu, -1, 0]))
    rows += [row for _, row in sorted(touches)]
    return np.array(rows, np.int64), FIRST_SLOT


def _cpu(shape: HostShape, node: int, index: int, key: tuple[int, int, int]) -> int:
    """Draw a CPU of a node; any CPU when the node has none."""
    own = [c for c, n in enumerate(shape.cpu_node) if n == node] or list(range(len(shape.cpu_node)))
    return own[below(len(own), *key, CPU_PURPOSE, index)]
