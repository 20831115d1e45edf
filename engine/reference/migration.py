"""migrate_pages: one try over a list of folios, and what it does with each.

Source: mm/migrate.c of Linux 5.10 and 6.1: the target is allocated before the reference count is
looked at; a held folio is -EAGAIN on every try; no target for a base page ends the call, no
target for a THP splits it. A failing try allocates its target and gives it back; that pair is
left out here, because it ends in the same free pages.
"""

from dataclasses import dataclass, field
from enum import IntEnum

from engine.enums import (
    AreaKind,
    Cell,
    Cost,
    Counter,
    Errno,
    MigrateReason,
    Migratetype,
    OfflineTarget,
    PoolSize,
    Row,
    ZoneKind,
)
from engine.reference.allocator import NOBODY, Request
from engine.reference.compaction import Compaction
from engine.reference.state import POOL_AREA, Folio, Moves, PinRows


class Target(IntEnum):
    """Rule that says where migrated folios go."""

    PIN = (
        0  # kernel zones, the folio's own node first (alloc_migration_target under PF_MEMALLOC_PIN)
    )
    OFFLINE = 1  # all memory nodes but the folio's own, unless it is the only one (OfflineTarget)
    NODE = 2  # one stated node (move_pages)
    RETURN = 3  # ZONE_MOVABLE, the folio's own node first, above the low marks


@dataclass(slots=True)
class Call:
    """A running migrate_pages call."""

    target: Target
    cpu: int
    proc: int
    node: int = 0
    pending: list[Folio] = field(default_factory=list)
    failed_folios: int = 0
    failed_thps: int = 0
    failed_pages: int = 0
    aborted: bool = False
    moved: int = 0
    moved_hugetlb: int = 0
    split: int = 0
    in_flight: int = 0
    """Times a folio stayed for nothing but an I/O in flight."""
    latency_ns: int = 0
    span: tuple[int, int, int] = (-1, 0, 0)
    """Area, first page and pages that a pin's call is about."""


