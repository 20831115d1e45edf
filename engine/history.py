"""The history of a fast host: AGE and CACHE, bags whose pages come and go in random order.

Rules as in ``engine.reference.history``. A command stops between two chunks when run records
might run short and goes on when there are more (``HI_PHASE`` is set meanwhile).
"""

from engine.bags import make_bag
from engine.enums import AreaKind, Errno
from engine.growing import crowded, grow, zone_spare
from engine.kernel import kernel
from engine.memory import area_ok
from engine.pieces import NR_SIZES, WEIGHT_BITS
from engine.shrinking import shrink
from engine.state import (
    AR_BELOW,
    AR_HINTREF,
    AR_KIND,
    AR_MARKS,
    AR_PAGES,
    AR_PRESENT,
    BK_ZONE,
    G_BLOCK_PAGES,
    G_NBLOCKS,
    G_NZONES,
    G_SCOUTED,
    HI_DRAWS,
    HI_FIRST,
    HI_PAGES,
    HI_PHASE,
    NIL,
    PN_AREA,
    PN_COUNT,
    T_PAGES,
)

MAX_PAGES = 1 << 30
MIX_BITS = NR_SIZES * WEIGHT_BITS
THP, FILE = int(AreaKind.THP), int(AreaKind.FILE)
HUGETLB = int(AreaKind.HUGETLB)
OK, EINVAL, EBUSY, ENOMEM = 0, int(Errno.EINVAL), int(Errno.EBUSY), int(Errno.ENOMEM)
IDLE, GROW, SHRINK = 0, 1, 2
"""Phases of a command under way."""


@kernel
def age(h, a, key, pages, low, high, mix):
    """AGE. With HI_PHASE set on return it has to be called again."""
    if h.g[HI_PHASE] == IDLE:
        errno = begin(h, a, key, mix)
        if errno != OK:
            return errno
        set_span(h, NIL)
        if pages < 0 or not 0 <= low <= high <= h.slot[a, AR_PAGES]:
            h.g[HI_PHASE] = IDLE
            return EINVAL
    while not crowded(h):
        if h.g[HI_PHASE] == GROW:
            if grow(h, a, key, mix, high, NIL):
                continue
            if h.g[T_PAGES] >= pages:
                h.g[HI_PHASE] = IDLE
            else:
                h.g[HI_PHASE] = SHRINK
        elif not shrink(h, a, key, mix):
            h.g[HI_PHASE] = IDLE
        elif h.slot[a, AR_PRESENT] <= low or h.g[T_PAGES] >= pages:
            h.g[HI_PHASE] = GROW
        if h.g[HI_PHASE] == IDLE:
            break
    return OK if h.slot[a, AR_PRESENT] >= high else ENOMEM


@kernel
def follow(h, a, key, zone, churn, free, mix):
    """CACHE. With HI_PHASE set on return it has to be called again."""
    if h.g[HI_PHASE] == IDLE:
        errno = begin(h, a, key, mix)
        if errno != OK:
            return errno
        if h.slot[a, AR_KIND] != FILE or not 0 <= zone < h.g[G_NZONES] or churn < 0 or free < 0:
            h.g[HI_PHASE] = IDLE
            return EINVAL
        set_span(h, zone)
    floor = max(free - churn, 0)
    while not crowded(h):
        if h.g[HI_PHASE] == GROW:
            if not grow(h, a, key, mix, floor, zone):
                h.g[HI_PHASE] = SHRINK
        elif zone_spare(h, zone) >= free or not shrink(h, a, key, mix):
            h.g[HI_PHASE] = IDLE
            break
    return OK


@kernel
def begin(h, a, key, mix):
    """Check what AGE and CACHE have in common and begin; an errno."""
    if not area_ok(h, a) or h.slot[a, AR_KIND] == THP or h.slot[a, AR_KIND] == HUGETLB:
        return EINVAL
    if h.slot[a, AR_BELOW] != NIL:
        return EINVAL
    if h.slot[a, AR_PAGES] > MAX_PAGES or not 0 < mix < 1 << MIX_BITS or key < 0:
        return EINVAL
    for q in range(len(h.slot)):
        if h.slot[q, PN_AREA] == a and h.slot[q, PN_COUNT] > 0:
            return EBUSY
    h.g[HI_PHASE] = GROW
    h.g[HI_DRAWS] = 0
    h.g[G_SCOUTED] = 0
    h.slot[a, AR_HINTREF] = NIL  # positions move
    h.slot[a, AR_MARKS] = NIL
    make_bag(h, a)
    return OK


@kernel
def set_span(h, zone):
    """Where chunks to free are drawn: all blocks, or those of a zone and what lies between."""
    first, end = 0, h.g[G_NBLOCKS]
    if zone >= 0:
        while end > 0 and h.blk[end - 1, BK_ZONE] != zone:
            end -= 1
        while first < end and h.blk[first, BK_ZONE] != zone:
            first += 1
    h.g[HI_FIRST] = first * h.g[G_BLOCK_PAGES]
    h.g[HI_PAGES] = (end - first) * h.g[G_BLOCK_PAGES]
