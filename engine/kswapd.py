"""kswapd on the CPU of those who allocate. Rules: ``engine.reference.kswapd``."""

from engine.enums import Cell, Counter, PcpRule
from engine.kernel import kernel
from engine.reclaim import KINDS, free_held_back, reclaim
from engine.state import (
    COUNTERS,
    G_NOW,
    G_STAMP,
    KS_AWAKE,
    KS_DROPPED,
    KS_GOAL,
    KS_HIGHEST,
    KS_LEFT,
    KS_OWN,
    KS_PRIORITY,
    KS_TASK,
    NIL,
    RC_CPU,
    RC_HELD,
    RQ_HIGHEST,
    TABLE,
    Z_ACTIVE,
    Z_FILE,
    Z_FREE,
    Z_HIGH,
    Z_MANAGED,
)
from engine.watermark import reserve

SWAP_CLUSTER_MAX, DEF_PRIORITY, MIN_LRU_BATCH = 32, 12, 64
ONLY_CPU = 0
BY_ZONE, WAKE = int(Cell.RECLAIM_BY_ZONE), int(Counter.KSWAPD_WAKE)
IN_ORDER = int(Cell.GATHER_IN_ORDER)
PCP_RULE, BATCH_TIMES_6 = int(Cell.PCP_RULE), int(PcpRule.BATCH_TIMES_6)


@kernel
def wake_in_turns(h):
    """kswapd will run when the turn of the task that asks for memory ends."""
    highest = h.g[RQ_HIGHEST]
    if h.g[KS_AWAKE] or above_marks(h, highest):
        return
    h.g[COUNTERS + WAKE] += 1
    h.g[KS_AWAKE], h.g[KS_HIGHEST], h.g[KS_DROPPED] = 1, highest, -1
    h.g[KS_PRIORITY] = first_priority(h, highest)


@kernel
def tick(h):
    """Before base pages are taken: the turn of the task may have ended."""
    if turn_ended(h):
        h.g[KS_LEFT] = h.g[KS_TASK]
        turn(h)


@kernel
def turn_ended(h):
    """Whether kswapd has its turn before the next base page is taken."""
    return h.g[KS_TASK] != 0 and h.g[KS_LEFT] == 0


@kernel
def pass_time(h, time_ns):
    """Go on to a time; a kswapd that was woken before is at its goal by then."""
    if time_ns > h.g[G_NOW] and h.g[KS_AWAKE]:
        h.g[G_STAMP] += 1  # what the last command let go of may be dropped
        while h.g[KS_AWAKE]:
            turn(h)
    h.g[G_NOW] = time_ns


@kernel
def over(h, z, highest):
    """Free pages of a zone above its high mark and reserve."""
    return h.zone[z, Z_FREE] - h.zone[z, Z_HIGH] - reserve(h, z, highest)


@kernel
def above_marks(h, highest):
    """Whether an allowed zone is above its high mark and reserve."""
    for z in range(highest + 1):
        if h.zone[z, Z_MANAGED] > 0 and over(h, z, highest) > 0:
            return True
    return False


@kernel
def all_safe(h, highest):
    """Whether every allowed zone is well above its high mark."""
    for z in range(highest + 1):
        if h.zone[z, Z_MANAGED] > 0 and over(h, z, highest) <= MIN_LRU_BATCH:
            return False
    return True


@kernel
def page_cache(h):
    """Pages of files on the node."""
    pages = 0
    for z in range(KINDS):
        pages += h.zone[z, Z_FILE]
    return pages


@kernel
def wanted_pages(h, highest):
    """What one pass would have to scan so that the next one is not more thorough."""
    pages = 0
    for z in range(highest + 1):
        if h.zone[z, Z_MANAGED] > 0:
            pages += max(h.zone[z, Z_HIGH], SWAP_CLUSTER_MAX)
    return pages


@kernel
def bits_of(n):
    """Bits of a number."""
    bits = 0
    while n >> bits:
        bits += 1
    return bits


