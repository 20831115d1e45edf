"""Offlines that are only rehearsed: what one would report, told without moving a page.

A probe asks what an offline would do to a host that goes on without it. As a rule one zone has room
for everything that may move, and whoever is in the way stays there for good. Then where pages would
go to shows in no row: the first try moves all that nobody holds, later ones meet what is held. So
the steps are taken on the host itself (``engine.offline``), which they leave as it is but for the
globals: whoever asks puts those back (``Host.probe``). Where any of that is in doubt nothing is
rehearsed, or it fails, and the offline has to be carried out on a clone, with the same rows.
"""

from engine.elements import block_pb, count_of, is_folio, is_gigantic, length
from engine.emit import emit_moves
from engine.enums import Cell, Cost, MigrateReason, OfflineRule
from engine.freelist import fl
from engine.inflight import epoch_of, flights, has_io
from engine.kernel import kernel
from engine.memory import HUGETLB
from engine.migrate import try_element
from engine.moved import book
from engine.reclaim import spare, watermark_ok
from engine.slowdown import emit_work
from engine.state import (
    AR_KIND,
    BK_USED,
    BK_ZONE,
    COSTS,
    FL_HEAD,
    FOLIO,
    G_BLOCK_PAGES,
    G_BLOCK_PBS,
    G_MAXO,
    G_MUT,
    G_NBLOCKS,
    G_PBO,
    G_PBP,
    G_REHEARSAL,
    KS_AWAKE,
    KS_TASK,
    NIL,
    O_BLOCK,
    O_CURSOR,
    O_ON,
    PB_AUX,
    PB_NEXT,
    PH_OWN,
    PS_STATE,
    R_ALLOC,
    RH_BASE,
    RH_HUGE,
    RN_BNEXT,
    RN_OWN,
    RS_STATE,
    SPLIT,
    TABLE,
    UNIFORM,
    Z_BATCH,
    Z_LOW,
    Z_PCP_HIGH,
    ZONELIST,
)
from engine.target import OFFLINE, ask_target, begin_call

READY, MOVED, FAILED = 1, 2, 3
"""G_REHEARSAL: before the first try, after it, and when the offline has to be carried out; 0 when
none is rehearsed."""
MOVABLE = 1
UNMAPS, REVOCABLE = int(Cell.OFFLINE_UNMAPS), int(Cell.PIN_REVOCABLE)
RULE, PACED = int(Cell.OFFLINE_RULE), int(OfflineRule.PACED)
HOTPLUG = int(MigrateReason.MEMORY_HOTPLUG)
MOVE_4K, MOVE_2M = int(Cost.MIGRATE_4K), int(Cost.MIGRATE_2M)


# -- whether --------------------------------------------------------------------------------------


@kernel
def can_rehearse(h, b):
    """Whether an offline of one block can be rehearsed; says where its pages would go."""
    if h.g[O_ON] or not 0 <= b < h.g[G_NBLOCKS] or h.blk[b, BK_ZONE] < 0:
        return False
    if h.g[TABLE + UNMAPS] or h.g[TABLE + REVOCABLE] or h.g[TABLE + RULE] == PACED:
        return False
    if h.g[KS_TASK] or h.g[KS_AWAKE]:
        return False
    base, huge = 0, 0
    first = b * h.g[G_BLOCK_PBS]
    for pb in range(first, first + h.g[G_BLOCK_PBS]):
        if is_gigantic(h, pb) or is_hugetlb(h, pb):
            return False
        if h.pbs[pb, PS_STATE] == FOLIO:
            huge += count_of(h, pb) == 0
        else:
            base += unheld_pages(h, pb)
    return all_find_room(h, b, base, huge)


@kernel
def is_hugetlb(h, pb):
    """Whether a pageblock is a hugetlb folio, in use or free."""
    if h.pbs[pb, PS_STATE] != FOLIO:
        return False
    return h.pbh[pb, PH_OWN] == NIL or h.slot[h.pbh[pb, PH_OWN], AR_KIND] == HUGETLB


@kernel
def unheld_pages(h, pb):
    """Base pages of a pageblock that somebody uses and nobody holds."""
    state, pages = h.pbs[pb, PS_STATE], 0
    if state == UNIFORM and count_of(h, pb) == 0:
        return h.g[G_PBP]
    if state == SPLIT:
        r = h.pb[pb, PB_AUX]
        while r != NIL:
            if h.runb[r, RS_STATE] == R_ALLOC and count_of(h, -2 - r) == 0:
                pages += length(h, -2 - r)
            r = h.run[r, RN_BNEXT]
    return pages


