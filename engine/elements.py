"""Elements: pageblocks and runs, their chains in areas, their order inside a pageblock.

An area is a doubly linked chain of elements in virtual order that always covers the whole area:
uniform pageblocks, huge folios, runs of base pages, and holes. A position in an area is found by
walking from the last one used, so work along an area is linear.
"""

from engine.kernel import kernel
from engine.landmarks import hand_over, mark, nearest, place_of, unmark
from engine.pageblock import set_flags
from engine.prefetch import prefetch
from engine.state import (
    AR_FOLIO,
    AR_HEAD,
    AR_HINTPOS,
    AR_HINTREF,
    AR_MARKS,
    AR_OLDEST,
    AR_PAGES,
    AR_TAIL,
    AR_VIEWS,
    DEFERRED,
    DESC,
    FOLIO,
    G_ERROR,
    G_GIGANTIC,
    G_LPOS,
    G_PBO,
    G_PBP,
    G_RUNFREE,
    G_RUNS,
    G_RUNTOP,
    GIGANTIC,
    ISOLATED,
    NIL,
    PB_AUX,
    PB_NEXT,
    PB_PREV,
    PH_OWN,
    PIN_BITS,
    PIN_MASK,
    PS_FLAG,
    PS_STATE,
    R_ALLOC,
    R_HOLE,
    R_UNUSED,
    RN_BNEXT,
    RN_CNT,
    RN_NEXT,
    RN_OWN,
    RN_PB,
    RN_PREV,
    RS_FLAG,
    RS_LEN,
    RS_START,
    RS_STATE,
    SPLIT,
    UNIFORM,
    VIEW,
)

LISTED = ISOLATED | DEFERRED


@kernel
def new_run(h):
    """Take a run record from the pool."""
    r = h.g[G_RUNFREE]
    if r >= 0:
        h.g[G_RUNFREE] = h.run[r, RN_NEXT]
        prefetch(h.run, h.g[G_RUNFREE])  # records are given back in any order
        if len(h.marks):
            prefetch(h.marked, place_of(h, -2 - h.g[G_RUNFREE]))
    else:
        r = h.g[G_RUNTOP]
        if r >= len(h.runs):
            h.g[G_ERROR] = 1
            return 0
        h.g[G_RUNTOP] += 1
    h.g[G_RUNS] += 1
    h.runb[r, RS_STATE] = R_UNUSED  # records of a clone that were never used hold anything
    h.runb[r, RS_FLAG] = 0
    h.run[r, RN_CNT] = 0
    h.run[r, RN_OWN] = NIL
    h.run[r, RN_PREV] = NIL
    h.run[r, RN_NEXT] = NIL
    h.run[r, RN_BNEXT] = NIL
    return r


@kernel
def drop_run(h, r):
    """Give a run record back."""
    h.runb[r, RS_STATE] = R_UNUSED
    h.run[r, RN_NEXT] = h.g[G_RUNFREE]
    h.g[G_RUNFREE] = r
    h.g[G_RUNS] -= 1


@kernel
def nxt(h, ref):
    """Successor of an element in its list."""
    if ref >= 0:
        return h.pb[ref, PB_NEXT]
    return h.run[-2 - ref, RN_NEXT]


@kernel
def prv(h, ref):
    """Predecessor of an element in its list."""
    if ref >= 0:
        return h.pb[ref, PB_PREV]
    return h.run[-2 - ref, RN_PREV]


@kernel
def set_nxt(h, ref, value):
    """Set the successor of an element."""
    if ref >= 0:
        h.pb[ref, PB_NEXT] = value
    else:
        h.run[-2 - ref, RN_NEXT] = value


@kernel
def set_prv(h, ref, value):
    """Set the predecessor of an element."""
    if ref >= 0:
        h.pb[ref, PB_PREV] = value
    else:
        h.run[-2 - ref, RN_PREV] = value


