"""migrate_pages on elements: where folios go, and what happens to those that cannot.

Rules and sources as in ``engine.reference.migration``. The call stands in the M_ registers.
"""

from engine.allocate import (
    ALL_NODES,
    alloc_huge,
    find_zone,
    from_pool,
    has_room,
    pick_zone,
    request,
    request_movable,
    stopped,
    take_piece,
)
from engine.compact import STUCK, compact_for
from engine.elements import (
    behind_folio,
    block_pb,
    chain_replace,
    count_of,
    counts_of,
    cut_out,
    deferred,
    drop_run,
    head_of,
    is_folio,
    is_gigantic,
    is_hole,
    isolated,
    join_around,
    length,
    locate,
    set_deferred,
    split_first,
    split_low,
    whole_again,
)
from engine.emit import add_move, emit_moves
from engine.enums import Cell, Cost, Counter, Errno, MigrateReason, OfflineTarget
from engine.freelist import free_pb
from engine.hugepool import available, free_hugetlb, pool_find, pool_take, size_of, trade
from engine.hugetlb import count_fresh
from engine.inflight import flights_over, has_io, stretch
from engine.kernel import kernel
from engine.memory import (
    FILE,
    HUGETLB,
    KERNEL,
    block_of,
    change_count,
    claim,
    count_used,
    range_ok,
    replace_folio,
    replace_gigantic,
    split_folio,
)
from engine.percpu import free_base, free_huge
from engine.pinrow import MIGRATED, note_pin
from engine.sharing import behind
from engine.slowdown import emit_work, note_work
from engine.stacks import whole_run
from engine.state import (
    AR_KIND,
    AR_PAGES,
    AR_PROC,
    BK_ISO,
    BK_NODE,
    BK_ZONE,
    COSTS,
    COUNTERS,
    DESC,
    G_BUSY,
    G_GIGANTIC,
    G_KILLED,
    G_LPOS,
    G_NNODES,
    G_PBO,
    G_PBP,
    G_PINNING,
    G_STAMP,
    M_ABORT,
    M_AGAIN2,
    M_AGAIN4,
    M_AGAING,
    M_AGAINT,
    M_CPU,
    M_FAILED,
    M_FLIGHT,
    M_FOLIOS,
    M_HUGETLB,
    M_LATENCY,
    M_MOVED,
    M_NODE,
    M_PROC,
    M_SPLIT,
    M_TARGET,
    NIL,
    PIN_BITS,
    PN_CALL_AREA,
    PN_CALL_COUNT,
    PN_CALL_FIRST,
    PR_CPU,
    PS_FLAG,
    PS_STATE,
    R_LOOSE,
    RN_BNEXT,
    RN_CNT,
    RN_OWN,
    RQ_MT,
    RQ_WAKES,
    RS_FLAG,
    RS_LEN,
    RS_START,
    RS_STATE,
    T_FAILED,
    T_LATENCY,
    T_MIGRATED,
    T_PAGES,
    TABLE,
    UNUSED,
    Z_LOW,
    Z_PCPOFF,
    Z_PRESENT,
)

PIN, OFFLINE, NODE, RETURN = 0, 1, 2, 3
NEVER_RETURNS = 2
"""Of G_KILLED: the requester was not killed, but hangs."""
KINDS, MOVABLE_KIND, MOVABLE = 3, 2, 1
OK, EINVAL, EBUSY = 0, int(Errno.EINVAL), int(Errno.EBUSY)
SUCCESS, FAIL = int(Counter.PGMIGRATE_SUCCESS), int(Counter.PGMIGRATE_FAIL)
THP_SUCCESS, THP_FAIL = int(Counter.THP_MIGRATION_SUCCESS), int(Counter.THP_MIGRATION_FAIL)
THP_SPLIT, CALLS = int(Counter.THP_MIGRATION_SPLIT), int(Counter.MIGRATE_PAGES_CALLS)
MOVE_4K, MOVE_2M = int(Cost.MIGRATE_4K), int(Cost.MIGRATE_2M)
FAIL_4K, FAIL_2M = int(Cost.MIGRATE_FAIL_4K), int(Cost.MIGRATE_FAIL_2M)
TAILS_LAST, REVOCABLE = int(Cell.SPLIT_TAILS_LAST), int(Cell.PIN_REVOCABLE)
REVOKED = int(Counter.PIN_REVOKED)
ACQUIRED, RELEASED = int(Counter.NR_FOLL_PIN_ACQUIRED), int(Counter.NR_FOLL_PIN_RELEASED)
REVOKE, PIN_4K, PIN_2M = int(Cost.PIN_REVOKE), int(Cost.PIN_4K), int(Cost.PIN_2M)
UNPIN_4K, UNPIN_2M = int(Cost.UNPIN_4K), int(Cost.UNPIN_2M)
COUNTS_PAGES = int(Cell.HUGETLB_COUNTS_PAGES)
BUDDY_SUCCESS = int(Counter.HTLB_BUDDY_ALLOC_SUCCESS)
OFFLINE_TARGET, FALLBACK = int(Cell.OFFLINE_TARGET), int(OfflineTarget.SAME_NODE_FALLBACK)
THP_FAIL_PAGES, TRIES = int(Cell.THP_FAIL_PAGES), int(Cell.MIGRATE_TRIES)
SYSCALL = int(MigrateReason.SYSCALL)
COUNTS_FAIL = int(Cell.SPLIT_COUNTS_FAIL)


