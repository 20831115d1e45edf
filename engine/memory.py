"""Areas and processes of a fast host: attaching, freeing, exit, unpinning.

Rules as in ``engine.reference.memory``.
"""

from engine.bags import note
from engine.buddy import free_pb
from engine.chains import chain_insert_before, chain_replace, locate, locate_drawn
from engine.elements import (
    block_pb,
    count_of,
    drop_run,
    head_of,
    is_folio,
    is_gigantic,
    is_hole,
    length,
    nxt,
    pinned_but,
    set_count,
)
from engine.enums import MOST_AREAS, AreaKind, Cell, Cost, Counter, Errno
from engine.gather import (
    begin_gather,
    end_batch,
    gather,
    give_back_folio,
    give_back_folios,
    look_ahead,
)
from engine.holes import hole_flag, make_hole, new_hole, put_in_hole
from engine.hugepool import free_hugetlb, reserve_folios
from engine.kernel import kernel, part
from engine.pageblock import set_flags
from engine.percpu import free_base, free_page
from engine.punch import punch
from engine.runs import cut_out, join_around, whole_again
from engine.slowdown import area_ends
from engine.stacks import whole_run
from engine.state import (
    AR_ASKED,
    AR_BAG,
    AR_BELOW,
    AR_DIRTY,
    AR_FILES,
    AR_FOLIO,
    AR_HEAD,
    AR_HINT,
    AR_HINTPOS,
    AR_HINTREF,
    AR_KIND,
    AR_LOCKED,
    AR_LOCKS,
    AR_MARKS,
    AR_PAGES,
    AR_PRESENT,
    AR_PROC,
    AR_SEQ,
    AR_TAIL,
    AR_VIEWS,
    AR_ZONE,
    BK_FILE,
    BK_ISO,
    BK_KERNEL,
    BK_PINNED,
    BK_USED,
    BK_ZONE,
    COSTS,
    DESC,
    FOLIO,
    G_AREASEQ,
    G_BLOCK_SHIFT,
    G_GIGANTIC,
    G_IO,
    G_LPOS,
    G_NCPUS,
    G_NDIRTY,
    G_NFILES,
    G_OBJROWS,
    G_PBP,
    G_RESERVED,
    GIGANTIC,
    IO_MANY,
    IO_PAGES,
    NIL,
    OB_AREA,
    PB_AUX,
    PH_OWN,
    PIN_BITS,
    PIN_MASK,
    PR_CPU,
    PR_IMMUNE,
    PROMISED,
    PS_STATE,
    R_ALLOC,
    R_LOOSE,
    RN_CNT,
    RN_OWN,
    RN_PB,
    RS_FLAG,
    RS_STATE,
    T_LATENCY,
    T_PAGES,
    TABLE,
    UNIFORM,
    UNUSED,
    Z_FILE,
    Z_PCPOFF,
    Z_PINNED,
)
from engine.watermark import keep_reserves
from engine.ways import bring_near, clear_ways, note_way

ANON, THP, FILE, KERNEL, HUGETLB, SHMEM = range(6)
OK, EINVAL, EBUSY, EFAULT = 0, int(Errno.EINVAL), int(Errno.EBUSY), int(Errno.EFAULT)
ENOMEM = int(Errno.ENOMEM)
RELEASED = int(Counter.NR_FOLL_PIN_RELEASED)
FREE_4K, FREE_2M = int(Cost.FREE_4K), int(Cost.FREE_2M)
UNPIN_4K, UNPIN_2M = int(Cost.UNPIN_4K), int(Cost.UNPIN_2M)
HINTED, NORESERVE, HUGE_1G = 1, 2, 4
"""Bits of MAP's flags."""
POOL = int(Cell.PIN_POOL_MILLIONTHS)
KINDS = len(AreaKind)


BY_FOLIO = 2
"""Of PN_LONG: the pin holds each huge folio once (1: each page)."""


@kernel
def block_of(h, pb):
    """Memory block of a pageblock."""
    return pb >> h.g[G_BLOCK_SHIFT]


@kernel
def area_ok(h, a):
    """Whether an area slot is mapped."""
    return 0 <= a < len(h.slot) - h.g[G_OBJROWS] and h.slot[a, AR_KIND] >= 0


@kernel
def may_map(h, a):
    """Whether a number may become an area's."""
    return 0 <= a < MOST_AREAS and not area_ok(h, a)


@kernel
def range_ok(h, a, first, count):
    """Whether [first, first + count) lies in a mapped area."""
    return area_ok(h, a) and first >= 0 and count > 0 and first + count <= h.slot[a, AR_PAGES]


@kernel
def proc_ok(h, p):
    """Whether a process slot is alive."""
    return 0 <= p < len(h.slot) and h.slot[p, PR_CPU] >= 0


