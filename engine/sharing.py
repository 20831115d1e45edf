"""Views, forks, orphans on elements; what lets go of pages: FREE, UNMAP, EXIT, UNPIN.

Rules, and what they simplify, as in ``engine.reference.sharing``. A view is a hole with a flag; the
area below has the page at the same index. Pages of one story are looked at in one piece.
"""

from engine.bags import note
from engine.elements import (
    behind_folio,
    block_pb,
    chain_replace,
    count_of,
    counts_of,
    cut_out,
    drop_run,
    head_of,
    hole_flag,
    is_folio,
    is_gigantic,
    is_hole,
    is_view,
    join_around,
    join_holes,
    length,
    locate,
    make_hole,
    new_hole,
    nxt,
    put_in_hole,
    set_holes,
    whole_again,
)
from engine.enums import Cost, Counter, Errno
from engine.hugepool import free_hugetlb
from engine.kernel import kernel
from engine.memory import (
    BY_FOLIO,
    FILE,
    HUGETLB,
    SHMEM,
    THP,
    area_ok,
    block_of,
    change_count,
    change_range,
    count_used,
    cpu_of,
    forget_area,
    free_pages_of,
    may_map,
    new_area,
    proc_ok,
    range_ok,
    release_area,
    release_range,
    split_folio,
)
from engine.percpu import free_huge
from engine.state import (
    AR_BELOW,
    AR_DIRTY,
    AR_FOLIO,
    AR_HEAD,
    AR_KIND,
    AR_PAGES,
    AR_PINS,
    AR_PRESENT,
    AR_PROC,
    AR_SEQ,
    AR_VIEWS,
    AR_ZONE,
    BK_ZONE,
    COSTS,
    COUNTERS,
    DESC,
    FIRST_OBJECT,
    G_AREASEQ,
    G_ERROR,
    G_GIGANTIC,
    G_LPOS,
    G_NCMD,
    G_NDIRTY,
    G_NOBJ,
    G_OBJROWS,
    G_PBP,
    G_THROUGH,
    G_TIDY,
    HUGE_ZERO,
    NIL,
    OB_AREA,
    OB_SEQ,
    PH_OWN,
    PIN_AWAY,
    PN_AREA,
    PN_COUNT,
    PN_FIRST,
    PN_LONG,
    PN_MAPPED,
    PN_PROC,
    PN_SEQ,
    PN_SLOT,
    PN_THROUGH,
    PR_CPU,
    RN_OWN,
    RS_FLAG,
    T_LATENCY,
    T_PAGES,
    VIEW,
    ZERO,
)
from engine.ways import bring_near

OK, EINVAL, EBUSY = 0, int(Errno.EINVAL), int(Errno.EBUSY)
RELEASED, PGFAULT = int(Counter.NR_FOLL_PIN_RELEASED), int(Counter.PGFAULT)
FREE_4K, FREE_2M = int(Cost.FREE_4K), int(Cost.FREE_2M)


# -- objects --------------------------------------------------------------------------------------


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


# -- who sees what --------------------------------------------------------------------------------


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


# -- fork -----------------------------------------------------------------------------------------


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


# -- orphans --------------------------------------------------------------------------------------


@kernel
def orphan_held(h, a, first, count):
    """Move what somebody holds of a range to an object."""
    if not any_pin(h, a):
        return
    index, end = first, first + count
    while index < end:
        ref = locate(h, a, index)
        pos = h.g[G_LPOS]
        stop = min(end, pos + length(h, ref))
        if is_gigantic(h, ref):
            index = orphan_gigantic(h, a, index, head_of(h, ref))
            continue
        if is_hole(h, ref) or count_of(h, ref) == 0:
            index = stop
            continue
        if not is_folio(h, ref):
            ref = cut_out(h, a, index, stop)
        elif index > pos or stop < pos + h.g[G_PBP]:
            split_held(h, a, ref, pos)
            continue
        carry(h, a, ref, orphanage(h, a), index, 0)
        index = stop