@kernel
def begin_call(h, target, cpu, proc, node):
    """Start a migrate_pages call."""
    h.g[G_STAMP] += 1
    h.g[M_TARGET] = target
    h.g[M_CPU] = cpu
    h.g[M_PROC] = proc
    h.g[M_NODE] = node
    for i in range(M_MOVED, M_AGAINT + 1):
        h.g[i] = 0
    h.g[COUNTERS + CALLS] += 1


@kernel
def target_start(h, pb):
    """First node a folio may move to."""
    if h.g[M_TARGET] == NODE:
        return h.g[M_NODE]
    own = h.blk[block_of(h, pb), BK_NODE]
    if h.g[M_TARGET] == OFFLINE and h.g[TABLE + OFFLINE_TARGET] == FALLBACK:
        return (own + 1) % h.g[G_NNODES]  # its own node is the last one then
    return own


@kernel
def target_mask(h, pb):
    """Nodes a folio may move to."""
    if h.g[M_TARGET] == NODE:
        return 1 << h.g[M_NODE]
    if h.g[M_TARGET] != OFFLINE or h.g[TABLE + OFFLINE_TARGET] == FALLBACK:
        return ALL_NODES
    own = h.blk[block_of(h, pb), BK_NODE]
    mask = 0
    for node in range(h.g[G_NNODES]):
        present = 0
        for kind in range(KINDS):
            present += h.zone[node * KINDS + kind, Z_PRESENT]
        if present and node != own:
            mask |= 1 << node
    return mask if mask else 1 << own


@kernel
def ask_target(h, pb, huge):
    """Set the request for a folio's target."""
    target = h.g[M_TARGET]
    if target == RETURN:
        request_movable(h, target_start(h, pb), h.g[M_CPU], h.g[M_PROC])
        return
    if target == PIN:
        movable = False
    elif target == NODE:
        movable = True
    else:
        movable = huge or h.blk[block_of(h, pb), BK_ZONE] % KINDS == MOVABLE_KIND
    start, mask = target_start(h, pb), target_mask(h, pb)
    request(h, start, mask, movable, h.g[M_CPU], h.g[M_PROC], target == PIN)
    if target == PIN:
        from_pool(h)
    else:
        h.g[RQ_MT] = MOVABLE


@kernel
def moves_table(h):
    """Which moves table the call counts in: the command's or the offline's."""
    return 1 if h.g[M_TARGET] == OFFLINE else 0


@kernel
def count_moved(h, a, zone_from, new, huge, pages):
    """Account pages that arrived as the element ``new``."""
    pb = block_pb(h, new)
    cost = h.g[COSTS + MOVE_2M] if huge else pages * h.g[COSTS + MOVE_4K]
    if count_of(h, new):
        cost += count_revoked(h, count_of(h, new), huge, pages)
    h.g[M_LATENCY] += cost
    h.g[M_MOVED] += pages
    if h.slot[a, AR_KIND] == HUGETLB:
        h.g[M_HUGETLB] += pages
    elif huge:
        h.g[COUNTERS + THP_SUCCESS] += 1
    folios = 1 if huge else pages
    zone_to = h.blk[block_of(h, pb), BK_ZONE]
    size = 1 if huge else 0
    add_move(h, moves_table(h), zone_from, zone_to, size, folios, pages, cost)
    note_work(h, moves_table(h), a, folios, cost)
    one = h.slot[a, AR_KIND] == HUGETLB and not h.g[TABLE + COUNTS_PAGES]
    h.g[COUNTERS + SUCCESS] += 1 if one else pages
    h.g[T_MIGRATED] += pages
    if h.g[G_PINNING]:
        note_pin(h, a, pb, huge, MIGRATED, pages, cost)


