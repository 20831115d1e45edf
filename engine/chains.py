"""An area is a doubly linked chain of elements in virtual order that always covers all of it.

A position in an area is found by walking from the last one used, so work along an area is linear.
"""

from engine.elements import length, nxt, prv, set_nxt, set_prv
from engine.kernel import kernel, part
from engine.landmarks import first_index, hand_over, mark, nearest, unmark, valid
from engine.state import (
    AR_HEAD,
    AR_HINTPOS,
    AR_HINTREF,
    AR_MARKS,
    AR_OLDEST,
    AR_PAGES,
    AR_TAIL,
    G_LPOS,
    G_PBO,
    G_PBP,
    NIL,
)


@kernel
def chain_unlink(h, a, ref):
    """Take an element out of an area; its length must still be what it was."""
    p, n = prv(h, ref), nxt(h, ref)
    if h.slot[a, AR_HINTREF] == ref:
        h.slot[a, AR_HINTREF] = p
        if p != NIL:
            h.slot[a, AR_HINTPOS] -= length(h, p)
    if h.slot[a, AR_OLDEST] == ref:
        h.slot[a, AR_OLDEST] = p
    unmark(h, ref)
    if p == NIL:
        h.slot[a, AR_HEAD] = n
    else:
        set_nxt(h, p, n)
    if n == NIL:
        h.slot[a, AR_TAIL] = p
    else:
        set_prv(h, n, p)


@kernel
def chain_insert_before(h, a, ref, new):
    """Put an element before another (NIL: at the end), whose first index may change by it."""
    chain_insert(h, a, ref, new)
    if ref != NIL:
        unmark(h, ref)


@kernel
def chain_insert(h, a, ref, new):
    """Put an element before another (NIL: at the end) whose first index stays what it is."""
    p = h.slot[a, AR_TAIL] if ref == NIL else prv(h, ref)
    set_prv(h, new, p)
    set_nxt(h, new, ref)
    if p == NIL:
        h.slot[a, AR_HEAD] = new
    else:
        set_nxt(h, p, new)
    if ref == NIL:
        h.slot[a, AR_TAIL] = new
    else:
        set_prv(h, ref, new)
        if h.slot[a, AR_OLDEST] == ref:
            h.slot[a, AR_OLDEST] = new


@kernel
def chain_replace(h, a, ref, new):
    """Put an element of the same length in another's place."""
    p, n = prv(h, ref), nxt(h, ref)
    set_prv(h, new, p)
    set_nxt(h, new, n)
    if p == NIL:
        h.slot[a, AR_HEAD] = new
    else:
        set_nxt(h, p, new)
    if n == NIL:
        h.slot[a, AR_TAIL] = new
    else:
        set_prv(h, n, new)
    if h.slot[a, AR_HINTREF] == ref:
        h.slot[a, AR_HINTREF] = new
    if h.slot[a, AR_OLDEST] == ref:
        h.slot[a, AR_OLDEST] = new
    hand_over(h, ref, new)


@kernel
def locate(h, a, index):
    """Element that covers a virtual index; its first index goes to G_LPOS."""
    ref, pos = h.slot[a, AR_HINTREF], h.slot[a, AR_HINTPOS]
    if ref == NIL or 2 * index < pos:
        ref, pos = h.slot[a, AR_HEAD], 0
    far = len(h.marks) and h.slot[a, AR_MARKS] >= 0 and abs(index - pos) > h.g[G_PBP]
    if far:
        row = nearest(h, a, index, h.slot[a, AR_PAGES] - 1 >> h.g[G_PBO])
        if row != NIL:
            ref, pos = h.marks[row, 0], first_index(h, a, row)
    while index < pos:
        ref = prv(h, ref)
        pos -= length(h, ref)
    while index >= pos + length(h, ref):
        pos += length(h, ref)
        ref = nxt(h, ref)
    if far:
        mark(h, a, ref, pos)
    h.slot[a, AR_HINTREF] = ref
    h.slot[a, AR_HINTPOS] = pos
    h.g[G_LPOS] = pos
    return ref


@part
def locate_drawn(h, a, index):
    """``locate`` of a page drawn at random: from its own landmark, where there is one."""
    row = h.slot[a, AR_MARKS] + (index >> h.g[G_PBO])
    if len(h.marks) == 0 or h.slot[a, AR_MARKS] < 0 or not valid(h, row):
        return locate(h, a, index)
    ref, pos = h.marks[row, 0], first_index(h, a, row)
    while index < pos:
        ref = prv(h, ref)
        pos -= length(h, ref)
    pages = length(h, ref)
    while index >= pos + pages:
        pos += pages
        ref = nxt(h, ref)
        pages = length(h, ref)
    h.slot[a, AR_HINTREF] = ref
    h.slot[a, AR_HINTPOS] = pos
    h.g[G_LPOS] = pos
    return ref
