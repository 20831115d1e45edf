"""Processes and areas: faults, freeing, exit.

Sources: mm/memory.c (``do_anonymous_page``), mm/huge_memory.c
(``do_huge_pmd_anonymous_page``; a write to the huge zero page falls back to base pages since
5.8), mm/hugetlb.c (``alloc_huge_page``, ``hugetlb_reserve_pages``).
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import chain, repeat

from engine.enums import MOST_AREAS, AreaKind, Cell, Cost, Counter, Errno, FaultPath
from engine.reference.allocator import Request
from engine.reference.hugetlb import HugePool
from engine.reference.state import (
    ABSENT,
    HUGE_ZERO,
    RESERVED,
    VIEW,
    ZERO_PAGE,
    Area,
    Folio,
    PinRows,
    Process,
)

PATH_OF = {
    AreaKind.ANON: FaultPath.ANON,
    AreaKind.THP: FaultPath.THP,
    AreaKind.FILE: FaultPath.FILE,
    AreaKind.HUGETLB: FaultPath.HUGETLB,
    AreaKind.SHMEM: FaultPath.SHMEM,
}
ANONYMOUS = (AreaKind.ANON, AreaKind.THP)
CACHES = (AreaKind.FILE, AreaKind.SHMEM)
"""Page cache: a read fault fills it, too (mm/filemap.c ``filemap_fault``, mm/shmem.c)."""
FLAG_CELL = {
    FaultPath.ANON: Cell.FAULT_FLAG_ANON,
    FaultPath.THP: Cell.FAULT_FLAG_THP,
    FaultPath.FILE: Cell.FAULT_FLAG_FILE,
    FaultPath.HUGETLB: Cell.FAULT_FLAG_HUGETLB,
    FaultPath.SHMEM: Cell.FAULT_FLAG_SHMEM,
    FaultPath.ZERO: Cell.FAULT_FLAG_ZERO,
    FaultPath.HZP: Cell.FAULT_FLAG_HZP,
    FaultPath.COW: Cell.FAULT_FLAG_COW,
}
PATH_OVER = {ZERO_PAGE: FaultPath.ZERO, HUGE_ZERO: FaultPath.HZP, VIEW: FaultPath.COW}
"""Fault path of a write to an anonymous page that is mapped already."""
GATHER_BATCHES = (8, *[510] * 19)
"""Pages of mmu_gather's batches: the one on the stack, then up to 19 of a page each."""
NORESERVE, GIGANTIC = 2, 4
"""Bits of MAP's flags: MAP_NORESERVE, MAP_HUGE_1GB (bit 0: hinted)."""


