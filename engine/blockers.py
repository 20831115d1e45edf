"""BLOCKER rows: what keeps a memory block from going offline, told run by run."""

from engine.elements import (
    block_pb,
    count_of,
    counts_of,
    head_of,
    is_folio,
    is_gigantic,
    length,
    prv,
)
from engine.emit import new_row
from engine.enums import BlockerClass, Cell, OfflineReason, Row
from engine.inflight import flights_over, has_io, stretch
from engine.kernel import kernel
from engine.memory import HUGETLB, KERNEL
from engine.orphans import holder
from engine.pinrow import PATH_HUGETLB, path_of
from engine.rehearsal import READY
from engine.state import (
    AR_KIND,
    AR_PAGES,
    BK_RESERVED,
    BK_ZONE,
    BL_INDEX,
    BL_REF,
    DESC,
    FOLIO,
    G_BLOCK_PBS,
    G_GIGANTIC,
    G_NOBJ,
    G_NROWS,
    G_PBO,
    G_PBP,
    G_REHEARSAL,
    NIL,
    O_ATTEMPT,
    O_NOROOM,
    OB_AREA,
    PB_AUX,
    PH_OWN,
    PIN_AWAY,
    PIN_BITS,
    PIN_MASK,
    PN_AREA,
    PN_COUNT,
    PN_FIRST,
    PN_LONG,
    PN_SEQ,
    PS_STATE,
    R_ALLOC,
    RN_BNEXT,
    RN_OWN,
    RS_FLAG,
    RS_START,
    RS_STATE,
    SPLIT,
    TABLE,
    UNIFORM,
)

BLOCKER_ROWS = 32
UNKNOWN = -2
BLOCKER = int(Row.BLOCKER)
UNMOVABLE_REASON = int(OfflineReason.UNMOVABLE)
LONGTERM_PIN, SHORT_REFERENCE = int(BlockerClass.LONGTERM_PIN), int(BlockerClass.SHORT_REFERENCE)
NO_ROOM, SHUTTLE = int(BlockerClass.NO_ROOM), int(BlockerClass.HUGETLB_SHUTTLE)
KERNEL_ZONE_PIN = int(BlockerClass.KERNEL_ZONE_PIN)
UNMOVABLE = int(BlockerClass.UNMOVABLE)
STRADDLE_FAILS = int(Cell.GIGANTIC_STRADDLE_FAILS)
RESERVED_FOLIO, DISSOLVE = int(BlockerClass.HUGETLB_RESERVED), int(OfflineReason.DISSOLVE)


@kernel
def index_of(h, ref):
    """Virtual index of an element: from its neighbour reported last, or from its area's head."""
    before, last = prv(h, ref), h.g[BL_REF]
    if before != NIL and before == last:
        index = h.g[BL_INDEX] + length(h, before)
    else:
        index = 0
        while before != NIL:
            index += length(h, before)
            before = prv(h, before)
    h.g[BL_REF] = ref
    h.g[BL_INDEX] = index
    return index


@kernel
def pin_of_all(h, a):
    """Lowest pin number that holds each page of an area, -1 without; UNKNOWN: pages may differ.

    Where an element is in its area takes long to find, and matters only to pins of a part.
    """
    if a < 0 or h.g[G_NOBJ]:
        return UNKNOWN
    for q in range(len(h.slot)):
        if h.slot[q, PN_AREA] == a and h.slot[q, PN_LONG] != PIN_AWAY:
            whole = h.slot[q, PN_FIRST] == 0 and h.slot[q, PN_COUNT] == h.slot[a, AR_PAGES]
            return q if whole else UNKNOWN
    return -1


@kernel
def pin_over(h, a, index, pages):
    """Lowest pin number that holds one of the pages of an area or object, or -1."""
    left = a if a >= 0 else h.slot[a, OB_AREA]
    for q in range(len(h.slot)):
        if h.slot[q, PN_AREA] != left or h.slot[q, PN_LONG] == PIN_AWAY:
            continue
        first = max(index, h.slot[q, PN_FIRST])
        end = min(index + pages, h.slot[q, PN_FIRST] + h.slot[q, PN_COUNT])
        while first < end:
            w, first = holder(h, left, h.slot[q, PN_SEQ], first, end)
            if w == a:
                return q
    return -1