@kernel
def cpu_of(h, a, cpu):
    """The CPU a command runs on: its own, or the process's."""
    if 0 <= cpu < h.g[G_NCPUS]:
        return cpu
    return h.slot[h.slot[a, AR_PROC], PR_CPU]


# -- accounting -----------------------------------------------------------------------------------


@part
def count_used(h, a, pb, pages):
    """Account pages that an area gains (negative: loses) in a pageblock."""
    b = block_of(h, pb)
    h.blk[b, BK_USED] += pages
    if a == NIL:
        return
    h.slot[a, AR_PRESENT] += pages
    if h.slot[a, AR_KIND] == FILE:
        h.blk[b, BK_FILE] += pages
        h.zone[h.blk[b, BK_ZONE], Z_FILE] += pages
        h.slot[a, AR_ZONE + h.blk[b, BK_ZONE]] += pages
    elif h.slot[a, AR_KIND] == KERNEL:
        h.blk[b, BK_KERNEL] += pages


@kernel
def change_count(h, ref, value):
    """Set pins and references of an element, and the block's pinned pages."""
    was, now = count_of(h, ref) & PIN_MASK, value & PIN_MASK
    if (was == 0) != (now == 0):
        pages = length(h, ref) if now else -length(h, ref)
        if is_gigantic(h, ref):
            count_pinned_gigantic(h, ref, pages)
        else:
            count_pinned(h, block_of(h, block_pb(h, ref)), pages)
    set_count(h, ref, value)


@kernel
def count_pinned(h, b, pages):
    """Account pages of a memory block that are pinned (negative: no more)."""
    h.blk[b, BK_PINNED] += pages
    h.zone[h.blk[b, BK_ZONE], Z_PINNED] += pages
    if h.g[TABLE + POOL]:
        keep_reserves(h, h.blk[b, BK_ZONE])


@kernel
def count_pinned_gigantic(h, pb, pages):
    """Account all parts of a gigantic folio, unless the pins of another one do so."""
    if pinned_but(h, pb):
        return
    head = head_of(h, pb)
    for i in range(h.g[G_GIGANTIC]):
        count_pinned(h, block_of(h, head + i), pages)


@kernel
def claim(h, a, ref):
    """Make a loose element belong to an area."""
    h.slot[a, AR_ASKED] = 0
    if ref >= 0:
        h.pbh[ref, PH_OWN] = a
        h.pb[ref, PB_AUX] = 0
        set_flags(h, ref, 0)
    else:
        r = -2 - ref
        h.runb[r, RS_STATE] = R_ALLOC
        h.run[r, RN_OWN] = a
        h.run[r, RN_CNT] = 0
        h.runb[r, RS_FLAG] &= DESC
    pb = block_pb(h, ref)
    note(h, a, pb)
    count_used(h, a, pb, length(h, ref))


@kernel
def attach(h, a, index, ref):
    """Map a loose element at a virtual index that is a hole."""
    claim(h, a, ref)
    put_in_hole(h, a, index, ref)
    note_way(h, a, index, ref)
    if ref < NIL:
        join_both(h, a, ref)


@kernel
def join_both(h, a, ref):
    """Merge a run with its neighbours in the area, as far as they go on with each other."""
    ref = join_around(h, a, ref)
    if ref < NIL:
        whole_again(h, a, ref)


# -- freeing --------------------------------------------------------------------------------------


@kernel
def split_folio(h, pb):
    """Huge folio -> base pages in place (not held); stays listed if it was."""
    h.pbs[pb, PS_STATE] = UNIFORM


@kernel
def free_element(h, a, ref, cpu):
    """Free a present element that is no longer in its area's chain."""
    pages = length(h, ref)
    pb = block_pb(h, ref)
    if is_folio(h, ref):
        count_freed_folios(h, a, pb, 1)
        if is_gigantic(h, pb):
            if head_of(h, pb + 1) != head_of(h, pb):  # all of it is out of the chain
                free_hugetlb(h, head_of(h, pb), cpu)
        elif h.slot[a, AR_KIND] == HUGETLB:
            free_hugetlb(h, pb, cpu)
        else:
            give_back_folio(h, pb, cpu)
        return
    count_used(h, a, pb, -pages)
    h.g[T_LATENCY] += pages * h.g[COSTS + FREE_4K]
    gather(h, ref, cpu)


@kernel
def free_pages_of(h, ref, cpu):
    """Free the base pages of a loose element in virtual order."""
    free_loose_base(h, ref, cpu, ref >= 0 or not h.runb[-2 - ref, RS_FLAG] & DESC)


