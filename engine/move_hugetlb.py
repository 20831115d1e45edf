"""Moving hugetlb folios, those of 2 MiB and gigantic ones: to the pool's, or to fresh ones.

Rules and sources as in ``engine.reference.migration``.
"""

from engine.allocate import alloc_huge, has_room, request
from engine.buddy import free_pb
from engine.elements import counts_of
from engine.enums import Cell, Cost, Counter
from engine.hugepool import available, free_hugetlb, pool_take, size_of, trade
from engine.hugetlb import count_fresh
from engine.kernel import kernel
from engine.memory import block_of, replace_folio, replace_gigantic
from engine.moved import abort_call, again, count_failed_gigantic, count_moved, count_moved_gigantic
from engine.percpu import free_huge
from engine.slowdown import note_work
from engine.state import (
    BK_ZONE,
    COSTS,
    COUNTERS,
    G_PBO,
    G_PBP,
    M_ABORT,
    M_AGAING,
    M_CPU,
    M_LATENCY,
    M_PROC,
    M_TARGET,
    NIL,
    PS_STATE,
    TABLE,
    UNUSED,
)
from engine.target import (
    OFFLINE,
    PIN,
    ask_target,
    cpu_of_call,
    moves_table,
    target_mask,
    target_start,
)

FAIL_2M = int(Cost.MIGRATE_FAIL_2M)
REVOCABLE = int(Cell.PIN_REVOCABLE)
BUDDY_SUCCESS = int(Counter.HTLB_BUDDY_ALLOC_SUCCESS)


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
