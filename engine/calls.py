"""The GUP calls of a pin: one after the other, or many in one go.

VFIO asks for 2 MiB at a time, half a million times for a TiB, and finds most of it untouched. Where
each call of a row would fault huge folios that it may pin where they are, the row is served like
the faults of one large touch. Rules and sources as in ``engine.reference.pinning``.
"""

from engine.allocate import stopped
from engine.chains import locate
from engine.elements import block_pb, count_of, is_folio, is_hole, length
from engine.enums import Cell, Cost, Counter, Errno, FilePin, PinMigrates, Pinner
from engine.fault import FLAG_THP, PATH_THP, flagged, populate, populate_chunk, populate_huge
from engine.holes import hole_flag
from engine.hugepool import unpinnable
from engine.kernel import kernel
from engine.longterm import check_and_migrate
from engine.memory import FILE, HUGETLB, THP, block_of, change_count, count_pinned
from engine.pinrow import PINNED, note_pin
from engine.runs import cut_out, join_around, whole_again
from engine.state import (
    AR_KIND,
    COSTS,
    COUNTERS,
    G_BLOCK_SHIFT,
    G_LPOS,
    G_PBP,
    NIL,
    PB_AUX,
    PB_NEXT,
    PIN_BITS,
    PN_AREA,
    PN_COUNT,
    T_LATENCY,
    TABLE,
)
from engine.watermark import pool_short
from engine.ways import note_way

OK, EFAULT = 0, int(Errno.EFAULT)
ENOMEM, EINTR = int(Errno.ENOMEM), int(Errno.EINTR)
MIGRATES, DENIED = int(Cell.PIN_MIGRATES), int(Cell.PIN_DENIED)
BEFORE, POOL = int(PinMigrates.BEFORE_FAULTS), int(Cell.PIN_POOL_MILLIONTHS)
FILE_PIN, REFUSED = int(Cell.FILE_PIN), int(FilePin.REFUSED)
HUGETLB_MIGRATES = int(Cell.HUGETLB_PIN_MIGRATES)
DIRECT_IO, IO_URING = int(Pinner.DIRECT_IO), int(Pinner.IO_URING)
ACQUIRED, RELEASED = int(Counter.NR_FOLL_PIN_ACQUIRED), int(Counter.NR_FOLL_PIN_RELEASED)
PIN_4K, PIN_2M = int(Cost.PIN_4K), int(Cost.PIN_2M)


@kernel
def pin_calls(h, q, a, first, count, unit, cpu, pinner):
    """All calls of a pin, of ``unit`` pages each; an errno. PN_COUNT follows what is pinned."""
    errno, done = OK, 0
    while done < count and errno == OK:
        pages, left_out = min(unit, count - done), NIL
        most = pages_to_fault(h, a, first + done, count - done, unit)
        if most > unit:
            pages, left_out = pin_faults(h, a, first + done, most, unit, cpu)
        else:
            errno = pin_call(h, a, first + done, pages, cpu, pinner)
        if errno == OK:
            done += pages
            if h.slot[q, PN_AREA] == a:
                h.slot[q, PN_COUNT] = done
        if left_out != NIL and not populate_chunk(h, a, left_out, cpu, NIL, True):
            errno = EINTR if stopped(h) else ENOMEM
    return errno


@kernel
def pages_to_fault(h, a, index, count, unit):
    """Pages of calls in a row all of which are faults of huge folios that may be pinned; or 0."""
    pbp = h.g[G_PBP]
    if unit >= count or h.slot[a, AR_KIND] != THP or (index | unit) % pbp or h.g[TABLE + POOL]:
        return 0  # a pool for pins looks at the pins taken before each fault
    ref = locate(h, a, index)
    if not is_hole(h, ref) or hole_flag(h, ref) or not flagged(h, a, FLAG_THP, True):
        return 0
    pages = min(count, h.g[G_LPOS] + length(h, ref) - index)
    return pages - pages % unit


@kernel
def pin_faults(h, a, index, most, unit, cpu):
    """Fault huge folios for calls in a row and pin them, as far as there is memory for folios.

    Returns the pages of whole calls, and the chunk that must fall back to base pages, or NIL.
    """
    stop = populate_huge(h, a, index, index + most, cpu, NIL, True, PATH_THP)
    pages = (stop - index) // unit * unit
    if pages:
        pin_folios(h, a, index, pages)
    return pages, stop if stop < index + most else NIL


@kernel
def pin_folios(h, a, index, pages):
    """Take the first pins of huge folios in a row."""
    pbp, left = h.g[G_PBP], pages
    pb = locate(h, a, index)
    while left > 0:
        block, folios = block_of(h, pb), 0
        note_way(h, a, index + pages - left, pb)
        while left > 0 and block_of(h, pb) == block:
            h.pb[pb, PB_AUX] = pbp
            folios += 1
            left -= pbp
            pb = h.pb[pb, PB_NEXT]
        first = block << h.g[G_BLOCK_SHIFT]
        count_pinned(h, block, folios * pbp)
        note_pin(h, a, first, True, PINNED, folios * pbp, folios * h.g[COSTS + PIN_2M])
    h.g[T_LATENCY] += pages // pbp * h.g[COSTS + PIN_2M]
    h.g[COUNTERS + ACQUIRED] += pages


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
