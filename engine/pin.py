"""Pins: the GUP chain of a long-term pin, call by call.

Rules and sources as in ``engine.reference.pinning``.
"""

from engine.allocate import stopped
from engine.calls import pin_calls
from engine.chains import locate
from engine.elements import count_of, is_folio, length
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
    PinMigrates,
    Pinner,
    Row,
)
from engine.fault import FOR_LONG, FOR_SHORT
from engine.kernel import kernel
from engine.memory import BY_FOLIO, FILE, KERNEL, area_ok, change_count, cpu_of, range_ok
from engine.move import NEVER_RETURNS
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
    G_BUSY,
    G_FOR,
    G_KILLED,
    G_LPOS,
    G_PANIC,
    G_PBP,
    G_PINNING,
    NIL,
    PN_AREA,
    PN_LONG,
    PN_PINNER,
    T_CALLS,
    T_LATENCY,
    T_PAGES,
    TABLE,
)
from engine.unpin import note_taken, unpin

OK, EINVAL, EFAULT = 0, int(Errno.EINVAL), int(Errno.EFAULT)
MIGRATES, DENIED = int(Cell.PIN_MIGRATES), int(Cell.PIN_DENIED)
BY_CALL = int(PinMigrates.AFTER_FAULTS)
VFIO_PAGES, VFIO = int(Cell.VFIO_CALL_PAGES), int(Pinner.VFIO)
RDMA, DIRECT_IO = int(Pinner.RDMA), int(Pinner.DIRECT_IO)
FILE_PIN, IO_URING = int(Cell.FILE_PIN), int(Pinner.IO_URING)
IO_URING_REFUSES = int(FilePin.IO_URING_REFUSES)
EOPNOTSUPP = int(Errno.EOPNOTSUPP)
FOLIO_PINS = int(Cell.IOU_FOLIO_PINS)
RELEASED = int(Counter.NR_FOLL_PIN_RELEASED)
PIN_CALL = int(Cost.PIN_CALL)
PIN_ROW, INCIDENT, PIN_FAILED = int(Row.PIN), int(Row.INCIDENT), int(Incident.PIN_FAILED)
PIN_STUCK = int(Incident.PIN_STUCK)
LONGTERM = int(MigrateReason.LONGTERM_PIN)


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
    errno = pin_calls(h, q, at, first, count, unit, cpu, pinner)
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
