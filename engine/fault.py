"""Faults: populating a range with base pages, huge folios, pool folios.

Rules as in ``engine.reference.memory``.
"""

from engine.allocate import (
    ALL_NODES,
    alloc_huge_again,
    find_zone,
    least_free,
    request,
    take_piece,
)
from engine.bulk import account, append_folio, folios_at_hand, follow, take_folios
from engine.elements import (
    block_pb,
    chain_insert_before,
    chain_unlink,
    drop_run,
    is_hole,
    is_zero,
    length,
    locate,
    new_hole,
    prv,
    set_prv,
    zero_range,
)
from engine.enums import Cell, Cost, Counter, Errno
from engine.freelist import zone_of_pb
from engine.hugepool import available, pool_take
from engine.kernel import kernel
from engine.landmarks import unmark
from engine.memory import (
    ANON,
    FILE,
    HUGETLB,
    KERNEL,
    SHMEM,
    THP,
    area_ok,
    attach,
    block_of,
    cpu_of,
    range_ok,
)
from engine.pinrow import FAULTED, note_pin
from engine.state import (
    AR_HINT,
    AR_HINTPOS,
    AR_HINTREF,
    AR_KIND,
    AR_LOCKED,
    AR_PAGES,
    AR_PROC,
    COSTS,
    COUNTERS,
    CPUS,
    FOLIO,
    G_BUSY,
    G_ERROR,
    G_LPOS,
    G_NNODES,
    G_PBO,
    G_PBP,
    G_PINNING,
    G_RESERVED,
    NIL,
    PS_STATE,
    RN_CNT,
    RQ_WAKES,
    T_FALLBACK,
    T_FAULTED,
    T_LATENCY,
    T_PAGES,
    T_RECLAIMED,
    T_THP,
    TABLE,
)

OK, EINVAL = 0, int(Errno.EINVAL)
EFAULT, ENOMEM = int(Errno.EFAULT), int(Errno.ENOMEM)
FLAG_ANON, FLAG_THP = int(Cell.FAULT_FLAG_ANON), int(Cell.FAULT_FLAG_THP)
FLAG_FILE, FLAG_HUGETLB = int(Cell.FAULT_FLAG_FILE), int(Cell.FAULT_FLAG_HUGETLB)
FLAG_SHMEM = int(Cell.FAULT_FLAG_SHMEM)
HINTS = int(Cell.HINT_HONOURED)
FAULT_4K, FAULT_2M = int(Cost.FAULT_4K), int(Cost.FAULT_2M)
PGFAULT = int(Counter.PGFAULT)
THP_ALLOC, THP_FALLBACK = int(Counter.THP_FAULT_ALLOC), int(Counter.THP_FAULT_FALLBACK)
HUGETLB_FAULT = int(Counter.HUGETLB_FAULT)


@kernel
def count_fault(h, a, pb, pages, huge):
    """Account a fault."""
    cost = h.g[COSTS + FAULT_2M] if huge else pages * h.g[COSTS + FAULT_4K]
    h.g[T_FAULTED] += pages
    h.g[T_LATENCY] += cost
    if h.g[G_PINNING]:
        note_pin(h, a, pb, huge, FAULTED, pages, cost)


@kernel
def ask(h, a, cpu, node, flagged):
    """Request of a fault: zonelist of the CPU's node or a stated one."""
    home = h.small[CPUS + cpu] if node < 0 else node
    movable = h.slot[a, AR_KIND] != KERNEL and not flagged
    request(h, home, ALL_NODES, movable, cpu, h.slot[a, AR_PROC], True)


@kernel
def populate_base(h, a, index, stop, cpu, node, flagged):
    """Fault base pages into [index, stop), which are all holes. False when the host stopped.

    Below the low marks each new page of a file may be the next one that kswapd drops.
    """
    ask(h, a, cpu, node, flagged)
    eats_itself = h.slot[a, AR_KIND] == FILE and h.g[G_BUSY] != a
    while index < stop:
        z = find_zone(h)
        if z < 0 or h.g[G_ERROR]:
            return False
        if eats_itself and h.g[RQ_WAKES]:
            ref = take_piece(h, z, 1)
        else:
            ref = take_piece(h, z, stop - index)
        pages, pb = length(h, ref), block_pb(h, ref)
        attach(h, a, index, ref)
        h.g[COUNTERS + PGFAULT] += pages
        count_fault(h, a, pb, pages, False)
        index += pages
    return True


