"""Where a request finds memory: zonelists, watermarks, reclaim, the OOM killer.

Sources: mm/page_alloc.c (``get_page_from_freelist``, ``__alloc_pages_slowpath``), mm/vmscan.c
(``balance_pgdat``), mm/oom_kill.c (``select_bad_process``), Linux 5.10 and 6.1. kswapd runs at
once and to its goal, unless it shares its CPU (``engine.reference.kswapd``): its wake-up delay
cannot change which zone a page comes from in the end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.enums import (
    ZONES_PER_NODE,
    AreaKind,
    Cell,
    Cost,
    Counter,
    Incident,
    Migratetype,
    Row,
    ZoneKind,
)
from engine.reference.kswapd import (
    DEF_PRIORITY,
    MIN_LRU_BATCH,
    SWAP_CLUSTER_MAX,
    KswapdTurns,
)
from engine.reference.state import ABSENT, VIEW, Area, Zone

NOBODY = -1


class KilledError(Exception):
    """The process on whose behalf memory was asked for was OOM-killed."""


class PanicError(Exception):
    """Out of memory and no killable process."""


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks for memory and where it may come from."""

    zones: tuple[Zone, ...]
    highest: ZoneKind
    """Highest zone kind of the gfp mask: decides which lowmem_reserve applies."""
    mt: Migratetype
    cpu: int
    proc: int
    may_oom: bool
    pool: bool = False
    """It is for a long-term pin and takes from the pool kept for them."""
    nowait: bool = False
    """Takes nothing below the low marks and reclaims nothing."""
    direct: bool = False
    """Base pages of slabs of several pages, which do not pass through the lists of base pages."""


