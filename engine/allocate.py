"""Where a request finds memory: zonelists, watermarks, reclaim, the OOM killer.

Rules and sources as in ``engine.reference.allocator``. The request stands in the RQ_ registers.
Requests for many base pages are served in pieces, with the same result as page by page.
"""

from engine.elements import length
from engine.emit import new_row
from engine.enums import Cell, Cost, Counter, Incident, Row
from engine.kernel import kernel
from engine.kswapd import DEF_PRIORITY, MIN_LRU_BATCH, bits_of, page_cache, tick, wake_in_turns
from engine.memory import ANON, SHMEM, THP
from engine.percpu import drain_zone, take_huge_by_cpu
from engine.reclaim import (
    BY_ZONE,
    CLUSTER,
    KINDS,
    balanced,
    cache_on,
    in_list,
    reclaim,
    spare,
    watermark_ok,
)
from engine.stacks import pcp_list, pcp_refill, pcp_take
from engine.state import (
    AR_KIND,
    AR_PRESENT,
    AR_PROC,
    AR_VIEWS,
    COSTS,
    COUNTERS,
    D_LEFT,
    D_MORE,
    FL_COUNT,
    G_KILLED,
    G_NNODES,
    G_NZONES,
    G_PANIC,
    G_STAMP,
    KS_LEFT,
    KS_TASK,
    NIL,
    PR_CPU,
    PR_IMMUNE,
    PR_RSS,
    RC_CPU,
    RQ_CPU,
    RQ_HIGHEST,
    RQ_LISTED,
    RQ_MARK,
    RQ_MASK,
    RQ_MT,
    RQ_OOM,
    RQ_POOL,
    RQ_PROC,
    RQ_SLAB,
    RQ_START,
    RQ_WAKES,
    RS_LEN,
    T_LATENCY,
    TABLE,
    Z_BELOW,
    Z_FREE,
    Z_HIGH,
    Z_LOW,
    Z_MANAGED,
    Z_MIN,
    Z_PCP,
    Z_PCPOFF,
    ZONELIST,
)
from engine.taking import smallest, take_pages
from engine.tuning import refill_pages, self_tuned, took
from engine.unmap import exit_process
from engine.watermark import pcp_batch, pool_left, reserve

MOVABLE_KIND, NORMAL_KIND = 2, 1
UNMOVABLE, MOVABLE = 0, 1
ALL_NODES = (1 << 62) - 1
POOL = int(Cell.PIN_POOL_MILLIONTHS)
NOWAIT = -1
"""RQ_OOM of a request that takes nothing below the low marks and reclaims nothing."""
STALL, WAKE = int(Counter.ALLOCSTALL), int(Counter.KSWAPD_WAKE)
OOMS, OOM_COST = int(Counter.OOM_KILL), int(Cost.OOM_KILL)
INCIDENT = int(Row.INCIDENT)
KILL, PANIC = int(Incident.OOM_KILL), int(Incident.PANIC)


@kernel
def request(h, start, mask, movable, cpu, proc, may_oom):
    """Set the request: nodes of ``mask`` from ``start`` upwards and around."""
    highest = MOVABLE_KIND if movable else NORMAL_KIND
    same = h.g[RQ_START] == start and h.g[RQ_MASK] == mask and h.g[RQ_HIGHEST] == highest
    h.g[RQ_START] = start
    h.g[RQ_MASK] = mask
    h.g[RQ_HIGHEST] = highest
    h.g[RQ_MT] = MOVABLE if movable else UNMOVABLE
    h.g[RQ_CPU] = cpu
    h.g[RQ_PROC] = proc
    h.g[RQ_OOM] = may_oom
    h.g[RQ_POOL] = 0
    h.g[RQ_SLAB] = 0
    h.g[D_LEFT] = 0
    if not (same and h.g[RQ_LISTED]):
        list_zones(h)