@kernel
def is_hole(h, ref):
    """Whether an element of an area has no page."""
    return ref < NIL and h.runb[-2 - ref, RS_STATE] == R_HOLE


@kernel
def length(h, ref):
    """Base pages an element covers."""
    if ref >= 0:
        return h.g[G_PBP]
    r = -2 - ref
    if h.runb[r, RS_STATE] == R_HOLE:
        return h.run[r, RN_CNT]
    return h.runs[r, RS_LEN]


@kernel
def block_pb(h, ref):
    """Pageblock of a present element."""
    if ref >= 0:
        return ref
    return h.run[-2 - ref, RN_PB]


@kernel
def ask_for(h, ref):
    """Ask for the record of an element early; any reference is allowed."""
    if ref >= 0:
        prefetch(h.pb, ref)
    else:
        prefetch(h.run, -2 - ref)


@kernel
def count_of(h, ref):
    """Pins and references of a present element (of each page; of the folio)."""
    if ref >= 0:
        return h.pb[ref, PB_AUX]
    return h.run[-2 - ref, RN_CNT]


@kernel
def set_count(h, ref, value):
    """Set pins and references of a present element."""
    if ref >= 0:
        h.pb[ref, PB_AUX] = value
    else:
        h.run[-2 - ref, RN_CNT] = value


@kernel
def is_gigantic(h, ref):
    """Whether an element is a part of a gigantic folio."""
    return ref >= 0 and (h.pbs[ref, PS_FLAG] & GIGANTIC) != 0


@kernel
def head_of(h, pb):
    """First pageblock of the gigantic folio that a part belongs to."""
    return pb & -h.g[G_GIGANTIC]


@kernel
def counts_of(h, head):
    """Pins and references of a gigantic folio: they are counted by its parts."""
    pins, references = 0, 0
    for pb in range(head, head + h.g[G_GIGANTIC]):
        pins += h.pb[pb, PB_AUX] & PIN_MASK
        references += h.pb[pb, PB_AUX] >> PIN_BITS
    return pins, references


@kernel
def pinned_but(h, ref):
    """Whether another part of a gigantic folio than this one has pins.

    From both ends at once: who pins or unpins part by part finds the answer at the first look.
    """
    low = head_of(h, ref)
    high = low + h.g[G_GIGANTIC] - 1
    while low <= high:
        for pb in (low, high):
            if pb != ref and h.pb[pb, PB_AUX] & PIN_MASK:
                return True
        low += 1
        high -= 1
    return False


@kernel
def behind_folio(h, a, index):
    """First virtual index behind the huge folio of an area that covers one."""
    pages = h.slot[a, AR_FOLIO] * h.g[G_PBP]
    return index - index % pages + pages


@kernel
def isolated(h, ref):
    """Whether a present element is listed by a migrate_pages call."""
    if ref >= 0:
        return (h.pbs[ref, PS_FLAG] & ISOLATED) != 0
    return (h.runb[-2 - ref, RS_FLAG] & ISOLATED) != 0


@kernel
def set_isolated(h, ref, on):
    """List an element, or take it off the list."""
    if ref >= 0:
        first, last = ref, ref + 1
        if is_gigantic(h, ref):
            first = head_of(h, ref)
            last = first + h.g[G_GIGANTIC]
        for pb in range(first, last):
            h.pbs[pb, PS_FLAG] = (h.pbs[pb, PS_FLAG] & ~ISOLATED) | (ISOLATED if on else 0)
    else:
        r = -2 - ref
        h.runb[r, RS_FLAG] = (h.runb[r, RS_FLAG] & ~ISOLATED) | (ISOLATED if on else 0)


@kernel
def deferred(h, ref):
    """Whether a present element is the tail of a split THP that waits for its turn."""
    if ref >= 0:
        return (h.pbs[ref, PS_FLAG] & DEFERRED) != 0
    return (h.runb[-2 - ref, RS_FLAG] & DEFERRED) != 0


