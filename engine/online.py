"""Blocks that join a zone: ONLINE, the start of a host, and what an offline gives back.

Rules and sources as in ``engine.reference.offlining``.
"""

from engine.chunks import add_row
from engine.enums import Cost, Errno
from engine.freelist import link
from engine.kernel import kernel
from engine.pageblock import mt_of, set_mt
from engine.state import (
    BK_NODE,
    BK_RESERVED,
    BK_ZONE,
    COSTS,
    FREE,
    G_BLOCK_PAGES,
    G_BLOCK_PBS,
    G_NBLOCKS,
    G_PBO,
    G_PBP,
    O_ON,
    PS_STATE,
    RESERVED,
    T_LATENCY,
    Z_FREE,
    Z_MANAGED,
    Z_PRESENT,
)
from engine.watermark import set_watermarks

MOVABLE = 1
OK, EINVAL = 0, int(Errno.EINVAL)
EAGAIN = int(Errno.EAGAIN)
ONLINE_PB = int(Cost.ONLINE_PAGEBLOCK)


@kernel
def add_block(h, b, z):
    """Give a block's pages to a zone, at the tail of its lists."""
    pbs = h.g[G_BLOCK_PBS]
    h.blk[b, BK_ZONE] = z
    reserved = h.blk[b, BK_RESERVED]
    pb = b * pbs
    for i in range(reserved):
        h.pbs[pb + i, PS_STATE] = RESERVED
    for i in range(pbs):
        if mt_of(h, pb + i) != MOVABLE:  # what was never used must stay untouched
            set_mt(h, pb + i, MOVABLE)
    pages = (pbs - reserved) * h.g[G_PBP]
    h.zone[z, Z_PRESENT] += h.g[G_BLOCK_PAGES]
    h.zone[z, Z_MANAGED] += pages
    h.zone[z, Z_FREE] += pages
    first = pb + reserved
    if first & 1:
        add_single(h, z, first)
        first += 1
    if first < pb + pbs:
        add_row(h, z, MOVABLE, first, (pb + pbs - first) // 2)


@kernel
def add_single(h, z, pb):
    """One pageblock at the tail of its list."""
    h.pbs[pb, PS_STATE] = FREE
    link(h, z, MOVABLE, h.g[G_PBO], pb, True)


@kernel
def online(h, first, count, kind):
    """ONLINE: give offline blocks to a zone of their node; EAGAIN while an offline runs."""
    if h.g[O_ON]:
        return EAGAIN
    if first < 0 or count <= 0 or first + count > h.g[G_NBLOCKS] or not 0 <= kind <= 2:
        return EINVAL
    for b in range(first, first + count):
        if h.blk[b, BK_ZONE] != -1:
            return EINVAL
    for b in range(first, first + count):
        add_block(h, b, h.blk[b, BK_NODE] * 3 + kind)
        set_watermarks(h)
    h.g[T_LATENCY] += count * h.g[G_BLOCK_PBS] * h.g[COSTS + ONLINE_PB]
    return OK
