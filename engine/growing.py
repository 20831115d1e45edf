"""A bag grows piece by piece: a chunk of the size drawn, or what there is.

Rules as in ``engine.reference.history``.
"""

from engine.allocate import (
    ALL_NODES,
    MOVABLE_KIND,
    find_zone,
    look_below,
    more_at_hand,
    note_below,
    pick_zone,
    request,
    take_more,
    take_piece,
)
from engine.chains import chain_insert_before, chain_unlink
from engine.draw_kernel import scaled_word
from engine.elements import drop_run, is_hole, length
from engine.enums import AreaKind, Cell, Counter
from engine.holes import hole_flag
from engine.kernel import kernel
from engine.memory import claim
from engine.percpu import take_huge_by_cpu
from engine.pieces import chunk_order, next_word, weight
from engine.reclaim import spare, watermark_ok
from engine.runs import join_before, whole_again
from engine.state import (
    AR_HINT,
    AR_KIND,
    AR_PRESENT,
    AR_PROC,
    AR_TAIL,
    COUNTERS,
    CPUS,
    D_LEFT,
    G_ERROR,
    G_NCPUS,
    G_PBO,
    G_PBP,
    G_RUNS,
    NIL,
    PS_STATE,
    RN_CNT,
    RQ_CPU,
    RQ_MARK,
    RQ_MT,
    RQ_START,
    RQ_WAKES,
    T_FAULTED,
    TABLE,
    UNIFORM,
    Z_FREE,
    Z_LOW,
    Z_MIN,
    ZONELIST,
)
from engine.tuning import self_tuned
from engine.watermark import reserve

FILE, KERNEL = int(AreaKind.FILE), int(AreaKind.KERNEL)
PGFAULT, HINTS = int(Counter.PGFAULT), int(Cell.HINT_HONOURED)


@kernel
def grow(h, a, key, mix, level, zone):
    """Touch chunks at the end of a bag, one after the other, up to ``level`` (``wanted``).

    False when it is reached, or memory or address space ended; True when run records might run
    short before the next chunk.
    """
    total, pbp, left = weight(mix), h.g[G_PBP], room(h, a)
    kind, asked = h.slot[a, AR_KIND], False
    while True:
        most = wanted(h, a, level, zone)
        if most <= 0:
            return False
        bits = next_word(h, key)
        cpu = scaled_word(bits * total, h.g[G_NCPUS])
        size = min(1 << chunk_order(h, mix, scaled_word(bits, total)), most, left)
        if size <= 0:
            return False
        if asked and (zone >= 0 or h.g[RQ_START] == h.small[CPUS + cpu]):
            ask_again(h, cpu)
        else:
            ask(h, a, cpu)
            asked = True
        pb = whole_pageblock(h, kind == FILE, zone) if size == pbp else NIL
        if pb != NIL:
            h.pbs[pb, PS_STATE] = UNIFORM
            append(h, a, pb)
        elif not take_pieces(h, a, size, zone):
            return False
        elif crowded(h):
            return True
        left -= size


@kernel
def crowded(h):
    """Whether run records might run short before the next look; sets G_ERROR."""
    runs = h.g[G_RUNS]
    if len(h.runs) - runs < 768 + 4 * runs:
        h.g[G_ERROR] = 1
        return True
    return False


@kernel
def wanted(h, a, level, zone):
    """Pages that a bag may still take: it has ``level`` at last, or leaves so many of a zone."""
    return zone_spare(h, zone) - level if zone >= 0 else level - h.slot[a, AR_PRESENT]


@kernel
def zone_spare(h, z):
    """Pages a zone has for user memory: above its low mark and lowmem reserve."""
    return max(h.zone[z, Z_FREE] - h.zone[z, Z_LOW] - reserve(h, z, MOVABLE_KIND), 0)


@kernel
def ask(h, a, cpu):
    """Request of a bag on a CPU, which kills nobody."""
    movable = h.slot[a, AR_KIND] != KERNEL and not (h.slot[a, AR_HINT] and h.g[TABLE + HINTS])
    request(h, h.small[CPUS + cpu], ALL_NODES, movable, cpu, h.slot[a, AR_PROC], False)


@kernel
def ask_again(h, cpu):
    """The last request on another CPU, of the same node or about a stated zone: a new one."""
    h.g[RQ_CPU] = cpu
    h.g[D_LEFT] = 0


@kernel
def take_pieces(h, a, size, zone):
    """Touch ``size`` pages at the end of a bag, as they come. False without room for all."""
    z, more = NIL, 0
    while size > 0:
        if more > 0:
            ref, more = take_more(h, z, more, size)
        else:
            z = quiet_zone(h, zone) if h.slot[a, AR_KIND] == FILE else find_zone(h)
            if z < 0:
                return False
            ref = take_piece(h, z, size)
            more = more_at_hand(h, z)
        size -= length(h, ref)
        append(h, a, ref)
    return True


@kernel
def room(h, a):
    """Untouched pages at the end of a bag."""
    tail = h.slot[a, AR_TAIL]
    if tail == NIL or not is_hole(h, tail) or hole_flag(h, tail):
        return 0
    return h.run[-2 - tail, RN_CNT]


@kernel
def quiet_zone(h, zone):
    """The zone if above its low mark (or the first that is), or -1: cache presses on nobody."""
    h.g[RQ_MARK] = Z_LOW
    h.g[RQ_WAKES] = 0
    if zone >= 0:
        note_below(h, zone, 0)
        return zone if spare(h, zone, Z_LOW) > 0 else NIL
    if self_tuned(h):
        look_below(h)
    return pick_zone(h, Z_LOW)


@kernel
def whole_pageblock(h, file, zone):
    """A free pageblock, on no list; page cache does not go below the low marks. NIL if none.

    A stated zone need not be among the request's: a hinted file may be told to fill ZONE_MOVABLE.
    """
    for mark in (Z_LOW, Z_MIN):
        if mark == Z_MIN and file:
            return NIL
        if zone >= 0:
            pb = pageblock_from(h, zone, mark)
            if pb != NIL:
                return pb
            continue
        n = ZONELIST
        while h.g[n] != NIL:
            pb = pageblock_from(h, h.g[n], mark)
            if pb != NIL:
                return pb
            n += 1
    return NIL


@kernel
def pageblock_from(h, z, mark):
    """A free pageblock of a zone that stays above a mark, or NIL."""
    if mark == Z_LOW:
        note_below(h, z, h.g[G_PBO])
    if watermark_ok(h, z, h.g[G_PBO], mark):
        return take_huge_by_cpu(h, z, h.g[RQ_CPU], h.g[RQ_MT])
    return NIL


@kernel
def append(h, a, ref):
    """Map a loose element behind the others of a bag, whose last element is a hole."""
    pages = length(h, ref)
    claim(h, a, ref)
    h.g[COUNTERS + PGFAULT] += pages
    h.g[T_FAULTED] += pages
    tail = h.slot[a, AR_TAIL]
    chain_insert_before(h, a, tail, ref)
    left = h.run[-2 - tail, RN_CNT] - pages
    if left > 0:
        h.run[-2 - tail, RN_CNT] = left
    else:
        chain_unlink(h, a, tail)
        drop_run(h, -2 - tail)
    if ref < NIL:
        ref = join_before(h, a, ref)
        if ref < NIL:
            whole_again(h, a, ref)
