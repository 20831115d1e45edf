"""Per-CPU page lists: a stack per list in front of each zone.

Sources: mm/page_alloc.c of Linux 5.10 and 6.1 (``rmqueue_bulk``, ``free_unref_page_commit``,
``zone_highsize``, ``nr_pcp_free``, ``free_pcppages_bulk``) and 6.12 (``nr_pcp_alloc``,
``nr_pcp_high``, ``nr_pcp_free``). What time does to a list (``decay_pcp_high`` and the drain of
remote lists from the vmstat work, once a second) is left out: its pages stay in their zone either
way.

All lists of a CPU in a zone share one capacity (``pcp->count`` against ``pcp->high``). When it is
reached they give back a batch; from 5.13 on (commit 3b12e7e97938) twice as much each time as long
as nothing is taken, up to all but a batch of the capacity. The cell PCP_BATCH_SCALE limits the
doublings (CONFIG_PCP_BATCH_SCALE_MAX, commit 52166607ecc9, 6.7 and 6.1.104).
"""

from collections import deque

from engine.enums import Cell, Migratetype, PcpRule, ZoneKind
from engine.reference.state import PCP_TYPES, Tuning, Zone
from engine.reference.zone import Buddy

HUGE = len(PCP_TYPES)
"""The list of huge folios, behind those of base pages by type."""


