"""Faults: populating a range with base pages, huge folios, pool folios.

Rules as in ``engine.reference.memory``.
"""

from engine.allocate import (
    ALL_NODES,
    alloc_huge_again,
    find_zone,
    from_pool,
    least_free,
    more_at_hand,
    request,
    stopped,
    take_more,
    take_piece,
)
from engine.bulk import account, append_folio, folios_at_hand, follow, take_folios
from engine.chains import chain_insert_before, chain_unlink, locate
from engine.elements import block_pb, drop_run, is_hole, length, prv, set_prv
from engine.enums import Cell, Cost, Counter, Errno, FaultPath
from engine.freelist import zone_of_pb
from engine.holes import hole_flag, is_view, new_hole, set_holes
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
    set_locked,
)
from engine.pageblock import set_flags
from engine.pinrow import FAULTED, note_pin_path
from engine.sharing import behind, sweep, take_back
from engine.state import (
    AR_BELOW,
    AR_FOLIO,
    AR_HINT,
    AR_HINTPOS,
    AR_HINTREF,
    AR_KIND,
    AR_PAGES,
    AR_PROC,
    AR_SHIFT,
    AR_VIEWS,
    COSTS,
    COUNTERS,
    CPUS,
    FOLIO,
    G_BUSY,
    G_ERROR,
    G_FOR,
    G_LPOS,
    G_NNODES,
    G_PATH,
    G_PBO,
    G_PBP,
    G_PINNING,
    G_RESERVED,
    GIGANTIC,
    HUGE_ZERO,
    NIL,
    PROMISED,
    PS_STATE,
    RN_CNT,
    RQ_SLAB,
    RQ_WAKES,
    T_FALLBACK,
    T_FAULTED,
    T_LATENCY,
    T_PAGES,
    T_RECLAIMED,
    T_THP,
    TABLE,
    VIEW,
    ZERO,
)
from engine.ways import note_way

OK, EINVAL = 0, int(Errno.EINVAL)
EFAULT, ENOMEM = int(Errno.EFAULT), int(Errno.ENOMEM)
FLAG_ANON, FLAG_THP = int(Cell.FAULT_FLAG_ANON), int(Cell.FAULT_FLAG_THP)
FLAG_FILE, FLAG_HUGETLB = int(Cell.FAULT_FLAG_FILE), int(Cell.FAULT_FLAG_HUGETLB)
FLAG_SHMEM = int(Cell.FAULT_FLAG_SHMEM)
FLAG_ZERO, FLAG_HZP = int(Cell.FAULT_FLAG_ZERO), int(Cell.FAULT_FLAG_HZP)
FLAG_COW, HZP_THP = int(Cell.FAULT_FLAG_COW), int(Cell.HZP_WRITE_THP)
PATH_ANON, PATH_THP, PATH_FILE, PATH_HUGETLB, PATH_SHMEM, PATH_ZERO, PATH_HZP, PATH_COW = range(
    len(FaultPath)
)
KILLS = int(Counter.OOM_KILL)
FOR_LONG, FOR_SHORT = 1, 2
"""Values of G_PINNING: a pin with or without FOLL_LONGTERM is under way."""
HINTS = int(Cell.HINT_HONOURED)
FAULT_4K, FAULT_2M = int(Cost.FAULT_4K), int(Cost.FAULT_2M)
PGFAULT = int(Counter.PGFAULT)
THP_ALLOC, THP_FALLBACK = int(Counter.THP_FAULT_ALLOC), int(Counter.THP_FAULT_FALLBACK)
HUGETLB_FAULT = int(Counter.HUGETLB_FAULT)


@kernel
def count_fault(h, pb, pages, huge, path):
    """Account a fault on a path."""
    cost = h.g[COSTS + FAULT_2M] if huge else pages * h.g[COSTS + FAULT_4K]
    h.g[T_FAULTED] += pages
    h.g[T_LATENCY] += cost
    if h.g[G_PINNING]:
        note_pin_path(h, pb, path, FAULTED, pages, cost)


