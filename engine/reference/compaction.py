"""Direct compaction: base pages move together until a huge page is free.

Source: mm/compaction.c of Linux 5.10, 6.1 and 6.12 (``try_to_compact_pages``, ``compact_zone``,
``isolate_migratepages_block``, ``isolate_freepages_block``, ``defer_compaction``,
``too_many_isolated``). One scanner takes movable pages from the zone's lower end, the other one
free pages from its upper end, both go on where the last request left them, and a zone in which
they met is left alone for a number of requests that doubles. Only the targets of pins compact:
with memory free outside ZONE_MOVABLE but no huge page, a pin would have to split every THP.
"""

from engine.enums import AreaKind, Cell, Cost, Counter, Migratetype
from engine.reference.allocator import Request
from engine.reference.inflight import InFlight
from engine.reference.state import POOL_AREA, Folio, Zone

MAX_DEFER_SHIFT = 6
"""COMPACT_MAX_DEFER_SHIFT."""


class StuckError(Exception):
    """The request never returns: compaction waits for isolated pages that it holds itself."""


class Compaction(InFlight):
    """The layer that makes huge pages."""

    def _compact_for(self, request: Request, order: int, listed: dict[int, int]) -> int:
        """A huge page by compaction, or -1. ``listed``: pages per node that the caller isolated.

        Raises StuckError.
        """
        tried = False
        for zone in request.zones:
            if not self._worth_compacting(zone, order, request) or self._deferred(zone):
                continue
            if not tried:
                self.counters[Counter.COMPACT_STALL] += 1
                self._drain_all()
            tried = True
            if self._watermark_ok(zone, order, zone.min, request):
                break
            if self._too_many_isolated(zone.node, listed.get(zone.node, 0)):
                raise StuckError
            if self._compact_zone(zone, order):
                break
        if not tried:
            return -1
        pfn = self._from_freelists(request, order, low=False)
        self.counters[Counter.COMPACT_FAIL if pfn < 0 else Counter.COMPACT_SUCCESS] += 1
        return pfn

    def _worth_compacting(self, zone: Zone, order: int, request: Request) -> bool:
        """compaction_suitable: room above the low mark for both copies of what is moved."""
        return self._watermark_ok(zone, 0, zone.low + (2 << order), request)

    def _deferred(self, zone: Zone) -> bool:
        """compaction_deferred: whether the zone failed lately."""
        zone.compact_considered += 1
        if zone.compact_considered >= 1 << zone.compact_defer_shift:
            zone.compact_considered = 1 << zone.compact_defer_shift
            return False
        return True

    def _too_many_isolated(self, node: int, listed: int) -> bool:
        """too_many_isolated: more than a share of the pages on the node's LRU lists are off them.

        Counts as on the lists what is used and no kernel page. A pin isolates all that it will
        move before it moves anything and puts nothing back meanwhile, so it waits for ever
        (seen on 6.12.117 with counters that stood still; that this is why was inferred).
        """
        folios = {id(f): f for f in self.owner.values() if self._node_of(f.pfn) == node}
        kernel = [s for s, a in self.area_of.items() if a.kind == AreaKind.KERNEL]
        lru = sum(f.pages for f in folios.values() if f.area not in kernel) - listed
        return listed > lru >> self.table[Cell.COMPACT_ISOLATED_SHIFT]

    # -- scanning -----------------------------------------------------------------------------

    def _compact_zone(self, zone: Zone, order: int) -> bool:
        """Empty one pageblock after the other until a huge page is free; False when none came."""
        if zone.compact_to == 0:
            zone.compact_from, zone.compact_to = 0, len(self.pb_mt)
        while zone.compact_from < zone.compact_to:
            pb = zone.compact_from
            zone.compact_from += 1
            if self._scannable(pb, zone) and self._empty_pageblock(zone, pb):
                if self._has_chunk(zone, order):
                    zone.compact_considered = zone.compact_defer_shift = 0
                    return True
        zone.compact_to = zone.compact_considered = 0
        zone.compact_defer_shift = min(zone.compact_defer_shift + 1, MAX_DEFER_SHIFT)
        return False

    def _scannable(self, pb: int, zone: Zone) -> bool:
        """Whether a pageblock belongs to a zone and is not isolated."""
        block = (pb << self.pbo) // self.shape.block_pages
        return self.block_zone[block] == zone.zid and not self.block_isolated[block]

    def _has_chunk(self, zone: Zone, order: int) -> bool:
        """Whether a zone has a free chunk of at least this order, of any type."""
        types = (Migratetype.UNMOVABLE, Migratetype.MOVABLE, Migratetype.RECLAIMABLE)
        orders = range(order, self.max_order + 1)
        return any(zone.free_area[mt][o] for o in orders for mt in types)

    def _movable(self, folio: Folio | None) -> bool:
        """Whether compaction moves a folio: a base page that nobody holds or has listed.

        Areas with I/O in flight are left alone.
        """
        if folio is None or folio.order or folio.held or folio.isolated:
            return False
        if folio.area == POOL_AREA:
            return False
        area = self.area_of[folio.area]
        return area.kind not in (AreaKind.KERNEL, AreaKind.HUGETLB) and area.io is None

    def _empty_pageblock(self, zone: Zone, pb: int) -> bool:
        """Move a pageblock's movable pages to free pages of pageblocks from the zone's end.

        Both ascending. Free pages are taken pageblock by pageblock and those left over given
        back before the pages that were moved from. False when nothing moved.
        """
        first = pb << self.pbo
        owners = [self.owner.get(pfn) for pfn in range(first, first + self.pb_pages)]
        folios = [f for f in owners if f is not None and self._movable(f)]
        targets: list[int] = []
        while len(targets) < len(folios):
            found = self._isolate_free(zone, pb)
            if not found:
                break
            targets += found
        moved = folios[: len(targets)]
        for folio, pfn in zip(moved, targets, strict=False):
            self._place(folio.area, folio.index, pfn, 0)
            del self.owner[folio.pfn]
            self.counters[Counter.PGMIGRATE_SUCCESS] += 1
            self.tally.latency_ns += self.costs[Cost.MIGRATE_4K]
            self.moves.work(folio.area, self.costs[Cost.MIGRATE_4K])
        for pfn in (*targets[len(moved) :], *(f.pfn for f in moved)):
            self._free_chunk(pfn, 0)
        return bool(moved)

    def _isolate_free(self, zone: Zone, source: int) -> list[int]:
        """Take the free pages of the next pageblock from the zone's end, above ``source``."""
        for pb in range(zone.compact_to - 1, source, -1):
            if not self._scannable(pb, zone) or self.pb_mt[pb] != Migratetype.MOVABLE:
                continue
            chunks = [c for c in self._chunks_in(pb) if self.chunk[c][0] < self.pbo]
            if chunks:
                zone.compact_to = pb + 1
                pages = [c + i for c in chunks for i in range(1 << self._remove(zone, c))]
                zone.free_pages -= len(pages)
                return pages
        zone.compact_to = source + 1
        return []
