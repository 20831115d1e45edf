"""What lets go of pages: FREE, UNMAP, EXIT. What somebody holds stays as orphans.

Rules as in ``engine.reference.memory`` and ``engine.reference.sharing``.
"""

from engine.chains import locate
from engine.enums import Errno
from engine.holes import hole_flag, set_holes
from engine.kernel import kernel
from engine.memory import (
    FILE,
    HUGETLB,
    SHMEM,
    THP,
    area_ok,
    cpu_of,
    range_ok,
    release_area,
    release_range,
)
from engine.orphans import orphan_held
from engine.sharing import behind, sweep
from engine.state import (
    AR_BELOW,
    AR_DIRTY,
    AR_FOLIO,
    AR_KIND,
    AR_PAGES,
    AR_PROC,
    FIRST_OBJECT,
    G_NDIRTY,
    G_OBJROWS,
    G_PBP,
    G_TIDY,
    HUGE_ZERO,
    NIL,
    PN_AREA,
    PN_PROC,
    PR_CPU,
    T_PAGES,
    ZERO,
)
from engine.unpin import unpin

OK, EINVAL, EBUSY = 0, int(Errno.EINVAL), int(Errno.EBUSY)


@kernel
def set_dirty(h, a, on):
    """DIRTY: whether page cache must be written back before it is dropped."""
    if not area_ok(h, a) or h.slot[a, AR_KIND] != FILE:
        return EINVAL
    dirty, a = 1 if on else 0, behind(h, a, 0, 0)
    h.g[G_NDIRTY] += dirty - h.slot[a, AR_DIRTY]
    h.slot[a, AR_DIRTY] = dirty
    return OK


@kernel
def free_range(h, a, first, count, cpu):
    """FREE: MADV_DONTNEED. What somebody holds stays allocated until it is let go."""
    if not range_ok(h, a, first, count):
        return EINVAL
    if h.slot[a, AR_KIND] == HUGETLB and (first | count) % (h.slot[a, AR_FOLIO] * h.g[G_PBP]):
        return EINVAL
    h.g[T_PAGES] = count
    cpu = cpu_of(h, a, cpu)
    orphan_held(h, a, first, count)
    showing = release_range(h, a, first, count, cpu)
    if showing and h.slot[a, AR_KIND] == THP:
        split_huge_zero(h, a, first)
        split_huge_zero(h, a, first + count - 1)
    if showing and h.slot[a, AR_KIND] != HUGETLB:  # what is reserved stays so
        set_holes(h, a, first, count, -1, 0)
    sweep(h, h.slot[a, AR_BELOW], first, count, cpu)
    return OK


@kernel
def split_huge_zero(h, a, index):
    """The huge zero page around an index becomes zero pages."""
    if hole_flag(h, locate(h, a, index)) == HUGE_ZERO:
        set_holes(h, a, index - index % h.g[G_PBP], h.g[G_PBP], HUGE_ZERO, ZERO)


@kernel
def unmap(h, a):
    """UNMAP: EBUSY for a file that is mapped."""
    if not area_ok(h, a):
        return EINVAL
    for row in range(len(h.slot)):
        if h.slot[row, AR_KIND] >= 0 and h.slot[row, AR_BELOW] == a:
            return EBUSY
    drop_area(h, a, h.slot[h.slot[a, AR_PROC], PR_CPU])
    return OK


@kernel
def drop_area(h, a, cpu):
    """Let go of a whole area and forget it."""
    below, pages = h.slot[a, AR_BELOW], h.slot[a, AR_PAGES]
    orphan_held(h, a, 0, pages)
    release_area(h, a, cpu)
    if below <= FIRST_OBJECT:
        sweep(h, below, 0, pages, cpu)
        h.g[G_TIDY] = 1


@kernel
def exit_process(h, p):
    """EXIT: pins of the process, then its areas, in slot order; a mapped file finds an heir."""
    for q in range(len(h.slot)):
        if h.slot[q, PN_AREA] >= 0 and h.slot[q, PN_PROC] == p:
            unpin(h, q)
    for a in range(len(h.slot) - h.g[G_OBJROWS]):
        if h.slot[a, AR_KIND] < 0 or h.slot[a, AR_PROC] != p:
            continue
        heir = mapper(h, a, p)
        if heir == NIL:
            drop_area(h, a, h.slot[p, PR_CPU])
        else:
            h.slot[a, AR_PROC] = heir
    h.slot[p, PR_CPU] = NIL


@kernel
def mapper(h, a, p):
    """Another process that maps a file, or NIL."""
    if h.slot[a, AR_KIND] != FILE and h.slot[a, AR_KIND] != SHMEM:
        return NIL
    for x in range(len(h.slot) - h.g[G_OBJROWS]):
        if h.slot[x, AR_KIND] >= 0 and h.slot[x, AR_BELOW] == a and h.slot[x, AR_PROC] != p:
            return h.slot[x, AR_PROC]
    return NIL
