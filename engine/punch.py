"""One page of an area becomes a hole, or one hole a page: what random single pages mostly meet.

A page in the middle of an ascending run, and a hole of one page, are done in one go here; all else
by the steps that any number of pages takes (``engine.runs``, ``engine.holes``).
"""

from engine.chains import chain_replace
from engine.elements import drop_run, grab_run, nxt, prv, set_prv
from engine.holes import make_hole, put_in_hole
from engine.kernel import part
from engine.runs import break_uniform, cut_out
from engine.state import (
    AR_TAIL,
    DESC,
    NIL,
    R_ALLOC,
    R_HOLE,
    R_LOOSE,
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
)


@part
def punch(h, a, ref, pos, index):
    """Take one page out of a base element, which ``locate`` has found; returns its loose run."""
    if ref >= 0:
        ref = break_uniform(h, ref)
    r, k = -2 - ref, index - pos
    if k == 0 or k == h.runs[r, RS_LEN] - 1 or h.runb[r, RS_FLAG] & DESC:
        ref = cut_out(h, a, index, index + 1)
        make_hole(h, a, ref)
        page = -2 - ref
        h.runb[page, RS_STATE] = R_LOOSE
        return page
    page, hole, rest = grab_run(h), grab_run(h), grab_run(h)
    cut_in_three(h, r, k, page, rest)
    hole_between(h, a, r, hole, rest)
    return page


@part
def cut_in_three(h, r, k, page, rest):
    """Leave ``k`` pages to a run of an area, one to a loose record, the others to a like one."""
    start, pages, pb = h.runs[r, RS_START], h.runs[r, RS_LEN], h.run[r, RN_PB]
    h.runs[r, RS_LEN] = k
    h.run[page, RN_PB] = pb
    h.runs[page, RS_START] = start + k
    h.runs[page, RS_LEN] = 1
    h.runb[page, RS_STATE] = R_LOOSE
    h.runb[page, RS_FLAG] = 0
    h.run[page, RN_CNT] = 0
    h.run[rest, RN_PB] = pb
    h.run[rest, RN_OWN] = h.run[r, RN_OWN]
    h.run[rest, RN_CNT] = h.run[r, RN_CNT]
    h.runs[rest, RS_START] = start + k + 1
    h.runs[rest, RS_LEN] = pages - k - 1
    h.runb[rest, RS_STATE] = R_ALLOC
    h.runb[rest, RS_FLAG] = h.runb[r, RS_FLAG]
    h.run[rest, RN_BNEXT] = h.run[r, RN_BNEXT]
    h.run[page, RN_BNEXT] = rest
    h.run[r, RN_BNEXT] = page


@part
def hole_between(h, a, r, hole, rest):
    """Put a hole of one page behind a run of an area, and a second run behind that."""
    after = h.run[r, RN_NEXT]
    h.run[hole, RN_PB] = NIL
    h.run[hole, RN_OWN] = NIL
    h.run[hole, RN_CNT] = 1
    h.run[hole, RN_BNEXT] = NIL
    h.runb[hole, RS_STATE] = R_HOLE
    h.runb[hole, RS_FLAG] = 0
    h.run[r, RN_NEXT] = -2 - hole
    h.run[hole, RN_PREV] = -2 - r
    h.run[hole, RN_NEXT] = -2 - rest
    h.run[rest, RN_PREV] = -2 - hole
    h.run[rest, RN_NEXT] = after
    if after == NIL:
        h.slot[a, AR_TAIL] = -2 - rest
    else:
        set_prv(h, after, -2 - rest)


@part
def plug(h, a, hole, index, ref):
    """Put a claimed page where ``locate`` has found a hole that shows nothing."""
    if h.run[-2 - hole, RN_CNT] == 1:
        chain_replace(h, a, hole, ref)
        drop_run(h, -2 - hole)
    else:
        put_in_hole(h, a, index, ref)


@part
def beside_itself(h, ref):
    """Whether a run has a neighbour of its area in its pageblock, so that they may join."""
    pb = h.run[-2 - ref, RN_PB]
    p, n = prv(h, ref), nxt(h, ref)
    return (p < NIL and h.run[-2 - p, RN_PB] == pb) or (n < NIL and h.run[-2 - n, RN_PB] == pb)
