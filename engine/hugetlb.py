"""nr_hugepages of a fast host: the pools grow and shrink, page by page over their nodes.

Rules and sources as in ``engine.reference.hugetlb``.
"""

from engine.allocate import alloc_huge, request
from engine.chunks import row_over, single_out
from engine.enums import Cell, Counter, Errno, PoolSize
from engine.freelist import unlink
from engine.hugepool import parts_of, persistent, pool_put, pool_remove, pool_sum, to_buddy
from engine.kernel import kernel
from engine.pageblock import set_flags, set_mt
from engine.percpu import drain_zone
from engine.state import (
    BK_ISO,
    BK_NODE,
    BK_RESERVED,
    BK_USED,
    BK_ZONE,
    COUNTERS,
    FOLIO,
    FREE,
    G_BLOCK_PBS,
    G_BLOCK_SHIFT,
    G_GIGANTIC,
    G_NBLOCKS,
    G_NCPUS,
    G_NNODES,
    G_PBO,
    G_PBP,
    G_RESERVED,
    G_TURN_ALLOC,
    G_TURN_FREE,
    GIGANTIC,
    MAXORDER,
    NIL,
    PB_AUX,
    PB_NEXT,
    PS_FLAG,
    PS_STATE,
    R_ALLOC,
    RN_BNEXT,
    RS_STATE,
    SPLIT,
    T_PAGES,
    TABLE,
    UNIFORM,
    Z_FREE,
    Z_POOL,
    Z_POOL_ADDED,
    Z_POOL_FREE,
    Z_POOL_SURPLUS,
    Z_POOL_TOTAL,
    Z_PRESENT,
)

KINDS, MOVABLE_KIND, MOVABLE = 3, 2, 1
OK, EINVAL, ENOMEM = 0, int(Errno.EINVAL), int(Errno.ENOMEM)
BUDDY_SUCCESS = int(Counter.HTLB_BUDDY_ALLOC_SUCCESS)
BUDDY_FAIL = int(Counter.HTLB_BUDDY_ALLOC_FAIL)
BATCHED = int(Cell.HUGETLB_POOL_BATCHED)
SIZES = len(PoolSize)


# -- gigantic pages -------------------------------------------------------------------------------


@kernel
def unused(h, pb):
    """Whether nobody has a page of a pageblock; pages on per-CPU lists are nobody's."""
    state = h.pbs[pb, PS_STATE]
    if state == SPLIT:
        r = h.pb[pb, PB_AUX]
        while r != NIL:
            if h.runb[r, RS_STATE] == R_ALLOC:
                return False
            r = h.run[r, RN_BNEXT]
    return state != UNIFORM and state != FOLIO


@kernel
def all_free(h, z, first):
    """Whether a gigantic range lies in a zone, is not being isolated, and nobody has a page of it.

    Block by block where the range covers whole blocks, and otherwise by its pageblocks.
    """
    last = first + h.g[G_GIGANTIC] - 1
    used = 0
    for b in range(first >> h.g[G_BLOCK_SHIFT], (last >> h.g[G_BLOCK_SHIFT]) + 1):
        if b >= h.g[G_NBLOCKS] or h.blk[b, BK_ZONE] != z or h.blk[b, BK_ISO]:
            return False
        reserved = h.blk[b, BK_RESERVED]
        if reserved and first < b * h.g[G_BLOCK_PBS] + reserved:
            return False
        used += h.blk[b, BK_USED]
    if used == 0 or h.g[G_GIGANTIC] >= h.g[G_BLOCK_PBS]:
        return used == 0
    for pb in range(first, last + 1):
        if not unused(h, pb):
            return False
    return True


