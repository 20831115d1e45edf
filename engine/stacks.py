"""The stacks of per-CPU page lists: runs and huge folios in front of a zone, newest first.

``rmqueue_bulk`` fills an empty list by a batch that is then taken in order; freed pages go on
top; a full list gives its oldest pages to the buddy (mm/page_alloc.c). A run on a list knows its
direction: without DESC the page nearest the top is its lowest pfn.
"""

from engine.buddy import free_loose, free_pb
from engine.elements import new_run
from engine.kernel import kernel, part
from engine.prefetch import prefetch
from engine.runs import add_run_after
from engine.state import (
    DESC,
    FL_COUNT,
    FL_HEAD,
    FL_TAIL,
    G_NZONES,
    G_PBP,
    G_PCP,
    NIL,
    PB_AUX,
    PB_NEXT,
    PB_PREV,
    PCP_HUGE,
    PCP_ROWS,
    PS_STATE,
    R_LOOSE,
    R_PCP,
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
    UNUSED,
    Z_PCP,
)
from engine.taking import take_pages

UNMOVABLE, MOVABLE, HUGE, TUNING = range(PCP_ROWS)
NEAR, FAR = 8, 16
"""Runs of a list ahead whose pageblock's runs, and whose pageblock, are asked for."""


@kernel
def pcp_list(h, cpu, z, t):
    """Index of a per-CPU list: UNMOVABLE, MOVABLE, HUGE (TUNING: what the lists remember)."""
    return h.g[G_PCP] + (cpu * h.g[G_NZONES] + z) * PCP_ROWS + t


@part
def push_top(h, i, r):
    """Put a run on top of list i."""
    first = h.fl[i, FL_HEAD]
    h.run[r, RN_OWN] = i
    h.runb[r, RS_STATE] = R_PCP
    h.run[r, RN_PREV] = NIL
    h.run[r, RN_NEXT] = first
    if first == NIL:
        h.fl[i, FL_TAIL] = -2 - r
    else:
        h.run[-2 - first, RN_PREV] = -2 - r
    h.fl[i, FL_HEAD] = -2 - r


@kernel
def push_bottom(h, i, r):
    """Put a run under list i."""
    last = h.fl[i, FL_TAIL]
    h.run[r, RN_OWN] = i
    h.runb[r, RS_STATE] = R_PCP
    h.run[r, RN_NEXT] = NIL
    h.run[r, RN_PREV] = last
    if last == NIL:
        h.fl[i, FL_HEAD] = -2 - r
    else:
        h.run[-2 - last, RN_NEXT] = -2 - r
    h.fl[i, FL_TAIL] = -2 - r


@part
def pop_run(h, i, r):
    """Take a run off list i."""
    p, n = h.run[r, RN_PREV], h.run[r, RN_NEXT]
    if p == NIL:
        h.fl[i, FL_HEAD] = n
    else:
        h.run[-2 - p, RN_NEXT] = n
    if n == NIL:
        h.fl[i, FL_TAIL] = p
    else:
        h.run[-2 - n, RN_PREV] = p
        prefetch(h.run, -2 - h.run[-2 - n, RN_NEXT])
    h.runb[r, RS_STATE] = R_LOOSE


@kernel
def cut_loose(h, i, r, k, low):
    """Take ``k`` pages from the low or high end of run r on list i; returns them as a loose run."""
    if k == h.runs[r, RS_LEN]:
        pop_run(h, i, r)
        return r
    flag = h.runb[r, RS_FLAG]
    if low:
        # the record in front keeps the low pages, so the list must carry on with the new one
        q = add_run_after(h, r, h.runs[r, RS_START] + k, h.runs[r, RS_LEN] - k)
        h.runb[q, RS_FLAG] = flag
        h.run[q, RN_OWN] = i
        h.runb[q, RS_STATE] = R_PCP
        p, n = h.run[r, RN_PREV], h.run[r, RN_NEXT]
        h.run[q, RN_PREV] = p
        h.run[q, RN_NEXT] = n
        if p == NIL:
            h.fl[i, FL_HEAD] = -2 - q
        else:
            h.run[-2 - p, RN_NEXT] = -2 - q
        if n == NIL:
            h.fl[i, FL_TAIL] = -2 - q
        else:
            h.run[-2 - n, RN_PREV] = -2 - q
        h.runs[r, RS_LEN] = k
        h.runb[r, RS_STATE] = R_LOOSE
        return r
    q = add_run_after(h, r, h.runs[r, RS_START] + h.runs[r, RS_LEN] - k, k)
    h.runb[q, RS_FLAG] = flag
    h.runb[q, RS_STATE] = R_LOOSE
    h.runs[r, RS_LEN] -= k
    return q


@kernel
def pcp_take(h, z, i, n):
    """Take up to n neighbouring pages from the top of list i; a loose run (DESC as taken)."""
    r = -2 - h.fl[i, FL_HEAD]
    k = min(n, h.runs[r, RS_LEN])
    h.fl[i, FL_COUNT] -= k
    h.zone[z, Z_PCP] -= k
    q = cut_loose(h, i, r, k, not h.runb[r, RS_FLAG] & DESC)
    h.run[q, RN_CNT] = 0
    return q


