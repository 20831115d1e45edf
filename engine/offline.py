"""Offlining on elements, step by step, with endless loops skipped.

Rules and sources as in ``engine.reference.offlining``. The running offline stands in the O_
registers. A pass that changed nothing repeats for ever: then whole passes are skipped up to the
next event and the counters advanced by what one pass adds. The same is done for hugetlb folios
that change places inside the block with a period of at most RING passes. Draws of I/O in flight
cannot disturb a repetition: a pass in which one made a folio stay is not taken for one, and where
nothing unheld moved there was no room, whatever was drawn.
"""

from engine.blockers import emit_blockers, straddles
from engine.elements import counts_of, head_of, is_gigantic, set_deferred, set_isolated
from engine.emit import emit_moves, new_row
from engine.enums import (
    NR_COUNTERS,
    Cell,
    Cost,
    Counter,
    Errno,
    MigrateReason,
    OfflineReason,
    OfflineRule,
    Row,
)
from engine.freelist import add_row, link, relist, unlist
from engine.hugepool import dissolve
from engine.kernel import kernel
from engine.memory import HUGETLB
from engine.migrate import OFFLINE, begin_call, end_call, try_element
from engine.percpu import disable_lists
from engine.pin import pin
from engine.sharing import drop_pins, forget_pin
from engine.slowdown import SUSPENDED, emit_work, mark_work, new_slowed, repeat_work
from engine.state import (
    AR_KIND,
    AR_SEQ,
    AR_UNMAPS,
    BK_ISO,
    BK_KERNEL,
    BK_NODE,
    BK_PINNED,
    BK_RESERVED,
    BK_USED,
    BK_ZONE,
    COSTS,
    COUNTERS,
    DEFERRED,
    FOLIO,
    FREE,
    G_BLOCK_PAGES,
    G_BLOCK_PBS,
    G_CAUSE,
    G_KILLED,
    G_MUT,
    G_NBLOCKS,
    G_NNODES,
    G_NOW,
    G_NZONES,
    G_PANIC,
    G_PBO,
    G_PBP,
    G_STAMP,
    ISOLATED,
    M_ABORT,
    M_AGAIN2,
    M_AGAIN4,
    M_AGAING,
    M_AGAINT,
    M_FAILED,
    M_FLIGHT,
    M_FOLIOS,
    M_HUGETLB,
    M_LATENCY,
    M_MOVED,
    M_SPLIT,
    NIL,
    NR_MOVE,
    O_ATTEMPT,
    O_AWAY,
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
    O_MARK,
    O_MIGRATED,
    O_MUT,
    O_NOROOM,
    O_ON,
    O_PASSES,
    O_PAUSE,
    O_PHASE,
    O_RINGN,
    O_SIGNAL,
    O_START,
    O_STEP,
    O_STILL,
    O_STOLEN,
    O_TRIES,
    O_UNAVAILABLE,
    O_ZONE,
    OB_AREA,
    PB_AUX,
    PB_NEXT,
    PB_OWN,
    PB_PREV,
    PIN_AWAY,
    PIN_MASK,
    PN_AREA,
    PN_AWAY,
    PN_COUNT,
    PN_FIRST,
    PN_LONG,
    PN_MAPPED,
    PN_PINNER,
    PN_SLOT,
    PS_FLAG,
    PS_MT,
    PS_STATE,
    R_ALLOC,
    RESERVED,
    RING,
    RN_BNEXT,
    RN_CNT,
    RN_OWN,
    RS_FLAG,
    RS_LEN,
    RS_START,
    RS_STATE,
    SPLIT,
    T_LATENCY,
    TABLE,
    UNIFORM,
    Z_FREE,
    Z_ISO,
    Z_MANAGED,
    Z_PCPOFF,
    Z_POOL,
    Z_PRESENT,
)
from engine.watermark import set_watermarks