class PerCpu(Buddy):
    """The layer of the per-CPU lists."""

    # -- sizes --------------------------------------------------------------------------------

    def _pcp_batch(self, zone: Zone) -> int:
        """zone_batchsize."""
        batch = min(zone.managed // 1024, 256) // 4
        batch = max(batch, 1)
        batch += batch // 2
        return max((1 << (batch.bit_length() - 1)) - 1, 1)

    def _self_tuned(self) -> bool:
        """Whether lists grow and shrink by themselves (6.7+)."""
        return self.table[Cell.PCP_RULE] == PcpRule.ZONE_EIGHTH

    def _pcp_range(self, zone: Zone) -> tuple[int, int]:
        """Least and greatest capacity of a CPU's lists by the profile's rule (zone_highsize)."""
        fixed = int(self.table[Cell.PCP_HIGH_PAGES])
        if fixed:
            return fixed, fixed
        batch = self._pcp_batch(zone)
        if self.table[Cell.PCP_RULE] == PcpRule.BATCH_TIMES_6:
            return 6 * batch, 6 * batch
        cpus = max(sum(1 for n in self.shape.cpu_node if n == zone.node), 1)
        least = max(zone.low // cpus, 4 * batch)
        if self._self_tuned():
            return least, max(zone.managed // 8 // cpus, least)
        return least, least

    def _refill_pages(self, zone: Zone, cpu: int, order: int) -> int:
        """Folios that an empty list takes at once (nr_pcp_alloc; before it, a batch)."""
        batch = self._pcp_batch(zone)
        if not self._self_tuned():
            return max(batch >> order, 2) if order else batch
        tuning, (least, most) = zone.tuning[cpu], self._pcp_range(zone)
        high = min(max(tuning.high, least), most)
        pages = batch if order else batch << tuning.alloc_factor
        if least != most and not zone.below_high:
            high = min(high + pages, most)
        tuning.high = high
        if order:
            return max(batch >> order, 2)
        room = max(high - zone.pages_of(cpu, self.pb_pages) - batch, batch)
        if pages <= room and tuning.alloc_factor < self.table[Cell.PCP_BATCH_SCALE]:
            tuning.alloc_factor += 1
        return min(pages, room)

    # -- taking -------------------------------------------------------------------------------

    def _pcp_take(self, zone: Zone, cpu: int, mt: Migratetype) -> int:
        """One base page through the CPU's list, refilled by a batch when empty; -1 if none."""
        if zone.pcp_disabled or mt not in PCP_TYPES:
            return self._rmqueue(zone, 0, mt)
        return self._take_from(zone, cpu, zone.pcp[cpu][PCP_TYPES.index(mt)], 0, mt)

    def _pcp_take_huge(self, zone: Zone, cpu: int, mt: Migratetype) -> int:
        """One huge folio, through the CPU's list where the profile has one; -1 if none.

        An empty list is filled by ``max(batch >> order, 2)`` (rmqueue_pcplist, 5.14+).
        """
        if zone.pcp_disabled or not self.table[Cell.PCP_THP]:
            return self._rmqueue(zone, self.pbo, mt)
        return self._take_from(zone, cpu, zone.pcp_huge[cpu], self.pbo, mt)

    def _take_from(
        self, zone: Zone, cpu: int, stack: deque[int], order: int, mt: Migratetype
    ) -> int:
        """One folio from a list, refilled when it is empty; -1 if the zone has none."""
        zone.tuning[cpu].free_factor >>= 1
        zone.tuning[cpu].free_count >>= 1
        if not stack:
            for _ in range(self._refill_pages(zone, cpu, order)):
                pfn = self._rmqueue(zone, order, mt)
                if pfn < 0:
                    break
                stack.append(pfn)  # left end is taken first
        return stack.popleft() if stack else -1

    # -- freeing ------------------------------------------------------------------------------

    def _give_back_pages(self, zone: Zone, cpu: int) -> int:
        """nr_pcp_free up to 6.6: pages that the full lists of a CPU give to the buddy at once."""
        tuning, batch = zone.tuning[cpu], self._pcp_batch(zone)
        most = self._fixed_high(zone) - batch
        pages = batch << tuning.free_factor
        if pages < most and tuning.free_factor < self.table[Cell.PCP_BATCH_SCALE]:
            tuning.free_factor += 1
        return max(min(pages, most), batch)

    def _free_base_page(self, pfn: int, cpu: int) -> None:
        """free_unref_page: to the CPU's list, its oldest pages to the buddy when full."""
        zone = self._zone_at(pfn)
        mt = self.pb_mt[pfn >> self.pbo]
        isolated = self.block_isolated[pfn // self.shape.block_pages]
        if cpu < 0 or isolated or zone.pcp_disabled or mt not in PCP_TYPES:
            self._free_chunk(pfn, 0)
            return
        which = PCP_TYPES.index(mt)
        zone.pcp[cpu][which].appendleft(pfn)
        self._after_free(zone, cpu, which, 1)

    def _free_huge(self, pfn: int, cpu: int) -> None:
        """Free a huge folio: to the CPU's list; when that is full its oldest go to the buddy."""
        zone = self._zone_at(pfn)
        isolated = self.block_isolated[pfn // self.shape.block_pages]
        if cpu < 0 or isolated or zone.pcp_disabled or not self.table[Cell.PCP_THP]:
            self._free_chunk(pfn, self.pbo)
            return
        zone.pcp_huge[cpu].appendleft(pfn)
        self._after_free(zone, cpu, HUGE, self.pb_pages)

    def _after_free(self, zone: Zone, cpu: int, which: int, pages: int) -> None:
        """free_unref_page_commit after a folio of ``pages`` was put on list ``which`` of a CPU."""
        if self._self_tuned():
            self._tune_after_free(zone, cpu, which, pages)
        elif zone.pages_of(cpu, self.pb_pages) >= self._fixed_high(zone):
            self._free_pages_of(zone, cpu, which, self._give_back_pages(zone, cpu))

    def _fixed_high(self, zone: Zone) -> int:
        """nr_pcp_high up to 6.6: four batches at most while kswapd is at work (5.14)."""
        high = self._pcp_range(zone)[0]
        return min(self._pcp_batch(zone) << 2, high) if zone.reclaim_active else high

    def _free_pages_of(self, zone: Zone, cpu: int, which: int, pages: int) -> None:
        """free_pcppages_bulk: give pages of a CPU's lists, list ``which`` first, to the buddy."""
        if self.table[Cell.PCP_RULE] == PcpRule.BATCH_TIMES_6:
            self._free_in_turns(zone, cpu, pages)
        else:
            self._free_bulk(zone, cpu, which, pages)

    def _tune_after_free(self, zone: Zone, cpu: int, which: int, pages: int) -> None:
        """free_unref_page_commit of 6.12 after the page was put on list ``which`` of a CPU.

        A burst of frees gives back as many pages at once as were freed in a row; a list that is
        full of a shorter burst may grow instead.
        """
        tuning, batch = zone.tuning[cpu], self._pcp_batch(zone)
        tuning.alloc_factor >>= 1
        if tuning.free_count < batch << int(self.table[Cell.PCP_BATCH_SCALE]):
            tuning.free_count += pages
        count = zone.pages_of(cpu, self.pb_pages)
        high = self._high_after_free(zone, tuning, count, batch)
        if count < high:
            return
        self._free_bulk(zone, cpu, which, min(max(tuning.free_count, batch), high - batch))
        if zone.below_high and self._above_high(zone):
            zone.below_high = False

    def _high_after_free(self, zone: Zone, tuning: Tuning, count: int, batch: int) -> int:
        """nr_pcp_high: the capacity that counts now; the next one goes to ``tuning.high``."""
        least, most = self._pcp_range(zone)
        high = tuning.high = min(max(tuning.high, least), most)
        if zone.reclaim_active:
            tuning.high = max(high - max(tuning.free_count, batch), least)
            return min(batch << 2, tuning.high)
        if least == most:
            return high
        if zone.below_high:
            tuning.high = max(high - max(tuning.free_count, batch), least)
            return max(count, least)
        if count >= high and tuning.high < tuning.free_count + batch:
            tuning.high = min(max(tuning.free_count + batch, least), most)
        return high

    def _free_bulk(self, zone: Zone, cpu: int, which: int, pages: int) -> None:
        """free_pcppages_bulk of 5.18+: all of list ``which``, oldest first, then of the next."""
        lists = [*zone.pcp[cpu], zone.pcp_huge[cpu]]
        for i in range(len(lists)):
            k = (which + i) % len(lists)
            while lists[k] and pages > 0:
                pages -= self._free_oldest(lists[k], k)

    def _free_in_turns(self, zone: Zone, cpu: int, pages: int) -> None:
        """free_pcppages_bulk of 5.10: the lists in turns, from the one of movable pages on.

        Each gives as many as lists were passed to reach it: with reclaimable pages (here none) on
        none of them two unmovable ones for each movable one.
        """
        lists = [*zone.pcp[cpu], zone.pcp_huge[cpu]]
        turn = folios = 0
        while pages > 0 and any(lists):
            turn, folios = (turn + 1) % len(lists), folios + 1
            while lists[turn] and pages > 0 and folios > 0:
                pages -= self._free_oldest(lists[turn], turn)
                folios -= 1

    def _free_oldest(self, stack: deque[int], which: int) -> int:
        """Give the oldest folio of list ``which`` to the buddy; its pages."""
        order = self.pbo if which == HUGE else 0
        self._free_chunk(stack.pop(), order)
        return 1 << order

    def _above_high(self, zone: Zone) -> bool:
        """zone_watermark_ok of the high mark for a base page of any zone."""
        return zone.free_pages > zone.high + self._reserve(zone, ZoneKind.MOVABLE)

    def _drain_pcp(self, zone: Zone) -> None:
        """drain_all_pages of a zone: every list, by the rule of free_pcppages_bulk."""
        for cpu in range(len(zone.pcp)):
            self._free_pages_of(zone, cpu, 0, zone.pages_of(cpu, self.pb_pages))

    def _disable_pcp(self, zone: Zone) -> None:
        """zone_pcp_disable: no lists, their grown capacity is forgotten."""
        self._drain_pcp(zone)
        zone.pcp_disabled = True
        for tuning in zone.tuning:
            tuning.high = 0
