"""The reference host: dispatch of commands, and its state as arrays."""

import copy
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engine.enums import AreaKind, Errno, Migratetype, Op, PoolSize, Row, ZoneKind
from engine.reference.allocator import KilledError, PanicError
from engine.reference.history import History
from engine.reference.state import ABSENT, POOL_AREA, VIEW, Area, Tally
from engine.rows import NR_COLUMNS
from engine.shape import HostShape

Int64 = NDArray[np.int64]
NO_OFFLINE_CHANGE = (Op.SAMPLE, Op.STATUS)


ARITY = {
    Op.SPAWN: 3, Op.MAP: 5, Op.TOUCH: 5, Op.READ: 3, Op.FREE: 4, Op.UNMAP: 1, Op.EXIT: 1,
    Op.PIN: 6, Op.UNPIN: 1, Op.HOLD: 4, Op.ONLINE: 3, Op.OFFLINE: 4, Op.SIGNAL: 0,
    Op.STATUS: 1, Op.RECLAIM: 2, Op.MIGRATE: 4, Op.SAMPLE: 1, Op.SHUFFLE: 1, Op.POOL: 3,
    Op.MIN_FREE: 1, Op.IO: 5, Op.MLOCK: 2, Op.DIRTY: 2, Op.AGE: 6, Op.CACHE: 6, Op.STIR: 3,
    Op.NR_HUGEPAGES: 4, Op.FORK: 3, Op.MAP_FILE: 3,
}  # fmt: skip
"""Arguments each operation reads."""