BEGIN, SCAN, MIGRATE, FINISH, PAUSE = range(5)
MOVABLE = 1
OK, EINVAL, EBUSY = 0, int(Errno.EINVAL), int(Errno.EBUSY)
EAGAIN, EINTR = int(Errno.EAGAIN), int(Errno.EINTR)
BAD_STATE, UNMOVABLE = int(OfflineReason.BAD_STATE), int(OfflineReason.UNMOVABLE)
SIGNAL, MAX_ERRORS = int(OfflineReason.SIGNAL), int(OfflineReason.MAX_ERRORS)
TIMEOUT, PIN_SEEN = int(OfflineReason.TIMEOUT), int(OfflineReason.PIN_SEEN)
RUNNING, DISSOLVE = int(OfflineReason.RUNNING), int(OfflineReason.DISSOLVE)
TAILS_LAST = int(Cell.SPLIT_TAILS_LAST)
RULE, RULE_NS = int(Cell.OFFLINE_RULE), int(Cell.OFFLINE_BOUND_NS)
RULE_ERRORS, TRIES = int(Cell.OFFLINE_MAX_ERRORS), int(Cell.MIGRATE_TRIES)
BOUNDED, TIMED, PIN_AWARE, PACED = (
    int(OfflineRule.BOUNDED_4_13),
    int(OfflineRule.TIMEOUT),
    int(OfflineRule.PIN_AWARE),
    int(OfflineRule.PACED),
)
PAUSE_NS, PAUSE_MAX_NS = int(Cell.OFFLINE_PAUSE_NS), int(Cell.OFFLINE_PAUSE_MAX_NS)
FIXED, PASS_FIXED = int(Cost.OFFLINE_FIXED), int(Cost.PASS_FIXED)
UNMAPS, SUSPEND = int(Cell.OFFLINE_UNMAPS), int(Cost.PIN_SUSPEND)
PIN_SUSPENDED = int(Counter.PIN_SUSPENDED)
ONLINE_PB = int(Cost.ONLINE_PAGEBLOCK)
PASS_SCAN = int(Cost.PASS_SCAN_PAGEBLOCK)
PASSES, STEALS = int(Counter.OFFLINE_PASSES), int(Counter.PGSTEAL)
HOTPLUG, ATTEMPT = int(MigrateReason.MEMORY_HOTPLUG), int(Row.ATTEMPT)
RING_REGISTERS = 8
"""Ring columns: digest, mutations, step_ns, then passes, migrated, failed, unavailable, errors."""