@kernel
def count_revoked(h, pins, huge, pages):
    """Account folios whose pinner let go of them and pins them again. Returns ns."""
    if huge:
        taken, folios = pins, 1
        again = h.g[COSTS + UNPIN_2M] + h.g[COSTS + PIN_2M]
    else:
        taken, folios = pins * pages, pages
        again = h.g[COSTS + UNPIN_4K] + h.g[COSTS + PIN_4K]
    h.g[COUNTERS + REVOKED] += folios
    h.g[COUNTERS + RELEASED] += taken
    h.g[COUNTERS + ACQUIRED] += taken
    return folios * (h.g[COSTS + REVOKE] + again)


@kernel
def revocable(h, ref):
    """Whether an offline may move an element although it is pinned."""
    if h.g[M_TARGET] != OFFLINE or not h.g[TABLE + REVOCABLE]:
        return False
    return count_of(h, ref) >> PIN_BITS == 0


@kernel
def count_failed(h, a, huge, folios):
    """Account folios the call gives up on, as vmstat does."""
    pages = folios * (h.g[G_PBP] if huge else 1)
    h.g[M_FOLIOS] += folios
    h.g[M_FAILED] += pages
    h.g[T_FAILED] += pages
    h.g[COUNTERS + FAIL] += folios * (h.g[TABLE + THP_FAIL_PAGES] if huge else 1)
    if huge and h.slot[a, AR_KIND] != HUGETLB:
        h.g[COUNTERS + THP_FAIL] += folios


@kernel
def again(h, a, huge, folios):
    """Folios that somebody holds: -EAGAIN, to be tried once more."""
    cost = folios * (h.g[COSTS + FAIL_2M] if huge else h.g[COSTS + FAIL_4K])
    h.g[M_LATENCY] += cost
    note_work(h, moves_table(h), a, folios, cost)
    if not huge:
        h.g[M_AGAIN4] += folios
    elif h.slot[a, AR_KIND] == HUGETLB:
        h.g[M_AGAIN2] += folios
    else:
        h.g[M_AGAINT] += folios


@kernel
def abort_call(h, a, huge):
    """No target: the call ends here."""
    count_failed(h, a, huge, 1)
    h.g[M_ABORT] = 1


@kernel
def try_held_base(h, a, ref):
    """A held base element: room decides between EAGAIN and the end of the call."""
    pb = block_pb(h, ref)
    ask_target(h, pb, False)
    left = length(h, ref)
    while left > 0:
        if has_room(h, 0):
            again(h, a, False, left)
            return
        z = find_zone(h)
        if z < 0:
            if not stopped(h):
                abort_call(h, a, False)
            return
        piece = take_piece(h, z, 1)
        if piece >= 0:
            h.pbs[piece, PS_STATE] = UNUSED
            free_pb(h, piece)
        else:
            free_base(h, -2 - piece, -1, True)
        again(h, a, False, 1)
        left -= 1


@kernel
def free_source(h, ref, upwards):
    """Free a migrated-from base element: to the CPU's list, or directly for an offline."""
    cpu = -1 if h.g[M_TARGET] == OFFLINE else h.g[M_CPU]
    if ref >= 0:
        b = block_of(h, ref)
        h.pbs[ref, PS_FLAG] = 0
        if cpu < 0 or h.blk[b, BK_ISO] or h.zone[h.blk[b, BK_ZONE], Z_PCPOFF]:
            h.pbs[ref, PS_STATE] = UNUSED
            free_pb(h, ref)
            return
        free_base(h, whole_run(h, ref), cpu, upwards)
        return
    r = -2 - ref
    h.runb[r, RS_STATE] = R_LOOSE
    free_base(h, r, cpu, upwards)