@kernel
def all_find_room(h, b, base, huge):
    """Whether base pages and huge folios of a block find room above the low marks to the last.

    Each kind in the first zone that has any: it may lose what is free in the block, and lists of
    its CPUs may take more than they give. Huge folios need whole chunks, of which base pages break
    one at a time.
    """
    begin_call(h, OFFLINE, 0, -1, 0)
    pbp, pb = h.g[G_PBP], b * h.g[G_BLOCK_PBS]
    ask_target(h, pb, False)
    z = first_zone(h, b, 0)
    room = room_in(h, b, z)
    ask_target(h, pb, True)
    z_huge = first_zone(h, b, h.g[G_PBO])
    room_huge = room_in(h, b, z_huge)
    h.g[RH_BASE], h.g[RH_HUGE] = z, z_huge
    together = z == z_huge
    if room <= base + (huge * pbp if together else 0):
        return False
    if room_huge <= huge * pbp + (base if together else 0):
        return False
    breaks = margin(h, z_huge) + (base if together else 0)
    return chunks_reach(h, z_huge, b, huge + breaks // pbp + 2)


@kernel
def first_zone(h, b, order):
    """First zone of the list above its low mark, NIL if that may be another one by then.

    The block's own zone gets the pages of its CPUs' lists back first. Others only lose pages.
    """
    n = ZONELIST
    while h.g[n] != NIL:
        z = h.g[n]
        n += 1
        if watermark_ok(h, z, order, Z_LOW):
            return z
        if z == h.blk[b, BK_ZONE]:
            return NIL
    return NIL


@kernel
def room_in(h, b, z):
    """Pages that a zone has to give above its low mark, at the least; -1 without a zone."""
    if z == NIL:
        return -1
    free = h.g[G_BLOCK_PAGES] - h.blk[b, BK_USED] if z == h.blk[b, BK_ZONE] else 0
    return spare(h, z, Z_LOW) - free - margin(h, z)


@kernel
def margin(h, z):
    """Pages of a zone that are not counted on: what lists of a CPU may take and keep.

    Base pages up to the list's capacity, and huge folios, which come in pairs at the least.
    """
    return (2 << h.g[G_PBO]) + 2 * h.zone[z, Z_PCP_HIGH] + h.zone[z, Z_BATCH]


@kernel
def chunks_reach(h, z, b, wanted):
    """Whether a zone has so many free chunks of a huge folio's size outside of a block."""
    for order in range(h.g[G_MAXO], h.g[G_PBO] - 1, -1):
        size = 1 << order - h.g[G_PBO]
        pb = h.fl[fl(h, z, MOVABLE, order), FL_HEAD]
        while pb != NIL and wanted > 0:
            row = size * h.pb[pb, PB_AUX] if order == h.g[G_MAXO] else size
            wanted -= row - overlap(h, b, pb, row)
            pb = h.pb[pb, PB_NEXT]
    return wanted <= 0


@kernel
def overlap(h, b, pb, count):
    """How many of ``count`` pageblocks from pb on are in a block."""
    first = b * h.g[G_BLOCK_PBS]
    return max(min(pb + count, first + h.g[G_BLOCK_PBS]) - max(pb, first), 0)


# -- what happens ---------------------------------------------------------------------------------


@kernel
def rehearse_try(h):
    """One try of what is there: who is held stays, all others have moved with the first try."""
    start = h.g[O_BLOCK] * h.g[G_BLOCK_PBS]
    for pb in range(start, start + h.g[G_BLOCK_PBS]):
        state = h.pbs[pb, PS_STATE]
        if state == UNIFORM or state == FOLIO:
            meet(h, h.pbh[pb, PH_OWN], pb)
        elif state == SPLIT:
            r = h.pb[pb, PB_AUX]
            while r != NIL:
                if h.runb[r, RS_STATE] == R_ALLOC:
                    meet(h, h.run[r, RN_OWN], -2 - r)
                r = h.run[r, RN_BNEXT]
    if h.g[G_REHEARSAL] == READY:
        h.g[G_REHEARSAL] = MOVED
    if h.g[G_REHEARSAL] == FAILED:
        h.g[O_ON] = 0
        emit_moves(h, 1, HOTPLUG, NIL)  # nobody reads these rows, but the books are empty again
        emit_work(h, 1, HOTPLUG, NIL)


@kernel
def meet(h, a, ref):
    """What a try does to an element; fails where I/O may be in flight over it."""
    if count_of(h, ref):
        try_element(h, a, ref, True)
    elif h.g[G_REHEARSAL] == READY:
        pb = block_pb(h, ref)
        if has_io(h, a, ref) and flights(h, a, pb, epoch_of(h, a, pb)):
            h.g[G_REHEARSAL] = FAILED
        else:
            leave(h, a, is_folio(h, ref), length(h, ref))


@kernel
def leave(h, a, huge, pages):
    """Count an element that moves."""
    zone_from = h.blk[h.g[O_BLOCK], BK_ZONE]
    if huge:
        book(h, a, zone_from, h.g[RH_HUGE], True, pages, h.g[COSTS + MOVE_2M])
    else:
        book(h, a, zone_from, h.g[RH_BASE], False, pages, pages * h.g[COSTS + MOVE_4K])
    h.g[G_MUT] += 1


@kernel
def first_left(h):
    """The first pageblock from the cursor on with anything that is still there, or -1."""
    stop = (h.g[O_BLOCK] + 1) * h.g[G_BLOCK_PBS]
    for pb in range(h.g[O_CURSOR], stop):
        state = h.pbs[pb, PS_STATE]
        if (state == UNIFORM or state == FOLIO) and is_left(h, pb):
            return pb
        if state == SPLIT:
            r = h.pb[pb, PB_AUX]
            while r != NIL:
                if h.runb[r, RS_STATE] == R_ALLOC and is_left(h, -2 - r):
                    return pb
                r = h.run[r, RN_BNEXT]
    return -1


@kernel
def is_left(h, ref):
    """Whether an element has not moved yet."""
    return h.g[G_REHEARSAL] == READY or count_of(h, ref) != 0