@kernel
def orphan_gigantic(h, a, index, head):
    """Move a gigantic folio at an index to an object, if it is held; returns its end."""
    pins, references = counts_of(h, head)
    if pins or references:
        o = orphanage(h, a)
        for i in range(h.g[G_GIGANTIC]):
            carry(h, a, head + i, o, index + i * h.g[G_PBP], 0)
    return behind_folio(h, a, index)


@kernel
def any_pin(h, a):
    """Whether an area has, or had, pages that somebody holds."""
    return h.slot[a, AR_PINS] > 0


@kernel
def split_held(h, a, pb, pos):
    """Make base pages of a held huge folio, each with the pins and references it has."""
    change_count(h, pb, 0)
    split_folio(h, pb)
    end = pos + h.g[G_PBP]
    for q in range(len(h.slot)):
        if h.slot[q, PN_AREA] != a or h.slot[q, PN_LONG] == PIN_AWAY:
            continue
        index = max(pos, h.slot[q, PN_FIRST])
        last = min(end, h.slot[q, PN_FIRST] + h.slot[q, PN_COUNT])
        if h.slot[q, PN_LONG] == BY_FOLIO:  # its pin stays with the first page it covers
            last = min(last, index + 1)
        while index < last:
            w, stop = holder(h, a, h.slot[q, PN_SEQ], index, last)
            if w == a:
                change_range(h, a, index, stop - index, h.slot[q, PN_LONG], 1)
            index = stop


@kernel
def orphanage(h, a):
    """Object for pages that leave an area now: the last one, unless pins were taken since."""
    found, last, newest = NIL, -1, -1
    for row in range(len(h.slot)):
        if h.slot[row, PN_AREA] == a:
            newest = max(newest, h.slot[row, PN_SEQ])
        if h.slot[row, AR_KIND] >= 0 and h.slot[row, OB_AREA] == a and h.slot[row, OB_SEQ] > last:
            found, last = number_of(h, row), h.slot[row, OB_SEQ]
    if last > newest:
        return found
    o = new_object(h, a)
    h.slot[o, OB_AREA] = a
    h.slot[o, OB_SEQ] = h.g[G_NCMD] - 1
    return o


@kernel
def holder(h, a, sequence, index, stop):
    """Where the page is that a pin of a time took at an index; until where this holds.

    A huge folio leaves an area whole: what lies in later objects does not divide it.
    """
    if h.g[G_NOBJ] == 0:
        return a, stop
    found, first, limit, end = a, 0, stop, 0
    for row in range(len(h.slot)):
        if h.slot[row, AR_KIND] < 0 or h.slot[row, OB_AREA] != a:
            continue
        left = h.slot[row, OB_SEQ]
        if left <= sequence or index >= h.slot[row, AR_PAGES]:
            continue
        o = number_of(h, row)
        ref = locate(h, o, index)
        stop = min(stop, h.g[G_LPOS] + length(h, ref))
        if not is_hole(h, ref) and (found == a or left < first):
            found, first = o, left
            end = h.g[G_LPOS] + h.g[G_PBP] if is_folio(h, ref) else 0
    return found, min(limit, end) if end else stop


@kernel
def let_go(h, o, first, count, cpu):
    """Free orphans that nobody holds any more, page by page."""
    index, end = first, first + count
    while index < end:
        ref = locate(h, o, index)
        pos = h.g[G_LPOS]
        stop = min(end, pos + length(h, ref))
        if not is_hole(h, ref) and count_of(h, ref) == 0:
            if is_gigantic(h, ref):
                free_gigantic(h, o, head_of(h, ref), cpu)
            elif is_folio(h, ref):
                free_folio(h, o, ref, cpu)
            else:
                ref = cut_out(h, o, index, stop)
                pb = block_pb(h, ref)
                make_hole(h, o, ref)
                count_used(h, o, pb, index - stop)
                h.g[T_LATENCY] += (stop - index) * h.g[COSTS + FREE_4K]
                if ref < NIL:
                    h.runb[-2 - ref, RS_FLAG] &= DESC
                free_pages_of(h, ref, cpu)
            h.g[G_TIDY] = 1
        index = stop


