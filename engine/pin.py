"""Pins: the GUP chain from a long-term pin down to faults and migration.

Rules and sources as in ``engine.reference.pinning``.
"""

from engine.allocate import stopped
from engine.elements import (
    behind_folio,
    block_pb,
    count_of,
    counts_of,
    cut_out,
    head_of,
    is_folio,
    is_gigantic,
    is_hole,
    isolated,
    join_around,
    length,
    locate,
    set_isolated,
    whole_again,
)
from engine.emit import emit_moves, new_row
from engine.enums import (
    NR_PATHS,
    RDMA_CALL_PAGES,
    Cell,
    Cost,
    Counter,
    Errno,
    FilePin,
    Incident,
    MigrateReason,
    PinFailure,
    PinIsolation,
    PinMigrates,
    Pinner,
    Row,
)
from engine.fault import FOR_LONG, FOR_SHORT, map_zero, populate, populate_through, unshare
from engine.hugepool import unpinnable
from engine.inflight import epoch_end, flights_over, has_io, stretch
from engine.kernel import kernel
from engine.memory import (
    ANON,
    BY_FOLIO,
    FILE,
    HUGETLB,
    KERNEL,
    SHMEM,
    THP,
    area_ok,
    block_of,
    change_count,
    change_range,
    cpu_of,
    range_ok,
)
from engine.migrate import finish_now, left_behind, try_deferred, try_element
from engine.move import NEVER_RETURNS
from engine.orphans import holder
from engine.pinrow import FAILED, PINNED, note_pin
from engine.sharing import behind
from engine.slowdown import emit_work
from engine.state import (
    A_TOUCHED,
    ACC_TOUCHED,
    AR_FOLIO,
    AR_KIND,
    AR_PROC,
    BK_ZONE,
    COSTS,
    COUNTERS,
    DESC,
    G_BUSY,
    G_FOR,
    G_GIGANTIC,
    G_KILLED,
    G_LATER,
    G_LPOS,
    G_NOW,
    G_PANIC,
    G_PBP,
    G_PINNING,
    M_ABORT,
    NIL,
    O_CALL,
    O_STEP,
    PIN_AWAY,
    PIN_BITS,
    PN_AREA,
    PN_CALL_AREA,
    PN_CALL_COUNT,
    PN_CALL_FIRST,
    PN_COUNT,
    PN_FIRST,
    PN_LONG,
    PN_PINNER,
    PN_PROC,
    PN_SEQ,
    RS_FLAG,
    RS_START,
    T_CALLS,
    T_LATENCY,
    T_PAGES,
    TABLE,
)
from engine.target import PIN, RETURN, begin_call
from engine.unpin import cpu_of_pin, drop_pins, forget_pin, note_taken, unpin
from engine.watermark import pool_short
from engine.ways import note_way

OK, EINVAL, EFAULT = 0, int(Errno.EINVAL), int(Errno.EFAULT)
EBUSY, ENOMEM, EINTR = int(Errno.EBUSY), int(Errno.ENOMEM), int(Errno.EINTR)
MIGRATES, DENIED = int(Cell.PIN_MIGRATES), int(Cell.PIN_DENIED)
BY_CALL, BEFORE = int(PinMigrates.AFTER_FAULTS), int(PinMigrates.BEFORE_FAULTS)
ISOLATION, RETRIES, WAIT_NS = int(Cell.PIN_ISOLATION), int(Cell.PIN_RETRIES), int(Cell.PIN_WAIT_NS)
POOL = int(Cell.PIN_POOL_MILLIONTHS)
WAIT, NOT_LOST = int(PinIsolation.WAIT), int(PinIsolation.ENOMEM)
FAILURE, IN_PLACE = int(Cell.PIN_FAILURE), int(PinFailure.PIN_IN_PLACE)
VFIO_PAGES, VFIO = int(Cell.VFIO_CALL_PAGES), int(Pinner.VFIO)
RDMA, DIRECT_IO = int(Pinner.RDMA), int(Pinner.DIRECT_IO)
FILE_PIN, IO_URING = int(Cell.FILE_PIN), int(Pinner.IO_URING)
IO_URING_REFUSES, REFUSED = int(FilePin.IO_URING_REFUSES), int(FilePin.REFUSED)
EOPNOTSUPP = int(Errno.EOPNOTSUPP)
FOLIO_PINS = int(Cell.IOU_FOLIO_PINS)
HUGETLB_MIGRATES = int(Cell.HUGETLB_PIN_MIGRATES)
ACQUIRED, RELEASED = int(Counter.NR_FOLL_PIN_ACQUIRED), int(Counter.NR_FOLL_PIN_RELEASED)
PIN_CALL, PIN_4K, PIN_2M = int(Cost.PIN_CALL), int(Cost.PIN_4K), int(Cost.PIN_2M)
PIN_ROW, INCIDENT, PIN_FAILED = int(Row.PIN), int(Row.INCIDENT), int(Incident.PIN_FAILED)
PIN_STUCK = int(Incident.PIN_STUCK)
LONGTERM, UNPINNED = int(MigrateReason.LONGTERM_PIN), int(MigrateReason.UNPIN)
RETURNS = int(Cell.UNPIN_RETURNS)
MOVABLE_KIND = 2


