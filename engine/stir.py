"""STIR: the order that a long history leaves in the free lists.

Rules as in ``engine.reference.history``.
"""

from engine.chunks import note_range, set_max_chunk, single_out
from engine.draw_kernel import below
from engine.elements import set_nxt, set_prv
from engine.enums import Errno
from engine.freelist import came, fl, recent
from engine.kernel import kernel
from engine.state import (
    FL_COUNT,
    FL_HEAD,
    FL_TAIL,
    G_MAXO,
    G_MUT,
    G_NZONES,
    G_PERM,
    NIL,
    PB_AUX,
    PB_NEXT,
    PH_LIST,
)

MILLION = 1_000_000
OK, EINVAL = 0, int(Errno.EINVAL)


@kernel
def stir(h, key, z, millionths):
    """STIR."""
    if not 0 <= millionths <= MILLION or not 0 <= z < h.g[G_NZONES]:
        return EINVAL
    for mt in range(4):
        stir_list(h, z, mt, key, millionths)
    return OK


@kernel
def stir_list(h, z, mt, key, millionths):
    """Fisher-Yates on the first part of a list of maximal chunks; the rest stays in rows."""
    order = h.g[G_MAXO]
    i = fl(h, z, mt, order)
    head, total = h.fl[i, FL_HEAD], 0
    while head != NIL:
        total += h.pb[head, PB_AUX]
        head = h.pb[head, PB_NEXT]
    used = total * millionths // MILLION
    head, n = h.fl[i, FL_HEAD], 0
    while n < used:
        following, row = h.pb[head, PB_NEXT], h.pb[head, PB_AUX]
        if n + row > used:
            single_out(h, z, head + 2 * (used - n), head)
            row = used - n
            following = head + 2 * row
        if row > 1:
            note_range(h, head, NIL)
        for k in range(row):
            h.small[h.g[G_PERM] + n + k] = head + 2 * k
        n += row
        head = following
    if used == 0:
        return
    permute(h, z, mt, key, used)
    last, begin, count = NIL, recent(h, z, mt, order), h.fl[i, FL_COUNT]
    for k in range(used - 1, -1, -1):
        pb = h.small[h.g[G_PERM] + k]
        count = came(h, begin, count, pb, pb + 1)
    h.fl[i, FL_COUNT] = count
    for k in range(used):
        pb = h.small[h.g[G_PERM] + k]
        set_max_chunk(h, pb, 1)
        h.pbh[pb, PH_LIST] = mt
        set_prv(h, pb, last)
        if last == NIL:
            h.fl[i, FL_HEAD] = pb
        else:
            set_nxt(h, last, pb)
        last = pb
    set_nxt(h, last, head)
    if head == NIL:
        h.fl[i, FL_TAIL] = last
    else:
        set_prv(h, head, last)
    h.g[G_MUT] += 1


@kernel
def permute(h, z, mt, key, n):
    """Fisher-Yates on the first n entries of the scratch table."""
    base = h.g[G_PERM]
    for k in range(n - 1, 0, -1):
        j = below(k + 1, key, z, mt, k)
        pb = h.small[base + k]
        h.small[base + k] = h.small[base + j]
        h.small[base + j] = pb