@kernel
def free_folio(h, o, pb, cpu):
    """Free a huge folio of an object."""
    hugetlb = h.slot[o, AR_KIND] == HUGETLB
    make_hole(h, o, pb)
    count_used(h, o, pb, -h.g[G_PBP])
    h.g[T_LATENCY] += h.g[COSTS + FREE_2M]
    if hugetlb:
        free_hugetlb(h, pb, cpu)
    else:
        free_huge(h, pb, cpu)


@kernel
def free_gigantic(h, o, head, cpu):
    """Free a gigantic folio of an object, unless somebody holds a part of it."""
    pins, references = counts_of(h, head)
    if pins or references:
        return
    for pb in range(head, head + h.g[G_GIGANTIC]):
        make_hole(h, o, pb)
        count_used(h, o, pb, -h.g[G_PBP])
        h.g[T_LATENCY] += h.g[COSTS + FREE_2M]
    free_hugetlb(h, head, cpu)


# -- commands -------------------------------------------------------------------------------------


@kernel
def set_dirty(h, a, on):
    """DIRTY: whether page cache must be written back before it is dropped."""
    if not area_ok(h, a) or h.slot[a, AR_KIND] != FILE:
        return EINVAL
    dirty, a = 1 if on else 0, behind(h, a, 0, 0)
    h.g[G_NDIRTY] += dirty - h.slot[a, AR_DIRTY]
    h.slot[a, AR_DIRTY] = dirty
    return OK


@kernel
def free_range(h, a, first, count, cpu):
    """FREE: MADV_DONTNEED. What somebody holds stays allocated until it is let go."""
    if not range_ok(h, a, first, count):
        return EINVAL
    if h.slot[a, AR_KIND] == HUGETLB and (first | count) % (h.slot[a, AR_FOLIO] * h.g[G_PBP]):
        return EINVAL
    h.g[T_PAGES] = count
    cpu = cpu_of(h, a, cpu)
    orphan_held(h, a, first, count)
    showing = release_range(h, a, first, count, cpu)
    if showing and h.slot[a, AR_KIND] == THP:
        split_huge_zero(h, a, first)
        split_huge_zero(h, a, first + count - 1)
    if showing and h.slot[a, AR_KIND] != HUGETLB:  # what is reserved stays so
        set_holes(h, a, first, count, -1, 0)
    sweep(h, h.slot[a, AR_BELOW], first, count, cpu)
    return OK


@kernel
def split_huge_zero(h, a, index):
    """The huge zero page around an index becomes zero pages."""
    if hole_flag(h, locate(h, a, index)) == HUGE_ZERO:
        set_holes(h, a, index - index % h.g[G_PBP], h.g[G_PBP], HUGE_ZERO, ZERO)


@kernel
def unmap(h, a):
    """UNMAP: EBUSY for a file that is mapped."""
    if not area_ok(h, a):
        return EINVAL
    for row in range(len(h.slot)):
        if h.slot[row, AR_KIND] >= 0 and h.slot[row, AR_BELOW] == a:
            return EBUSY
    drop_area(h, a, h.slot[h.slot[a, AR_PROC], PR_CPU])
    return OK


@kernel
def drop_area(h, a, cpu):
    """Let go of a whole area and forget it."""
    below, pages = h.slot[a, AR_BELOW], h.slot[a, AR_PAGES]
    orphan_held(h, a, 0, pages)
    release_area(h, a, cpu)
    if below <= FIRST_OBJECT:
        sweep(h, below, 0, pages, cpu)
        h.g[G_TIDY] = 1


