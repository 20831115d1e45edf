"""Taking from the free lists: the smallest chunk that is large enough, its rest given back.

Rules and sources as in ``engine.reference.zone`` (__rmqueue_smallest, expand).
"""

from engine.bits import high_bit, low_bit
from engine.buddy import set_free_pb
from engine.chunks import pop_max_chunk
from engine.fallback import fallback
from engine.freebits import note_free
from engine.freelist import fl, link, link_pb, unlink, unlink_pb
from engine.kernel import kernel
from engine.runs import add_run_after, start_split
from engine.state import (
    FL_HEAD,
    FREE,
    G_MAXO,
    G_PBO,
    G_PBP,
    NIL,
    PB_AUX,
    PS_STATE,
    R_LOOSE,
    RN_CNT,
    RS_FLAG,
    RS_LEN,
    RS_ORDER,
    RS_START,
    RS_STATE,
    UNIFORM,
    Z_FREE,
)


@kernel
def free_rest(h, z, mt, r, start, end):
    """Give back what an allocation leaves of a chunk: ascending pieces, each to its list's head."""
    while start < end:
        order = min(low_bit(start | 1 << h.g[G_PBO]), high_bit(end - start))
        r = add_run_after(h, r, start, 1 << order)
        h.runb[r, RS_STATE] = FREE
        h.runb[r, RS_ORDER] = order
        link(h, z, mt, order, -2 - r, False)
        start += 1 << order


@kernel
def pop_pb(h, z, mt, order):
    """Take the first chunk of a pageblock-order or maximal list; keeps the low pageblock."""
    pb = h.fl[fl(h, z, mt, order), FL_HEAD]
    if order == h.g[G_PBO]:
        unlink_pb(h, z, order, pb)
        return pb
    pop_max_chunk(h, z, pb)
    set_free_pb(h, pb + 1)
    link_pb(h, z, mt, order - 1, pb + 1)
    return pb


@kernel
def smallest(h, z, mt, order):
    """Smallest order from ``order`` on with a chunk of this type, or -1."""
    i = fl(h, z, mt, 0)
    for o in range(order, h.g[G_MAXO] + 1):
        if h.fl[i + o, FL_HEAD] != NIL:
            return o
    return -1


@kernel
def take_pages(h, z, mt, n):
    """Take up to n base pages that lie together, as order-0 allocations in a row would.

    Returns a loose run, a pageblock (state UNIFORM, on no list), or NIL when the zone is empty.
    """
    order = smallest(h, z, mt, 0)
    while order < 0:
        if not fallback(h, z, 0, mt):
            return NIL
        order = smallest(h, z, mt, 0)
    if order < h.g[G_PBO]:
        ref = h.fl[fl(h, z, mt, order), FL_HEAD]
        r = -2 - ref
        unlink(h, z, order, ref)
        size = 1 << order
        h.runb[r, RS_STATE] = R_LOOSE
        h.runb[r, RS_FLAG] = 0
        h.run[r, RN_CNT] = 0
        if n < size:
            start = h.runs[r, RS_START]
            h.runs[r, RS_LEN] = n
            free_rest(h, z, mt, r, start + n, start + size)
            size = n
        h.zone[z, Z_FREE] -= size
        return ref
    pb = pop_pb(h, z, mt, order)
    size = h.g[G_PBP]
    if n >= size:
        h.zone[z, Z_FREE] -= size
        h.pbs[pb, PS_STATE] = UNIFORM
        h.pb[pb, PB_AUX] = 0
        return pb
    r = start_split(h, pb, R_LOOSE)
    h.runs[r, RS_LEN] = n
    note_free(h, pb)
    free_rest(h, z, mt, r, n, size)
    h.zone[z, Z_FREE] -= n
    return -2 - r


@kernel
def take_huge(h, z, mt):
    """Take a pageblock for a huge folio; -1 when no chunk is large enough."""
    pbo = h.g[G_PBO]
    order = smallest(h, z, mt, pbo)
    while order < 0:
        if not fallback(h, z, pbo, mt):
            return NIL
        order = smallest(h, z, mt, pbo)
    pb = pop_pb(h, z, mt, order)
    h.zone[z, Z_FREE] -= h.g[G_PBP]
    return pb
