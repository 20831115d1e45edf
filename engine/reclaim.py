"""Page cache that is dropped, oldest first, and the marks that say when it is enough.

Rules and sources as in ``engine.reference.allocator``.
"""

from engine.elements import block_pb, count_of, is_hole, isolated, length, nxt
from engine.enums import Cell, Cost, Counter
from engine.holes import make_hole
from engine.kernel import kernel
from engine.memory import block_of, count_used, free_loose_base, free_pages_of
from engine.runs import split_first
from engine.state import (
    AR_ASKED,
    AR_DIRTY,
    AR_FILES,
    AR_HEAD,
    AR_LOCKS,
    AR_OLDEST,
    AR_ZONE,
    BK_ISO,
    BK_ZONE,
    COSTS,
    COUNTERS,
    DESC,
    G_BUSY,
    G_NDIRTY,
    G_NFILES,
    G_STAMP,
    HELD,
    NIL,
    R_LOOSE,
    RC_CPU,
    RC_DROPPED,
    RC_HELD,
    RC_LEFT,
    RQ_HIGHEST,
    RQ_MASK,
    RQ_POOL,
    RS_FLAG,
    RS_STATE,
    T_LATENCY,
    T_RECLAIMED,
    TABLE,
    Z_FILE,
    Z_FREE,
    Z_HIGH,
    Z_LOW,
    Z_MANAGED,
    Z_MIN,
)
from engine.taking import smallest
from engine.watermark import pool_left, reserve

KINDS = 3
CLUSTER = 32
BY_ZONE, STEAL = int(Cell.RECLAIM_BY_ZONE), int(Counter.PGSTEAL)
RECLAIM_COST, WRITEBACK = int(Cost.RECLAIM_4K), int(Cost.WRITEBACK_4K)


@kernel
def spare(h, z, mark):
    """Pages of a zone above a mark and its reserve."""
    over = h.zone[z, Z_FREE] - h.zone[z, mark] - reserve(h, z, h.g[RQ_HIGHEST])
    return over + pool_left(h, z) if h.g[RQ_POOL] else over


@kernel
def watermark_ok(h, z, order, mark):
    """__zone_watermark_ok; for a huge request a large enough chunk must exist, too."""
    if order == 0:
        return spare(h, z, mark) > 0
    if spare(h, z, mark) - ((1 << order) - 1) <= 0:
        return False
    return any_chunk(h, z, order)


@kernel
def any_chunk(h, z, order):
    """Whether a zone has a free chunk of at least this order, of any type."""
    for mt in range(3):
        if smallest(h, z, mt, order) >= 0:
            return True
    return False


@kernel
def eligible(h, z, node, zone):
    """Whether a zone may be reclaimed from: exactly ``zone``, or any of the request on ``node``."""
    if zone >= 0:
        return z == zone
    return z // KINDS == node and z % KINDS <= h.g[RQ_HIGHEST]


@kernel
def reclaim(h, node, zone, pages, to_high, order):
    """Drop page cache, oldest first, clean before dirty.

    Stops after ``pages`` (for a huge request of ``order``: after as many times as
    ``clusters_at_once`` says), or (``to_high``) when an eligible zone is above its high mark.
    Returns the pages dropped. With lists by zone (RECLAIM_BY_ZONE) the highest zone comes first.
    """
    h.g[RC_LEFT], h.g[RC_DROPPED] = pages, 0
    by_zone = zone < 0 and h.g[TABLE + BY_ZONE]
    for dirty in range(1 if h.g[G_NDIRTY] == 0 else 2):  # what is dirty comes last
        if not by_zone:
            if reclaim_from(h, node, zone, dirty, to_high, order):
                break
            continue
        for kind in range(h.g[RQ_HIGHEST], -1, -1):
            z = node * KINDS + kind
            if h.zone[z, Z_FILE] and reclaim_from(h, node, z, dirty, to_high, order):
                return h.g[RC_DROPPED]
    return h.g[RC_DROPPED]


@kernel
def reclaim_from(h, node, zone, dirty, to_high, order):
    """Drop clean or dirty page cache of the eligible zones, oldest first, until it is enough.

    RC_LEFT holds the pages still wanted, RC_DROPPED those dropped. Returns whether it is enough.
    """
    for i in range(h.g[G_NFILES]):
        a = h.slot[i, AR_FILES]
        if a == h.g[G_BUSY] or h.slot[a, AR_LOCKS] or h.slot[a, AR_DIRTY] != dirty:
            continue
        left = eligible_pages(h, a, node, zone)
        ref = oldest(h, a, node, zone) if left else NIL
        while ref != NIL and left > 0:
            size = length(h, ref)
            if is_hole(h, ref) or count_of(h, ref) != 0 or isolated(h, ref):
                ref = nxt(h, ref)
                continue
            b = block_of(h, block_pb(h, ref))
            z = h.blk[b, BK_ZONE]
            if not eligible(h, z, node, zone):
                ref = nxt(h, ref)
                continue
            keep_oldest(h, a, node, zone, ref)
            k = size
            if to_high:
                if not h.blk[b, BK_ISO]:
                    k = min(k, 1 - spare(h, z, Z_HIGH))
            else:
                if order and not h.g[RC_DROPPED] and not h.blk[b, BK_ISO]:
                    h.g[RC_LEFT] *= clusters_at_once(h, order, z, size)
                k = min(k, h.g[RC_LEFT])
            if k <= 0:
                return True
            hole = drop_cache(h, a, ref, k)
            h.g[RC_DROPPED] += k
            h.g[RC_LEFT] -= k
            left -= k
            if to_high and spare(h, z, Z_HIGH) > 0 and not h.blk[b, BK_ISO]:
                return True
            ref = nxt(h, hole)
    return not to_high and h.g[RC_LEFT] <= 0


