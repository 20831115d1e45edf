"""Moving a folio that nobody holds: base pages piece by piece, THPs whole or split.

Rules and sources as in ``engine.reference.migration``.
"""

from engine.allocate import (
    POOL,
    alloc_huge,
    find_zone,
    more_at_hand,
    pick_zone,
    stopped,
    take_more,
    take_piece,
)
from engine.chains import chain_insert, chain_replace
from engine.compact import STUCK, compact_for
from engine.elements import block_pb, count_of, drop_run, length, nxt, set_deferred
from engine.enums import Cell, Counter
from engine.kernel import kernel
from engine.kswapd import turn_ended
from engine.landmarks import hand_over
from engine.memory import (
    FILE,
    HUGETLB,
    block_of,
    change_count,
    claim,
    count_used,
    free_loose_base,
    replace_folio,
    split_folio,
)
from engine.move_hugetlb import move_hugetlb
from engine.moved import abort_call, count_moved, count_moved_base
from engine.percpu import free_huge
from engine.runs import join_around, split_first, split_low, whole_again
from engine.stacks import whole_run
from engine.state import (
    AR_HINTREF,
    AR_KIND,
    BK_ZONE,
    COUNTERS,
    DESC,
    G_BUSY,
    G_KILLED,
    G_PBO,
    G_PBP,
    G_PINNING,
    M_CPU,
    M_SPLIT,
    M_TARGET,
    NIL,
    PN_CALL_AREA,
    PN_CALL_COUNT,
    PN_CALL_FIRST,
    R_LOOSE,
    RN_BNEXT,
    RN_CNT,
    RN_OWN,
    RQ_WAKES,
    RS_FLAG,
    RS_LEN,
    RS_START,
    RS_STATE,
    TABLE,
    Z_LOW,
)
from engine.target import OFFLINE, PIN, RETURN, ask_target, cpu_of_call

NEVER_RETURNS = 2
"""Of G_KILLED: the requester was not killed, but hangs."""
KINDS, MOVABLE_KIND = 3, 2
THP_FAIL = int(Counter.THP_MIGRATION_FAIL)
THP_SPLIT = int(Counter.THP_MIGRATION_SPLIT)
TAILS_LAST = int(Cell.SPLIT_TAILS_LAST)
COUNTS_FAIL = int(Cell.SPLIT_COUNTS_FAIL)


@kernel
def free_source(h, ref, upwards):
    """Free a migrated-from base element: to the CPU's list, or directly for an offline."""
    free_loose_base(h, ref, cpu_of_call(h), upwards)


@kernel
def move_base(h, a, ref, low_first):
    """Migrate a base element that nobody holds, piece by piece.

    ``low_first``: pages go in pfn order (a block is emptied), else in virtual order. Below the
    low marks each page of a file that has moved may be the next one that kswapd drops; each page
    whose (revoked) pin goes with it to a zone with a pool for pins takes one page of the pool.
    """
    eats_itself = h.slot[a, AR_KIND] == FILE and h.g[G_BUSY] != a
    pb, pins, left = block_pb(h, ref), count_of(h, ref), length(h, ref)
    zone_from = h.blk[block_of(h, pb), BK_ZONE]
    fills_pool = h.g[TABLE + POOL] and pins
    in_a_row = out_of_sight(h, zone_from) and not fills_pool
    ask_target(h, pb, False)
    aside, z, more, moved = NIL, NIL, 0, 0
    while left > 0:
        if more > 0:
            new, more = take_more(h, z, more, left)
        else:
            moved = count_moved_base(h, a, zone_from, z, moved)
            if aside != NIL and (turn_ended(h) or pick_zone(h, Z_LOW) < 0):
                # somebody will look at free pages, or free others
                free_source(h, -2 - aside, True)
                aside = NIL
            z = find_zone(h)
            if z < 0:
                if not stopped(h):
                    abort_call(h, a, False)
                return
            one_by_one = fills_pool or (eats_itself and h.g[RQ_WAKES])
            new = take_piece(h, z, 1 if one_by_one else left)
            more = more_at_hand(h, z) if in_a_row else 0
        k = length(h, new)
        ref, aside = move_to(h, a, ref, new, low_first, aside)
        left -= k
        if not pins and not h.g[G_PINNING]:
            moved += k
    count_moved_base(h, a, zone_from, z, moved)
    if aside != NIL:
        free_source(h, -2 - aside, True)


@kernel
def move_to(h, a, ref, new, low_first, aside):
    """Move the first pages of a base element to ``new``; returns (the rest of it, run aside)."""
    pb, pins, left, k = block_pb(h, ref), count_of(h, ref), length(h, ref), length(h, new)
    zone_from = h.blk[block_of(h, pb), BK_ZONE]
    claim(h, a, new)
    down, rest = ref < NIL and (h.runb[-2 - ref, RS_FLAG] & DESC) != 0, ref
    if new < NIL and low_first and down:
        h.runb[-2 - new, RS_FLAG] ^= DESC
    if aside != NIL and k < left and not pins:
        peel(h, a, ref, new, aside, k)
    else:
        part, rest = ref, NIL
        if k < left:
            part, rest = cut_for_move(h, ref, k, low_first)
        if pins:  # revoked: they go with the pages
            change_count(h, part, 0)
            change_count(h, new, pins)
        chain_replace(h, a, part, new)
        aside = let_go(h, part, low_first or not down, zone_from, aside)
    count_used(h, a, pb, -k)
    if pins or h.g[G_PINNING]:
        count_moved(h, a, zone_from, new, False, k)
    if new >= 0 and low_first and down:
        turn_around(h, a, new)
    elif new < NIL:
        new = join_around(h, a, new)
        if new < NIL:
            whole_again(h, a, new)
    return rest, aside


@kernel
def let_go(h, part, upwards, zone_from, aside):
    """Free what has moved, or put it aside; returns the run that holds what waits, or NIL."""
    if upwards and part < NIL and out_of_sight(h, zone_from):
        return put_aside(h, aside, -2 - part)
    free_source(h, part, upwards)
    return aside


@kernel
def peel(h, a, ref, new, aside, k):
    """Move the low k pages of a run to ``new``, and what they were to the run aside below it.

    As cutting them off, and putting them aside, but for the record that takes.
    """
    r = -2 - ref
    if h.runb[r, RS_FLAG] & DESC:
        chain_insert(h, a, nxt(h, ref), new)
    else:
        chain_insert(h, a, ref, new)
        hand_over(h, ref, new)
        if h.slot[a, AR_HINTREF] == ref:
            h.slot[a, AR_HINTREF] = new
    h.runs[aside, RS_LEN] += k
    h.runs[r, RS_START] += k
    h.runs[r, RS_LEN] -= k


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
