"""What the draws to come of a bag that shrinks will look at is asked for early.

Draws are a function of their number alone, so those to come are known: their places in memory, and
then, step by step as each arrives, the bits of the bag there, the pageblock that the bits name, its
runs up to the place, and the elements before and behind in the area. Some will be a grown chunk's:
what they ask for is not used. Of what counts nothing is read or written but the draws themselves
(G_SCOUTED: the first of the command's that is not noted).
"""

from engine.bags import empty_ahead, word_of
from engine.draw_kernel import scaled_word, word
from engine.elements import ask_for
from engine.kernel import kernel
from engine.prefetch import prefetch
from engine.state import (
    AR_BAG,
    BAG_SHIFT,
    G_PBO,
    G_PBP,
    G_SCOUTED,
    HI_DRAWS,
    HI_FIRST,
    HI_PAGES,
    NIL,
    PB_AUX,
    PB_NEXT,
    PB_PREV,
    PH_OWN,
    PS_STATE,
    RN_BNEXT,
    RN_NEXT,
    RN_PREV,
    RS_LEN,
    RS_START,
    SCOUTED,
    SPLIT,
    UNIFORM,
)

BITS, PAGEBLOCKS, RUNS = 10, 7, 4
"""Draws ahead that each step is taken; one run further at each draw from RUNS on."""
RING, WORDS = 16, 5
DRAWN, PLACE, FIRST, SECOND, RUN = range(WORDS)
"""Words for each draw to come: its bits, its pfn, the pageblocks that the bits of the bag name, a
run in the first."""


@kernel
def scout(h, a, key):
    """Take one step for each of the next draws."""
    n, bag = h.g[HI_DRAWS], h.slot[a, AR_BAG]
    known, end = h.g[G_SCOUTED], n + BITS + 1
    for k in range(known if n <= known else n, end):
        foretell(h, key, k)
    h.g[G_SCOUTED] = end
    prefetch(h.small, word_of(h, bag, h.g[words_of(n + BITS) + PLACE] >> h.g[G_PBO]))
    ask_for_pageblocks(h, bag, words_of(n + PAGEBLOCKS))
    ask_for_runs(h, a, words_of(n + RUNS))
    for k in range(RUNS - 1, 0, -1):
        go_on(h, words_of(n + k))


@kernel
def next_draw(h):
    """The draw that ``scout`` was told of, its 64 random bits and its place; the next is new."""
    n = h.g[HI_DRAWS]
    h.g[HI_DRAWS] = n + 1
    return h.g[words_of(n) + DRAWN], h.g[words_of(n) + PLACE]


@kernel
def words_of(n):
    """Where the words of a draw are."""
    return SCOUTED + WORDS * (n & RING - 1)


@kernel
def foretell(h, key, n):
    """Note where a draw will look."""
    at, bits = words_of(n), word(key, n)
    h.g[at + DRAWN] = bits
    h.g[at + PLACE] = h.g[HI_FIRST] + scaled_word(bits, h.g[HI_PAGES])
    h.g[at + FIRST] = h.g[at + SECOND] = h.g[at + PLACE] >> h.g[G_PBO]
    h.g[at + RUN] = NIL


@kernel
def ask_for_pageblocks(h, bag, at):
    """Ask for the pageblocks of the first two bits from a draw's place on that are set."""
    last = len(h.pb) - 1
    first = min(h.g[at + FIRST] + empty_ahead(h, bag, h.g[at + FIRST]), last)
    second = min((first >> BAG_SHIFT) + 1 << BAG_SHIFT, last)
    second = min(second + empty_ahead(h, bag, second), last)
    h.g[at + FIRST], h.g[at + SECOND] = first, second
    prefetch(h.pb, first)
    prefetch(h.pb, second)


@kernel
def ask_for_runs(h, a, at):
    """Ask for the lowest run of a pageblock of each bit, or the neighbours of what will go.

    Where a pageblock is all the bag's, the draw gets no further.
    """
    for which in (FIRST, SECOND):
        pb = h.g[at + which]
        end = min((pb >> BAG_SHIFT) + 1 << BAG_SHIFT, len(h.pb))
        while pb < end:
            if h.pbs[pb, PS_STATE] == SPLIT:
                prefetch(h.run, h.pb[pb, PB_AUX])
                if which == FIRST:
                    h.g[at + RUN] = h.pb[pb, PB_AUX]
                break
            if h.pbs[pb, PS_STATE] == UNIFORM and h.pbh[pb, PH_OWN] == a:
                ask_for(h, h.pb[pb, PB_PREV])
                ask_for(h, h.pb[pb, PB_NEXT])
                return
            pb += 1


@kernel
def go_on(h, at):
    """One run further up towards a draw's place, or to the neighbours of the one that is there."""
    r = h.g[at + RUN]
    if r == NIL:
        return
    if h.runs[r, RS_START] + h.runs[r, RS_LEN] > h.g[at + PLACE] & (h.g[G_PBP] - 1):
        ask_for(h, h.run[r, RN_PREV])
        ask_for(h, h.run[r, RN_NEXT])
        h.g[at + RUN] = NIL
        return
    h.g[at + RUN] = h.run[r, RN_BNEXT]
    prefetch(h.run, h.g[at + RUN])