class Migration(Compaction):
    """The layer that moves folios."""

    def _target_nodes(self, call: Call, folio: Folio) -> list[int]:
        """Nodes a folio may move to, in order."""
        own = self._node_of(folio.pfn)
        if call.target == Target.NODE:
            return [call.node]
        if call.target in (Target.PIN, Target.RETURN):
            return self._nodes_from(own)
        populated = self._populated_nodes()
        others = [n for n in self._nodes_from(own) if n != own and n in populated]
        if self.table[Cell.OFFLINE_TARGET] == OfflineTarget.SAME_NODE_FALLBACK:
            return [*others, own]
        return others or [own]

    def _target_request(self, call: Call, folio: Folio) -> Request:
        """Zonelist of a folio's target."""
        nodes, cpu, proc = self._target_nodes(call, folio), call.cpu, call.proc
        if call.target == Target.PIN:
            return self._from_pool(self._request(nodes, False, cpu, proc, may_oom=True))
        nowait = call.target == Target.RETURN
        # Offline: a base page from a kernel zone stays below; a THP's mask allows ZONE_MOVABLE.
        movable = call.target != Target.OFFLINE or folio.order > 0
        movable = movable or self._zone_at(folio.pfn).kind == ZoneKind.MOVABLE
        highest = ZoneKind.MOVABLE if movable else ZoneKind.NORMAL
        zones = self._zonelist(nodes, highest)
        if nowait:
            zones = tuple(z for z in zones if z.kind == ZoneKind.MOVABLE)
        return Request(zones, highest, Migratetype.MOVABLE, cpu, proc, False, nowait=nowait)

    def _listed(self, call: Call) -> dict[int, int]:
        """Pages per node that a pin's call has isolated and not moved yet."""
        pages: dict[int, int] = {}
        for folio in self._folios(*call.span):
            if self._unpinnable(folio.pfn):
                node = self._node_of(folio.pfn)
                pages[node] = pages.get(node, 0) + folio.pages
        return pages

    def _is_hugetlb(self, folio: Folio) -> bool:
        """Whether a folio belongs to a hugetlb area."""
        return folio.area != POOL_AREA and self.area_of[folio.area].kind == AreaKind.HUGETLB

    def _move(self, call: Call, folio: Folio, pfn: int) -> None:
        """Put a folio's content at ``pfn`` and account it."""
        zone_from, zone_to = self._zone_at(folio.pfn).zid, self._zone_at(pfn).zid
        moved = self._place(folio.area, folio.index, pfn, folio.order)
        for i in range(folio.pages):
            del self.owner[folio.pfn + i]
        cost = self.costs[Cost.MIGRATE_2M if folio.order else Cost.MIGRATE_4K]
        cost *= len(self._parts(folio))
        if folio.pins:
            moved.pins = folio.pins
            cost += self._revoke(folio)
        self._record(moved, PinRows.MIGRATED, cost)
        call.latency_ns += cost
        call.moved += folio.pages
        call.moved_hugetlb += folio.pages if self._is_hugetlb(folio) else 0
        self.moves.add(zone_from, zone_to, folio.order, cost)
        self.moves.work(folio.area, cost)
        one = self._is_hugetlb(folio) and not self.table[Cell.HUGETLB_COUNTS_PAGES]
        self.counters[Counter.PGMIGRATE_SUCCESS] += 1 if one else folio.pages
        self.tally.migrated_pages += folio.pages
        if folio.order and not self._is_hugetlb(folio):
            self.counters[Counter.THP_MIGRATION_SUCCESS] += 1

    def _revoke(self, folio: Folio) -> int:
        """The pinner lets go of a folio and pins it again at its new place. Returns ns."""
        self.counters[Counter.PIN_REVOKED] += 1
        self.counters[Counter.NR_FOLL_PIN_RELEASED] += folio.pins
        self.counters[Counter.NR_FOLL_PIN_ACQUIRED] += folio.pins
        if folio.order:
            again = self.costs[Cost.UNPIN_2M] + self.costs[Cost.PIN_2M]
        else:
            again = self.costs[Cost.UNPIN_4K] + self.costs[Cost.PIN_4K]
        return self.costs[Cost.PIN_REVOKE] + again * len(self._parts(folio))

    def _holds_still(self, call: Call, folio: Folio) -> bool:
        """Whether somebody's references keep a folio from moving; pins may be revocable."""
        if call.target == Target.OFFLINE and self.table[Cell.PIN_REVOCABLE]:
            return folio.references > 0
        return folio.held

    def _fresh_request(self, call: Call, folio: Folio) -> Request:
        """Zonelist of a fresh hugetlb page: a pin's must come from the folio's own node.

        mm/hugetlb.h ``htlb_allow_alloc_fallback`` (6.12).
        """
        if call.target == Target.PIN:
            own = [self._node_of(folio.pfn)]
            return self._request(own, False, call.cpu, call.proc, may_oom=False)
        return self._target_request(call, folio)

    def _fresh_target(self, request: Request, order: int) -> int:
        """alloc_migrate_huge_page: a fresh page for a hugetlb folio, or -1."""
        pfn = self._alloc(request, order)
        self.counters[
            Counter.HTLB_BUDDY_ALLOC_FAIL if pfn < 0 else Counter.HTLB_BUDDY_ALLOC_SUCCESS
        ] += 1
        return pfn

    def _migrate_hugetlb(self, call: Call, folio: Folio) -> Errno:
        """unmap_and_move_huge_page: to a pool folio that nobody has reserved, or to a fresh one.

        The target is taken before the reference count is looked at, and given back if somebody
        holds the folio; without a target the call ends (-ENOMEM). None is made for a gigantic one.
        """
        cpu = -1 if call.target == Target.OFFLINE else call.cpu
        nodes, pinnable = self._target_nodes(call, folio), call.target == Target.PIN
        pool, request = self._pool_of(folio.order), self._fresh_request(call, folio)
        pfn = self._dequeue(pool, nodes, pinnable=pinnable) if pool.available > 0 else -1
        if pfn < 0 and pool.gigantic:
            return Errno.ENOMEM
        if self._holds_still(call, folio):
            if pfn >= 0:
                self._free_hugetlb(pool, pfn, cpu)
            elif self._has_room(request, folio.order):
                self.counters[Counter.HTLB_BUDDY_ALLOC_SUCCESS] += 1
            elif (pfn := self._fresh_target(request, folio.order)) >= 0:
                self._free_chunk(pfn, folio.order)
            else:
                return Errno.ENOMEM
            return Errno.EAGAIN
        if pfn >= 0:
            self._move(call, folio, pfn)
            self._free_hugetlb(pool, folio.pfn, cpu)
            return Errno.OK
        pfn = self._fresh_target(request, folio.order)
        if pfn < 0:
            return Errno.ENOMEM
        self._move(call, folio, pfn)
        self._trade(pool, folio.pfn, pfn)
        self._free_huge(folio.pfn, cpu)
        return Errno.OK

    def _migrate_one(self, call: Call, folio: Folio) -> Errno:
        """unmap_and_move of one folio: OK, EAGAIN (held) or ENOMEM (no target)."""
        if self._is_hugetlb(folio):
            return self._migrate_hugetlb(call, folio)
        request = self._target_request(call, folio)
        flights = self._flights(folio)
        if flights or self._holds_still(call, folio):
            errno = Errno.EAGAIN
            if not self._has_room(request, folio.order):
                pfn = self._alloc(request, folio.order)
                errno = Errno.ENOMEM if pfn < 0 else errno
                if pfn >= 0:
                    self._free_chunk(pfn, folio.order)
            # a base page without a target would have stayed in any case
            call.in_flight += flights > 0 and (errno == Errno.EAGAIN or folio.order > 0)
            return errno
        pfn = self._alloc(request, folio.order)
        if pfn < 0 and folio.order and call.target == Target.PIN:
            pfn = self._compact_for(request, folio.order, self._listed(call))
        if pfn < 0:
            return Errno.ENOMEM
        self._move(call, folio, pfn)
        cpu = -1 if call.target == Target.OFFLINE else call.cpu
        if folio.order:
            self._free_huge(folio.pfn, cpu)
        else:
            self._free_base_page(folio.pfn, cpu)
        return Errno.OK

    def _migrate_try(self, call: Call) -> None:
        """One pass over the pending list. Leaves in it what must be tried again."""
        queue, again = call.pending, []
        position = 0
        while position < len(queue):
            folio = queue[position]
            position += 1
            if self.owner.get(folio.pfn) is not folio:
                continue  # freed or moved since it was listed
            errno = self._migrate_one(call, folio)
            huge = folio.order > 0
            if errno == Errno.OK:
                continue
            if errno == Errno.EAGAIN:
                cost = self.costs[Cost.MIGRATE_FAIL_2M if huge else Cost.MIGRATE_FAIL_4K]
                call.latency_ns += cost
                self.moves.work(folio.area, cost)
                again.append(folio)
                continue
            free = not folio.held and not self._flights(folio)
            splits = call.target != Target.RETURN  # a THP that finds no place there stays whole
            if huge and free and splits and not self._is_hugetlb(folio):
                self.counters[Counter.THP_MIGRATION_SPLIT] += 1
                self.counters[Counter.THP_MIGRATION_FAIL] += self.table[Cell.SPLIT_COUNTS_FAIL]
                call.split += 1
                parts = self._split_folio(folio)
                if self.table[Cell.SPLIT_TAILS_LAST]:
                    queue.insert(position, parts[0])
                    queue += parts[1:]
                else:
                    queue[position:position] = parts
                continue
            self._count_failed(call, folio)
            call.aborted = True
            again += queue[position:]
            break
        call.pending = again

    def _count_failed(self, call: Call, folio: Folio) -> None:
        """Account a folio the call gives up on, as vmstat does."""
        thp = folio.order > 0 and not self._is_hugetlb(folio)
        pages = self.table[Cell.THP_FAIL_PAGES] if folio.order else 1
        pages *= len(self._parts(folio)) if pages > 1 else 1
        call.failed_folios += 1
        call.failed_pages += folio.pages
        call.failed_thps += thp
        self.counters[Counter.PGMIGRATE_FAIL] += pages
        self.counters[Counter.THP_MIGRATION_FAIL] += thp
        self.tally.failed_pages += folio.pages

    def _migrate_end(self, call: Call) -> None:
        """Count what is left over as failed (unless the call was cut short)."""
        if not call.aborted:
            for folio in call.pending:
                self._count_failed(call, folio)

    def _migrate_now(self, call: Call) -> None:
        """A whole migrate_pages call at one instant: nothing can change between its tries."""
        self.counters[Counter.MIGRATE_PAGES_CALLS] += 1
        self._migrate_try(call)
        if call.pending and not call.aborted:
            tries = self.table[Cell.MIGRATE_TRIES] - 1
            for folio in call.pending:
                cost = self.costs[Cost.MIGRATE_FAIL_2M if folio.order else Cost.MIGRATE_FAIL_4K]
                call.latency_ns += cost * tries
                self.moves.work(folio.area, cost, tries)
            self._count_fresh_tries(call)
        self._migrate_end(call)
        self.tally.latency_ns += call.latency_ns

    def _count_fresh_tries(self, call: Call) -> None:
        """Fresh pages that the later tries of a call take for held hugetlb folios and give back."""
        pool = self.pools[PoolSize.HUGE]
        held = sum(self._is_hugetlb(f) and f.order == pool.order for f in call.pending)
        nodes = [call.node] if call.target == Target.NODE else list(range(self.shape.nr_nodes))
        if held and not self._offers(pool, nodes, pinnable=call.target == Target.PIN):
            tries = self.table[Cell.MIGRATE_TRIES] - 1
            self.counters[Counter.HTLB_BUDDY_ALLOC_SUCCESS] += tries * held

    def _emit_moves(self, reason: MigrateReason, slot: int, moves: Moves) -> None:
        """MIGRATION rows by (zone from, zone to, folio order), then SLOWED rows by area, sorted."""
        for (zone_from, zone_to, order), (folios, pages, ns) in sorted(moves.cells.items()):
            self._emit(Row.MIGRATION, reason, slot, zone_from, zone_to, order, folios, pages, ns)
        moves.cells.clear()
        for area in sorted(moves.areas):
            self._emit(Row.SLOWED, reason, slot, area, *moves.areas[area])
        moves.areas.clear()

    def _migrate(self, slot: int, first: int, count: int, node: int) -> Errno:
        """MIGRATE: move_pages of a range to a node; EBUSY when something stayed behind."""
        if not self._range_ok(slot, first, count) or not 0 <= node < self.shape.nr_nodes:
            return Errno.EINVAL
        area, behind = self.area_of[slot], self._behind(slot)
        if area.kind == AreaKind.KERNEL:
            return Errno.EINVAL
        call = Call(Target.NODE, self._cpu(slot, -1), area.proc, node)
        call.pending = [
            f
            for f in self._folios(behind, first, count)
            if not f.isolated and self._node_of(f.pfn) != node
        ]
        self._migrate_now(call)
        self._emit_moves(MigrateReason.SYSCALL, slot, self.moves)
        self.tally.pages = count
        return Errno.EBUSY if call.pending or call.aborted else Errno.OK

    def _folios(self, slot: int, first: int, count: int) -> list[Folio]:
        """Distinct folios of a range in virtual order."""
        found: dict[int, Folio] = {}
        for pfn in self.area_of[slot].pages[first : first + count]:
            if pfn >= 0:
                folio = self.owner[pfn]
                found[folio.pfn] = folio
        return list(found.values())


__all__ = ["NOBODY", "Call", "Migration", "Target"]
