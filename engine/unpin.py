"""What a PIN or HOLD took, written down and released.

Rules as in ``engine.reference.pinning``.
"""

from engine.elements import behind_folio
from engine.enums import Counter, Errno
from engine.kernel import kernel
from engine.memory import BY_FOLIO, change_range, proc_ok
from engine.orphans import holder, let_go
from engine.state import (
    AR_PAGES,
    AR_PINS,
    AR_PROC,
    AR_SEQ,
    COUNTERS,
    FIRST_OBJECT,
    G_NCMD,
    G_THROUGH,
    NIL,
    PIN_AWAY,
    PN_AREA,
    PN_COUNT,
    PN_FIRST,
    PN_LONG,
    PN_MAPPED,
    PN_PROC,
    PN_SEQ,
    PN_SLOT,
    PN_THROUGH,
    PR_CPU,
    T_PAGES,
)
from engine.ways import bring_near

OK, EINVAL = 0, int(Errno.EINVAL)
RELEASED = int(Counter.NR_FOLL_PIN_RELEASED)


@kernel
def unpin(h, q):
    """Release what PIN or HOLD took."""
    if not 0 <= q < len(h.slot) or h.slot[q, PN_AREA] < 0:
        return EINVAL
    if h.slot[q, PN_LONG] != PIN_AWAY:
        drop_pins(h, q, False)
        drop_pins(h, q, True)
    forget_pin(h, q)
    return OK


@kernel
def drop_pins(h, q, orphans):
    """Take a pin or hold off the pages its area still has, or off the orphans, and free these."""
    a, longterm = h.slot[q, PN_AREA], h.slot[q, PN_LONG]
    if not orphans and h.slot[q, PN_COUNT] > h.slot[a, AR_PAGES] // 2:
        bring_near(h, a)
    cpu = cpu_of_pin(h, q)
    index, released = h.slot[q, PN_FIRST], 0
    end = index + h.slot[q, PN_COUNT]
    while index < end:
        limit = index + 1 if longterm == BY_FOLIO else end
        w, stop = holder(h, a, h.slot[q, PN_SEQ], index, limit)
        if (w <= FIRST_OBJECT) == orphans:
            change_range(h, w, index, stop - index, longterm, -1)
            released += stop - index
            if orphans:
                let_go(h, w, index, stop - index, cpu)
        index = behind_folio(h, w, index) if longterm == BY_FOLIO else stop
    if longterm:
        h.g[COUNTERS + RELEASED] += released


@kernel
def cpu_of_pin(h, q):
    """The CPU of the process that a pin belongs to, or NIL."""
    proc = h.slot[q, PN_PROC]
    return h.slot[proc, PR_CPU] if proc_ok(h, proc) else NIL


@kernel
def forget_pin(h, q):
    """Give the slot of a pin or hold back."""
    h.slot[h.slot[q, PN_AREA], AR_PINS] -= 1
    h.slot[q, PN_AREA] = NIL
    h.g[G_THROUGH] -= h.slot[q, PN_THROUGH]
    h.g[T_PAGES] += h.slot[q, PN_COUNT]


@kernel
def note_taken(h, q, a, first, count, longterm, through):
    """Write down a pin or hold of an area on behalf of the process that owns ``through``."""
    h.slot[q, PN_AREA] = a
    h.slot[a, AR_PINS] += 1
    h.slot[q, PN_FIRST] = first
    h.slot[q, PN_COUNT] = count
    h.slot[q, PN_LONG] = longterm
    h.slot[q, PN_PROC] = h.slot[through, AR_PROC]
    h.slot[q, PN_SEQ] = h.g[G_NCMD] - 1
    h.slot[q, PN_SLOT] = through
    h.slot[q, PN_MAPPED] = h.slot[through, AR_SEQ]
    h.slot[q, PN_THROUGH] = 1 if through != a else 0
    h.g[G_THROUGH] += h.slot[q, PN_THROUGH]
