"""What a PIN did, by memory block and fault path: it becomes one PIN row each."""

from engine.enums import NR_PATHS, AreaKind, FaultPath
from engine.kernel import kernel
from engine.memory import block_of
from engine.state import A_TOUCHED, ACC_TOUCHED, AR_KIND

FILE, HUGETLB, THP = int(AreaKind.FILE), int(AreaKind.HUGETLB), int(AreaKind.THP)
SHMEM, PATH_SHMEM = int(AreaKind.SHMEM), int(FaultPath.SHMEM)
PATH_ANON, PATH_THP, PATH_FILE, PATH_HUGETLB = 0, 1, 2, 3
PINNED, FAULTED, MIGRATED, FAILED, LATENCY = range(5)


@kernel
def path_of(h, a, huge):
    """Fault path of an area's pages; base pages of a THP area count as ANON."""
    kind = h.slot[a, AR_KIND]
    if kind == FILE:
        return PATH_FILE
    if kind == HUGETLB:
        return PATH_HUGETLB
    if kind == SHMEM:
        return PATH_SHMEM
    return PATH_THP if kind == THP and huge else PATH_ANON


@kernel
def note_pin(h, a, pb, huge, column, pages, latency_ns):
    """Add pages to the PIN row of (block, path)."""
    note_pin_path(h, pb, path_of(h, a, huge), column, pages, latency_ns)


@kernel
def note_pin_path(h, pb, path, column, pages, latency_ns):
    """Add pages to the PIN row of (block, path), whatever their area is."""
    cell = block_of(h, pb) * NR_PATHS + path
    if not (h.acc[cell, 0] or h.acc[cell, 1] or h.acc[cell, 2] or h.acc[cell, 3]):
        h.acc[h.g[A_TOUCHED], ACC_TOUCHED] = cell
        h.g[A_TOUCHED] += 1
    h.acc[cell, column] += pages
    h.acc[cell, LATENCY] += latency_ns
