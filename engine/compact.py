"""Direct compaction on elements. Rules and sources: ``engine.reference.compaction``.

Runs that are taken from or left in a pageblock under way are loose: on no list, in their place.
"""

from engine.allocate import drain_all, huge_above
from engine.buddy import free_loose
from engine.chains import chain_replace, locate
from engine.elements import is_folio, is_hole, length
from engine.enums import AreaKind, Cell, Cost, Counter
from engine.freebits import all_used_down, first_free, tidy_free
from engine.freelist import unlink
from engine.hugepool import unpinnable
from engine.kernel import kernel
from engine.memory import block_of, claim, count_used
from engine.pageblock import mt_of
from engine.reclaim import any_chunk, spare, watermark_ok
from engine.runs import add_run_after, break_uniform, join_around, split_low, whole_again
from engine.slowdown import note_work
from engine.state import (
    AR_KIND,
    BAG_SHIFT,
    BK_ISO,
    BK_KERNEL,
    BK_NODE,
    BK_USED,
    BK_ZONE,
    COSTS,
    COUNTERS,
    DESC,
    FREE,
    G_BLOCK_PBS,
    G_BLOCK_SHIFT,
    G_LPOS,
    G_NBLOCKS,
    G_PBP,
    G_SCANNED,
    IO_PAGES,
    ISOLATED,
    NIL,
    PB_AUX,
    PH_OWN,
    PS_FLAG,
    PS_STATE,
    R_ALLOC,
    R_LOOSE,
    RN_BNEXT,
    RN_CNT,
    RN_OWN,
    RN_PB,
    RS_FLAG,
    RS_LEN,
    RS_ORDER,
    RS_START,
    RS_STATE,
    SPLIT,
    T_LATENCY,
    TABLE,
    UNIFORM,
    Z_COMPACT_CONSIDERED,
    Z_COMPACT_FROM,
    Z_COMPACT_SHIFT,
    Z_COMPACT_TO,
    Z_FREE,
    Z_LOW,
    Z_MIN,
    ZONELIST,
)

KERNEL, HUGETLB = int(AreaKind.KERNEL), int(AreaKind.HUGETLB)
STALL, SUCCESS = int(Counter.COMPACT_STALL), int(Counter.COMPACT_SUCCESS)
FAIL, MIGRATED = int(Counter.COMPACT_FAIL), int(Counter.PGMIGRATE_SUCCESS)
MOVE_4K, ISOLATED_SHIFT = int(Cost.MIGRATE_4K), int(Cell.COMPACT_ISOLATED_SHIFT)
MAX_DEFER_SHIFT = 6
KINDS, MOVABLE, STUCK = 3, 1, -2
"""STUCK: what ``compact_for`` returns when the request never does."""


