"""Offlining on elements, step by step.

Rules and sources as in ``engine.reference.offlining``. The running offline stands in the O_
registers. A pass is a scan and up to ten tries; other commands act between steps.
"""

from engine.alike import pending, tries_alike
from engine.blockers import straddles
from engine.ending import end, report, unisolate
from engine.enums import Cell, Cost, Counter, Errno, OfflineReason, OfflineRule
from engine.giveup import gives_up
from engine.hugepool import dissolve
from engine.kernel import kernel
from engine.listing import hugetlb_pages, list_movable, put_back
from engine.migrate import end_call
from engine.percpu import disable_lists
from engine.rehearsal import first_left
from engine.relist import relist, unlist
from engine.skipping import note_pass
from engine.state import (
    BK_ISO,
    BK_KERNEL,
    BK_PINNED,
    BK_RESERVED,
    BK_USED,
    BK_ZONE,
    COSTS,
    COUNTERS,
    FOLIO,
    G_BLOCK_PAGES,
    G_BLOCK_PBS,
    G_CAUSE,
    G_MUT,
    G_NBLOCKS,
    G_NOW,
    G_REHEARSAL,
    G_STAMP,
    M_ABORT,
    M_FAILED,
    M_FLIGHT,
    M_FOLIOS,
    M_HUGETLB,
    M_MOVED,
    M_SPLIT,
    NIL,
    O_ATTEMPT,
    O_BLOCK,
    O_BOUND,
    O_CALL,
    O_CAUSE,
    O_COUNT,
    O_CURSOR,
    O_ENDLESS,
    O_ERRORS,
    O_FAILED,
    O_FIRST,
    O_HUGETLB,
    O_MIGRATED,
    O_MUT,
    O_NOROOM,
    O_ON,
    O_PASSES,
    O_PAUSE,
    O_PHASE,
    O_QUIET,
    O_RINGN,
    O_SIGNAL,
    O_START,
    O_STEP,
    O_STILL,
    O_STOLEN,
    O_TRIES,
    O_ZONE,
    PH_OWN,
    PS_STATE,
    TABLE,
    Z_ISO,
    Z_MANAGED,
    Z_PCPOFF,
    Z_PRESENT,
)
from engine.suspend import suspend_pins
from engine.target import OFFLINE, begin_call
from engine.watermark import set_watermarks

BEGIN, SCAN, MIGRATE, FINISH, PAUSE = range(5)
OK, EINVAL, EBUSY = 0, int(Errno.EINVAL), int(Errno.EBUSY)
EAGAIN = int(Errno.EAGAIN)
BAD_STATE, UNMOVABLE = int(OfflineReason.BAD_STATE), int(OfflineReason.UNMOVABLE)
RUNNING, DISSOLVE = int(OfflineReason.RUNNING), int(OfflineReason.DISSOLVE)
RULE = int(Cell.OFFLINE_RULE)
RULE_ERRORS, TRIES = int(Cell.OFFLINE_MAX_ERRORS), int(Cell.MIGRATE_TRIES)
PACED = int(OfflineRule.PACED)
PAUSE_NS, PAUSE_MAX_NS = int(Cell.OFFLINE_PAUSE_NS), int(Cell.OFFLINE_PAUSE_MAX_NS)
FIXED, PASS_FIXED = int(Cost.OFFLINE_FIXED), int(Cost.PASS_FIXED)
UNMAPS = int(Cell.OFFLINE_UNMAPS)
PASS_SCAN = int(Cost.PASS_SCAN_PAGEBLOCK)
PASSES, STEALS = int(Counter.OFFLINE_PASSES), int(Counter.PGSTEAL)


