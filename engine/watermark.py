"""Watermarks, lowmem reserves and per-CPU list sizes. Rules as in ``engine.reference.zone``.

They change only when memory goes on or off line, so each is kept beside the zone's counters: they
are read for every request.
"""

from engine.enums import ZONES_PER_NODE, Cell, PcpRule
from engine.kernel import kernel
from engine.state import (
    CPUS,
    G_DMA,
    G_NCPUS,
    G_NZONES,
    G_PBP,
    G_THP,
    RQ_LISTED,
    TABLE,
    Z_BATCH,
    Z_HIGH,
    Z_LOW,
    Z_MANAGED,
    Z_MIN,
    Z_PCP_HIGH,
    Z_PCP_LOW,
    Z_PINNED,
    Z_RESERVE_1,
    Z_RESERVE_2,
)

KINDS = ZONES_PER_NODE
MOVABLE_KIND = 2
DMA_PAGES = 3840
CAPPED = int(Cell.MOVABLE_MARK_CAPPED)
PCP_HIGH = int(Cell.PCP_HIGH_PAGES)
PCP_RULE = int(Cell.PCP_RULE)
POOL = int(Cell.PIN_POOL_MILLIONTHS)
BATCH_TIMES_6 = int(PcpRule.BATCH_TIMES_6)
ZONE_EIGHTH = int(PcpRule.ZONE_EIGHTH)


@kernel
def isqrt(n):
    """Integer square root."""
    x = n
    y = (x + 1) // 2
    while y < x:
        x = y
        y = (x + n // x) // 2
    return x


@kernel
def buffer_pages(h):
    """nr_free_buffer_pages."""
    total = 0
    for z in range(h.g[G_NZONES]):
        if z % KINDS != MOVABLE_KIND:
            total += max(h.zone[z, Z_MANAGED] - h.zone[z, Z_HIGH], 0)
    return total


@kernel
def spread_marks(h, pages_min):
    """__setup_per_zone_wmarks."""
    capped = h.g[TABLE + CAPPED]
    lowmem = 0
    for z in range(h.g[G_NZONES]):
        if not (capped and z % KINDS == MOVABLE_KIND):
            lowmem += h.zone[z, Z_MANAGED]
    for z in range(h.g[G_NZONES]):
        managed = h.zone[z, Z_MANAGED]
        share = pages_min * managed // lowmem if lowmem else 0
        lowest = share
        if capped and z % KINDS == MOVABLE_KIND:
            lowest = min(max(managed // 1024, 32), 128) if managed else 0
        gap = max(share >> 2, managed * 10 // 10_000)
        h.zone[z, Z_MIN] = lowest
        h.zone[z, Z_LOW] = lowest + gap
        h.zone[z, Z_HIGH] = lowest + 2 * gap
    keep_derived(h)


@kernel
def keep_derived(h):
    """Compute what follows from managed pages and marks, per zone."""
    h.g[RQ_LISTED] = 0  # a zone may have got its first pages, or lost its last
    for z in range(h.g[G_NZONES]):
        keep_reserves(h, z)
        batch = batch_of(h, z)
        h.zone[z, Z_BATCH] = batch
        h.zone[z, Z_PCP_LOW] = least_high(h, z, batch)
        h.zone[z, Z_PCP_HIGH] = most_high(h, z, h.zone[z, Z_PCP_LOW])


@kernel
def keep_reserves(h, z):
    """Compute what a zone keeps from requests: lowmem reserves, and the pool of pins."""
    pool = pool_left(h, z)
    h.zone[z, Z_RESERVE_1] = reserve_of(h, z, 1) + pool
    h.zone[z, Z_RESERVE_2] = reserve_of(h, z, 2) + pool


@kernel
def pool_left(h, z):
    """Pages that a zone keeps for long-term pins: its share, less what is pinned in it."""
    share = h.g[TABLE + POOL]
    if not share or z % KINDS == MOVABLE_KIND:
        return 0
    return max(h.zone[z, Z_MANAGED] * share // 1_000_000 - h.zone[z, Z_PINNED], 0)


@kernel
def pool_short(h, count):
    """Whether the pool of pins has fewer than ``count`` pages left."""
    left = 0
    for z in range(h.g[G_NZONES]):
        left += pool_left(h, z)
    return count > left


@kernel
def set_watermarks(h):
    """init_per_zone_wmark_min, then khugepaged's set_recommended_min_free_kbytes."""
    kbytes = isqrt(buffer_pages(h) * 4 * 16)
    pages_min = min(max(kbytes, 128), 262_144) >> 2
    spread_marks(h, pages_min)
    if not h.g[G_THP]:
        return
    populated = 0
    for z in range(h.g[G_NZONES]):
        kind = z % KINDS
        if h.zone[z, Z_MANAGED] and kind != MOVABLE_KIND:
            populated += 2 if kind == 0 and not h.g[G_DMA] else 1
    recommended = min(h.g[G_PBP] * populated * 11, buffer_pages(h) // 20)
    if recommended > pages_min:
        spread_marks(h, recommended)


@kernel
def reserve(h, z, highest):
    """Pages of a zone that requests up to NORMAL (1) or MOVABLE (2) may not take."""
    return h.zone[z, Z_RESERVE_1 + highest - 1]


@kernel
def pcp_batch(h, z):
    """Batch of a zone's per-CPU lists."""
    return h.zone[z, Z_BATCH]


@kernel
def reserve_of(h, z, highest):
    """lowmem_reserve[highest] of a zone, pages.

    Zone 0 also holds ZONE_DMA with its own, unless G_DMA says that it is one by itself.
    """
    kind = z % KINDS
    managed = h.zone[z, Z_MANAGED]
    if kind >= highest or managed == 0:
        return 0
    above = 0
    for k in range(kind + 1, highest + 1):
        above += h.zone[z - kind + k, Z_MANAGED]
    if z == 0 and not h.g[G_DMA]:
        return above // 256 + min((managed + above) // 256, DMA_PAGES)
    return above // 256 if kind == 0 or h.g[G_DMA] else above // 32


@kernel
def batch_of(h, z):
    """zone_batchsize."""
    batch = max(min(h.zone[z, Z_MANAGED] // 1024, 256) // 4, 1)
    batch += batch // 2
    power = 1
    while power * 2 <= batch:
        power *= 2
    return max(power - 1, 1)


@kernel
def local_cpus(h, z):
    """CPUs on a zone's node; at least one."""
    cpus = 0
    for cpu in range(h.g[G_NCPUS]):
        if h.small[CPUS + cpu] == z // KINDS:
            cpus += 1
    return max(cpus, 1)


@kernel
def least_high(h, z, batch):
    """Least capacity of a CPU's lists by the profile's rule."""
    if h.g[TABLE + PCP_HIGH]:
        return h.g[TABLE + PCP_HIGH]
    if h.g[TABLE + PCP_RULE] == BATCH_TIMES_6:
        return 6 * batch
    return max(h.zone[z, Z_LOW] // local_cpus(h, z), 4 * batch)


@kernel
def most_high(h, z, least):
    """Capacity up to which a CPU's lists may grow by themselves."""
    if h.g[TABLE + PCP_HIGH] or h.g[TABLE + PCP_RULE] != ZONE_EIGHTH:
        return least
    return max(h.zone[z, Z_MANAGED] // 8 // local_cpus(h, z), least)
