"""What an area shows: its extents in virtual order, for those who look at a host from outside."""

from engine.elements import is_hole, length, nxt
from engine.kernel import entry
from engine.pointer import host_at
from engine.state import (
    AR_HEAD,
    DESC,
    FOLIO,
    G_PBO,
    HUGE_ZERO,
    NIL,
    PROMISED,
    PS_STATE,
    RN_PB,
    RS_FLAG,
    RS_START,
    VIEW,
    ZERO,
)

ABSENT, ZERO_PAGE, POOL_PROMISE, HUGE_ZERO_PAGE, SHOWN_VIEW = -1, -2, -3, -4, -5
"""What stands for the pfn of a hole. Views are looked through by whoever asks."""


@entry
def list_extents(at, slot, begin, stop, extents):
    """List the elements of an area that meet ``[begin, stop)``, cut to it.

    ``extents`` gets a row each as far as it has room: index, pages, pfn of the first page in
    virtual order, step (``engine.host.Host.area``). Returns how many there are.
    """
    h = host_at(at)
    n, index, ref = 0, 0, h.slot[slot, AR_HEAD]
    while ref != NIL and index < stop:
        pages = length(h, ref)
        low, high = max(index, begin), min(index + pages, stop)
        if low < high:
            if n < len(extents):
                pfn, step = ABSENT, 0
                if ref >= 0:
                    pfn, step = ref << h.g[G_PBO], 2 if h.pbs[ref, PS_STATE] == FOLIO else 1
                elif is_hole(h, ref):
                    flag = h.runb[-2 - ref, RS_FLAG]
                    if flag == ZERO:
                        pfn = ZERO_PAGE
                    elif flag == PROMISED:
                        pfn = POOL_PROMISE
                    elif flag == HUGE_ZERO:
                        pfn = HUGE_ZERO_PAGE
                    elif flag == VIEW:
                        pfn = SHOWN_VIEW
                else:
                    r = -2 - ref
                    pfn, step = (h.run[r, RN_PB] << h.g[G_PBO]) + h.runs[r, RS_START], 1
                    if h.runb[r, RS_FLAG] & DESC:
                        pfn, step = pfn + pages - 1, -1
                extents[n, 0], extents[n, 1] = low, high - low
                extents[n, 2], extents[n, 3] = pfn + min(step, 1) * (low - index), step
            n += 1
        index += pages
        ref = nxt(h, ref)
    return n


@entry
def join_extents(extents, count, folio_pages):
    """Join each of the first ``count`` extents to the one before where it continues that.

    Returns how many are left, in front.
    """
    n = 0
    for i in range(count):
        pages, pfn, step = extents[i, 1], extents[i, 2], extents[i, 3]
        if n:
            last = n - 1
            before, start, way = extents[last, 1], extents[last, 2], extents[last, 3]
            joined = step == 0 and start == pfn
            if step == 2 and way == 2:
                joined = pfn == start + before and pfn % folio_pages != 0
            if (step == 1 or step == -1) and (way == 1 or way == -1):
                for direction in (1, -1):
                    alike = (before == 1 or way == direction) and (pages == 1 or step == direction)
                    if not joined and alike and pfn == start + direction * before:
                        joined = True
                        extents[last, 3] = direction
            if joined:
                extents[last, 1] += pages
                continue
        extents[n, 0], extents[n, 1], extents[n, 2] = extents[i, 0], pages, pfn
        extents[n, 3] = 1 if pages == 1 and step == -1 else step
        n += 1
    return n
