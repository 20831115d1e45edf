"""Free lists of a zone: the buddy's order semantics on chunks and pageblocks.

Rules and sources as in ``engine.reference.zone``. Chunks below pageblock order are runs, larger
ones pageblocks. A maximal chunk on a list may stand for several in a row (``pb_aux`` of them):
that is how memory which was never used costs nothing.
"""

from engine.bits import high_bit, low_bit
from engine.elements import (
    add_run_after,
    drop_run,
    nxt,
    prv,
    set_nxt,
    set_prv,
    start_split,
)
from engine.enums import Counter
from engine.kernel import kernel
from engine.pageblock import mt_of, set_flags, set_mt
from engine.prefetch import prefetch
from engine.state import (
    AHEAD,
    AR_KIND,
    BELOW,
    BK_ISO,
    BK_ZONE,
    COUNTERS,
    FL_COUNT,
    FL_HEAD,
    FL_TAIL,
    FREE,
    G_BLOCK_PBS,
    G_BLOCK_SHIFT,
    G_MAXO,
    G_MUT,
    G_NRANGES,
    G_PBO,
    G_PBP,
    G_RECENT,
    MAXORDER,
    NIL,
    PB_AUX,
    PB_NEXT,
    PB_PREV,
    PH_LIST,
    PS_FLAG,
    PS_STATE,
    R_ALLOC,
    R_LOOSE,
    RANGES,
    RN_BNEXT,
    RN_CNT,
    RN_OWN,
    RN_PB,
    RS_FLAG,
    RS_LEN,
    RS_LIST,
    RS_ORDER,
    RS_START,
    RS_STATE,
    SPLIT,
    UNIFORM,
    UNUSED,
    Z_FREE,
    Z_ISO,
)

UNMOVABLE, MOVABLE, RECLAIMABLE, ISOLATE = 0, 1, 2, 3
STEALS = int(Counter.PAGEBLOCK_STEAL)
KERNEL_KIND, HUGETLB_KIND = 3, 4


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


# -- maximal chunks in a row ----------------------------------------------------------------------


@kernel
def note_range(h, old, new):
    """Keep the table of rows: ``old`` head becomes ``new`` (NIL: gone); NIL old: added."""
    n = h.g[G_NRANGES]
    if old == NIL:
        if n < RANGES:
            h.small[n] = new
            h.g[G_NRANGES] += 1
            return True
        return False
    for i in range(n):
        if h.small[i] == old:
            if new == NIL:
                h.small[i] = h.small[n - 1]
                h.g[G_NRANGES] -= 1
            else:
                h.small[i] = new
            return True
    return False


@kernel
def set_max_chunk(h, pb, row):
    """Mark a pageblock as head of ``row`` free maximal chunks."""
    h.pbs[pb, PS_STATE] = FREE
    set_flags(h, pb, MAXORDER)
    h.pb[pb, PB_AUX] = row
    if row == 1:
        h.pbs[pb + 1, PS_STATE] = UNUSED


@kernel
def add_row(h, z, mt, pb, row):
    """Put ``row`` maximal chunks from ``pb`` on, ascending, at the tail of a list."""
    order = h.g[G_MAXO]
    if row > 1 and note_range(h, NIL, pb):
        set_max_chunk(h, pb, row)
        link(h, z, mt, order, pb, True)
        return
    for i in range(row):
        set_max_chunk(h, pb + 2 * i, 1)
        link(h, z, mt, order, pb + 2 * i, True)


@kernel
def pop_max_chunk(h, z, pb):
    """Take the first maximal chunk of the row that ``pb``, the first of its list, heads."""
    row = h.pb[pb, PB_AUX]
    order = h.g[G_MAXO]
    if row == 1:
        unlink_pb(h, z, order, pb)
        return
    h.g[G_MUT] += 1
    set_max_chunk(h, pb + 2, row - 1)
    replace_first(h, z, order, pb, pb + 2)
    note_range(h, pb, pb + 2 if row > 2 else NIL)
    h.pbs[pb + 1, PS_STATE] = UNUSED


@kernel
def single_out(h, z, pb, row_head):
    """Give the chunk at ``pb``, inside the row of ``row_head``, a list entry of its own."""
    order = h.g[G_MAXO]
    row = h.pb[row_head, PB_AUX]
    before = (pb - row_head) // 2
    after = row - before - 1
    mt = h.pbh[row_head, PH_LIST]
    i = fl(h, z, mt, order)
    if row == 1:
        return
    note_range(h, row_head, row_head if before > 1 else NIL)
    if before > 0:
        set_max_chunk(h, row_head, before)
        insert_after(h, i, row_head, pb, mt)
    set_max_chunk(h, pb, 1)
    if after == 0:
        return
    rest = pb + 2
    if after == 1 or note_range(h, NIL, rest):
        set_max_chunk(h, rest, after)
        insert_after(h, i, pb, rest, mt)
        return
    last = pb
    for k in range(after):
        set_max_chunk(h, rest + 2 * k, 1)
        insert_after(h, i, last, rest + 2 * k, mt)
        last = rest + 2 * k