@kernel
def move_base(h, a, ref, low_first):
    """Migrate a base element that nobody holds, piece by piece.

    ``low_first``: pages go in pfn order (a block is emptied), else in virtual order. Below the
    low marks each page of a file that has moved may be the next one that kswapd drops.
    """
    eats_itself = h.slot[a, AR_KIND] == FILE and h.g[G_BUSY] != a
    left = length(h, ref)
    pb = block_pb(h, ref)
    zone_from = h.blk[block_of(h, pb), BK_ZONE]
    ask_target(h, pb, False)
    aside = NIL
    while left > 0:
        if aside != NIL and pick_zone(h, Z_LOW) < 0:  # somebody will look at free pages
            free_source(h, -2 - aside, True)
            aside = NIL
        z = find_zone(h)
        if z < 0:
            if not stopped(h):
                abort_call(h, a, False)
            return
        new = take_piece(h, z, 1 if eats_itself and h.g[RQ_WAKES] else left)
        k = length(h, new)
        part, rest = ref, NIL
        if k < left:
            part, rest = cut_for_move(h, ref, k, low_first)
        down = part < NIL and (h.runb[-2 - part, RS_FLAG] & DESC) != 0
        claim(h, a, new)
        if new < NIL and low_first and down:
            h.runb[-2 - new, RS_FLAG] ^= DESC
        pins = count_of(h, part)
        if pins:  # revoked: they go with the pages
            change_count(h, part, 0)
            change_count(h, new, pins)
        chain_replace(h, a, part, new)
        count_used(h, a, pb, -k)
        upwards = low_first or not down
        if upwards and part < NIL and out_of_sight(h, zone_from):
            aside = put_aside(h, aside, -2 - part)
        else:
            free_source(h, part, upwards)
        count_moved(h, a, zone_from, new, False, k)
        if new >= 0 and low_first and down:
            turn_around(h, a, new)
        elif new < NIL:
            new = join_around(h, a, new)
            if new < NIL:
                whole_again(h, a, new)
        ref = rest
        left -= k
    if aside != NIL:
        free_source(h, -2 - aside, True)


@kernel
def out_of_sight(h, zone_from):
    """Whether no request for a target can get pages of the source's zone, or of its list."""
    target = h.g[M_TARGET]
    return target == OFFLINE or (target == PIN and zone_from % KINDS == MOVABLE_KIND)


@kernel
def put_aside(h, aside, r):
    """Let pages wait that have moved; returns the run that holds them.

    They are freed in one piece, with the same result: nothing else is freed meanwhile, and no
    allocation can take them (``out_of_sight``).
    """
    h.runb[r, RS_STATE] = R_LOOSE
    h.runb[r, RS_FLAG] = 0
    if aside == NIL:
        return r
    h.runs[aside, RS_LEN] += h.runs[r, RS_LEN]
    h.run[aside, RN_BNEXT] = h.run[r, RN_BNEXT]
    drop_run(h, r)
    return aside


@kernel
def turn_around(h, a, pb):
    """A uniform pageblock whose pages are mapped in descending order."""
    pins = count_of(h, pb)
    r = whole_run(h, pb)
    h.run[r, RN_CNT] = pins
    h.run[r, RN_OWN] = a
    h.runb[r, RS_STATE] = 2
    h.runb[r, RS_FLAG] = DESC
    chain_replace(h, a, pb, -2 - r)


@kernel
def cut_for_move(h, ref, k, low_first):
    """Cut k pages off an element in the order of the move; returns (part, rest)."""
    if ref >= 0 or low_first or not h.runb[-2 - ref, RS_FLAG] & DESC:
        part = split_low(h, ref, k)
        return part, -2 - h.run[-2 - part, RN_BNEXT]
    part = split_first(h, ref, k)
    return part, ref


@kernel
def move_huge(h, a, pb, low_first):
    """Migrate a huge folio that nobody holds; splits a THP that finds no target."""
    if h.slot[a, AR_KIND] == HUGETLB:
        if not move_hugetlb(h, a, pb):
            abort_call(h, a, True)
        return
    ask_target(h, pb, True)
    new = alloc_huge(h, h.g[G_PBO])
    if new == NIL and h.g[M_TARGET] == PIN:
        area, first, pages = h.g[PN_CALL_AREA], h.g[PN_CALL_FIRST], h.g[PN_CALL_COUNT]
        new = compact_for(h, h.g[G_PBO], area, first, pages)
        if new == STUCK:
            h.g[G_KILLED] = NEVER_RETURNS
            return
    if new == NIL and (count_of(h, pb) or h.g[M_TARGET] == RETURN):
        abort_call(h, a, True)  # it stays whole
        return
    if new == NIL:
        h.g[COUNTERS + THP_SPLIT] += 1
        h.g[COUNTERS + THP_FAIL] += h.g[TABLE + COUNTS_FAIL]
        h.g[M_SPLIT] += 1
        split_folio(h, pb)
        head = pb
        if h.g[TABLE + TAILS_LAST]:
            head = split_low(h, pb, 1)
            set_deferred(h, -2 - h.run[-2 - head, RN_BNEXT], True)
        move_base(h, a, head, low_first)
        return
    zone_from = h.blk[block_of(h, pb), BK_ZONE]
    replace_folio(h, a, pb, new)
    free_huge(h, pb, -1 if h.g[M_TARGET] == OFFLINE else h.g[M_CPU])
    count_moved(h, a, zone_from, new, True, h.g[G_PBP])


