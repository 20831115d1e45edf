"""Zones: free lists with the buddy's order semantics, watermarks, isolation.

Source of the rules: mm/page_alloc.c of Linux 5.10, 6.1 and 6.12 (``__free_one_page``,
``buddy_merge_likely``, ``__rmqueue_smallest``, ``__rmqueue_fallback``,
``steal_suitable_fallback``, ``__setup_per_zone_wmarks``).
"""

from collections import OrderedDict
from math import isqrt

from engine.draws import below
from engine.enums import ZONES_PER_NODE, AreaKind, Cell, Counter, Migratetype, ZoneKind
from engine.reference.state import POOL_AREA, State, Zone

FALLBACKS = {
    Migratetype.UNMOVABLE: (Migratetype.RECLAIMABLE, Migratetype.MOVABLE),
    Migratetype.MOVABLE: (Migratetype.RECLAIMABLE, Migratetype.UNMOVABLE),
    Migratetype.RECLAIMABLE: (Migratetype.UNMOVABLE, Migratetype.MOVABLE),
}
LOWMEM_RESERVE_RATIO = (256, 32)
"""sysctl_lowmem_reserve_ratio of DMA32 and NORMAL."""
DMA_PAGES = 3840
"""Managed pages of ZONE_DMA: 16 MiB less what is reserved (/proc/zoneinfo of 6.1)."""
MIN_FREE_KB, MAX_FREE_KB = 128, 262_144
"""Clamp of min_free_kbytes (init_per_zone_wmark_min)."""


