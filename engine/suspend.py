"""Mappings that an offline takes away for its time (the policy ``unmap-first``)."""

from engine.elements import counts_of, head_of
from engine.enums import Cost, Counter
from engine.kernel import kernel
from engine.listing import is_whole_gigantic
from engine.pin import pin
from engine.slowdown import SUSPENDED, new_slowed
from engine.state import (
    AR_KIND,
    AR_SEQ,
    AR_UNMAPS,
    COSTS,
    COUNTERS,
    FOLIO,
    G_BLOCK_PBS,
    G_CAUSE,
    G_KILLED,
    G_NOW,
    G_PANIC,
    NIL,
    O_ATTEMPT,
    O_AWAY,
    O_CAUSE,
    O_STEP,
    OB_AREA,
    PB_AUX,
    PH_OWN,
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
    PS_STATE,
    R_ALLOC,
    RN_BNEXT,
    RN_CNT,
    RN_OWN,
    RS_STATE,
    SPLIT,
    T_LATENCY,
    UNIFORM,
)
from engine.unpin import drop_pins, forget_pin

SUSPEND = int(Cost.PIN_SUSPEND)
PIN_SUSPENDED = int(Counter.PIN_SUSPENDED)


@kernel
def suspend_pins(h, b):
    """Applications with a pinned page in the block stop their flows and unmap the area."""
    first = b * h.g[G_BLOCK_PBS]
    for pb in range(first, first + h.g[G_BLOCK_PBS]):
        state = h.pbs[pb, PS_STATE]
        if is_whole_gigantic(h, pb, first):
            pins, _ = counts_of(h, head_of(h, pb))
            mark_area(h, h.pbh[pb, PH_OWN], min(pins, 1))
        elif state == UNIFORM or state == FOLIO:
            mark_area(h, h.pbh[pb, PH_OWN], h.pb[pb, PB_AUX])
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