class Allocator(KswapdTurns):
    """The layer that finds pages for a request."""

    def _request(
        self, nodes: list[int], movable: bool, cpu: int, proc: int, *, may_oom: bool
    ) -> Request:
        """Request for user or kernel memory of ``nodes``."""
        highest = ZoneKind.MOVABLE if movable else ZoneKind.NORMAL
        mt = Migratetype.MOVABLE if movable else Migratetype.UNMOVABLE
        return Request(self._zonelist(nodes, highest), highest, mt, cpu, proc, may_oom)

    def _zonelist(self, nodes: list[int], highest: ZoneKind) -> tuple[Zone, ...]:
        """Zones with memory of ``nodes``: each node's from the highest allowed kind down."""
        kinds = range(highest, -1, -1)
        zones = [self.zone[node * ZONES_PER_NODE + kind] for node in nodes for kind in kinds]
        return tuple([zone for zone in zones if zone.managed])

    def _nodes_from(self, node: int) -> list[int]:
        """All nodes, the given one first, then upwards and around."""
        n = self.shape.nr_nodes
        return [(node + i) % n for i in range(n)]

    def _watermark_ok(self, zone: Zone, order: int, mark: int, request: Request) -> bool:
        """__zone_watermark_ok; a request for a pin may take what its pool keeps."""
        spare = zone.free_pages - ((1 << order) - 1)
        spare += self._pool_left(zone) if request.pool else 0
        if spare <= mark + self._reserve(zone, request.highest):
            return False
        if order == 0:
            return True
        types = (Migratetype.UNMOVABLE, Migratetype.MOVABLE, Migratetype.RECLAIMABLE)
        return any(zone.free_area[mt][o] for o in range(order, self.max_order + 1) for mt in types)

    def _from_freelists(self, request: Request, order: int, *, low: bool) -> int:
        """get_page_from_freelist: first zone above its mark; -1 if none."""
        for zone in request.zones:
            if low and self._self_tuned() and not zone.below_high:
                zone.below_high = not self._watermark_ok(zone, order, zone.high, request)
            mark = zone.low if low else zone.min
            if not self._watermark_ok(zone, order, mark, request):
                continue
            if order:
                pfn = self._pcp_take_huge(zone, request.cpu, request.mt)
            elif request.direct:
                pfn = self._rmqueue(zone, 0, request.mt)
            else:
                pfn = self._pcp_take(zone, request.cpu, request.mt)
            if pfn >= 0:
                return pfn
        return -1

    def _has_room(self, request: Request, order: int) -> bool:
        """Whether an allocation down to the min marks would succeed without reclaim."""
        return any(self._watermark_ok(z, order, z.min, request) for z in request.zones)

    def _alloc(self, request: Request, order: int) -> int:
        """__alloc_pages: pfn, or -1. Order 0 reclaims and, where allowed, OOM-kills.

        The page that wakes kswapd is still taken at the min marks (``__alloc_pages_slowpath``:
        the wake-up comes first, but does not wait).

        A huge request (GFP_TRANSHUGE of an area with MADV_HUGEPAGE, or of a migration) reclaims
        once and tries again (``__alloc_pages_slowpath``: costly orders do not loop).

        Raises KilledError (the requester died) or PanicError.
        """
        if not order:
            self._kswapd_tick()
        while True:
            pfn = self._from_freelists(request, order, low=True)
            if pfn >= 0 or request.nowait:
                return self._taken(pfn, order)
            reclaimed = 0 if order else self._wake_kswapds(request)
            pfn = self._from_freelists(request, order, low=False)
            if pfn >= 0:
                return self._taken(pfn, order)
            if reclaimed:
                continue
            if order:
                return self._huge_by_reclaim(request, order)
            self.counters[Counter.ALLOCSTALL] += 1
            if self._direct_reclaim(request) or self._drain_all():
                continue
            if not request.may_oom:
                return -1
            self._oom_kill(request.proc)

    def _huge_by_reclaim(self, request: Request, order: int) -> int:
        """A huge folio after reclaim, or -1.

        __alloc_pages_direct_reclaim: where reclaim made progress and was not enough, all lists are
        drained. (Without the multi-gen LRU, or with a kswapd of its own CPU: left out.)
        """
        if not self._reclaim_for_huge(request, order):
            return -1
        pfn = self._from_freelists(request, order, low=False)
        if pfn < 0 and self._reclaims_by_list():
            self._drain_all()
            pfn = self._from_freelists(request, order, low=False)
        return pfn

    # -- reclaim ------------------------------------------------------------------------------

    def _reclaim(self, zones: Sequence[Zone], done: Callable[[int], bool], cpu: int = -1) -> int:
        """Drop page cache in ``zones`` until ``done(reclaimed)``, oldest first. Returns pages.

        It goes to the lists of ``cpu``; without one straight to the buddy.

        What is clean goes first; what is dirty is written back (mm/vmscan.c ``shrink_folio_list``),
        what is locked stays. Where lists are kept by zone (mm/vmscan.c ``scan_folios``, multi-gen
        LRU) the highest zone gives all that it has before the next one is asked.
        """
        kinds = [{z.zid for z in zones}]
        if self.table[Cell.RECLAIM_BY_ZONE]:
            kinds = [{z.zid for z in zones if z.kind == k} for k in reversed(ZoneKind)]
        reclaimed = 0
        for dirty in (False, True):
            for ids in kinds:
                for area in self._files(dirty=dirty):
                    reclaimed += self._drop_cache(area, ids, reclaimed, done, cpu)
                    if done(reclaimed):
                        return reclaimed
        return reclaimed

    def _files(self, *, dirty: bool) -> list[Area]:
        """Page cache that may be dropped, oldest first."""
        locked = {s for s, a in self.area_of.items() if a.locked}
        locked |= {a.below for a in self.area_of.values() if a.locked}
        files = [
            a
            for s, a in self.area_of.items()
            if a.kind == AreaKind.FILE and s >= 0 and s != self.busy_area and s not in locked
        ]
        return sorted((a for a in files if bool(a.dirty) == dirty), key=lambda a: a.sequence)

    def _drop_cache(
        self, area: Area, zone_ids: set[int], before: int, done: Callable[[int], bool], cpu: int
    ) -> int:
        """Drop the pages of one area that lie in some zones until ``done``; ``before`` others."""
        reclaimed = 0
        for index, pfn in enumerate(area.pages):
            if pfn < 0 or self.owner[pfn].held or self.owner[pfn].isolated:
                continue
            if self._zone_at(pfn).zid not in zone_ids:
                continue
            if done(before + reclaimed):  # dear, and another answer only after a page was dropped
                break
            area.pages[index] = ABSENT
            del self.owner[pfn]
            self._free_dropped(pfn, cpu)
            reclaimed += 1
            self.counters[Counter.PGSTEAL] += 1
            self.tally.reclaimed_pages += 1
            self.tally.latency_ns += self.costs[Cost.RECLAIM_4K]
            self.tally.latency_ns += area.dirty * self.costs[Cost.WRITEBACK_4K]
        return reclaimed

    def _wake_kswapds(self, request: Request) -> int:
        """Each node of the zonelist reclaims until one allowed zone is above its high mark.

        mm/vmscan.c ``pgdat_balanced``: the mark and the zone's lowmem_reserve for the request.
        """
        if self.shape.turns[0]:
            self._wake_in_turns(request.highest)
            return 0
        reclaimed = 0
        for node in dict.fromkeys(z.node for z in request.zones):
            zones = [z for z in request.zones if z.node == node]

            def balanced(_: int, zones: list[Zone] = zones) -> bool:
                return any(self._watermark_ok(z, 0, z.high, request) for z in zones)

            if balanced(0):
                continue
            self.counters[Counter.KSWAPD_WAKE] += 1
            reclaimed += self._reclaim(zones, balanced)
        return reclaimed

    def _direct_reclaim(self, request: Request) -> int:
        """try_to_free_pages: a cluster from the first node that has something."""
        if self._reclaims_by_list():
            return self._reclaim_share(request)
        for node in dict.fromkeys(z.node for z in request.zones):
            zones = [z for z in request.zones if z.node == node]
            reclaimed = self._reclaim(zones, lambda n: n >= SWAP_CLUSTER_MAX)
            if reclaimed:
                return reclaimed
        return 0

    def _reclaims_by_list(self) -> bool:
        """Whether direct reclaim is the multi-gen LRU's of a task that shares kswapd's CPU."""
        return bool(self.shape.turns[0] and self.table[Cell.RECLAIM_BY_ZONE])

    def _reclaim_share(self, request: Request) -> int:
        """Direct reclaim by the multi-gen LRU: batches up to a share of the page cache.

        ``get_nr_to_scan``: shifted right by DEF_PRIORITY, and less from try to try (mm/vmscan.c
        ``do_try_to_free_pages``).
        """
        cache = self._page_cache()
        priority = min(DEF_PRIORITY, max(cache.bit_length() - 1, 0))

        def enough(now: int) -> bool:
            wanted = cache - now + MIN_LRU_BATCH >> priority
            return now > 0 and now % MIN_LRU_BATCH == 0 and now >= wanted

        return self._reclaim(request.zones, enough, request.cpu)

    def _page_cache(self) -> int:
        """Pages of files."""
        files = [a for a in self.area_of.values() if a.kind == AreaKind.FILE]
        return sum(pfn >= 0 for area in files for pfn in area.pages)

    def _drain_all(self) -> int:
        """drain_all_pages of __alloc_pages_direct_reclaim; returns the pages that were on lists.

        Linux does so when a request fails right after reclaim that made progress; its caches of
        slabs, which always give a little, are not modelled, so it is done after any reclaim.
        """
        pages = sum(zone.pcp_pages(self.pb_pages) for zone in self.zone)
        for zone in self.zone:
            self._drain_pcp(zone)
        return pages

    def _compaction_suitable(self, request: Request, order: int) -> bool:
        """compaction_suitable: free pages enough that more reclaim would not help a huge request.

        Above the low mark by ``compact_gap``, or the request would succeed (mm/compaction.c).
        """
        gap = 2 << order
        return any(
            self._watermark_ok(z, order, z.min, request)
            or self._watermark_ok(z, 0, z.low + gap, request)
            for z in request.zones
        )

    def _reclaim_for_huge(self, request: Request, order: int) -> int:
        """try_to_free_pages for a huge request: clusters until compaction would have enough.

        Counts as one stall, where it finds something to drop.
        """
        reclaimed = 0
        while not self._compaction_suitable(request, order):
            dropped = self._direct_reclaim(request)
            if not dropped:
                break
            self.counters[Counter.ALLOCSTALL] += not reclaimed
            reclaimed += dropped
            if self._reclaims_by_list():
                break
        return reclaimed

    # -- OOM ----------------------------------------------------------------------------------

    def _rss(self, proc: int) -> int:
        """Anonymous and shmem pages of a process, and views (what oom_badness mostly counts)."""
        counted = (AreaKind.ANON, AreaKind.THP, AreaKind.SHMEM)
        return sum(
            sum((pfn >= 0 and a.kind in counted) or pfn == VIEW for pfn in a.pages)
            for a in self.area_of.values()
            if a.proc == proc
        )

    def _oom_kill(self, requester: int) -> None:
        """Kill the largest killable process; ties go to the lowest slot."""
        victims = [(self._rss(p), -p) for p, q in self.proc_of.items() if not q.oom_immune]
        rss, negative = max(victims, default=(0, 0))
        if rss == 0:
            self.panicked = True
            self._emit(Row.INCIDENT, Incident.PANIC, NOBODY, requester, 0)
            raise PanicError
        victim = -negative
        self.counters[Counter.OOM_KILL] += 1
        self.tally.latency_ns += self.costs[Cost.OOM_KILL]
        self._emit(Row.INCIDENT, Incident.OOM_KILL, victim, requester, rss)
        self._exit_process(victim)
        if victim == requester:
            raise KilledError

    def _exit_process(self, proc: int) -> None:
        """Release everything a process holds (provided by the layer above)."""
        raise NotImplementedError
