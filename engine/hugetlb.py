"""nr_hugepages of a fast host: the pool grows and shrinks, page by page over its nodes.

Rules and sources as in ``engine.reference.hugetlb``.
"""

from engine.allocate import alloc_huge, request
from engine.enums import Cell, Counter, Errno
from engine.hugepool import persistent, pool_put, pool_remove, pool_sum
from engine.kernel import kernel
from engine.percpu import free_huge
from engine.state import (
    COUNTERS,
    G_NCPUS,
    G_NNODES,
    G_PBO,
    G_PBP,
    G_RESERVED,
    G_TURN_ALLOC,
    G_TURN_FREE,
    NIL,
    PB_NEXT,
    T_PAGES,
    TABLE,
    Z_POOL,
    Z_POOL_ADDED,
    Z_POOL_FREE,
    Z_POOL_SURPLUS,
    Z_POOL_TOTAL,
    Z_PRESENT,
)

KINDS = 3
OK, EINVAL, ENOMEM = 0, int(Errno.EINVAL), int(Errno.ENOMEM)
BUDDY_SUCCESS = int(Counter.HTLB_BUDDY_ALLOC_SUCCESS)
BUDDY_FAIL = int(Counter.HTLB_BUDDY_ALLOC_FAIL)
BATCHED = int(Cell.HUGETLB_POOL_BATCHED)


@kernel
def count_fresh(h, pb):
    """Account a try to get a fresh huge page."""
    h.g[COUNTERS + (BUDDY_FAIL if pb == NIL else BUDDY_SUCCESS)] += 1


@kernel
def add_fresh(h, node):
    """alloc_fresh_huge_page on one node, which joins its pool; False: there was none."""
    request(h, node, 1 << node, True, 0, -1, False)
    pb = alloc_huge(h, h.g[G_PBO])
    count_fresh(h, pb)
    if pb == NIL:
        return False
    pool_put(h, pb)
    h.zone[node * KINDS, Z_POOL_TOTAL] += 1
    h.zone[node * KINDS, Z_POOL_ADDED] += 1
    h.g[T_PAGES] += h.g[G_PBP]
    return True


@kernel
def begin_adding(h):
    """Nothing was added yet."""
    for node in range(h.g[G_NNODES]):
        h.zone[node * KINDS, Z_POOL_ADDED] = 0


@kernel
def end_adding(h):
    """What joined in one batch (since 6.7) did so last page first: turn the lists' heads over."""
    if not h.g[TABLE + BATCHED]:
        return
    for node in range(h.g[G_NNODES]):
        first = h.zone[node * KINDS, Z_POOL]
        done, pb = NIL, first
        for _ in range(h.zone[node * KINDS, Z_POOL_ADDED]):
            following = h.pb[pb, PB_NEXT]
            h.pb[pb, PB_NEXT] = done
            done, pb = pb, following
        if done != NIL:
            h.pb[first, PB_NEXT] = pb
            h.zone[node * KINDS, Z_POOL] = done


@kernel
def grow_pool(h, node, folios):
    """POOL: add to nr_hugepages of a node; ENOMEM when it falls short (what fits stays)."""
    if not 0 <= node < h.g[G_NNODES] or folios <= 0:
        return EINVAL
    begin_adding(h)
    done = 0
    while done < folios and add_fresh(h, node):
        done += 1
    end_adding(h)
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
def add_in_turn(h, only):
    """alloc_pool_huge_page: from the next node in turn that has one."""
    for _ in range(nr_allowed(h, only)):
        if add_fresh(h, next_in_turn(h, G_TURN_ALLOC, only)):
            return True
    return False


@kernel
def shrink_by_one(h, only, cpu):
    """free_pool_huge_page: the head of the next node's list goes to the buddy."""
    for _ in range(nr_allowed(h, only)):
        node = next_in_turn(h, G_TURN_FREE, only)
        pb = h.zone[node * KINDS, Z_POOL]
        if pb != NIL:
            pool_remove(h, pb)
            h.zone[node * KINDS, Z_POOL_TOTAL] -= 1
            free_huge(h, pb, cpu)
            return True
    return False


@kernel
def shift_surplus(h, only, delta):
    """adjust_pool_surplus: one page of the next node becomes surplus, or persistent again."""
    for _ in range(nr_allowed(h, only)):
        node = next_in_turn(h, G_TURN_ALLOC if delta < 0 else G_TURN_FREE, only)
        surplus = h.zone[node * KINDS, Z_POOL_SURPLUS]
        limit = h.zone[node * KINDS, Z_POOL_TOTAL]
        if (surplus > 0) if delta < 0 else (surplus < limit):
            h.zone[node * KINDS, Z_POOL_SURPLUS] += delta
            return True
    return False


@kernel
def set_pool(h, only, folios, cpu):
    """NR_HUGEPAGES: write nr_hugepages, of one node or (-1) all."""
    if not -1 <= only < h.g[G_NNODES] or folios < 0 or cpu >= h.g[G_NCPUS]:
        return EINVAL
    count = folios
    if only >= 0:
        count += pool_sum(h, Z_POOL_TOTAL) - h.zone[only * KINDS, Z_POOL_TOTAL]
    while count > persistent(h) and shift_surplus(h, only, -1):
        pass
    begin_adding(h)
    while count > persistent(h) and add_in_turn(h, only):
        pass
    end_adding(h)
    needed = h.g[G_RESERVED] + pool_sum(h, Z_POOL_TOTAL) - pool_sum(h, Z_POOL_FREE)
    while max(count, needed) < persistent(h) and shrink_by_one(h, only, cpu):
        pass
    while count < persistent(h) and shift_surplus(h, only, 1):
        pass
    h.g[T_PAGES] = persistent(h) * h.g[G_PBP]
    return OK
