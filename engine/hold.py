"""HOLD: references without FOLL_LONGTERM, such as vmsplice takes.

Rules and sources as in ``engine.reference.pinning``.
"""

from engine.allocate import stopped
from engine.chains import locate
from engine.elements import is_hole, length
from engine.enums import Errno
from engine.fault import map_zero, populate, populate_through, unshare
from engine.kernel import kernel
from engine.memory import ANON, FILE, HUGETLB, KERNEL, SHMEM, THP, change_range, cpu_of, range_ok
from engine.sharing import behind
from engine.state import AR_KIND, G_BUSY, G_LPOS, NIL, PN_AREA, T_PAGES
from engine.unpin import note_taken

OK, EINVAL, EFAULT = 0, int(Errno.EINVAL), int(Errno.EFAULT)
EINTR = int(Errno.EINTR)


@kernel
def hold(h, q, a, first, count):
    """HOLD: references without FOLL_LONGTERM."""
    if q < 0 or h.slot[q, PN_AREA] >= 0 or not range_ok(h, a, first, count):
        return EINVAL
    if h.slot[a, AR_KIND] == KERNEL:
        return EFAULT
    at = behind(h, a, 0, 0)
    caches = h.slot[a, AR_KIND] == FILE or h.slot[a, AR_KIND] == SHMEM
    h.g[G_BUSY] = at
    if caches:
        populate_through(h, a, first, count, cpu_of(h, a, -1), -1)
    else:
        unshare(h, a, first, count, cpu_of(h, a, -1))
    h.g[G_BUSY] = NIL
    if stopped(h):
        return EINTR
    if h.slot[a, AR_KIND] == HUGETLB:  # no zero page: a read fault takes a folio, too
        if populate(h, a, first, count, cpu_of(h, a, -1), -1, False) != OK:
            return EFAULT
    present = present_in(h, at, first, count)
    anonymous = h.slot[a, AR_KIND] == ANON or h.slot[a, AR_KIND] == THP
    if present not in (0, count) or (present == 0 and not anonymous):
        return EFAULT
    note_taken(h, q, at, first, present, 0, a)
    if present:
        change_range(h, at, first, count, 0, 1)
    else:
        map_zero(h, a, first, count)
    h.g[T_PAGES] = count
    return OK


@kernel
def present_in(h, a, first, count):
    """Present pages of a range."""
    pages = 0
    index, end = first, first + count
    while index < end:
        ref = locate(h, a, index)
        stop = min(end, h.g[G_LPOS] + length(h, ref))
        if not is_hole(h, ref):
            pages += stop - index
        index = stop
    return pages
