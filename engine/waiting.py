"""A pin that waits until nobody else refers to a page (policies with PIN_WAIT_NS).

Rules as in ``engine.reference.pinning``; I/O in flight as in ``engine.reference.inflight``.
"""

from engine.chains import locate
from engine.elements import (
    behind_folio,
    block_pb,
    count_of,
    counts_of,
    head_of,
    is_folio,
    is_gigantic,
    is_hole,
    isolated,
    length,
)
from engine.enums import Cell
from engine.hugepool import unpinnable
from engine.inflight import epoch_end, flights_over, has_io, stretch
from engine.kernel import kernel
from engine.state import DESC, G_LATER, G_LPOS, NIL, RS_FLAG, RS_START, TABLE

WAIT_NS = int(Cell.PIN_WAIT_NS)


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
