"""Processes and areas: faults, freeing, exit.

Sources: mm/memory.c (``do_anonymous_page``), mm/huge_memory.c
(``do_huge_pmd_anonymous_page``; a write to the huge zero page falls back to base pages since
5.8), mm/hugetlb.c (``alloc_huge_page``, ``hugetlb_reserve_pages``).
"""

from itertools import chain, repeat

from engine.enums import AreaKind, Cell, Cost, Counter, Errno, FaultPath
from engine.reference.allocator import Request
from engine.reference.hugetlb import HugePool
from engine.reference.state import ABSENT, RESERVED, ZERO_PAGE, Area, Folio, PinRows, Process

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
}
GATHER_BATCHES = (8, *[510] * 19)
"""Pages of mmu_gather's batches: the one on the stack, then up to 19 of a page each."""
NORESERVE = 2
"""Bit of MAP's flags: MAP_NORESERVE (bit 0: hinted)."""


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
        if area in self.area_of or area < 0 or proc not in self.proc_of or pages <= 0:
            return Errno.EINVAL
        if not 0 <= kind < len(AreaKind):
            return Errno.EINVAL
        if kind == AreaKind.HUGETLB and pages % self.pb_pages:
            return Errno.EINVAL
        reserving = kind == AreaKind.HUGETLB and not flags & NORESERVE
        if reserving and not self._reserve_folios(pages >> self.pbo):
            return Errno.ENOMEM
        self.area_of[area] = Area(
            AreaKind(kind), proc, bool(flags & 1), self.area_sequence,
            [RESERVED if reserving else ABSENT] * pages,
        )  # fmt: skip
        self.area_sequence += 1
        return Errno.OK

    def _range_ok(self, area: int, first: int, count: int) -> bool:
        """Whether [first, first + count) lies in a mapped area."""
        if area not in self.area_of or first < 0 or count <= 0:
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

    def _record(self, folio: Folio, column: int, cost: int) -> None:
        """Note a folio that a running PIN faulted or moved."""
        if self.pin_rows is not None:
            block, path = self._block(folio.pfn), self._path(folio)
            self.pin_rows.add(block, path, column, folio.pages, cost)

    # -- faults -------------------------------------------------------------------------------

    def _fault_request(self, area: Area, cpu: int, node: int, *, flagged: bool) -> Request:
        """Zonelist and migratetype of a fault; ``flagged`` keeps it out of ZONE_MOVABLE."""
        movable = area.kind != AreaKind.KERNEL and not flagged
        home = self.shape.cpu_node[cpu] if node < 0 else node
        return self._request(self._nodes_from(home), movable, cpu, area.proc, may_oom=True)

    def _fault_base(self, area: int, index: int, request: Request) -> int:
        """Fault one base page in. Returns its pfn."""
        pfn = self._alloc(request, 0)
        assert pfn >= 0
        folio = self._place(area, index, pfn, 0)
        self._record(folio, PinRows.FAULTED, self.costs[Cost.FAULT_4K])
        self.counters[Counter.PGFAULT] += 1
        self.tally.faulted_pages += 1
        self.tally.latency_ns += self.costs[Cost.FAULT_4K]
        return pfn

    def _fault_huge(self, area: int, index: int, request: Request) -> int:
        """Fault a THP in at an aligned, wholly absent chunk. Returns its pfn or -1."""
        pfn = self._alloc(request, self.pbo)
        if pfn < 0:
            self.counters[Counter.THP_FAULT_FALLBACK] += 1
            self.tally.thp_fallbacks += 1
            return -1
        folio = self._place(area, index, pfn, self.pbo)
        self._record(folio, PinRows.FAULTED, self.costs[Cost.FAULT_2M])
        self.counters[Counter.PGFAULT] += 1
        self.counters[Counter.THP_FAULT_ALLOC] += 1
        self.tally.thp_faults += 1
        self.tally.faulted_pages += self.pb_pages
        self.tally.latency_ns += self.costs[Cost.FAULT_2M]
        return pfn

    def _huge_chunk(self, area: Area, index: int) -> bool:
        """Whether a THP may be faulted at ``index``: aligned, inside the area, all absent."""
        if area.kind != AreaKind.THP or index % self.pb_pages:
            return False
        if index + self.pb_pages > len(area.pages):
            return False
        return all(p == ABSENT for p in area.pages[index : index + self.pb_pages])

    def _populate(
        self, slot: int, first: int, count: int, cpu: int, node: int, *, pinning: bool
    ) -> Errno:
        """Write-fault every page of a range that is not present."""
        area = self.area_of[slot]
        if area.kind == AreaKind.HUGETLB:
            return self._populate_hugetlb(slot, first, count, cpu, node, pinning=pinning)
        hinted = area.hinted and bool(self.table[Cell.HINT_HONOURED])
        index, end = first, first + count
        while index < end:
            if area.pages[index] >= 0:
                index += 1
                continue
            chunk = index - index % self.pb_pages
            if self._huge_chunk(area, chunk):
                flagged = hinted or (pinning and bool(self.table[Cell.FAULT_FLAG_THP]))
                request = self._fault_request(area, cpu, node, flagged=flagged)
                if self._fault_huge(slot, chunk, request) >= 0:
                    index = chunk + self.pb_pages
                    continue
                stop = min(chunk + self.pb_pages, end)
            else:
                stop = index + 1
            path = PATH_OF[area.kind] if area.kind in CACHES else FaultPath.ANON
            flagged = hinted or (pinning and bool(self.table[FLAG_CELL[path]]))
            request = self._fault_request(area, cpu, node, flagged=flagged)
            while index < stop:
                if area.pages[index] < 0:
                    self._fault_base(slot, index, request)
                index += 1
        return Errno.OK

    def _touch(self, slot: int, first: int, count: int, cpu: int, node: int) -> Errno:
        """TOUCH: write one byte to each page."""
        if not self._range_ok(slot, first, count) or node >= self.shape.nr_nodes:
            return Errno.EINVAL
        cpu = self._cpu(slot, cpu)
        self.tally.pages = count
        return self._populate(slot, first, count, cpu, node, pinning=False)

    def _read(self, slot: int, first: int, count: int) -> Errno:
        """READ: untouched pages of anonymous areas become the zero page, page cache is filled."""
        if not self._range_ok(slot, first, count):
            return Errno.EINVAL
        area = self.area_of[slot]
        if area.kind in CACHES:
            self.tally.pages = count
            return self._populate(slot, first, count, self._cpu(slot, -1), -1, pinning=False)
        if area.kind not in ANONYMOUS:
            return Errno.EINVAL
        for i in range(first, first + count):
            if area.pages[i] == ABSENT:
                area.pages[i] = ZERO_PAGE
                self.tally.pages += 1
        return Errno.OK

    def _mlock(self, slot: int, on: int) -> Errno:
        """MLOCK: mlock of a whole area faults it in (mm/gup.c ``populate_vma_page_range``)."""
        if slot not in self.area_of or self.area_of[slot].kind == AreaKind.KERNEL:
            return Errno.EINVAL
        area = self.area_of[slot]
        area.locked = bool(on)
        if not on:
            return Errno.OK
        self.tally.pages = len(area.pages)
        return self._populate(slot, 0, len(area.pages), self._cpu(slot, -1), -1, pinning=False)

    def _dirty(self, slot: int, on: int) -> Errno:
        """DIRTY: whether page cache must be written back before it is dropped."""
        if slot not in self.area_of or self.area_of[slot].kind != AreaKind.FILE:
            return Errno.EINVAL
        self.area_of[slot].dirty = bool(on)
        return Errno.OK

    def _cpu(self, slot: int, cpu: int) -> int:
        """The CPU a command runs on: its own, or the process's."""
        if 0 <= cpu < len(self.shape.cpu_node):
            return cpu
        return self.proc_of[self.area_of[slot].proc].cpu

    # -- freeing ------------------------------------------------------------------------------

    def _release_range(self, slot: int, first: int, count: int, cpu: int) -> None:
        """Unmap and free present pages of a range; nothing in it is held.

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
        self.tally.latency_ns += self.costs[Cost.FREE_2M if huge else Cost.FREE_4K]
        if huge and self.area_of[folio.area].kind == AreaKind.HUGETLB:
            self._free_hugetlb(folio.pfn, cpu)
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

    def _held_in(self, slot: int, first: int, count: int) -> bool:
        """Whether any page of a range is pinned or referenced."""
        pages = self.area_of[slot].pages[first : first + count]
        return any(pfn >= 0 and self.owner[pfn].held for pfn in pages)

    def _free(self, slot: int, first: int, count: int, cpu: int) -> Errno:
        """FREE: MADV_DONTNEED. EBUSY when a page of the range is held.

        A hugetlb range must be of whole folios (mm/madvise.c ``madvise_dontneed_free_valid_vma``).
        """
        if not self._range_ok(slot, first, count):
            return Errno.EINVAL
        if self.area_of[slot].kind == AreaKind.HUGETLB and (first | count) % self.pb_pages:
            return Errno.EINVAL
        if self._held_in(slot, first, count):
            return Errno.EBUSY
        self.tally.pages = count
        self._release_range(slot, first, count, self._cpu(slot, cpu))
        return Errno.OK

    def _unmap(self, slot: int) -> Errno:
        """UNMAP: munmap of a whole area. EBUSY when a page of it is held."""
        if slot not in self.area_of:
            return Errno.EINVAL
        count = len(self.area_of[slot].pages)
        errno = self._free(slot, 0, count, -1)
        if errno == Errno.OK:
            self._forget_area(slot)
        return errno

    def _forget_area(self, slot: int) -> None:
        """Forget an empty area, and what it had reserved of the hugetlb pool."""
        area = self.area_of.pop(slot)
        self.pool_reserved -= area.pages.count(RESERVED) >> self.pbo

    def _exit(self, proc: int) -> Errno:
        """EXIT: pins of the process's areas, then the areas, in slot order."""
        if proc not in self.proc_of:
            return Errno.EINVAL
        self._exit_process(proc)
        return Errno.OK

    def _exit_process(self, proc: int) -> None:
        areas = sorted(a for a, area in self.area_of.items() if area.proc == proc)
        for pin in sorted(p for p, q in self.pin_of.items() if q.area in areas):
            self._unpin(pin)
        for slot in areas:
            count = len(self.area_of[slot].pages)
            self.tally.pages += count
            self._release_range(slot, 0, count, self.proc_of[proc].cpu)
            self._forget_area(slot)
        del self.proc_of[proc]

    def _unpin(self, pin: int) -> Errno:
        """Release a pin (provided by the layer above)."""
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
        pages = self.area_of[slot].pages
        for chunk in range(first - first % self.pb_pages, first + count, self.pb_pages):
            if pages[chunk] >= 0:
                continue
            reserved = pages[chunk] == RESERVED
            pfn = -1
            if reserved or self._available() > 0:
                pfn = self._dequeue(nodes, pinnable=flagged)
            if pfn < 0:
                return Errno.EFAULT
            self.pool_reserved -= reserved
            folio = self._place(slot, chunk, pfn, self.pbo)
            self._record(folio, PinRows.FAULTED, self.costs[Cost.FAULT_2M])
            self.counters[Counter.HUGETLB_FAULT] += 1
            self.tally.faulted_pages += self.pb_pages
            self.tally.latency_ns += self.costs[Cost.FAULT_2M]
        return Errno.OK
