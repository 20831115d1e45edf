"""What a pin with FOLL_LONGTERM does about pages that it must not take where they are.

check_and_migrate_movable_pages; rules and sources as in ``engine.reference.pinning``.
"""

from engine.allocate import stopped
from engine.chains import locate
from engine.elements import (
    behind_folio,
    block_pb,
    head_of,
    is_folio,
    is_gigantic,
    is_hole,
    isolated,
    length,
    set_isolated,
)
from engine.enums import Cell, Counter, Errno, PinFailure, PinIsolation
from engine.hugepool import unpinnable
from engine.kernel import kernel
from engine.memory import block_of
from engine.migrate import finish_now, left_behind, try_deferred, try_element
from engine.move import NEVER_RETURNS
from engine.pinrow import FAILED, note_pin
from engine.runs import cut_out
from engine.state import (
    BK_ZONE,
    COUNTERS,
    G_FOR,
    G_GIGANTIC,
    G_KILLED,
    G_LATER,
    G_LPOS,
    G_NOW,
    G_PBP,
    M_ABORT,
    O_CALL,
    O_STEP,
    PN_CALL_AREA,
    PN_CALL_COUNT,
    PN_CALL_FIRST,
    T_LATENCY,
    TABLE,
)
from engine.target import PIN, begin_call
from engine.waiting import await_references

OK = 0
EBUSY, ENOMEM, EINTR = int(Errno.EBUSY), int(Errno.ENOMEM), int(Errno.EINTR)
MIGRATES, DENIED = int(Cell.PIN_MIGRATES), int(Cell.PIN_DENIED)
ISOLATION, RETRIES = int(Cell.PIN_ISOLATION), int(Cell.PIN_RETRIES)
WAIT, NOT_LOST = int(PinIsolation.WAIT), int(PinIsolation.ENOMEM)
FAILURE, IN_PLACE = int(Cell.PIN_FAILURE), int(PinFailure.PIN_IN_PLACE)
ACQUIRED, RELEASED = int(Counter.NR_FOLL_PIN_ACQUIRED), int(Counter.NR_FOLL_PIN_RELEASED)
MOVABLE_KIND = 2


@kernel
def any_unpinnable(h, a, first, count, movable_only):
    """Whether a range has a page that a long-term pin must not take."""
    index, end = first, first + count
    while index < end:
        ref = locate(h, a, index)
        if not is_hole(h, ref):
            pb = block_pb(h, ref)
            if unpinnable(h, pb):
                if not movable_only or h.blk[block_of(h, pb), BK_ZONE] % 3 == MOVABLE_KIND:
                    return True
        index = h.g[G_LPOS] + length(h, ref)
    return False


@kernel
def check_and_migrate(h, a, first, count, cpu):
    """check_and_migrate_movable_pages of one call."""
    if not any_unpinnable(h, a, first, count, False):
        return OK
    if h.g[TABLE + DENIED] and any_unpinnable(h, a, first, count, True):
        return EBUSY
    if not h.g[TABLE + MIGRATES]:
        return OK
    h.g[COUNTERS + ACQUIRED] += count
    h.g[COUNTERS + RELEASED] += count
    lost = isolate(h, a, first, count)
    h.g[G_LATER] = await_references(h, a, first, count)
    h.g[T_LATENCY] += h.g[G_LATER]
    stayed = True
    tries = h.g[TABLE + RETRIES]
    while stayed and tries > 0:
        tries -= 1
        begin_call(h, PIN, cpu, h.g[G_FOR], 0)
        h.g[PN_CALL_AREA], h.g[PN_CALL_FIRST], h.g[PN_CALL_COUNT] = a, first, count
        move_unpinnable(h, a, first, count)
        if not stopped(h):
            try_deferred(h, a, first, count)
        if stopped(h):
            h.g[G_LATER] = 0
            end_waiting(h, a, first, count)
            return EINTR
        finish_now(h, a)
        stayed = left_behind(h) != 0
    h.g[G_LATER] = 0
    note_stayed(h, a, first, count)
    if lost and h.g[TABLE + ISOLATION] == NOT_LOST:
        return ENOMEM
    return ENOMEM if stayed and h.g[TABLE + FAILURE] != IN_PLACE else OK


@kernel
def end_waiting(h, a, first, count):
    """Tails of split THPs wait no longer where a pin hangs."""
    if h.g[G_KILLED] == NEVER_RETURNS:
        h.g[G_KILLED] = 0
        h.g[M_ABORT] = 1
        try_deferred(h, a, first, count)
        h.g[G_KILLED] = NEVER_RETURNS


@kernel
def move_unpinnable(h, a, first, count):
    """Try to migrate every unpinnable folio of a range that is on nobody's list."""
    index, end = first, first + count
    while index < end and not h.g[M_ABORT]:
        ref = locate(h, a, index)
        stop = h.g[G_LPOS] + length(h, ref)
        if is_hole(h, ref) or not unpinnable(h, block_pb(h, ref)) or isolated(h, ref):
            index = stop
            continue
        if not is_folio(h, ref):
            stop = min(end, stop)
            ref = cut_out(h, a, index, stop)
        elif is_gigantic(h, ref):
            stop = behind_folio(h, a, index)
        try_element(h, a, ref, False)
        if stopped(h):
            return
        index = stop


@kernel
def isolate(h, a, first, count):
    """folio_isolate_lru of what is unpinnable; returns how many elements are not to be had."""
    if not h.g[O_CALL]:
        return 0
    listed = 0
    index, end = first, first + count
    while index < end:
        ref = locate(h, a, index)
        stop = h.g[G_LPOS] + length(h, ref)
        if not is_hole(h, ref) and isolated(h, ref) and unpinnable(h, block_pb(h, ref)):
            listed += 1
            if h.g[TABLE + ISOLATION] == WAIT:
                if not is_folio(h, ref):
                    ref = cut_out(h, a, index, min(end, stop))
                set_isolated(h, ref, False)
        index = stop
    if h.g[TABLE + ISOLATION] != WAIT:
        return listed
    if listed:
        h.g[T_LATENCY] += max(h.g[O_STEP] - h.g[G_NOW], 0)
    return 0


@kernel
def note_stayed(h, a, first, count):
    """Note per block the folios that could not be moved."""
    index, end = first, first + count
    while index < end:
        ref = locate(h, a, index)
        pos = h.g[G_LPOS]
        stop = pos + length(h, ref)
        if not is_hole(h, ref) and unpinnable(h, block_pb(h, ref)):
            if is_gigantic(h, ref):
                index = note_stayed_gigantic(h, a, index, head_of(h, ref))
                continue
            huge = is_folio(h, ref)
            pages = h.g[G_PBP] if huge else min(end, stop) - index
            note_pin(h, a, block_pb(h, ref), huge, FAILED, pages, 0)
        index = stop


@kernel
def note_stayed_gigantic(h, a, index, head):
    """Note per block a gigantic folio that could not be moved; returns the index behind it."""
    for pb in range(head, head + h.g[G_GIGANTIC]):
        note_pin(h, a, pb, True, FAILED, h.g[G_PBP], 0)
    return behind_folio(h, a, index)
