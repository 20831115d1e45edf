"""The program of a script: the recorded driver without its own pages.

The recorded driver keeps records about its buffers, has a heap and tracing, all in the memory
that it measures. A script is about what it says and nothing else, so its program keeps none of
that; page tables, one kernel page for each 2 MiB touched, stay.
"""

from typing import Any

from engine.enums import AreaKind, Errno, Op, ZoneKind
from fleet.lab import placement
from fleet.lab.buffers import Buffer
from fleet.lab.driver import Driver
from fleet.lab.guest import DRIVER_PROC
from fleet.lab.operations import Operation


class Program(Driver):
    """Carries out the operations of a script; see ``Buffers`` for parameters."""

    machine_word, block_word = "host", "removable"
    _hinted = False

    def owners(self) -> dict[int, str]:
        """Area slot -> name of the buffer it belongs to."""
        return {slot: name for name, b in self.buffers.items() for slot in b.slots}

    def named(self, operation: Operation) -> str | None:
        """The mapped buffer that an operation is about, if it is about one."""
        if operation.name in ("offline", "offlineall"):
            return None
        first = operation.args[0] if operation.args else None
        return first if isinstance(first, str) and first in self.buffers else None

    def lies(self, name: str) -> dict[str, Any]:
        """Where a buffer lies (``placement.distribution``), without looking as an operation."""
        buffer = self._buffer(name)
        machine = self.machine
        return placement.distribution(
            self._frames(buffer), None, machine.shape, machine.engine.blocks(),
        )  # fmt: skip

    def op_hint(self, name: str, pages: int, kind: str) -> Errno:
        """Map a buffer, as ``alloc`` does, that madvise says will be pinned.

        madvise covers the mapping whole, so it splits none (mm/hugetlb.c ``hugetlb_vm_op_split``
        refuses to within a huge page).
        """
        self._hinted = True
        try:
            return self.op_alloc(name, pages, kind)
        finally:
            self._hinted = False

    def op_online(self, blocks: tuple[int, ...], zone: str) -> Errno:
        """Online blocks one by one, in the order written."""
        self._check_hot(max(blocks))
        kind = ZoneKind.MOVABLE if zone == "movable" else ZoneKind.NORMAL
        return self.machine.do_all(Op.ONLINE, [(self.hot[b], 1, kind) for b in blocks])

    def op_map(self) -> None:
        """Draw the memory blocks: done by who runs the script."""

    # -- what the recorded driver keeps and a script does not ---------------------------------

    def _map(self, pages: int, kind: AreaKind, flags: int = 0) -> int:
        """Map an area, with the madvise hint where the operation gives it."""
        slot = self._slot()
        hinted = int(self._hinted and kind != AreaKind.KERNEL)
        self.machine.do(Op.MAP, slot, DRIVER_PROC, kind, pages, flags | hinted)
        return slot

    def _own_pages(self, pages: int) -> None:
        """Nothing of its own."""

    def _settle(self) -> None:
        """Nothing to settle."""

    def _trace(self) -> None:
        """No tracing."""

    def _touch_records(self, buffer: Buffer, pages: int) -> None:
        """No records."""

    def _scratch(self, size_bytes: int) -> tuple[int, int]:
        """No working memory."""
        return -1, size_bytes

    def _scrap(self, scratch: tuple[int, int]) -> None:
        """No working memory."""