@kernel
def pool_target(h, pb):
    """A pool folio that nobody has reserved, for a hugetlb folio of this call; or NIL."""
    size = size_of(h, pb)
    if available(h, size) <= 0:
        return NIL
    return pool_take(h, size, target_start(h, pb), target_mask(h, pb), h.g[M_TARGET] == PIN)


@kernel
def ask_fresh(h, pb):
    """Set the request for a fresh hugetlb page: a pin's must come from the folio's own node."""
    if h.g[M_TARGET] == PIN:
        start = target_start(h, pb)
        request(h, start, 1 << start, False, h.g[M_CPU], h.g[M_PROC], False)
    else:
        ask_target(h, pb, True)


@kernel
def cpu_of_call(h):
    """The CPU whose lists take freed pages: none for an offline."""
    return -1 if h.g[M_TARGET] == OFFLINE else h.g[M_CPU]


@kernel
def move_hugetlb(h, a, pb):
    """Move a hugetlb folio to a pool folio, or a fresh one. False: no target."""
    zone_from = h.blk[block_of(h, pb), BK_ZONE]
    new = pool_target(h, pb)
    fresh = new == NIL
    if fresh:
        ask_fresh(h, pb)
        new = alloc_huge(h, h.g[G_PBO])
        count_fresh(h, new)
        if new == NIL:
            return False
    replace_folio(h, a, pb, new)
    if fresh:
        trade(h, pb, new)
        free_huge(h, pb, cpu_of_call(h))
    else:
        free_hugetlb(h, pb, cpu_of_call(h))
    count_moved(h, a, zone_from, new, True, h.g[G_PBP])
    return True


@kernel
def try_held_hugetlb(h, a, pb):
    """A held hugetlb folio: its target is taken and given back; without one the call ends."""
    target = pool_target(h, pb)
    if target != NIL:
        free_hugetlb(h, target, cpu_of_call(h))
    else:
        ask_fresh(h, pb)
        if has_room(h, h.g[G_PBO]):
            h.g[COUNTERS + BUDDY_SUCCESS] += 1
        else:
            target = alloc_huge(h, h.g[G_PBO])
            count_fresh(h, target)
            if target == NIL:
                abort_call(h, a, True)
                return
            h.pbs[target, PS_STATE] = UNUSED
            free_pb(h, target)
    again(h, a, True, 1)


@kernel
def try_gigantic(h, a, pb):
    """One try of a gigantic folio: it moves to a free one of the pool; without one the call ends.

    As for other hugetlb folios the target of a held one is taken and given back.
    """
    target = pool_target(h, pb)
    if target == NIL:
        count_failed_gigantic(h, 1)
        h.g[M_ABORT] = 1
        return
    pins, references = counts_of(h, pb)
    revoked = h.g[M_TARGET] == OFFLINE and h.g[TABLE + REVOCABLE] != 0 and references == 0
    if (pins or references) and not revoked:
        free_hugetlb(h, target, cpu_of_call(h))
        h.g[M_LATENCY] += h.g[COSTS + FAIL_2M]
        note_work(h, moves_table(h), a, 1, h.g[COSTS + FAIL_2M])
        h.g[M_AGAING] += 1
        return
    zone_from = h.blk[block_of(h, pb), BK_ZONE]
    replace_gigantic(h, a, pb, target)
    free_hugetlb(h, pb, cpu_of_call(h))
    count_moved_gigantic(h, a, zone_from, target, pins)


