"""A bag gives back a piece that is drawn (``engine.scouting`` asks early for what that looks at).

Rules as in ``engine.reference.history``.
"""

from engine.bags import empty_ahead, first_of, tidy
from engine.buddy import free_loose, free_pb
from engine.chains import chain_insert_before, chain_unlink
from engine.draw_kernel import scaled_word
from engine.elements import is_hole, prv
from engine.holes import hole_flag, join_holes, new_hole
from engine.kernel import kernel
from engine.memory import count_used
from engine.pieces import chunk_order, weight
from engine.runs import add_run_after, break_uniform, split_run
from engine.scouting import next_draw, scout
from engine.state import (
    AR_BAG,
    AR_PRESENT,
    AR_TAIL,
    BK_ISO,
    DESC,
    G_BLOCK_SHIFT,
    G_PBO,
    G_PBP,
    HI_DRAWS,
    HI_FIRST,
    HI_PAGES,
    NIL,
    PH_OWN,
    PS_STATE,
    R_LOOSE,
    RN_CNT,
    RN_PB,
    RS_FLAG,
    RS_LEN,
    RS_START,
    RS_STATE,
    SPLIT,
    T_PAGES,
    UNIFORM,
    UNUSED,
)

TRIES, REACH = 8, 32
TIDIES = 8
"""One draw in so many looks thoroughly whether a bit is to be cleared."""


@kernel
def shrink(h, a, key, mix):
    """Free the bag's pages of one aligned chunk. False when nothing could be freed."""
    nr_pages = h.g[HI_PAGES]
    if h.slot[a, AR_PRESENT] == 0 or nr_pages == 0:
        return False
    bits, pfn = 0, NIL
    for _ in range(TRIES):
        scout(h, a, key)
        bits, place = next_draw(h)
        pfn = first_in_bag(h, a, place)
        if pfn >= 0:
            break
    if pfn < 0:
        pfn = newest(h, a)
        if not in_bag(h, a, pfn >> h.g[G_PBO], pfn & (h.g[G_PBP] - 1)):
            return False
    free_chunk(h, a, pfn, chunk_order(h, mix, scaled_word(bits * nr_pages, weight(mix))))
    return True


@kernel
def first_in_bag(h, a, pfn):
    """The first page that may be freed of those in the same place of a few pageblocks, or NIL."""
    place, pb, bag = pfn & (h.g[G_PBP] - 1), pfn >> h.g[G_PBO], h.slot[a, AR_BAG]
    pbs = h.g[HI_PAGES] >> h.g[G_PBO]
    end = (h.g[HI_FIRST] >> h.g[G_PBO]) + pbs
    left = REACH
    while left > 0:
        step = min(empty_ahead(h, bag, pb), left, end - pb)
        if step == 0:
            if in_bag(h, a, pb, place):
                return (pb << h.g[G_PBO]) + place
            tidy(h, a, pb, h.g[HI_DRAWS] % TIDIES == 0)
            step = 1
        left -= step
        pb += step
        if pb == end:
            pb -= pbs
    return NIL


@kernel
def in_bag(h, a, pb, place):
    """Whether a page may be freed: the bag's, and not in a block that is being removed."""
    if h.pbs[pb, PS_STATE] == UNIFORM:
        return h.pbh[pb, PH_OWN] == a and not h.blk[pb >> h.g[G_BLOCK_SHIFT], BK_ISO]
    if h.pbs[pb, PS_STATE] != SPLIT or h.blk[pb >> h.g[G_BLOCK_SHIFT], BK_ISO]:
        return False
    return first_of(h, a, pb, place, place + 1) != NIL


@kernel
def newest(h, a):
    """Pfn of the last present page of a bag that has one."""
    ref = h.slot[a, AR_TAIL]
    while is_hole(h, ref):
        ref = prv(h, ref)
    if ref >= 0:
        return (ref + 1 << h.g[G_PBO]) - 1
    r = -2 - ref
    pfn = (h.run[r, RN_PB] << h.g[G_PBO]) + h.runs[r, RS_START]
    if h.runb[r, RS_FLAG] & DESC:
        return pfn
    return pfn + h.runs[r, RS_LEN] - 1


@kernel
def free_chunk(h, a, pfn, order):
    """Free the bag's pages of the aligned chunk around one of them, ascending."""
    pbo = h.g[G_PBO]
    pb = pfn >> pbo
    if h.pbs[pb, PS_STATE] == UNIFORM:
        if order == pbo:
            take_off(h, a, pb, h.g[G_PBP])
            h.pbs[pb, PS_STATE] = UNUSED
            free_pb(h, pb)
            tidy(h, a, pb, False)
            return
        break_uniform(h, pb)
    start = (pfn & (h.g[G_PBP] - 1)) >> order << order
    end = start + (1 << order)
    while start < end and h.pbs[pb, PS_STATE] == SPLIT:
        r = first_of(h, a, pb, start, end)
        if r == NIL:
            return
        if h.runs[r, RS_START] + h.runs[r, RS_LEN] > end:
            split_run(h, -2 - r, end - h.runs[r, RS_START])
        below = start - h.runs[r, RS_START]
        start = h.runs[r, RS_START] + h.runs[r, RS_LEN]
        if below > 0:
            r = cut_top(h, r, below)
            book_off(h, a, pb, h.runs[r, RS_LEN])
        else:
            take_off(h, a, -2 - r, h.runs[r, RS_LEN])
            h.runb[r, RS_STATE] = R_LOOSE
            h.run[r, RN_CNT] = 0
        free_loose(h, r, True)


@kernel
def cut_top(h, r, k):
    """Take the pages of a run above its ``k`` lowest out of their area; returns the loose run.

    A bag has no gaps: what follows in it moves up, so this is no element on the way.
    """
    top = add_run_after(h, r, h.runs[r, RS_START] + k, h.runs[r, RS_LEN] - k)
    h.runb[top, RS_STATE] = R_LOOSE
    h.runs[r, RS_LEN] = k
    return top


@kernel
def take_off(h, a, ref, pages):
    """Take a present element out of a bag and close the gap it leaves."""
    before = prv(h, ref)
    chain_unlink(h, a, ref)
    book_off(h, a, ref if ref >= 0 else h.run[-2 - ref, RN_PB], pages)
    if before != NIL and is_hole(h, before):
        join_holes(h, a, before)


@kernel
def book_off(h, a, pb, pages):
    """Account pages that a bag has lost: the untouched end of its area grows."""
    count_used(h, a, pb, -pages)
    h.g[T_PAGES] += pages
    tail = h.slot[a, AR_TAIL]
    if tail != NIL and is_hole(h, tail) and not hole_flag(h, tail):
        h.run[-2 - tail, RN_CNT] += pages
    else:
        chain_insert_before(h, a, NIL, new_hole(h, pages, 0))