@kernel
def pin(h, q, a, first, count, pinner, cpu):
    """PIN: a FOLL_LONGTERM pin of a range for a device."""
    if q < 0 or h.slot[q, PN_AREA] >= 0 or not range_ok(h, a, first, count):
        return EINVAL
    if h.slot[a, AR_KIND] == KERNEL:
        return EFAULT
    at = behind(h, a, first, count)
    note_taken(h, q, at, first, 0, 0 if pinner == DIRECT_IO else 1, a)
    h.slot[q, PN_PINNER] = pinner
    h.g[G_FOR] = h.slot[a, AR_PROC]
    cpu = cpu_of(h, a, cpu)
    unit = count
    if pinner == VFIO:
        unit = h.g[TABLE + VFIO_PAGES]
    elif pinner == RDMA:
        unit = RDMA_CALL_PAGES
    h.g[T_CALLS] = (count + unit - 1) // unit
    h.g[T_LATENCY] += h.g[T_CALLS] * h.g[COSTS + PIN_CALL]
    if not (h.g[TABLE + MIGRATES] == BY_CALL or h.g[TABLE + DENIED]):
        unit = count
    h.g[G_PINNING] = FOR_SHORT if pinner == DIRECT_IO else FOR_LONG
    h.g[G_BUSY] = at
    errno = OK
    done = 0
    while done < count and errno == OK:
        size = min(unit, count - done)
        errno = pin_call(h, at, first + done, size, cpu, pinner)
        if errno == OK:
            done += size
            if h.slot[q, PN_AREA] == at:
                h.slot[q, PN_COUNT] = done
    if errno == OK and refuses_file(h, at, pinner):
        errno = EOPNOTSUPP
    h.g[G_PINNING] = 0
    h.g[G_BUSY] = NIL
    h.g[G_FOR] = NIL
    if h.g[G_KILLED] == NEVER_RETURNS:
        h.g[G_KILLED] = 0
        note_stuck(h, q, a)
    if errno != OK and not stopped(h):
        unpin(h, q)
    elif errno == OK and pinner == IO_URING and h.g[TABLE + FOLIO_PINS]:
        keep_folio_pins(h, q, at, first, count)
    h.g[T_PAGES] = 0 if errno != OK else count
    if h.g[G_PANIC]:
        drop_pin(h)
        return errno
    emit_pin(h, q, a, errno)
    emit_moves(h, 0, LONGTERM, q)
    emit_work(h, 0, LONGTERM, q)
    return errno


@kernel
def refuses_file(h, a, pinner):
    """Whether the pinner itself turns the area down, with everything pinned."""
    if h.slot[a, AR_KIND] != FILE or pinner != IO_URING:
        return False
    return h.g[TABLE + FILE_PIN] == IO_URING_REFUSES


@kernel
def note_stuck(h, q, a):
    """The incident of a pin that returns only when somebody kills its process."""
    row = new_row(h, INCIDENT)
    h.rows[row, 3] = PIN_STUCK
    h.rows[row, 4] = h.slot[a, AR_PROC]
    h.rows[row, 5] = q


