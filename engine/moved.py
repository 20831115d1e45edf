"""What a migrate_pages call books: folios that moved, failed, or are to be tried again.

As vmstat counts them (``engine.reference.migration``).
"""

from engine.elements import block_pb, count_of
from engine.emit import add_move
from engine.enums import Cell, Cost, Counter
from engine.kernel import kernel
from engine.memory import HUGETLB, block_of
from engine.pinrow import MIGRATED, note_pin
from engine.slowdown import note_work
from engine.state import (
    AR_KIND,
    BK_ZONE,
    COSTS,
    COUNTERS,
    G_GIGANTIC,
    G_PBP,
    G_PINNING,
    M_ABORT,
    M_AGAIN2,
    M_AGAIN4,
    M_AGAINT,
    M_FAILED,
    M_FOLIOS,
    M_HUGETLB,
    M_LATENCY,
    M_MOVED,
    M_TIMES,
    T_FAILED,
    T_MIGRATED,
    TABLE,
)
from engine.target import moves_table

SUCCESS, FAIL = int(Counter.PGMIGRATE_SUCCESS), int(Counter.PGMIGRATE_FAIL)
THP_SUCCESS, THP_FAIL = int(Counter.THP_MIGRATION_SUCCESS), int(Counter.THP_MIGRATION_FAIL)
MOVE_4K, MOVE_2M = int(Cost.MIGRATE_4K), int(Cost.MIGRATE_2M)
FAIL_4K, FAIL_2M = int(Cost.MIGRATE_FAIL_4K), int(Cost.MIGRATE_FAIL_2M)
REVOKED = int(Counter.PIN_REVOKED)
ACQUIRED, RELEASED = int(Counter.NR_FOLL_PIN_ACQUIRED), int(Counter.NR_FOLL_PIN_RELEASED)
REVOKE, PIN_4K, PIN_2M = int(Cost.PIN_REVOKE), int(Cost.PIN_4K), int(Cost.PIN_2M)
UNPIN_4K, UNPIN_2M = int(Cost.UNPIN_4K), int(Cost.UNPIN_2M)
COUNTS_PAGES = int(Cell.HUGETLB_COUNTS_PAGES)
THP_FAIL_PAGES = int(Cell.THP_FAIL_PAGES)


@kernel
def count_moved(h, a, zone_from, new, huge, pages):
    """Account pages that arrived as the element ``new``."""
    pb = block_pb(h, new)
    cost = h.g[COSTS + MOVE_2M] if huge else pages * h.g[COSTS + MOVE_4K]
    if count_of(h, new):
        cost += count_revoked(h, count_of(h, new), huge, pages)
    book(h, a, zone_from, h.blk[block_of(h, pb), BK_ZONE], huge, pages, cost)
    if h.g[G_PINNING]:
        note_pin(h, a, pb, huge, MIGRATED, pages, cost)


@kernel
def count_moved_base(h, a, zone_from, zone_to, pages):
    """As ``count_moved`` of base pages without pins, for no pin's sake; returns 0."""
    if pages:
        book(h, a, zone_from, zone_to, False, pages, pages * h.g[COSTS + MOVE_4K])
    return 0


@kernel
def book(h, a, zone_from, zone_to, huge, pages, cost):
    """Count pages that went from one zone to another, and the time it took."""
    h.g[M_LATENCY] += cost
    h.g[M_MOVED] += pages
    if h.slot[a, AR_KIND] == HUGETLB:
        h.g[M_HUGETLB] += pages
    elif huge:
        h.g[COUNTERS + THP_SUCCESS] += 1
    folios, size = 1 if huge else pages, 1 if huge else 0
    add_move(h, moves_table(h), zone_from, zone_to, size, folios, pages, cost)
    note_work(h, moves_table(h), a, folios, cost)
    one = h.slot[a, AR_KIND] == HUGETLB and not h.g[TABLE + COUNTS_PAGES]
    h.g[COUNTERS + SUCCESS] += 1 if one else pages
    h.g[T_MIGRATED] += pages


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
    """Folios that somebody holds: -EAGAIN, to be tried once more (M_TIMES: ``engine.alike``)."""
    tries = folios * h.g[M_TIMES]
    cost = tries * (h.g[COSTS + FAIL_2M] if huge else h.g[COSTS + FAIL_4K])
    h.g[M_LATENCY] += cost
    note_work(h, moves_table(h), a, tries, cost)
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
