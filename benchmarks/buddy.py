"""``buddy.c`` compiled on the spot and called by ctypes."""

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.demands import Demand, Int64
from benchmarks.timing import cpu_ns

FLAGS = ("-O3", "-march=native", "-shared", "-fPIC")
_FRAMES = np.ctypeslib.ndpointer(np.uint32, flags="C_CONTIGUOUS")
_AT = np.ctypeslib.ndpointer(np.int64, flags="C_CONTIGUOUS")
_OWNERS = np.ctypeslib.ndpointer(np.int32, flags="C_CONTIGUOUS")
_U64, _U32, _I32, _SELF = ctypes.c_uint64, ctypes.c_uint32, ctypes.c_int32, ctypes.c_void_p
_SIGNATURES = {
    "buddy_new": (_SELF, (_U32,)),
    "buddy_delete": (None, (_SELF,)),
    "buddy_nr_free": (_U64, (_SELF,)),
    "buddy_owner": (_I32, (_SELF, _U32)),
    "buddy_start": (_U64, (_SELF, _FRAMES, _U64, _I32)),
    "buddy_end": (None, (_SELF, _FRAMES, _U64)),
    "buddy_free_at": (None, (_SELF, _FRAMES, _AT, _U64)),
    "buddy_touch_at": (_U64, (_SELF, _FRAMES, _AT, _OWNERS, _U64)),
}


def compiler() -> str | None:
    """Return the C compiler, None where there is none."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def compiler_version() -> str:
    """Return the first line the compiler says of itself."""
    asked = subprocess.run([compiler() or "cc", "--version"], capture_output=True, text=True)
    return asked.stdout.splitlines()[0]


def build() -> ctypes.CDLL:
    """Compile ``buddy.c`` into a folder that is gone once it is loaded.

    Raises
    ------
    RuntimeError
        Without a compiler, or when it refuses.
    """
    cc = compiler()
    if cc is None:
        raise RuntimeError("no C compiler")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "buddy.so"
        source = Path(__file__).with_name("buddy.c")
        made = subprocess.run([cc, *FLAGS, "-o", target, source], capture_output=True, text=True)
        if made.returncode:
            raise RuntimeError(made.stderr)
        library = ctypes.CDLL(str(target))
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class BuddyHost:
    """A host in C: the allocator and the table of frames of each VM.

    Parameters
    ----------
    library : CDLL
        From ``build``.
    pages : int
        A multiple of 1024.
    slot_pages : int
        Pages of the largest VM.
    """

    def __init__(self, library: ctypes.CDLL, pages: int, slot_pages: int) -> None:
        if pages % 1024:
            raise ValueError("pages must be a multiple of 1024")
        self._c, self._slot_pages = library, slot_pages
        self._self = library.buddy_new(pages)
        if not self._self:
            raise MemoryError("struct pages of the C host")
        self.table: NDArray[np.uint32] = np.zeros((0, slot_pages), np.uint32)
        """uint32[slots, slot_pages]: frames by slot and page number."""

    def close(self) -> None:
        """Free the allocator."""
        self._c.buddy_delete(self._self)

    @property
    def free_pages(self) -> int:
        """Pages in the free lists."""
        return int(self._c.buddy_nr_free(self._self))

    def owner(self, pfn: int) -> int:
        """Return the VM that holds a frame, -1: nobody."""
        return int(self._c.buddy_owner(self._self, pfn))

    def churn(self, demands: Sequence[Demand]) -> int:
        """Carry out demands; return the CPU time in ns."""
        self._make_slots(max((d.slot for d in demands), default=-1) + 1)

        def work() -> None:
            for demand in demands:
                self._carry_out(demand)

        return cpu_ns(work)

    def _make_slots(self, slots: int) -> None:
        """Have a row of frames for every slot, written so that no page fault is timed."""
        if slots > len(self.table):
            table = np.full((slots + 4, self._slot_pages), 0, np.uint32)
            table[: len(self.table)] = self.table
            self.table = table

    def _carry_out(self, demand: Demand) -> None:
        row = self.table[demand.slot]
        if not demand.starts:
            self._c.buddy_end(self._self, row, demand.pages)
        elif self._c.buddy_start(self._self, row, demand.pages, demand.slot) != demand.pages:
            raise MemoryError("the C host is full")

    def free(self, pages: Int64) -> int:
        """Free single pages (int64[n, 2]: slot, page number); return the CPU time in ns."""
        at = self._places(pages)
        frames = self.table.reshape(-1)
        return cpu_ns(lambda: self._c.buddy_free_at(self._self, frames, at, len(at)))

    def touch(self, pages: Int64) -> int:
        """Fault single pages in; return the CPU time in ns."""
        at, owners = self._places(pages), pages[:, 0].astype(np.int32)
        frames = self.table.reshape(-1)
        return cpu_ns(lambda: self._c.buddy_touch_at(self._self, frames, at, owners, len(at)))

    def _places(self, pages: Int64) -> Int64:
        """Return indices into the table of frames."""
        places: Int64 = pages[:, 0] * self._slot_pages + pages[:, 1]
        return places