@kernel
def ask(h, a, cpu, node, flagged):
    """Request of a fault: zonelist of the CPU's node or a stated one."""
    home = h.small[CPUS + cpu] if node < 0 else node
    movable = h.slot[a, AR_KIND] != KERNEL and not flagged
    proc = h.slot[a, AR_PROC] if h.g[G_FOR] == NIL else h.g[G_FOR]
    request(h, home, ALL_NODES, movable, cpu, proc, True)
    h.g[RQ_SLAB] = h.slot[a, AR_KIND] == KERNEL and h.slot[a, AR_HINT]
    if flagged and h.g[G_PINNING] == FOR_LONG:
        from_pool(h)


@kernel
def populate_base(h, a, index, stop, cpu, node, flagged, path):
    """Fault base pages into [index, stop), which are all holes. False without room.

    Below the low marks each new page of a file may be the next one that kswapd drops.
    """
    ask(h, a, cpu, node, flagged)
    eats_itself = h.slot[a, AR_KIND] == FILE and h.g[G_BUSY] != a
    z, more = NIL, 0
    while index < stop:
        if more > 0:
            ref, more = take_more(h, z, more, stop - index)
        else:
            z = find_zone(h)
            if z < 0 or h.g[G_ERROR]:
                return False
            ref = take_piece(h, z, 1 if eats_itself and h.g[RQ_WAKES] else stop - index)
            more = more_at_hand(h, z)
        pages, pb = length(h, ref), block_pb(h, ref)
        attach(h, a, index, ref)
        h.g[COUNTERS + PGFAULT] += pages
        count_fault(h, pb, pages, False, path)
        index += pages
    return True


