"""Holes: elements that say what an area shows where it has no page."""

from engine.chains import chain_insert, chain_insert_before, chain_replace, chain_unlink, locate
from engine.elements import drop_run, is_hole, length, new_run, nxt, prv
from engine.kernel import kernel
from engine.state import (
    AR_HINTREF,
    AR_VIEWS,
    G_LPOS,
    NIL,
    R_HOLE,
    RN_CNT,
    RN_PB,
    RS_FLAG,
    RS_STATE,
    VIEW,
)


@kernel
def new_hole(h, pages, flag):
    """A hole element: 0 nothing there, ZERO, HUGE_ZERO or VIEW."""
    r = new_run(h)
    h.runb[r, RS_STATE] = R_HOLE
    h.run[r, RN_PB] = NIL
    h.runb[r, RS_FLAG] = flag
    h.run[r, RN_CNT] = pages
    return -2 - r


@kernel
def hole_flag(h, ref):
    """What a hole shows: 0 nothing, ZERO, HUGE_ZERO, VIEW. Without meaning for other elements."""
    return 0 if ref >= 0 else h.runb[-2 - ref, RS_FLAG]


@kernel
def is_view(h, ref):
    """Whether an element shows pages of the area below."""
    return is_hole(h, ref) and h.runb[-2 - ref, RS_FLAG] == VIEW


@kernel
def join_holes(h, a, ref):
    """Merge a hole with equal neighbours; returns the surviving element."""
    p = prv(h, ref)
    if p != NIL and is_hole(h, p) and hole_flag(h, p) == hole_flag(h, ref):
        chain_unlink(h, a, ref)
        h.run[-2 - p, RN_CNT] += h.run[-2 - ref, RN_CNT]
        drop_run(h, -2 - ref)
        ref = p
    n = nxt(h, ref)
    if n != NIL and is_hole(h, n) and hole_flag(h, n) == hole_flag(h, ref):
        chain_unlink(h, a, n)
        h.run[-2 - ref, RN_CNT] += h.run[-2 - n, RN_CNT]
        drop_run(h, -2 - n)
    return ref


@kernel
def make_hole(h, a, ref):
    """Replace a present element by an absent hole; returns the hole (joined)."""
    hole = new_hole(h, length(h, ref), 0)
    chain_replace(h, a, ref, hole)
    return join_holes(h, a, hole)


@kernel
def put_in_hole(h, a, index, new):
    """Put a present element at ``index`` inside a hole that covers it."""
    hole = locate(h, a, index)
    pos = h.g[G_LPOS]
    pages = length(h, new)
    left = index - pos
    if is_view(h, hole):
        h.slot[a, AR_VIEWS] -= pages
    right = h.run[-2 - hole, RN_CNT] - left - pages
    if left == 0 and right == 0:
        chain_replace(h, a, hole, new)
        drop_run(h, -2 - hole)
        return
    if left == 0:
        chain_insert_before(h, a, hole, new)
        h.run[-2 - hole, RN_CNT] = right
        h.slot[a, AR_HINTREF] = new
        return
    h.run[-2 - hole, RN_CNT] = left
    after = nxt(h, hole)
    chain_insert(h, a, after, new)
    if right > 0:
        chain_insert(h, a, after, new_hole(h, right, hole_flag(h, hole)))


@kernel
def set_holes(h, a, first, count, was, now):
    """Turn holes of one flag (-1: of any) in a range into holes of another; returns the pages."""
    turned = 0
    index, end = first, first + count
    while index < end:
        ref = locate(h, a, index)
        pos = h.g[G_LPOS]
        stop = min(end, pos + length(h, ref))
        flag = hole_flag(h, ref)
        if is_hole(h, ref) and flag != now and (flag == was or was < 0):
            before, after = index - pos, pos + h.run[-2 - ref, RN_CNT] - stop
            if before > 0:
                chain_insert_before(h, a, ref, new_hole(h, before, flag))
            if after > 0:
                chain_insert(h, a, nxt(h, ref), new_hole(h, after, flag))
            h.run[-2 - ref, RN_CNT] = stop - index
            h.runb[-2 - ref, RS_FLAG] = now
            if now == VIEW:
                h.slot[a, AR_VIEWS] += stop - index
            elif flag == VIEW:
                h.slot[a, AR_VIEWS] -= stop - index
            h.slot[a, AR_HINTREF] = NIL
            join_holes(h, a, ref)
            turned += stop - index
        index = stop
    return turned