@kernel
def drop_pin(h):
    """Forget what a PIN did that a panic ended."""
    for i in range(h.g[A_TOUCHED]):
        for c in range(5):
            h.acc[h.acc[i, ACC_TOUCHED], c] = 0
    h.g[A_TOUCHED] = 0


@kernel
def pin_call(h, a, first, count, cpu, pinner):
    """One GUP call: fault, check and migrate, take the pins (or migrate, then fault)."""
    if pinner == DIRECT_IO:
        errno = populate(h, a, first, count, cpu, -1, False)
        if stopped(h):
            return EINTR
        if errno == OK:
            take_pins(h, a, first, count, 1 << PIN_BITS)
        return errno
    if h.slot[a, AR_KIND] == FILE and h.g[TABLE + FILE_PIN] == REFUSED:
        return EFAULT
    if h.g[TABLE + POOL] and h.slot[a, AR_KIND] != HUGETLB and pool_short(h, count):
        return ENOMEM
    wanted, before = before_refused(h, a, first, count), h.g[TABLE + MIGRATES] == BEFORE
    errno = OK
    if before and wanted:
        errno = check_and_migrate(h, a, first, wanted, cpu)
        if errno != OK:
            return errno
    if wanted:
        errno = populate(h, a, first, wanted, cpu, -1, True)
        if stopped(h):
            return EINTR
    if errno == OK and wanted == count and before:
        take_pins(h, a, first, count, 1)
        return OK
    if errno == OK and wanted == count:
        errno = check_and_migrate(h, a, first, count, cpu)
        if errno == OK:
            take_pins(h, a, first, count, 1)
        return errno
    if h.slot[a, AR_KIND] != HUGETLB:
        return errno
    return cut_short(h, a, first, count, cpu, pinner, errno == OK)


@kernel
def leading(h, a, first, count, present):
    """Pages of a range before its first hole, or before its first unpinnable page."""
    index, end = first, first + count
    while index < end:
        ref = locate(h, a, index)
        hole = is_hole(h, ref)
        if hole if present else not hole and unpinnable(h, block_pb(h, ref)):
            return index - first
        index = h.g[G_LPOS] + length(h, ref)
    return count


@kernel
def before_refused(h, a, first, count):
    """Pages of a range in front of a hugetlb folio that the pin refuses; the range as a rule."""
    if h.slot[a, AR_KIND] != HUGETLB or not h.g[TABLE + MIGRATES] or h.g[TABLE + DENIED]:
        return count
    if h.g[TABLE + HUGETLB_MIGRATES]:
        return count
    return leading(h, a, first, count, False)


@kernel
def cut_short(h, a, first, count, cpu, pinner, refused):
    """GUP of hugetlb memory ended at a folio that it could not have: let go of those before."""
    got = before_refused(h, a, first, count) if refused else leading(h, a, first, count, True)
    if got:
        errno = check_and_migrate(h, a, first, got, cpu)
        if errno != OK:
            return errno
        h.g[COUNTERS + ACQUIRED] += got
        h.g[COUNTERS + RELEASED] += got
    if refused and not (got and pinner == IO_URING):
        return ENOMEM
    return EFAULT


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
def await_references(h, a, first, count):
    """Wait for each page in turn until nobody else refers to it; returns ns waited in all."""
    most = h.g[TABLE + WAIT_NS]
    if not most:
        return 0
    index, end = first, first + count
    while index < end:
        ref = locate(h, a, index)
        stop = h.g[G_LPOS] + length(h, ref)
        if not is_hole(h, ref) and unpinnable(h, block_pb(h, ref)) and not isolated(h, ref):
            pages = 1 if is_folio(h, ref) else min(end, stop) - index
            if is_gigantic(h, ref):
                pins, references = counts_of(h, head_of(h, ref))
                h.g[G_LATER] += most if pins or references else 0
                stop = behind_folio(h, a, index)
            elif count_of(h, ref):
                h.g[G_LATER] += pages * most
            elif has_io(h, a, ref):
                await_io(h, a, ref, index - h.g[G_LPOS], pages, most)
        index = stop
    waited = h.g[G_LATER]
    h.g[G_LATER] = 0
    return waited