@kernel
def compact_for(h, order, a, first, count):
    """A pageblock for the request by compaction, NIL, or STUCK.

    Pages of ``[first, first + count)`` of area a that are still unpinnable are those that the pin
    has isolated.
    """
    tried, n = False, ZONELIST
    while h.g[n] != NIL:
        z = h.g[n]
        n += 1
        if spare(h, z, Z_LOW) <= 2 << order or is_deferred(h, z):
            continue
        if not tried:
            h.g[COUNTERS + STALL] += 1
            drain_all(h)
        tried = True
        if watermark_ok(h, z, order, Z_MIN):
            break
        if too_many_isolated(h, z // KINDS, a, first, count):
            return STUCK
        if compact_zone(h, z, order):
            break
    if not tried:
        return NIL
    pb = huge_above(h, order, Z_MIN)
    h.g[COUNTERS + (FAIL if pb == NIL else SUCCESS)] += 1
    return pb


@kernel
def is_deferred(h, z):
    """compaction_deferred: whether the zone failed lately."""
    limit = 1 << h.zone[z, Z_COMPACT_SHIFT]
    h.zone[z, Z_COMPACT_CONSIDERED] += 1
    if h.zone[z, Z_COMPACT_CONSIDERED] >= limit:
        h.zone[z, Z_COMPACT_CONSIDERED] = limit
        return False
    return True


@kernel
def too_many_isolated(h, node, a, first, count):
    """Whether a pin has isolated so much that compaction waits for it."""
    listed = 0
    index = first
    while index < first + count:
        ref = locate(h, a, index)
        stop = h.g[G_LPOS] + length(h, ref)
        if not is_hole(h, ref):
            pb = ref if ref >= 0 else h.run[-2 - ref, RN_PB]
            if unpinnable(h, pb) and h.blk[block_of(h, pb), BK_NODE] == node:
                whole = is_folio(h, ref)
                listed += h.g[G_PBP] if whole else min(stop, first + count) - index
        index = stop
    lru = -listed
    for b in range(h.g[G_NBLOCKS]):
        if h.blk[b, BK_NODE] == node:
            lru += h.blk[b, BK_USED] - h.blk[b, BK_KERNEL]
    return listed > lru >> h.g[TABLE + ISOLATED_SHIFT]


# -- scanning -------------------------------------------------------------------------------------


@kernel
def compact_zone(h, z, order):
    """Empty one pageblock after the other until a huge page is free."""
    if h.zone[z, Z_COMPACT_TO] == 0:
        h.zone[z, Z_COMPACT_FROM] = 0
        h.zone[z, Z_COMPACT_TO] = h.g[G_NBLOCKS] * h.g[G_BLOCK_PBS]
    h.g[G_SCANNED] = h.zone[z, Z_COMPACT_TO]
    while h.zone[z, Z_COMPACT_FROM] < h.zone[z, Z_COMPACT_TO]:
        pb = h.zone[z, Z_COMPACT_FROM]
        if not scannable(h, z, block_of(h, pb)):
            behind = block_of(h, pb) + 1 << h.g[G_BLOCK_SHIFT]
            h.zone[z, Z_COMPACT_FROM] = min(behind, h.zone[z, Z_COMPACT_TO])
            continue
        h.zone[z, Z_COMPACT_FROM] += 1
        if empty_pageblock(h, z, pb) and any_chunk(h, z, order):
            h.zone[z, Z_COMPACT_CONSIDERED] = 0
            h.zone[z, Z_COMPACT_SHIFT] = 0
            return True
    h.zone[z, Z_COMPACT_TO] = 0
    h.zone[z, Z_COMPACT_CONSIDERED] = 0
    h.zone[z, Z_COMPACT_SHIFT] = min(h.zone[z, Z_COMPACT_SHIFT] + 1, MAX_DEFER_SHIFT)
    return False


@kernel
def scannable(h, z, b):
    """Whether a memory block belongs to a zone and is not isolated."""
    return h.blk[b, BK_ZONE] == z and not h.blk[b, BK_ISO]


@kernel
def movable_area(h, a):
    """Whether compaction moves pages of an area: user memory without I/O in flight."""
    kind = h.slot[a, AR_KIND]
    return kind != KERNEL and kind != HUGETLB and h.slot[a, IO_PAGES] == 0


@kernel
def movable_run(h, r):
    """Whether compaction moves a run: nobody holds it or has it on a list."""
    if h.runb[r, RS_STATE] != R_ALLOC or h.run[r, RN_CNT] or h.runb[r, RS_FLAG] & ISOLATED:
        return False
    return movable_area(h, h.run[r, RN_OWN])


@kernel
def movable_uniform(h, pb):
    """Whether a pageblock is base pages of one area, all of them movable."""
    if h.pbs[pb, PS_STATE] != UNIFORM or h.pb[pb, PB_AUX] or h.pbs[pb, PS_FLAG] & ISOLATED:
        return False
    return movable_area(h, h.pbh[pb, PH_OWN])


@kernel
def empty_pageblock(h, z, pb):
    """Move a pageblock's movable pages to free pages from the zone's end. False: none moved."""
    if movable_uniform(h, pb):
        if next_free(h, z, pb) == NIL:
            h.zone[z, Z_COMPACT_TO] = pb + 1
            return False
        break_uniform(h, pb)
    if h.pbs[pb, PS_STATE] != SPLIT:
        return False
    target, moved, found = NIL, False, True
    r = h.pb[pb, PB_AUX]
    while r != NIL and found:
        if not movable_run(h, r):
            r = h.run[r, RN_BNEXT]
            continue
        t = loose_run(h, target)
        if t == NIL:
            target = next_free(h, z, pb)
            if target == NIL:
                h.zone[z, Z_COMPACT_TO] = pb + 1
                found = False
            else:
                isolate_free(h, z, target)
            continue
        r = move_run(h, r, t)
        moved = True
    free_loose_runs(h, target)
    if moved:
        free_loose_runs(h, pb)
    return moved


@kernel
def next_free(h, z, source):
    """Next pageblock from the zone's end, above ``source``, that has free pages, or NIL.

    Those between what was found last and the zone's end had none, and while a zone is compacted
    nothing above a target is freed (G_SCANNED).
    """
    pb = min(h.zone[z, Z_COMPACT_TO], h.g[G_SCANNED]) - 1
    while pb > source:
        if not scannable(h, z, block_of(h, pb)):
            pb = (block_of(h, pb) << h.g[G_BLOCK_SHIFT]) - 1
            continue
        used = all_used_down(h, pb)
        if used == 0 and has_target(h, pb):
            break
        if used == 0 and pb & (1 << BAG_SHIFT) - 1 == 0:
            tidy_free(h, pb)
        pb -= max(used, 1)
    pb = max(pb, source)
    h.g[G_SCANNED] = pb + 1
    return pb if pb > source else NIL


@kernel
def has_target(h, pb):
    """Whether a pageblock has free pages that compaction may move others to."""
    if h.pbs[pb, PS_STATE] != SPLIT or mt_of(h, pb) != MOVABLE:
        return False
    return first_free(h, pb) != NIL


@kernel
def isolate_free(h, z, pb):
    """Take the free runs of a pageblock off their lists."""
    h.zone[z, Z_COMPACT_TO] = pb + 1
    r = h.pb[pb, PB_AUX]
    while r != NIL:
        if h.runb[r, RS_STATE] == FREE:
            unlink(h, z, h.runb[r, RS_ORDER], -2 - r)
            h.runb[r, RS_STATE] = R_LOOSE
            h.runb[r, RS_FLAG] = 0
            h.zone[z, Z_FREE] -= h.runs[r, RS_LEN]
        r = h.run[r, RN_BNEXT]


@kernel
def loose_run(h, pb):
    """Lowest loose run of a pageblock (NIL: none), or NIL."""
    if pb == NIL or h.pbs[pb, PS_STATE] != SPLIT:
        return NIL
    r = h.pb[pb, PB_AUX]
    while r != NIL and h.runb[r, RS_STATE] != R_LOOSE:
        r = h.run[r, RN_BNEXT]
    return r


@kernel
def move_run(h, r, t):
    """Move the low pages of run r to the low end of loose run t; returns what follows in r's block.

    What was moved from stays loose where it is.
    """
    a, source = h.run[r, RN_OWN], h.run[r, RN_PB]
    k = min(h.runs[r, RS_LEN], h.runs[t, RS_LEN])
    part = -2 - split_low(h, -2 - r, k)
    following = h.run[part, RN_BNEXT]
    down = h.runb[part, RS_FLAG] & DESC
    if k < h.runs[t, RS_LEN]:
        rest = add_run_after(h, t, h.runs[t, RS_START] + k, h.runs[t, RS_LEN] - k)
        h.runb[rest, RS_STATE] = R_LOOSE
        h.runs[t, RS_LEN] = k
    claim(h, a, -2 - t)
    h.runb[t, RS_FLAG] = down
    chain_replace(h, a, -2 - part, -2 - t)
    count_used(h, a, source, -k)
    h.runb[part, RS_STATE] = R_LOOSE
    h.runb[part, RS_FLAG] = 0
    new = join_around(h, a, -2 - t)
    if new < NIL:
        whole_again(h, a, new)
    h.g[COUNTERS + MIGRATED] += k
    h.g[T_LATENCY] += k * h.g[COSTS + MOVE_4K]
    note_work(h, 0, a, k, k * h.g[COSTS + MOVE_4K])
    return following


@kernel
def free_loose_runs(h, pb):
    """Free the loose runs of a pageblock (NIL: none), lowest first."""
    r = loose_run(h, pb)
    while r != NIL:
        free_loose(h, r, True)
        r = loose_run(h, pb)
