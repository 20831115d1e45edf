"""Maximal chunks in a row: one on a list may stand for several (PB_AUX of them).

That is how memory which was never used costs nothing. The heads of rows stand in a small table.
"""

from engine.elements import nxt, set_nxt, set_prv
from engine.freelist import fl, link, replace_first, unlink_pb
from engine.kernel import kernel
from engine.pageblock import set_flags
from engine.state import (
    FL_TAIL,
    FREE,
    G_MAXO,
    G_MUT,
    G_NRANGES,
    MAXORDER,
    NIL,
    PB_AUX,
    PH_LIST,
    PS_STATE,
    RANGES,
    UNUSED,
)


@kernel
def note_range(h, old, new):
    """Keep the table of rows: ``old`` head becomes ``new`` (NIL: gone); NIL old: added."""
    n = h.g[G_NRANGES]
    if old == NIL:
        if n < RANGES:
            h.small[n] = new
            h.g[G_NRANGES] += 1
            return True
        return False
    for i in range(n):
        if h.small[i] == old:
            if new == NIL:
                h.small[i] = h.small[n - 1]
                h.g[G_NRANGES] -= 1
            else:
                h.small[i] = new
            return True
    return False


@kernel
def set_max_chunk(h, pb, row):
    """Mark a pageblock as head of ``row`` free maximal chunks."""
    h.pbs[pb, PS_STATE] = FREE
    set_flags(h, pb, MAXORDER)
    h.pb[pb, PB_AUX] = row
    if row == 1:
        h.pbs[pb + 1, PS_STATE] = UNUSED


@kernel
def add_row(h, z, mt, pb, row):
    """Put ``row`` maximal chunks from ``pb`` on, ascending, at the tail of a list."""
    order = h.g[G_MAXO]
    if row > 1 and note_range(h, NIL, pb):
        set_max_chunk(h, pb, row)
        link(h, z, mt, order, pb, True)
        return
    for i in range(row):
        set_max_chunk(h, pb + 2 * i, 1)
        link(h, z, mt, order, pb + 2 * i, True)


@kernel
def pop_max_chunk(h, z, pb):
    """Take the first maximal chunk of the row that ``pb``, the first of its list, heads."""
    row = h.pb[pb, PB_AUX]
    order = h.g[G_MAXO]
    if row == 1:
        unlink_pb(h, z, order, pb)
        return
    h.g[G_MUT] += 1
    set_max_chunk(h, pb + 2, row - 1)
    replace_first(h, z, order, pb, pb + 2)
    note_range(h, pb, pb + 2 if row > 2 else NIL)
    h.pbs[pb + 1, PS_STATE] = UNUSED


@kernel
def single_out(h, z, pb, row_head):
    """Give the chunk at ``pb``, inside the row of ``row_head``, a list entry of its own."""
    order = h.g[G_MAXO]
    row = h.pb[row_head, PB_AUX]
    before = (pb - row_head) // 2
    after = row - before - 1
    mt = h.pbh[row_head, PH_LIST]
    i = fl(h, z, mt, order)
    if row == 1:
        return
    note_range(h, row_head, row_head if before > 1 else NIL)
    if before > 0:
        set_max_chunk(h, row_head, before)
        insert_after(h, i, row_head, pb, mt)
    set_max_chunk(h, pb, 1)
    if after == 0:
        return
    rest = pb + 2
    if after == 1 or note_range(h, NIL, rest):
        set_max_chunk(h, rest, after)
        insert_after(h, i, pb, rest, mt)
        return
    last = pb
    for k in range(after):
        set_max_chunk(h, rest + 2 * k, 1)
        insert_after(h, i, last, rest + 2 * k, mt)
        last = rest + 2 * k


@kernel
def insert_after(h, i, ref, new, mt):
    """Put a pageblock chunk behind another on list ``i``."""
    n = nxt(h, ref)
    h.pbh[new, PH_LIST] = mt
    set_prv(h, new, ref)
    set_nxt(h, new, n)
    set_nxt(h, ref, new)
    if n == NIL:
        h.fl[i, FL_TAIL] = new
    else:
        set_prv(h, n, new)


@kernel
def row_over(h, pb):
    """Head of the row of two or more maximal chunks that covers ``pb``, or NIL."""
    for i in range(h.g[G_NRANGES]):
        head = h.small[i]
        if head <= pb < head + 2 * h.pb[head, PB_AUX]:
            return head
    return NIL