@kernel
def await_io(h, a, ref, skip, pages, most):
    """Wait for the I/O in flight over ``pages`` of an element, ``skip`` pages behind its begin."""
    pb = block_pb(h, ref)
    if is_folio(h, ref):
        await_flights(h, a, ref, pb, 0, most)
        return
    down = ref < NIL and (h.runb[-2 - ref, RS_FLAG] & DESC) != 0
    first = 0 if ref >= 0 else h.runs[-2 - ref, RS_START]
    if down:
        first += length(h, ref) - 1
    done = 0
    while done < pages:
        offset = first - skip - done if down else first + skip + done
        k = stretch(h, a, pb, offset, not down)
        if k < 0:
            await_flights(h, a, ref, pb, offset, most)
            k = 1
        done += k


@kernel
def await_flights(h, a, ref, pb, offset, most):
    """Wait for the I/O in flight over one folio or base page: it ends with its epoch."""
    end = h.g[G_LATER] + most
    while h.g[G_LATER] < end and flights_over(h, a, ref, pb, offset):
        h.g[G_LATER] = min(epoch_end(h, a, pb), end)


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


@kernel
def take_pins(h, a, first, count, unit):
    """Add a pin (of ``unit``: or a reference) to each page; a huge folio counts its sub-pages."""
    index, end = first, first + count
    while index < end:
        ref = locate(h, a, index)
        stop = min(end, h.g[G_LPOS] + length(h, ref))
        pages = stop - index
        huge = is_folio(h, ref)
        pb = block_pb(h, ref)
        if huge:
            cost = h.g[COSTS + PIN_2M] * pages // h.g[G_PBP]
            change_count(h, ref, count_of(h, ref) + pages * unit)
        else:
            cost = pages * h.g[COSTS + PIN_4K]
            ref = cut_out(h, a, index, stop)
            change_count(h, ref, count_of(h, ref) + unit)
            if ref < NIL:
                ref = join_around(h, a, ref)
                if ref < NIL:
                    whole_again(h, a, ref)
        h.g[T_LATENCY] += cost
        note_way(h, a, index, ref)
        note_pin(h, a, pb, huge, PINNED, pages, cost)
        index = stop
    if unit == 1:
        h.g[COUNTERS + ACQUIRED] += count


@kernel
def keep_folio_pins(h, q, a, first, count):
    """io_coalesce_buffer: a buffer that is all huge folios keeps one pin of each."""
    index, end, folios = first, first + count, 0
    while index < end:
        ref = locate(h, a, index)
        if not is_folio(h, ref):
            return
        index = h.g[G_LPOS] + length(h, ref)
    index, unit = first, h.slot[a, AR_FOLIO] * h.g[G_PBP]
    while index < end:
        ref = locate(h, a, index)
        stop = h.g[G_LPOS] + length(h, ref)
        keeps = 1 if index == first or index % unit == 0 else 0  # the first part it covers
        change_count(h, ref, count_of(h, ref) - (min(end, stop) - index) + keeps)
        folios += keeps
        index = stop
    h.slot[q, PN_LONG] = BY_FOLIO
    h.g[COUNTERS + RELEASED] += count - folios