@kernel
def set_deferred(h, ref, on):
    """Make an element wait, or give it its turn."""
    if ref >= 0:
        h.pbs[ref, PS_FLAG] = (h.pbs[ref, PS_FLAG] & ~DEFERRED) | (DEFERRED if on else 0)
    else:
        r = -2 - ref
        h.runb[r, RS_FLAG] = (h.runb[r, RS_FLAG] & ~DEFERRED) | (DEFERRED if on else 0)


# -- chains of areas ------------------------------------------------------------------------------


@kernel
def chain_unlink(h, a, ref):
    """Take an element out of an area; its length must still be what it was."""
    p, n = prv(h, ref), nxt(h, ref)
    if h.slot[a, AR_HINTREF] == ref:
        h.slot[a, AR_HINTREF] = p
        if p != NIL:
            h.slot[a, AR_HINTPOS] -= length(h, p)
    if h.slot[a, AR_OLDEST] == ref:
        h.slot[a, AR_OLDEST] = p
    unmark(h, ref)
    if p == NIL:
        h.slot[a, AR_HEAD] = n
    else:
        set_nxt(h, p, n)
    if n == NIL:
        h.slot[a, AR_TAIL] = p
    else:
        set_prv(h, n, p)


@kernel
def chain_insert_before(h, a, ref, new):
    """Put an element before another (NIL: at the end), whose first index may change by it."""
    chain_insert(h, a, ref, new)
    if ref != NIL:
        unmark(h, ref)


@kernel
def chain_insert(h, a, ref, new):
    """Put an element before another (NIL: at the end) whose first index stays what it is."""
    p = h.slot[a, AR_TAIL] if ref == NIL else prv(h, ref)
    set_prv(h, new, p)
    set_nxt(h, new, ref)
    if p == NIL:
        h.slot[a, AR_HEAD] = new
    else:
        set_nxt(h, p, new)
    if ref == NIL:
        h.slot[a, AR_TAIL] = new
    else:
        set_prv(h, ref, new)
        if h.slot[a, AR_OLDEST] == ref:
            h.slot[a, AR_OLDEST] = new


@kernel
def chain_replace(h, a, ref, new):
    """Put an element of the same length in another's place."""
    p, n = prv(h, ref), nxt(h, ref)
    set_prv(h, new, p)
    set_nxt(h, new, n)
    if p == NIL:
        h.slot[a, AR_HEAD] = new
    else:
        set_nxt(h, p, new)
    if n == NIL:
        h.slot[a, AR_TAIL] = new
    else:
        set_prv(h, n, new)
    if h.slot[a, AR_HINTREF] == ref:
        h.slot[a, AR_HINTREF] = new
    if h.slot[a, AR_OLDEST] == ref:
        h.slot[a, AR_OLDEST] = new
    hand_over(h, ref, new)


@kernel
def locate(h, a, index):
    """Element that covers a virtual index; its first index goes to G_LPOS."""
    ref, pos = h.slot[a, AR_HINTREF], h.slot[a, AR_HINTPOS]
    if ref == NIL or 2 * index < pos:
        ref, pos = h.slot[a, AR_HEAD], 0
    far = len(h.marks) and h.slot[a, AR_MARKS] >= 0 and abs(index - pos) > h.g[G_PBP]
    if far:
        row = nearest(h, a, index, h.slot[a, AR_PAGES] - 1 >> h.g[G_PBO])
        if row != NIL:
            ref, pos = h.marks[row, 0], h.marks[row, 1]
    while index < pos:
        ref = prv(h, ref)
        pos -= length(h, ref)
    while index >= pos + length(h, ref):
        pos += length(h, ref)
        ref = nxt(h, ref)
    if far:
        mark(h, a, ref, pos)
    h.slot[a, AR_HINTREF] = ref
    h.slot[a, AR_HINTPOS] = pos
    h.g[G_LPOS] = pos
    return ref


