"""The driver program of the recorded cases, acting on a simulated machine.

Each supported operation is a method named as in the vocabulary; it returns what the real driver
would have observed, under the recorded field names. How the real driver works was read off its
recorded page counts and faults:

* it keeps 8 bytes per page of every buffer (the frames of the last look), touched when the
  buffer is mapped (up to 128 KiB: ``calloc`` clears heap) or at its first look (larger);
* a hog touches page by page and reads the zone's free counter (per-CPU lists not included)
  after the first page of every 64 (``hognode``: 32); its buffer is as large as what was free
  above the wanted rest, plus 16 MiB (``hognode``: 8 MiB, ``hogfree``: nothing);
* page tables: one unmovable page for each 2 MiB that it touches.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.enums import ZONES_PER_NODE, AreaKind, Errno, OfflineReason, Op, Pinner, ZoneKind
from fleet.lab import placement
from fleet.lab.draws import Lcg
from fleet.lab.guest import DRIVER_PROC
from fleet.lab.machine import Attempt, Ints, Machine
from fleet.lab.operations import NS, Operation, pages_of

PAGEBLOCK_PAGES = 512
PAGES_PER_RECORD_PAGE = 512
"""Buffer pages whose 8-byte records fill one page."""
HEAP_CLEARED_PAGES = 32
"""glibc's mmap threshold, 128 KiB: smaller records are cleared at once."""
OWN_PAGES, OWN_PAGES_LATER = 2, 6
"""Stack, heap and other pages that the driver touches: before its first buffer, and once it looks
or offlines (a block that holds all of them migrates 8 besides buffers and records)."""
TRACE_PAGES = 352
"""Kernel pages that tracing takes per CPU once it is switched on, at the first pin or offline
(kernel/trace/trace.c TRACE_BUF_SIZE_DEFAULT, 1408 KiB; free pages drop by as much there)."""
KERNEL_ZONE_PAGES = 15
"""Pages the kernel itself takes from a new ZONE_NORMAL (observed: 65,521 of 65,536 free)."""
KINDS = {"4k": AreaKind.ANON, "thp": AreaKind.THP}
PINNERS = {"iou": Pinner.IO_URING, "vfio": Pinner.VFIO}
HOG_STEP, HOGNODE_STEP = 64, 32
HOGMOV_SPARE, HOGNODE_SPARE = 4096, 2048


class UnsupportedOperationError(Exception):
    """An operation of the vocabulary that the replay does not model yet."""


@dataclass(slots=True)
class Buffer:
    """A mapped buffer and what the driver remembers of it.

    Attributes
    ----------
    slot, records_slot : int
        Areas of the pages and of the driver's records about them.
    pages, used : int
        Size, and how many pages a hog filled (pattern operations stay inside).
    last : int64[pages] or None
        Frames at the last look.
    tables : int
        Page tables taken for it.
    pins : list of int
        Pin slots held on it.
    """

    slot: int
    records_slot: int
    pages: int
    used: int
    thp: bool
    records_touched: bool = False
    last: Ints | None = None
    marked_block: int = -1
    tables: int = 0
    pins: list[int] = field(default_factory=list)