class Buddy(State):
    """The layer of the reference host that owns free memory."""

    def _init_zones(self) -> None:
        """Put all memory that is online at start into the free lists."""
        shape = self.shape
        for block, kind in enumerate(shape.block_zone):
            if kind >= 0:
                self._add_block(block, shape.block_node[block] * ZONES_PER_NODE + kind)
            else:
                self.block_zone[block] = kind
        self._set_watermarks()

    def _add_block(self, block: int, zid: int) -> None:
        """Give a block's pages to a zone, highest order, ascending, at the tail (FPI_TO_TAIL)."""
        shape, zone = self.shape, self.zone[zid]
        self.block_zone[block] = zid
        first = block * shape.block_pages
        reserved = shape.block_reserved[block] * self.pb_pages
        pfn, end = first + reserved, first + shape.block_pages
        zone.present += shape.block_pages
        zone.managed += end - pfn
        zone.free_pages += end - pfn
        for pb in range(first >> self.pbo, end >> self.pbo):
            self.pb_mt[pb] = Migratetype.MOVABLE
        while pfn < end:
            order = self.max_order
            while pfn & ((1 << order) - 1) or pfn + (1 << order) > end:
                order -= 1
            self._insert(zone, pfn, order, Migratetype.MOVABLE, tail=True)
            pfn += 1 << order

    # -- watermarks ---------------------------------------------------------------------------

    def _buffer_pages(self) -> int:
        """nr_free_buffer_pages: managed minus high mark over the zones up to NORMAL."""
        return sum(max(z.managed - z.high, 0) for z in self.zone if z.kind != ZoneKind.MOVABLE)

    def _spread_marks(self, pages_min: int) -> None:
        """__setup_per_zone_wmarks."""
        capped = self.table[Cell.MOVABLE_MARK_CAPPED]
        lowmem = sum(z.managed for z in self.zone if not (capped and z.kind == ZoneKind.MOVABLE))
        for z in self.zone:
            share = pages_min * z.managed // lowmem if lowmem else 0
            z.min = share
            if capped and z.kind == ZoneKind.MOVABLE:
                z.min = min(max(z.managed // 1024, 32), 128) if z.managed else 0
            gap = max(share >> 2, z.managed * 10 // 10_000)
            z.low, z.high = z.min + gap, z.min + 2 * gap

    def _set_watermarks(self) -> None:
        """init_per_zone_wmark_min, then khugepaged's set_recommended_min_free_kbytes."""
        kbytes = isqrt(self._buffer_pages() * 4 * 16)
        pages_min = min(max(kbytes, MIN_FREE_KB), MAX_FREE_KB) >> 2
        self._spread_marks(pages_min)
        if not self.shape.thp:
            return
        # where ZONE_DMA is folded into DMA32, a populated DMA32 counts for two zones
        populated = sum(
            (2 if z.kind == ZoneKind.DMA32 and not self.shape.dma else 1)
            for z in self.zone
            if z.managed and z.kind != ZoneKind.MOVABLE
        )
        recommended = self.pb_pages * populated * (2 + 9)
        recommended = min(recommended, self._buffer_pages() // 20)
        if recommended > pages_min:
            self._spread_marks(recommended)

    def _reserve(self, zone: Zone, highest: int) -> int:
        """Pages of a zone that a request may not take: lowmem_reserve, and the pool of pins."""
        return self._lowmem_reserve(zone, highest) + self._pool_left(zone)

    def _pool_left(self, zone: Zone) -> int:
        """Pages that a zone keeps for long-term pins: its share, less what is pinned in it."""
        share = self.table[Cell.PIN_POOL_MILLIONTHS]
        if not share or zone.kind == ZoneKind.MOVABLE:
            return 0
        folios = {f.pfn: f for f in self.owner.values() if f.pins}
        pinned = sum(f.pages for f in folios.values() if self._zone_at(f.pfn) is zone)
        return max(zone.managed * share // 1_000_000 - pinned, 0)

    def _lowmem_reserve(self, zone: Zone, highest: int) -> int:
        """lowmem_reserve[highest] of a zone, pages (setup_per_zone_lowmem_reserve).

        The first node's DMA32 also holds ZONE_DMA, whose pages have a reserve of their own, unless
        the shape says that it is a zone by itself (``HostShape.dma``).
        """
        if zone.kind >= highest or not zone.managed:
            return 0
        base = zone.node * ZONES_PER_NODE
        above = sum(self.zone[base + k].managed for k in range(zone.kind + 1, highest + 1))
        if self.shape.dma:
            return above // LOWMEM_RESERVE_RATIO[ZoneKind.DMA32]
        if zone.zid:
            return above // LOWMEM_RESERVE_RATIO[zone.kind]
        return above // 256 + min((zone.managed + above) // 256, DMA_PAGES)

    # -- free lists ---------------------------------------------------------------------------

    def _insert(self, zone: Zone, pfn: int, order: int, mt: Migratetype, *, tail: bool) -> None:
        """Put a free chunk on its list; the caller accounts pages."""
        entries = zone.free_area[mt][order]
        entries[pfn] = None
        if not tail:
            entries.move_to_end(pfn, last=False)
        self.chunk[pfn] = (order, mt)

    def _remove(self, zone: Zone, pfn: int) -> int:
        """Take a free chunk off its list and return its order."""
        order, mt = self.chunk.pop(pfn)
        del zone.free_area[mt][order][pfn]
        return order

    def _is_buddy(self, zone: Zone, pfn: int, order: int) -> bool:
        """page_is_buddy: a free chunk of exactly this order in the same zone, same isolation."""
        entry = self.chunk.get(pfn)
        return entry is not None and entry[0] == order and self._zone_of(pfn) is zone

    def _free_chunk(self, pfn: int, order: int) -> None:
        """__free_one_page: merge upwards, insert at the head, or the tail if a merge is likely."""
        zone, block = self._zone_at(pfn), pfn // self.shape.block_pages
        isolated = self.block_isolated[block]
        mt = Migratetype.ISOLATE if isolated else self.pb_mt[pfn >> self.pbo]
        if isolated:
            zone.isolated_pages += 1 << order
        else:
            zone.free_pages += 1 << order
        while order < self.max_order:
            buddy = pfn ^ (1 << order)
            if not self._is_buddy(zone, buddy, order):
                break
            self._remove(zone, buddy)
            pfn &= ~(1 << order)
            order += 1
        tail = False
        if order < self.max_order - 1:
            tail = self._is_buddy(zone, (pfn & ~(1 << order)) ^ (1 << (order + 1)), order + 1)
        self._insert(zone, pfn, order, mt, tail=tail)

    def _take_smallest(self, zone: Zone, order: int, mt: Migratetype) -> int:
        """__rmqueue_smallest: head of the smallest sufficient list, low half kept; -1 if none."""
        for current in range(order, self.max_order + 1):
            entries = zone.free_area[mt][current]
            if entries:
                pfn = next(iter(entries))
                self._remove(zone, pfn)
                while current > order:  # expand()
                    current -= 1
                    self._insert(zone, pfn + (1 << current), current, mt, tail=False)
                return pfn
        return -1

    def _find_fallback(
        self, zone: Zone, order: int, start: Migratetype
    ) -> tuple[Migratetype | None, bool]:
        """find_suitable_fallback: the type to take from at this order, and may it be claimed."""
        for mt in FALLBACKS[start]:
            if zone.free_area[mt][order]:
                claim = order >= self.pbo // 2 or start != Migratetype.MOVABLE
                return mt, claim
        return None, False

    def _fallback(self, zone: Zone, order: int, start: Migratetype) -> bool:
        """__rmqueue_fallback: move a chunk (or its pageblock) to the wanted type."""
        for current in range(self.max_order, order - 1, -1):
            mt, claim = self._find_fallback(zone, current, start)
            if mt is None:
                continue
            if not claim and start == Migratetype.MOVABLE and current > order:
                for smallest in range(order, self.max_order + 1):
                    mt, claim = self._find_fallback(zone, smallest, start)
                    if mt is not None:
                        current = smallest
                        break
            assert mt is not None
            self._steal(zone, next(iter(zone.free_area[mt][current])), current, start, claim)
            return True
        return False

    def _steal(self, zone: Zone, pfn: int, order: int, start: Migratetype, claim: bool) -> None:
        """steal_suitable_fallback: a whole pageblock where it pays, else this chunk alone."""
        self.counters[Counter.PAGEBLOCK_STEAL] += 1
        if order >= self.pbo:
            for pb in range(pfn >> self.pbo, (pfn + (1 << order)) >> self.pbo):
                self.pb_mt[pb] = start
        elif claim:
            pb = pfn >> self.pbo
            old = self.pb_mt[pb]
            chunks = self._chunks_in(pb)
            free = sum(1 << self.chunk[c][0] for c in chunks)
            movable = self._movable_pages(pb)
            for chunk in chunks:
                chunk_order = self._remove(zone, chunk)
                self._insert(zone, chunk, chunk_order, start, tail=True)
            if start == Migratetype.MOVABLE:
                alike = movable
            else:
                alike = self.pb_pages - free - movable if old == Migratetype.MOVABLE else 0
            if free + alike >= self.pb_pages // 2:
                self.pb_mt[pb] = start
            return
        self._remove(zone, pfn)
        self._insert(zone, pfn, order, start, tail=True)

    def _chunks_in(self, pb: int) -> list[int]:
        """Free chunks that start in a pageblock, ascending."""
        first = pb << self.pbo
        return [pfn for pfn in range(first, first + self.pb_pages) if pfn in self.chunk]

    def _movable_pages(self, pb: int) -> int:
        """Pages of a pageblock that could migrate (PageLRU in move_freepages)."""
        first, count = pb << self.pbo, 0
        for pfn in range(first, first + self.pb_pages):
            folio = self.owner.get(pfn)
            if folio is not None and folio.area != POOL_AREA:
                count += self.area_of[folio.area].kind not in (AreaKind.KERNEL, AreaKind.HUGETLB)
        return count

    def _rmqueue(self, zone: Zone, order: int, mt: Migratetype) -> int:
        """__rmqueue: the wanted type, then fallbacks. Returns -1 when the zone has none."""
        while True:
            pfn = self._take_smallest(zone, order, mt)
            if pfn >= 0:
                zone.free_pages -= 1 << order
                return pfn
            if not self._fallback(zone, order, mt):
                return -1

    # -- isolation ----------------------------------------------------------------------------

    def _isolate_block(self, block: int) -> None:
        """Move the free chunks of a block to the isolate lists, ascending."""
        zone = self.zone[self.block_zone[block]]
        self.block_isolated[block] = True
        for pfn in self._free_chunks_of(block):
            order = self._remove(zone, pfn)
            self._insert(zone, pfn, order, Migratetype.ISOLATE, tail=True)
            zone.free_pages -= 1 << order
            zone.isolated_pages += 1 << order

    def _unisolate_block(self, block: int) -> None:
        """Give a block's free chunks back, ascending, at the tail (move_to_free_list)."""
        zone = self.zone[self.block_zone[block]]
        self.block_isolated[block] = False
        for pfn in self._free_chunks_of(block):
            order = self._remove(zone, pfn)
            self._insert(zone, pfn, order, self.pb_mt[pfn >> self.pbo], tail=True)
            zone.free_pages += 1 << order
            zone.isolated_pages -= 1 << order

    def _free_chunks_of(self, block: int) -> list[int]:
        """Free chunks of a memory block, ascending."""
        first = block * self.shape.block_pages
        return [p for p in range(first, first + self.shape.block_pages) if p in self.chunk]

    def _remove_block(self, block: int) -> None:
        """Take an isolated, wholly free block out of its zone (offline_pages, commit)."""
        zone = self.zone[self.block_zone[block]]
        pages = 0
        for pfn in self._free_chunks_of(block):
            pages += 1 << self._remove(zone, pfn)
        zone.isolated_pages -= pages
        zone.managed -= pages
        zone.present -= self.shape.block_pages
        self.block_isolated[block] = False
        self.block_zone[block] = -1
        self._set_watermarks()

    def _shuffle(self, key: int) -> None:
        """page_alloc.shuffle: permute the max-order free lists by key (mm/shuffle.c)."""
        for zone in self.zone:
            for mt in Migratetype:
                entries = zone.free_area[mt][self.max_order]
                order = list(entries)
                for i in range(len(order) - 1, 0, -1):
                    j = below(i + 1, key, zone.zid, int(mt), i)
                    order[i], order[j] = order[j], order[i]
                zone.free_area[mt][self.max_order] = OrderedDict.fromkeys(order)
