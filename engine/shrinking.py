"""A bag gives back a piece that is drawn; what the draws to come will look at is asked for early.

Rules as in ``engine.reference.history``.
"""

from engine.bags import empty_ahead, first_of, tidy, word_of
from engine.buddy import free_loose, free_pb
from engine.chains import chain_insert_before, chain_unlink
from engine.draw_kernel import scaled_word, word
from engine.elements import ask_for, is_hole, prv
from engine.holes import hole_flag, join_holes, new_hole
from engine.kernel import kernel
from engine.memory import count_used
from engine.pieces import chunk_order, next_word, weight
from engine.prefetch import prefetch
from engine.runs import break_uniform, split_run
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
    PB_AUX,
    PB_NEXT,
    PB_PREV,
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
FARTHER, FAR, NEAR = 9, 6, 3
"""How many draws ahead the bits of bags, pageblocks and runs are asked for."""
TIDIES = 8
"""One draw in so many clears bits: it takes looks at the pageblocks around."""
LOOKS = 2
"""Pageblocks that may have a bag's page and are asked for at each draw."""


@kernel
def shrink(h, a, key, mix):
    """Free the bag's pages of one aligned chunk. False when nothing could be freed."""
    first, nr_pages = h.g[HI_FIRST], h.g[HI_PAGES]
    if h.slot[a, AR_PRESENT] == 0 or nr_pages == 0:
        return False
    order = 0
    for _ in range(TRIES):
        scout(h, a, key)
        bits = next_word(h, key)
        order = chunk_order(h, mix, scaled_word(bits * nr_pages, weight(mix)))
        pfn = first_in_bag(h, a, first + scaled_word(bits, nr_pages))
        if pfn >= 0:
            free_chunk(h, a, pfn, order)
            return True
    pfn = newest(h, a)
    if not in_bag(h, a, pfn >> h.g[G_PBO], pfn & (h.g[G_PBP] - 1)):
        return False
    free_chunk(h, a, pfn, order)
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
            if h.g[HI_DRAWS] % TIDIES == 0:
                tidy(h, a, pb)
            step = 1
        left -= step
        pb += step
        if pb == end:
            pb -= pbs
    return NIL


@kernel
def scout(h, a, key):
    """Ask for what later draws will look at: bits very early, pageblocks early, then runs.

    Draws are a function of their number alone, so those to come are known. Some will be a grown
    chunk's: what they ask for is not used.
    """
    bag = h.slot[a, AR_BAG]
    prefetch(h.small, word_of(h, bag, drawn(h, key, FARTHER)))
    pb = drawn(h, key, FAR)
    for _ in range(LOOKS):
        pb += empty_ahead(h, bag, pb)
        prefetch(h.pb, pb)
        pb = min(pb, len(h.pb) - 2) + 1
    pb = drawn(h, key, NEAR)
    for _ in range(LOOKS):
        pb = min(pb + empty_ahead(h, bag, pb), len(h.pb) - 1)
        if h.pbs[pb, PS_STATE] == SPLIT:
            prefetch(h.run, h.pb[pb, PB_AUX])
        elif h.pbs[pb, PS_STATE] == UNIFORM and h.pbh[pb, PH_OWN] == a:
            ask_for(h, h.pb[pb, PB_PREV])  # linked to what will be freed
            ask_for(h, h.pb[pb, PB_NEXT])
        pb = min(pb, len(h.pb) - 2) + 1


@kernel
def drawn(h, key, ahead):
    """Pageblock that a draw some numbers ahead looks at first."""
    bits = word(key, h.g[HI_DRAWS] + ahead)
    return h.g[HI_FIRST] + scaled_word(bits, h.g[HI_PAGES]) >> h.g[G_PBO]


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
            return
        break_uniform(h, pb)
    start = (pfn & (h.g[G_PBP] - 1)) >> order << order
    end = start + (1 << order)
    while start < end and h.pbs[pb, PS_STATE] == SPLIT:
        r = first_of(h, a, pb, start, end)
        if r == NIL:
            return
        if h.runs[r, RS_START] < start:
            r = -2 - split_run(h, -2 - r, start - h.runs[r, RS_START])
        if h.runs[r, RS_START] + h.runs[r, RS_LEN] > end:
            split_run(h, -2 - r, end - h.runs[r, RS_START])
        start = h.runs[r, RS_START] + h.runs[r, RS_LEN]
        take_off(h, a, -2 - r, h.runs[r, RS_LEN])
        h.runb[r, RS_STATE] = R_LOOSE
        h.run[r, RN_CNT] = 0
        free_loose(h, r, True)


@kernel
def take_off(h, a, ref, pages):
    """Take a present element out of a bag and close the gap it leaves."""
    pb = ref if ref >= 0 else h.run[-2 - ref, RN_PB]
    count_used(h, a, pb, -pages)
    h.g[T_PAGES] += pages
    before = prv(h, ref)
    chain_unlink(h, a, ref)
    tail = h.slot[a, AR_TAIL]
    if tail != NIL and is_hole(h, tail) and not hole_flag(h, tail):
        h.run[-2 - tail, RN_CNT] += pages
    else:
        chain_insert_before(h, a, NIL, new_hole(h, pages, 0))
    if before != NIL and is_hole(h, before):
        join_holes(h, a, before)
