"""Short references in flight on elements, drawn by key.

Rules and sources as in ``engine.reference.inflight``: the stationary law, epochs, what is asked.
A draw is about a pageblock, so an element costs one, whatever its size.
"""

from engine.draw_kernel import below
from engine.elements import count_of, is_folio
from engine.enums import Errno
from engine.kernel import kernel
from engine.memory import ANON, THP, area_ok
from engine.state import (
    AR_KIND,
    AR_PAGES,
    G_IO,
    G_LATER,
    G_NOW,
    G_PBP,
    IO_HOLD,
    IO_KEY,
    IO_MANY,
    IO_MEAN,
    IO_NONE,
    IO_PAGES,
)

OK, EINVAL = 0, int(Errno.EINVAL)
ONE_BITS, DENSITY_BITS = 31, 12
ONE, HALF = 1 << ONE_BITS, 1 << (ONE_BITS - 1)
MOST_IN_FLIGHT = 8 * 10**DENSITY_BITS
MAX_HOLD_NS = (1 << 32) - 1
PHASE, COUNT, PLACE = 1, 2, 3
FIVES = 5**DENSITY_BITS


@kernel
def none_in_flight(mean):
    """exp(-mean) in fixed point."""
    halvings = 0
    while mean > HALF:
        mean >>= 1
        halvings += 1
    value = ONE
    for i in range(12, 0, -1):
        value = ONE - ((mean * value) >> ONE_BITS) // i
    for _ in range(halvings):
        value = (value * value) >> ONE_BITS
    return value


@kernel
def set_io(h, a, density, pages, hold_ns, key):
    """IO: from now on an area has I/O in flight (density 0: no more)."""
    if not area_ok(h, a) or (h.slot[a, AR_KIND] != ANON and h.slot[a, AR_KIND] != THP):
        return EINVAL
    pbp = h.g[G_PBP]
    if density:
        if not 1 <= pages <= pbp or pbp % pages:
            return EINVAL
        if not 0 < density <= MOST_IN_FLIGHT // pbp or not 0 < hold_ns <= MAX_HOLD_NS:
            return EINVAL
    h.g[G_IO] -= h.slot[a, IO_MANY]
    h.slot[a, IO_MANY] = 0
    h.slot[a, IO_PAGES] = 0
    if density == 0:
        return OK
    mean = ((density * pbp) << (ONE_BITS - DENSITY_BITS)) // FIVES
    h.slot[a, IO_MEAN] = mean
    h.slot[a, IO_NONE] = none_in_flight(mean)
    h.slot[a, IO_PAGES] = pages
    h.slot[a, IO_HOLD] = hold_ns
    h.slot[a, IO_KEY] = key
    h.slot[a, IO_MANY] = 1 + ((h.slot[a, AR_PAGES] // pbp + 1) * (mean >> 11) >> 20)
    h.g[G_IO] += h.slot[a, IO_MANY]
    return OK


@kernel
def epoch_of(h, a, pb):
    """Number of the epoch of a pageblock: a hold time in which the same pages are held."""
    hold = h.slot[a, IO_HOLD]
    now_ns = h.g[G_NOW] + h.g[G_LATER]
    return (now_ns + below(hold, h.slot[a, IO_KEY], PHASE, pb, 0)) // hold


@kernel
def epoch_end(h, a, pb):
    """When the present epoch of a pageblock ends, as G_LATER."""
    hold = h.slot[a, IO_HOLD]
    shift = below(hold, h.slot[a, IO_KEY], PHASE, pb, 0)
    return (epoch_of(h, a, pb) + 1) * hold - shift - h.g[G_NOW]


@kernel
def flights(h, a, pb, epoch):
    """I/Os of an area in flight over a pageblock."""
    sample = below(ONE, h.slot[a, IO_KEY], COUNT, pb, epoch)
    mean, term = h.slot[a, IO_MEAN], h.slot[a, IO_NONE]
    total = term
    number = 0
    while sample >= total and term > 0:
        number += 1
        term = ((term * mean) >> ONE_BITS) // number
        total += term
    return number


@kernel
def place(h, a, pb, epoch, j):
    """Stretch of the pageblock that the j-th I/O holds."""
    return below(h.g[G_PBP] // h.slot[a, IO_PAGES], h.slot[a, IO_KEY], PLACE + j, pb, epoch)


@kernel
def has_io(h, a, ref):
    """Whether a present element may be met by I/O: its area has any and nobody else holds it."""
    return a >= 0 and h.slot[a, IO_PAGES] != 0 and count_of(h, ref) == 0


@kernel
def flights_over(h, a, ref, pb, offset):
    """I/Os in flight over a folio, or over the base page at ``offset`` of its pageblock."""
    epoch = epoch_of(h, a, pb)
    number = flights(h, a, pb, epoch)
    if is_folio(h, ref):
        return number
    own = offset // h.slot[a, IO_PAGES]
    over = 0
    for j in range(number):
        if place(h, a, pb, epoch, j) == own:
            over += 1
    return over


@kernel
def stretch(h, a, pb, offset, upwards):
    """Pages from ``offset`` on, up or down, that share its fate: negative when under an I/O.

    At most up to the end of the pageblock, or of the stretch under the I/O.
    """
    epoch = epoch_of(h, a, pb)
    pages = h.slot[a, IO_PAGES]
    own = offset // pages
    near = h.g[G_PBP] if upwards else -1
    for j in range(flights(h, a, pb, epoch)):
        p = place(h, a, pb, epoch, j)
        if p == own:
            return offset - (own + 1) * pages if upwards else own * pages - offset - 1
        if upwards and p > own:
            near = min(near, p * pages)
        elif not upwards and p < own:
            near = max(near, p * pages + pages - 1)
    return near - offset if upwards else offset - near