@kernel
def first_priority(h, highest):
    """Shift of the first pass."""
    wanted = wanted_pages(h, highest)
    if not h.g[TABLE + BY_ZONE] or wanted < MIN_LRU_BATCH:
        return DEF_PRIORITY
    fits = bits_of(page_cache(h)) - 1 - bits_of(wanted - 1)
    return min(max(fits, DEF_PRIORITY // 2), DEF_PRIORITY)


@kernel
def turn(h):
    """A turn of kswapd, or until it sleeps."""
    done = 0
    while h.g[KS_AWAKE] and done < h.g[KS_OWN]:
        if h.g[KS_DROPPED] < 0:
            if above_marks(h, h.g[KS_HIGHEST]) or h.g[KS_PRIORITY] < 1:
                sleeps(h)
                return
            h.g[KS_DROPPED] = 0
            h.g[KS_GOAL] = page_cache(h) >> h.g[KS_PRIORITY]
            show_active(h, h.g[TABLE + PCP_RULE] != BATCH_TIMES_6)
        done += go_on(h, h.g[KS_OWN] - done)


@kernel
def show_active(h, active):
    """Lists are kept short in the zones that kswapd is at work in."""
    for z in range(h.g[KS_HIGHEST] + 1):
        if h.zone[z, Z_MANAGED] > 0:
            h.zone[z, Z_ACTIVE] = active


@kernel
def sleeps(h):
    """kswapd waits to be woken again."""
    show_active(h, 0)
    h.g[KS_AWAKE] = 0


@kernel
def go_on(h, pages):
    """Go on with a pass for a turn of ``pages``; returns the pages dropped."""
    if h.g[TABLE + BY_ZONE]:
        return go_on_by_batch(h, pages)
    units = (pages + SWAP_CLUSTER_MAX - 1) // SWAP_CLUSTER_MAX
    most = min(units * SWAP_CLUSTER_MAX, h.g[KS_GOAL] - h.g[KS_DROPPED])
    got = drop(h, most) if most else 0
    h.g[KS_DROPPED] += got
    if got < most or h.g[KS_DROPPED] >= h.g[KS_GOAL]:
        pass_ends(h)
    return got


@kernel
def go_on_by_batch(h, pages):
    """``go_on`` of the multi-gen LRU, which looks after each batch whether it may stop."""
    done = 0
    while done < pages:
        wanted = page_cache(h) >> h.g[KS_PRIORITY]
        got = drop(h, MIN_LRU_BATCH) if h.g[KS_GOAL] else 0
        h.g[KS_DROPPED] += got
        done += got
        if got < MIN_LRU_BATCH or h.g[KS_DROPPED] >= wanted or all_safe(h, h.g[KS_HIGHEST]):
            pass_ends(h)
            break
    return done


@kernel
def drop(h, pages):
    """Drop the oldest page cache of the allowed zones to the lists of kswapd's CPU."""
    highest = h.g[RQ_HIGHEST]
    h.g[RQ_HIGHEST], h.g[RC_CPU] = h.g[KS_HIGHEST], ONLY_CPU
    got = 0
    if h.g[TABLE + IN_ORDER]:
        got = reclaim(h, 0, NIL, pages, False, 0)
    else:
        got = drop_backwards(h, pages)
    h.g[RQ_HIGHEST], h.g[RC_CPU] = highest, NIL
    return got


@kernel
def drop_backwards(h, pages):
    """As ``drop``, by batches that are freed last to first."""
    done = 0
    while done < pages:
        wanted = min(pages - done, SWAP_CLUSTER_MAX)
        h.g[RC_HELD] = 0
        got = reclaim(h, 0, NIL, wanted, False, 0)
        free_held_back(h)
        done += got
        if got < wanted:
            break
    return done


@kernel
def pass_ends(h):
    """Look at the marks; what was too little is doubled in the next pass."""
    if h.g[KS_DROPPED] < wanted_pages(h, h.g[KS_HIGHEST]) or h.g[KS_DROPPED] == 0:
        h.g[KS_PRIORITY] -= 1
    h.g[KS_DROPPED] = -1
    if above_marks(h, h.g[KS_HIGHEST]) or h.g[KS_PRIORITY] < 1:
        sleeps(h)
