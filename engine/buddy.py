"""Freeing: chunks merge with their buddies (__free_one_page).

Rules and sources as in ``engine.reference.zone``.
"""

from engine.bits import high_bit, low_bit
from engine.chunks import set_max_chunk
from engine.elements import drop_run
from engine.freebits import note_free
from engine.freelist import link, link_pb, unlink, unlink_pb, zone_of_pb
from engine.kernel import kernel, part
from engine.pageblock import mt_of, set_flags
from engine.runs import add_run_after, run_before
from engine.state import (
    BELOW,
    BK_ISO,
    BK_ZONE,
    FREE,
    G_BLOCK_SHIFT,
    G_PBO,
    G_PBP,
    MAXORDER,
    NIL,
    PB_AUX,
    PS_FLAG,
    PS_STATE,
    R_LOOSE,
    RN_BNEXT,
    RN_PB,
    RS_FLAG,
    RS_LEN,
    RS_ORDER,
    RS_START,
    RS_STATE,
    Z_FREE,
    Z_ISO,
)

ISOLATE = 3


@part
def credit(h, pb, pages):
    """Account freed pages of a pageblock."""
    b = pb >> h.g[G_BLOCK_SHIFT]
    h.zone[h.blk[b, BK_ZONE], Z_ISO if h.blk[b, BK_ISO] else Z_FREE] += pages


@kernel
def list_type(h, pb):
    """Migratetype of the list that pages of a pageblock are freed to."""
    if h.blk[pb >> h.g[G_BLOCK_SHIFT], BK_ISO]:
        return ISOLATE
    return mt_of(h, pb)


@kernel
def is_free_pb(h, pb, z):
    """Whether a pageblock is a free chunk of exactly pageblock order in zone z."""
    return (
        h.pbs[pb, PS_STATE] == FREE and not h.pbs[pb, PS_FLAG] & MAXORDER and zone_of_pb(h, pb) == z
    )


@kernel
def insert_pb(h, pb):
    """A wholly free pageblock: merge with its buddy, put on the list (already accounted)."""
    z = zone_of_pb(h, pb)
    mt = list_type(h, pb)
    order = h.g[G_PBO]
    buddy = pb ^ 1
    if is_free_pb(h, buddy, z):
        unlink_pb(h, z, order, buddy)
        head = min(pb, buddy)
        set_max_chunk(h, head, 1)
        link_pb(h, z, mt, order + 1, head)
        return
    set_free_pb(h, pb)
    link_pb(h, z, mt, order, pb)


@kernel
def set_free_pb(h, pb):
    """Mark a pageblock as a free chunk of its own order."""
    h.pbs[pb, PS_STATE] = FREE
    set_flags(h, pb, 0)


@kernel
def free_pb(h, pb):
    """Free a whole pageblock that is on no list."""
    credit(h, pb, h.g[G_PBP])
    insert_pb(h, pb)


@part
def find_below(h, pb, r):
    """Find the free runs below a run that are its buddies at some order: BELOW + order, or NIL."""
    start = h.runs[r, RS_START]
    for order in range(h.g[G_PBO]):
        h.g[BELOW + order] = NIL
    q = h.pb[pb, PB_AUX]
    while q != r:
        if h.runb[q, RS_STATE] == FREE:
            order = h.runb[q, RS_ORDER]
            if h.runs[q, RS_START] == ((start >> order) - 1) << order:
                h.g[BELOW + order] = q
        q = h.run[q, RN_BNEXT]


@kernel
def free_above(h, r, start, order):
    """Free run of exactly this order that begins at an offset above ``r``, NIL if none."""
    q = h.run[r, RN_BNEXT]
    while q != NIL and h.runs[q, RS_START] < start:
        q = h.run[q, RN_BNEXT]
    if q != NIL and h.runs[q, RS_START] == start:
        if h.runb[q, RS_STATE] == FREE and h.runb[q, RS_ORDER] == order:
            return q
    return NIL


@part
def merge_likely(h, z, pb, r, order):
    """buddy_merge_likely: the parent's buddy is free already. Needs ``find_below``."""
    parent = order + 1
    if parent == h.g[G_PBO]:
        return is_free_pb(h, pb ^ 1, z)
    start = h.runs[r, RS_START] >> parent
    if start & 1:
        return h.g[BELOW + parent] != NIL
    return free_above(h, r, (start + 1) << parent, parent) != NIL


