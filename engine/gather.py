"""mmu_gather: base pages that are unmapped together are freed in batches, last page first.

Rules and sources as in ``engine.reference.memory``. Most of what a large area gives back only
passes through the CPU's list: what goes in last stays, the rest leaves at the other end, in the
order in which it came. Nothing is allocated meanwhile, so what will leave is known beforehand and
goes straight to the buddy, whole pageblocks in one piece, behind what lay on the list before.
"""

from engine.buddy import free_loose, free_pb
from engine.chains import locate
from engine.chunks import set_max_chunk
from engine.elements import is_folio, is_hole, length, nxt
from engine.enums import AreaKind, Cell
from engine.freelist import came, fl, recent, zone_of_pb
from engine.kernel import kernel
from engine.pageblock import mt_of
from engine.percpu import free_base, free_huge
from engine.runs import add_run_after
from engine.stacks import (
    HUGE,
    MOVABLE,
    drain_huge,
    keep_base,
    pcp_drain,
    pcp_list,
    put_huge,
    whole_run,
)
from engine.state import (
    AR_KIND,
    DESC,
    FL_COUNT,
    FL_HEAD,
    FL_TAIL,
    FOLIO,
    G_BLOCK_SHIFT,
    G_LPOS,
    G_MAXO,
    G_MUT,
    G_NZONES,
    G_PBP,
    GA_BATCH,
    GA_PAGES,
    GA_SIZE,
    GA_TOP,
    NIL,
    PB_NEXT,
    PB_PREV,
    PH_LIST,
    PS_STATE,
    R_LOOSE,
    RN_NEXT,
    RN_PB,
    RS_FLAG,
    RS_LEN,
    RS_START,
    RS_STATE,
    TABLE,
    UNUSED,
    Z_AHEAD,
    Z_FREE,
    Z_FREED,
    Z_HUGE,
    Z_HUGE_PASSES,
    Z_HUGE_THROUGH,
    Z_PASSES,
    Z_PCPOFF,
    Z_THROUGH,
)
from engine.tuning import leaving, self_tuned

STACK_BATCH, PAGE_BATCH, BUNDLE = 8, 510, 20
"""Pages of the batch on the stack and of the others, batches of a bundle (mm/mmu_gather.c)."""
HUGETLB = int(AreaKind.HUGETLB)
PCP_THP, IN_ORDER = int(Cell.PCP_THP), int(Cell.GATHER_IN_ORDER)
WORTH_IT = 2
"""Pageblocks from which on it pays to look ahead."""


@kernel
def begin_gather(h):
    """Start a run of mmu_gather; nothing is known of what will pass through."""
    h.g[GA_TOP] = NIL
    h.g[GA_PAGES] = 0
    h.g[GA_SIZE] = STACK_BATCH
    h.g[GA_BATCH] = 0
    for z in range(h.g[G_NZONES]):
        h.zone[z, Z_PASSES] = 0
        h.zone[z, Z_HUGE_PASSES] = 0


@kernel
def look_ahead(h, a, first, end, cpu):
    """Work out what of a range will pass through the CPU's lists; empty them as far as it pushes.

    Only for zones in which all of it goes through one list, and no other one gives back with it:
    between two lists of a zone the order in which pageblocks become free could change.
    """
    if end - first < WORTH_IT * h.g[G_PBP] or self_tuned(h) or h.g[TABLE + IN_ORDER]:
        return
    for z in range(h.g[G_NZONES]):
        for c in range(Z_FREED, Z_HUGE + 1):
            h.zone[z, c] = 0
    count_freed(h, a, first, end)
    for z in range(h.g[G_NZONES]):
        if h.zone[z, Z_PCPOFF]:
            continue
        base = h.zone[z, Z_FREED] + h.zone[z, Z_FREED + 1]
        folios = h.zone[z, Z_HUGE]
        if folios > 0 and not base:
            pass_through_huge(h, z, cpu, folios)
        elif base and not folios:
            for t in range(MOVABLE + 1):
                if h.zone[z, Z_FREED + t] == base:
                    pass_through(h, z, cpu, t, base)


@kernel
def count_freed(h, a, first, end):
    """Count base pages and huge folios of a range by zone and list (-1 folios: other types)."""
    pool = h.slot[a, AR_KIND] == HUGETLB
    ref = locate(h, a, first)
    pos = h.g[G_LPOS]
    while pos < end:
        stop = pos + length(h, ref)
        if not is_hole(h, ref):
            pb = ref if ref >= 0 else h.run[-2 - ref, RN_PB]
            z, mt = zone_of_pb(h, pb), mt_of(h, pb)
            if is_folio(h, ref) and first <= pos and stop <= end:
                if h.zone[z, Z_HUGE] >= 0:
                    h.zone[z, Z_HUGE] = -1 if pool else h.zone[z, Z_HUGE] + 1
            elif mt > MOVABLE:
                h.zone[z, Z_HUGE] = -1
            else:
                h.zone[z, Z_FREED + mt] += min(stop, end) - max(pos, first)
        pos = stop
        ref = nxt(h, ref)


