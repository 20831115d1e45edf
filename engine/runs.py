"""Runs inside a pageblock, in the order of its pages: splitting, cutting out, joining."""

from engine.chains import chain_insert, chain_insert_before, chain_replace, chain_unlink, locate
from engine.elements import drop_run, is_hole, length, new_run, nxt, prv
from engine.kernel import kernel, part
from engine.pageblock import set_flags
from engine.state import (
    AR_HINTREF,
    DEFERRED,
    DESC,
    G_LPOS,
    G_PBP,
    ISOLATED,
    NIL,
    PB_AUX,
    PH_OWN,
    PS_FLAG,
    PS_STATE,
    R_ALLOC,
    RN_BNEXT,
    RN_CNT,
    RN_OWN,
    RN_PB,
    RS_FLAG,
    RS_LEN,
    RS_START,
    RS_STATE,
    SPLIT,
    UNIFORM,
)

LISTED = ISOLATED | DEFERRED


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


@part
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


@part
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
