"""FORK: copy_page_range of one area. Rules as in ``engine.reference.sharing``."""

from engine.allocate import find_zone, take_piece
from engine.chains import locate
from engine.elements import block_pb, count_of, is_hole, length
from engine.enums import Cell, Counter, Errno
from engine.fault import PATH_COW, ask, count_fault, flagged
from engine.holes import is_view, set_holes
from engine.kernel import kernel
from engine.memory import ANON, THP, area_ok, attach, cpu_of, may_map, proc_ok
from engine.sharing import share, view_area
from engine.state import (
    AR_BELOW,
    AR_HINT,
    AR_KIND,
    AR_PAGES,
    AR_PROC,
    COUNTERS,
    G_ERROR,
    G_LPOS,
    PR_CPU,
    T_PAGES,
    VIEW,
)
from engine.unmap import drop_area

OK, EINVAL, EINTR = 0, int(Errno.EINVAL), int(Errno.EINTR)
KILLS, PGFAULT = int(Counter.OOM_KILL), int(Counter.PGFAULT)
FLAG_COW = int(Cell.FAULT_FLAG_COW)


@kernel
def fork(h, c, a, p):
    """FORK: copy an area into a process; EINTR when memory ends."""
    if not may_map(h, c) or not proc_ok(h, p) or not area_ok(h, a):
        return EINVAL
    if h.slot[a, AR_PROC] == p:
        return EINVAL
    file = h.slot[a, AR_BELOW]
    if h.slot[a, AR_KIND] != ANON and h.slot[a, AR_KIND] != THP and file < 0:
        return EINVAL
    view_area(h, c, p, a)
    h.slot[c, AR_HINT] = h.slot[a, AR_HINT]
    h.g[T_PAGES] = h.slot[a, AR_PAGES]
    if file >= 0:
        h.slot[c, AR_BELOW] = file
        copy_marks(h, c, a)
        return OK
    if not copy_held(h, c, a):
        return EINTR
    share(h, a, c)
    return OK


@kernel
def copy_marks(h, c, a):
    """Map the same pages of a file."""
    index, end = 0, h.slot[a, AR_PAGES]
    while index < end:
        ref = locate(h, a, index)
        pages = h.g[G_LPOS] + length(h, ref) - index
        if is_view(h, ref):
            set_holes(h, c, index, pages, 0, VIEW)
        index += pages


@kernel
def copy_held(h, c, a):
    """Copy what somebody holds of an area. False when a process died of it."""
    index, end, cpu = 0, h.slot[a, AR_PAGES], cpu_of(h, a, -1)
    while index < end:
        ref = locate(h, a, index)
        stop = h.g[G_LPOS] + length(h, ref)
        if not is_hole(h, ref) and count_of(h, ref) != 0:
            if not copy_range(h, c, a, index, stop, cpu):
                return False
        index = stop
    return True


@kernel
def copy_range(h, c, a, index, stop, cpu):
    """Copy a range page by page, for the child. False when a process died of it."""
    ask(h, c, cpu, -1, flagged(h, c, FLAG_COW, False))
    kills = h.g[COUNTERS + KILLS]
    while index < stop:
        z = find_zone(h)
        if z < 0 or h.g[G_ERROR]:
            return False
        ref = take_piece(h, z, 1 if kills != h.g[COUNTERS + KILLS] else stop - index)
        kills = h.g[COUNTERS + KILLS]
        pages, pb = length(h, ref), block_pb(h, ref)
        attach(h, c, index, ref)
        h.g[COUNTERS + PGFAULT] += pages
        count_fault(h, pb, pages, False, PATH_COW)
        index += pages
        if not area_ok(h, a):  # the parent was killed
            drop_area(h, c, h.slot[h.slot[c, AR_PROC], PR_CPU])
            return False
    return True