@kernel
def list_zones(h):
    """Write the request's zonelist: each node's zones from the highest allowed kind down."""
    n = ZONELIST
    for k in range(h.g[G_NNODES]):
        node = h.g[RQ_START] + k
        if node >= h.g[G_NNODES]:
            node -= h.g[G_NNODES]
        if not (h.g[RQ_MASK] >> node) & 1:
            continue
        for kind in range(h.g[RQ_HIGHEST], -1, -1):
            if h.zone[node * KINDS + kind, Z_MANAGED] > 0:
                h.g[n] = node * KINDS + kind
                n += 1
    h.g[n] = NIL
    h.g[RQ_LISTED] = 1


@kernel
def from_pool(h):
    """The request is a long-term pin's: from the pool where there is one, and it kills nobody."""
    if h.g[TABLE + POOL]:
        h.g[RQ_POOL] = 1
        h.g[RQ_OOM] = 0


@kernel
def request_movable(h, start, cpu, proc):
    """Set a request for ZONE_MOVABLE alone, on any node, that waits for nothing."""
    request(h, start, ALL_NODES, True, cpu, proc, False)
    h.g[RQ_OOM] = NOWAIT
    n = ZONELIST
    m = ZONELIST
    while h.g[n] != NIL:
        z = h.g[n]
        n += 1
        if z % KINDS == MOVABLE_KIND:
            h.g[m] = z
            m += 1
    h.g[m] = NIL
    h.g[RQ_LISTED] = 0


@kernel
def stopped(h):
    """Whether the requester was killed or the host panicked."""
    return h.g[G_KILLED] or h.g[G_PANIC]


@kernel
def has_room(h, order):
    """Whether an allocation down to the min marks would succeed without reclaim."""
    n = ZONELIST
    while h.g[n] != NIL:
        z = h.g[n]
        n += 1
        if watermark_ok(h, z, order, Z_MIN):
            return True
    return False


@kernel
def pick_zone(h, mark):
    """First zone of the list above a mark for a base page, or -1."""
    n = ZONELIST
    while h.g[n] != NIL:
        z = h.g[n]
        n += 1
        if spare(h, z, mark) > 0:
            return z
    return -1


@kernel
def look_below(h):
    """Note the zones that a request for a base page finds below their high marks."""
    n = ZONELIST
    while h.g[n] != NIL:
        z = h.g[n]
        n += 1
        note_below(h, z, 0)
        if spare(h, z, Z_LOW) > 0:
            return


@kernel
def note_below(h, z, order):
    """Note whether a request finds a zone below its high mark (get_page_from_freelist, 6.12)."""
    if self_tuned(h) and not h.zone[z, Z_BELOW] and not watermark_ok(h, z, order, Z_HIGH):
        h.zone[z, Z_BELOW] = 1


@kernel
def find_zone(h):
    """Zone for the next base page; wakes kswapd, reclaims, OOM-kills as needed.

    Returns -1 when there is none (or the host stopped). RQ_MARK tells which mark it passed.
    """
    tick(h)
    while True:
        h.g[RQ_WAKES] = 0
        if self_tuned(h):
            look_below(h)
        z = pick_zone(h, Z_LOW)
        if z >= 0:
            h.g[RQ_MARK] = Z_LOW
            return z
        if h.g[RQ_OOM] == NOWAIT:
            return -1
        dropped = wake_kswapds(h)
        z = pick_zone(h, Z_MIN)
        if z >= 0:
            h.g[RQ_MARK] = Z_MIN
            return z
        if dropped:
            continue
        h.g[COUNTERS + STALL] += 1
        if direct_reclaim(h, 0) or drain_all(h):
            continue
        if not h.g[RQ_OOM]:
            return -1
        oom_kill(h)
        if stopped(h):
            return -1


@kernel
def drain_all(h):
    """Empty all per-CPU lists before a request gives up; returns the pages that were on them."""
    pages = 0
    for z in range(h.g[G_NZONES]):
        if h.zone[z, Z_PCP]:
            pages += h.zone[z, Z_PCP]
            drain_zone(h, z)
    return pages


