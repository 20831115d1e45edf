"""The hugetlb pool of a fast host: its lists of free folios by node, reservations and surplus.

Rules and sources as in ``engine.reference.hugetlb``. The columns of a pool are those of its
node's first zone.
"""

from engine.enums import Cell
from engine.freelist import free_pb
from engine.kernel import kernel
from engine.percpu import free_huge
from engine.state import (
    BK_ISO,
    BK_NODE,
    BK_USED,
    BK_ZONE,
    FOLIO,
    G_BLOCK_SHIFT,
    G_NNODES,
    G_PBP,
    G_RESERVED,
    NIL,
    PB_AUX,
    PB_NEXT,
    PB_OWN,
    PS_FLAG,
    PS_STATE,
    TABLE,
    UNUSED,
    Z_POOL,
    Z_POOL_FREE,
    Z_POOL_SURPLUS,
    Z_POOL_TOTAL,
)

KINDS, MOVABLE_KIND = 3, 2
ISOLATED_UNPINNABLE = int(Cell.ISOLATED_UNPINNABLE)


@kernel
def pool_of(h, pb):
    """First zone of a pageblock's node: its pool's row."""
    return h.blk[pb >> h.g[G_BLOCK_SHIFT], BK_NODE] * KINDS


@kernel
def pool_sum(h, column):
    """A pool column summed over the nodes."""
    total = 0
    for node in range(h.g[G_NNODES]):
        total += h.zone[node * KINDS, column]
    return total


@kernel
def available(h):
    """available_huge_pages: free folios that no mapping has reserved."""
    return pool_sum(h, Z_POOL_FREE) - h.g[G_RESERVED]


@kernel
def persistent(h):
    """persistent_huge_pages: what nr_hugepages shows."""
    return pool_sum(h, Z_POOL_TOTAL) - pool_sum(h, Z_POOL_SURPLUS)


@kernel
def pool_put(h, pb):
    """enqueue_huge_page: the folio is the next one taken on its node."""
    pool = pool_of(h, pb)
    h.pbs[pb, PS_STATE] = FOLIO
    h.pbs[pb, PS_FLAG] = 0
    h.pb[pb, PB_OWN] = NIL
    h.pb[pb, PB_AUX] = 0
    h.pb[pb, PB_NEXT] = h.zone[pool, Z_POOL]
    h.zone[pool, Z_POOL] = pb
    h.zone[pool, Z_POOL_FREE] += 1
    h.blk[pb >> h.g[G_BLOCK_SHIFT], BK_USED] += h.g[G_PBP]


@kernel
def pool_remove(h, pb):
    """Take a free folio off its list; it belongs to nobody then."""
    pool = pool_of(h, pb)
    if h.zone[pool, Z_POOL] == pb:
        h.zone[pool, Z_POOL] = h.pb[pb, PB_NEXT]
    else:
        q = h.zone[pool, Z_POOL]
        while h.pb[q, PB_NEXT] != pb:
            q = h.pb[q, PB_NEXT]
        h.pb[q, PB_NEXT] = h.pb[pb, PB_NEXT]
    h.zone[pool, Z_POOL_FREE] -= 1
    h.blk[pb >> h.g[G_BLOCK_SHIFT], BK_USED] -= h.g[G_PBP]


@kernel
def unpinnable(h, pb):
    """Whether a long-term pin must not take pages of this pageblock."""
    b = pb >> h.g[G_BLOCK_SHIFT]
    if h.blk[b, BK_ZONE] % KINDS == MOVABLE_KIND:
        return True
    return h.blk[b, BK_ISO] != 0 and h.g[TABLE + ISOLATED_UNPINNABLE] != 0


@kernel
def pool_find(h, start, mask, pinnable):
    """The free folio that dequeue_huge_page_nodemask takes from the nodes of a mask, or NIL."""
    n = h.g[G_NNODES]
    for k in range(n):
        node = (start + k) % n
        if not (mask >> node) & 1:
            continue
        pb = h.zone[node * KINDS, Z_POOL]
        while pb != NIL:
            if not (pinnable and unpinnable(h, pb)):
                return pb
            pb = h.pb[pb, PB_NEXT]
    return NIL


@kernel
def pool_take(h, start, mask, pinnable):
    """dequeue_huge_page_nodemask: take that folio, if there is one."""
    pb = pool_find(h, start, mask, pinnable)
    if pb != NIL:
        pool_remove(h, pb)
    return pb


@kernel
def free_hugetlb(h, pb, cpu):
    """free_huge_page: back to the pool, or to the buddy while the node has a surplus."""
    pool = pool_of(h, pb)
    if h.zone[pool, Z_POOL_SURPLUS] == 0:
        pool_put(h, pb)
        return
    h.zone[pool, Z_POOL_SURPLUS] -= 1
    h.zone[pool, Z_POOL_TOTAL] -= 1
    free_huge(h, pb, cpu)


@kernel
def dissolve(h, pb):
    """dissolve_free_huge_page: a free folio goes to the buddy; False: all are reserved."""
    if available(h) == 0:
        return False
    pool_remove(h, pb)
    h.zone[pool_of(h, pb), Z_POOL_TOTAL] -= 1
    h.pbs[pb, PS_STATE] = UNUSED
    free_pb(h, pb)
    return True


@kernel
def trade(h, old, new):
    """move_hugetlb_state: a fresh page takes the place of one that leaves the pool."""
    source, target = pool_of(h, old), pool_of(h, new)
    h.zone[source, Z_POOL_TOTAL] -= 1
    h.zone[target, Z_POOL_TOTAL] += 1
    if source != target and h.zone[source, Z_POOL_SURPLUS]:
        h.zone[source, Z_POOL_SURPLUS] -= 1
        h.zone[target, Z_POOL_SURPLUS] += 1


@kernel
def reserve_folios(h, folios):
    """hugetlb_acct_memory of a new mapping: False when too few are free."""
    if available(h) < folios:
        return False
    h.g[G_RESERVED] += folios
    return True
