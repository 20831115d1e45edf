"""Histories of the recorded driver program: many frees and touches in a pattern or at random."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from engine.enums import AreaKind, Errno, Op
from fleet.lab import placement
from fleet.lab.buffers import TMPFS, Buffer, Buffers, UnsupportedOperationError, errno_name
from fleet.lab.draws import Lcg
from fleet.lab.walk import UNIT_PAGES, NoWalkError, walk

INDEX_BYTES = 4
"""The driver keeps the chunks that it shuffles as 4-byte numbers."""
READAHEAD_PAGES = 32
"""Pages read at a time (include/linux/mm.h VM_READAHEAD_PAGES)."""
SLABS = 1
"""MAP's flag of kernel memory that does not pass through the lists of base pages."""
SLAB_PAGES, PAGES_PER_SLAB = 2, 14 * 64
"""A slab of radix_tree_node (lib/radix-tree.c, 576 bytes) is two pages and has fourteen nodes of 64
pages of page cache each (mm/slub.c ``calculate_order``). Nodes stay when their pages are dropped:
they hold the shadows (mm/workingset.c)."""
TURN_PAGES = 800
"""Pages a thread touches before the other has its turn (two threads at once): the recording
machine ran two virtual CPUs in turn, about 2.5 million guest instructions each. Who begins and who
misses a turn is chance (``fleet.lab.chance``)."""