@kernel
def emit_pin(h, q, a, errno):
    """One PIN row per (block, path), ascending; an incident when it failed."""
    n = h.g[A_TOUCHED]
    for i in range(1, n):
        cell = h.acc[i, ACC_TOUCHED]
        k = i
        while k > 0 and h.acc[k - 1, ACC_TOUCHED] > cell:
            h.acc[k, ACC_TOUCHED] = h.acc[k - 1, ACC_TOUCHED]
            k -= 1
        h.acc[k, ACC_TOUCHED] = cell
    for i in range(n):
        cell = h.acc[i, ACC_TOUCHED]
        row = new_row(h, PIN_ROW)
        h.rows[row, 3] = q
        h.rows[row, 4] = a
        h.rows[row, 5] = errno
        h.rows[row, 6] = h.blk[cell // NR_PATHS, BK_ZONE]
        h.rows[row, 7] = cell // NR_PATHS
        h.rows[row, 8] = cell % NR_PATHS
        for c in range(5):
            h.rows[row, 9 + c] = h.acc[cell, c]
            h.acc[cell, c] = 0
        if errno != OK:
            h.rows[row, 9] = 0
    h.g[A_TOUCHED] = 0
    if errno != OK:
        row = new_row(h, INCIDENT)
        h.rows[row, 3] = PIN_FAILED
        h.rows[row, 4] = h.slot[a, AR_PROC] if area_ok(h, a) else -1
        h.rows[row, 5] = q


@kernel
def unpin_and_return(h, q):
    """UNPIN; where the policy says so pages outside ZONE_MOVABLE return to it."""
    if not h.g[TABLE + RETURNS] or not 0 <= q < len(h.slot) or h.slot[q, PN_AREA] < 0:
        return unpin(h, q)
    if not h.slot[q, PN_LONG] or h.slot[q, PN_LONG] == PIN_AWAY:
        return unpin(h, q)
    drop_pins(h, q, False)
    return_pages(h, q)
    drop_pins(h, q, True)
    forget_pin(h, q)
    return OK


@kernel
def return_pages(h, q):
    """Move what the pin's area has and nobody holds to ZONE_MOVABLE, as far as there is room."""
    a, called = h.slot[q, PN_AREA], False
    by_folio = h.slot[q, PN_LONG] == BY_FOLIO
    index, end = h.slot[q, PN_FIRST], h.slot[q, PN_FIRST] + h.slot[q, PN_COUNT]
    while index < end and not (called and h.g[M_ABORT]):
        w, stop = holder(h, a, h.slot[q, PN_SEQ], index, index + 1 if by_folio else end)
        if w == a and h.slot[a, AR_KIND] != HUGETLB:
            ref = locate(h, a, index)
            over = h.g[G_LPOS] + length(h, ref)
            stop = over if is_folio(h, ref) else min(stop, over)
            if returns(h, ref):
                if not called:
                    called = True
                    begin_call(h, RETURN, cpu_of_pin(h, q), h.slot[q, PN_PROC], 0)
                if not is_folio(h, ref):
                    ref = cut_out(h, a, index, stop)
                try_element(h, a, ref, False)
        index = index - index % h.g[G_PBP] + h.g[G_PBP] if by_folio else stop
    if called:
        finish_now(h, a)
        emit_moves(h, 0, UNPINNED, q)
        emit_work(h, 0, UNPINNED, q)


@kernel
def returns(h, ref):
    """Whether an element lies outside ZONE_MOVABLE and nobody holds it or has it on a list."""
    if count_of(h, ref) or isolated(h, ref):
        return False
    return h.blk[block_of(h, block_pb(h, ref)), BK_ZONE] % 3 != MOVABLE_KIND


@kernel
def hold(h, q, a, first, count):
    """HOLD: references without FOLL_LONGTERM."""
    if q < 0 or h.slot[q, PN_AREA] >= 0 or not range_ok(h, a, first, count):
        return EINVAL
    if h.slot[a, AR_KIND] == KERNEL:
        return EFAULT
    at = behind(h, a, 0, 0)
    caches = h.slot[a, AR_KIND] == FILE or h.slot[a, AR_KIND] == SHMEM
    h.g[G_BUSY] = at
    if caches:
        populate_through(h, a, first, count, cpu_of(h, a, -1), -1)
    else:
        unshare(h, a, first, count, cpu_of(h, a, -1))
    h.g[G_BUSY] = NIL
    if stopped(h):
        return EINTR
    if h.slot[a, AR_KIND] == HUGETLB:  # no zero page: a read fault takes a folio, too
        if populate(h, a, first, count, cpu_of(h, a, -1), -1, False) != OK:
            return EFAULT
    present = present_in(h, at, first, count)
    anonymous = h.slot[a, AR_KIND] == ANON or h.slot[a, AR_KIND] == THP
    if present not in (0, count) or (present == 0 and not anonymous):
        return EFAULT
    note_taken(h, q, at, first, present, 0, a)
    if present:
        change_range(h, at, first, count, 0, 1)
    else:
        map_zero(h, a, first, count)
    h.g[T_PAGES] = count
    return OK


@kernel
def present_in(h, a, first, count):
    """Present pages of a range."""
    pages = 0
    index, end = first, first + count
    while index < end:
        ref = locate(h, a, index)
        stop = min(end, h.g[G_LPOS] + length(h, ref))
        if not is_hole(h, ref):
            pages += stop - index
        index = stop
    return pages
