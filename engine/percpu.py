"""Per-CPU page lists: what is taken and what is given. Rules: ``engine.reference.percpu``.

``engine.tuning`` has what full lists give back, and the lists that tune themselves.
"""

from engine.buddy import free_loose, free_pb
from engine.chunks import pop_max_chunk
from engine.enums import Cell
from engine.freelist import fl
from engine.kernel import kernel, part
from engine.pageblock import mt_of
from engine.runs import add_run_after
from engine.stacks import (
    HUGE,
    MOVABLE,
    TUNING,
    UNMOVABLE,
    drop_huge,
    keep_base,
    pcp_list,
    pcp_refill,
    pcp_take,
    pop_run,
    put_huge,
)
from engine.state import (
    BK_ISO,
    BK_ZONE,
    FL_COUNT,
    FL_HEAD,
    G_BLOCK_SHIFT,
    G_MAXO,
    G_NCPUS,
    G_PBO,
    G_PBP,
    NIL,
    PS_STATE,
    RN_PB,
    RS_LEN,
    RS_START,
    TABLE,
    UNUSED,
    Z_FREE,
    Z_PCP,
    Z_PCPOFF,
)
from engine.taking import smallest, take_huge
from engine.tuning import (
    after_free,
    free_pages_of,
    full_at,
    pages_on,
    refill_pages,
    self_tuned,
    took,
)
from engine.watermark import pcp_batch

PCP_THP = int(Cell.PCP_THP)


@kernel
def take_huge_by_cpu(h, z, cpu, mt):
    """One pageblock for a huge folio, through the CPU's list where there is one; NIL if none."""
    if h.zone[z, Z_PCPOFF] or not h.g[TABLE + PCP_THP]:
        return take_huge(h, z, mt)
    i = pcp_list(h, cpu, z, HUGE)
    took(h, z, cpu, 1)
    if h.fl[i, FL_COUNT] == 0:
        batch = huge_batch(h, z, cpu)
        if batch == 2 and smallest(h, z, mt, h.g[G_PBO]) == h.g[G_MAXO]:
            return take_pair(h, z, i, mt)
        for _ in range(batch):
            pb = take_huge(h, z, mt)
            if pb == NIL:
                break
            put_huge(h, z, i, pb, True)
    if h.fl[i, FL_COUNT] == 0:
        return NIL
    pb = h.fl[i, FL_HEAD]
    drop_huge(h, z, i, pb)
    return pb


@kernel
def huge_batch(h, z, cpu):
    """Huge folios that an empty list takes at once."""
    if self_tuned(h):
        return refill_pages(h, z, cpu, h.g[G_PBO])
    return max(pcp_batch(h, z) >> h.g[G_PBO], 2)


@kernel
def take_pair(h, z, i, mt):
    """A refill of two from one maximal chunk: the low half is taken, the other one stays."""
    pb = h.fl[fl(h, z, mt, h.g[G_MAXO]), FL_HEAD]
    pop_max_chunk(h, z, pb)
    h.zone[z, Z_FREE] -= 2 * h.g[G_PBP]
    put_huge(h, z, i, pb + 1, True)
    return pb


@kernel
def free_huge(h, pb, cpu):
    """Free a huge folio: to the CPU's list; when that is full its oldest go to the buddy."""
    b = pb >> h.g[G_BLOCK_SHIFT]
    z = h.blk[b, BK_ZONE]
    if cpu < 0 or h.blk[b, BK_ISO] or h.zone[z, Z_PCPOFF] or not h.g[TABLE + PCP_THP]:
        h.pbs[pb, PS_STATE] = UNUSED
        free_pb(h, pb)
        return
    i = pcp_list(h, cpu, z, HUGE)
    put_huge(h, z, i, pb, False)
    after_free(h, z, cpu, HUGE, 1, h.g[G_PBP])


@kernel
def drain_zone(h, z):
    """drain_all_pages of a zone."""
    for cpu in range(h.g[G_NCPUS]):
        free_pages_of(h, z, cpu, UNMOVABLE, pages_on(h, z, cpu))


@kernel
def disable_lists(h, z):
    """zone_pcp_disable: no lists, their grown capacity is forgotten."""
    drain_zone(h, z)
    h.zone[z, Z_PCPOFF] = 1
    for cpu in range(h.g[G_NCPUS]):
        h.fl[pcp_list(h, cpu, z, TUNING), FL_HEAD] = 0


@part
def list_of(h, r, cpu):
    """Zone of a loose run, and which of the CPU's lists it is freed to, NIL: to none."""
    pb = h.run[r, RN_PB]
    b = pb >> h.g[G_BLOCK_SHIFT]
    z = h.blk[b, BK_ZONE]
    mt = mt_of(h, pb)
    if cpu < 0 or h.blk[b, BK_ISO] or h.zone[z, Z_PCPOFF] or mt > MOVABLE:
        return z, NIL
    return z, mt


@kernel
def free_base(h, r, cpu, ascending):
    """Free a loose run page by page: by the CPU's list where it applies, else directly."""
    z, mt = list_of(h, r, cpu)
    if mt == NIL:
        free_loose(h, r, ascending)
        return
    i = pcp_list(h, cpu, z, mt)
    left = h.runs[r, RS_LEN]
    while left > 0:
        k = min(left, max(full_at(h, z, cpu), 1))
        piece = r
        if k < left:
            if ascending:
                r = add_run_after(h, piece, h.runs[piece, RS_START] + k, left - k)
                h.runs[piece, RS_LEN] = k
            else:
                piece = add_run_after(h, r, h.runs[r, RS_START] + left - k, k)
                h.runs[r, RS_LEN] = left - k
        keep_base(h, z, i, piece, ascending)
        left -= k
        after_free(h, z, cpu, mt, k, 1)


@part
def free_page(h, r, cpu):
    """``free_base`` of one page."""
    z, mt = list_of(h, r, cpu)
    if mt == NIL:
        free_loose(h, r, True)
        return
    keep_base(h, z, pcp_list(h, cpu, z, mt), r, True)
    after_free(h, z, cpu, mt, 1, 1)


@part
def take_page(h, z, cpu, mt):
    """One page through a CPU's list of a fixed capacity, from a zone that has some; its run."""
    i = pcp_list(h, cpu, z, mt)
    if h.fl[i, FL_COUNT] == 0:
        pcp_refill(h, z, i, mt, pcp_batch(h, z))
    took(h, z, cpu, 1)
    r = -2 - h.fl[i, FL_HEAD]
    if h.runs[r, RS_LEN] > 1:
        return pcp_take(h, z, i, 1)
    h.fl[i, FL_COUNT] -= 1
    h.zone[z, Z_PCP] -= 1
    pop_run(h, i, r)
    return r