@kernel
def take_range(h, z, first):
    """alloc_contig_range of a free range, which becomes a gigantic folio that nobody has."""
    drain_zone(h, z)
    pb, end = first, first + h.g[G_GIGANTIC]
    while pb < end:
        if h.pbs[pb, PS_STATE] != FREE:
            single_out(h, z, pb, row_over(h, pb))
        top = (h.pbs[pb, PS_FLAG] & MAXORDER) != 0
        if top and h.pb[pb, PB_AUX] > 1:
            single_out(h, z, pb, pb)
        unlink(h, z, h.g[G_PBO] + (1 if top else 0), pb)
        pb += 2 if top else 1
    for pb in range(first, end):
        h.pbs[pb, PS_STATE] = FOLIO
        set_flags(h, pb, GIGANTIC)
        set_mt(h, pb, MOVABLE)
        h.pb[pb, PB_AUX] = 0
    h.zone[z, Z_FREE] -= h.g[G_GIGANTIC] * h.g[G_PBP]
    return first


@kernel
def fresh_gigantic(h, node):
    """alloc_contig_pages on one node: the first range of ZONE_NORMAL, else of DMA32; or NIL."""
    for kind in range(MOVABLE_KIND - 1, -1, -1):
        z = node * KINDS + kind
        if h.zone[z, Z_PRESENT] == 0:
            continue
        for first in range(0, len(h.pb), h.g[G_GIGANTIC]):
            if h.blk[first >> h.g[G_BLOCK_SHIFT], BK_ZONE] == z and all_free(h, z, first):
                return take_range(h, z, first)
    return NIL


@kernel
def boot_gigantic(h, node):
    """alloc_bootmem_huge_page: memblock gives the highest range of the kernel zones; or NIL."""
    first = len(h.pb) // h.g[G_GIGANTIC] * h.g[G_GIGANTIC]
    while first > 0:
        first -= h.g[G_GIGANTIC]
        b = first >> h.g[G_BLOCK_SHIFT]
        z = h.blk[b, BK_ZONE]
        if z < 0 or h.blk[b, BK_NODE] != node or z % KINDS == MOVABLE_KIND:
            continue
        if all_free(h, z, first):
            return take_range(h, z, first)
    return NIL


# -- size -----------------------------------------------------------------------------------------


@kernel
def count_fresh(h, pb):
    """Account a try to get a fresh huge page."""
    h.g[COUNTERS + (BUDDY_FAIL if pb == NIL else BUDDY_SUCCESS)] += 1


@kernel
def fresh_huge(h, node):
    """alloc_fresh_huge_page on one node, NIL if there is none."""
    request(h, node, 1 << node, True, 0, -1, False)
    pb = alloc_huge(h, h.g[G_PBO])
    count_fresh(h, pb)
    return pb


@kernel
def add_fresh(h, size, node, boot):
    """A fresh page of a node, at boot or later, joins its pool; False: there was none."""
    if size == 0:
        pb = fresh_huge(h, node)
    else:
        pb = boot_gigantic(h, node) if boot else fresh_gigantic(h, node)
    if pb == NIL:
        return False
    pool_put(h, pb)
    h.zone[node * KINDS + size, Z_POOL_TOTAL] += 1
    h.zone[node * KINDS + size, Z_POOL_ADDED] += 1
    h.g[T_PAGES] += parts_of(h, pb) * h.g[G_PBP]
    return True


@kernel
def begin_adding(h, size):
    """Nothing was added yet."""
    for node in range(h.g[G_NNODES]):
        h.zone[node * KINDS + size, Z_POOL_ADDED] = 0


@kernel
def turn_over(h, size):
    """Turn over what was added to the lists: as if it had joined last page first."""
    for node in range(h.g[G_NNODES]):
        row = node * KINDS + size
        first = h.zone[row, Z_POOL]
        done, pb = NIL, first
        for _ in range(h.zone[row, Z_POOL_ADDED]):
            following = h.pb[pb, PB_NEXT]
            h.pb[pb, PB_NEXT] = done
            done, pb = pb, following
        if done != NIL:
            h.pb[first, PB_NEXT] = pb
            h.zone[row, Z_POOL] = done


