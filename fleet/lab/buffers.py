"""Buffers of the recorded driver program, on a simulated machine.

Each operation is a method named as in the vocabulary; it returns what the real driver would have
observed, under the recorded field names. How the real driver works was read off its
recorded page counts and faults:

* it keeps 8 bytes per page of every buffer (the frames of the last look), touched when the
  buffer is mapped (small ones, on the heap; of larger ones ``malloc``'s header) or at its first
  look;
* a hog touches page by page and reads the zone's free counter (per-CPU lists not included)
  after the first page of every 64 (``hognode``: 32); its buffer is as large as what was free
  above the wanted rest, plus 16 MiB (``hognode``: 8 MiB, ``hogfree``: nothing);
* page tables: one unmovable page for each 2 MiB that it touches.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from engine.enums import ZONES_PER_NODE, AreaKind, Errno, Op, PoolSize, ZoneKind
from fleet.lab import placement
from fleet.lab.chance import AS_USUAL, Chance
from fleet.lab.guest import BOOT_PROC, DRIVER_PROC
from fleet.lab.heap import HEADER_BYTES, PAGE_BYTES, Heap
from fleet.lab.machine import Ints, Machine
from fleet.lab.operations import FILE_KIND

PAGEBLOCK_PAGES = 512
RECORD_BYTES = 8
PAGES_PER_RECORD_PAGE = PAGE_BYTES // RECORD_BYTES
"""Buffer pages whose 8-byte records fill one page."""
OWN_PAGES, OWN_PAGES_LATER = 1, 7
"""Stack, heap and other pages that the driver touches: before its first buffer, and once it looks
or offlines (a block that holds all of them migrates 8 besides buffers and records)."""
AREA_KINDS = {
    "4k": AreaKind.ANON,
    "thp": AreaKind.THP,
    "hugetlb": AreaKind.HUGETLB,
    "hugetlb1g": AreaKind.HUGETLB,
    "memfd": AreaKind.SHMEM,
    "shmanon": AreaKind.SHMEM,
}
POOLS = {"hugetlb": PoolSize.HUGE, "hugetlb1g": PoolSize.GIGANTIC}
"""Kinds of buffers that take their pages from a hugetlb pool."""
HUGE_1G = 4
"""Flag of MAP: hugetlb pages of 1 GiB."""
TMPFS = "/t/"
"""Where the guest has mounted a tmpfs; other paths lie on its disk (/m: ext2)."""
HOG_STEP, HOGNODE_STEP = 64, 32
FAR_PAGES = 8_192
"""More than a page table's pages, a huge folio and a refill of a CPU's list can take: a hog that is
so far from its goal cannot reach it with the next 2 MiB, so nothing depends on looking."""
HOGMOV_SPARE, HOGNODE_SPARE = 4096, 2048


class UnsupportedOperationError(Exception):
    """An operation of the vocabulary that the replay does not model yet."""


@dataclass(slots=True)
class Buffer:
    """A mapped buffer and what the driver remembers of it.

    Attributes
    ----------
    slots : tuple of int
        Areas of the pages, of ``part_pages`` each (the last one is what remains).
    records_slot : int
        Area of the driver's records about them.
    pages, used : int
        Size, and how many pages a hog filled (pattern operations stay inside).
    records_present : int
        Pages of the records that the driver has touched.
    last : int64[pages] or None
        Frames at the last look.
    tables : int
        Page tables taken for it.
    pins : list of int
        Pin slots held on it.
    """

    slots: tuple[int, ...]
    part_pages: int
    records_slot: int
    pages: int
    used: int
    thp: bool
    hugetlb: bool = False
    records_present: int = 0
    last: Ints | None = None
    marked_block: int = -1
    tables: int = 0
    pins: list[int] = field(default_factory=list)

    def parts(self, first: int, count: int) -> Iterator[tuple[int, int, int]]:
        """Area, first page and pages of each part of a range, in virtual order."""
        end = first + count
        while first < end:
            part, offset = divmod(first, self.part_pages)
            pages = min(self.part_pages - offset, end - first)
            yield self.slots[part], offset, pages
            first += pages


class Buffers:
    """Maps, fills, frees and looks at buffers; the part of the driver that only uses memory.

    Parameters
    ----------
    machine : Machine
        A booted guest.
    hot_blocks : tuple of int
        Block numbers of ``h0``, ``h1``, ….
    first_slot : int
        First area slot that is free.
    scattered : frozenset of str
        Buffers that the history frees in random order. They are mapped in areas of 2 MiB, since
        an engine finds a page by walking along its area; nothing else depends on it.
    """

    def __init__(
        self,
        machine: Machine,
        hot_blocks: tuple[int, ...],
        first_slot: int,
        scattered: frozenset[str] = frozenset(),
    ) -> None:
        self.machine = machine
        self.scattered = scattered
        self.heap = Heap()
        self.files: dict[str, tuple[int, int]] = {}
        self.unnamed: dict[int, int] = {}
        """Mappings of files without a name, which go with them."""
        self.mapped: list[int] = []
        """Areas of the driver that a child gets, in order of mapping."""
        self.children: list[int] = []
        self._forks = 0
        self.hot = hot_blocks
        self.buffers: dict[str, Buffer] = {}
        self.cpu_now, self.node_now = 0, -1
        self.immune = False
        self.spawned = self.settled = self.tracing = False
        self._next_slot = first_slot
        self._next_pin = 0

    # -- processes and memory -----------------------------------------------------------------

    machine_word, block_word = "guest", "hot"
    """What the machine and its blocks h0, h1, … are called."""

    def _slot(self) -> int:
        """A fresh area slot."""
        self._next_slot += 1
        return self._next_slot - 1

    def _buffer(self, name: str) -> Buffer:
        """A mapped buffer by name."""
        if name not in self.buffers:
            raise UnsupportedOperationError(f"no buffer {name!r} is mapped")
        return self.buffers[name]

    def _part(self, name: str, first: int, count: int) -> Buffer:
        """A mapped buffer that has the pages of a range."""
        buffer = self._buffer(name)
        if first + count > buffer.pages:
            raise UnsupportedOperationError(f"buffer {name!r} has {buffer.pages} pages")
        return buffer

    chance: Chance = AS_USUAL
    """How chance went where no operation decides."""

    def _spawn(self, cpu: int | None = None, first_cpu: int | None = None) -> None:
        """Start the driver's process at its first mapping, with what it touches by itself.

        ``cpu`` is the CPU it stays on, ``first_cpu`` the one it starts on.
        """
        if self.spawned:
            return
        self.spawned = True
        cpu = self.chance.start_cpu if cpu is None else cpu
        first_cpu = cpu if first_cpu is None else first_cpu
        self.machine.watched = DRIVER_PROC
        self.machine.do(Op.SPAWN, DRIVER_PROC, cpu, int(self.immune))
        self.cpu_now = first_cpu
        self._own_pages(OWN_PAGES)
        self.cpu_now = cpu

    def _own_pages(self, pages: int) -> None:
        """Touch pages of the driver program itself."""
        slot = self._map(pages, AreaKind.ANON)
        self.machine.do(Op.TOUCH, slot, 0, pages, self.cpu_now, self.node_now)

    def _settle(self) -> None:
        """Touch what the driver needs for its first look or offline."""
        if self.spawned and not self.settled:
            self.settled = True
            self._own_pages(OWN_PAGES_LATER)

    def _map(self, pages: int, kind: AreaKind, flags: int = 0) -> int:
        """Map an area of the driver and return its slot."""
        slot = self._slot()
        self.machine.do(Op.MAP, slot, DRIVER_PROC, kind, pages, flags)
        if kind != AreaKind.KERNEL:
            self.mapped.append(slot)
        return slot

    def _kernel_pages(self, pages: int, node: int = -1) -> Errno:
        """Take unmovable pages on the driver's behalf."""
        if pages <= 0:
            return Errno.OK
        slot = self._map(pages, AreaKind.KERNEL)
        return self.machine.do(Op.TOUCH, slot, 0, pages, self.cpu_now, node)

    def _touch_range(self, buffer: Buffer, first: int, count: int, node: int = -1) -> Errno:
        """Write one byte to each page; missing page tables first."""
        self._tables(buffer, first + count)
        where = self.node_now if node < 0 else node
        rows = [(*part, self.cpu_now, where) for part in buffer.parts(first, count)]
        return self.machine.do_all(Op.TOUCH, rows)

    def _tables(self, buffer: Buffer, pages: int) -> None:
        """Take the page tables that the first pages of a buffer need."""
        if buffer.hugetlb:  # its entries stand a level above
            return
        tables = -(-pages // PAGEBLOCK_PAGES)
        self._kernel_pages(tables - buffer.tables)
        buffer.tables = max(buffer.tables, tables)

    def _map_parts(self, name: str, pages: int, kind: str) -> tuple[tuple[int, ...], int]:
        """Map the pages of a buffer: areas, and pages of each but the last."""
        if kind.startswith(FILE_KIND):
            path = kind.removeprefix(FILE_KIND)
            file, size = self.files.get(path, (-1, 0))
            if pages > size:
                raise UnsupportedOperationError(f"file {path!r} has no {pages} pages")
            return (self._map_file(file),), pages
        if AREA_KINDS[kind] == AreaKind.SHMEM:
            return (self._map_file(self._new_file(pages, AreaKind.SHMEM)),), pages
        unit = self._pool_unit(kind) if kind in POOLS else PAGEBLOCK_PAGES
        part = unit if name in self.scattered else pages
        sizes = [min(part, pages - first) for first in range(0, pages, part)]
        flags = HUGE_1G if POOLS.get(kind) == PoolSize.GIGANTIC else 0
        return tuple(self._map(size, AREA_KINDS[kind], flags) for size in sizes), part

    def _new_file(self, pages: int, kind: AreaKind) -> int:
        """Make a file. It belongs to nobody: the driver maps it, and its pages may outlive it."""
        slot = self._slot()
        self.machine.do(Op.MAP, slot, BOOT_PROC, kind, pages, 0)
        return slot

    def _map_file(self, file: int) -> int:
        """Map all of a file; its pages are those of all who map it."""
        slot = self._slot()
        if file not in (f for f, _ in self.files.values()):
            self.unnamed[slot] = file
        self.machine.do(Op.MAP_FILE, slot, DRIVER_PROC, file)
        self.mapped.append(slot)
        return slot

    def _new_buffer(self, name: str, pages: int, kind: str) -> Buffer:
        """Map a buffer and, when they are small, its records."""
        self._spawn()
        if name in self.buffers:
            raise UnsupportedOperationError(f"buffer {name!r} is mapped twice")
        records = -(-pages // PAGES_PER_RECORD_PAGE)
        slots, part = self._map_parts(name, pages, kind)
        buffer = Buffer(
            slots, part, self._map(records, AreaKind.ANON), pages, pages, kind == "thp",
            kind in POOLS,
        )  # fmt: skip
        self.buffers[name] = buffer
        if records < self.heap.mapped_from_pages:
            buffer.records_present = self.heap.reuse(records)
            self._touch_records(buffer, records)
        else:
            self._touch_records(buffer, 1)  # malloc's header
        return buffer

    def _touch_records(self, buffer: Buffer, pages: int) -> None:
        """Fault the first pages of the driver's records about a buffer in."""
        first, more = buffer.records_present, pages - buffer.records_present
        if self.children and buffer.records_present:  # shared with a child until they are written
            where = (self.cpu_now, self.node_now)
            self.machine.do(Op.TOUCH, buffer.records_slot, 0, buffer.records_present, *where)
        if more > 0:
            buffer.records_present = pages
            where = (self.cpu_now, self.node_now)
            self.machine.do(Op.TOUCH, buffer.records_slot, first, more, *where)

    def _scratch(self, size_bytes: int) -> tuple[int, int]:
        """Take memory of the driver's own for a while and touch all of it; see ``_scrap``."""
        if not self.heap.maps(size_bytes):
            pages = size_bytes // PAGE_BYTES
            fresh = pages - self.heap.reuse(pages)
            if fresh:
                self._own_pages(fresh)
            return -1, size_bytes
        pages = -(-(size_bytes + HEADER_BYTES) // PAGE_BYTES)
        slot = self._map(pages, AreaKind.ANON)
        self.machine.do(Op.TOUCH, slot, 0, pages, self.cpu_now, self.node_now)
        return slot, size_bytes

    def _scrap(self, scratch: tuple[int, int]) -> None:
        """Give memory of ``_scratch`` back."""
        slot, size_bytes = scratch
        if slot < 0:
            self.heap.spare_pages += size_bytes // PAGE_BYTES
        else:
            self.machine.do(Op.UNMAP, slot)
            self.heap.unmapped(size_bytes)

    def op_alloc(self, name: str, pages: int, kind: str) -> Errno:
        """Map a buffer; nothing of it is touched.

        A hugetlb buffer is whole huge pages, which must be free and not reserved (mm/hugetlb.c
        ``hugetlb_reserve_pages``).
        """
        if kind in POOLS:
            unit = self._pool_unit(kind)
            pages = -(-pages // unit) * unit
            pool = self.machine.engine.pool(POOLS[kind])
            if int(pool[:, 1].sum() - pool[:, 3].sum()) * unit < pages:
                return Errno.ENOMEM
        self._new_buffer(name, pages, kind)
        return Errno.OK

    def _pool_unit(self, kind: str) -> int:
        """Base pages of a hugetlb page of a kind of buffers."""
        parts = self.machine.shape.gigantic_pageblocks if POOLS[kind] else 1
        return parts * PAGEBLOCK_PAGES

    def op_touch(self, name: str, pages: int | None) -> Errno:
        """Write to a buffer or its first pages."""
        buffer = self._part(name, 0, pages or 0)
        return self._touch_range(buffer, 0, pages or buffer.pages)

    def op_read(self, name: str) -> Errno:
        """Read one byte per page; hugetlb memory has no zero page."""
        buffer = self._buffer(name)
        if buffer.hugetlb:
            return self._touch_range(buffer, 0, buffer.pages)
        self._tables(buffer, buffer.pages)
        return self.machine.do_all(Op.READ, list(buffer.parts(0, buffer.pages)))

    def op_mlock(self, name: str) -> Errno:
        """Lock a buffer in memory, which faults it in."""
        buffer = self._buffer(name)
        self._tables(buffer, buffer.pages)
        return self.machine.do_all(Op.MLOCK, [(slot, 1) for slot in buffer.slots])

    def _unmap(self, buffer: Buffer) -> Errno:
        """Unmap the pages of a buffer; a file without a name goes with them."""
        gone = [*buffer.slots, *(self.unnamed.pop(s) for s in buffer.slots if s in self.unnamed)]
        return self.machine.do_all(Op.UNMAP, [(slot,) for slot in gone])

    def op_free(self, name: str) -> Errno:
        """Unmap a buffer."""
        buffer = self._buffer(name)
        errno = self._unmap(buffer)
        if errno == Errno.OK:
            self.machine.do(Op.UNMAP, buffer.records_slot)
            del self.buffers[name]
        return errno

    def op_release(self, name: str) -> Errno:
        """Unmap a buffer and keep the frame list."""
        self._look(name)
        buffer = self._buffer(name)
        errno = self._unmap(buffer)
        buffer.slots, buffer.part_pages = (self._map(buffer.pages, AreaKind.ANON),), buffer.pages
        return errno

    def op_punch(self, name: str, every: int) -> dict[str, Any]:
        """MADV_DONTNEED all but every Nth page."""
        buffer = self._buffer(name)
        rows = [
            (*part, -1)
            for first in range(0, buffer.pages, every)
            for part in buffer.parts(first + 1, min(every - 1, buffer.pages - first - 1))
        ]
        errno = self.machine.do_all(Op.FREE, rows)
        return {"errno": errno_name(errno), "dist": self._look(name)}

    def op_kmem(self, pages: int) -> Errno:
        """Take unmovable kernel pages."""
        self._spawn()
        return self._kernel_pages(pages)

    def op_oomadj(self, value: int) -> None:
        """Set the driver's OOM score; only immunity before its first mapping is modelled."""
        if value != -1000 or self.spawned:
            raise UnsupportedOperationError("oomadj is supported as -1000 before any mapping")
        self.immune = True

    def _check_node(self, node: int) -> None:
        """Refuse a node that is not there."""
        if node >= self.machine.shape.nr_nodes:
            raise UnsupportedOperationError(f"the {self.machine_word} has no node {node}")

    # -- hogs ---------------------------------------------------------------------------------

    def free_outside(self, node: int = -1) -> int:
        """Free pages outside MOVABLE, as the driver reads them."""
        return self._free_pages((ZoneKind.DMA32, ZoneKind.NORMAL), node)

    def _free_pages(self, kinds: tuple[ZoneKind, ...], node: int) -> int:
        """Free pages of zones of some kinds, on one node or (-1) all."""
        zones = self.machine.engine.zones()
        return sum(
            int(free)
            for zone, free in enumerate(zones[:, 1])
            if zone % ZONES_PER_NODE in kinds and node in (-1, zone // ZONES_PER_NODE)
        )

    def _fill(
        self, name: str, kind: str, free: Callable[[], int], leave: int, spare: int, step: int,
        node: int = -1,
    ) -> dict[str, Any]:  # fmt: skip
        """Touch a fresh buffer page by page until few enough pages are free."""
        buffer = self._new_buffer(name, max(free() - leave, 1) + spare, kind)
        index = 0
        while True:
            while free() - leave > FAR_PAGES and index + PAGEBLOCK_PAGES < buffer.pages:
                self._touch_steps(buffer, index, step, node)
                index += PAGEBLOCK_PAGES
            errno = self._touch_range(buffer, index, 1, node)
            if errno != Errno.OK or free() <= leave:
                break
            rest = min(step, buffer.pages - index)
            if rest > 1:
                self._touch_range(buffer, index + 1, rest - 1, node)
            index += rest
            if index >= buffer.pages:
                break
        buffer.used = index
        return {"errno": errno_name(errno), "hog_pages": index}

    def _touch_steps(self, buffer: Buffer, index: int, step: int, node: int) -> None:
        """Touch a page table's pages in steps at once: too far from the goal to look between."""
        self._tables(buffer, index + PAGEBLOCK_PAGES)
        where = self.node_now if node < 0 else node
        rows = [
            (*part, self.cpu_now, where)
            for first in range(index, index + PAGEBLOCK_PAGES, step)
            for part in (*buffer.parts(first, 1), *buffer.parts(first + 1, step - 1))
        ]
        self.machine.do_all(Op.TOUCH, rows)

    def op_hogfree(self, name: str, leave: int) -> dict[str, Any]:
        """Fill the zones outside MOVABLE."""
        self._spawn()
        return self._fill(name, "4k", self.free_outside, leave, 0, HOG_STEP)

    def op_hogmov(self, name: str, leave: int, kind: str | None) -> dict[str, Any]:
        """Fill MOVABLE."""
        self._spawn()

        def free() -> int:
            return self._free_pages((ZoneKind.MOVABLE,), -1)

        seen = self._fill(name, kind or "4k", free, leave, HOGMOV_SPARE, HOG_STEP)
        return seen | {"dist": self._look(name)}

    def op_hognode(self, name: str, node: int, zone: str, leave: int) -> dict[str, Any]:
        """Fill MOVABLE or the kernel zones of one node."""
        self._check_node(node)
        self._spawn()

        def free() -> int:
            if zone == "ker":
                return self.free_outside(node)
            return self._free_pages((ZoneKind.MOVABLE,), node)

        seen = self._fill(name, "4k", free, leave, HOGNODE_SPARE, HOGNODE_STEP, node)
        return seen | {"dist": self._look(name)}

    # -- looking ------------------------------------------------------------------------------

    def _frames(self, buffer: Buffer) -> placement.Frames:
        """Where a buffer lies now."""
        return placement.joined(
            placement.frames(self.machine.engine.area(slot), pages)
            for slot, _, pages in buffer.parts(0, buffer.pages)
        )

    def _look(self, name: str) -> dict[str, Any]:
        """``dist``: where a buffer lies, and what moved since the last look."""
        buffer = self._buffer(name)
        self._settle()
        self._touch_records(buffer, -(-buffer.pages // PAGES_PER_RECORD_PAGE))
        now = self._frames(buffer)
        machine = self.machine
        dist = placement.distribution(
            now, buffer.last, machine.shape, machine.engine.blocks(), hugetlb=buffer.hugetlb
        )
        buffer.last = now.pfn
        if buffer.marked_block >= 0:
            dist["in_marked_block"] = dist["by_block"].get(str(buffer.marked_block), 0)
        return dist

    def op_dist(self, name: str) -> dict[str, Any]:
        """Look at a buffer."""
        return {"dist": self._look(name)}

    def op_mark(self, name: str) -> dict[str, Any]:
        """Look, and remember the block that holds most pages."""
        dist = self._look(name)
        self._buffer(name).marked_block = placement.most_used_block(dist)
        return {"dist": dist, "marked_block": self._buffer(name).marked_block}

    def op_runs(self, name: str, _shown: int | None) -> dict[str, Any]:
        """Look, and count blocks, pageblocks and runs, in two arrays of the driver's own."""
        dist, buffer = self._look(name), self._buffer(name)
        arrays = [self._scratch(buffer.pages * RECORD_BYTES) for _ in range(2)]
        for array in arrays:
            self._scrap(array)
        return {"dist": dist} | placement.runs(self._frames(buffer), self.machine.shape)

    def op_overlap(self, name: str, other: str) -> dict[str, Any]:
        """Count the frames of one buffer that another had at its last look."""
        self._look(name)
        mine, theirs = self._buffer(name).last, self._buffer(other).last
        assert mine is not None
        pages = 0 if theirs is None else placement.overlap(mine, theirs)
        return {"overlap_pages": pages, "c_pages": len(mine)}

    def op_blockstates(self) -> dict[str, Any]:
        """State of every hot block."""
        names = {-1: "offline", ZoneKind.MOVABLE: "Movable", ZoneKind.NORMAL: "Normal"}
        kinds = placement.kind_of_block(self.machine.engine.blocks())
        return {"hot_blocks": {str(b): names[int(kinds[b])] for b in self.hot}}

    def op_zones(self) -> None:
        """Zone counters: shown by the recorded driver, not compared."""

    def op_nodefree(self) -> None:
        """Free pages by node: shown, not compared."""

    def op_freemap(self) -> None:
        """Free pages by hot block: shown, not compared."""

    def op_buddyinfo(self) -> None:
        """Free chunks by order: shown, not compared."""


def errno_name(errno: Errno) -> str:
    """Name of an errno as the recorded driver writes it."""
    return "0" if errno == Errno.OK else errno.name