class ReferenceHost(History):
    """A host computed page by page. Surface and units: ``engine.host.Host``.

    Parameters
    ----------
    shape : HostShape
    table : int64[NR_CELLS]
        Decision table (``engine.table``).
    costs : int64[NR_COSTS]
        Costs in ns (``engine.costs``).
    """

    def __init__(self, shape: HostShape, table: Int64, costs: Int64) -> None:
        super().__init__(shape, table, costs)
        self._init_zones()
        self._operations: dict[int, str] = {
            Op.SPAWN: "_spawn", Op.MAP: "_map", Op.TOUCH: "_touch", Op.READ: "_read",
            Op.FREE: "_free", Op.UNMAP: "_unmap", Op.EXIT: "_exit", Op.PIN: "_pin",
            Op.UNPIN: "_unpin_and_return", Op.HOLD: "_hold", Op.ONLINE: "_online",
            Op.OFFLINE: "_offline", Op.SIGNAL: "_signal", Op.STATUS: "_status",
            Op.RECLAIM: "_reclaim_zone", Op.MIGRATE: "_migrate", Op.SAMPLE: "_sample",
            Op.SHUFFLE: "_shuffle_lists", Op.POOL: "_grow_pool", Op.MIN_FREE: "_min_free",
            Op.IO: "_io", Op.MLOCK: "_mlock", Op.DIRTY: "_dirty", Op.FORK: "_fork",
            Op.MAP_FILE: "_map_file", Op.AGE: "_age", Op.CACHE: "_follow", Op.STIR: "_stir",
            Op.NR_HUGEPAGES: "_set_pool",
        }  # fmt: skip

    def execute(self, commands: Int64, until_ns: int) -> Int64:
        """Apply commands in order, then advance to ``until_ns``. See docs/architecture.md.

        Raises ValueError when times go back.
        """
        self.rows = []
        for row in commands.tolist():
            time_ns = row[0]
            if time_ns < self.now_ns and self.nr_commands:
                raise ValueError(f"command at {time_ns} ns, host is at {self.now_ns} ns")
            self._advance_offline(time_ns)
            self._pass_time(time_ns)
            self._apply(row[1], row[2:])
        if not self.panicked:
            self._advance_offline(until_ns)
        self._pass_time(max(self.now_ns, until_ns))
        out = np.zeros((len(self.rows), NR_COLUMNS), np.int64)
        for i, values in enumerate(self.rows):
            out[i, : len(values)] = values
        return out

    def _pass_time(self, time_ns: int) -> None:
        """Go on to a time; a kswapd that was woken before is at its goal by then."""
        if time_ns > self.now_ns:
            self._kswapd_finish()
        self.now_ns = time_ns

    def _apply(self, op: int, arguments: list[int]) -> None:
        """Run one command and emit its RESULT row."""
        self.cause, self.tally = self.nr_commands, Tally()
        self.nr_commands += 1
        if self.offline is not None and op not in NO_OFFLINE_CHANGE:
            self.offline.endless = False
        name = self._operations.get(op)
        if name is None or self.panicked:
            errno = Errno.EINVAL
        else:
            function: Callable[..., Errno] = getattr(self, name)
            try:
                errno = function(*arguments[: ARITY[Op(op)]])
            except KilledError:
                errno = Errno.EINTR
            except PanicError:
                errno, self.offline = Errno.ENOMEM, None
            self._tidy()
        t = self.tally
        self._emit(
            Row.RESULT, op, arguments[0], errno, t.pages, t.latency_ns, t.faulted_pages,
            t.thp_faults, t.thp_fallbacks, t.reclaimed_pages, t.migrated_pages, t.failed_pages,
            t.calls,
        )  # fmt: skip

    @property
    def offline_running(self) -> bool:
        """Whether an offline has not returned yet."""
        return self.offline is not None

    @property
    def offline_repeats_until_ns(self) -> int:
        """Until when an offline only repeats itself: 0, each pass is made and may differ."""
        return 0

    # -- small commands -----------------------------------------------------------------------

    def _reclaim_zone(self, zid: int, pages: int) -> Errno:
        """RECLAIM: drop the oldest clean cache pages of one zone."""
        if not 0 <= zid < len(self.zone) or pages < 0:
            return Errno.EINVAL
        self.tally.pages = self._reclaim([self.zone[zid]], lambda n: n >= pages)
        return Errno.OK

    def _shuffle_lists(self, key: int) -> Errno:
        """SHUFFLE: permute the max-order free lists."""
        self._shuffle(key)
        return Errno.OK

    def _sample(self, sample: int) -> Errno:
        """SAMPLE: one row per zone with memory."""
        content = self.blocks()
        for zone in self.zone:
            if not zone.present:
                continue
            mine = [b for b in range(self.shape.nr_blocks) if self.block_zone[b] == zone.zid]
            used = sum(int(content[b, 3]) for b in mine)
            pinned = sum(int(content[b, 4]) for b in mine)
            file = sum(int(content[b, 5]) for b in mine)
            kernel = sum(int(content[b, 6]) for b in mine)
            self._emit(
                Row.SAMPLE, sample, zone.zid, zone.managed, zone.free_pages, zone.min, pinned,
                file, used - file - kernel, kernel, len(mine),
                sum(1 for b in mine if content[b, 4]),
            )  # fmt: skip
        return Errno.OK

    def _min_free(self, pages: int) -> Errno:
        """MIN_FREE: spread a written min_free_kbytes over the zones."""
        if pages < 0:
            return Errno.EINVAL
        self._spread_marks(pages)
        return Errno.OK

    @property
    def available_pages(self) -> int:
        """Free pages and pages of files in all zones."""
        return self._available(range(len(ZoneKind)))

    @property
    def nr_errors(self) -> int:
        """Commands of the last ``execute`` that returned an errno."""
        return sum(row[1] == Row.RESULT and row[5] != Errno.OK for row in self.rows)

    @property
    def kernel_available_pages(self) -> int:
        """As ``available_pages``, of kernel zones."""
        return self._available(range(ZoneKind.MOVABLE))

    def _available(self, kinds: range) -> int:
        """Free pages and pages of files in zones of some kinds."""
        files = [a for a in self.area_of.values() if a.kind == AreaKind.FILE]
        pages = [p for a in files for p in a.pages if p >= 0]
        free = sum(z.free_pages for z in self.zone if z.kind in kinds)
        return free + sum(self._zone_at(p).kind in kinds for p in pages)

    # -- state as arrays ----------------------------------------------------------------------

    def zones(self) -> Int64:
        """int64[nr_zones, 8]: managed, free, min, low, high, present, pcp, isolated (pages)."""
        return np.array(
            [
                [z.managed, z.free_pages, z.min, z.low, z.high, z.present,
                 z.pcp_pages(self.pb_pages), z.isolated_pages]
                for z in self.zone
            ],
            np.int64,
        )  # fmt: skip

    def blocks(self) -> Int64:
        """int64[nr_blocks, 7]: zone, isolated, free, used, pinned, file, kernel.

        Zone -1: offline, -2: hole. Pages; ``free`` counts what is in free lists, isolated
        pages too, but not those in per-CPU lists.
        """
        block_pages, pb_pages = self.shape.block_pages, self.pb_pages
        both = zip(self.block_zone, self.block_isolated, strict=True)
        rows = [[zone, isolated, 0, 0, 0, 0, 0] for zone, isolated in both]
        for pfn, (order, _) in self.chunk.items():
            rows[pfn // block_pages][2] += 1 << order
        for pfn, folio in self.owner.items():
            if folio.order and pfn % pb_pages:
                continue  # counted with the first page of its pageblock
            pages = pb_pages if folio.order else 1
            row = rows[pfn // block_pages]
            row[3] += pages
            row[4] += pages if folio.pins else 0
            if folio.area != POOL_AREA:
                kind = self.area_of[folio.area].kind
                row[5] += pages if kind == AreaKind.FILE else 0
                row[6] += pages if kind == AreaKind.KERNEL else 0
        return np.array(rows, np.int64).reshape(-1, 7)

    def area(self, slot: int) -> Int64:
        """int64[k, 4]: first, count, pfn, step of the extents of an area in virtual order.

        pfn -1: absent, -2: zero page, -3: absent, a folio of the hugetlb pool is reserved, -4: huge
        zero page (step 0); step +1 or -1: direction of the pfns of base pages; step 2: (a part of)
        one huge folio.
        """
        out: list[list[int]] = []
        for index in range(len(self.area_of[slot].pages)):
            pfn = self._shown(slot, index)
            order = self.owner[pfn].order if pfn >= 0 else 0
            if order:
                last = out[-1] if out else [0, 0, 0, 0]
                if last[3] == 2 and last[2] + last[1] == pfn > self.owner[pfn].pfn:
                    last[1] += 1
                else:
                    out.append([index, 1, pfn, 2])
            elif out and self._extends(out[-1], pfn):
                out[-1][1] += 1
            else:
                out.append([index, 1, pfn, 0 if pfn < 0 else 1])
        return np.array(out, np.int64).reshape(-1, 4)

    def _shown(self, slot: int, index: int) -> int:
        """Page an area shows at an index: its own, or one of an area below; ABSENT if none."""
        area: Area | None = self.area_of[slot]
        while area is not None and index < len(area.pages) and area.pages[index] == VIEW:
            area = self.area_of.get(area.below)
        if area is None or index >= len(area.pages):
            return ABSENT
        return area.pages[index]

    @staticmethod
    def _extends(extent: list[int], pfn: int) -> bool:
        """Whether a base page (or hole) continues an extent; fixes its direction if it is new."""
        _, count, start, step = extent
        if start < 0 or pfn < 0:
            return start == pfn
        if step == 2:
            return False
        if count == 1 and pfn == start - 1:
            extent[3] = -1
            return True
        return pfn == start + step * count

    def free_list(self, zid: int, mt: int, order: int) -> Int64:
        """int64[k]: pfns of a free list, head first."""
        return np.array(list(self.zone[zid].free_area[Migratetype(mt)][order]), np.int64)

    def pcp(self, cpu: int, zid: int) -> Int64:
        """int64[k]: pages of a CPU's lists (UNMOVABLE, MOVABLE, huge), next taken first."""
        zone = self.zone[zid]
        base = [p for stack in zone.pcp[cpu] for p in stack]
        huge = [p + i for p in zone.pcp_huge[cpu] for i in range(self.pb_pages)]
        return np.array(base + huge, np.int64)

    def pages(self) -> Int64:
        """int64[n, 7]: folios ascending: pfn, order, area, index, pins, refs, isolated."""
        rows = [
            [f.pfn, f.order, f.area, f.index, f.pins, f.references, f.isolated]
            for pfn, f in self.owner.items()
            if pfn == f.pfn
        ]
        return np.array(sorted(rows), np.int64).reshape(-1, 7)

    def use_table(self, table: Int64) -> None:
        """Go on under another decision table (of the same profile: marks are not computed anew)."""
        self.table = [int(x) for x in table]

    def pool(self, size: int = PoolSize.HUGE) -> Int64:
        """int64[nr_nodes, 4]: hugetlb folios of a node: all, free, surplus, and reserved.

        Of one ``PoolSize``. Reservations are the host's, of no node: all of them stand in the first
        row.
        """
        pool = self.pools[size]
        rows = [
            [total, len(free), surplus, 0]
            for total, free, surplus in zip(pool.total, pool.free, pool.surplus, strict=True)
        ]
        rows[0][3] = pool.reserved
        return np.array(rows, np.int64)

    def settle(self) -> None:
        """Nothing to do here: the fast host's memory has a layout."""

    def probe(self, commands: Int64, until_ns: int) -> Int64:
        """``execute`` of a copy of this host, which stays as it is; only the rows are left."""
        return self.clone().execute(commands, until_ns)

    def clone(self, *, spare: bool = False) -> "ReferenceHost":  # noqa: ARG002
        """An independent copy (``spare``: as ``engine.host.Host``, which need not be used)."""
        return copy.deepcopy(self)
