"""The hugetlb pools of a fast host: lists of free folios by node, reservations and surplus.

Rules and sources as in ``engine.reference.hugetlb``. The columns of a pool are those of its
node's first zone, of the pool of gigantic folios those of the second one. A gigantic folio is a row
of huge ones that are flagged GIGANTIC: its first pageblock stands for it in the pool, and in an
area each part has pins of its own, so that only who moves, frees or isolates one sees the whole.
"""

from engine.buddy import free_pb
from engine.elements import head_of
from engine.enums import Cell
from engine.kernel import kernel
from engine.pageblock import set_flags
from engine.percpu import free_huge
from engine.state import (
    BK_ISO,
    BK_NODE,
    BK_USED,
    BK_ZONE,
    FOLIO,
    G_BLOCK_SHIFT,
    G_GIGANTIC,
    G_NNODES,
    G_PBP,
    G_RESERVED,
    GIGANTIC,
    NIL,
    PB_AUX,
    PB_NEXT,
    PB_PREV,
    PH_OWN,
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
def size_of(h, pb):
    """``PoolSize`` of the folio that begins at a pageblock."""
    return 1 if h.pbs[pb, PS_FLAG] & GIGANTIC else 0


@kernel
def parts_of(h, pb):
    """Pageblocks of the folio that begins at a pageblock."""
    return h.g[G_GIGANTIC] if h.pbs[pb, PS_FLAG] & GIGANTIC else 1


@kernel
def pool_of(h, pb):
    """Zone that has the columns of a folio's pool."""
    return h.blk[pb >> h.g[G_BLOCK_SHIFT], BK_NODE] * KINDS + size_of(h, pb)


@kernel
def pool_sum(h, size, column):
    """A pool column summed over the nodes."""
    total = 0
    for node in range(h.g[G_NNODES]):
        total += h.zone[node * KINDS + size, column]
    return total


@kernel
def available(h, size):
    """available_huge_pages: free folios that no mapping has reserved."""
    return pool_sum(h, size, Z_POOL_FREE) - h.g[G_RESERVED + size]


@kernel
def persistent(h, size):
    """persistent_huge_pages: what nr_hugepages shows."""
    return pool_sum(h, size, Z_POOL_TOTAL) - pool_sum(h, size, Z_POOL_SURPLUS)


@kernel
def pool_put(h, pb):
    """enqueue_huge_page: the folio is the next one taken on its node."""
    pool = pool_of(h, pb)
    for part in range(pb, pb + parts_of(h, pb)):
        h.pbs[part, PS_STATE] = FOLIO
        set_flags(h, part, h.pbs[part, PS_FLAG] & GIGANTIC)
        h.pbh[part, PH_OWN] = NIL
        h.pb[part, PB_AUX] = 0
        h.pb[part, PB_PREV] = NIL
        h.pb[part, PB_NEXT] = NIL
        h.blk[part >> h.g[G_BLOCK_SHIFT], BK_USED] += h.g[G_PBP]
    h.pb[pb, PB_NEXT] = h.zone[pool, Z_POOL]
    h.zone[pool, Z_POOL] = pb
    h.zone[pool, Z_POOL_FREE] += 1


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
    for part in range(pb, pb + parts_of(h, pb)):
        h.blk[part >> h.g[G_BLOCK_SHIFT], BK_USED] -= h.g[G_PBP]


@kernel
def unpinnable(h, pb):
    """Whether a long-term pin must not take pages of this pageblock; gigantic: of its first one."""
    if h.pbs[pb, PS_FLAG] & GIGANTIC:
        pb = head_of(h, pb)
    b = pb >> h.g[G_BLOCK_SHIFT]
    if h.blk[b, BK_ZONE] % KINDS == MOVABLE_KIND:
        return True
    return h.blk[b, BK_ISO] != 0 and h.g[TABLE + ISOLATED_UNPINNABLE] != 0


@kernel
def pool_find(h, size, start, mask, pinnable):
    """The free folio that dequeue_huge_page_nodemask takes from the nodes of a mask, or NIL."""
    n = h.g[G_NNODES]
    for k in range(n):
        node = (start + k) % n
        if not (mask >> node) & 1:
            continue
        pb = h.zone[node * KINDS + size, Z_POOL]
        while pb != NIL:
            if not (pinnable and unpinnable(h, pb)):
                return pb
            pb = h.pb[pb, PB_NEXT]
    return NIL


@kernel
def pool_take(h, size, start, mask, pinnable):
    """dequeue_huge_page_nodemask: take that folio, if there is one."""
    pb = pool_find(h, size, start, mask, pinnable)
    if pb != NIL:
        pool_remove(h, pb)
    return pb


@kernel
def to_buddy(h, pb, cpu):
    """update_and_free_page: a folio that has left the pool; a gigantic one past the CPU's list."""
    if not h.pbs[pb, PS_FLAG] & GIGANTIC:
        free_huge(h, pb, cpu)
        return
    for part in range(pb, pb + h.g[G_GIGANTIC]):
        h.pbs[part, PS_STATE] = UNUSED
        set_flags(h, part, 0)
        free_pb(h, part)


@kernel
def free_hugetlb(h, pb, cpu):
    """free_huge_page: back to the pool, or to the buddy while the node has a surplus."""
    pool = pool_of(h, pb)
    if h.zone[pool, Z_POOL_SURPLUS] == 0:
        pool_put(h, pb)
        return
    h.zone[pool, Z_POOL_SURPLUS] -= 1
    h.zone[pool, Z_POOL_TOTAL] -= 1
    to_buddy(h, pb, cpu)


@kernel
def dissolve(h, pb):
    """dissolve_free_huge_page: a free folio goes to the buddy; False: all are reserved.

    ``pb`` is any pageblock of it.
    """
    if h.pbs[pb, PS_FLAG] & GIGANTIC:
        pb = head_of(h, pb)
    if available(h, size_of(h, pb)) == 0:
        return False
    pool_remove(h, pb)
    h.zone[pool_of(h, pb), Z_POOL_TOTAL] -= 1
    to_buddy(h, pb, NIL)
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
def reserve_folios(h, size, folios):
    """hugetlb_acct_memory of a new mapping: False when too few are free."""
    if available(h, size) < folios:
        return False
    h.g[G_RESERVED + size] += folios
    return True
