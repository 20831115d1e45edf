"""Integer vocabularies shared by both engines, the policies and the event log.

Names follow the Linux kernel where the kernel has one. Every value is part of the
command/row contract (see ``docs/architecture.md``) and must never be renumbered.
"""

from enum import IntEnum


class ZoneKind(IntEnum):
    """Kind of a zone inside a node (include/linux/mmzone.h ``enum zone_type``)."""

    DMA32 = 0
    NORMAL = 1
    MOVABLE = 2


ZONES_PER_NODE = 3
MOST_AREAS = 1 << 15
"""Areas have numbers below: a pageblock's record keeps its area in 16 bits (MAP: EINVAL)."""
"""A zone id is ``node * ZONES_PER_NODE + kind``."""


class Migratetype(IntEnum):
    """Free-list classes of a pageblock (include/linux/mmzone.h ``enum migratetype``)."""

    UNMOVABLE = 0
    MOVABLE = 1
    RECLAIMABLE = 2
    ISOLATE = 3


class AreaKind(IntEnum):
    """What an area is made of. THP areas fall back to base pages where no huge folio is had."""

    ANON = 0
    THP = 1
    FILE = 2
    KERNEL = 3
    HUGETLB = 4
    SHMEM = 5  # tmpfs, memfd, shared anonymous memory: page cache that nothing but swap could drop


class PoolSize(IntEnum):
    """Which hugetlb pool: of pages of a pageblock (2 MiB on x86-64), or gigantic (1 GiB)."""

    HUGE = 0
    GIGANTIC = 1


class FaultPath(IntEnum):
    """Fault paths that may or may not carry the long-term flag (one policy cell each)."""

    ANON = 0
    THP = 1
    FILE = 2
    HUGETLB = 3
    SHMEM = 4
    ZERO = 5  # write to the zero page
    HZP = 6  # first write to a 2 MiB that maps the huge zero page
    COW = 7  # copy of a page that another process sees


NR_PATHS = 8
"""Room for fault paths in tables by path."""


class Pinner(IntEnum):
    """Who asks for the pin; decides the GUP call unit."""

    IO_URING = 0
    VFIO = 1
    RDMA = 2
    DIRECT_IO = 3  # a reference for a short while, without FOLL_LONGTERM


RDMA_CALL_PAGES = 512
"""Pages of one GUP call of RDMA: a page of pointers (drivers/infiniband/core/umem.c
``ib_umem_get``, 5.10 to 6.12)."""


class Errno(IntEnum):
    """Negative-free errno values as Linux numbers them (0 = success)."""

    OK = 0
    EINTR = 4
    ENOMEM = 12
    EFAULT = 14
    EBUSY = 16
    EINVAL = 22
    EAGAIN = 11
    EOPNOTSUPP = 95


class Op(IntEnum):
    """Commands of ``Host.execute``: columns ``time_ns, op, a0..a5`` (int64)."""

    SPAWN = 1  # proc, cpu, oom_immune
    MAP = 2  # area, proc, kind, pages, flags (1: hinted, or slabs; 2: MAP_NORESERVE, 4: 1 GiB)
    TOUCH = 3  # area, first, count, cpu (-1: the process's), node (-1: zonelist of the cpu's node)
    READ = 4  # area, first, count
    FREE = 5  # area, first, count, cpu (-1)
    UNMAP = 6  # area
    EXIT = 7  # proc
    PIN = 8  # pin, area, first, count, pinner, cpu (-1)
    UNPIN = 9  # pin
    HOLD = 10  # pin, area, first, count (a reference without FOLL_LONGTERM)
    ONLINE = 11  # first_block, nr_blocks, zone_kind
    OFFLINE = 12  # attempt, first_block, nr_blocks, bound_ns (0: none)
    SIGNAL = 13  # (interrupts the running offline)
    STATUS = 14  # attempt (reports the running offline as ATTEMPT and BLOCKER rows)
    RECLAIM = 15  # zone, pages
    MIGRATE = 16  # area, first, count, node
    SAMPLE = 17  # sample
    SHUFFLE = 18  # key (page_alloc.shuffle: permutes the max-order free lists)
    POOL = 19  # node, pages, PoolSize (grow the free hugetlb pool of the node)
    MIN_FREE = 20  # pages (writes min_free_kbytes; the next hotplug computes it anew)
    AGE = 21  # area, key, pages (to free in all), low, high (pages present), mix (of chunk sizes)
    CACHE = 22  # area, key, zone, churn, free (pages left free), mix; see engine.reference.history
    STIR = 23  # key, zone, millionths (permutes the used part of its max-order free lists)
    NR_HUGEPAGES = 30  # node (-1: all), pages (writes nr_hugepages), cpu, PoolSize
    IO = 24  # area, I/Os in flight per 10**12 pages, pages of one, hold_ns, key
    MLOCK = 40  # area, on (faults all pages in; reclaim passes over them until it is off)
    DIRTY = 41  # area, on (page cache that is written back before it is dropped)
    FORK = 42  # child area, area, child process (copy_page_range of one area)
    MAP_FILE = 43  # area, proc, file (an area of page cache, shared by all who map it)


