"""Result rows and tallies of the compiled host."""

from engine.enums import NR_PATHS, MigrateReason, Row
from engine.kernel import kernel, part
from engine.rows import NR_COLUMNS
from engine.state import (
    G_CAUSE,
    G_GIGANTIC,
    G_MAXO,
    G_NOW,
    G_NROWS,
    G_NZONES,
    G_PBO,
    NR_MOVE,
    O_AWAY,
    O_ON,
    T_CALLS,
    T_PAGES,
)

MIGRATION = int(Row.MIGRATION)
HOTPLUG = int(MigrateReason.MEMORY_HOTPLUG)
SIZES = NR_MOVE // 3


@part
def new_row(h, kind):
    """Start a row; returns its index. Space was checked before the command."""
    n = h.g[G_NROWS]
    h.g[G_NROWS] = n + 1
    for c in range(NR_COLUMNS):
        h.rows[n, c] = 0
    h.rows[n, 0] = h.g[G_NOW]
    h.rows[n, 1] = kind
    h.rows[n, 2] = h.g[G_CAUSE]
    return n


@kernel
def clear_tally(h):
    """Forget what the last command did."""
    for i in range(T_PAGES, T_CALLS + 1):
        h.g[i] = 0


@kernel
def add_move(h, which, zone_from, zone_to, size, folios, pages, latency_ns):
    """Count moved folios by (zone from, zone to, size: 0 base pages, 1 huge, 2 gigantic)."""
    i = (zone_from * h.g[G_NZONES] + zone_to) * NR_MOVE + size * 3
    h.moves[which, i] += folios
    h.moves[which, i + 1] += pages
    h.moves[which, i + 2] += latency_ns


@kernel
def order_of(h, size):
    """Order of the folios of a size."""
    order = h.g[G_PBO] if size else 0
    parts = h.g[G_GIGANTIC] if size == SIZES - 1 else 1
    while parts > 1:
        order += 1
        parts >>= 1
    return order


@kernel
def emit_moves(h, which, reason, slot):
    """One MIGRATION row per cell of the moves table, then clear it."""
    nz = h.g[G_NZONES]
    for k in range(nz * nz * SIZES):
        i = k * 3
        if h.moves[which, i] == 0:
            continue
        n = new_row(h, MIGRATION)
        h.rows[n, 3] = reason
        h.rows[n, 4] = slot
        h.rows[n, 5] = k // SIZES // nz
        h.rows[n, 6] = k // SIZES % nz
        h.rows[n, 7] = order_of(h, k % SIZES)
        h.rows[n, 8] = h.moves[which, i]
        h.rows[n, 9] = h.moves[which, i + 1]
        h.rows[n, 10] = h.moves[which, i + 2]
        h.moves[which, i] = 0
        h.moves[which, i + 1] = 0
        h.moves[which, i + 2] = 0


@kernel
def rows_needed(h):
    """Rows one command or offline step may emit at the most."""
    nz = h.g[G_NZONES]
    pins = 1 + (h.g[O_AWAY] if h.g[O_ON] else 0)
    of_slots = 3 * len(h.slot)  # incidents; SLOWED rows of what was worked, and of what ends
    return pins * (len(h.blk) * NR_PATHS + nz * nz * SIZES + nz + 64 + of_slots + h.g[G_MAXO])