@kernel
def take_piece(h, z, n):
    """Up to n base pages of zone z as a loose element, as order-0 requests in a row get them."""
    mt = h.g[RQ_MT]
    over = spare(h, z, h.g[RQ_MARK])
    if h.g[RQ_MARK] == Z_MIN and pick_zone(h, Z_LOW) >= 0:
        n = 1  # only the page that woke kswapd is taken at the min mark
    if h.g[KS_LEFT] > 0:
        n = min(n, h.g[KS_LEFT])
    if h.g[RQ_SLAB]:
        n = 1  # each looks whether the zone is below its high mark
    if h.zone[z, Z_PCPOFF] or mt > MOVABLE or h.g[RQ_SLAB]:
        return woken(h, take_pages(h, z, mt, min(n, over)))
    i = pcp_list(h, h.g[RQ_CPU], z, mt)
    if self_tuned(h):
        return woken(h, take_tuned(h, z, i, n, over))
    ref = take_fixed(h, z, i, n, over)
    took(h, z, h.g[RQ_CPU], length(h, ref) if ref != NIL else 1)
    return woken(h, ref)


@kernel
def take_fixed(h, z, i, n, over):
    """Up to n base pages through list i of a fixed capacity; ``over``: pages above the mark."""
    mt = h.g[RQ_MT]
    if h.g[D_LEFT] > 0:
        ref = take_pages(h, z, mt, min(n, h.g[D_LEFT]))
        h.g[D_LEFT] -= length(h, ref)
        return ref
    if h.fl[i, FL_COUNT] > 0:
        return -2 - pcp_take(h, z, i, n)
    batch = pcp_batch(h, z)
    through = min(n // batch, (over - 1) // batch) * batch
    if through > 0:  # whole batches that pass straight through the empty list
        ref = take_pages(h, z, mt, through)
        h.g[D_LEFT] = through - length(h, ref)
        return ref
    pcp_refill(h, z, i, mt, batch)
    return -2 - pcp_take(h, z, i, 1) if h.fl[i, FL_COUNT] else NIL


@kernel
def take_tuned(h, z, i, n, over):
    """Up to n base pages through list i, which tunes itself; ``over``: pages above the mark.

    A refill that is wanted whole and leaves the zone above its mark passes straight through.
    """
    mt, cpu = h.g[RQ_MT], h.g[RQ_CPU]
    if h.g[D_LEFT] == 0 and h.fl[i, FL_COUNT] > 0:
        r = pcp_take(h, z, i, n)
        took(h, z, cpu, h.runs[r, RS_LEN])
        return -2 - r
    if h.g[D_LEFT] == 0:
        batch = refill_pages(h, z, cpu, 0)
        if n < batch or over <= batch:
            pcp_refill(h, z, i, mt, batch)
            took(h, z, cpu, 1)
            return -2 - pcp_take(h, z, i, 1) if h.fl[i, FL_COUNT] else NIL
        h.g[D_LEFT] = batch
        h.g[D_MORE] = batch > 1
    ref = take_pages(h, z, mt, min(n, h.g[D_LEFT]))
    h.g[D_LEFT] -= length(h, ref)
    took(h, z, cpu, length(h, ref))
    if h.g[D_LEFT] == 0 and h.g[D_MORE]:
        note_below(h, z, 0)  # as the second page of the refill found it
    return ref


@kernel
def more_at_hand(h, z):
    """Pages that further requests get from zone z's free lists in a row, after a piece of it.

    Nothing looks at the zone meanwhile, so they are had by ``take_pages`` alone. Whoever asks takes
    all of them, unless it wants fewer pages in all; it frees nothing that its request could get.
    """
    if h.g[KS_TASK] or h.g[RQ_WAKES] or h.g[RQ_SLAB] or h.g[RQ_POOL] or self_tuned(h):
        return 0  # below the low mark each page wakes kswapd; on self-tuned lists each is a look
    if h.zone[z, Z_PCPOFF] or h.g[RQ_MT] > MOVABLE:
        return max(spare(h, z, Z_LOW), 0)
    pages = h.g[D_LEFT]
    h.g[D_LEFT] = 0
    took(h, z, h.g[RQ_CPU], pages)
    return pages


@kernel
def take_more(h, z, more, n):
    """Some of the ``more`` pages at hand, up to n; returns the element and what is left of them."""
    ref = take_pages(h, z, h.g[RQ_MT], min(more, n))
    return ref, more - length(h, ref)


@kernel
def woken(h, ref):
    """Every further page below the low marks would have woken kswapd again; a turn passes."""
    if h.g[KS_LEFT] > 0 and ref != NIL:
        h.g[KS_LEFT] = max(h.g[KS_LEFT] - length(h, ref), 0)
    if h.g[RQ_WAKES] and ref != NIL:
        h.g[COUNTERS + WAKE] += h.g[RQ_WAKES] * (length(h, ref) - 1)
    return ref


@kernel
def alloc_huge(h, order):
    """A pageblock for a huge folio, or NIL; reclaims once. RQ_MARK: the mark its zone passed."""
    pb = huge_above(h, order, Z_LOW)
    if pb == NIL and h.g[RQ_OOM] == NOWAIT:
        return NIL
    if pb == NIL:
        pb = huge_above(h, order, Z_MIN)
    if pb == NIL and reclaim_for_huge(h, order) > 0:
        pb = huge_above(h, order, Z_MIN)
        if pb == NIL and reclaims_by_list(h):
            drain_all(h)
            pb = huge_above(h, order, Z_MIN)
    return pb


@kernel
def huge_above(h, order, mark):
    """A pageblock from the first zone of the list that is above a mark, or NIL."""
    h.g[RQ_MARK] = mark
    n = ZONELIST
    while h.g[n] != NIL:
        z = h.g[n]
        n += 1
        if mark == Z_LOW:
            note_below(h, z, order)
        if watermark_ok(h, z, order, mark):
            pb = take_huge_by_cpu(h, z, h.g[RQ_CPU], h.g[RQ_MT])
            if pb != NIL:
                return pb
    return NIL


@kernel
def alloc_huge_again(h, order, z, least):
    """As ``alloc_huge``, right after one that came from zone z (-1: any) at its mark.

    The zones before z have not changed since they were refused, so z is the first to be asked as
    long as it has ``least`` free pages and a chunk at hand.
    """
    at_hand = z >= 0 and h.zone[z, Z_FREE] >= least and not self_tuned(h)
    if at_hand and smallest(h, z, h.g[RQ_MT], order) >= 0:
        return take_huge_by_cpu(h, z, h.g[RQ_CPU], h.g[RQ_MT])
    return alloc_huge(h, order)


@kernel
def least_free(h, order, z):
    """Free pages with which zone z passes the mark it passed last, for a request of this order."""
    least = h.zone[z, h.g[RQ_MARK]] + reserve(h, z, h.g[RQ_HIGHEST]) + (1 << order)
    return least - pool_left(h, z) if h.g[RQ_POOL] else least


# -- reclaim --------------------------------------------------------------------------------------


@kernel
def wake_kswapds(h):
    """Each node of the zonelist reclaims until one allowed zone is above its high mark."""
    if h.g[KS_TASK]:
        wake_in_turns(h)
        return 0
    dropped = 0
    wakes = 0
    for k in range(h.g[G_NNODES]):
        node = (h.g[RQ_START] + k) % h.g[G_NNODES]
        if not in_list(h, node) or balanced(h, node):
            continue
        wakes += 1
        if cache_on(h, node):
            dropped += reclaim(h, node, -1, 0, True, 0)
    h.g[COUNTERS + WAKE] += wakes
    h.g[RQ_WAKES] = wakes
    return dropped


@kernel
def direct_reclaim(h, order):
    """try_to_free_pages: a cluster from the first node that has something.

    For a huge request as many clusters as ``clusters_at_once`` says.
    """
    if reclaims_by_list(h):
        return reclaim_share(h)
    for k in range(h.g[G_NNODES]):
        node = (h.g[RQ_START] + k) % h.g[G_NNODES]
        if not in_list(h, node) or not cache_on(h, node):
            continue
        dropped = reclaim(h, node, -1, CLUSTER, False, order)
        if dropped:
            return dropped
    return 0


@kernel
def reclaims_by_list(h):
    """Whether direct reclaim is the multi-gen LRU's of a task that shares kswapd's CPU."""
    return h.g[KS_TASK] and h.g[TABLE + BY_ZONE]


@kernel
def reclaim_share(h):
    """Direct reclaim by the multi-gen LRU: batches up to a share of the page cache."""
    cache, dropped = page_cache(h), 0
    priority = min(DEF_PRIORITY, max(bits_of(cache) - 1, 0))
    h.g[RC_CPU] = h.g[RQ_CPU]
    while True:
        wanted = page_cache(h) >> priority
        got = reclaim(h, 0, NIL, MIN_LRU_BATCH, False, 0)
        dropped += got
        if got < MIN_LRU_BATCH or dropped >= wanted:
            break
    h.g[RC_CPU] = NIL
    return dropped


@kernel
def compaction_suitable(h, order):
    """Whether free pages are enough that more reclaim would not help a huge request."""
    n = ZONELIST
    while h.g[n] != NIL:
        z = h.g[n]
        n += 1
        if watermark_ok(h, z, order, Z_MIN) or spare(h, z, Z_LOW) > 2 << order:
            return True
    return False


@kernel
def reclaim_for_huge(h, order):
    """Clusters of page cache until compaction would have enough; pages dropped."""
    dropped = 0
    while not compaction_suitable(h, order):
        pages = direct_reclaim(h, order)
        if pages == 0:
            break
        if dropped == 0:
            h.g[COUNTERS + STALL] += 1
        dropped += pages
        if reclaims_by_list(h):
            break
    return dropped


# -- OOM ------------------------------------------------------------------------------------------


@kernel
def oom_kill(h):
    """Kill the largest killable process; ties go to the lowest slot; panic without one."""
    for p in range(len(h.slot)):
        h.slot[p, PR_RSS] = 0
    for a in range(len(h.slot)):
        if h.slot[a, AR_KIND] < 0:
            continue
        if h.slot[a, AR_KIND] in (ANON, THP, SHMEM):
            h.slot[h.slot[a, AR_PROC], PR_RSS] += h.slot[a, AR_PRESENT]
        h.slot[h.slot[a, AR_PROC], PR_RSS] += h.slot[a, AR_VIEWS]
    victim, rss = -1, 0
    for p in range(len(h.slot)):
        if h.slot[p, PR_CPU] >= 0 and not h.slot[p, PR_IMMUNE] and h.slot[p, PR_RSS] > rss:
            victim, rss = p, h.slot[p, PR_RSS]
    if victim < 0:
        h.g[G_PANIC] = 1
        n = new_row(h, INCIDENT)
        h.rows[n, 3] = PANIC
        h.rows[n, 4] = -1
        h.rows[n, 5] = h.g[RQ_PROC]
        return
    h.g[COUNTERS + OOMS] += 1
    h.g[T_LATENCY] += h.g[COSTS + OOM_COST]
    n = new_row(h, INCIDENT)
    h.rows[n, 3] = KILL
    h.rows[n, 4] = victim
    h.rows[n, 5] = h.g[RQ_PROC]
    h.rows[n, 6] = rss
    requester = h.g[RQ_PROC]
    exit_process(h, victim)
    h.g[G_STAMP] += 1  # page cache that the victim held may be reclaimed now
    if victim == requester:
        h.g[G_KILLED] = 1
