"""Many huge folios in a row from one zone: the cheap case of a large THP area.

Requests in a row get the free pageblocks first and then the halves of one maximal chunk after the
other, whether or not they pass through the CPU's list in refills of two. While the zone stays
above its mark, chunks are taken off the list and chained one behind the other, and the new head of
the list is written once.
"""

from engine.chunks import note_range, set_max_chunk
from engine.elements import set_nxt
from engine.enums import Cell, Cost
from engine.freelist import fl, goes, recent
from engine.kernel import kernel
from engine.memory import count_used
from engine.pageblock import set_flags
from engine.pinrow import FAULTED, note_pin_path
from engine.stacks import HUGE, pcp_list, put_huge
from engine.state import (
    AR_HEAD,
    COSTS,
    FL_COUNT,
    FL_HEAD,
    FL_TAIL,
    FOLIO,
    G_BLOCK_SHIFT,
    G_MAXO,
    G_MUT,
    G_PATH,
    G_PBO,
    G_PBP,
    G_PINNING,
    NIL,
    PB_AUX,
    PB_NEXT,
    PB_PREV,
    PH_LIST,
    PH_OWN,
    PS_STATE,
    RQ_CPU,
    RQ_MT,
    TABLE,
    Z_FREE,
    Z_PCPOFF,
)
from engine.taking import take_huge
from engine.tuning import self_tuned, took
from engine.watermark import pcp_batch

PCP_THP, FAULT_2M = int(Cell.PCP_THP), int(Cost.FAULT_2M)


@kernel
def append_folio(h, a, before, pb, following):
    """Make a pageblock on no list a huge folio of an area, between two elements."""
    h.pbs[pb, PS_STATE] = FOLIO
    set_flags(h, pb, 0)
    h.pbh[pb, PH_OWN] = a
    h.pb[pb, PB_AUX] = 0
    h.pb[pb, PB_PREV] = before
    h.pb[pb, PB_NEXT] = following


@kernel
def follow(h, a, before, pb):
    """Make a pageblock the successor of an element of an area (NIL: its first)."""
    if before == NIL:
        h.slot[a, AR_HEAD] = pb
    else:
        set_nxt(h, before, pb)


@kernel
def folios_at_hand(h, z, least):
    """How many requests to zone z in a row are served by its free lists (an even number)."""
    pbo = h.g[G_PBO]
    if self_tuned(h):
        return 0  # each refill and each look at the high mark counts
    if by_cpu_list(h, z):
        if h.fl[pcp_list(h, h.g[RQ_CPU], z, HUGE), FL_COUNT] or pcp_batch(h, z) >> pbo > 2:
            return 0
    return (max(h.zone[z, Z_FREE] - least, 0) >> pbo) & ~1


@kernel
def by_cpu_list(h, z):
    """Whether huge folios of a zone pass through the CPU's list."""
    return h.g[TABLE + PCP_THP] and not h.zone[z, Z_PCPOFF]


@kernel
def take_folios(h, a, z, most, before, hole):
    """Chain up to ``most`` folios of zone z in front of a hole; returns (last folio, folios).

    The free lists keep at least one chunk: with empty ones the next request would go elsewhere.
    """
    taken = 0
    while taken < most and h.fl[fl(h, z, h.g[RQ_MT], h.g[G_PBO]), FL_HEAD] != NIL:
        if not more_than_one(h, z):
            break
        before = take_one(h, a, z, before, hole)
        taken += 1
    if most - taken > 1 and h.fl[fl(h, z, h.g[RQ_MT], h.g[G_MAXO]), FL_HEAD] != NIL:
        before, chunks = take_chunks(h, a, z, (most - taken) // 2, before, hole)
        taken += 2 * chunks
    if taken < most and taken & 1 and more_than_one(h, z):
        before = take_one(h, a, z, before, hole)
        taken += 1
    if not taken or not by_cpu_list(h, z):
        return before, taken
    took(h, z, h.g[RQ_CPU], taken)
    if taken & 1:
        pb = take_huge(h, z, h.g[RQ_MT])  # the second one of the last refill
        put_huge(h, z, pcp_list(h, h.g[RQ_CPU], z, HUGE), pb, True)
    return before, taken


@kernel
def more_than_one(h, z):
    """Whether the lists for huge requests to a zone hold more than one pageblock."""
    i = fl(h, z, h.g[RQ_MT], h.g[G_PBO])
    pb = h.fl[i, FL_HEAD]
    if h.fl[i + 1, FL_HEAD] != NIL:
        return True
    return pb != NIL and h.pb[pb, PB_NEXT] != NIL


@kernel
def take_one(h, a, z, before, hole):
    """Chain the next folio of zone z in front of a hole; returns it."""
    pb = take_huge(h, z, h.g[RQ_MT])
    follow(h, a, before, pb)
    append_folio(h, a, before, pb, hole)
    account(h, a, pb >> h.g[G_BLOCK_SHIFT], 1)
    return pb


@kernel
def take_chunks(h, a, z, most, before, hole):
    """Chain up to ``most`` chunks of zone z in front of a hole; returns (last folio, chunks).

    The list keeps its last chunk, and there is one.
    """
    mt, taken, block, since = h.g[RQ_MT], 0, -1, 0
    i = fl(h, z, mt, h.g[G_MAXO])
    pb = h.fl[i, FL_HEAD]
    last, count = recent(h, z, mt, h.g[G_MAXO]), h.fl[i, FL_COUNT]
    while taken < most:
        row, following = h.pb[pb, PB_AUX], h.pb[pb, PB_NEXT]
        k = min(row - (1 if following == NIL else 0), most - taken)
        if k == 0:
            break
        if k == row:
            count = goes(h, last, count, pb + 1)
        if row > 1:
            note_range(h, pb, pb + 2 * k if row - k > 1 else NIL)
        for j in range(k):
            chunk = pb + 2 * j
            if chunk >> h.g[G_BLOCK_SHIFT] != block:
                account(h, a, block, 2 * (taken + j - since))
                block, since = chunk >> h.g[G_BLOCK_SHIFT], taken + j
            follow(h, a, before, chunk)
            append_folio(h, a, before, chunk, chunk + 1)
            append_folio(h, a, chunk, chunk + 1, hole)
            before = chunk + 1
        taken += k
        if k < row:
            pb = rest_of_row(h, i, pb + 2 * k, row - k, following)
            break
        pb = following
    account(h, a, block, 2 * (taken - since))
    h.fl[i, FL_HEAD] = pb
    h.fl[i, FL_COUNT] = count
    h.pb[pb, PB_PREV] = NIL
    h.g[G_MUT] += taken
    h.zone[z, Z_FREE] -= taken * 2 * h.g[G_PBP]
    return before, taken


@kernel
def rest_of_row(h, i, pb, row, following):
    """What is left of a row of chunks becomes the first entry of list i."""
    set_max_chunk(h, pb, row)
    h.pbh[pb, PH_LIST] = h.g[RQ_MT]
    h.pb[pb, PB_NEXT] = following
    if following == NIL:
        h.fl[i, FL_TAIL] = pb
    else:
        h.pb[following, PB_PREV] = pb
    return pb


@kernel
def account(h, a, block, folios):
    """Account folios that an area has gained in a memory block."""
    if folios == 0:
        return
    pb = block << h.g[G_BLOCK_SHIFT]
    count_used(h, a, pb, folios * h.g[G_PBP])
    if h.g[G_PINNING]:
        latency_ns = folios * h.g[COSTS + FAULT_2M]
        path = h.g[G_PATH]
        note_pin_path(h, pb, path, FAULTED, folios * h.g[G_PBP], latency_ns)
