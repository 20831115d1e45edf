"""Where the folios of a migrate_pages call may go.

Rules and sources as in ``engine.reference.migration``. The call stands in the M_ registers.
"""

from engine.allocate import ALL_NODES, from_pool, request, request_movable
from engine.enums import Cell, Counter, OfflineTarget
from engine.kernel import kernel
from engine.memory import block_of
from engine.state import (
    BK_NODE,
    BK_ZONE,
    COUNTERS,
    G_NNODES,
    G_STAMP,
    M_AGAINT,
    M_CPU,
    M_MOVED,
    M_NODE,
    M_PROC,
    M_TARGET,
    M_TIMES,
    RQ_MT,
    TABLE,
    Z_PRESENT,
)

PIN, OFFLINE, NODE, RETURN = 0, 1, 2, 3
KINDS, MOVABLE_KIND, MOVABLE = 3, 2, 1
CALLS = int(Counter.MIGRATE_PAGES_CALLS)
OFFLINE_TARGET, FALLBACK = int(Cell.OFFLINE_TARGET), int(OfflineTarget.SAME_NODE_FALLBACK)


@kernel
def begin_call(h, target, cpu, proc, node):
    """Start a migrate_pages call."""
    h.g[G_STAMP] += 1
    h.g[M_TARGET] = target
    h.g[M_CPU] = cpu
    h.g[M_PROC] = proc
    h.g[M_NODE] = node
    h.g[M_TIMES] = 1
    for i in range(M_MOVED, M_AGAINT + 1):
        h.g[i] = 0
    h.g[COUNTERS + CALLS] += 1


@kernel
def target_start(h, pb):
    """First node a folio may move to."""
    if h.g[M_TARGET] == NODE:
        return h.g[M_NODE]
    own = h.blk[block_of(h, pb), BK_NODE]
    if h.g[M_TARGET] == OFFLINE and h.g[TABLE + OFFLINE_TARGET] == FALLBACK:
        return (own + 1) % h.g[G_NNODES]  # its own node is the last one then
    return own


@kernel
def target_mask(h, pb):
    """Nodes a folio may move to."""
    if h.g[M_TARGET] == NODE:
        return 1 << h.g[M_NODE]
    if h.g[M_TARGET] != OFFLINE or h.g[TABLE + OFFLINE_TARGET] == FALLBACK:
        return ALL_NODES
    own = h.blk[block_of(h, pb), BK_NODE]
    mask = 0
    for node in range(h.g[G_NNODES]):
        present = 0
        for kind in range(KINDS):
            present += h.zone[node * KINDS + kind, Z_PRESENT]
        if present and node != own:
            mask |= 1 << node
    return mask if mask else 1 << own


@kernel
def ask_target(h, pb, huge):
    """Set the request for a folio's target."""
    target = h.g[M_TARGET]
    if target == RETURN:
        request_movable(h, target_start(h, pb), h.g[M_CPU], h.g[M_PROC])
        return
    if target == PIN:
        movable = False
    elif target == NODE:
        movable = True
    else:
        movable = huge or h.blk[block_of(h, pb), BK_ZONE] % KINDS == MOVABLE_KIND
    start, mask = target_start(h, pb), target_mask(h, pb)
    request(h, start, mask, movable, h.g[M_CPU], h.g[M_PROC], target == PIN)
    if target == PIN:
        from_pool(h)
    else:
        h.g[RQ_MT] = MOVABLE


@kernel
def moves_table(h):
    """Which moves table the call counts in: the command's or the offline's."""
    return 1 if h.g[M_TARGET] == OFFLINE else 0


@kernel
def cpu_of_call(h):
    """The CPU whose lists take freed pages: none for an offline."""
    return -1 if h.g[M_TARGET] == OFFLINE else h.g[M_CPU]