@kernel
def class_of(h, b, a, pins, references, reason):
    """Blocker class of pages with these pins and references (I/O in flight included)."""
    if reason == UNMOVABLE_REASON:
        return UNMOVABLE
    if pins:
        return LONGTERM_PIN if h.blk[b, BK_ZONE] % 3 == 2 else KERNEL_ZONE_PIN
    if references:
        return SHORT_REFERENCE
    if a != NIL and h.slot[a, AR_KIND] == HUGETLB and not h.g[O_NOROOM]:
        return SHUTTLE
    return NO_ROOM


@kernel
def add_blocker(h, start, b, cls, pfn, pages, a, pins, references, path, pin):
    """Extend the last row, or add one. False when the attempt's rows are used up."""
    n = h.g[G_NROWS] - 1
    if n >= start:
        if (
            h.rows[n, 6] + h.rows[n, 7] == pfn
            and h.rows[n, 5] == cls
            and h.rows[n, 8] == a
            and h.rows[n, 9] == pins
            and h.rows[n, 10] == references
            and h.rows[n, 11] == path
            and h.rows[n, 13] == pin
        ):
            h.rows[n, 7] += pages
            return True
    if n + 1 - start >= BLOCKER_ROWS:
        return False
    n = new_row(h, BLOCKER)
    h.rows[n, 3] = h.g[O_ATTEMPT]
    h.rows[n, 4] = b
    h.rows[n, 5] = cls
    h.rows[n, 6] = pfn
    h.rows[n, 7] = pages
    h.rows[n, 8] = a
    h.rows[n, 9] = pins
    h.rows[n, 10] = references
    h.rows[n, 11] = path
    h.rows[n, 12] = h.blk[b, BK_ZONE]
    h.rows[n, 13] = pin
    return True


@kernel
def add_element(h, start, b, ref, reason):
    """BLOCKER rows of one element, page by page only where pins overlap it."""
    pb = block_pb(h, ref)
    pfn = pb << h.g[G_PBO]
    count = count_of(h, ref)
    if not count and h.g[G_REHEARSAL] > READY:
        return True  # it has moved
    pins, references = count & PIN_MASK, count >> PIN_BITS
    pages = length(h, ref)
    if ref >= 0:
        a = h.pbh[ref, PH_OWN]
    else:
        a = h.run[-2 - ref, RN_OWN]
        pfn += h.runs[-2 - ref, RS_START]
    huge = is_folio(h, ref)
    if has_io(h, a, ref) and not huge:
        return add_with_io(h, start, b, ref, a, reason)
    references += flights_over(h, a, ref, pb, 0) if has_io(h, a, ref) else 0
    cls = class_of(h, b, a, pins, references, reason)
    if cls == NO_ROOM and not h.g[O_NOROOM]:
        return True  # it would have moved, had the offline gone on
    path = path_of(h, a, huge) if h.slot[a, AR_KIND] != KERNEL else 0
    pin = pin_of_all(h, a) if count else -1
    if huge and pin == UNKNOWN:
        pin = pin_over(h, a, index_of(h, ref), pages)
    if pin != UNKNOWN:
        return add_blocker(h, start, b, cls, pfn, pages, a, pins, references, path, pin)
    down = ref < NIL and (h.runb[-2 - ref, RS_FLAG] & DESC) != 0
    index = index_of(h, ref)
    for i in range(pages):
        pin = pin_over(h, a, index + (pages - 1 - i if down else i), 1)
        if not add_blocker(h, start, b, cls, pfn + i, 1, a, pins, references, path, pin):
            return False
    return True


