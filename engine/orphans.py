"""Pages that leave their area while somebody holds them, and are freed when nobody does.

Rules as in ``engine.reference.sharing``. They go to an object (``engine.objects``) that remembers
the area and the command, so that a pin taken before finds its pages there.
"""

from engine.chains import locate
from engine.elements import (
    behind_folio,
    block_pb,
    count_of,
    counts_of,
    head_of,
    is_folio,
    is_gigantic,
    is_hole,
    length,
)
from engine.enums import Cost
from engine.holes import make_hole
from engine.hugepool import free_hugetlb
from engine.kernel import kernel
from engine.memory import (
    BY_FOLIO,
    HUGETLB,
    change_count,
    change_range,
    count_used,
    free_pages_of,
    split_folio,
)
from engine.objects import carry, new_object, number_of
from engine.percpu import free_huge
from engine.runs import cut_out
from engine.state import (
    AR_KIND,
    AR_PAGES,
    AR_PINS,
    COSTS,
    DESC,
    G_GIGANTIC,
    G_LPOS,
    G_NCMD,
    G_NOBJ,
    G_PBP,
    G_TIDY,
    NIL,
    OB_AREA,
    OB_SEQ,
    PIN_AWAY,
    PN_AREA,
    PN_COUNT,
    PN_FIRST,
    PN_LONG,
    PN_SEQ,
    RS_FLAG,
    T_LATENCY,
)

FREE_4K, FREE_2M = int(Cost.FREE_4K), int(Cost.FREE_2M)


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