@kernel
def add_block(h, b, z):
    """Give a block's pages to a zone, at the tail of its lists."""
    pbs = h.g[G_BLOCK_PBS]
    h.blk[b, BK_ZONE] = z
    reserved = h.blk[b, BK_RESERVED]
    pb = b * pbs
    for i in range(reserved):
        h.pbs[pb + i, PS_STATE] = RESERVED
    for i in range(pbs):
        if h.pbs[pb + i, PS_MT]:
            h.pbs[pb + i, PS_MT] = 0
    pages = (pbs - reserved) * h.g[G_PBP]
    h.zone[z, Z_PRESENT] += h.g[G_BLOCK_PAGES]
    h.zone[z, Z_MANAGED] += pages
    h.zone[z, Z_FREE] += pages
    first = pb + reserved
    if first & 1:
        add_single(h, z, first)
        first += 1
    if first < pb + pbs:
        add_row(h, z, MOVABLE, first, (pb + pbs - first) // 2)


@kernel
def add_single(h, z, pb):
    """One pageblock at the tail of its list."""
    h.pbs[pb, PS_STATE] = FREE
    h.pbs[pb, PS_FLAG] = 0
    h.pb[pb, PB_AUX] = 1
    link(h, z, MOVABLE, h.g[G_PBO], pb, True)


@kernel
def online(h, first, count, kind):
    """ONLINE: give offline blocks to a zone of their node; EAGAIN while an offline runs."""
    if h.g[O_ON]:
        return EAGAIN
    if first < 0 or count <= 0 or first + count > h.g[G_NBLOCKS] or not 0 <= kind <= 2:
        return EINVAL
    for b in range(first, first + count):
        if h.blk[b, BK_ZONE] != -1:
            return EINVAL
    for b in range(first, first + count):
        add_block(h, b, h.blk[b, BK_NODE] * 3 + kind)
        set_watermarks(h)
    h.g[T_LATENCY] += count * h.g[G_BLOCK_PBS] * h.g[COSTS + ONLINE_PB]
    return OK


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
    if h.g[TABLE + UNMAPS] and h.blk[b, BK_PINNED]:
        suspend_pins(h, b)
    disable_lists(h, z)
    relist(h, b, True)
    h.blk[b, BK_ISO] = 1
    h.g[O_PHASE] = SCAN
    h.g[O_CURSOR] = b * h.g[G_BLOCK_PBS]
    h.g[O_STEP] += h.g[COSTS + FIXED]


@kernel
def suspend_pins(h, b):
    """Applications with a pinned page in the block stop their flows and unmap the area."""
    first = b * h.g[G_BLOCK_PBS]
    for pb in range(first, first + h.g[G_BLOCK_PBS]):
        state = h.pbs[pb, PS_STATE]
        if is_whole_gigantic(h, pb, first):
            pins, _ = counts_of(h, head_of(h, pb))
            mark_area(h, h.pb[pb, PB_OWN], min(pins, 1))
        elif state == UNIFORM or state == FOLIO:
            mark_area(h, h.pb[pb, PB_OWN], h.pb[pb, PB_AUX])
        elif state == SPLIT:
            r = h.pb[pb, PB_AUX]
            while r != NIL:
                if h.runb[r, RS_STATE] == R_ALLOC:
                    mark_area(h, h.run[r, RN_OWN], h.run[r, RN_CNT])
                r = h.run[r, RN_BNEXT]
    before = h.g[T_LATENCY]
    for q in range(len(h.slot)):
        a, longterm = h.slot[q, PN_AREA], h.slot[q, PN_LONG]
        if a >= 0 and h.slot[a, AR_UNMAPS] and longterm and longterm != PIN_AWAY:
            suspend(h, q)
    for row in range(len(h.slot)):
        h.slot[row, AR_UNMAPS] = 0
    h.g[O_STEP] += h.g[T_LATENCY] - before


@kernel
def is_whole_gigantic(h, pb, first):
    """Whether a gigantic folio has its turn here: at its head, or where a walk from ``first`` on
    meets it first.
    """
    return is_gigantic(h, pb) and (pb == first or pb == head_of(h, pb))


@kernel
def mark_area(h, a, count):
    """Mark the area of a pinned page; of one that was freed under its pin the area it left."""
    if a == NIL or not count & PIN_MASK:
        return
    left = a if a >= 0 else h.slot[a, OB_AREA]
    if left >= 0:
        h.slot[left, AR_UNMAPS] = 1


@kernel
def suspend(h, q):
    """Release a long-term pin until the offline has returned."""
    drop_pins(h, q, False)
    drop_pins(h, q, True)
    h.slot[q, PN_LONG] = PIN_AWAY
    h.slot[q, PN_AWAY] = h.g[G_NOW]
    h.g[COUNTERS + PIN_SUSPENDED] += 1
    h.g[O_AWAY] += 1
    h.g[O_STEP] += h.g[COSTS + SUSPEND]


@kernel
def still_mapped(h, q):
    """Whether the area that a pin was taken through is there yet."""
    a = h.slot[q, PN_SLOT]
    return h.slot[a, AR_KIND] >= 0 and h.slot[a, AR_SEQ] == h.slot[q, PN_MAPPED]


@kernel
def suspended_ns(h):
    """How long mappings have been away, summed over them."""
    total = 0
    if h.g[O_AWAY]:
        for q in range(len(h.slot)):
            if h.slot[q, PN_AREA] >= 0 and h.slot[q, PN_LONG] == PIN_AWAY and still_mapped(h, q):
                total += h.g[G_NOW] - h.slot[q, PN_AWAY]
    return total


@kernel
def emit_suspended(h):
    """One SLOWED row per mapping that is away: how long it has been."""
    if h.g[O_AWAY]:
        for q in range(len(h.slot)):
            if h.slot[q, PN_AREA] >= 0 and h.slot[q, PN_LONG] == PIN_AWAY and still_mapped(h, q):
                away_ns = h.g[G_NOW] - h.slot[q, PN_AWAY]
                new_slowed(h, SUSPENDED, h.g[O_ATTEMPT], h.slot[q, PN_SLOT], 1, away_ns)


@kernel
def resume_pins(h):
    """The offline has returned: each area is mapped again, as by a PIN of its process."""
    h.g[O_AWAY] = 0
    cause = h.g[G_CAUSE]
    h.g[G_CAUSE] = h.g[O_CAUSE]
    for q in range(len(h.slot)):
        if h.slot[q, PN_AREA] < 0 or h.slot[q, PN_LONG] != PIN_AWAY:
            continue
        a, mapped = h.slot[q, PN_SLOT], still_mapped(h, q)
        first, count, pinner = h.slot[q, PN_FIRST], h.slot[q, PN_COUNT], h.slot[q, PN_PINNER]
        forget_pin(h, q)
        if mapped:
            pin(h, q, a, first, count, pinner, -1)
        h.g[G_KILLED] = 0
        if h.g[G_PANIC]:
            break
    h.g[G_CAUSE] = cause


@kernel
def gives_up(h):
    """Whether a signal, the bound or the policy ends the offline before this scan."""
    waited = h.g[O_STEP] - h.g[O_START]
    rule = h.g[TABLE + RULE]
    if h.g[O_SIGNAL] or (h.g[O_BOUND] and waited >= h.g[O_BOUND]):
        end(h, EINTR, SIGNAL)
    elif rule == TIMED and waited >= h.g[TABLE + RULE_NS]:
        end(h, EINTR, TIMEOUT)
    elif rule == BOUNDED and h.g[O_ERRORS] >= h.g[TABLE + RULE_ERRORS]:
        end(h, EBUSY, MAX_ERRORS)
    elif rule == BOUNDED and waited >= h.g[TABLE + RULE_NS]:
        end(h, EAGAIN, TIMEOUT)
    elif rule == PIN_AWARE and pin_in_block(h):
        end(h, EBUSY, PIN_SEEN)
    else:
        return False
    return True


@kernel
def pin_in_block(h):
    """Whether a page of the block from the cursor on has a long-term pin."""
    if h.blk[h.g[O_BLOCK], BK_PINNED] == 0:
        return False
    stop = (h.g[O_BLOCK] + 1) * h.g[G_BLOCK_PBS]
    for pb in range(h.g[O_CURSOR], stop):
        state = h.pbs[pb, PS_STATE]
        if is_whole_gigantic(h, pb, h.g[O_CURSOR]):
            pins, _ = counts_of(h, head_of(h, pb))
            if pins:
                return True
        elif state == UNIFORM or state == FOLIO:
            if h.pb[pb, PB_AUX] & PIN_MASK:
                return True
        elif state == SPLIT:
            r = h.pb[pb, PB_AUX]
            while r != NIL:
                if h.runb[r, RS_STATE] == R_ALLOC and h.run[r, RN_CNT] & PIN_MASK:
                    return True
                r = h.run[r, RN_BNEXT]
    return False


@kernel
def list_movable(h):
    """List what is movable from the cursor on; the first pageblock with any, or -1."""
    first = -1
    stop = (h.g[O_BLOCK] + 1) * h.g[G_BLOCK_PBS]
    for pb in range(h.g[O_CURSOR], stop):
        state = h.pbs[pb, PS_STATE]
        found = False
        if state == UNIFORM or (state == FOLIO and h.pb[pb, PB_OWN] != NIL):
            found = True
            if not is_gigantic(h, pb):
                h.pbs[pb, PS_FLAG] |= ISOLATED
            elif is_whole_gigantic(h, pb, h.g[O_CURSOR]):
                set_isolated(h, pb, True)
        elif state == SPLIT:
            r = h.pb[pb, PB_AUX]
            while r != NIL:
                if h.runb[r, RS_STATE] == R_ALLOC:
                    found = True
                    h.runb[r, RS_FLAG] |= ISOLATED
                r = h.run[r, RN_BNEXT]
        if found and first < 0:
            first = pb
    return first


@kernel
def step_scan(h):
    """Signals, SCAN, and a new migrate_pages call if anything movable is left."""
    if gives_up(h) or pauses(h):
        return
    stop = (h.g[O_BLOCK] + 1) * h.g[G_BLOCK_PBS]
    h.g[O_STEP] += h.g[COSTS + PASS_FIXED] + h.g[COSTS + PASS_SCAN] * (stop - h.g[O_CURSOR])
    h.g[O_PASSES] += 1
    h.g[COUNTERS + PASSES] += 1
    first = list_movable(h)
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
def hugetlb_pages(h):
    """Pages of the block in hugetlb folios that are in use."""
    pages = 0
    start = h.g[O_BLOCK] * h.g[G_BLOCK_PBS]
    for pb in range(start, start + h.g[G_BLOCK_PBS]):
        if h.pbs[pb, PS_STATE] == FOLIO and h.pb[pb, PB_OWN] != NIL:
            if h.slot[h.pb[pb, PB_OWN], AR_KIND] == HUGETLB:
                pages += h.g[G_PBP]
    return pages


@kernel
def one_try(h):
    """One pass of migrate_pages over what is listed, in pfn order."""
    h.g[M_AGAIN4] = 0
    h.g[M_AGAIN2] = 0
    h.g[M_AGAING] = 0
    h.g[M_AGAINT] = 0
    start = h.g[O_BLOCK] * h.g[G_BLOCK_PBS]
    for pb in range(start, start + h.g[G_BLOCK_PBS]):
        state = h.pbs[pb, PS_STATE]
        if state == UNIFORM or state == FOLIO:
            if is_gigantic(h, pb) and not is_whole_gigantic(h, pb, start):
                continue
            if h.pbs[pb, PS_FLAG] & ISOLATED:
                try_element(h, h.pb[pb, PB_OWN], pb, True)
        elif state == SPLIT:
            try_runs(h, pb, False)
        if h.g[M_ABORT]:
            return
    if h.g[M_SPLIT] == 0 or not h.g[TABLE + TAILS_LAST]:
        return
    for pb in range(start, start + h.g[G_BLOCK_PBS]):
        if h.pbs[pb, PS_STATE] == SPLIT:
            try_runs(h, pb, True)
        if h.g[M_ABORT]:
            return


@kernel
def try_runs(h, pb, tails):
    """Try the listed runs of a pageblock, ascending; tails of split THPs in their own turn.

    A run that moves is freed, which re-writes the pageblock's order, so the walk starts again
    behind the offset it has reached.
    """
    offset = 0
    while h.pbs[pb, PS_STATE] == SPLIT and not h.g[M_ABORT]:
        r = h.pb[pb, PB_AUX]
        while r != NIL and (h.runs[r, RS_START] < offset or not listed(h, r, tails)):
            r = h.run[r, RN_BNEXT]
        if r == NIL:
            return
        offset = h.runs[r, RS_START] + h.runs[r, RS_LEN]
        set_deferred(h, -2 - r, False)
        try_element(h, h.run[r, RN_OWN], -2 - r, True)


@kernel
def listed(h, r, tails):
    """Whether a run is on the migrate_pages list and has its turn."""
    if ((h.runb[r, RS_FLAG] & DEFERRED) != 0) != tails:
        return False
    return h.runb[r, RS_STATE] == R_ALLOC and (h.runb[r, RS_FLAG] & ISOLATED) != 0


@kernel
def put_back(h):
    """Take everything of the block off the list."""
    start = h.g[O_BLOCK] * h.g[G_BLOCK_PBS]
    for pb in range(start, start + h.g[G_BLOCK_PBS]):
        state = h.pbs[pb, PS_STATE]
        if state == UNIFORM or state == FOLIO:
            if not is_gigantic(h, pb) or is_whole_gigantic(h, pb, start):
                set_isolated(h, pb, False)
        elif state == SPLIT:
            r = h.pb[pb, PB_AUX]
            while r != NIL:
                if h.runb[r, RS_STATE] == R_ALLOC:
                    set_isolated(h, -2 - r, False)
                    set_deferred(h, -2 - r, False)
                r = h.run[r, RN_BNEXT]


@kernel
def step_migrate(h, until_ns):
    """One try of migrate_pages; after the last one, PUTBACK."""
    before = h.g[M_LATENCY]
    one_try(h)
    spent = h.g[M_LATENCY] - before
    h.g[O_STEP] += spent
    h.g[O_UNAVAILABLE] += spent
    h.g[O_TRIES] += 1
    pending = h.g[M_AGAIN4] or h.g[M_AGAIN2] or h.g[M_AGAING] or h.g[M_AGAINT]
    if pending and not h.g[M_ABORT] and h.g[O_TRIES] < h.g[TABLE + TRIES]:
        return
    end_call(h)
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


# -- loops ----------------------------------------------------------------------------------------


@kernel
def mix(x, y):
    """Mix a word into a digest."""
    x = (x ^ y) * 0x9E3779B97F4A7C1
    return x ^ (x >> 29)


@kernel
def digest(h):
    """Digest of what a pass without buddy traffic can change: the block's folios, the pools."""
    d = h.g[O_CURSOR]
    start = h.g[O_BLOCK] * h.g[G_BLOCK_PBS]
    for pb in range(start, start + h.g[G_BLOCK_PBS]):
        if h.pbs[pb, PS_STATE] == FOLIO:
            d = mix(d, pb)
            d = mix(d, h.pb[pb, PB_OWN])
            d = mix(d, h.pb[pb, PB_PREV])
            d = mix(d, h.pb[pb, PB_NEXT])
            d = mix(d, h.pb[pb, PB_AUX])
    for node in range(h.g[G_NNODES]):
        for size in range(2):
            pb = h.zone[node * 3 + size, Z_POOL]
            while pb != NIL:
                d = mix(d, pb)
                pb = h.pb[pb, PB_NEXT]
            d = mix(d, -1)
    return d


@kernel
def save_pass(h, k, d):
    """Remember in ring slot k how things stood after a pass."""
    h.moves[k + 2, 0] = d
    h.moves[k + 2, 1] = h.g[G_MUT]
    h.moves[k + 2, 2] = h.g[O_STEP]
    h.moves[k + 2, 3] = h.g[O_PASSES]
    h.moves[k + 2, 4] = h.g[O_MIGRATED]
    h.moves[k + 2, 5] = h.g[O_FAILED]
    h.moves[k + 2, 6] = h.g[O_UNAVAILABLE]
    h.moves[k + 2, 7] = h.g[O_ERRORS]
    for c in range(NR_COUNTERS):
        h.moves[k + 2, RING_REGISTERS + c] = h.g[COUNTERS + c]
    for c in range(h.g[G_NZONES] * h.g[G_NZONES] * NR_MOVE):
        h.moves[k + 2, RING_REGISTERS + NR_COUNTERS + c] = h.moves[1, c]


@kernel
def note_pass(h, until_ns):
    """Look for the state after this pass among the last ones; skip whole periods if found."""
    d = digest(h)
    n = h.g[O_RINGN]
    period = 0
    for back in range(1, min(n, RING) + 1):
        k = (n - back) % RING
        if h.moves[k + 2, 0] == d and h.moves[k + 2, 1] == h.g[G_MUT]:
            period = back
            break
    if not period or n - h.g[O_MARK] == period:  # else the mark has to be one period old first
        if period:
            skip(h, (n - period) % RING, until_ns)
        mark_work(h, n)
    save_pass(h, n % RING, d)
    h.g[O_RINGN] = n + 1


@kernel
def skip(h, k, until_ns):
    """Advance by as many whole periods as fit before the next event."""
    period = h.g[O_STEP] - h.moves[k + 2, 2]
    limit = until_ns
    if h.g[O_BOUND]:
        limit = min(limit, h.g[O_START] + h.g[O_BOUND])
    if h.g[TABLE + RULE] == TIMED or h.g[TABLE + RULE] == BOUNDED:
        limit = min(limit, h.g[O_START] + h.g[TABLE + RULE_NS])
    rule = h.g[TABLE + RULE]
    counts = rule == BOUNDED or rule == PACED  # passes that fail
    if period <= 0 or counts or h.g[O_SIGNAL] or limit <= h.g[O_STEP]:
        return
    times = (limit - h.g[O_STEP]) // period
    if times <= 0:
        return
    h.g[O_STEP] += times * period
    h.g[O_PASSES] += times * (h.g[O_PASSES] - h.moves[k + 2, 3])
    h.g[O_MIGRATED] += times * (h.g[O_MIGRATED] - h.moves[k + 2, 4])
    h.g[O_FAILED] += times * (h.g[O_FAILED] - h.moves[k + 2, 5])
    h.g[O_UNAVAILABLE] += times * (h.g[O_UNAVAILABLE] - h.moves[k + 2, 6])
    h.g[O_ERRORS] += times * (h.g[O_ERRORS] - h.moves[k + 2, 7])
    for c in range(NR_COUNTERS):
        h.g[COUNTERS + c] += times * (h.g[COUNTERS + c] - h.moves[k + 2, RING_REGISTERS + c])
    for c in range(h.g[G_NZONES] * h.g[G_NZONES] * NR_MOVE):
        h.moves[1, c] += times * (h.moves[1, c] - h.moves[k + 2, RING_REGISTERS + NR_COUNTERS + c])
    repeat_work(h, times)
    h.g[O_RINGN] = 0


# -- the end --------------------------------------------------------------------------------------


@kernel
def dissolve_block(h, start, stop):
    """dissolve_free_huge_pages of a block, ascending; False at one that is needed."""
    for pb in range(start, stop):
        if h.pbs[pb, PS_STATE] == FOLIO and h.pb[pb, PB_OWN] == NIL and not dissolve(h, pb):
            return False
    return True


@kernel
def step_finish(h):
    """DISSOLVE, TEST, COMMIT; or start over from the block's start."""
    b = h.g[O_BLOCK]
    z = h.g[O_ZONE]
    start = b * h.g[G_BLOCK_PBS]
    h.g[O_PHASE] = SCAN
    h.g[O_CURSOR] = start
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
def unisolate(h):
    """Give the free pages of the block back to its zone, which has its per-CPU lists again."""
    h.blk[h.g[O_BLOCK], BK_ISO] = 0
    relist(h, h.g[O_BLOCK], False)
    h.zone[h.g[O_ZONE], Z_PCPOFF] = 0


@kernel
def end(h, errno, reason):
    """COMMIT or ABORT of the whole range: report, undo, put removed blocks back."""
    report(h, errno, reason)
    if errno != OK:
        if h.blk[h.g[O_BLOCK], BK_ISO]:
            unisolate(h)
        for done in range(h.g[O_FIRST], h.g[O_BLOCK]):
            add_block(h, done, h.g[O_ZONE])
            set_watermarks(h)
    h.g[O_ON] = 0
    if h.g[O_AWAY]:
        resume_pins(h)


@kernel
def report(h, errno, reason):
    """ATTEMPT, MIGRATION rows since the last report, BLOCKER rows unless it ended well."""
    cause = h.g[G_CAUSE]
    h.g[G_CAUSE] = h.g[O_CAUSE]
    failed = -1 if errno == OK and reason != RUNNING else h.g[O_BLOCK]
    n = new_row(h, ATTEMPT)
    h.rows[n, 3] = h.g[O_ATTEMPT]
    h.rows[n, 4] = h.g[O_FIRST]
    h.rows[n, 5] = h.g[O_COUNT]
    h.rows[n, 6] = errno
    h.rows[n, 7] = reason
    h.rows[n, 8] = h.g[O_START]
    h.rows[n, 9] = h.g[G_NOW]
    h.rows[n, 10] = h.g[O_PASSES]
    h.rows[n, 11] = h.g[O_MIGRATED] + (h.g[M_MOVED] if h.g[O_CALL] else 0)
    h.rows[n, 12] = h.g[O_FAILED]
    h.rows[n, 13] = failed
    h.rows[n, 14] = h.g[O_ENDLESS]
    h.rows[n, 15] = h.g[O_UNAVAILABLE] + suspended_ns(h)
    emit_moves(h, 1, HOTPLUG, h.g[O_ATTEMPT])
    emit_work(h, 1, HOTPLUG, h.g[O_ATTEMPT])
    emit_suspended(h)
    if failed >= 0 and reason != BAD_STATE:
        emit_blockers(h, failed, reason)
    h.g[G_CAUSE] = cause
