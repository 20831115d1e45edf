"""Where a list is empty: pages of another migratetype, and pageblocks that change theirs.

Rules and sources as in ``engine.reference.zone`` (__rmqueue_fallback).
"""

from engine.chunks import pop_max_chunk, set_max_chunk
from engine.enums import Counter
from engine.freelist import fl, link, unlink
from engine.kernel import kernel
from engine.pageblock import mt_of, set_mt
from engine.state import (
    AR_KIND,
    COUNTERS,
    FL_HEAD,
    FREE,
    G_MAXO,
    G_PBO,
    G_PBP,
    NIL,
    PB_AUX,
    R_ALLOC,
    RN_BNEXT,
    RN_OWN,
    RN_PB,
    RS_LEN,
    RS_ORDER,
    RS_STATE,
)

UNMOVABLE, MOVABLE, RECLAIMABLE = 0, 1, 2
STEALS = int(Counter.PAGEBLOCK_STEAL)
KERNEL_KIND, HUGETLB_KIND = 3, 4


@kernel
def fallback_type(start, i):
    """i-th type (0, 1) that a type falls back to."""
    if start == RECLAIMABLE:
        return UNMOVABLE if i == 0 else MOVABLE
    if i == 0:
        return RECLAIMABLE
    return MOVABLE if start == UNMOVABLE else UNMOVABLE


@kernel
def fallback_at(h, z, order, start):
    """Type with a chunk of this order that ``start`` may fall back to, or -1."""
    for i in range(2):
        mt = fallback_type(start, i)
        if h.fl[fl(h, z, mt, order), FL_HEAD] != NIL:
            return mt
    return -1


@kernel
def fallback(h, z, order, start):
    """__rmqueue_fallback: move a chunk or its pageblock to the wanted type."""
    for current in range(h.g[G_MAXO], order - 1, -1):
        mt = fallback_at(h, z, current, start)
        if mt < 0:
            continue
        claim = current >= h.g[G_PBO] // 2 or start != MOVABLE
        if not claim and current > order:
            for small in range(order, h.g[G_MAXO] + 1):
                mt = fallback_at(h, z, small, start)
                if mt >= 0:
                    current = small
                    claim = small >= h.g[G_PBO] // 2
                    break
        steal(h, z, h.fl[fl(h, z, mt, current), FL_HEAD], current, start, claim)
        return True
    return False


@kernel
def steal(h, z, ref, order, start, claim):
    """steal_suitable_fallback: the whole pageblock where it pays, else this chunk alone."""
    h.g[COUNTERS + STEALS] += 1
    pbo = h.g[G_PBO]
    if order >= pbo:
        if order > pbo:
            pop_max_chunk(h, z, ref)
            set_max_chunk(h, ref, 1)
            set_mt(h, ref + 1, start)
        else:
            unlink(h, z, order, ref)
        set_mt(h, ref, start)
        link(h, z, start, order, ref, True)
        return
    if claim:
        claim_pb(h, z, h.run[-2 - ref, RN_PB], start)
        return
    unlink(h, z, order, ref)
    link(h, z, start, order, ref, True)


@kernel
def claim_pb(h, z, pb, start):
    """Move a pageblock's free chunks to a type; re-type it when enough of it fits."""
    free, movable = 0, 0
    old = mt_of(h, pb)
    r = h.pb[pb, PB_AUX]
    while r != NIL:
        if h.runb[r, RS_STATE] == FREE:
            free += h.runs[r, RS_LEN]
            unlink(h, z, h.runb[r, RS_ORDER], -2 - r)
            link(h, z, start, h.runb[r, RS_ORDER], -2 - r, True)
        elif h.runb[r, RS_STATE] == R_ALLOC:
            kind = h.slot[h.run[r, RN_OWN], AR_KIND]
            if kind != KERNEL_KIND and kind != HUGETLB_KIND:
                movable += h.runs[r, RS_LEN]
        r = h.run[r, RN_BNEXT]
    if start == MOVABLE:
        alike = movable
    elif old == MOVABLE:
        alike = h.g[G_PBP] - free - movable
    else:
        alike = 0
    if free + alike >= h.g[G_PBP] // 2:
        set_mt(h, pb, start)