class Driver:
    """Replays operations on a machine; one instance per case.

    Parameters
    ----------
    machine : Machine
        A booted guest.
    hot_blocks : tuple of int
        Block numbers of ``h0``, ``h1``, ….
    first_slot : int
        First area slot that is free.
    """

    def __init__(self, machine: Machine, hot_blocks: tuple[int, ...], first_slot: int) -> None:
        self.machine = machine
        self.hot = hot_blocks
        self.buffers: dict[str, Buffer] = {}
        self.cpu_now, self.node_now = 0, -1
        self.immune = False
        self.spawned = self.settled = self.tracing = False
        self._next_slot = first_slot
        self._next_pin = 0
        self._kernel_slots: dict[int, int] = {}

    def run(self, operation: Operation) -> dict[str, Any]:
        """Replay one operation and return what the driver observes.

        Raises
        ------
        UnsupportedOperationError
            The operation, or a kind it names, is not modelled.
        ProcessKilledError, HostPanickedError
            As ``Machine.do_all``.
        """
        handler: Callable[..., dict[str, Any] | Errno | None] | None
        handler = getattr(self, f"op_{operation.name}", None)
        if handler is None:
            raise UnsupportedOperationError(f"operation {operation.text!r} is not supported yet")
        seen = handler(*operation.args)
        if isinstance(seen, dict):
            return {"errno": "0"} | seen
        return {"errno": _errno(seen or Errno.OK)}

    # -- processes and memory -----------------------------------------------------------------

    def _slot(self) -> int:
        """A fresh area slot."""
        self._next_slot += 1
        return self._next_slot - 1

    def _buffer(self, name: str) -> Buffer:
        """A mapped buffer by name."""
        if name not in self.buffers:
            raise UnsupportedOperationError(f"no buffer {name!r} is mapped")
        return self.buffers[name]

    def _spawn(self) -> None:
        """Start the driver's process at its first mapping, with what it touches by itself."""
        if self.spawned:
            return
        self.spawned = True
        self.machine.watched = DRIVER_PROC
        self.machine.do(Op.SPAWN, DRIVER_PROC, self.cpu_now, int(self.immune))
        self._own_pages(OWN_PAGES)

    def _own_pages(self, pages: int) -> None:
        """Touch pages of the driver program itself."""
        slot = self._map(pages, AreaKind.ANON)
        self.machine.do(Op.TOUCH, slot, 0, pages, self.cpu_now, self.node_now)

    def _settle(self) -> None:
        """Touch what the driver needs for its first look or offline."""
        if self.spawned and not self.settled:
            self.settled = True
            self._own_pages(OWN_PAGES_LATER)

    def _trace(self) -> None:
        """Switch tracing on, as the driver does before its first pin or offline."""
        if self.spawned and not self.tracing:
            self.tracing = True
            self._kernel_pages(TRACE_PAGES * len(self.machine.shape.cpu_node))

    def _map(self, pages: int, kind: AreaKind) -> int:
        """Map an area of the driver and return its slot."""
        slot = self._slot()
        self.machine.do(Op.MAP, slot, DRIVER_PROC, kind, pages, 0)
        return slot

    def _kernel_pages(self, pages: int) -> Errno:
        """Take unmovable pages on the driver's behalf."""
        if pages <= 0:
            return Errno.OK
        slot = self._map(pages, AreaKind.KERNEL)
        return self.machine.do(Op.TOUCH, slot, 0, pages, self.cpu_now, -1)

    def _touch_range(self, buffer: Buffer, first: int, count: int, node: int = -1) -> Errno:
        """Write one byte to each page; missing page tables first."""
        tables = -(-(first + count) // PAGEBLOCK_PAGES)
        self._kernel_pages(tables - buffer.tables)
        buffer.tables = max(buffer.tables, tables)
        where = self.node_now if node < 0 else node
        return self.machine.do(Op.TOUCH, buffer.slot, first, count, self.cpu_now, where)

    def _new_buffer(self, name: str, pages: int, kind: str) -> Buffer:
        """Map a buffer and, when they are small, its records."""
        if kind not in KINDS:
            raise UnsupportedOperationError(f"buffers of kind {kind!r} are not supported yet")
        self._spawn()
        if name in self.buffers:
            raise UnsupportedOperationError(f"buffer {name!r} is mapped twice")
        records = -(-pages // PAGES_PER_RECORD_PAGE)
        buffer = Buffer(
            self._map(pages, KINDS[kind]),
            self._map(records, AreaKind.ANON),
            pages,
            pages,
            kind == "thp",
        )
        self.buffers[name] = buffer
        if records < HEAP_CLEARED_PAGES:
            self._touch_records(buffer)
        return buffer

    def _touch_records(self, buffer: Buffer) -> None:
        """Fault the driver's records about a buffer in."""
        if not buffer.records_touched:
            buffer.records_touched = True
            records = -(-buffer.pages // PAGES_PER_RECORD_PAGE)
            where = (self.cpu_now, self.node_now)
            self.machine.do(Op.TOUCH, buffer.records_slot, 0, records, *where)

    def op_alloc(self, name: str, pages: int, kind: str) -> None:
        """Map a buffer; nothing of it is touched."""
        self._new_buffer(name, pages, kind)

    def op_touch(self, name: str, pages: int | None) -> Errno:
        """Write to a buffer or its first pages."""
        buffer = self._buffer(name)
        return self._touch_range(buffer, 0, pages or buffer.pages)

    def op_read(self, name: str) -> Errno:
        """Read one byte per page of an anonymous buffer."""
        buffer = self._buffer(name)
        return self.machine.do(Op.READ, buffer.slot, 0, buffer.pages)

    def op_free(self, name: str) -> Errno:
        """Unmap a buffer."""
        buffer = self._buffer(name)
        errno = self.machine.do(Op.UNMAP, buffer.slot)
        if errno == Errno.OK:
            self.machine.do(Op.UNMAP, buffer.records_slot)
            del self.buffers[name]
        return errno

    def op_release(self, name: str) -> Errno:
        """Unmap a buffer and keep the frame list."""
        self._look(name)
        buffer = self._buffer(name)
        errno = self.machine.do(Op.UNMAP, buffer.slot)
        self._next_slot += 1
        self.machine.do(Op.MAP, self._next_slot - 1, DRIVER_PROC, AreaKind.ANON, buffer.pages, 0)
        buffer.slot = self._next_slot - 1
        return errno

    def op_punch(self, name: str, every: int) -> dict[str, Any]:
        """MADV_DONTNEED all but every Nth page."""
        buffer = self._buffer(name)
        rows = [
            (buffer.slot, first + 1, min(every - 1, buffer.pages - first - 1), -1)
            for first in range(0, buffer.pages, every)
            if min(every, buffer.pages - first) > 1
        ]
        errno = self.machine.do_all(Op.FREE, rows)
        return {"errno": _errno(errno), "dist": self._look(name)}

    def op_kmem(self, pages: int) -> Errno:
        """Take unmovable kernel pages."""
        self._spawn()
        return self._kernel_pages(pages)

    def op_oomadj(self, value: int) -> None:
        """Set the driver's OOM score; only immunity before its first mapping is modelled."""
        if value != -1000 or self.spawned:
            raise UnsupportedOperationError("oomadj is supported as -1000 before any mapping")
        self.immune = True

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
        return {"errno": _errno(errno), "hog_pages": index}

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
        return placement.frames(self.machine.engine.area(buffer.slot), buffer.pages)

    def _look(self, name: str) -> dict[str, Any]:
        """``dist``: where a buffer lies, and what moved since the last look."""
        buffer = self._buffer(name)
        self._settle()
        self._touch_records(buffer)
        now = self._frames(buffer)
        machine = self.machine
        dist = placement.distribution(
            now, buffer.last, machine.shape, machine.engine.blocks(), zero_is_huge=buffer.thp
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
        """Look, and count blocks, pageblocks and runs."""
        dist = self._look(name)
        now = self._frames(self._buffer(name))
        return {"dist": dist} | placement.runs(now, self.machine.shape)

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

    # -- pins ---------------------------------------------------------------------------------

    def _pin(self, buffer: Buffer, kind: str, first: int, count: int) -> Errno:
        """Take one pin or hold on a range."""
        self._trace()
        pin, self._next_pin = self._next_pin, self._next_pin + 1
        if kind == "vmsplice":
            errno = self.machine.do(Op.HOLD, pin, buffer.slot, first, count)
        else:
            cpu, pinner = self.cpu_now, PINNERS[kind]
            errno = self.machine.do(Op.PIN, pin, buffer.slot, first, count, pinner, cpu)
        if errno == Errno.OK:
            buffer.pins.append(pin)
        return errno

    def _unpin(self, buffer: Buffer) -> Errno:
        """Release everything that is pinned on a buffer."""
        pins, buffer.pins = buffer.pins, []
        return self.machine.do_all(Op.UNPIN, [(pin,) for pin in pins])

    def op_pin(self, name: str, kind: str, first: int | None, count: int | None) -> dict[str, Any]:
        """Pin a buffer or a part of it, looking before and after."""
        buffer = self._buffer(name)
        before = self._look(name)
        start = first or 0
        pages = buffer.pages - start if count is None else count
        errno = _errno(self._pin(buffer, kind, start, pages))
        after = self._look(name)
        return {
            "errno": errno, "pin_result": errno, "pin_pages": pages,
            "before": before, "after": after,
        }  # fmt: skip

    def _pin_each(self, buffer: Buffer, kind: str, indices: list[int]) -> tuple[Errno, int]:
        """Pin single pages; stops at the first failure."""
        for done, index in enumerate(indices):
            errno = self._pin(buffer, kind, index, 1)
            if errno != Errno.OK:
                return errno, done
        return Errno.OK, len(indices)

    def op_pinstride(self, name: str, every: int, kind: str) -> dict[str, Any]:
        """Pin every Nth page."""
        buffer = self._buffer(name)
        errno, pages = self._pin_each(buffer, kind, list(range(0, buffer.pages, every)))
        return {"errno": _errno(errno), "pin_result": _errno(errno), "pin_pages": pages}

    def op_pinblocks(self, name: str, wanted: int, kind: str) -> dict[str, Any]:
        """Pin the first page found in each of K hot blocks, lowest first."""
        buffer = self._buffer(name)
        pfn = self._frames(buffer).pfn
        block = np.where(pfn >= 0, pfn // self.machine.shape.block_pages, -1)
        hot = [b for b in sorted(self.hot) if (block == b).any()][:wanted]
        indices = [int(np.flatnonzero(block == b)[0]) for b in hot]
        errno, pages = self._pin_each(buffer, kind, indices)
        return {
            "errno": _errno(errno), "pin_result": _errno(errno), "pin_pages": pages,
            "pinned_blocks": hot, "after": self._look(name),
        }  # fmt: skip

    def op_repin(self, name: str, kind: str, rounds: int) -> dict[str, Any]:
        """Pin and unpin again and again, counting what moves in each round."""
        buffer = self._buffer(name)
        before, seen = self._look(name), []
        for _ in range(rounds):
            errno = self._pin(buffer, kind, 0, buffer.pages)
            seen.append(
                {"pin_result": _errno(errno), "moved": self._look(name)["moved_since_last"]}
            )
            self._unpin(buffer)
        return {"before": before, "rounds": seen, "after": self._look(name)}

    def op_unpin(self, name: str) -> Errno:
        """Release the pins of a buffer."""
        return self._unpin(self._buffer(name))

    def op_unpin_after(self, name: str, delay_ns: int) -> None:
        """Release the pins of a buffer later, from another thread."""
        buffer = self._buffer(name)
        for pin in buffer.pins:
            self.machine.at(self.machine.clock_ns + delay_ns, Op.UNPIN, pin)
        buffer.pins = []

    def op_vfio_init(self, _device: str) -> None:
        """Open the device: nothing that the host model sees."""

    # -- blocks -------------------------------------------------------------------------------

    def op_online(self, blocks: tuple[int, ...], zone: str) -> Errno:
        """Online hot blocks one by one, in the order written."""
        if max(blocks) >= len(self.hot):
            raise UnsupportedOperationError(f"the guest has {len(self.hot)} hot blocks")
        kind = ZoneKind.MOVABLE if zone == "movable" else ZoneKind.NORMAL
        errno = self.machine.do_all(Op.ONLINE, [(self.hot[b], 1, kind) for b in blocks])
        if zone == "kernel":
            self._spawn()
            self._kernel_pages(KERNEL_ZONE_PAGES)
        return errno

    def _offline(self, block: int, bound_ns: int) -> dict[str, Any]:
        """Write ``offline`` to one block."""
        self._settle()
        self._trace()
        return {"block": block, "result": _result(self.machine.offline(block, bound_ns))}

    def op_offline(self, target: tuple[str, str], bound_ns: int) -> dict[str, Any]:
        """Offline the block a target names."""
        how, what = target
        if how == "h":
            return self._offline(self.hot[int(what)], bound_ns)
        if how == "b":
            return self._offline(int(what), bound_ns)
        buffer = self._buffer(what)
        dist = placement.distribution(
            self._frames(buffer), None, self.machine.shape, self.machine.engine.blocks(),
            zero_is_huge=buffer.thp,
        )  # fmt: skip
        block = placement.most_used_block(dist) if how == "of" else buffer.marked_block
        if block < 0:
            raise UnsupportedOperationError(f"buffer {what!r} has no block to offline")
        pages = dist["by_block"].get(str(block), 0)
        return {"target_block_pages_of_buffer": pages} | self._offline(block, bound_ns)

    def op_offlineall(self, bound_ns: int) -> dict[str, Any]:
        """Offline every online hot block in turn."""
        kinds = placement.kind_of_block(self.machine.engine.blocks())
        online = [b for b in self.hot if kinds[b] >= 0]
        return {"blocks": [self._offline(block, bound_ns) for block in online]}

    # -- the environment ----------------------------------------------------------------------

    def op_cpu(self, cpu: int) -> None:
        """Move the driver to a CPU."""
        if not 0 <= cpu < len(self.machine.shape.cpu_node):
            raise UnsupportedOperationError(f"the guest has no CPU {cpu}")
        self.cpu_now = cpu

    def op_mpol(self, policy: tuple[str, int]) -> None:
        """Set the driver's memory policy."""
        mode, node = policy
        if node >= self.machine.shape.nr_nodes:
            raise UnsupportedOperationError(f"the guest has no node {node}")
        self.node_now = -1 if mode == "default" else node

    def op_sleep(self, delay_ns: int) -> None:
        """Let time pass."""
        self.machine.wait(self.machine.clock_ns + delay_ns)

    def op_put(self, setting: tuple[str, str]) -> Errno:
        """Write a kernel setting."""
        path, value = setting
        if path != "/proc/sys/vm/min_free_kbytes" or not value.isdigit():
            raise UnsupportedOperationError(f"writing {path} is not supported yet")
        return self.machine.do(Op.MIN_FREE, int(value) // 4)

    # -- patterns -----------------------------------------------------------------------------

    def op_freepat(
        self, name: str, how: str, number: int, percent: int, chunk: int
    ) -> dict[str, Any]:
        """MADV_DONTNEED every Kth chunk in ascending order, or a random share in random order."""
        buffer = self._buffer(name)
        chunks = range(-(-buffer.used // chunk))
        if how == "every":
            chosen = list(chunks)[::number]
        else:
            chosen = Lcg(number).pick(len(chunks) * percent // 100, chunks)
        rows = [
            (buffer.slot, c * chunk, min(chunk, buffer.used - c * chunk), self.cpu_now)
            for c in chosen
        ]
        errno = self.machine.do_all(Op.FREE, rows)
        return {"errno": _errno(errno), "freed_pages": sum(row[2] for row in rows)}


def supported() -> Iterator[str]:
    """Names of the operations that can be replayed, sorted."""
    return (name[3:] for name in sorted(dir(Driver)) if name.startswith("op_"))


def _errno(errno: Errno) -> str:
    """Name of an errno as the recorded driver writes it."""
    return "0" if errno == Errno.OK else errno.name


def _result(attempt: Attempt) -> str:
    """Result of an offline as the recorded driver writes it."""
    if attempt.errno == Errno.OK:
        return "ok"
    if attempt.reason == OfflineReason.SIGNAL:
        return "EINTR_after_bound"
    return attempt.errno.name


__all__ = ["NS", "Driver", "UnsupportedOperationError", "pages_of", "supported"]