@kernel
def pass_through(h, z, cpu, t, pages):
    """Begin to free ``pages`` by list t of zone z, all that will leave it going straight."""
    i = pcp_list(h, cpu, z, t)
    held = h.fl[i, FL_COUNT]
    out = leaving(h, z, cpu, t, pages, 1)
    if out < 0:
        return
    pcp_drain(h, z, i, min(out, held))
    h.zone[z, Z_PASSES] = 1
    h.zone[z, Z_AHEAD] = max(out - held, 0)
    h.zone[z, Z_THROUGH] = max(out - held, 0)


@kernel
def pass_through_huge(h, z, cpu, folios):
    """As ``pass_through`` for huge folios."""
    if not h.g[TABLE + PCP_THP]:
        h.zone[z, Z_HUGE_PASSES] = 1
        h.zone[z, Z_HUGE_THROUGH] = folios
        return
    i = pcp_list(h, cpu, z, HUGE)
    held = h.fl[i, FL_COUNT]
    out = leaving(h, z, cpu, HUGE, folios, h.g[G_PBP])
    if out < 0:
        return
    h.zone[z, Z_HUGE_PASSES] = 1
    for _ in range(min(out, held)):
        drain_huge(h, z, i)
    h.zone[z, Z_HUGE_THROUGH] = max(out - held, 0)


@kernel
def give_back_folios(h, pb, cpu):
    """Free a huge folio, and what follows it in its area and memory block as far as that is easy.

    Returns the next element of the area and the folios freed.
    """
    z, following = zone_of_pb(h, pb), h.pb[pb, PB_NEXT]
    if h.zone[z, Z_HUGE_PASSES] and h.zone[z, Z_HUGE_THROUGH] > 1:
        if following == pb ^ 1 and h.pbs[following, PS_STATE] == FOLIO:
            return give_back_pairs(h, z, pb, h.zone[z, Z_HUGE_THROUGH])
    give_back_folio(h, pb, cpu)
    return following, 1


@kernel
def give_back_folio(h, pb, cpu):
    """Free a huge folio by the CPU's list, straight where it is known to pass through."""
    z = zone_of_pb(h, pb)
    if not h.zone[z, Z_HUGE_PASSES]:
        free_huge(h, pb, cpu)
    elif h.zone[z, Z_HUGE_THROUGH] == 0:
        put_huge(h, z, pcp_list(h, cpu, z, HUGE), pb, False)
    else:
        h.zone[z, Z_HUGE_THROUGH] -= 1
        h.pbs[pb, PS_STATE] = UNUSED
        free_pb(h, pb)


@kernel
def give_back_pairs(h, z, pb, through):
    """Free buddies that follow each other, straight to the head of one list.

    Both of the first pair are known to be folios; as ``give_back_folios`` otherwise.
    """
    block, mt, folios = pb >> h.g[G_BLOCK_SHIFT], mt_of(h, pb ^ 1), 0
    i = fl(h, z, mt, h.g[G_MAXO])
    head, last, count = h.fl[i, FL_HEAD], recent(h, z, mt, h.g[G_MAXO]), h.fl[i, FL_COUNT]
    while True:
        then = h.pb[pb ^ 1, PB_NEXT]
        low = pb & ~1
        count = came(h, last, count, low, low + 1)
        set_max_chunk(h, low, 1)
        h.pbh[low, PH_LIST] = mt
        h.pb[low, PB_PREV] = NIL
        h.pb[low, PB_NEXT] = head
        if head == NIL:
            h.fl[i, FL_TAIL] = low
        else:
            h.pb[head, PB_PREV] = low
        head = low
        folios += 2
        pb = then
        if pb < 0 or pb >> h.g[G_BLOCK_SHIFT] != block or folios + 2 > through:
            break
        if h.pb[pb, PB_NEXT] != pb ^ 1 or mt_of(h, pb ^ 1) != mt:
            break
        if h.pbs[pb, PS_STATE] != FOLIO or h.pbs[pb ^ 1, PS_STATE] != FOLIO:
            break
    h.fl[i, FL_HEAD] = head
    h.fl[i, FL_COUNT] = count
    h.g[G_MUT] += folios
    h.zone[z, Z_FREE] += folios * h.g[G_PBP]
    h.zone[z, Z_HUGE_THROUGH] = through - folios
    return pb, folios


