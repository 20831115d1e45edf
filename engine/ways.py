"""Ways into an area: how the whole of its chain is brought near before it is walked.

The next element of a chain is known when the last one has arrived from memory, so a walk through an
area that nobody has touched for hours waits for each in turn. An area therefore remembers, for each
of up to ``NR_WAYS`` stretches of its pages, an element that was seen there last. Walks from all of
them at once wait together. They look at nothing that counts: a way may lead anywhere by now, and
what was not found is fetched later as ever.
"""

from engine.kernel import kernel
from engine.prefetch import prefetch
from engine.state import (
    AR_HEAD,
    AR_PAGES,
    AR_SHIFT,
    AR_WAY,
    FOLIO,
    G_PBO,
    NIL,
    NR_WAYS,
    PB_NEXT,
    PH_OWN,
    PS_STATE,
    R_ALLOC,
    RN_NEXT,
    RN_OWN,
    RN_PB,
    RS_STATE,
    UNIFORM,
    WALK,
)

LEAST = 64
"""Pageblocks of an area from which on it pays."""
ENDS = WALK + NR_WAYS + 1


@kernel
def clear_ways(h, a, pages):
    """Forget all ways into an area of so many pages."""
    shift = h.g[G_PBO]
    while pages - 1 >> shift >= NR_WAYS:
        shift += 1
    h.slot[a, AR_SHIFT] = shift
    for i in range(NR_WAYS):
        h.slot[a, AR_WAY + i] = NIL


@kernel
def note_way(h, a, index, ref):
    """Remember an element that covers an index of an area, or is near it."""
    h.slot[a, AR_WAY + (index >> h.slot[a, AR_SHIFT])] = ref


@kernel
def leads(h, a, ref):
    """Whether an element belongs to an area still."""
    if ref >= 0:
        state = h.pbs[ref, PS_STATE]
        return h.pbh[ref, PH_OWN] == a and (state == FOLIO or state == UNIFORM)
    return ref != NIL and h.runb[-2 - ref, RS_STATE] == R_ALLOC and h.run[-2 - ref, RN_OWN] == a


@kernel
def bring_near(h, a):
    """Have the elements of a large area fetched, by walks from all ways into it at once."""
    if h.slot[a, AR_PAGES] >> h.g[G_PBO] < LEAST:
        return
    h.g[WALK] = h.slot[a, AR_HEAD]
    for i in range(NR_WAYS):
        ref = h.slot[a, AR_WAY + i]
        h.g[WALK + 1 + i] = ref if leads(h, a, ref) else NIL
    end = NIL
    for i in range(NR_WAYS, -1, -1):
        h.g[ENDS + i] = end
        if h.g[WALK + i] != NIL:
            end = h.g[WALK + i]
    walking, steps = True, (4 << h.slot[a, AR_SHIFT] >> h.g[G_PBO]) + LEAST
    while walking and steps > 0:
        steps -= 1
        walking = False
        for i in range(NR_WAYS + 1):
            ref = h.g[WALK + i]
            if ref != NIL:
                walking = True
                ref = beyond(h, ref)
                h.g[WALK + i] = ref if ref != h.g[ENDS + i] else NIL


@kernel
def beyond(h, ref):
    """Element behind another; the pageblock of a run is asked for, too."""
    if ref >= 0:
        return h.pb[ref, PB_NEXT]
    prefetch(h.pb, h.run[-2 - ref, RN_PB])
    return h.run[-2 - ref, RN_NEXT]
