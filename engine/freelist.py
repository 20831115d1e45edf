"""Free lists of a zone by migratetype and order; what is on them, linked and unlinked.

Chunks below pageblock order are runs, larger ones pageblocks. Rules and sources as in
``engine.reference.zone``.
"""

from engine.elements import nxt, prv, set_nxt, set_prv
from engine.kernel import kernel
from engine.prefetch import prefetch
from engine.state import (
    AHEAD,
    BK_ZONE,
    FL_COUNT,
    FL_HEAD,
    FL_TAIL,
    G_BLOCK_SHIFT,
    G_MAXO,
    G_MUT,
    G_PBO,
    G_RECENT,
    NIL,
    PB_AUX,
    PB_NEXT,
    PB_PREV,
    PH_LIST,
    RS_LIST,
)


@kernel
def zone_of_pb(h, pb):
    """Zone a pageblock is online in (negative: none)."""
    return h.blk[pb >> h.g[G_BLOCK_SHIFT], BK_ZONE]


@kernel
def fl(h, z, mt, order):
    """Index of a free list."""
    return (z * 4 + mt) * (h.g[G_MAXO] + 1) + order


@kernel
def link(h, z, mt, order, ref, tail):
    """Put a chunk on a free list."""
    i = fl(h, z, mt, order)
    h.g[G_MUT] += 1
    if ref >= 0:
        h.pbh[ref, PH_LIST] = mt
    else:
        h.runb[-2 - ref, RS_LIST] = mt
    if h.fl[i, FL_HEAD] == NIL:
        h.fl[i, FL_HEAD] = ref
        h.fl[i, FL_TAIL] = ref
        set_prv(h, ref, NIL)
        set_nxt(h, ref, NIL)
    elif tail:
        last = h.fl[i, FL_TAIL]
        set_nxt(h, last, ref)
        set_prv(h, ref, last)
        set_nxt(h, ref, NIL)
        h.fl[i, FL_TAIL] = ref
    else:
        first = h.fl[i, FL_HEAD]
        set_prv(h, first, ref)
        set_nxt(h, ref, first)
        set_prv(h, ref, NIL)
        h.fl[i, FL_HEAD] = ref


@kernel
def unlink(h, z, order, ref):
    """Take a chunk off its free list."""
    mt = h.pbh[ref, PH_LIST] if ref >= 0 else h.runb[-2 - ref, RS_LIST]
    i = fl(h, z, mt, order)
    h.g[G_MUT] += 1
    p, n = prv(h, ref), nxt(h, ref)
    if p == NIL:
        h.fl[i, FL_HEAD] = n
    else:
        set_nxt(h, p, n)
    if n == NIL:
        h.fl[i, FL_TAIL] = p
    else:
        set_prv(h, n, p)


@kernel
def recent(h, z, mt, order):
    """Where in ``small`` the chunks are that came last to a list of pageblocks."""
    return h.g[G_RECENT] + ((z * 4 + mt) * 2 + order - h.g[G_PBO]) * AHEAD


@kernel
def came(h, last, count, pb, end):
    """Note that a chunk came to the head of a list of ``count`` chunks; returns how many it has.

    PB_AUX of its last pageblock (``end``) says which chunk came AHEAD before it: when it is taken,
    that one is asked for. Lists may lose chunks in the middle without notice: then it is another
    one.
    """
    slot = last + (count & (AHEAD - 1))
    h.pb[end, PB_AUX] = h.small[slot]
    h.small[slot] = pb
    return count + 1


@kernel
def goes(h, last, count, end):
    """Note that the chunk at a list's head is taken, and ask for one further down."""
    ahead = h.pb[end, PB_AUX]
    prefetch(h.pb, ahead)
    h.small[last + (count - 1 & (AHEAD - 1))] = ahead
    return count - 1


@kernel
def link_pb(h, z, mt, order, pb):
    """Put a chunk of pageblocks at the head of a list that holds only such chunks."""
    i = fl(h, z, mt, order)
    h.g[G_MUT] += 1
    h.fl[i, FL_COUNT] = came(
        h, recent(h, z, mt, order), h.fl[i, FL_COUNT], pb, pb + order - h.g[G_PBO]
    )
    h.pbh[pb, PH_LIST] = mt
    first = h.fl[i, FL_HEAD]
    h.pb[pb, PB_PREV] = NIL
    h.pb[pb, PB_NEXT] = first
    h.fl[i, FL_HEAD] = pb
    if first == NIL:
        h.fl[i, FL_TAIL] = pb
    else:
        h.pb[first, PB_PREV] = pb


@kernel
def unlink_pb(h, z, order, pb):
    """Take a chunk of pageblocks off its list."""
    mt = h.pbh[pb, PH_LIST]
    i = fl(h, z, mt, order)
    h.g[G_MUT] += 1
    p, n = h.pb[pb, PB_PREV], h.pb[pb, PB_NEXT]
    if p == NIL:
        h.fl[i, FL_COUNT] = goes(
            h, recent(h, z, mt, order), h.fl[i, FL_COUNT], pb + order - h.g[G_PBO]
        )
        h.fl[i, FL_HEAD] = n
    else:
        h.pb[p, PB_NEXT] = n
    if n == NIL:
        h.fl[i, FL_TAIL] = p
    else:
        h.pb[n, PB_PREV] = p


@kernel
def replace_first(h, z, order, old, new):
    """Put a pageblock chunk in the place of the first one of its free list."""
    mt = h.pbh[old, PH_LIST]
    i = fl(h, z, mt, order)
    n = nxt(h, old)
    h.pbh[new, PH_LIST] = mt
    set_prv(h, new, NIL)
    set_nxt(h, new, n)
    h.fl[i, FL_HEAD] = new
    if n == NIL:
        h.fl[i, FL_TAIL] = new
    else:
        set_prv(h, n, new)
