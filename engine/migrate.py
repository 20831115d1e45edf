"""migrate_pages on elements: one try of every folio, held or not, and the end of a call.

Rules and sources as in ``engine.reference.migration``. The call stands in the M_ registers.
"""

from engine.allocate import ALL_NODES, alloc_huge, find_zone, has_room, stopped, take_piece
from engine.buddy import free_pb
from engine.chains import locate
from engine.elements import (
    behind_folio,
    block_pb,
    count_of,
    deferred,
    head_of,
    is_folio,
    is_gigantic,
    is_hole,
    isolated,
    length,
    set_deferred,
)
from engine.emit import emit_moves
from engine.enums import Cell, Cost, Counter, Errno, MigrateReason
from engine.hugepool import available, pool_find
from engine.inflight import flights_over, has_io, stretch
from engine.kernel import kernel
from engine.memory import HUGETLB, KERNEL, block_of, range_ok
from engine.move import cut_for_move, move_base, move_huge
from engine.move_hugetlb import try_gigantic, try_held_hugetlb
from engine.moved import abort_call, again, count_failed, count_failed_gigantic
from engine.percpu import free_base
from engine.runs import cut_out
from engine.sharing import behind
from engine.slowdown import emit_work, note_work
from engine.state import (
    AR_KIND,
    AR_PAGES,
    AR_PROC,
    BK_NODE,
    COSTS,
    COUNTERS,
    DESC,
    G_LPOS,
    G_NNODES,
    G_PBO,
    G_PBP,
    M_ABORT,
    M_AGAIN2,
    M_AGAIN4,
    M_AGAING,
    M_AGAINT,
    M_FAILED,
    M_FLIGHT,
    M_FOLIOS,
    M_LATENCY,
    M_NODE,
    M_SPLIT,
    M_TARGET,
    NIL,
    PIN_BITS,
    PR_CPU,
    PS_STATE,
    RS_FLAG,
    RS_START,
    T_FAILED,
    T_LATENCY,
    T_PAGES,
    TABLE,
    UNUSED,
)
from engine.target import NODE, OFFLINE, PIN, ask_target, begin_call

OK, EINVAL, EBUSY = 0, int(Errno.EINVAL), int(Errno.EBUSY)
FAIL = int(Counter.PGMIGRATE_FAIL)
THP_FAIL = int(Counter.THP_MIGRATION_FAIL)
FAIL_4K, FAIL_2M = int(Cost.MIGRATE_FAIL_4K), int(Cost.MIGRATE_FAIL_2M)
TAILS_LAST, REVOCABLE = int(Cell.SPLIT_TAILS_LAST), int(Cell.PIN_REVOCABLE)
BUDDY_SUCCESS = int(Counter.HTLB_BUDDY_ALLOC_SUCCESS)
THP_FAIL_PAGES, TRIES = int(Cell.THP_FAIL_PAGES), int(Cell.MIGRATE_TRIES)
SYSCALL = int(MigrateReason.SYSCALL)


@kernel
def try_element(h, a, ref, low_first):
    """One try of every folio of an element; of the whole folio that a part belongs to."""
    if is_gigantic(h, ref):
        try_gigantic(h, a, head_of(h, ref))
        return
    huge = is_folio(h, ref)
    if has_io(h, a, ref):
        try_with_io(h, a, ref, low_first)
    elif count_of(h, ref) == 0 or revocable(h, ref):
        if huge:
            move_huge(h, a, ref, low_first)
        else:
            move_base(h, a, ref, low_first)
    elif h.slot[a, AR_KIND] == HUGETLB:
        try_held_hugetlb(h, a, ref)
    elif huge:
        try_held_huge(h, a, ref)
    else:
        try_held_base(h, a, ref)


@kernel
def revocable(h, ref):
    """Whether an offline may move an element although it is pinned."""
    if h.g[M_TARGET] != OFFLINE or not h.g[TABLE + REVOCABLE]:
        return False
    return count_of(h, ref) >> PIN_BITS == 0


@kernel
def try_held_base(h, a, ref):
    """A held base element: room decides between EAGAIN and the end of the call."""
    pb = block_pb(h, ref)
    ask_target(h, pb, False)
    left = length(h, ref)
    while left > 0:
        if has_room(h, 0):
            again(h, a, False, left)
            return
        z = find_zone(h)
        if z < 0:
            if not stopped(h):
                abort_call(h, a, False)
            return
        piece = take_piece(h, z, 1)
        if piece >= 0:
            h.pbs[piece, PS_STATE] = UNUSED
            free_pb(h, piece)
        else:
            free_base(h, -2 - piece, -1, True)
        again(h, a, False, 1)
        left -= 1


@kernel
def try_held_huge(h, a, pb):
    """A held huge folio: without room for a THP the call ends, as its split fails, too."""
    ask_target(h, pb, True)
    if not has_room(h, h.g[G_PBO]):
        target = alloc_huge(h, h.g[G_PBO])
        if target == NIL:
            abort_call(h, a, True)
            return
        h.pbs[target, PS_STATE] = UNUSED
        free_pb(h, target)
    again(h, a, True, 1)