@kernel
def free_loose_base(h, ref, cpu, upwards):
    """Free the base pages of a loose element: to a CPU's list, or directly where it has none."""
    if ref >= 0:
        b = block_of(h, ref)
        if cpu < 0 or h.blk[b, BK_ISO] or h.zone[h.blk[b, BK_ZONE], Z_PCPOFF]:
            h.pbs[ref, PS_STATE] = UNUSED
            free_pb(h, ref)
            return
        free_base(h, whole_run(h, ref), cpu, upwards)
        return
    r = -2 - ref
    h.runb[r, RS_STATE] = R_LOOSE
    free_base(h, r, cpu, upwards)


@kernel
def release_range(h, a, first, count, cpu):
    """Unmap and free the pages of a range; nothing in it is held.

    Returns whether there were holes in it that show something (``hole_flag``).
    """
    if count == 1:
        return release_page(h, a, first, cpu)
    begin_gather(h)
    look_ahead(h, a, first, first + count, cpu)
    index, end, showing = first, first + count, False
    while index < end:
        ref = locate(h, a, index)
        pos = h.g[G_LPOS]
        stop = min(end, pos + length(h, ref))
        if is_hole(h, ref):
            showing = showing or hole_flag(h, ref) != 0
            index = stop
            continue
        if is_folio(h, ref):
            if index > pos or stop < pos + h.g[G_PBP]:
                split_folio(h, ref)
                continue
        else:
            ref = cut_out(h, a, index, stop)
        make_hole(h, a, ref)
        free_element(h, a, ref, cpu)
        index = stop
    end_batch(h, cpu)
    return showing


@part
def release_page(h, a, index, cpu):
    """``release_range`` of one page: it needs no batch."""
    ref = locate_drawn(h, a, index)
    if is_hole(h, ref):
        return hole_flag(h, ref) != 0
    if is_folio(h, ref):
        split_folio(h, ref)
    r = punch(h, a, ref, h.g[G_LPOS], index)
    count_used(h, a, h.run[r, RN_PB], -1)
    h.g[T_LATENCY] += h.g[COSTS + FREE_4K]
    free_page(h, r, cpu)
    return False


@kernel
def release_area(h, a, cpu):
    """Free everything of an area's own and forget it."""
    h.g[T_PAGES] += h.slot[a, AR_PAGES]
    bring_near(h, a)
    begin_gather(h)
    look_ahead(h, a, 0, h.slot[a, AR_PAGES], cpu)
    ref = h.slot[a, AR_HEAD]
    while ref != NIL:
        following = nxt(h, ref)
        if is_hole(h, ref):
            if h.slot[a, AR_KIND] == HUGETLB and hole_flag(h, ref) == PROMISED:
                size = 1 if h.slot[a, AR_FOLIO] > 1 else 0
                h.g[G_RESERVED + size] -= length(h, ref) // (h.g[G_PBP] * h.slot[a, AR_FOLIO])
            drop_run(h, -2 - ref)
        elif is_folio(h, ref) and h.slot[a, AR_KIND] != HUGETLB:
            following, folios = give_back_folios(h, ref, cpu)
            count_freed_folios(h, a, ref, folios)
        else:
            free_element(h, a, ref, cpu)
        ref = following
    end_batch(h, cpu)
    forget_area(h, a)


@kernel
def count_freed_folios(h, a, pb, folios):
    """Account huge folios of one memory block that an area has lost."""
    count_used(h, a, pb, -folios * h.g[G_PBP])
    h.g[T_LATENCY] += folios * h.g[COSTS + FREE_2M]


@kernel
def forget_area(h, a):
    """Make an area slot free again."""
    area_ends(h, a)
    set_locked(h, a, 0)
    h.slot[a, AR_BELOW] = NIL
    if h.slot[a, AR_KIND] == FILE:
        n = h.g[G_NFILES]
        k = 0
        for i in range(n):
            if h.slot[i, AR_FILES] != a:
                h.slot[k, AR_FILES] = h.slot[i, AR_FILES]
                k += 1
        h.g[G_NFILES] = k
        h.g[G_NDIRTY] -= h.slot[a, AR_DIRTY]
    h.g[G_IO] -= h.slot[a, IO_MANY]
    h.slot[a, IO_MANY] = 0
    h.slot[a, IO_PAGES] = 0
    h.slot[a, AR_KIND] = -1
    h.slot[a, AR_HEAD] = NIL
    h.slot[a, AR_TAIL] = NIL
    h.slot[a, AR_HINTREF] = NIL


@kernel
def set_locked(h, a, on):
    """Lock an area (a mapping: its file) in memory, or unlock it."""
    target = h.slot[a, AR_BELOW] if h.slot[a, AR_BELOW] >= 0 else a
    h.slot[target, AR_LOCKS] += on - h.slot[a, AR_LOCKED]
    h.slot[a, AR_LOCKED] = on


# -- commands -------------------------------------------------------------------------------------