class Memory(HugePool):
    """The layer of processes, areas and faults."""

    # -- processes and areas ------------------------------------------------------------------

    def _spawn(self, proc: int, cpu: int, oom_immune: int) -> Errno:
        """Start a process on a CPU."""
        if proc in self.proc_of or proc < 0 or not 0 <= cpu < len(self.shape.cpu_node):
            return Errno.EINVAL
        self.proc_of[proc] = Process(cpu, bool(oom_immune))
        return Errno.OK

    def _map(self, area: int, proc: int, kind: int, pages: int, flags: int) -> Errno:
        """MAP: nothing is present yet; a hugetlb area reserves its folios, or is ENOMEM."""
        if not self._may_map(area) or proc not in self.proc_of or pages <= 0:
            return Errno.EINVAL
        if not 0 <= kind < len(AreaKind):
            return Errno.EINVAL
        hugetlb, gigantic = kind == AreaKind.HUGETLB, bool(flags & GIGANTIC)
        pool = self.pools[gigantic]
        if (hugetlb and pages % pool.pages) or (gigantic and not hugetlb):
            return Errno.EINVAL
        reserving = hugetlb and not flags & NORESERVE
        if reserving and not self._reserve_folios(pool, pages >> pool.order):
            return Errno.ENOMEM
        self.area_of[area] = Area(
            AreaKind(kind), proc, bool(flags & 1), self.area_sequence,
            [RESERVED if reserving else ABSENT] * pages, gigantic=gigantic,
        )  # fmt: skip
        self.area_sequence += 1
        return Errno.OK

    def _may_map(self, slot: int) -> bool:
        """Whether a number may become an area's."""
        return 0 <= slot < MOST_AREAS and slot not in self.area_of

    def _mapped(self, slot: int) -> Area | None:
        """The area of a slot (objects have no slots), None if there is none."""
        return self.area_of.get(slot) if slot >= 0 else None

    def _range_ok(self, area: int, first: int, count: int) -> bool:
        """Whether [first, first + count) lies in a mapped area."""
        if self._mapped(area) is None or first < 0 or count <= 0:
            return False
        return first + count <= len(self.area_of[area].pages)

    def _place(self, area: int, index: int, pfn: int, order: int) -> Folio:
        """Map a fresh folio at a virtual index."""
        folio = Folio(pfn, order, area, index)
        pages = self.area_of[area].pages
        for i in range(1 << order):
            self.owner[pfn + i] = folio
            pages[index + i] = pfn + i
        return folio

    def _split_folio(self, folio: Folio) -> list[Folio]:
        """split_huge_page: base pages in place. The folio must not be held."""
        parts = []
        for i in range(folio.pages):
            part = Folio(folio.pfn + i, 0, folio.area, folio.index + i, isolated=folio.isolated)
            self.owner[folio.pfn + i] = part
            parts.append(part)
        return parts

    def _path(self, folio: Folio) -> FaultPath:
        """Fault path a folio belongs to; base pages of a THP area count as ANON."""
        path = PATH_OF[self.area_of[folio.area].kind]
        return FaultPath.ANON if path == FaultPath.THP and folio.order == 0 else path

    def _block(self, pfn: int) -> int:
        """Memory block of a pfn."""
        return pfn // self.shape.block_pages

    def _record(self, folio: Folio, column: int, cost: int, path: FaultPath | None = None) -> None:
        """Note a folio that a running PIN faulted (on a path) or moved."""
        if self.pin_rows is not None:
            path = self._path(folio) if path is None else path
            parts = self._parts(folio)
            pages, cost = folio.pages // len(parts), cost // len(parts)
            for pfn in parts:
                self.pin_rows.add(self._block(pfn), path, column, pages, cost)

    # -- faults -------------------------------------------------------------------------------

    def _fault_request(
        self, area: Area, cpu: int, node: int, *, flagged: bool, pinning: bool
    ) -> Request:
        """Zonelist and migratetype of a fault; ``flagged`` keeps it out of ZONE_MOVABLE."""
        movable = area.kind != AreaKind.KERNEL and not flagged
        home = self.shape.cpu_node[cpu] if node < 0 else node
        proc = area.proc if self.on_behalf < 0 else self.on_behalf
        request = self._request(self._nodes_from(home), movable, cpu, proc, may_oom=True)
        if area.kind == AreaKind.KERNEL and area.hinted:
            request = replace(request, direct=True)
        return self._from_pool(request) if pinning and flagged else request

    def _from_pool(self, request: Request) -> Request:
        """A request of a long-term pin: from the pool where there is one, and it kills nobody."""
        if not self.table[Cell.PIN_POOL_MILLIONTHS]:
            return request
        return replace(request, pool=True, may_oom=False)

    def _fault_base(self, area: int, index: int, request: Request, path: FaultPath) -> int:
        """Fault one base page in. Returns its pfn, -1 where the pool of pins has no room."""
        pfn = self._alloc(request, 0)
        if pfn < 0:
            return -1
        folio = self._place(area, index, pfn, 0)
        self._record(folio, PinRows.FAULTED, self.costs[Cost.FAULT_4K], path)
        self.counters[Counter.PGFAULT] += 1
        self.tally.faulted_pages += 1
        self.tally.latency_ns += self.costs[Cost.FAULT_4K]
        return pfn

    def _fault_huge(self, area: int, index: int, request: Request, path: FaultPath) -> int:
        """Fault a THP in at an aligned chunk without pages. Returns its pfn or -1."""
        pfn = self._alloc(request, self.pbo)
        if pfn < 0:
            self.counters[Counter.THP_FAULT_FALLBACK] += 1
            self.tally.thp_fallbacks += 1
            return -1
        folio = self._place(area, index, pfn, self.pbo)
        self._record(folio, PinRows.FAULTED, self.costs[Cost.FAULT_2M], path)
        self.counters[Counter.PGFAULT] += 1
        self.counters[Counter.THP_FAULT_ALLOC] += 1
        self.tally.thp_faults += 1
        self.tally.faulted_pages += self.pb_pages
        self.tally.latency_ns += self.costs[Cost.FAULT_2M]
        return pfn

    def _huge_chunk(self, area: Area, index: int) -> bool:
        """Whether a THP may be faulted at ``index``: aligned, inside the area, nothing there.

        The huge zero page is nothing to kernels that replace it by a THP.
        """
        if area.kind != AreaKind.THP or index % self.pb_pages:
            return False
        if index + self.pb_pages > len(area.pages):
            return False
        if area.pages[index] == HUGE_ZERO:
            return bool(self.table[Cell.HZP_WRITE_THP])
        return all(p == ABSENT for p in area.pages[index : index + self.pb_pages])

    def _populate(
        self, slot: int, first: int, count: int, cpu: int, node: int, *, pinning: bool
    ) -> Errno:
        """Write-fault every page of a range that is not the area's own."""
        area = self.area_of[slot]
        if area.kind == AreaKind.HUGETLB:
            return self._populate_hugetlb(slot, first, count, cpu, node, pinning=pinning)
        hinted = area.hinted and bool(self.table[Cell.HINT_HONOURED])

        def ask(path: FaultPath) -> Request:
            flagged = hinted or (pinning and bool(self.table[FLAG_CELL[path]]))
            return self._fault_request(area, cpu, node, flagged=flagged, pinning=pinning)

        index, end = first, first + count
        while index < end:
            if area.pages[index] >= 0:
                index += 1
                continue
            chunk = index - index % self.pb_pages
            stop = index + 1
            if self._huge_chunk(area, chunk):
                path = PATH_OVER.get(area.pages[chunk], FaultPath.THP)
                if self._fault_huge(slot, chunk, ask(path), path) >= 0:
                    index = chunk + self.pb_pages
                    continue
                stop = min(chunk + self.pb_pages, end)
            while index < stop:
                if area.pages[index] < 0 and not self._fault_page(slot, index, cpu, ask):
                    return Errno.ENOMEM
                index += 1
        return Errno.OK

    def _fault_page(
        self, slot: int, index: int, cpu: int, ask: Callable[[FaultPath], Request]
    ) -> bool:
        """Write-fault one base page, over whatever is mapped there. False without room."""
        area = self.area_of[slot]
        entry = area.pages[index]
        if entry == VIEW and self._take_back(slot, index):
            return True
        path = PATH_OF[area.kind] if area.kind in CACHES else FaultPath.ANON
        path = PATH_OVER.get(entry, path)
        if self._fault_base(slot, index, ask(path), path) < 0:
            return False
        if entry == HUGE_ZERO:
            self._split_huge_zero(area, index)
        elif entry == VIEW:
            self._sweep(area.below, index, 1, cpu)
        return True

    def _split_huge_zero(self, area: Area, index: int) -> None:
        """The huge zero page around an index becomes zero pages (``__split_huge_pmd``)."""
        chunk = index - index % self.pb_pages
        for i in range(chunk, min(chunk + self.pb_pages, len(area.pages))):
            if area.pages[i] == HUGE_ZERO:
                area.pages[i] = ZERO_PAGE

    def _map_zero(self, slot: int, first: int, count: int) -> int:
        """Read faults of anonymous memory: zero pages where nothing is. Returns the pages mapped.

        mm/huge_memory.c ``do_huge_pmd_anonymous_page``: a THP area maps the huge zero page.
        """
        area, mapped, use_huge = self.area_of[slot], 0, self.area_of[slot].kind == AreaKind.THP
        for i in range(first, first + count):
            if area.pages[i] != ABSENT:
                continue
            chunk = i - i % self.pb_pages
            if use_huge and self._huge_chunk(area, chunk):
                area.pages[chunk : chunk + self.pb_pages] = [HUGE_ZERO] * self.pb_pages
                mapped += self.pb_pages
            else:
                area.pages[i] = ZERO_PAGE
                mapped += 1
        return mapped

    def _touch(self, slot: int, first: int, count: int, cpu: int, node: int) -> Errno:
        """TOUCH: write one byte to each page."""
        if not self._range_ok(slot, first, count) or node >= self.shape.nr_nodes:
            return Errno.EINVAL
        self.tally.pages = count
        return self._populate_through(slot, first, count, self._cpu(slot, cpu), node)

    def _populate_through(self, slot: int, first: int, count: int, cpu: int, node: int) -> Errno:
        """Populate an area, or the file that a mapping shows."""
        behind = self._behind(slot, first, count)
        self.on_behalf = self.area_of[slot].proc
        try:
            return self._populate(behind, first, count, cpu, node, pinning=False)
        finally:
            self.on_behalf = -1

    def _read(self, slot: int, first: int, count: int) -> Errno:
        """READ: untouched pages of anonymous areas become the zero page, page cache is filled."""
        if not self._range_ok(slot, first, count):
            return Errno.EINVAL
        area = self.area_of[slot]
        if area.kind in CACHES:
            self.tally.pages = count
            return self._populate_through(slot, first, count, self._cpu(slot, -1), -1)
        if area.kind not in ANONYMOUS:
            return Errno.EINVAL
        self.tally.pages = self._map_zero(slot, first, count)
        return Errno.OK

    def _mlock(self, slot: int, on: int) -> Errno:
        """MLOCK: mlock of a whole area faults it in (mm/gup.c ``populate_vma_page_range``)."""
        area = self._mapped(slot)
        if area is None or area.kind == AreaKind.KERNEL:
            return Errno.EINVAL
        area.locked = bool(on)
        if not on:
            return Errno.OK
        self.tally.pages = len(area.pages)
        return self._populate_through(slot, 0, len(area.pages), self._cpu(slot, -1), -1)

    def _dirty(self, slot: int, on: int) -> Errno:
        """DIRTY: whether page cache must be written back before it is dropped."""
        area = self._mapped(slot)
        if area is None or area.kind != AreaKind.FILE:
            return Errno.EINVAL
        self.area_of[self._behind(slot)].dirty = bool(on)
        return Errno.OK

    def _cpu(self, slot: int, cpu: int) -> int:
        """The CPU a command runs on: its own, or the process's."""
        if 0 <= cpu < len(self.shape.cpu_node):
            return cpu
        return self.proc_of[self.area_of[slot].proc].cpu

    # -- freeing ------------------------------------------------------------------------------

    def _release_range(self, slot: int, first: int, count: int, cpu: int) -> None:
        """Unmap and free the own pages of a range; nothing in it is held.

        Base pages are gathered and each batch is freed last to first (mm/mmu_gather.c, mm/swap.c
        ``release_pages``), or first to last (``folios_put_refs``, 6.12); huge folios are freed at
        once, and then they keep their turn.
        """
        area = self.area_of[slot]
        index, end = first, first + count
        sizes, batch = chain.from_iterable(repeat(GATHER_BATCHES)), list[Folio]()
        size = next(sizes)
        while index < end:
            pfn = area.pages[index]
            if pfn < 0:
                if pfn == HUGE_ZERO:
                    self._split_huge_zero(area, index)
                if pfn != RESERVED:
                    area.pages[index] = ABSENT
                index += 1
                continue
            folio = self.owner[pfn]
            inside = folio.index >= index and folio.index + folio.pages <= end
            if folio.order and not inside:
                self._split_folio(folio)
                continue
            index = folio.index + folio.pages
            if folio.order:
                self._free_folio(folio, cpu)
                continue
            if self.table[Cell.GATHER_IN_ORDER]:
                self._free_folio(folio, cpu)
                continue
            batch.append(folio)
            if len(batch) == size:
                self._free_batch(batch, cpu)
                size = next(sizes)
        self._free_batch(batch, cpu)

    def _free_batch(self, batch: list[Folio], cpu: int) -> None:
        """Free a batch of mmu_gather, last page first."""
        while batch:
            self._free_folio(batch.pop(), cpu)

    def _free_folio(self, folio: Folio, cpu: int) -> None:
        """Free a mapped folio: base pages by the per-CPU list, huge ones to the buddy or pool."""
        self._unmap_folio(folio)
        huge = folio.order > 0
        cost = self.costs[Cost.FREE_2M if huge else Cost.FREE_4K]
        self.tally.latency_ns += cost * len(self._parts(folio))
        if huge and self.area_of[folio.area].kind == AreaKind.HUGETLB:
            self._free_hugetlb(self._pool_of(folio.order), folio.pfn, cpu)
        elif huge:
            self._free_huge(folio.pfn, cpu)
        else:
            self._free_base_page(folio.pfn, cpu)

    def _unmap_folio(self, folio: Folio) -> None:
        """Forget owner and mapping of a folio."""
        pages = self.area_of[folio.area].pages
        for i in range(folio.pages):
            del self.owner[folio.pfn + i]
            pages[folio.index + i] = ABSENT

    def _free(self, slot: int, first: int, count: int, cpu: int) -> Errno:
        """FREE: MADV_DONTNEED. What somebody holds stays allocated until it is let go.

        A hugetlb range must be of whole folios (mm/madvise.c ``madvise_dontneed_free_valid_vma``).
        """
        if not self._range_ok(slot, first, count):
            return Errno.EINVAL
        area = self.area_of[slot]
        if area.kind == AreaKind.HUGETLB and (first | count) % self._pool_under(area).pages:
            return Errno.EINVAL
        self.tally.pages = count
        self._release_views(slot, first, count, self._cpu(slot, cpu))
        return Errno.OK

    def _release_views(self, slot: int, first: int, count: int, cpu: int) -> None:
        """Let go of a range: own pages that nobody holds are freed, then those nobody sees."""
        self._orphan_held(slot, first, count)
        self._release_range(slot, first, count, cpu)
        self._sweep(self.area_of[slot].below, first, count, cpu)

    def _unmap(self, slot: int) -> Errno:
        """UNMAP: munmap of a whole area. EBUSY for a file that is mapped."""
        if self._mapped(slot) is None:
            return Errno.EINVAL
        if any(a.below == slot for a in self.area_of.values()):
            return Errno.EBUSY
        self._drop_area(slot, self._cpu(slot, -1))
        return Errno.OK

    def _drop_area(self, slot: int, cpu: int) -> None:
        """Let go of a whole area and forget it."""
        count = len(self.area_of[slot].pages)
        self.tally.pages += count
        self._release_views(slot, 0, count, cpu)
        self._forget_area(slot)

    def _forget_area(self, slot: int) -> None:
        """Forget an empty area, and what it had reserved of the hugetlb pool."""
        area = self.area_of.pop(slot)
        pool = self._pool_under(area)
        pool.reserved -= area.pages.count(RESERVED) >> pool.order

    def _exit(self, proc: int) -> Errno:
        """EXIT: pins of the process, then its areas, in slot order."""
        if proc not in self.proc_of:
            return Errno.EINVAL
        self._exit_process(proc)
        return Errno.OK

    def _exit_process(self, proc: int) -> None:
        for pin in sorted(p for p, q in self.pin_of.items() if q.proc == proc):
            self._unpin(pin)
        for slot in sorted(s for s, a in self.area_of.items() if a.proc == proc):
            mappers = [
                a.proc
                for _, a in sorted(self.area_of.items())
                if slot == a.below and a.proc != proc
            ]
            if mappers:  # a file stays until the last mapping goes
                self.area_of[slot].proc = mappers[0]
            else:
                self._drop_area(slot, self.proc_of[proc].cpu)
        del self.proc_of[proc]

    # -- what the layers above provide --------------------------------------------------------

    def _behind(self, slot: int, first: int = 0, count: int = 0) -> int:
        """The file a mapping shows."""
        raise NotImplementedError

    def _take_back(self, slot: int, index: int) -> bool:
        """Whether a view became a page of the area's own."""
        raise NotImplementedError

    def _sweep(self, number: int, first: int, count: int, cpu: int) -> None:
        """Free what nobody sees any more."""
        raise NotImplementedError

    def _orphan_held(self, slot: int, first: int, count: int) -> None:
        """Move what somebody holds out of an area."""
        raise NotImplementedError

    def _unpin(self, pin: int) -> Errno:
        """Release a pin."""
        raise NotImplementedError

    # -- hugetlb ------------------------------------------------------------------------------

    def _populate_hugetlb(
        self, slot: int, first: int, count: int, cpu: int, node: int, *, pinning: bool
    ) -> Errno:
        """alloc_huge_page for absent chunks; EFAULT (SIGBUS) when the pool has none for them.

        A chunk without a reservation of its own gets no folio that a mapping has reserved.
        """
        nodes = self._nodes_from(self.shape.cpu_node[cpu] if node < 0 else node)
        flagged = pinning and bool(self.table[Cell.FAULT_FLAG_HUGETLB])
        area = self.area_of[slot]
        pages, pool = area.pages, self._pool_under(area)
        for chunk in range(first - first % pool.pages, first + count, pool.pages):
            if pages[chunk] >= 0:
                continue
            reserved = pages[chunk] == RESERVED
            pfn = -1
            if reserved or pool.available > 0:
                pfn = self._dequeue(pool, nodes, pinnable=flagged)
            if pfn < 0:
                return Errno.EFAULT
            pool.reserved -= reserved
            folio = self._place(slot, chunk, pfn, pool.order)
            cost = self.costs[Cost.FAULT_2M] * len(self._parts(folio))
            self._record(folio, PinRows.FAULTED, cost)
            self.counters[Counter.HUGETLB_FAULT] += 1
            self.tally.faulted_pages += pool.pages
            self.tally.latency_ns += cost
        return Errno.OK