@kernel
def new_hole(h, pages, flag):
    """A hole element: 0 nothing there, ZERO, HUGE_ZERO or VIEW."""
    r = new_run(h)
    h.runb[r, RS_STATE] = R_HOLE
    h.run[r, RN_PB] = NIL
    h.runb[r, RS_FLAG] = flag
    h.run[r, RN_CNT] = pages
    return -2 - r


@kernel
def hole_flag(h, ref):
    """What a hole shows: 0 nothing, ZERO, HUGE_ZERO, VIEW. Without meaning for other elements."""
    return 0 if ref >= 0 else h.runb[-2 - ref, RS_FLAG]


@kernel
def is_view(h, ref):
    """Whether an element shows pages of the area below."""
    return is_hole(h, ref) and h.runb[-2 - ref, RS_FLAG] == VIEW


@kernel
def join_holes(h, a, ref):
    """Merge a hole with equal neighbours; returns the surviving element."""
    p = prv(h, ref)
    if p != NIL and is_hole(h, p) and hole_flag(h, p) == hole_flag(h, ref):
        chain_unlink(h, a, ref)
        h.run[-2 - p, RN_CNT] += h.run[-2 - ref, RN_CNT]
        drop_run(h, -2 - ref)
        ref = p
    n = nxt(h, ref)
    if n != NIL and is_hole(h, n) and hole_flag(h, n) == hole_flag(h, ref):
        chain_unlink(h, a, n)
        h.run[-2 - ref, RN_CNT] += h.run[-2 - n, RN_CNT]
        drop_run(h, -2 - n)
    return ref


@kernel
def make_hole(h, a, ref):
    """Replace a present element by an absent hole; returns the hole (joined)."""
    hole = new_hole(h, length(h, ref), 0)
    chain_replace(h, a, ref, hole)
    return join_holes(h, a, hole)


@kernel
def put_in_hole(h, a, index, new):
    """Put a present element at ``index`` inside a hole that covers it."""
    hole = locate(h, a, index)
    pos = h.g[G_LPOS]
    pages = length(h, new)
    left = index - pos
    if is_view(h, hole):
        h.slot[a, AR_VIEWS] -= pages
    right = h.run[-2 - hole, RN_CNT] - left - pages
    if left == 0 and right == 0:
        chain_replace(h, a, hole, new)
        drop_run(h, -2 - hole)
        return
    if left == 0:
        chain_insert_before(h, a, hole, new)
        h.run[-2 - hole, RN_CNT] = right
        h.slot[a, AR_HINTREF] = new
        return
    h.run[-2 - hole, RN_CNT] = left
    after = nxt(h, hole)
    chain_insert(h, a, after, new)
    if right > 0:
        chain_insert(h, a, after, new_hole(h, right, hole_flag(h, hole)))


@kernel
def set_holes(h, a, first, count, was, now):
    """Turn holes of one flag (-1: of any) in a range into holes of another; returns the pages."""
    turned = 0
    index, end = first, first + count
    while index < end:
        ref = locate(h, a, index)
        pos = h.g[G_LPOS]
        stop = min(end, pos + length(h, ref))
        flag = hole_flag(h, ref)
        if is_hole(h, ref) and flag != now and (flag == was or was < 0):
            before, after = index - pos, pos + h.run[-2 - ref, RN_CNT] - stop
            if before > 0:
                chain_insert_before(h, a, ref, new_hole(h, before, flag))
            if after > 0:
                chain_insert(h, a, nxt(h, ref), new_hole(h, after, flag))
            h.run[-2 - ref, RN_CNT] = stop - index
            h.runb[-2 - ref, RS_FLAG] = now
            if now == VIEW:
                h.slot[a, AR_VIEWS] += stop - index
            elif flag == VIEW:
                h.slot[a, AR_VIEWS] -= stop - index
            h.slot[a, AR_HINTREF] = NIL
            join_holes(h, a, ref)
            turned += stop - index
        index = stop
    return turned