@kernel
def exit_process(h, p):
    """EXIT: pins of the process, then its areas, in slot order; a mapped file finds an heir."""
    for q in range(len(h.slot)):
        if h.slot[q, PN_AREA] >= 0 and h.slot[q, PN_PROC] == p:
            unpin(h, q)
    for a in range(len(h.slot) - h.g[G_OBJROWS]):
        if h.slot[a, AR_KIND] < 0 or h.slot[a, AR_PROC] != p:
            continue
        heir = mapper(h, a, p)
        if heir == NIL:
            drop_area(h, a, h.slot[p, PR_CPU])
        else:
            h.slot[a, AR_PROC] = heir
    h.slot[p, PR_CPU] = NIL


@kernel
def mapper(h, a, p):
    """Another process that maps a file, or NIL."""
    if h.slot[a, AR_KIND] != FILE and h.slot[a, AR_KIND] != SHMEM:
        return NIL
    for x in range(len(h.slot) - h.g[G_OBJROWS]):
        if h.slot[x, AR_KIND] >= 0 and h.slot[x, AR_BELOW] == a and h.slot[x, AR_PROC] != p:
            return h.slot[x, AR_PROC]
    return NIL


@kernel
def unpin(h, q):
    """Release what PIN or HOLD took."""
    if not 0 <= q < len(h.slot) or h.slot[q, PN_AREA] < 0:
        return EINVAL
    if h.slot[q, PN_LONG] != PIN_AWAY:
        drop_pins(h, q, False)
        drop_pins(h, q, True)
    forget_pin(h, q)
    return OK


@kernel
def drop_pins(h, q, orphans):
    """Take a pin or hold off the pages its area still has, or off the orphans, and free these."""
    a, longterm = h.slot[q, PN_AREA], h.slot[q, PN_LONG]
    if not orphans and h.slot[q, PN_COUNT] > h.slot[a, AR_PAGES] // 2:
        bring_near(h, a)
    cpu = cpu_of_pin(h, q)
    index, released = h.slot[q, PN_FIRST], 0
    end = index + h.slot[q, PN_COUNT]
    while index < end:
        limit = index + 1 if longterm == BY_FOLIO else end
        w, stop = holder(h, a, h.slot[q, PN_SEQ], index, limit)
        if (w <= FIRST_OBJECT) == orphans:
            change_range(h, w, index, stop - index, longterm, -1)
            released += stop - index
            if orphans:
                let_go(h, w, index, stop - index, cpu)
        index = behind_folio(h, w, index) if longterm == BY_FOLIO else stop
    if longterm:
        h.g[COUNTERS + RELEASED] += released


@kernel
def cpu_of_pin(h, q):
    """The CPU of the process that a pin belongs to, or NIL."""
    proc = h.slot[q, PN_PROC]
    return h.slot[proc, PR_CPU] if proc_ok(h, proc) else NIL


@kernel
def forget_pin(h, q):
    """Give the slot of a pin or hold back."""
    h.slot[h.slot[q, PN_AREA], AR_PINS] -= 1
    h.slot[q, PN_AREA] = NIL
    h.g[G_THROUGH] -= h.slot[q, PN_THROUGH]
    h.g[T_PAGES] += h.slot[q, PN_COUNT]


@kernel
def note_taken(h, q, a, first, count, longterm, through):
    """Write down a pin or hold of an area on behalf of the process that owns ``through``."""
    h.slot[q, PN_AREA] = a
    h.slot[a, AR_PINS] += 1
    h.slot[q, PN_FIRST] = first
    h.slot[q, PN_COUNT] = count
    h.slot[q, PN_LONG] = longterm
    h.slot[q, PN_PROC] = h.slot[through, AR_PROC]
    h.slot[q, PN_SEQ] = h.g[G_NCMD] - 1
    h.slot[q, PN_SLOT] = through
    h.slot[q, PN_MAPPED] = h.slot[through, AR_SEQ]
    h.slot[q, PN_THROUGH] = 1 if through != a else 0
    h.g[G_THROUGH] += h.slot[q, PN_THROUGH]


# -- objects that are not needed any more ---------------------------------------------------------


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
