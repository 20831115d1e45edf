"""Where free runs may lie: a bit for a few pageblocks, so that compaction need not look elsewhere.

Compaction looks for free pages from a zone's end downwards, past tens of thousands of pageblocks
that are all in use, time and again. A set bit says that a pageblock may have a free run, a clear
one that none has. Bits are set where a run becomes free (``note_free``) and cleared when somebody
has looked (``tidy_free``), so that whoever takes pages need not care.
"""

from engine.bags import LOW_WORD, WORD_BITS, word_of
from engine.bits import high_bit
from engine.kernel import kernel
from engine.state import (
    BAG_SHIFT,
    FREE,
    NIL,
    NR_BAGS,
    PB_AUX,
    PS_STATE,
    RN_BNEXT,
    RS_STATE,
    SPLIT,
)

FREE_RUNS = NR_BAGS
"""Whose bits these are, where bags have numbers: they follow the bits of all bags."""


@kernel
def note_free(h, pb):
    """A pageblock has got a free run."""
    h.small[word_of(h, FREE_RUNS, pb)] |= 1 << (pb >> BAG_SHIFT) % WORD_BITS


@kernel
def all_used_down(h, pb):
    """How many pageblocks from one downwards surely have no free run."""
    group = pb >> BAG_SHIFT
    word = h.small[word_of(h, FREE_RUNS, pb)] & LOW_WORD
    bits = word & (2 << group % WORD_BITS) - 1
    last = group - group % WORD_BITS + (high_bit(bits) if bits else -1)
    return max(pb + 1 - (last + 1 << BAG_SHIFT), 0)


@kernel
def tidy_free(h, pb):
    """Clear the bit of a pageblock if none of its pageblocks has a free run any more."""
    first = pb >> BAG_SHIFT << BAG_SHIFT
    for k in range(first, min(first + (1 << BAG_SHIFT), len(h.pb))):
        if h.pbs[k, PS_STATE] == SPLIT and first_free(h, k) != NIL:
            return
    h.small[word_of(h, FREE_RUNS, pb)] &= ~(1 << (pb >> BAG_SHIFT) % WORD_BITS)


@kernel
def first_free(h, pb):
    """Lowest free run of a split pageblock, or NIL."""
    r = h.pb[pb, PB_AUX]
    while r != NIL and h.runb[r, RS_STATE] != FREE:
        r = h.run[r, RN_BNEXT]
    return r