@kernel
def offline(h, attempt, first, count, bound_ns):
    """OFFLINE: start to remove a range of blocks, one after the other."""
    if h.g[O_ON]:
        return EAGAIN
    if first < 0 or count <= 0 or first + count > h.g[G_NBLOCKS] or bound_ns < 0:
        return EINVAL
    for i in range(O_ON, O_STILL + 1):
        h.g[i] = 0
    h.g[O_ON] = 1
    h.g[O_ATTEMPT] = attempt
    h.g[O_FIRST] = first
    h.g[O_COUNT] = count
    h.g[O_START] = h.g[G_NOW]
    h.g[O_BOUND] = bound_ns
    h.g[O_CAUSE] = h.g[G_CAUSE]
    h.g[O_ZONE] = -1
    h.g[O_STEP] = h.g[G_NOW]
    h.g[O_BLOCK] = first
    return OK


@kernel
def signal(h):
    """SIGNAL: the running offline ends at its next scan."""
    if not h.g[O_ON]:
        return EINVAL
    h.g[O_SIGNAL] = 1
    if h.g[O_PHASE] == PAUSE:
        h.g[O_STEP] = h.g[G_NOW]
    return OK


@kernel
def status(h, attempt):
    """STATUS: report the running offline as if it ended here."""
    if not h.g[O_ON] or h.g[O_ATTEMPT] != attempt:
        return EINVAL
    report(h, OK, RUNNING)
    return OK


# -- steps ----------------------------------------------------------------------------------------


@kernel
def step(h, until_ns):
    """Run one step of the running offline (``until_ns`` bounds what may be skipped)."""
    h.g[G_NOW] = h.g[O_STEP]
    h.g[G_STAMP] += 1
    phase = h.g[O_PHASE]
    if phase == BEGIN:
        step_begin(h)
    elif phase == SCAN:
        step_scan(h)
    elif phase == MIGRATE:
        step_migrate(h, until_ns)
    elif phase == FINISH:
        step_finish(h)
    elif not gives_up(h):
        h.g[O_PHASE] = BEGIN


@kernel
def step_begin(h):
    """CHECK, QUIESCE, ISOLATE of one block."""
    b = h.g[O_BLOCK]
    z = h.blk[b, BK_ZONE]
    if z < 0 or (h.g[O_ZONE] >= 0 and z != h.g[O_ZONE]):
        end(h, EINVAL, BAD_STATE)
        return
    if h.blk[b, BK_RESERVED] or h.blk[b, BK_KERNEL] or straddles(h, b) != NIL:
        end(h, EBUSY, UNMOVABLE)
        return
    h.g[O_ZONE] = z
    if not h.g[G_REHEARSAL]:
        isolate(h, b, z)
    h.g[O_PHASE] = SCAN
    h.g[O_CURSOR] = b * h.g[G_BLOCK_PBS]
    h.g[O_STEP] += h.g[COSTS + FIXED]


@kernel
def isolate(h, b, z):
    """QUIESCE and ISOLATE: the block's free pages are for nobody, its zone has no per-CPU lists."""
    if h.g[TABLE + UNMAPS] and h.blk[b, BK_PINNED]:
        suspend_pins(h, b)
    disable_lists(h, z)
    relist(h, b, True)
    h.blk[b, BK_ISO] = 1


@kernel
def step_scan(h):
    """Signals, SCAN, and a new migrate_pages call if anything movable is left."""
    h.g[O_QUIET] = 0  # what came since the last scan will be listed
    if gives_up(h) or pauses(h):
        return
    stop = (h.g[O_BLOCK] + 1) * h.g[G_BLOCK_PBS]
    h.g[O_STEP] += h.g[COSTS + PASS_FIXED] + h.g[COSTS + PASS_SCAN] * (stop - h.g[O_CURSOR])
    h.g[O_PASSES] += 1
    h.g[COUNTERS + PASSES] += 1
    first = first_left(h) if h.g[G_REHEARSAL] else list_movable(h)
    if first < 0:
        h.g[O_PHASE] = FINISH
        return
    h.g[O_CURSOR] = first
    begin_call(h, OFFLINE, 0, -1, 0)
    h.g[O_CALL] = 1
    h.g[O_TRIES] = 0
    h.g[O_PHASE] = MIGRATE
    h.g[O_STOLEN] = h.g[COUNTERS + STEALS]
    h.g[O_HUGETLB] = hugetlb_pages(h)
    h.g[O_MUT] = h.g[G_MUT]


