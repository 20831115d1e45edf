"""Elements: pageblocks and runs; what one is, and its neighbours in a chain.

Uniform pageblocks, huge folios, runs of base pages, and holes. A pageblock is its number, a run
record r is -2 - r.
"""

from engine.kernel import kernel, part
from engine.landmarks import place_of
from engine.prefetch import prefetch
from engine.state import (
    AR_FOLIO,
    DEFERRED,
    FOLIO,
    G_ERROR,
    G_GIGANTIC,
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
    PIN_BITS,
    PIN_MASK,
    PS_FLAG,
    PS_STATE,
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
    RS_STATE,
    SPARE,
    SPARES,
)


@part
def grab_run(h):
    """Take a run record from the pool; all that will be read of it is to be written.

    Records are given back in any order, so the one that is wanted ``SPARE`` calls later is asked
    for: each names it that came so long before (as ``freelist.came`` does for chunks).
    """
    r = h.g[G_RUNFREE]
    if r >= 0:
        h.g[G_RUNFREE] = h.run[r, RN_NEXT]
        ahead = h.run[r, RN_PREV]
        h.g[SPARES + (spare_runs(h) - 1 & SPARE - 1)] = ahead
        prefetch(h.run, ahead)
        if len(h.marks):
            prefetch(h.marked, place_of(h, -2 - ahead))
    else:
        r = h.g[G_RUNTOP]
        if r >= len(h.runs):
            h.g[G_ERROR] = 1
            return 0
        h.g[G_RUNTOP] += 1
    h.g[G_RUNS] += 1
    return r


@kernel
def spare_runs(h):
    """Records that were used and given back."""
    return h.g[G_RUNTOP] - h.g[G_RUNS]


@kernel
def new_run(h):
    """Take a run record from the pool that tells nothing yet."""
    r = grab_run(h)
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
    slot = SPARES + (spare_runs(h) & SPARE - 1)
    h.run[r, RN_PREV], h.g[slot] = h.g[slot], r
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


@kernel
def is_folio(h, ref):
    """Whether an element is one huge folio."""
    return ref >= 0 and h.pbs[ref, PS_STATE] == FOLIO