# -- runs inside a pageblock ----------------------------------------------------------------------


@kernel
def run_before(h, r):
    """Run just below ``r`` in its pageblock, NIL if it is the first."""
    q = h.pb[h.run[r, RN_PB], PB_AUX]
    if q == r:
        return NIL
    while h.run[q, RN_BNEXT] != r:
        q = h.run[q, RN_BNEXT]
    return q


@kernel
def block_remove(h, r):
    """Take a run out of its pageblock's order."""
    p = run_before(h, r)
    if p == NIL:
        h.pb[h.run[r, RN_PB], PB_AUX] = h.run[r, RN_BNEXT]
    else:
        h.run[p, RN_BNEXT] = h.run[r, RN_BNEXT]


@kernel
def add_run_after(h, r, start, pages):
    """A new run record directly above ``r`` in its pageblock."""
    q = new_run(h)
    h.run[q, RN_PB] = h.run[r, RN_PB]
    h.runs[q, RS_START] = start
    h.runs[q, RS_LEN] = pages
    h.run[q, RN_BNEXT] = h.run[r, RN_BNEXT]
    h.run[r, RN_BNEXT] = q
    return q


@kernel
def start_split(h, pb, state):
    """Make a pageblock SPLIT with one run over all of it; returns the run."""
    r = new_run(h)
    h.run[r, RN_PB] = pb
    h.runs[r, RS_START] = 0
    h.runs[r, RS_LEN] = h.g[G_PBP]
    h.runb[r, RS_STATE] = state
    h.pbs[pb, PS_STATE] = SPLIT
    h.pb[pb, PB_AUX] = r
    return r


@kernel
def break_uniform(h, pb):
    """UNIFORM pageblock of an area -> SPLIT with one run in its place; returns the element."""
    a, cnt, flag = h.pbh[pb, PH_OWN], h.pb[pb, PB_AUX], h.pbs[pb, PS_FLAG] & LISTED
    r = start_split(h, pb, R_ALLOC)
    h.run[r, RN_OWN] = a
    h.run[r, RN_CNT] = cnt
    h.runb[r, RS_FLAG] = flag
    chain_replace(h, a, pb, -2 - r)
    return -2 - r


@kernel
def split_run(h, ref, k):
    """Split a run of an area ``k`` pages above its lowest pfn; returns the upper run."""
    r = -2 - ref
    a = h.run[r, RN_OWN]
    q = add_run_after(h, r, h.runs[r, RS_START] + k, h.runs[r, RS_LEN] - k)
    h.runb[q, RS_STATE] = h.runb[r, RS_STATE]
    h.runb[q, RS_FLAG] = h.runb[r, RS_FLAG]
    h.run[q, RN_OWN] = a
    h.run[q, RN_CNT] = h.run[r, RN_CNT]
    h.runs[r, RS_LEN] = k
    if h.runb[r, RS_FLAG] & DESC:
        chain_insert_before(h, a, ref, -2 - q)
        if h.slot[a, AR_HINTREF] == ref:
            h.slot[a, AR_HINTREF] = -2 - q
    else:
        chain_insert(h, a, nxt(h, ref), -2 - q)
    return -2 - q


@kernel
def split_first(h, ref, k):
    """Cut the first ``k`` pages (in virtual order) off a base element; returns them."""
    if k == length(h, ref):
        return ref
    if ref >= 0:
        ref = break_uniform(h, ref)
    r = -2 - ref
    if h.runb[r, RS_FLAG] & DESC:
        return split_run(h, ref, h.runs[r, RS_LEN] - k)
    split_run(h, ref, k)
    return ref


@kernel
def split_low(h, ref, k):
    """Cut the ``k`` lowest pfns off a base element; returns them."""
    if k == length(h, ref):
        return ref
    if ref >= 0:
        ref = break_uniform(h, ref)
    split_run(h, ref, k)
    return ref