@kernel
def spawn(h, p, cpu, immune):
    """SPAWN."""
    if p < 0 or proc_ok(h, p) or not 0 <= cpu < h.g[G_NCPUS]:
        return EINVAL
    h.slot[p, PR_CPU] = cpu
    h.slot[p, PR_IMMUNE] = 1 if immune else 0
    return OK


@kernel
def map_area(h, a, p, kind, pages, flags):
    """MAP."""
    if not may_map(h, a) or not proc_ok(h, p) or pages <= 0 or not 0 <= kind < KINDS:
        return EINVAL
    size = 1 if flags & HUGE_1G else 0
    parts = h.g[G_GIGANTIC] if size else 1
    unit = parts * h.g[G_PBP]
    if (kind == HUGETLB and pages % unit) or (size and kind != HUGETLB):
        return EINVAL
    reserving = kind == HUGETLB and not flags & NORESERVE
    if reserving and not reserve_folios(h, size, pages // unit):
        return ENOMEM
    new_area(h, a, p, kind, pages, flags & HINTED, PROMISED if reserving else 0)
    h.slot[a, AR_FOLIO] = parts
    h.slot[a, AR_SEQ] = h.g[G_AREASEQ]
    h.g[G_AREASEQ] += 1
    if kind == FILE:
        h.slot[h.g[G_NFILES], AR_FILES] = a
        h.g[G_NFILES] += 1
    return OK


@kernel
def new_area(h, a, p, kind, pages, hinted, flag):
    """Make an area, or object, of holes of a flag."""
    h.slot[a, AR_KIND] = kind
    h.slot[a, AR_HINT] = 1 if hinted else 0
    h.slot[a, AR_PROC] = p
    h.slot[a, AR_PAGES] = pages
    h.slot[a, AR_PRESENT] = 0
    h.slot[a, AR_SEQ] = 0
    h.slot[a, AR_HEAD] = NIL
    h.slot[a, AR_TAIL] = NIL
    h.slot[a, AR_HINTREF] = NIL
    h.slot[a, AR_HINTPOS] = 0
    h.slot[a, AR_MARKS] = NIL
    h.slot[a, AR_BAG] = NIL
    h.slot[a, AR_LOCKED] = 0
    h.slot[a, AR_DIRTY] = 0
    h.slot[a, AR_LOCKS] = 0
    h.slot[a, AR_BELOW] = NIL
    h.slot[a, AR_VIEWS] = 0
    h.slot[a, AR_FOLIO] = 1
    h.slot[a, OB_AREA] = NIL
    clear_ways(h, a, pages)
    left = pages
    while left > 0:  # a hole's length is an int32
        k = min(left, 1 << 30)
        chain_insert_before(h, a, NIL, new_hole(h, k, flag))
        left -= k


@kernel
def change_range(h, a, first, count, longterm, sign):
    """Add (or take) one pin or reference on each page of a range; all of it is present."""
    unit = 1 if longterm else 1 << PIN_BITS
    index, end = first, first + count
    while index < end:
        ref = locate(h, a, index)
        pos = h.g[G_LPOS]
        stop = min(end, pos + length(h, ref))
        if is_folio(h, ref):
            change_count(h, ref, count_of(h, ref) + sign * unit * (stop - index))
            if longterm and sign < 0:
                h.g[T_LATENCY] += h.g[COSTS + UNPIN_2M]
        else:
            ref = cut_out(h, a, index, stop)
            change_count(h, ref, count_of(h, ref) + sign * unit)
            if longterm and sign < 0:
                h.g[T_LATENCY] += h.g[COSTS + UNPIN_4K] * (stop - index)
            if ref < NIL:
                ref = join_around(h, a, ref)
                if ref < NIL:
                    whole_again(h, a, ref)
        index = stop


@kernel
def replace_folio(h, a, old, new):
    """Move a huge folio's content to another pageblock; ``old`` is on no list afterwards."""
    h.pbs[new, PS_STATE] = FOLIO
    claim(h, a, new)
    pins = count_of(h, old)
    if pins:  # revoked: they go with the folio
        change_count(h, old, 0)
        change_count(h, new, pins)
    chain_replace(h, a, old, new)
    count_used(h, a, old, -h.g[G_PBP])


@kernel
def replace_gigantic(h, a, old, new):
    """Move a gigantic folio's content to another one; ``old`` is on no list afterwards."""
    parts = h.g[G_GIGANTIC]
    for i in range(parts):
        claim(h, a, new + i)
        set_flags(h, new + i, GIGANTIC)
        chain_replace(h, a, old + i, new + i)
        count_used(h, a, old + i, -h.g[G_PBP])
    for i in range(parts):
        pins = count_of(h, old + i)
        if pins:  # revoked: they go with the folio
            change_count(h, old + i, 0)
            change_count(h, new + i, pins)
