"""Where the pages of a bag may lie: a bit for a few pageblocks, so that draws need not look there.

A draw of ``engine.shrinking`` looks for its bag's pages in up to 32 pageblocks, most of which have
none: 24 of 25 looks for a kernel's own memory were for nothing, each at memory that is in no cache.
A set bit says that there may be some, a clear one that there are none. Bits are set where an area
gets pages (``note``) and cleared when a draw takes or looks for some and finds that all are gone
(``tidy``), so that whoever else frees pages need not care.
"""

from engine.bits import low_bit
from engine.kernel import kernel
from engine.state import (
    AR_BAG,
    AR_KIND,
    AR_PRESENT,
    BAG_SHIFT,
    G_BAGS,
    G_BAGWORDS,
    G_PBP,
    NIL,
    NR_BAGS,
    PB_AUX,
    PH_OWN,
    PS_STATE,
    R_ALLOC,
    RN_BNEXT,
    RN_OWN,
    RS_LEN,
    RS_START,
    RS_STATE,
    SPLIT,
    UNIFORM,
)

WORD_BITS, LOW_WORD = 32, (1 << 32) - 1


@kernel
def make_bag(h, a):
    """Give an area bits of its own, if some are left."""
    if h.slot[a, AR_BAG] != NIL:
        return
    taken = 0
    for q in range(len(h.slot)):
        if h.slot[q, AR_KIND] >= 0 and h.slot[q, AR_BAG] != NIL:
            taken |= 1 << h.slot[q, AR_BAG]
    bag = 0
    while bag < NR_BAGS and taken >> bag & 1:
        bag += 1
    if bag == NR_BAGS:
        return
    h.slot[a, AR_BAG] = bag
    words = h.g[G_BAGWORDS]
    for i in range(bag * words, (bag + 1) * words):
        h.small[h.g[G_BAGS] + i] = 0
    if h.slot[a, AR_PRESENT]:
        for pb in range(len(h.pb)):
            if holds(h, a, pb):
                note(h, a, pb)


@kernel
def word_of(h, bag, pb):
    """Index in ``small`` of the word with the bit of a pageblock."""
    return h.g[G_BAGS] + bag * h.g[G_BAGWORDS] + (pb >> BAG_SHIFT) // WORD_BITS


@kernel
def note(h, a, pb):
    """An area has got pages in a pageblock."""
    if h.slot[a, AR_BAG] != NIL:
        i = word_of(h, h.slot[a, AR_BAG], pb)
        h.small[i] |= 1 << (pb >> BAG_SHIFT) % WORD_BITS


@kernel
def empty_ahead(h, bag, pb):
    """How many pageblocks from one on surely have no page of a bag."""
    if bag == NIL:
        return 0
    group = pb >> BAG_SHIFT
    bits = (h.small[word_of(h, bag, pb)] & LOW_WORD) >> group % WORD_BITS
    if bits & 1:
        return 0
    group += low_bit(bits) if bits else WORD_BITS - group % WORD_BITS
    return (group << BAG_SHIFT) - pb


@kernel
def tidy(h, a, pb, thoroughly):
    """Clear the bit of a pageblock if its pageblocks have no page of the bag any more.

    Split ones are taken to have some, unless ``thoroughly``: the records of all pageblocks of a bit
    share a cache line, but runs lie anywhere.
    """
    bag = h.slot[a, AR_BAG]
    if bag == NIL:
        return
    first = pb >> BAG_SHIFT << BAG_SHIFT
    for k in range(first, min(first + (1 << BAG_SHIFT), len(h.pb))):
        if h.pbs[k, PS_STATE] == SPLIT and not thoroughly:
            return
        if holds(h, a, k):
            return
    h.small[word_of(h, bag, pb)] &= ~(1 << (pb >> BAG_SHIFT) % WORD_BITS)


@kernel
def holds(h, a, pb):
    """Whether a pageblock has base pages of an area."""
    state = h.pbs[pb, PS_STATE]
    if state != SPLIT:
        return state == UNIFORM and h.pbh[pb, PH_OWN] == a
    return first_of(h, a, pb, 0, h.g[G_PBP]) != NIL


@kernel
def first_of(h, a, pb, start, end):
    """First run of an area that has pages in [start, end) of a split pageblock, or NIL."""
    r = h.pb[pb, PB_AUX]
    while r != NIL and h.runs[r, RS_START] < end:
        if (
            h.runs[r, RS_START] + h.runs[r, RS_LEN] > start
            and h.runb[r, RS_STATE] == R_ALLOC
            and h.run[r, RN_OWN] == a
        ):
            return r
        r = h.run[r, RN_BNEXT]
    return NIL