class Row(IntEnum):
    """Kinds of result rows of ``Host.execute`` (column 1); layouts in ``engine.rows``."""

    RESULT = 1
    PIN = 2
    MIGRATION = 3
    ATTEMPT = 4
    BLOCKER = 5
    INCIDENT = 6
    SAMPLE = 7
    SLOWED = 8


class MigrateReason(IntEnum):
    """Why pages moved (include/linux/migrate_mode.h ``enum migrate_reason`` names)."""

    MEMORY_HOTPLUG = 0
    LONGTERM_PIN = 1
    SYSCALL = 2
    UNPIN = 3  # back to ZONE_MOVABLE after a long-term pin; not upstream


class SlowReason(IntEnum):
    """Why pages of an area could not be used for a while: those of ``MigrateReason``, and one."""

    MEMORY_HOTPLUG = 0
    LONGTERM_PIN = 1  # the compaction for its targets included
    SYSCALL = 2
    UNPIN = 3
    SUSPENDED = 4  # an offline had the whole mapping taken away


class OfflineReason(IntEnum):
    """Why an offline attempt ended, mm/memory_hotplug.c ``offline_pages`` reasons."""

    NONE = 0
    BAD_STATE = 1  # -EINVAL: block not online, range crosses zones
    UNMOVABLE = 2  # -EBUSY at isolation
    SIGNAL = 3  # -EINTR: signal or the bound
    MAX_ERRORS = 4  # -EBUSY: the 4.13 policy's error budget
    TIMEOUT = 5  # -EAGAIN: the 4.13 policy's 120 s
    PIN_SEEN = 6  # -EBUSY: the pin-aware policy
    DISSOLVE = 7  # -EBUSY: free hugetlb pages cannot be dissolved
    RUNNING = 8  # reported by STATUS, not ended


class BlockerClass(IntEnum):
    """What keeps a block from going offline (design: event log, ``blockers``)."""

    LONGTERM_PIN = 0
    SHORT_REFERENCE = 1
    NO_ROOM = 2
    HUGETLB_SHUTTLE = 3
    KERNEL_ZONE_PIN = 4
    UNMOVABLE = 5
    HUGETLB_RESERVED = 6


class Incident(IntEnum):
    """Events nobody asked for."""

    OOM_KILL = 0
    PANIC = 1
    PIN_FAILED = 2
    PIN_STUCK = 3


class PinFailure(IntEnum):
    """Policy cell: what a long-term pin does when a page cannot be moved."""

    ENOMEM = 0
    PIN_IN_PLACE = 1


class FilePin(IntEnum):
    """Policy cell: who may take a long-term pin of page cache that has a disk behind it."""

    ALLOWED = 0
    IO_URING_REFUSES = 1
    REFUSED = 2


class PinMigrates(IntEnum):
    """Policy cell: when present pages in ZONE_MOVABLE are migrated for a long-term pin."""

    NO = 0
    AFTER_FAULTS = 1  # check_and_migrate_movable_pages of each GUP call
    BEFORE_FAULTS = 2  # once, over the whole range, before anything is faulted in


class PinIsolation(IntEnum):
    """Policy cell: what a pin does with a page on the list of a running migrate_pages call."""

    WAIT = 0  # tries to isolate it until the other call has put it back
    ENOMEM = 1
    PIN_IN_PLACE = 2