@kernel
def cut_out(h, a, index, stop):
    """Make [index, stop) an element of its own, where one base element covers it; returns it."""
    ref = locate(h, a, index)
    pos = h.g[G_LPOS]
    pages = length(h, ref)
    if index > pos:
        ref = nxt(h, split_first(h, ref, index - pos))
        pages -= index - pos
    if stop - index < pages:
        ref = split_first(h, ref, stop - index)
    return ref


@kernel
def same_story(h, p, r):
    """Whether two runs differ only in where they are."""
    return (
        h.runb[p, RS_STATE] == R_ALLOC
        and h.runb[r, RS_STATE] == R_ALLOC
        and h.run[p, RN_PB] == h.run[r, RN_PB]
        and h.run[p, RN_CNT] == h.run[r, RN_CNT]
        and (h.runb[p, RS_FLAG] & LISTED) == (h.runb[r, RS_FLAG] & LISTED)
    )


@kernel
def join_before(h, a, ref):
    """Merge a run with its predecessor in the area where they touch; returns the element."""
    if ref >= 0 or is_hole(h, ref):
        return ref
    before = prv(h, ref)
    if before >= NIL or is_hole(h, before):
        return ref
    p, r = -2 - before, -2 - ref
    if not same_story(h, p, r):
        return ref
    up = h.runs[p, RS_START] + h.runs[p, RS_LEN] == h.runs[r, RS_START]
    down = h.runs[r, RS_START] + h.runs[r, RS_LEN] == h.runs[p, RS_START]
    if up and not (
        (h.runs[p, RS_LEN] == 1 or not h.runb[p, RS_FLAG] & DESC)
        and (h.runs[r, RS_LEN] == 1 or not h.runb[r, RS_FLAG] & DESC)
    ):
        up = False
    if down and not (
        (h.runs[p, RS_LEN] == 1 or h.runb[p, RS_FLAG] & DESC)
        and (h.runs[r, RS_LEN] == 1 or h.runb[r, RS_FLAG] & DESC)
    ):
        down = False
    if not up and not down:
        return ref
    chain_unlink(h, a, ref)
    if up:
        h.run[p, RN_BNEXT] = h.run[r, RN_BNEXT]
        h.runb[p, RS_FLAG] &= ~DESC
    else:
        block_remove(h, r)
        h.runs[p, RS_START] = h.runs[r, RS_START]
        h.runb[p, RS_FLAG] |= DESC
    h.runs[p, RS_LEN] += h.runs[r, RS_LEN]
    drop_run(h, r)
    return whole_again(h, a, before)


@kernel
def whole_again(h, a, ref):
    """SPLIT pageblock with one ascending run over all of it -> UNIFORM; returns the element."""
    r = -2 - ref
    if h.runs[r, RS_LEN] != h.g[G_PBP] or h.runb[r, RS_FLAG] & DESC:
        return ref
    pb = h.run[r, RN_PB]
    h.pbh[pb, PH_OWN] = h.run[r, RN_OWN]
    set_flags(h, pb, h.runb[r, RS_FLAG] & LISTED)
    cnt = h.run[r, RN_CNT]
    chain_replace(h, a, ref, pb)
    drop_run(h, r)
    h.pbs[pb, PS_STATE] = UNIFORM
    h.pb[pb, PB_AUX] = cnt
    return pb


@kernel
def join_around(h, a, ref):
    """Merge a run with both neighbours; returns the element."""
    ref = join_before(h, a, ref)
    n = nxt(h, ref)
    if n < NIL and ref < NIL:
        joined = join_before(h, a, n)
        if joined != n:
            return joined
    return ref


@kernel
def is_folio(h, ref):
    """Whether an element is one huge folio."""
    return ref >= 0 and h.pbs[ref, PS_STATE] == FOLIO