@kernel
def grow_pool(h, node, folios, size):
    """POOL: add to nr_hugepages of a node; ENOMEM when it falls short (what fits stays)."""
    if not 0 <= node < h.g[G_NNODES] or folios <= 0 or not 0 <= size < SIZES:
        return EINVAL
    begin_adding(h, size)
    done = 0
    while done < folios and add_fresh(h, size, node, True):
        done += 1
    if (h.g[TABLE + BATCHED] != 0) != (size != 0):  # a list of boot is turned over once more
        turn_over(h, size)
    return OK if done == folios else ENOMEM


@kernel
def allowed(h, only, node):
    """Whether a node takes part: the stated one, or any with memory."""
    if only >= 0:
        return node == only
    present = 0
    for kind in range(KINDS):
        present += h.zone[node * KINDS + kind, Z_PRESENT]
    return present > 0


@kernel
def nr_allowed(h, only):
    """Number of nodes that take part."""
    n = 0
    for node in range(h.g[G_NNODES]):
        n += allowed(h, only, node)
    return n


@kernel
def next_in_turn(h, turn, only):
    """hstate_next_node_to_alloc, _to_free: the node whose turn it is; the next one's is next."""
    n = h.g[G_NNODES]
    node = h.g[turn]
    while not allowed(h, only, node):
        node = (node + 1) % n
    following = (node + 1) % n
    while not allowed(h, only, following):
        following = (following + 1) % n
    h.g[turn] = following
    return node


@kernel
def add_in_turn(h, size, only):
    """alloc_pool_huge_page: from the next node in turn that has one."""
    for _ in range(nr_allowed(h, only)):
        if add_fresh(h, size, next_in_turn(h, G_TURN_ALLOC + size, only), False):
            return True
    return False


@kernel
def shrink_by_one(h, size, only, cpu):
    """free_pool_huge_page: the head of the next node's list goes to the buddy."""
    for _ in range(nr_allowed(h, only)):
        row = next_in_turn(h, G_TURN_FREE + size, only) * KINDS + size
        pb = h.zone[row, Z_POOL]
        if pb != NIL:
            pool_remove(h, pb)
            h.zone[row, Z_POOL_TOTAL] -= 1
            to_buddy(h, pb, cpu)
            return True
    return False


@kernel
def shift_surplus(h, size, only, delta):
    """adjust_pool_surplus: one page of the next node becomes surplus, or persistent again."""
    for _ in range(nr_allowed(h, only)):
        turn = G_TURN_ALLOC if delta < 0 else G_TURN_FREE
        row = next_in_turn(h, turn + size, only) * KINDS + size
        surplus = h.zone[row, Z_POOL_SURPLUS]
        limit = h.zone[row, Z_POOL_TOTAL]
        if (surplus > 0) if delta < 0 else (surplus < limit):
            h.zone[row, Z_POOL_SURPLUS] += delta
            return True
    return False


@kernel
def set_pool(h, only, folios, cpu, size):
    """NR_HUGEPAGES: write nr_hugepages, of one node or (-1) all."""
    if not -1 <= only < h.g[G_NNODES] or folios < 0 or cpu >= h.g[G_NCPUS]:
        return EINVAL
    if not 0 <= size < SIZES:
        return EINVAL
    count = folios
    if only >= 0:
        count += pool_sum(h, size, Z_POOL_TOTAL) - h.zone[only * KINDS + size, Z_POOL_TOTAL]
    while count > persistent(h, size) and shift_surplus(h, size, only, -1):
        pass
    begin_adding(h, size)
    while count > persistent(h, size) and add_in_turn(h, size, only):
        pass
    if h.g[TABLE + BATCHED]:  # since 6.7 they join in one batch, last page first
        turn_over(h, size)
    used = pool_sum(h, size, Z_POOL_TOTAL) - pool_sum(h, size, Z_POOL_FREE)
    needed = h.g[G_RESERVED + size] + used
    while max(count, needed) < persistent(h, size) and shrink_by_one(h, size, only, cpu):
        pass
    while count < persistent(h, size) and shift_surplus(h, size, only, 1):
        pass
    h.g[T_PAGES] = persistent(h, size) * h.g[G_PBP] * (h.g[G_GIGANTIC] if size else 1)
    return OK