@kernel
def insert_after(h, i, ref, new, mt):
    """Put a pageblock chunk behind another on list ``i``."""
    n = nxt(h, ref)
    h.pbh[new, PH_LIST] = mt
    set_prv(h, new, ref)
    set_nxt(h, new, n)
    set_nxt(h, ref, new)
    if n == NIL:
        h.fl[i, FL_TAIL] = new
    else:
        set_prv(h, n, new)


@kernel
def row_over(h, pb):
    """Head of the row of two or more maximal chunks that covers ``pb``, or NIL."""
    for i in range(h.g[G_NRANGES]):
        head = h.small[i]
        if head <= pb < head + 2 * h.pb[head, PB_AUX]:
            return head
    return NIL


# -- freeing --------------------------------------------------------------------------------------


@kernel
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


@kernel
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


@kernel
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
    """__free_one_page of an aligned run of 2**order pages; credits and merges it."""
    pb = h.run[r, RN_PB]
    z = zone_of_pb(h, pb)
    credit(h, pb, 1 << order)
    find_below(h, pb, r)
    while order < h.g[G_PBO]:
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
    if order == h.g[G_PBO]:
        drop_run(h, r)
        insert_pb(h, pb)
        return
    h.runb[r, RS_STATE] = FREE
    h.runb[r, RS_ORDER] = order
    h.runs[r, RS_LEN] = 1 << order
    tail = merge_likely(h, z, pb, r, order)
    link(h, z, list_type(h, pb), order, -2 - r, tail)


@kernel
def free_loose(h, r, ascending):
    """Free a loose run page by page in the given direction (in aligned pieces)."""
    h.runb[r, RS_STATE] = R_LOOSE
    h.runb[r, RS_FLAG] = 0
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


# -- taking ---------------------------------------------------------------------------------------


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


# -- isolation ------------------------------------------------------------------------------------


@kernel
def relist(h, b, to_isolate):
    """Move every free chunk of a memory block to the isolate lists, or back to its type's tail."""
    pbs = h.g[G_BLOCK_PBS]
    z = h.blk[b, BK_ZONE]
    pbo = h.g[G_PBO]
    pb = b * pbs
    end = pb + pbs
    moved = 0
    while pb < end:
        state = h.pbs[pb, PS_STATE]
        if state == UNUSED:
            head = row_over(h, pb)
            if head != NIL:
                single_out(h, z, pb, head)
                state = FREE
        if state == FREE:
            top = (h.pbs[pb, PS_FLAG] & MAXORDER) != 0
            if top and h.pb[pb, PB_AUX] > 1:
                single_out(h, z, pb, pb)
            order = pbo + 1 if top else pbo
            unlink(h, z, order, pb)
            link(h, z, ISOLATE if to_isolate else mt_of(h, pb), order, pb, True)
            moved += 1 << order
            pb += 2 if top else 1
            continue
        if state == SPLIT:
            r = h.pb[pb, PB_AUX]
            while r != NIL:
                if h.runb[r, RS_STATE] == FREE:
                    unlink(h, z, h.runb[r, RS_ORDER], -2 - r)
                    mt = ISOLATE if to_isolate else mt_of(h, pb)
                    link(h, z, mt, h.runb[r, RS_ORDER], -2 - r, True)
                    moved += h.runs[r, RS_LEN]
                r = h.run[r, RN_BNEXT]
        pb += 1
    sign = -1 if to_isolate else 1
    h.zone[z, Z_FREE] += sign * moved
    h.zone[z, Z_ISO] -= sign * moved


@kernel
def unlist(h, b):
    """Take a wholly free, isolated block off the isolate lists; returns its pages."""
    pbs = h.g[G_BLOCK_PBS]
    z = h.blk[b, BK_ZONE]
    pbo = h.g[G_PBO]
    pb = b * pbs
    end = pb + pbs
    pages = 0
    while pb < end:
        if h.pbs[pb, PS_STATE] != FREE:
            pb += 1
            continue
        top = (h.pbs[pb, PS_FLAG] & MAXORDER) != 0
        order = pbo + 1 if top else pbo
        unlink(h, z, order, pb)
        h.pbs[pb, PS_STATE] = UNUSED
        pages += 1 << order
        pb += 2 if top else 1
    return pages