@kernel
def gather(h, ref, cpu):
    """Put a loose base element into mmu_gather's batches; a full batch is freed."""
    if h.g[TABLE + IN_ORDER]:
        free_in_order(h, ref, cpu)
        return
    if ref >= 0:
        z = zone_of_pb(h, ref)
        # its last page leaves at most two batches behind its first
        if h.zone[z, Z_PCPOFF] or (
            h.zone[z, Z_PASSES] and h.zone[z, Z_AHEAD] >= h.g[G_PBP] + 2 * PAGE_BATCH
        ):
            gather_whole(h, ref, z, cpu)
            return
    r = whole_run(h, ref) if ref >= 0 else -2 - ref
    h.runb[r, RS_STATE] = R_LOOSE
    down = h.runb[r, RS_FLAG] & DESC
    left = h.runs[r, RS_LEN]
    h.zone[zone_of_pb(h, h.run[r, RN_PB]), Z_AHEAD] -= left
    while left > 0:
        k = min(left, h.g[GA_SIZE] - h.g[GA_PAGES])
        part = r
        if k < left:
            start = h.runs[r, RS_START]
            if down:
                part = add_run_after(h, r, start + left - k, k)
                h.runs[r, RS_LEN] = left - k
            else:
                r = add_run_after(h, part, start + k, left - k)
                h.runs[part, RS_LEN] = k
                h.runb[r, RS_STATE] = R_LOOSE
            h.runb[part, RS_STATE] = R_LOOSE
        h.runb[part, RS_FLAG] = down
        h.run[part, RN_NEXT] = h.g[GA_TOP]
        h.g[GA_TOP] = -2 - part
        left -= k
        add_pages(h, k, cpu)


@kernel
def free_in_order(h, ref, cpu):
    """Free a loose base element at once, its first page first: batches change nothing then."""
    if ref >= 0 and h.zone[zone_of_pb(h, ref), Z_PCPOFF]:
        h.pbs[ref, PS_STATE] = UNUSED
        free_pb(h, ref)
        return
    r = whole_run(h, ref) if ref >= 0 else -2 - ref
    h.runb[r, RS_STATE] = R_LOOSE
    free_base(h, r, cpu, not h.runb[r, RS_FLAG] & DESC)


@kernel
def gather_whole(h, pb, z, cpu):
    """Gather a uniform pageblock all of which goes straight to the buddy: with its last page."""
    h.zone[z, Z_AHEAD] -= h.g[G_PBP]
    left = h.g[G_PBP]
    while left > 0:
        k = min(left, h.g[GA_SIZE] - h.g[GA_PAGES])
        left -= k
        if left == 0:
            h.pb[pb, PB_NEXT] = h.g[GA_TOP]
            h.g[GA_TOP] = pb
        add_pages(h, k, cpu)


@kernel
def add_pages(h, k, cpu):
    """Count pages into the current batch, and free it when it is full."""
    h.g[GA_PAGES] += k
    if h.g[GA_PAGES] == h.g[GA_SIZE]:
        end_batch(h, cpu)
        h.g[GA_BATCH] = (h.g[GA_BATCH] + 1) % BUNDLE
        h.g[GA_SIZE] = PAGE_BATCH if h.g[GA_BATCH] else STACK_BATCH


@kernel
def end_batch(h, cpu):
    """Free a batch of mmu_gather, last page first."""
    ref = h.g[GA_TOP]
    while ref != NIL:
        following = nxt(h, ref)
        if ref >= 0:
            h.zone[zone_of_pb(h, ref), Z_THROUGH] -= h.g[G_PBP]
            h.pbs[ref, PS_STATE] = UNUSED
            free_pb(h, ref)
        else:
            free_part(h, -2 - ref, cpu)
        ref = following
    h.g[GA_TOP] = NIL
    h.g[GA_PAGES] = 0


@kernel
def free_part(h, r, cpu):
    """Free a loose run: what passes through straight, what stays onto the CPU's list."""
    ascending = (h.runb[r, RS_FLAG] & DESC) != 0
    z = zone_of_pb(h, h.run[r, RN_PB])
    if not h.zone[z, Z_PASSES]:
        free_base(h, r, cpu, ascending)
        return
    pages = h.runs[r, RS_LEN]
    k = min(pages, h.zone[z, Z_THROUGH])
    if k > 0:
        h.zone[z, Z_THROUGH] -= k
        part = r
        if k < pages:
            start = h.runs[r, RS_START]
            if ascending:
                r = add_run_after(h, part, start + k, pages - k)
                h.runs[part, RS_LEN] = k
            else:
                part = add_run_after(h, r, start + pages - k, k)
                h.runs[r, RS_LEN] = pages - k
            h.runb[r, RS_STATE] = R_LOOSE
        free_loose(h, part, ascending)
    if k < pages:
        keep_base(h, z, pcp_list(h, cpu, z, mt_of(h, h.run[r, RN_PB])), r, ascending)
