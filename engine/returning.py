"""UNPIN that gives pages back to ZONE_MOVABLE (policies with UNPIN_RETURNS).

Rules as in ``engine.reference.pinning``.
"""

from engine.chains import locate
from engine.elements import block_pb, count_of, is_folio, isolated, length
from engine.emit import emit_moves
from engine.enums import Cell, MigrateReason
from engine.kernel import kernel
from engine.memory import BY_FOLIO, HUGETLB, block_of
from engine.migrate import finish_now, try_element
from engine.orphans import holder
from engine.runs import cut_out
from engine.slowdown import emit_work
from engine.state import (
    AR_KIND,
    BK_ZONE,
    G_LPOS,
    G_PBP,
    M_ABORT,
    PIN_AWAY,
    PN_AREA,
    PN_COUNT,
    PN_FIRST,
    PN_LONG,
    PN_PROC,
    PN_SEQ,
    TABLE,
)
from engine.target import RETURN, begin_call
from engine.unpin import cpu_of_pin, drop_pins, forget_pin, unpin

OK = 0
UNPINNED = int(MigrateReason.UNPIN)
RETURNS = int(Cell.UNPIN_RETURNS)
MOVABLE_KIND = 2


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