class Histories(Buffers):
    """Operations that build a history; see ``Buffers`` for parameters and state."""

    @contextmanager
    def _working(self, size_bytes: int) -> Iterator[None]:
        """Memory of the driver's own while an operation runs."""
        scratch = self._scratch(size_bytes)
        yield
        self._scrap(scratch)

    def _change(self, buffer: Buffer, steps: Iterable[tuple[bool, int, int]]) -> Errno:
        """Free (True) or touch ranges of a buffer, in order."""
        free, touch = int(Op.FREE), int(Op.TOUCH)  # looking an enum up costs more than the rest
        rows = [
            (free if frees else touch, *part, self.cpu_now, 0 if frees else self.node_now)
            for frees, first, pages in steps
            for part in buffer.parts(first, pages)
        ]
        return self.machine.do_each(np.array(rows, np.int64)) if rows else Errno.OK

    def op_freepat(
        self, name: str, how: str, number: int, percent: int, chunk: int
    ) -> dict[str, Any]:
        """MADV_DONTNEED every Kth chunk in ascending order, or a random share in random order."""
        buffer = self._buffer(name)
        count = buffer.used // chunk  # whole chunks only
        if how == "every":
            chosen = list(range(0, count, number))
            errno = self._change(buffer, [(True, c * chunk, chunk) for c in chosen])
        else:
            with self._working(count * INDEX_BYTES):
                chosen = Lcg(number).pick(count * percent // 100, range(count))
                errno = self._change(buffer, [(True, c * chunk, chunk) for c in chosen])
        return {"errno": errno_name(errno), "freed_pages": len(chosen) * chunk}

    def op_churn(self, name: str, seed: int, chunk: int, percent: int) -> dict[str, Any]:
        """Free a random share in random order and touch it again in another random order."""
        buffer = self._buffer(name)
        count = buffer.used // chunk
        draws = Lcg(seed)
        with self._working(count * INDEX_BYTES):
            freed = draws.pick(count * percent // 100, range(count))
            again = draws.shuffle(freed)
            steps = [(True, c * chunk, chunk) for c in freed]
            steps += [(False, c * chunk, chunk) for c in again]
            errno = self._change(buffer, steps)
        return {"errno": errno_name(errno), "turned_pages": len(freed) * chunk}

    def op_steady(
        self, name: str, seed: int, sizes: tuple[int, ...], goal: int, low: int, high: int
    ) -> dict[str, Any]:
        """Random frees and touches while the occupancy walks between two limits."""
        buffer = self._buffer(name)
        if buffer.used < UNIT_PAGES or max(sizes) > UNIT_PAGES or low > high:
            raise UnsupportedOperationError("a walk needs 2 MiB, chunks up to that, and LO <= HI")
        with self._working(buffer.used):  # a byte per page
            try:
                drawn = walk(seed, buffer.used, sizes, goal, low, high)
            except NoWalkError as error:
                raise UnsupportedOperationError(str(error)) from None
            errno = self._change(buffer, drawn.steps)
        return {
            "errno": errno_name(errno), "steps": len(drawn.steps),
            "present_pages": drawn.present_pages, "freed_pages": drawn.freed_pages,
        }  # fmt: skip

    def _in_turn(
        self, names: tuple[str, str], step: int, cpus: tuple[int, int], ahead: int = 0
    ) -> Errno:
        """Touch two buffers in turn, each from its CPU; the first is some steps ahead."""
        buffers = [self._buffer(name) for name in names]
        behind = (0, ahead * step)
        for start in range(0, max(b.pages for b in buffers) + behind[1], step):
            for buffer, cpu, wait in zip(buffers, cpus, behind, strict=True):
                first = start - wait
                if 0 <= first < buffer.pages:
                    self.cpu_now = cpu
                    errno = self._touch_range(buffer, first, min(step, buffer.pages - first))
                    if errno != Errno.OK:
                        return errno
        self.cpu_now = cpus[0]
        return Errno.OK

    def op_alt(self, name: str, other: str, step: int, cpus: int) -> Errno:
        """Grow two buffers in turn, on one CPU or the second one on CPU 1."""
        return self._in_turn((name, other), step, (0, self._second_cpu() if cpus > 1 else 0))

    def op_par(self, name: str, other: str) -> Errno:
        """Two threads on two CPUs touch a buffer each at the same time."""
        names = (other, name) if self.chance.second_begins else (name, other)
        cpus = (0, self._second_cpu())
        return self._in_turn(names, TURN_PAGES, cpus, self.chance.missed_turns)

    def _second_cpu(self) -> int:
        """CPU 1, where the guest has it."""
        if len(self.machine.shape.cpu_node) < 2:
            raise UnsupportedOperationError(f"the {self.machine_word} has no CPU 1")
        return 1

    def op_share(self, name: str, other: str) -> dict[str, Any]:
        """Look at two buffers and count the pageblocks that they share."""
        for each in (name, other):
            self._look(each)
        mine, theirs = (self._frames(self._buffer(each)).pfn for each in (name, other))
        return {**placement.shared_pageblocks(mine, theirs, self.machine.shape.pageblock_order)}

    def _open(self, path: str, pages: int) -> tuple[int, int]:
        """Area and size of a file, made when it is new. Its pages outlive the driver."""
        self._spawn()
        if path not in self.files:
            kind = AreaKind.SHMEM if path.startswith(TMPFS) else AreaKind.FILE
            self.files[path] = self._new_file(pages, kind), pages
        return self.files[path]

    def op_filewrite(self, path: str, pages: int) -> Errno:
        """Write a file: its pages stay in the page cache."""
        slot, size = self._open(path, pages)
        if pages > size:
            raise UnsupportedOperationError("a file is written again beyond its first size")
        return self.machine.do(Op.TOUCH, slot, 0, pages, self.cpu_now, self.node_now)

    disk_pages: tuple[int, int] | None = None
    """Kernel pages that the file system takes, and that it leaves on the CPU's list (None: it takes
    none, and page cache needs no nodes)."""

    def op_cacheread(self, path: str, pages: int) -> Errno:
        """Read a file into the page cache; what is cached stays where it is."""
        new = path not in self.files
        slot, mapped = self._open(path, pages)
        if pages > mapped:
            raise UnsupportedOperationError("a file is read again beyond what was read first")
        nodes = self._new_nodes(pages) if new and self.disk_pages is not None else None
        rows, where = [], (self.cpu_now, self.node_now)
        for first in range(0, pages, READAHEAD_PAGES):
            if nodes is not None and first % PAGES_PER_SLAB == 0:
                rows.append((nodes, first // PAGES_PER_SLAB * SLAB_PAGES, SLAB_PAGES, *where))
            rows.append((slot, first, min(READAHEAD_PAGES, pages - first), *where))
        return self.machine.do_all(Op.TOUCH, rows)

    def _new_nodes(self, pages: int) -> int:
        """Make a file system, and an area for the nodes of a file's page cache."""
        assert self.disk_pages is not None
        kept, left = self.disk_pages
        self._kernel_pages(kept)
        if left:
            slot = self._map(left, AreaKind.KERNEL)
            self.machine.do(Op.TOUCH, slot, 0, left, self.cpu_now, self.node_now)
            self.machine.do(Op.FREE, slot, 0, left, self.cpu_now)
        return self._map(-(-pages // PAGES_PER_SLAB) * SLAB_PAGES, AreaKind.KERNEL, SLABS)
