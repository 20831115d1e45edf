"""Memory for the pageblocks of many hosts, side by side in huge pages.

A host's pageblocks are visited in the order of its free lists, which is no order at all, and a
process holds gigabytes of them: in 4 KiB pages nearly every visit misses the TLB, and a virtual
machine pays for a miss twice. NumPy asks for huge pages, too, but for each array on its own, and
what does not fill one is left out.
"""

import contextlib
import math
import mmap
import weakref

import numpy as np
from numpy.typing import NDArray

Int32 = NDArray[np.int32]

SLAB_BYTES = 256 << 20
"""The end of one is lost, half a host of some megabytes; what is never used costs nothing."""
HUGE_BYTES = 2 << 20
LEAST_BYTES = 1 << 20
"""Smaller arrays gain nothing."""

_slab: mmap.mmap | None = None
_used = SLAB_BYTES
_free: dict[int, list[tuple[mmap.mmap, int]]] = {}


def zeros(shape: tuple[int, int]) -> Int32:
    """Return an array of zeros; its memory serves again when nothing refers to it any more."""
    count = math.prod(shape)
    size = -(-4 * count // 64) * 64
    if size < LEAST_BYTES:
        return np.zeros(shape, np.int32)
    waiting = _free.get(size)
    again = bool(waiting)
    slab, offset = waiting.pop() if waiting else _cut(size)
    array = np.frombuffer(slab, np.int32, count, offset)
    if again:
        array.fill(0)
    weakref.finalize(array, _give_back, size, slab, offset)
    return array.reshape(shape)


def apart(count: int) -> Int32:
    """Return ``count`` zeros in memory of their own, which the system has back after them."""
    size = -(-max(4 * count, 1) // HUGE_BYTES) * HUGE_BYTES  # only whole huge pages are aligned
    return np.frombuffer(_map(size), np.int32, count)


def _cut(size: int) -> tuple[mmap.mmap, int]:
    """Fresh memory, which is zero."""
    global _slab, _used
    if _slab is None or _used + size > SLAB_BYTES:
        slab = _map(max(size, SLAB_BYTES))
        if size > SLAB_BYTES // 2:
            return slab, 0
        _slab, _used = slab, 0
    offset, _used = _used, _used + size
    return _slab, offset


def _map(size: int) -> mmap.mmap:
    """A mapping that asks for huge pages."""
    slab = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without huge pages
        slab.madvise(mmap.MADV_HUGEPAGE)
    return slab


def _give_back(size: int, slab: mmap.mmap, offset: int) -> None:
    """Keep memory for the next array of its size."""
    _free.setdefault(size, []).append((slab, offset))
