"""Areas without a process: pages that several areas see, or that left theirs while held.

Rules as in ``engine.reference.sharing``. An object has a page at the index at which the area had it
that it comes from. One without pages is forgotten; what one area alone sees becomes its own again.
"""

from engine.bags import note
from engine.chains import chain_replace, locate
from engine.elements import block_pb, drop_run, is_hole, length, nxt
from engine.holes import is_view, join_holes, new_hole, put_in_hole
from engine.kernel import kernel
from engine.memory import FILE, block_of, forget_area, new_area
from engine.runs import join_around, whole_again
from engine.state import (
    AR_BELOW,
    AR_FOLIO,
    AR_HEAD,
    AR_KIND,
    AR_PAGES,
    AR_PRESENT,
    AR_VIEWS,
    AR_ZONE,
    BK_ZONE,
    FIRST_OBJECT,
    G_ERROR,
    G_LPOS,
    G_NOBJ,
    G_OBJROWS,
    G_TIDY,
    NIL,
    OB_AREA,
    PH_OWN,
    RN_OWN,
    VIEW,
)


@kernel
def number_of(h, row):
    """Number of the area or object in a row of the slot table."""
    return row if row < len(h.slot) - h.g[G_OBJROWS] else row - len(h.slot)


@kernel
def new_object(h, like):
    """An empty object as large as an area; the highest free number."""
    number = FIRST_OBJECT
    while h.slot[number, AR_KIND] >= 0:
        number -= 1
        if -number > h.g[G_OBJROWS]:
            h.g[G_ERROR] = 1
            return FIRST_OBJECT
    new_area(h, number, NIL, h.slot[like, AR_KIND], h.slot[like, AR_PAGES], 0, 0)
    h.slot[number, AR_FOLIO] = h.slot[like, AR_FOLIO]
    h.g[G_NOBJ] += 1
    return number


@kernel
def own(h, a, ref):
    """Make a present element another area's, as it is."""
    pages, pb = length(h, ref), block_pb(h, ref)
    was = h.pbh[ref, PH_OWN] if ref >= 0 else h.run[-2 - ref, RN_OWN]
    if ref >= 0:
        h.pbh[ref, PH_OWN] = a
    else:
        h.run[-2 - ref, RN_OWN] = a
    note(h, a, pb)
    h.slot[was, AR_PRESENT] -= pages
    h.slot[a, AR_PRESENT] += pages
    if h.slot[a, AR_KIND] == FILE:
        z = h.blk[block_of(h, pb), BK_ZONE]
        h.slot[was, AR_ZONE + z] -= pages
        h.slot[a, AR_ZONE + z] += pages


@kernel
def carry(h, a, ref, to, index, flag):
    """Move a present element to the same index of another area; a hole of a flag stays behind."""
    pages = length(h, ref)
    hole = new_hole(h, pages, flag)
    chain_replace(h, a, ref, hole)
    if flag == VIEW:
        h.slot[a, AR_VIEWS] += pages
    join_holes(h, a, hole)
    put_in_hole(h, to, index, ref)
    own(h, to, ref)
    if ref < NIL:
        ref = join_around(h, to, ref)
        if ref < NIL:
            whole_again(h, to, ref)


@kernel
def tidy(h):
    """Forget empty objects; what one area alone sees of an object becomes its own."""
    h.g[G_TIDY] = 0
    o = FIRST_OBJECT
    while h.g[G_NOBJ] and -o <= h.g[G_OBJROWS]:
        if h.slot[o, AR_KIND] >= 0 and (forget(h, o) or merge(h, o)):
            o = FIRST_OBJECT
        else:
            o -= 1


@kernel
def forget(h, o):
    """Forget an object without pages. Whether it was."""
    if h.slot[o, AR_PRESENT] or h.slot[o, AR_VIEWS]:
        return False
    for row in range(len(h.slot)):
        if h.slot[row, AR_KIND] >= 0 and h.slot[row, AR_BELOW] == o:
            h.slot[row, AR_BELOW] = NIL
    drop_object(h, o)
    return True


@kernel
def drop_object(h, o):
    """Give an object without pages back."""
    ref = h.slot[o, AR_HEAD]
    while ref != NIL:
        following = nxt(h, ref)
        drop_run(h, -2 - ref)
        ref = following
    forget_area(h, o)
    h.slot[o, OB_AREA] = NIL
    h.g[G_NOBJ] -= 1


@kernel
def merge(h, o):
    """Give all of an object to the only area that sees it, where it sees all. Whether it did."""
    above, x = 0, NIL
    for row in range(len(h.slot)):
        if h.slot[row, AR_KIND] >= 0 and h.slot[row, AR_BELOW] == o:
            above, x = above + 1, number_of(h, row)
    if above != 1 or not sees_all(h, x, o):
        return False
    index, end = 0, h.slot[o, AR_PAGES]
    while index < end:
        ref = locate(h, o, index)
        pages = h.g[G_LPOS] + length(h, ref) - index
        if not is_hole(h, ref):
            carry(h, o, ref, x, index, 0)
        index += pages
    h.slot[x, AR_BELOW] = h.slot[o, AR_BELOW]
    drop_object(h, o)
    return True


@kernel
def sees_all(h, x, o):
    """Whether an area sees every page that an object has or shows."""
    index, end = 0, h.slot[o, AR_PAGES]
    while index < end:
        ref = locate(h, o, index)
        stop = h.g[G_LPOS] + length(h, ref)
        shows = not is_hole(h, ref) or is_view(h, ref)
        while shows and index < stop:
            view = locate(h, x, index)
            if not is_view(h, view):
                return False
            index = h.g[G_LPOS] + length(h, view)
        index = stop
    return True