@kernel
def pcp_refill(h, z, i, mt, batch):
    """rmqueue_bulk: put up to a batch under list i."""
    while batch > 0:
        ref = take_pages(h, z, mt, batch)
        if ref == NIL:
            return
        if ref >= 0:
            r = whole_run(h, ref)
        else:
            r = -2 - ref
        k = h.runs[r, RS_LEN]
        push_bottom(h, i, r)
        h.fl[i, FL_COUNT] += k
        h.zone[z, Z_PCP] += k
        batch -= k


@kernel
def whole_run(h, pb):
    """A pageblock that is on no list, as a loose run."""
    r = new_run(h)
    h.run[r, RN_PB] = pb
    h.runs[r, RS_START] = 0
    h.runs[r, RS_LEN] = h.g[G_PBP]
    h.runb[r, RS_STATE] = R_LOOSE
    h.pbs[pb, PS_STATE] = SPLIT
    h.pb[pb, PB_AUX] = r
    return r


@kernel
def further(h, ref, steps):
    """Run some steps up a list from another, or NIL."""
    while steps > 0 and ref != NIL:
        ref = h.run[-2 - ref, RN_PREV]
        steps -= 1
    return ref


@kernel
def scout(h, near, far):
    """Ask for what runs further up a list need when they are freed; one step up for both.

    Old pages lie in no cache: their records, their pageblocks, what is free there.
    """
    if near != NIL:
        prefetch(h.run, h.pb[h.run[-2 - near, RN_PB], PB_AUX])
        prefetch(h.run, h.run[-2 - near, RN_BNEXT])
        near = h.run[-2 - near, RN_PREV]
    if far != NIL:
        prefetch(h.pb, h.run[-2 - far, RN_PB])
        far = h.run[-2 - far, RN_PREV]
        prefetch(h.run, -2 - far)
    return near, far


@kernel
def pcp_drain(h, z, i, pages):
    """Give the oldest pages of list i to the buddy, one by one."""
    near = further(h, h.fl[i, FL_TAIL], min(pages, NEAR))
    far = further(h, near, min(pages, FAR) - NEAR)
    while pages > 0 and h.fl[i, FL_TAIL] != NIL:
        near, far = scout(h, near, far)
        r = -2 - h.fl[i, FL_TAIL]
        k = min(pages, h.runs[r, RS_LEN])
        down = not h.runb[r, RS_FLAG] & DESC  # the bottom of an ascending run is its highest pfn
        q = cut_loose(h, i, r, k, not down)
        h.fl[i, FL_COUNT] -= k
        h.zone[z, Z_PCP] -= k
        free_loose(h, q, not down)
        pages -= k


@kernel
def put_huge(h, z, i, pb, bottom):
    """Put a huge folio on top of list i, or under it."""
    h.pbs[pb, PS_STATE] = PCP_HUGE
    first, last = h.fl[i, FL_HEAD], h.fl[i, FL_TAIL]
    h.pb[pb, PB_PREV] = last if bottom else NIL
    h.pb[pb, PB_NEXT] = NIL if bottom else first
    if first == NIL:
        h.fl[i, FL_HEAD] = pb
        h.fl[i, FL_TAIL] = pb
    elif bottom:
        h.pb[last, PB_NEXT] = pb
        h.fl[i, FL_TAIL] = pb
    else:
        h.pb[first, PB_PREV] = pb
        h.fl[i, FL_HEAD] = pb
    h.fl[i, FL_COUNT] += 1
    h.zone[z, Z_PCP] += h.g[G_PBP]


@kernel
def drop_huge(h, z, i, pb):
    """Take the first or last huge folio off list i."""
    p, n = h.pb[pb, PB_PREV], h.pb[pb, PB_NEXT]
    if p == NIL:
        h.fl[i, FL_HEAD] = n
    else:
        h.pb[p, PB_NEXT] = n
    if n == NIL:
        h.fl[i, FL_TAIL] = p
    else:
        h.pb[n, PB_PREV] = p
    h.fl[i, FL_COUNT] -= 1
    h.zone[z, Z_PCP] -= h.g[G_PBP]


@kernel
def drain_huge(h, z, i):
    """Give the oldest huge folio of list i to the buddy."""
    pb = h.fl[i, FL_TAIL]
    drop_huge(h, z, i, pb)
    h.pbs[pb, PS_STATE] = UNUSED
    free_pb(h, pb)


@part
def keep_base(h, z, i, r, ascending):
    """Put a loose run on top of list i, as its pages come one by one."""
    h.runb[r, RS_FLAG] = DESC if ascending else 0
    h.run[r, RN_CNT] = 0
    push_top(h, i, r)
    h.fl[i, FL_COUNT] += h.runs[r, RS_LEN]
    h.zone[z, Z_PCP] += h.runs[r, RS_LEN]