@kernel
def try_with_io(h, a, ref, low_first):
    """One try of an element of an area with I/O: what is in flight stays, the rest moves."""
    pb = block_pb(h, ref)
    if is_folio(h, ref):
        if flights_over(h, a, ref, pb, 0):
            h.g[M_FLIGHT] = 1
            try_held_huge(h, a, ref)
        else:
            move_huge(h, a, ref, low_first)
        return
    while ref != NIL and not h.g[M_ABORT] and not stopped(h):
        upwards = low_first or ref >= 0 or not h.runb[-2 - ref, RS_FLAG] & DESC
        pages = length(h, ref)
        first = 0 if ref >= 0 else h.runs[-2 - ref, RS_START]
        k = stretch(h, a, pb, first if upwards else first + pages - 1, upwards)
        part, rest = ref, NIL
        if abs(k) < pages:
            part, rest = cut_for_move(h, ref, abs(k), low_first)
        if k > 0:
            move_base(h, a, part, low_first)
        else:
            before = h.g[M_AGAIN4]
            try_held_base(h, a, part)
            if h.g[M_AGAIN4] != before:  # without a target it would have stayed in any case
                h.g[M_FLIGHT] = 1
        ref = rest


@kernel
def end_call(h):
    """Count what stayed held after the last try as failed (unless the call was cut short)."""
    if h.g[M_ABORT]:
        return
    if h.g[M_AGAIN4]:
        count_failed(h, NIL, False, h.g[M_AGAIN4])
    if h.g[M_AGAING]:
        count_failed_gigantic(h, h.g[M_AGAING])
    huge = h.g[M_AGAIN2] + h.g[M_AGAINT]
    if huge:
        pages = huge * h.g[G_PBP]
        h.g[M_FOLIOS] += huge
        h.g[M_FAILED] += pages
        h.g[T_FAILED] += pages
        h.g[COUNTERS + FAIL] += huge * h.g[TABLE + THP_FAIL_PAGES]
        h.g[COUNTERS + THP_FAIL] += h.g[M_AGAINT]


@kernel
def pool_offers(h):
    """Whether the pool has a target for a hugetlb folio of a pin or of move_pages."""
    mask = 1 << h.g[M_NODE] if h.g[M_TARGET] == NODE else ALL_NODES
    return available(h, 0) > 0 and pool_find(h, 0, 0, mask, h.g[M_TARGET] == PIN) != NIL


@kernel
def finish_now(h, a):
    """The other tries of a call at one instant: what was held is held on every try.

    All that such a call is about belongs to one area.
    """
    if not h.g[M_ABORT]:
        tries = h.g[TABLE + TRIES] - 1
        huge = h.g[M_AGAIN2] + h.g[M_AGAINT] + h.g[M_AGAING]
        cost = tries * (h.g[M_AGAIN4] * h.g[COSTS + FAIL_4K] + huge * h.g[COSTS + FAIL_2M])
        h.g[M_LATENCY] += cost
        if h.g[M_AGAIN4] or huge:
            note_work(h, 0, a, tries * (h.g[M_AGAIN4] + huge), cost)
        if h.g[M_AGAIN2] and not pool_offers(h):
            h.g[COUNTERS + BUDDY_SUCCESS] += tries * h.g[M_AGAIN2]
    end_call(h)
    h.g[T_LATENCY] += h.g[M_LATENCY]


@kernel
def left_behind(h):
    """Whether a finished call left folios where they were."""
    again_huge = h.g[M_AGAIN2] or h.g[M_AGAINT] or h.g[M_AGAING]
    return h.g[M_ABORT] or h.g[M_AGAIN4] or again_huge


@kernel
def try_deferred(h, a, first, count):
    """The turn of the tails of THPs that this call split, also those outside the range.

    After the end of a call that was cut short they only stop waiting.
    """
    if h.g[M_SPLIT] == 0 or not h.g[TABLE + TAILS_LAST]:
        return
    pbp = h.g[G_PBP]
    index = first - first % pbp
    end = min(h.slot[a, AR_PAGES], (first + count + pbp - 1) // pbp * pbp)
    while index < end:
        ref = locate(h, a, index)
        index = h.g[G_LPOS] + length(h, ref)
        if is_hole(h, ref) or not deferred(h, ref):
            continue
        set_deferred(h, ref, False)
        if not h.g[M_ABORT]:
            try_element(h, a, ref, False)
        if stopped(h):
            return


@kernel
def migrate(h, slot, first, count, node):
    """MIGRATE: move_pages of a range to a node."""
    a = slot
    if not range_ok(h, a, first, count) or not 0 <= node < h.g[G_NNODES]:
        return EINVAL
    if h.slot[a, AR_KIND] == KERNEL:
        return EINVAL
    begin_call(h, NODE, h.slot[h.slot[a, AR_PROC], PR_CPU], h.slot[a, AR_PROC], node)
    a = behind(h, a, 0, 0)
    index, end = first, first + count
    while index < end and not h.g[M_ABORT]:
        ref = locate(h, a, index)
        pos = h.g[G_LPOS]
        stop = pos + length(h, ref)
        if not is_hole(h, ref) and not isolated(h, ref):
            if h.blk[block_of(h, block_pb(h, ref)), BK_NODE] != node:
                if not is_folio(h, ref):
                    stop = min(end, stop)
                    ref = cut_out(h, a, index, stop)
                elif is_gigantic(h, ref):
                    stop = behind_folio(h, a, index)
                try_element(h, a, ref, False)
        index = stop
    try_deferred(h, a, first, count)
    finish_now(h, a)
    emit_moves(h, 0, SYSCALL, slot)
    emit_work(h, 0, SYSCALL, slot)
    h.g[T_PAGES] = count
    return EBUSY if left_behind(h) else OK
