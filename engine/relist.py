"""Isolation: a block's free chunks change lists, or leave them with the block.

Rules and sources as in ``engine.reference.zone`` (move_freepages_block).
"""

from engine.buddy import ISOLATE
from engine.chunks import row_over, single_out
from engine.freelist import link, unlink
from engine.kernel import kernel
from engine.pageblock import mt_of
from engine.state import (
    BK_ZONE,
    FREE,
    G_BLOCK_PBS,
    G_PBO,
    MAXORDER,
    NIL,
    PB_AUX,
    PS_FLAG,
    PS_STATE,
    RN_BNEXT,
    RS_LEN,
    RS_ORDER,
    RS_STATE,
    SPLIT,
    UNUSED,
    Z_FREE,
    Z_ISO,
)


@kernel
def relist(h, b, to_isolate):
    """Move every free chunk of a memory block to the isolate lists, or back to its type's tail."""
    pbs = h.g[G_BLOCK_PBS]
    z = h.blk[b, BK_ZONE]
    pbo = h.g[G_PBO]
    pb = b * pbs
    end = pb + pbs
    moved = 0
    while pb < end:
        state = h.pbs[pb, PS_STATE]
        if state == UNUSED:
            head = row_over(h, pb)
            if head != NIL:
                single_out(h, z, pb, head)
                state = FREE
        if state == FREE:
            top = (h.pbs[pb, PS_FLAG] & MAXORDER) != 0
            if top and h.pb[pb, PB_AUX] > 1:
                single_out(h, z, pb, pb)
            order = pbo + 1 if top else pbo
            unlink(h, z, order, pb)
            link(h, z, ISOLATE if to_isolate else mt_of(h, pb), order, pb, True)
            moved += 1 << order
            pb += 2 if top else 1
            continue
        if state == SPLIT:
            r = h.pb[pb, PB_AUX]
            while r != NIL:
                if h.runb[r, RS_STATE] == FREE:
                    unlink(h, z, h.runb[r, RS_ORDER], -2 - r)
                    mt = ISOLATE if to_isolate else mt_of(h, pb)
                    link(h, z, mt, h.runb[r, RS_ORDER], -2 - r, True)
                    moved += h.runs[r, RS_LEN]
                r = h.run[r, RN_BNEXT]
        pb += 1
    sign = -1 if to_isolate else 1
    h.zone[z, Z_FREE] += sign * moved
    h.zone[z, Z_ISO] -= sign * moved


@kernel
def unlist(h, b):
    """Take a wholly free, isolated block off the isolate lists; returns its pages."""
    pbs = h.g[G_BLOCK_PBS]
    z = h.blk[b, BK_ZONE]
    pbo = h.g[G_PBO]
    pb = b * pbs
    end = pb + pbs
    pages = 0
    while pb < end:
        if h.pbs[pb, PS_STATE] != FREE:
            pb += 1
            continue
        top = (h.pbs[pb, PS_FLAG] & MAXORDER) != 0
        order = pbo + 1 if top else pbo
        unlink(h, z, order, pb)
        h.pbs[pb, PS_STATE] = UNUSED
        pages += 1 << order
        pb += 2 if top else 1
    return pages