class OfflineRule(IntEnum):
    """Policy cell: when an offline gives up."""

    UNBOUNDED = 0
    BOUNDED_4_13 = 1
    TIMEOUT = 2
    PIN_AWARE = 3
    PACED = 4  # leaves the block alone for a while after some failed passes


class OfflineTarget(IntEnum):
    """Policy cell: where an offline moves pages to."""

    OTHER_NODES = 0
    SAME_NODE_FALLBACK = 1


class Cell(IntEnum):
    """Cells of the decision table (int64 vector handed to both engines)."""

    FAULT_FLAG_ANON = 0  # 1: a pin's fault of a 4 KiB anonymous page avoids ZONE_MOVABLE
    FAULT_FLAG_THP = 1
    FAULT_FLAG_FILE = 2
    FAULT_FLAG_HUGETLB = 3
    PIN_MIGRATES = 4  # PinMigrates
    PIN_FAILURE = 5  # PinFailure
    PIN_DENIED = 6  # 1: -EBUSY when any page to pin is or would be in ZONE_MOVABLE
    HINT_HONOURED = 7  # 1: touches of hinted areas avoid ZONE_MOVABLE
    ISOLATED_UNPINNABLE = 8  # 1: pages in an isolated pageblock count as unpinnable (6.1+)
    MIGRATE_TRIES = 9  # passes of one migrate_pages call (10)
    VFIO_CALL_PAGES = 10  # pages of one GUP call of VFIO (1 on 5.10, 512 later)
    OFFLINE_RULE = 11  # OfflineRule
    OFFLINE_BOUND_NS = 12  # timeout policies: ns from the start of the attempt
    OFFLINE_MAX_ERRORS = 13  # 4.13: failed passes before giving up
    PCP_HIGH_PAGES = 14  # 0: formula PCP_RULE; otherwise fixed capacity of a CPU's lists
    PCP_RULE = 15  # PcpRule
    MOVABLE_MARK_CAPPED = 16  # 1: ZONE_MOVABLE min = managed/1024 in 32..128 (6.12), 0: its share
    THP_FAIL_PAGES = 17  # pgmigrate_fail per failed THP: 1 or 512 pages
    HUGETLB_PIN_MIGRATES = 18  # 0 on 6.1 (refused with -ENOMEM), 1 otherwise
    PCP_THP = 19  # 1: per-CPU lists hold THP, too (5.14+)
    SPLIT_TAILS_LAST = (
        20  # 1: tails of a THP split by migrate_pages go to the end of its list (5.10)
    )
    OFFLINE_TARGET = 21  # OfflineTarget
    GATHER_IN_ORDER = 22  # 1: unmapped, dropped pages are freed first to last (6.12), 0: by batch
    IOU_FOLIO_PINS = 23  # 1: an io_uring buffer of huge folios keeps one pin of each (6.12)
    COMPACT_ISOLATED_SHIFT = 24  # pages off the LRU lists beyond lru >> shift stop compaction
    SPLIT_COUNTS_FAIL = 25  # 1: thp_migration_fail also counts a THP that was split (6.1)
    PIN_ISOLATION = 32  # PinIsolation
    PIN_RETRIES = 33  # migrate_pages calls of one GUP call before it fails (1)
    PIN_WAIT_NS = 34  # wait per page for its references to drop, before migrate_pages (0)
    UNPIN_RETURNS = 35  # 1: UNPIN moves pages outside ZONE_MOVABLE back into it
    PIN_REVOCABLE = 36  # 1: an offline moves pages that only long-term pins hold
    OFFLINE_PAUSE_NS = 37  # first pause of a paced offline; each further one is twice as long
    OFFLINE_PAUSE_MAX_NS = 38  # longest pause
    OFFLINE_UNMAPS = 39  # 1: applications with pins in the block unmap before and map again after
    FAULT_FLAG_SHMEM = 40  # 1: a pin's fault of a shmem page avoids ZONE_MOVABLE
    FILE_PIN = 41  # FilePin
    HUGETLB_COUNTS_PAGES = 30  # 1: pgmigrate_success counts base pages of a hugetlb folio
    HUGETLB_POOL_BATCHED = 31  # 1: nr_hugepages adds its pages at once, last one first (6.7)
    FAULT_FLAG_ZERO = 42  # 1: a pin's fault over the zero page avoids ZONE_MOVABLE
    FAULT_FLAG_HZP = 43  # the same over the huge zero page
    FAULT_FLAG_COW = 44  # 1: the copy that a pin makes of a page shared with others avoids it
    HZP_WRITE_THP = 45  # 1: a write to the huge zero page allocates a THP
    PIN_POOL_MILLIONTHS = 46  # share of the kernel zones kept for long-term pins (0: no pool)
    RECLAIM_BY_ZONE = 47  # 1: page cache of the highest allowed zone goes first (MGLRU)
    GIGANTIC_STRADDLE_FAILS = 48  # 1: a 1 GiB page that goes on behind a block fails its isolation
    PCP_BATCH_SCALE = 49  # how often the batch of a per-CPU list may double (5.13+; 0: never)


