"""The driver program of the recorded cases: operations to what it would have observed."""

from collections.abc import Callable
from typing import Any

import numpy as np

from engine.enums import ZONES_PER_NODE, AreaKind, Errno, OfflineReason, Op, Pinner, ZoneKind
from fleet.lab import placement
from fleet.lab.buffers import Buffer, UnsupportedOperationError, errno_name
from fleet.lab.guest import CHILD_PROC
from fleet.lab.machine import Attempt
from fleet.lab.operations import Operation
from fleet.lab.settings import Settings

TRACE_PAGES = 352
"""Kernel pages that tracing takes per CPU once it is switched on (kernel/trace/trace.c
TRACE_BUF_SIZE_DEFAULT, 1408 KiB; free pages drop by as much at the first pin or offline)."""
FILE_COLUMN = 5
"""Page cache in ``Host.blocks()``."""
KERNEL_ZONE_PAGES = 15
"""Pages the kernel itself takes from a new ZONE_NORMAL (observed: 65,521 of 65,536 free)."""
PINNERS = {
    "iou": Pinner.IO_URING,
    "vfio": Pinner.VFIO,
    "rdma": Pinner.RDMA,
    "dio": Pinner.DIRECT_IO,
}
"""Kinds of pins: those of the recorded cases, and two for scripts."""