@kernel
def pauses(h):
    """Whether a paced offline leaves the block alone for a while instead of scanning it."""
    if h.g[TABLE + RULE] != PACED or h.g[O_ERRORS] < h.g[TABLE + RULE_ERRORS]:
        return False
    unisolate(h)
    pause = 2 * h.g[O_PAUSE] if h.g[O_PAUSE] else h.g[TABLE + PAUSE_NS]
    h.g[O_PAUSE] = min(pause, h.g[TABLE + PAUSE_MAX_NS])
    h.g[O_ERRORS] = 0
    h.g[O_PHASE] = PAUSE
    h.g[O_STEP] += h.g[O_PAUSE]
    if h.g[O_BOUND]:
        h.g[O_STEP] = min(h.g[O_STEP], h.g[O_START] + h.g[O_BOUND])
    return True


@kernel
def step_migrate(h, until_ns):
    """One try of migrate_pages, or several that are alike; after the last one, PUTBACK."""
    tries_alike(h, until_ns)
    if h.g[O_TRIES] < h.g[TABLE + TRIES] and pending(h):
        return
    end_call(h)
    if not h.g[G_REHEARSAL]:
        put_back(h)
    h.g[O_MIGRATED] += h.g[M_MOVED]
    h.g[O_FAILED] += h.g[M_FAILED]
    h.g[O_ERRORS] += 1 if h.g[M_FOLIOS] else 0
    h.g[O_NOROOM] = h.g[M_ABORT]
    still = h.g[COUNTERS + STEALS] == h.g[O_STOLEN] and not (h.g[M_SPLIT] or h.g[M_FLIGHT])
    h.g[O_ENDLESS] = 1 if still and no_progress(h) else 0
    h.g[O_CALL] = 0
    h.g[O_PHASE] = SCAN
    if still and h.g[O_ENDLESS] and h.g[G_MUT] == h.g[O_MUT]:
        note_pass(h, until_ns)
    else:
        h.g[O_RINGN] = 0


@kernel
def no_progress(h):
    """Whether the pass freed nothing of the block."""
    moved = h.g[M_MOVED]
    if moved == 0:
        return True
    return moved == h.g[M_HUGETLB] and hugetlb_pages(h) == h.g[O_HUGETLB]


@kernel
def step_finish(h):
    """DISSOLVE, TEST, COMMIT; or start over from the block's start."""
    b = h.g[O_BLOCK]
    z = h.g[O_ZONE]
    start = b * h.g[G_BLOCK_PBS]
    h.g[O_PHASE] = SCAN
    h.g[O_CURSOR] = start
    if h.g[G_REHEARSAL]:
        end(h, OK, 0)
        return
    if not dissolve_block(h, start, start + h.g[G_BLOCK_PBS]):
        end(h, EBUSY, DISSOLVE)
        return
    if h.blk[b, BK_USED]:
        return
    pages = unlist(h, b)
    h.zone[z, Z_ISO] -= pages
    h.zone[z, Z_MANAGED] -= pages
    h.zone[z, Z_PRESENT] -= h.g[G_BLOCK_PAGES]
    h.blk[b, BK_ISO] = 0
    h.blk[b, BK_ZONE] = -1
    set_watermarks(h)
    h.zone[z, Z_PCPOFF] = 0
    h.g[O_BLOCK] += 1
    h.g[O_PAUSE] = 0
    if h.g[O_BLOCK] == h.g[O_FIRST] + h.g[O_COUNT]:
        end(h, OK, 0)
        return
    h.g[O_PHASE] = BEGIN


@kernel
def dissolve_block(h, start, stop):
    """dissolve_free_huge_pages of a block, ascending; False at one that is needed."""
    for pb in range(start, stop):
        if h.pbs[pb, PS_STATE] == FOLIO and h.pbh[pb, PH_OWN] == NIL and not dissolve(h, pb):
            return False
    return True