NR_CELLS = 64


class PcpRule(IntEnum):
    """How the capacity of a CPU's page lists follows from the zone (mm/page_alloc.c)."""

    BATCH_TIMES_6 = 0  # 5.10: 6 x batch; the lists give back in turns
    LOW_MARK = 1  # 5.14+: low watermark / local CPUs, at least 4 x batch
    ZONE_EIGHTH = 2  # 6.7+: tunes itself between LOW_MARK and managed/8 / CPUs


class Counter(IntEnum):
    """vmstat-like counters of a host (int64 vector, ``Host.counters``)."""

    PGMIGRATE_SUCCESS = 0  # base pages
    PGMIGRATE_FAIL = 1  # as the profile counts them
    THP_MIGRATION_SUCCESS = 2
    THP_MIGRATION_FAIL = 3
    THP_MIGRATION_SPLIT = 4
    NR_FOLL_PIN_ACQUIRED = 5
    NR_FOLL_PIN_RELEASED = 6
    PGFAULT = 7
    THP_FAULT_ALLOC = 8
    THP_FAULT_FALLBACK = 9
    OOM_KILL = 10
    PGSTEAL = 11  # page-cache pages reclaimed
    ALLOCSTALL = 12  # direct reclaim entries
    KSWAPD_WAKE = 13
    MIGRATE_PAGES_CALLS = 14
    OFFLINE_PASSES = 15
    PAGEBLOCK_STEAL = 16
    HUGETLB_FAULT = 17
    COMPACT_STALL = 18  # requests that compacted a zone
    COMPACT_SUCCESS = 19
    COMPACT_FAIL = 20
    HTLB_BUDDY_ALLOC_SUCCESS = 22
    HTLB_BUDDY_ALLOC_FAIL = 23
    PIN_REVOKED = 24  # folios whose long-term pins an offline had given up for a moment
    PIN_SUSPENDED = 25  # long-term pins released for the time of an offline


NR_COUNTERS = 32


class Cost(IntEnum):
    """Entries of the cost vector (int64 ns, ``engine.costs``)."""

    FAULT_4K = 0
    FAULT_2M = 1
    PIN_4K = 2
    PIN_2M = 3
    PIN_CALL = 4
    UNPIN_4K = 5
    UNPIN_2M = 6
    MIGRATE_4K = 7
    MIGRATE_2M = 8
    MIGRATE_FAIL_4K = 9  # one failed try of one base page
    MIGRATE_FAIL_2M = 10
    OFFLINE_FIXED = 11  # quiesce, isolate, commit per attempt and block
    PASS_FIXED = 12  # one scan of a block of any size
    PASS_SCAN_PAGEBLOCK = 13
    RECLAIM_4K = 14
    OOM_KILL = 15
    FREE_4K = 16
    FREE_2M = 17
    WRITEBACK_4K = 20
    ONLINE_PAGEBLOCK = 21  # giving a pageblock's pages to a zone, the zone's set-up included
    PIN_REVOKE = 28  # asking the pinner to let go of one folio, and telling it the new place
    PIN_SUSPEND = 29  # stopping the flows of one mapping and starting them again


NR_COSTS = 32
