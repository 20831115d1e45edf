"""kswapd on the CPU of those who allocate: its passes, and its turns.

Sources: mm/vmscan.c (``balance_pgdat``, ``kswapd_shrink_node``, ``get_scan_count``; with the
multi-gen LRU of 6.12 ``set_initial_priority``, ``get_nr_to_scan``, ``try_to_shrink_lruvec``,
``should_abort_scan``) and mm/page_alloc.c (``nr_pcp_high``), Linux 5.10, 6.1 and 6.12.

A node's kswapd may run on that node's CPUs only. Where there is but one (``HostShape.turns``), a
task that wakes kswapd goes on until the end of its turn on the CPU, then kswapd drops page cache
for its own, and so on until a zone is above its high mark. What is dropped goes to the CPU's list,
from which the task takes next. A pass drops a share of the page cache, whatever the marks are
meanwhile, and each further one twice as much. Elsewhere kswapd has a CPU of its own and is at
its goal at once (``Allocator._wake_kswapds``).
"""

from collections.abc import Callable, Sequence

from engine.enums import Cell, Counter, PcpRule
from engine.reference.percpu import PerCpu
from engine.reference.state import Zone

SWAP_CLUSTER_MAX = 32
DEF_PRIORITY = 12
ONLY_CPU = 0
MIN_LRU_BATCH = 64
"""Pages that the multi-gen LRU drops before it looks whether it may stop."""