@kernel
def add_with_io(h, start, b, ref, a, reason):
    """BLOCKER rows of unheld base pages of an area with I/O: those in flight are references."""
    pb = block_pb(h, ref)
    offset = 0 if ref >= 0 else h.runs[-2 - ref, RS_START]
    end = offset + length(h, ref)
    while offset < end:
        k = min(abs(stretch(h, a, pb, offset, True)), end - offset)
        references = flights_over(h, a, ref, pb, offset)
        cls = class_of(h, b, a, 0, references, reason)
        pfn = (pb << h.g[G_PBO]) + offset
        if cls != NO_ROOM or h.g[O_NOROOM]:
            path = path_of(h, a, False)
            if not add_blocker(h, start, b, cls, pfn, k, a, 0, references, path, -1):
                return False
        offset += k
    return True


@kernel
def straddles(h, b):
    """Head of the gigantic folio that fails the isolation of a block as it goes on behind its end.

    NIL where there is none; rule and source as in ``engine.reference.offlining``.
    """
    last = (b + 1) * h.g[G_BLOCK_PBS] - 1
    if not h.g[TABLE + STRADDLE_FAILS] or not is_gigantic(h, last):
        return NIL
    head = head_of(h, last)
    return head if head + h.g[G_GIGANTIC] > last + 1 else NIL


@kernel
def add_gigantic(h, start, b, head, reason):
    """BLOCKER row of a gigantic folio, whole, where its story is one of this reason."""
    a, free = h.pbh[head, PH_OWN], h.pbh[head, PH_OWN] == NIL
    if reason == UNMOVABLE_REASON:
        if straddles(h, b) != head:
            return True
    elif free != (reason == DISSOLVE):
        return True
    pins, references = counts_of(h, head)
    cls = class_of(h, b, a, pins, references, reason)
    if reason == DISSOLVE:
        cls = RESERVED_FOLIO
    if cls == NO_ROOM and not h.g[O_NOROOM]:
        return True
    pages = h.g[G_GIGANTIC] * h.g[G_PBP]
    held = pins > 0 or references > 0
    pin = pin_of_all(h, a) if held else -1
    if pin == UNKNOWN:
        pin = pin_over(h, a, index_of(h, head), pages)
    path = 0 if free and reason != DISSOLVE else PATH_HUGETLB
    pfn = head << h.g[G_PBO]
    return add_blocker(h, start, b, cls, pfn, pages, a, pins, references, path, pin)


@kernel
def wanted(h, a, reason):
    """Whether pages of this owner are reported for this reason."""
    if a == NIL:
        return False
    return reason != UNMOVABLE_REASON or h.slot[a, AR_KIND] == KERNEL


@kernel
def emit_blockers(h, b, reason):
    """BLOCKER rows of a block, ascending; neighbours with the same story are one row."""
    start = h.g[G_NROWS]
    h.g[BL_REF] = NIL
    first = b * h.g[G_BLOCK_PBS]
    if reason == UNMOVABLE_REASON and h.blk[b, BK_RESERVED]:
        pfn = first << h.g[G_PBO]
        add_blocker(h, start, b, UNMOVABLE, pfn, 1, -1, 0, 0, 0, -1)
        return
    for pb in range(first, first + h.g[G_BLOCK_PBS]):
        state = h.pbs[pb, PS_STATE]
        if is_gigantic(h, pb):
            if pb == first or pb == head_of(h, pb):
                if not add_gigantic(h, start, b, head_of(h, pb), reason):
                    return
        elif reason == DISSOLVE:
            if state == FOLIO and h.pbh[pb, PH_OWN] == NIL:
                pfn, path = pb << h.g[G_PBO], PATH_HUGETLB
                pages = h.g[G_PBP]
                if not add_blocker(h, start, b, RESERVED_FOLIO, pfn, pages, -1, 0, 0, path, -1):
                    return
        elif state == UNIFORM or state == FOLIO:
            if wanted(h, h.pbh[pb, PH_OWN], reason) and not add_element(h, start, b, pb, reason):
                return
        elif state == SPLIT:
            r = h.pb[pb, PB_AUX]
            while r != NIL:
                if h.runb[r, RS_STATE] == R_ALLOC and wanted(h, h.run[r, RN_OWN], reason):
                    if not add_element(h, start, b, -2 - r, reason):
                        return
                r = h.run[r, RN_BNEXT]