@kernel
def free_piece(h, r, order):
    """__free_one_page of an aligned run of 2**order pages; credits and merges it.

    Something else of its pageblock is in use (``free_last`` frees the others).
    """
    pb = h.run[r, RN_PB]
    z = zone_of_pb(h, pb)
    credit(h, pb, 1 << order)
    find_below(h, pb, r)
    while True:
        if h.runs[r, RS_START] >> order & 1:
            b = h.g[BELOW + order]
            if b == NIL:
                break
            unlink(h, z, order, -2 - b)
            h.run[b, RN_BNEXT] = h.run[r, RN_BNEXT]
            drop_run(h, r)
            r = b
        else:
            b = free_above(h, r, h.runs[r, RS_START] + (1 << order), order)
            if b == NIL:
                break
            unlink(h, z, order, -2 - b)
            h.run[r, RN_BNEXT] = h.run[b, RN_BNEXT]
            drop_run(h, b)
        order += 1
        h.runs[r, RS_LEN] = 1 << order
    h.runb[r, RS_STATE] = FREE
    h.runb[r, RS_ORDER] = order
    h.runs[r, RS_LEN] = 1 << order
    note_free(h, pb)
    tail = merge_likely(h, z, pb, r, order)
    link(h, z, list_type(h, pb), order, -2 - r, tail)


@part
def is_last(h, r):
    """Whether all of a run's pageblock is free but for the run itself."""
    q = h.pb[h.run[r, RN_PB], PB_AUX]
    while q != NIL and (q == r or h.runb[q, RS_STATE] == FREE):
        q = h.run[q, RN_BNEXT]
    return q == NIL


@kernel
def free_last(h, r):
    """Free a run whose pageblock is free but for it: however its pages merge, one chunk is left."""
    pb = h.run[r, RN_PB]
    z = zone_of_pb(h, pb)
    credit(h, pb, h.runs[r, RS_LEN])
    q = h.pb[pb, PB_AUX]
    while q != NIL:
        above = h.run[q, RN_BNEXT]
        if q != r:
            unlink(h, z, h.runb[q, RS_ORDER], -2 - q)
        drop_run(h, q)
        q = above
    insert_pb(h, pb)


@part
def stays_alone(h, r):
    """Whether a page that is freed merges with nothing, nor is likely to, by its neighbours alone.

    Of the four pages around it that are an aligned chunk: its buddy is in use, and so is that one
    of the other two that lies nearer. Their runs tell, where they reach so far.
    """
    start = h.runs[r, RS_START]
    down = (start & 3) + 1 >> 1
    above = h.run[r, RN_BNEXT]
    if down < 2 and not in_use(h, above, start + 2 - down):
        return False
    return down == 0 or in_use(h, run_before(h, r), start - down)


@part
def in_use(h, q, offset):
    """Whether a run (NIL: none) that is not free covers a page of its pageblock."""
    if q == NIL or h.runb[q, RS_STATE] == FREE:
        return False
    first = h.runs[q, RS_START]
    return first <= offset and offset < first + h.runs[q, RS_LEN]


@part
def free_alone(h, r):
    """Free a page that ``stays_alone``."""
    pb = h.run[r, RN_PB]
    credit(h, pb, 1)
    h.runb[r, RS_STATE] = FREE
    h.runb[r, RS_ORDER] = 0
    note_free(h, pb)
    link(h, zone_of_pb(h, pb), list_type(h, pb), 0, -2 - r, False)


@kernel
def free_loose(h, r, ascending):
    """Free a loose run page by page in the given direction (in aligned pieces)."""
    h.runb[r, RS_STATE] = R_LOOSE
    h.runb[r, RS_FLAG] = 0
    if h.runs[r, RS_LEN] == 1 and h.g[G_PBO] > 1 and stays_alone(h, r):
        free_alone(h, r)
        return
    if is_last(h, r):
        free_last(h, r)
        return
    pbo = h.g[G_PBO]
    while True:
        start, pages = h.runs[r, RS_START], h.runs[r, RS_LEN]
        if ascending:
            order = min(low_bit(start | 1 << pbo), high_bit(pages))
            size = 1 << order
            if size == pages:
                free_piece(h, r, order)
                return
            rest = add_run_after(h, r, start + size, pages - size)
            h.runb[rest, RS_STATE] = R_LOOSE
            h.runs[r, RS_LEN] = size
            free_piece(h, r, order)
            r = rest
        else:
            order = min(low_bit(start + pages), high_bit(pages))
            size = 1 << order
            if size == pages:
                free_piece(h, r, order)
                return
            top = add_run_after(h, r, start + pages - size, size)
            h.runb[top, RS_STATE] = R_LOOSE
            h.runs[r, RS_LEN] = pages - size
            free_piece(h, top, order)