@kernel
def oldest(h, a, node, zone):
    """Element of a page cache before which nothing may be reclaimed for a node's request.

    Known only within one command, step or migrate_pages call, and up to an OOM kill, which lets
    go of what the victim held (G_STAMP); until then pages become eligible in no other way than by
    being mapped (``memory.claim``).
    """
    if h.slot[a, AR_ASKED] == asked(h, node, zone) and h.slot[a, AR_OLDEST] != NIL:
        return h.slot[a, AR_OLDEST]
    return h.slot[a, AR_HEAD]


@kernel
def keep_oldest(h, a, node, zone, ref):
    """Keep what ``oldest`` returns; the chains of areas keep it up to date."""
    h.slot[a, AR_ASKED] = asked(h, node, zone)
    h.slot[a, AR_OLDEST] = ref


@kernel
def asked(h, node, zone):
    """A number for this moment and a zone, or a node and the highest zone of the request."""
    where = zone + 64 * KINDS if zone >= 0 else node * KINDS + h.g[RQ_HIGHEST]
    return h.g[G_STAMP] * 128 * KINDS + where


@kernel
def eligible_pages(h, a, node, zone):
    """Page cache of an area in the zones that may be reclaimed from."""
    if zone >= 0:
        return h.slot[a, AR_ZONE + zone]
    pages = 0
    for kind in range(h.g[RQ_HIGHEST] + 1):
        pages += h.slot[a, AR_ZONE + node * KINDS + kind]
    return pages


@kernel
def drop_cache(h, a, ref, k):
    """Free the first k pages of a cache element, to the buddy or RC_CPU's list; their hole."""
    ref = split_first(h, ref, k)
    pb = block_pb(h, ref)
    hole = make_hole(h, a, ref)
    count_used(h, a, pb, -k)
    if h.g[RC_CPU] == NIL:
        free_pages_of(h, ref, NIL)  # as a constant: the compiler leaves the lists out
    elif h.g[RC_HELD] != NIL:
        hold_back(h, ref)
    else:
        free_pages_of(h, ref, h.g[RC_CPU])
    h.g[COUNTERS + STEAL] += k
    h.g[T_RECLAIMED] += k
    h.g[T_LATENCY] += k * h.g[COSTS + RECLAIM_COST]
    h.g[T_LATENCY] += k * h.slot[a, AR_DIRTY] * h.g[COSTS + WRITEBACK]
    return hole


@kernel
def hold_back(h, ref):
    """Keep a loose element until its batch is whole."""
    if ref < NIL:
        h.runb[-2 - ref, RS_STATE] = R_LOOSE
    h.g[HELD + h.g[RC_HELD]] = ref
    h.g[RC_HELD] += 1


@kernel
def free_held_back(h):
    """Free a batch last to first."""
    for i in range(h.g[RC_HELD] - 1, -1, -1):
        ref = h.g[HELD + i]
        upwards = ref >= 0 or not h.runb[-2 - ref, RS_FLAG] & DESC
        free_loose_base(h, ref, h.g[RC_CPU], not upwards)
    h.g[RC_HELD] = NIL


@kernel
def balanced(h, node):
    """Whether an allowed zone of a node is above its high mark and its reserve."""
    for kind in range(h.g[RQ_HIGHEST] + 1):
        z = node * KINDS + kind
        if h.zone[z, Z_MANAGED] > 0 and spare(h, z, Z_HIGH) > 0:
            return True
    return False


@kernel
def cache_on(h, node):
    """Page cache a node could give back to the request, pages."""
    pages = 0
    for kind in range(h.g[RQ_HIGHEST] + 1):
        pages += h.zone[node * KINDS + kind, Z_FILE]
    return pages


@kernel
def in_list(h, node):
    """Whether the zonelist has a zone of this node."""
    if not (h.g[RQ_MASK] >> node) & 1:
        return False
    for kind in range(h.g[RQ_HIGHEST] + 1):
        if h.zone[node * KINDS + kind, Z_MANAGED] > 0:
            return True
    return False


@kernel
def clusters_at_once(h, order, z, size):
    """How many clusters may be dropped in one piece from the start of an element of zone z.

    Compaction does not become suitable before the zone is above a mark or, where it is above the
    min mark already, before the element has given its last page.
    """
    need = (2 << order) + 1 - spare(h, z, Z_LOW)
    above = (1 << order) - spare(h, z, Z_MIN)
    if above > 0 and any_chunk(h, z, order):
        need = min(need, above)
    return max(min((need + CLUSTER - 1) // CLUSTER, size // CLUSTER), 1)