@kernel
def populate_huge(h, a, first, stop, cpu, node, flagged, path):
    """Fault huge folios into the aligned chunks of [first, stop), which one hole covers.

    Returns where it stopped: at ``stop``, or at the chunk that must fall back to base pages.
    """
    ask(h, a, cpu, node, flagged)
    h.g[G_PATH] = path
    pbp = h.g[G_PBP]
    hole = hole_from(h, a, first)
    before = prv(h, hole)
    index = first
    order, z, least = h.g[G_PBO], -1, 0
    while index < stop:
        if z >= 0 and stop - index > pbp:
            stretch = max(2 * pbp, 1 << h.slot[a, AR_SHIFT])  # a way into each
            most = min(folios_at_hand(h, z, least), min(stop - index, stretch) // (2 * pbp) * 2)
            before, taken = take_folios(h, a, z, most, before, hole)
            index += taken * pbp
            if taken > 0:
                note_way(h, a, index - pbp, before)
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
        chain_insert_before(h, a, hole, new_hole(h, index - pos, hole_flag(h, hole)))
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
def flagged(h, a, cell, pinning):
    """Whether a fault on a path stays out of ZONE_MOVABLE: for a pin, or by a hint."""
    if h.slot[a, AR_HINT] and h.g[TABLE + HINTS]:
        return True
    return pinning and h.g[TABLE + cell] != 0


@kernel
def populate(h, a, first, count, cpu, node, pinning):
    """Write-fault every page of a range that is not the area's own. Returns an errno."""
    if h.slot[a, AR_KIND] == HUGETLB:
        return populate_hugetlb(h, a, first, count, cpu, node, pinning)
    index, end = first, first + count
    while index < end:
        ref = locate(h, a, index)
        stop = h.g[G_LPOS] + length(h, ref)
        if is_hole(h, ref):
            stop = fill(h, a, ref, index, min(end, stop), end, cpu, node, pinning)
            if stop < 0:
                return OK if stopped(h) or h.g[G_ERROR] else ENOMEM
        index = stop
    return OK


@kernel
def fill(h, a, hole, index, stop, end, cpu, node, pinning):
    """Write-fault [index, stop) of a hole, THPs up to ``end``; until where, or NIL if stopped."""
    kind, flag = h.slot[a, AR_KIND], hole_flag(h, hole)
    if flag == VIEW:
        return copy_views(h, a, index, stop, cpu, node, flagged(h, a, FLAG_COW, pinning))
    pbp, pos = h.g[G_PBP], h.g[G_LPOS]
    chunk = index - index % pbp
    if kind == THP and (flag == 0 or (flag == HUGE_ZERO and h.g[TABLE + HZP_THP])):
        limit = pos + length(h, hole)
        limit = min(limit - limit % pbp, end + (-end) % pbp)
        if pos <= chunk and chunk < limit:
            cell, path = (FLAG_HZP, PATH_HZP) if flag else (FLAG_THP, PATH_THP)
            wanted = flagged(h, a, cell, pinning)
            done = populate_huge(h, a, chunk, limit, cpu, node, wanted, path)
            if done == limit:
                return done
            if done > chunk:
                index, chunk = done, done
                hole = locate(h, a, index)
            stop = min(end, chunk + pbp)
    if flag == HUGE_ZERO:
        return first_of_huge_zero(h, a, index, cpu, node, pinning)
    if flag == ZERO:
        cell, path = FLAG_ZERO, PATH_ZERO
    else:
        cell, path = base_flag(kind), base_path(kind)
        if kind == THP:
            stop = min(stop, chunk + pbp)
    wanted = flagged(h, a, cell, pinning)
    return stop if populate_base(h, a, index, stop, cpu, node, wanted, path) else NIL


@kernel
def populate_chunk(h, a, index, cpu, node, pinning):
    """Base pages in an empty chunk that found no huge folio. False without room."""
    wanted = flagged(h, a, FLAG_ANON, pinning)
    return populate_base(h, a, index, index + h.g[G_PBP], cpu, node, wanted, PATH_ANON)


@kernel
def first_of_huge_zero(h, a, index, cpu, node, pinning):
    """One base page in the place of a huge zero page, the rest of which becomes zero pages."""
    wanted = flagged(h, a, FLAG_HZP, pinning)
    if not populate_base(h, a, index, index + 1, cpu, node, wanted, PATH_HZP):
        return NIL
    set_holes(h, a, index - index % h.g[G_PBP], h.g[G_PBP], HUGE_ZERO, ZERO)
    return index + 1


@kernel
def base_path(kind):
    """Fault path of a base page where nothing was."""
    if kind == FILE:
        return PATH_FILE
    return PATH_SHMEM if kind == SHMEM else PATH_ANON


@kernel
def copy_views(h, a, index, stop, cpu, node, wanted):
    """Write-fault views: copy what others see, too. Returns until where, NIL if stopped."""
    while index < stop:
        taken, until = take_back(h, a, index, stop)
        if taken >= 0:
            index = taken
            continue
        ask(h, a, cpu, node, wanted)
        kills = h.g[COUNTERS + KILLS]
        while index < until and kills == h.g[COUNTERS + KILLS]:
            z = find_zone(h)
            if z < 0 or h.g[G_ERROR]:
                return NIL
            one = kills != h.g[COUNTERS + KILLS]  # others may be gone
            ref = take_piece(h, z, 1 if one else until - index)
            pages, pb = length(h, ref), block_pb(h, ref)
            attach(h, a, index, ref)
            h.g[COUNTERS + PGFAULT] += pages
            count_fault(h, pb, pages, False, PATH_COW)
            sweep(h, h.slot[a, AR_BELOW], index, pages, cpu)
            index += pages
    return index


@kernel
def map_zero(h, a, first, count):
    """Read faults of anonymous memory: zero pages where nothing is. Returns the pages mapped."""
    pbp, huge = h.g[G_PBP], h.slot[a, AR_KIND] == THP
    mapped, index, end = 0, first, first + count
    while index < end:
        ref = locate(h, a, index)
        pos = h.g[G_LPOS]
        stop = pos + length(h, ref)
        if not is_hole(h, ref) or hole_flag(h, ref):
            index = stop
            continue
        chunk = index - index % pbp
        limit = min(stop - stop % pbp, end + (-end) % pbp)
        if huge and pos <= chunk and chunk < limit:
            mapped += set_holes(h, a, chunk, limit - chunk, 0, HUGE_ZERO)
            index = limit
            continue
        stop = min(stop, end, chunk + pbp) if huge else min(stop, end)
        mapped += set_holes(h, a, index, stop - index, 0, ZERO)
        index = stop
    return mapped


@kernel
def populate_through(h, a, first, count, cpu, node):
    """Populate an area, or the file that a mapping shows."""
    at = behind(h, a, first, count)
    h.g[G_FOR] = h.slot[a, AR_PROC]
    errno = populate(h, at, first, count, cpu, node, False)
    h.g[G_FOR] = NIL
    return errno


@kernel
def unshare(h, a, first, count, cpu):
    """Give an area pages of its own in the place of views."""
    index, end = first, first + count
    wanted = flagged(h, a, FLAG_COW, False)
    while index < end and h.slot[a, AR_VIEWS]:
        ref = locate(h, a, index)
        stop = min(end, h.g[G_LPOS] + length(h, ref))
        if is_view(h, ref):
            stop = copy_views(h, a, index, stop, cpu, NIL, wanted)
            if stop < 0:
                return
        index = stop


@kernel
def populate_hugetlb(h, a, first, count, cpu, node, pinning):
    """Take pool folios for absent chunks; EFAULT when the pool has none for them."""
    parts = h.slot[a, AR_FOLIO]
    size, unit = 1 if parts > 1 else 0, parts * h.g[G_PBP]
    flagged = pinning and h.g[TABLE + FLAG_HUGETLB] != 0
    start = h.small[CPUS + cpu] if node < 0 else node
    chunk = first - first % unit
    while chunk < first + count:
        hole = locate(h, a, chunk)
        if is_hole(h, hole):
            reserved = hole_flag(h, hole) == PROMISED
            pb = NIL
            if reserved or available(h, size) > 0:
                pb = pool_take(h, size, start, ALL_NODES, flagged)
            if pb == NIL:
                return EFAULT
            h.g[G_RESERVED + size] -= reserved
            attach_folio(h, a, chunk, pb, parts)
            h.g[COUNTERS + HUGETLB_FAULT] += 1
        chunk += unit
    return OK


@kernel
def attach_folio(h, a, index, pb, parts):
    """Map a hugetlb folio, and account its fault, by its parts."""
    for i in range(parts):
        h.pbs[pb + i, PS_STATE] = FOLIO
        attach(h, a, index + i * h.g[G_PBP], pb + i)
        set_flags(h, pb + i, GIGANTIC if parts > 1 else 0)
        count_fault(h, pb + i, h.g[G_PBP], True, PATH_HUGETLB)


@kernel
def touch(h, a, first, count, cpu, node):
    """TOUCH."""
    if not range_ok(h, a, first, count) or node >= h.g[G_NNODES]:
        return EINVAL
    h.g[T_PAGES] = count
    return populate_through(h, a, first, count, cpu_of(h, a, cpu), node)


@kernel
def read(h, a, first, count):
    """READ: untouched pages of anonymous areas become the zero page, page cache is filled."""
    if not range_ok(h, a, first, count):
        return EINVAL
    if h.slot[a, AR_KIND] == FILE or h.slot[a, AR_KIND] == SHMEM:
        h.g[T_PAGES] = count
        return populate_through(h, a, first, count, cpu_of(h, a, -1), -1)
    if h.slot[a, AR_KIND] not in (ANON, THP):
        return EINVAL
    h.g[T_PAGES] = map_zero(h, a, first, count)
    return OK


@kernel
def mlock(h, a, on):
    """MLOCK: mlock of a whole area faults it in; reclaim passes over it."""
    if not area_ok(h, a) or h.slot[a, AR_KIND] == KERNEL:
        return EINVAL
    set_locked(h, a, 1 if on else 0)
    if not on:
        return OK
    pages = h.slot[a, AR_PAGES]
    h.g[T_PAGES] = pages
    return populate_through(h, a, 0, pages, cpu_of(h, a, -1), -1)
