"""What of a block is on the list of migrate_pages: found by a scan, tried, put back."""

from engine.elements import head_of, is_gigantic, set_deferred, set_isolated
from engine.enums import Cell
from engine.kernel import kernel
from engine.memory import HUGETLB
from engine.migrate import try_element
from engine.state import (
    AR_KIND,
    DEFERRED,
    FOLIO,
    G_BLOCK_PBS,
    G_PBP,
    ISOLATED,
    M_ABORT,
    M_SPLIT,
    NIL,
    O_BLOCK,
    O_CURSOR,
    PB_AUX,
    PH_OWN,
    PS_FLAG,
    PS_STATE,
    R_ALLOC,
    RN_BNEXT,
    RN_OWN,
    RS_FLAG,
    RS_LEN,
    RS_START,
    RS_STATE,
    SPLIT,
    TABLE,
    UNIFORM,
)

TAILS_LAST = int(Cell.SPLIT_TAILS_LAST)


@kernel
def is_whole_gigantic(h, pb, first):
    """Whether a gigantic folio has its turn here: at its head, or where a walk from ``first`` on
    meets it first.
    """
    return is_gigantic(h, pb) and (pb == first or pb == head_of(h, pb))


@kernel
def list_movable(h):
    """List what is movable from the cursor on; the first pageblock with any, or -1."""
    first = -1
    stop = (h.g[O_BLOCK] + 1) * h.g[G_BLOCK_PBS]
    for pb in range(h.g[O_CURSOR], stop):
        state = h.pbs[pb, PS_STATE]
        found = False
        if state == UNIFORM or (state == FOLIO and h.pbh[pb, PH_OWN] != NIL):
            found = True
            if not is_gigantic(h, pb):
                h.pbs[pb, PS_FLAG] |= ISOLATED
            elif is_whole_gigantic(h, pb, h.g[O_CURSOR]):
                set_isolated(h, pb, True)
        elif state == SPLIT:
            r = h.pb[pb, PB_AUX]
            while r != NIL:
                if h.runb[r, RS_STATE] == R_ALLOC:
                    found = True
                    h.runb[r, RS_FLAG] |= ISOLATED
                r = h.run[r, RN_BNEXT]
        if found and first < 0:
            first = pb
    return first


@kernel
def hugetlb_pages(h):
    """Pages of the block in hugetlb folios that are in use."""
    pages = 0
    start = h.g[O_BLOCK] * h.g[G_BLOCK_PBS]
    for pb in range(start, start + h.g[G_BLOCK_PBS]):
        if h.pbs[pb, PS_STATE] == FOLIO and h.pbh[pb, PH_OWN] != NIL:
            if h.slot[h.pbh[pb, PH_OWN], AR_KIND] == HUGETLB:
                pages += h.g[G_PBP]
    return pages


@kernel
def one_try(h):
    """One pass of migrate_pages over what is listed, in pfn order."""
    start = h.g[O_BLOCK] * h.g[G_BLOCK_PBS]
    for pb in range(start, start + h.g[G_BLOCK_PBS]):
        state = h.pbs[pb, PS_STATE]
        if state == UNIFORM or state == FOLIO:
            if is_gigantic(h, pb) and not is_whole_gigantic(h, pb, start):
                continue
            if h.pbs[pb, PS_FLAG] & ISOLATED:
                try_element(h, h.pbh[pb, PH_OWN], pb, True)
        elif state == SPLIT:
            try_runs(h, pb, False)
        if h.g[M_ABORT]:
            return
    if h.g[M_SPLIT] == 0 or not h.g[TABLE + TAILS_LAST]:
        return
    for pb in range(start, start + h.g[G_BLOCK_PBS]):
        if h.pbs[pb, PS_STATE] == SPLIT:
            try_runs(h, pb, True)
        if h.g[M_ABORT]:
            return


@kernel
def try_runs(h, pb, tails):
    """Try the listed runs of a pageblock, ascending; tails of split THPs in their own turn.

    A run that moves is freed, which re-writes the pageblock's order, so the walk starts again
    behind the offset it has reached.
    """
    offset = 0
    while h.pbs[pb, PS_STATE] == SPLIT and not h.g[M_ABORT]:
        r = h.pb[pb, PB_AUX]
        while r != NIL and (h.runs[r, RS_START] < offset or not listed(h, r, tails)):
            r = h.run[r, RN_BNEXT]
        if r == NIL:
            return
        offset = h.runs[r, RS_START] + h.runs[r, RS_LEN]
        set_deferred(h, -2 - r, False)
        try_element(h, h.run[r, RN_OWN], -2 - r, True)


@kernel
def listed(h, r, tails):
    """Whether a run is on the migrate_pages list and has its turn."""
    if ((h.runb[r, RS_FLAG] & DEFERRED) != 0) != tails:
        return False
    return h.runb[r, RS_STATE] == R_ALLOC and (h.runb[r, RS_FLAG] & ISOLATED) != 0


@kernel
def put_back(h):
    """Take everything of the block off the list."""
    start = h.g[O_BLOCK] * h.g[G_BLOCK_PBS]
    for pb in range(start, start + h.g[G_BLOCK_PBS]):
        state = h.pbs[pb, PS_STATE]
        if state == UNIFORM or state == FOLIO:
            if not is_gigantic(h, pb) or is_whole_gigantic(h, pb, start):
                set_isolated(h, pb, False)
        elif state == SPLIT:
            r = h.pb[pb, PB_AUX]
            while r != NIL:
                if h.runb[r, RS_STATE] == R_ALLOC:
                    set_isolated(h, -2 - r, False)
                    set_deferred(h, -2 - r, False)
                r = h.run[r, RN_BNEXT]