@kernel
def count_moved_gigantic(h, a, zone_from, new, pins):
    """Account a gigantic folio that arrived: its parts cost what huge folios do."""
    parts, pages = h.g[G_GIGANTIC], h.g[G_GIGANTIC] * h.g[G_PBP]
    cost = parts * h.g[COSTS + MOVE_2M]
    if pins:
        h.g[COUNTERS + REVOKED] += 1
        h.g[COUNTERS + RELEASED] += pins
        h.g[COUNTERS + ACQUIRED] += pins
        cost += h.g[COSTS + REVOKE] + parts * (h.g[COSTS + UNPIN_2M] + h.g[COSTS + PIN_2M])
    h.g[M_LATENCY] += cost
    h.g[M_MOVED] += pages
    h.g[M_HUGETLB] += pages
    zone_to = h.blk[block_of(h, new), BK_ZONE]
    add_move(h, moves_table(h), zone_from, zone_to, 2, 1, pages, cost)
    note_work(h, moves_table(h), a, 1, cost)
    h.g[COUNTERS + SUCCESS] += pages if h.g[TABLE + COUNTS_PAGES] else 1
    h.g[T_MIGRATED] += pages
    if h.g[G_PINNING]:
        for pb in range(new, new + parts):
            note_pin(h, a, pb, True, MIGRATED, h.g[G_PBP], h.g[COSTS + MOVE_2M])


@kernel
def count_failed_gigantic(h, folios):
    """Account gigantic folios that the call gives up on, as vmstat does."""
    pages = folios * h.g[G_GIGANTIC] * h.g[G_PBP]
    by_pages = h.g[TABLE + THP_FAIL_PAGES]
    h.g[M_FOLIOS] += folios
    h.g[M_FAILED] += pages
    h.g[T_FAILED] += pages
    h.g[COUNTERS + FAIL] += folios * (by_pages * h.g[G_GIGANTIC] if by_pages > 1 else by_pages)


@kernel
def try_element(h, a, ref, low_first):
    """One try of every folio of an element; of the whole folio that a part belongs to."""
    if is_gigantic(h, ref):
        try_gigantic(h, a, head_of(h, ref))
        return
    huge = is_folio(h, ref)
    if has_io(h, a, ref):
        try_with_io(h, a, ref, low_first)
    elif count_of(h, ref) == 0 or revocable(h, ref):
        if huge:
            move_huge(h, a, ref, low_first)
        else:
            move_base(h, a, ref, low_first)
    elif h.slot[a, AR_KIND] == HUGETLB:
        try_held_hugetlb(h, a, ref)
    elif huge:
        try_held_huge(h, a, ref)
    else:
        try_held_base(h, a, ref)


@kernel
def try_held_huge(h, a, pb):
    """A held huge folio: without room for a THP the call ends, as its split fails, too."""
    ask_target(h, pb, True)
    if not has_room(h, h.g[G_PBO]):
        target = alloc_huge(h, h.g[G_PBO])
        if target == NIL:
            abort_call(h, a, True)
            return
        h.pbs[target, PS_STATE] = UNUSED
        free_pb(h, target)
    again(h, a, True, 1)


@kernel
def try_with_io(h, a, ref, low_first):
    """One try of an element of an area with I/O: what is in flight stays, the rest moves."""
    pb = block_pb(h, ref)
    if is_folio(h, ref):
        if flights_over(h, a, ref, pb, 0):
            h.g[M_FLIGHT] = 1
            try_held_huge(h, a, ref)
        else:
            move_huge(h, a, ref, low_first)
        return
    while ref != NIL and not h.g[M_ABORT] and not stopped(h):
        upwards = low_first or ref >= 0 or not h.runb[-2 - ref, RS_FLAG] & DESC
        pages = length(h, ref)
        first = 0 if ref >= 0 else h.runs[-2 - ref, RS_START]
        k = stretch(h, a, pb, first if upwards else first + pages - 1, upwards)
        part, rest = ref, NIL
        if abs(k) < pages:
            part, rest = cut_for_move(h, ref, abs(k), low_first)
        if k > 0:
            move_base(h, a, part, low_first)
        else:
            before = h.g[M_AGAIN4]
            try_held_base(h, a, part)
            if h.g[M_AGAIN4] != before:  # without a target it would have stayed in any case
                h.g[M_FLIGHT] = 1
        ref = rest


