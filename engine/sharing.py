"""Who sees what: views of pages below, mappings of files, forks, copies taken back.

Rules, and what they simplify, as in ``engine.reference.sharing``. A view is a hole with a flag; the
area below has the page at the same index. Pages of one story are looked at in one piece.
"""

from engine.chains import locate
from engine.elements import count_of, is_folio, is_hole, length
from engine.enums import Counter, Errno
from engine.holes import hole_flag, is_view, set_holes
from engine.kernel import kernel
from engine.memory import FILE, SHMEM, area_ok, may_map, new_area, proc_ok, release_range
from engine.objects import carry, new_object, number_of
from engine.runs import cut_out
from engine.state import (
    AR_BELOW,
    AR_KIND,
    AR_PAGES,
    AR_SEQ,
    COUNTERS,
    FIRST_OBJECT,
    G_AREASEQ,
    G_LPOS,
    G_PBP,
    G_TIDY,
    NIL,
    VIEW,
)

OK, EINVAL = 0, int(Errno.EINVAL)
PGFAULT = int(Counter.PGFAULT)


@kernel
def behind(h, a, first, count):
    """The file a mapping shows, with a range of it mapped; any other area itself."""
    if h.slot[a, AR_BELOW] < 0:
        return a
    if count:
        set_holes(h, a, first, count, 0, VIEW)
    return h.slot[a, AR_BELOW]


@kernel
def seen(h, below, but, index, stop):
    """Whether an area (but not ``but``) sees a page of the area below; until where this holds."""
    until, last = stop, index
    for row in range(len(h.slot)):
        if h.slot[row, AR_KIND] < 0 or h.slot[row, AR_BELOW] != below:
            continue
        x = number_of(h, row)
        if x == but:
            continue
        ref = locate(h, x, index)
        end = min(h.g[G_LPOS] + length(h, ref), stop)
        if is_view(h, ref):
            last = max(last, end)
        else:
            until = min(until, end)
    return (True, last) if last > index else (False, until)


@kernel
def any_seen(h, below, index, stop):
    """Whether any page of a range is seen."""
    while index < stop:
        found, index = seen(h, below, NIL, index, stop)
        if found:
            return True
    return False


@kernel
def way_down(h, a, index, stop):
    """What a view shows: area that has the page, whether nobody else sees it, until where."""
    x, below, alone = a, h.slot[a, AR_BELOW], True
    while True:
        others, stop = seen(h, below, x, index, stop)
        if others:
            alone = False
        ref = locate(h, below, index)
        stop = min(stop, h.g[G_LPOS] + length(h, ref))
        if not is_hole(h, ref):
            return below, alone, stop
        x, below = below, h.slot[below, AR_BELOW]


@kernel
def folio_alone(h, a, below, pos):
    """Whether an area sees all of a huge folio, and nobody else any of it."""
    index, end = pos, pos + h.g[G_PBP]
    while index < end:
        if not is_view(h, locate(h, a, index)):
            return False
        stop = min(end, h.g[G_LPOS] + length(h, locate(h, a, index)))
        w, alone, index = way_down(h, a, index, stop)
        if w != below or not alone:
            return False
    return True


@kernel
def take_back(h, a, index, stop):
    """wp_page_reuse of a view from ``index`` on; returns until where, ``index`` if not alone."""
    below, alone, stop = way_down(h, a, index, stop)
    ref = locate(h, below, index)
    faults = stop - index
    if is_folio(h, ref):
        index = h.g[G_LPOS]
        if not alone or not folio_alone(h, a, below, index):
            return NIL, stop
        stop, faults = index + h.g[G_PBP], 1
    elif alone:
        ref = cut_out(h, below, index, stop)
    else:
        return NIL, stop
    x = h.slot[a, AR_BELOW]
    while x != below:
        set_holes(h, x, index, stop - index, VIEW, 0)
        x = h.slot[x, AR_BELOW]
    carry(h, below, ref, a, index, 0)
    h.g[COUNTERS + PGFAULT] += faults
    h.g[G_TIDY] = 1
    return stop, stop


@kernel
def sweep(h, o, first, count, cpu):
    """Free what nobody sees any more of the objects from ``o`` downwards."""
    pbp = h.g[G_PBP]
    while o <= FIRST_OBJECT:
        index, start = first - first % pbp, NIL
        end = min((first + count + pbp - 1) // pbp * pbp, h.slot[o, AR_PAGES])
        while index < end:
            ref = locate(h, o, index)
            stop = min(end, h.g[G_LPOS] + length(h, ref))
            if is_folio(h, ref):
                found = any_seen(h, o, index, stop)
            else:
                found, stop = seen(h, o, NIL, index, stop)
            if found:
                if start >= 0:
                    forget_range(h, o, start, index - start, cpu)
                start = NIL
            elif start < 0:
                start = index
            index = stop
        if start >= 0:
            forget_range(h, o, start, end - start, cpu)
        o = h.slot[o, AR_BELOW]


@kernel
def forget_range(h, o, first, count, cpu):
    """Free a range of an object."""
    release_range(h, o, first, count, cpu)
    set_holes(h, o, first, count, -1, 0)
    h.g[G_TIDY] = 1


@kernel
def map_file(h, a, p, file):
    """MAP_FILE: a shared mapping of a whole file (an area of page cache)."""
    if not may_map(h, a) or not proc_ok(h, p) or not area_ok(h, file):
        return EINVAL
    kind = h.slot[file, AR_KIND]
    if (kind != FILE and kind != SHMEM) or h.slot[file, AR_BELOW] >= 0:
        return EINVAL
    view_area(h, a, p, file)
    h.slot[a, AR_BELOW] = file
    return OK


@kernel
def view_area(h, a, p, like):
    """A fresh area as large as another, of the same kind."""
    new_area(h, a, p, h.slot[like, AR_KIND], h.slot[like, AR_PAGES], 0, 0)
    h.slot[a, AR_SEQ] = h.g[G_AREASEQ]
    h.g[G_AREASEQ] += 1


@kernel
def share(h, a, c):
    """Give all of an area that nobody holds to an object that its copy sees, too."""
    o = new_object(h, a)
    index, end = 0, h.slot[a, AR_PAGES]
    while index < end:
        ref = locate(h, a, index)
        pages = h.g[G_LPOS] + length(h, ref) - index
        if is_hole(h, ref):
            flag = hole_flag(h, ref)
            set_holes(h, c, index, pages, 0, flag)
            if flag == VIEW:
                set_holes(h, o, index, pages, 0, VIEW)
        elif count_of(h, ref) == 0:
            carry(h, a, ref, o, index, VIEW)
            set_holes(h, c, index, pages, 0, VIEW)
        index += pages
    h.slot[o, AR_BELOW] = h.slot[a, AR_BELOW]
    h.slot[a, AR_BELOW] = o
    h.slot[c, AR_BELOW] = o
    h.g[G_TIDY] = 1