@kernel
def populate_huge(h, a, first, stop, cpu, node, flagged):
    """Fault huge folios into the aligned chunks of [first, stop), which one hole covers.

    Returns where it stopped: at ``stop``, or at the chunk that must fall back to base pages.
    """
    ask(h, a, cpu, node, flagged)
    pbp = h.g[G_PBP]
    hole = hole_from(h, a, first)
    before = prv(h, hole)
    index = first
    order, z, least = h.g[G_PBO], -1, 0
    while index < stop:
        if z >= 0 and stop - index > pbp:
            most = min(folios_at_hand(h, z, least), (stop - index) // (2 * pbp) * 2)
            before, taken = take_folios(h, a, z, most, before, hole)
            index += taken * pbp
            if taken > 0:
                continue
        dropped = h.g[T_RECLAIMED]
        pb = alloc_huge_again(h, order, z, least)
        if pb == NIL:
            break
        if h.g[T_RECLAIMED] != dropped:
            z = -1  # other zones may have room now
        elif z != zone_of_pb(h, pb):
            z = zone_of_pb(h, pb)
            least = least_free(h, order, z)
        follow(h, a, before, pb)
        append_folio(h, a, before, pb, hole)
        account(h, a, block_of(h, pb), 1)
        before = pb
        index += pbp
    shorten_hole(h, a, hole, before, index, index - first)
    count_huge_faults(h, (index - first) // pbp)
    if index < stop:
        h.g[COUNTERS + THP_FALLBACK] += 1
        h.g[T_FALLBACK] += 1
    return index


@kernel
def hole_from(h, a, index):
    """The hole that covers an index, cut so that it begins there."""
    hole = locate(h, a, index)
    pos = h.g[G_LPOS]
    if index > pos:
        chain_insert_before(h, a, hole, new_hole(h, index - pos, is_zero(h, hole)))
        h.run[-2 - hole, RN_CNT] -= index - pos
    return hole


@kernel
def shorten_hole(h, a, hole, before, index, pages):
    """Take ``pages`` off the begin of a hole whose new predecessor is ``before``."""
    r = -2 - hole
    set_prv(h, hole, before)
    unmark(h, hole)
    h.run[r, RN_CNT] -= pages
    if h.run[r, RN_CNT] == 0:
        chain_unlink(h, a, hole)
        drop_run(h, r)
        hole = before
        index -= length(h, before)
    h.slot[a, AR_HINTREF] = hole
    h.slot[a, AR_HINTPOS] = index


@kernel
def count_huge_faults(h, folios):
    """Account faults of huge folios."""
    h.g[COUNTERS + PGFAULT] += folios
    h.g[COUNTERS + THP_ALLOC] += folios
    h.g[T_THP] += folios
    h.g[T_FAULTED] += folios * h.g[G_PBP]
    h.g[T_LATENCY] += folios * h.g[COSTS + FAULT_2M]


@kernel
def base_flag(kind):
    """Cell that says whether a pin's fault of a base page of such an area is flagged."""
    if kind == FILE:
        return FLAG_FILE
    return FLAG_SHMEM if kind == SHMEM else FLAG_ANON


@kernel
def populate(h, a, first, count, cpu, node, pinning):
    """Write-fault every page of a range that is not present. Returns an errno."""
    kind = h.slot[a, AR_KIND]
    if kind == HUGETLB:
        return populate_hugetlb(h, a, first, count, cpu, node, pinning)
    hinted = h.slot[a, AR_HINT] and h.g[TABLE + HINTS]
    flag_base = hinted or (pinning and h.g[TABLE + base_flag(kind)])
    flag_huge = hinted or (pinning and h.g[TABLE + FLAG_THP])
    pbp = h.g[G_PBP]
    index, end = first, first + count
    while index < end:
        ref = locate(h, a, index)
        pos = h.g[G_LPOS]
        stop = pos + length(h, ref)
        if not is_hole(h, ref):
            index = stop
            continue
        chunk = index - index % pbp
        if kind == THP and pos <= chunk and chunk + pbp <= stop and not is_zero(h, ref):
            limit = min(stop - stop % pbp, end + (-end) % pbp)
            done = populate_huge(h, a, chunk, limit, cpu, node, flag_huge)
            if done == limit:
                index = done
                continue
            if done > chunk:
                index, chunk = done, done
        stop = min(end, stop)
        if kind == THP:
            stop = min(stop, chunk + pbp)
        if not populate_base(h, a, index, stop, cpu, node, flag_base):
            return OK
        index = stop
    return OK


@kernel
def populate_hugetlb(h, a, first, count, cpu, node, pinning):
    """Take pool folios for absent chunks; EFAULT when the pool has none for them."""
    pbp = h.g[G_PBP]
    flagged = pinning and h.g[TABLE + FLAG_HUGETLB] != 0
    start = h.small[CPUS + cpu] if node < 0 else node
    chunk = first - first % pbp
    while chunk < first + count:
        hole = locate(h, a, chunk)
        if is_hole(h, hole):
            reserved = is_zero(h, hole)
            pb = NIL
            if reserved or available(h) > 0:
                pb = pool_take(h, start, ALL_NODES, flagged)
            if pb == NIL:
                return EFAULT
            h.g[G_RESERVED] -= reserved
            h.pbs[pb, PS_STATE] = FOLIO
            attach(h, a, chunk, pb)
            h.g[COUNTERS + HUGETLB_FAULT] += 1
            count_fault(h, a, pb, pbp, True)
        chunk += pbp
    return OK


@kernel
def touch(h, a, first, count, cpu, node):
    """TOUCH."""
    if not range_ok(h, a, first, count) or node >= h.g[G_NNODES]:
        return EINVAL
    h.g[T_PAGES] = count
    return populate(h, a, first, count, cpu_of(h, a, cpu), node, False)


@kernel
def read(h, a, first, count):
    """READ: untouched pages of anonymous areas become the zero page, page cache is filled."""
    if not range_ok(h, a, first, count):
        return EINVAL
    if h.slot[a, AR_KIND] == FILE or h.slot[a, AR_KIND] == SHMEM:
        h.g[T_PAGES] = count
        return populate(h, a, first, count, cpu_of(h, a, -1), -1, False)
    if h.slot[a, AR_KIND] not in (ANON, THP):
        return EINVAL
    h.g[T_PAGES] = zero_range(h, a, first, count)
    return OK


@kernel
def mlock(h, a, on):
    """MLOCK: mlock of a whole area faults it in; reclaim passes over it."""
    if not area_ok(h, a) or h.slot[a, AR_KIND] == KERNEL:
        return EINVAL
    h.slot[a, AR_LOCKED] = 1 if on else 0
    if not on:
        return OK
    pages = h.slot[a, AR_PAGES]
    h.g[T_PAGES] = pages
    return populate(h, a, 0, pages, cpu_of(h, a, -1), -1, False)