class KswapdTurns(PerCpu):
    """The layer of a kswapd that shares its CPU."""

    def _wake_in_turns(self, highest: int) -> None:
        """wakeup_kswapd: it will run when the turn of the task that woke it ends."""
        kswapd = self.kswapd
        if kswapd.awake or self._above_marks(highest):
            return
        self.counters[Counter.KSWAPD_WAKE] += 1
        kswapd.awake, kswapd.highest, kswapd.dropped = True, highest, -1
        kswapd.priority = self._first_priority(highest)

    def _kswapd_tick(self) -> None:
        """Before a base page is taken: the turn of the task may have ended."""
        if self.shape.turns[0] and not self.kswapd.task_left:
            self.kswapd.task_left = self.shape.turns[0]
            self._kswapd_turn(self.shape.turns[1])

    def _taken(self, pfn: int, order: int = 0) -> int:
        """Count a base page that was taken to the turn of the task; returns it."""
        if pfn >= 0 and not order:
            self.kswapd.task_left = max(self.kswapd.task_left - 1, 0)
        return pfn

    def _kswapd_finish(self) -> None:
        """Time passes: kswapd gets to its goal."""
        while self.kswapd.awake:
            self._kswapd_turn(self.shape.turns[1])

    def _above_marks(self, highest: int) -> bool:
        """pgdat_balanced: an allowed zone is above its high mark and its reserve."""
        return any(self._over(zone, highest) > 0 for zone in self._kswapd_zones(highest))

    def _kswapd_zones(self, highest: int) -> list[Zone]:
        """The zones that kswapd looks at."""
        return [zone for zone in self.zone if zone.managed and zone.kind <= highest]

    def _over(self, zone: Zone, highest: int) -> int:
        """Free pages above the high mark and the reserve."""
        return zone.free_pages - zone.high - self._reserve(zone, highest)

    def _page_cache(self) -> int:
        """Pages of files."""
        raise NotImplementedError

    def _reclaim(self, zones: Sequence[Zone], done: Callable[[int], bool], cpu: int = -1) -> int:
        """Drop page cache (provided by the layer above)."""
        raise NotImplementedError

    def _first_priority(self, highest: int) -> int:
        """DEF_PRIORITY; by the multi-gen LRU down to half of it (set_initial_priority)."""
        wanted = sum(max(z.high, SWAP_CLUSTER_MAX) for z in self._kswapd_zones(highest))
        if not self.table[Cell.RECLAIM_BY_ZONE] or wanted < MIN_LRU_BATCH:
            return DEF_PRIORITY
        fits = self._page_cache().bit_length() - 1 - (wanted - 1).bit_length()
        return min(max(fits, DEF_PRIORITY // 2), DEF_PRIORITY)

    def _kswapd_turn(self, pages: int) -> None:
        """balance_pgdat for a turn of ``pages``, or until it sleeps."""
        kswapd, done = self.kswapd, 0
        while kswapd.awake and done < pages:
            if kswapd.dropped < 0:
                if self._above_marks(kswapd.highest) or kswapd.priority < 1:
                    self._kswapd_sleeps()
                    return
                kswapd.dropped = 0
                kswapd.goal = self._page_cache() >> kswapd.priority
                self._show_active(active=True)
            done += self._go_on(pages - done)

    def _show_active(self, *, active: bool) -> None:
        """ZONE_RECLAIM_ACTIVE (5.14): lists are kept short while kswapd is at work."""
        for zone in self._kswapd_zones(self.kswapd.highest):
            zone.reclaim_active = active and self.table[Cell.PCP_RULE] != PcpRule.BATCH_TIMES_6

    def _kswapd_sleeps(self) -> None:
        """It waits to be woken again."""
        self._show_active(active=False)
        self.kswapd.awake = False

    def _go_on(self, pages: int) -> int:
        """Go on with a pass for a turn of ``pages``; returns the pages dropped."""
        kswapd, by_zone = self.kswapd, bool(self.table[Cell.RECLAIM_BY_ZONE])
        unit = MIN_LRU_BATCH if by_zone else SWAP_CLUSTER_MAX
        before, cache = kswapd.dropped, self._page_cache()

        def ended(now: int) -> bool:
            """Whether the pass ends after ``now`` pages of this turn."""
            if not by_zone:
                return before + now >= kswapd.goal
            if before + now == 0:
                return not kswapd.goal
            if now % unit or not now:
                return False
            wanted = cache - now + unit >> kswapd.priority
            return before + now >= wanted or self._all_safe(kswapd.highest)

        def stops(now: int) -> bool:
            return ended(now) or (now >= pages and now % unit == 0)

        self.held_back = None if self.table[Cell.GATHER_IN_ORDER] else []
        got = self._reclaim(self._kswapd_zones(kswapd.highest), stops, ONLY_CPU)
        self._free_held_back()
        kswapd.dropped += got
        if ended(got) or not stops(got):  # done, or nothing is left
            self._pass_ends()
        return got

    def _free_dropped(self, pfn: int, cpu: int) -> None:
        """Free a page that was dropped, or hold it back until its batch is whole."""
        if self.held_back is None:
            self._free_base_page(pfn, cpu)
            return
        self.held_back.append(pfn)
        if len(self.held_back) == SWAP_CLUSTER_MAX:
            self._free_held_back()
            self.held_back = []

    def _free_held_back(self) -> None:
        """Free a batch last to first (shrink_page_list, free_unref_page_list; up to 6.9)."""
        for pfn in reversed(self.held_back or []):
            self._free_base_page(pfn, ONLY_CPU)
        self.held_back = None

    def _all_safe(self, highest: int) -> bool:
        """should_abort_scan: every allowed zone is well above its high mark."""
        return all(self._over(z, highest) > MIN_LRU_BATCH for z in self._kswapd_zones(highest))

    def _pass_ends(self) -> None:
        """Look at the marks; what was too little is doubled in the next pass."""
        kswapd = self.kswapd
        wanted = sum(max(z.high, SWAP_CLUSTER_MAX) for z in self._kswapd_zones(kswapd.highest))
        if kswapd.dropped < wanted or not kswapd.dropped:
            kswapd.priority -= 1
        kswapd.dropped = -1
        if self._above_marks(kswapd.highest) or kswapd.priority < 1:
            self._kswapd_sleeps()