class Driver(Settings):
    """Replays operations on a machine; one instance per case. Parameters: see ``Buffers``."""

    @classmethod
    def supports(cls, operation: Operation) -> bool:
        """Whether an operation of the vocabulary is modelled."""
        return hasattr(cls, f"op_{operation.name}")

    slab_pages: int = 0
    """Reclaimable slab, pages."""

    loop_calls: int | None = None
    """Calls of migrate_pages that the recorded run made in an offline that looped, if known."""

    def run(self, operation: Operation, loop_calls: int | None = None) -> dict[str, Any]:
        """Replay one operation and return what the driver observes.

        ``loop_calls`` is how often an offline that was interrupted had called migrate_pages. Where
        huge pages change places in turn, it depends on that number where they are in the end, so
        the replay is interrupted after as many calls, not after as much time.

        Raises
        ------
        UnsupportedOperationError
            The operation, or a kind it names, is not modelled.
        ProcessKilledError, HostPanickedError
            As ``Machine.do_all``.
        """
        handler: Callable[..., dict[str, Any] | Errno | None]
        handler = getattr(self, f"op_{operation.name}")
        self.loop_calls = loop_calls
        seen = handler(*operation.args)
        if isinstance(seen, dict):
            return {"errno": "0"} | seen
        return {"errno": errno_name(seen or Errno.OK)}

    def _trace(self) -> None:
        """Switch tracing on, as the driver does in its first ``pin`` or ``offline``.

        These are the operations whose records count calls of migrate_pages (by its trace event):
        ``pinstride``, ``pinblocks``, ``repin`` and ``offlineall`` do not. Each CPU's buffer lies on
        its own node. Buffers do not grow when less memory is available than they need
        (kernel/trace/ring_buffer.c ``__rb_allocate_pages``; seen on 6.12 where memory was full: the
        case has no trace).
        """
        if self.spawned and not self.tracing:
            self.tracing = True
            for node in self.machine.shape.cpu_node:
                if self._available() < TRACE_PAGES:
                    break
                self._kernel_pages(TRACE_PAGES, node)

    def _available(self) -> int:
        """Pages that si_mem_available (mm/page_alloc.c) counts; reclaimable slab by half.

        Free pages less, per zone, the high mark and the largest lowmem_reserve; plus page cache,
        of which up to a half, at most the low marks, is left out.
        """
        zones, blocks = self.machine.engine.zones(), self.machine.engine.blocks()
        managed = [int(z) for z in zones[:, 0]]
        reserve = 0
        for node in range(0, len(zones), ZONES_PER_NODE):
            for zone in range(node, node + ZONES_PER_NODE):
                above = sum(managed[zone + 1 : node + ZONES_PER_NODE])
                reserve += min(int(zones[zone, 4]) + above // 256, managed[zone])
        cache, low = int(blocks[:, FILE_COLUMN].sum()), int(zones[:, 3].sum())
        cache -= min(cache // 2, low)
        return int(zones[:, 1].sum()) - reserve + cache + self.slab_pages // 2

    # -- pins ---------------------------------------------------------------------------------

    def _pin(self, buffer: Buffer, kind: str, first: int, count: int) -> Errno:
        """Take one pin or hold on a range.

        A buffer in several areas is pinned part by part. It is one call all the same: where a part
        fails the others are tried, too, because what they move stays moved, and are let go again.
        """
        failed, taken = Errno.OK, list[int]()
        for slot, offset, pages in buffer.parts(first, count):
            pin, self._next_pin = self._next_pin, self._next_pin + 1
            if kind == "vmsplice":
                errno = self.machine.do(Op.HOLD, pin, slot, offset, pages)
            else:
                how = PINNERS[kind], self.cpu_now
                errno = self.machine.do(Op.PIN, pin, slot, offset, pages, *how)
            if errno == Errno.OK:
                taken.append(pin)
            elif failed == Errno.OK:
                failed = errno
        if failed == Errno.OK:
            buffer.pins += taken
        else:
            self.machine.do_all(Op.UNPIN, [(pin,) for pin in taken])
        return failed

    def _unpin(self, buffer: Buffer) -> Errno:
        """Release everything that is pinned on a buffer."""
        pins, buffer.pins = buffer.pins, []
        return self.machine.do_all(Op.UNPIN, [(pin,) for pin in pins])

    def op_pin(self, name: str, kind: str, first: int | None, count: int | None) -> dict[str, Any]:
        """Pin a buffer or a part of it, looking before and after."""
        start = first or 0
        buffer = self._part(name, start, count or 0)
        before = self._look(name)
        self._trace()
        pages = buffer.pages - start if count is None else count
        errno = errno_name(self._pin(buffer, kind, start, pages))
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
        return {"errno": errno_name(errno), "pin_result": errno_name(errno), "pin_pages": pages}

    def op_pinblocks(self, name: str, wanted: int, kind: str) -> dict[str, Any]:
        """Pin the first page found in each of K hot blocks, lowest first."""
        buffer = self._buffer(name)
        pfn = self._frames(buffer).pfn
        block = np.where(pfn >= 0, pfn // self.machine.shape.block_pages, -1)
        hot = [b for b in sorted(self.hot) if (block == b).any()][:wanted]
        indices = [int(np.flatnonzero(block == b)[0]) for b in hot]
        errno, pages = self._pin_each(buffer, kind, indices)
        return {
            "errno": errno_name(errno), "pin_result": errno_name(errno), "pin_pages": pages,
            "pinned_blocks": hot, "after": self._look(name),
        }  # fmt: skip

    def op_repin(self, name: str, kind: str, rounds: int) -> dict[str, Any]:
        """Pin and unpin again and again, counting what moves in each round."""
        buffer = self._buffer(name)
        before, seen = self._look(name), []
        for _ in range(rounds):
            errno = self._pin(buffer, kind, 0, buffer.pages)
            seen.append(
                {"pin_result": errno_name(errno), "moved": self._look(name)["moved_since_last"]}
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

    # -- children -----------------------------------------------------------------------------

    def op_fork_hold(self) -> None:
        """Fork a child that keeps all it shares with the driver and does nothing."""
        self._spawn()
        child = CHILD_PROC + self._forks
        self._forks += 1
        self.machine.do(Op.SPAWN, child, self.cpu_now, int(self.immune))
        tables = sum(buffer.tables for buffer in self.buffers.values())
        if tables:
            slot = self._slot()
            self.machine.do(Op.MAP, slot, child, AreaKind.KERNEL, tables, 0)
            self.machine.do(Op.TOUCH, slot, 0, tables, self.cpu_now, -1)
        # areas that are gone are refused, nothing else is
        self.machine.do_all(Op.FORK, [(self._slot(), area, child) for area in self.mapped])
        self.children.append(child)

    def op_child_kill(self) -> None:
        """Kill the child forked last."""
        if not self.children:
            raise UnsupportedOperationError("there is no child to kill")
        self.machine.do(Op.EXIT, self.children.pop())

    # -- blocks -------------------------------------------------------------------------------

    def _check_hot(self, index: int) -> None:
        """Refuse a block h0, h1, … that is not there."""
        if index >= len(self.hot):
            reason = f"the {self.machine_word} has {len(self.hot)} {self.block_word} blocks"
            raise UnsupportedOperationError(reason)

    def op_online(self, blocks: tuple[int, ...], zone: str) -> Errno:
        """Online hot blocks one by one, in the order written."""
        self._check_hot(max(blocks))
        kind = ZoneKind.MOVABLE if zone == "movable" else ZoneKind.NORMAL
        errno = self.machine.do_all(Op.ONLINE, [(self.hot[b], 1, kind) for b in blocks])
        if zone == "kernel":
            self._spawn()
            self._kernel_pages(KERNEL_ZONE_PAGES)
        return errno

    def _offline(self, block: int, bound_ns: int) -> dict[str, Any]:
        """Write ``offline`` to one block."""
        self._settle()
        pooled = int(self.machine.engine.pool()[:, 0].sum())
        calls = self.loop_calls if pooled else None
        return {"block": block, "result": _result(self.machine.offline(block, bound_ns, calls))}

    def op_offline(self, target: tuple[str, str], bound_ns: int) -> dict[str, Any]:
        """Offline the block a target names."""
        self._settle()
        self._trace()
        how, what = target
        if how == "h":
            self._check_hot(int(what))
            return self._offline(self.hot[int(what)], bound_ns)
        if how == "b":
            if int(what) >= self.machine.shape.nr_blocks:
                blocks = self.machine.shape.nr_blocks
                raise UnsupportedOperationError(f"the {self.machine_word} has {blocks} blocks")
            return self._offline(int(what), bound_ns)
        buffer = self._buffer(what)
        dist = placement.distribution(
            self._frames(buffer), None, self.machine.shape, self.machine.engine.blocks(),
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
            raise UnsupportedOperationError(f"the {self.machine_word} has no CPU {cpu}")
        self._spawn(cpu, self._first_cpu())
        self.cpu_now = cpu

    def _first_cpu(self) -> int:
        """CPU the driver starts on: the last one of the first node.

        Recorded with four vCPUs: the first buffer that CPU 0 touches begins one batch (63 pages)
        and a page into the new zone, so the driver's own first pages came from another CPU.
        """
        node = self.machine.shape.cpu_node
        return max(cpu for cpu, n in enumerate(node) if n == node[0])

    def op_mpol(self, policy: tuple[str, int]) -> None:
        """Set the driver's memory policy."""
        mode, node = policy
        self._check_node(node)
        self.node_now = -1 if mode == "default" else node

    def op_sleep(self, delay_ns: int) -> None:
        """Let time pass."""
        self.machine.wait(self.machine.clock_ns + delay_ns)


def _result(attempt: Attempt) -> str:
    """Result of an offline as the recorded driver writes it."""
    if attempt.errno == Errno.OK:
        return "ok"
    if attempt.reason == OfflineReason.SIGNAL:
        return "EINTR_after_bound"
    return attempt.errno.name