@kernel
def end_call(h):
    """Count what stayed held after the last try as failed (unless the call was cut short)."""
    if h.g[M_ABORT]:
        return
    if h.g[M_AGAIN4]:
        count_failed(h, NIL, False, h.g[M_AGAIN4])
    if h.g[M_AGAING]:
        count_failed_gigantic(h, h.g[M_AGAING])
    huge = h.g[M_AGAIN2] + h.g[M_AGAINT]
    if huge:
        pages = huge * h.g[G_PBP]
        h.g[M_FOLIOS] += huge
        h.g[M_FAILED] += pages
        h.g[T_FAILED] += pages
        h.g[COUNTERS + FAIL] += huge * h.g[TABLE + THP_FAIL_PAGES]
        h.g[COUNTERS + THP_FAIL] += h.g[M_AGAINT]


@kernel
def pool_offers(h):
    """Whether the pool has a target for a hugetlb folio of a pin or of move_pages."""
    mask = 1 << h.g[M_NODE] if h.g[M_TARGET] == NODE else ALL_NODES
    return available(h, 0) > 0 and pool_find(h, 0, 0, mask, h.g[M_TARGET] == PIN) != NIL


@kernel
def finish_now(h, a):
    """The other tries of a call at one instant: what was held is held on every try.

    All that such a call is about belongs to one area.
    """
    if not h.g[M_ABORT]:
        tries = h.g[TABLE + TRIES] - 1
        huge = h.g[M_AGAIN2] + h.g[M_AGAINT] + h.g[M_AGAING]
        cost = tries * (h.g[M_AGAIN4] * h.g[COSTS + FAIL_4K] + huge * h.g[COSTS + FAIL_2M])
        h.g[M_LATENCY] += cost
        if h.g[M_AGAIN4] or huge:
            note_work(h, 0, a, tries * (h.g[M_AGAIN4] + huge), cost)
        if h.g[M_AGAIN2] and not pool_offers(h):
            h.g[COUNTERS + BUDDY_SUCCESS] += tries * h.g[M_AGAIN2]
    end_call(h)
    h.g[T_LATENCY] += h.g[M_LATENCY]


@kernel
def left_behind(h):
    """Whether a finished call left folios where they were."""
    again_huge = h.g[M_AGAIN2] or h.g[M_AGAINT] or h.g[M_AGAING]
    return h.g[M_ABORT] or h.g[M_AGAIN4] or again_huge


@kernel
def try_deferred(h, a, first, count):
    """The turn of the tails of THPs that this call split, also those outside the range.

    After the end of a call that was cut short they only stop waiting.
    """
    if h.g[M_SPLIT] == 0 or not h.g[TABLE + TAILS_LAST]:
        return
    pbp = h.g[G_PBP]
    index = first - first % pbp
    end = min(h.slot[a, AR_PAGES], (first + count + pbp - 1) // pbp * pbp)
    while index < end:
        ref = locate(h, a, index)
        index = h.g[G_LPOS] + length(h, ref)
        if is_hole(h, ref) or not deferred(h, ref):
            continue
        set_deferred(h, ref, False)
        if not h.g[M_ABORT]:
            try_element(h, a, ref, False)
        if stopped(h):
            return


@kernel
def migrate(h, slot, first, count, node):
    """MIGRATE: move_pages of a range to a node."""
    a = slot
    if not range_ok(h, a, first, count) or not 0 <= node < h.g[G_NNODES]:
        return EINVAL
    if h.slot[a, AR_KIND] == KERNEL:
        return EINVAL
    begin_call(h, NODE, h.slot[h.slot[a, AR_PROC], PR_CPU], h.slot[a, AR_PROC], node)
    a = behind(h, a, 0, 0)
    index, end = first, first + count
    while index < end and not h.g[M_ABORT]:
        ref = locate(h, a, index)
        pos = h.g[G_LPOS]
        stop = pos + length(h, ref)
        if not is_hole(h, ref) and not isolated(h, ref):
            if h.blk[block_of(h, block_pb(h, ref)), BK_NODE] != node:
                if not is_folio(h, ref):
                    stop = min(end, stop)
                    ref = cut_out(h, a, index, stop)
                elif is_gigantic(h, ref):
                    stop = behind_folio(h, a, index)
                try_element(h, a, ref, False)
        index = stop
    try_deferred(h, a, first, count)
    finish_now(h, a)
    emit_moves(h, 0, SYSCALL, slot)
    emit_work(h, 0, SYSCALL, slot)
    h.g[T_PAGES] = count
    return EBUSY if left_behind(h) else OK
