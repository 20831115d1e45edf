"""The arrays of a fast host and the names of their columns.

A host is one namedtuple of arrays. Everything is a small integer, so that a pageblock costs
16 bytes and memory that was never touched costs nothing (arrays start as untouched zero pages
of the operating system, and zero means "never used"). Few arrays of many columns, because every
compiled function takes them all: compile time grows with their number.

References to elements are int32: ``ref >= 0`` is a pageblock, ``ref <= -2`` the run ``-2 - ref``,
``-1`` (NIL) nothing.
"""

import contextlib
import ctypes
import mmap
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine import arena
from engine.arena import HUGE_BYTES
from engine.enums import NR_CELLS, NR_COSTS, NR_COUNTERS, NR_PATHS
from engine.rows import NR_COLUMNS
from engine.shape import HostShape

Int8 = NDArray[np.int8]
Int16 = NDArray[np.int16]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

NIL = -1

# pageblock states
UNUSED = 0  # never used, or the tail of a larger free chunk
FREE = 1  # head of a free chunk of pageblock or maximal order
UNIFORM = 2  # base pages of one area, ascending
FOLIO = 3  # one huge folio, or a part of a gigantic one
SPLIT = 4  # anything else: runs
RESERVED = 5
PCP_HUGE = 6  # huge folio on a per-CPU list

# run states (FREE as above)
R_UNUSED = 0
R_ALLOC = 2
R_PCP = 3
R_HOLE = 4
R_LOOSE = 5  # taken from one list, not yet on another

# flags of runs and pageblocks
DESC = 1  # virtual order is descending pfns (runs), chunk of maximal order (free pageblocks)
ISOLATED = 2  # listed by a running migrate_pages call
ZERO = 4  # hole: mapped to the zero page
VIEW = 16  # hole: shows the pages of the area below
HUGE_ZERO = 32  # hole: mapped to the huge zero page, whole aligned chunks
PROMISED = 64  # hole of a hugetlb area: folios of the pool are reserved for it
GIGANTIC = 64  # pageblock: a part of a gigantic folio, all of which lie in a row
DEFERRED = 8  # tail of a THP that migrate_pages split: tried after everything else
MAXORDER = 1

PIN_BITS = 18
PIN_MASK = (1 << PIN_BITS) - 1
"""A count holds pins in its low 18 bits and short references above (13 bits)."""

MADV_POPULATE_WRITE, MADV_COLLAPSE = 23, 25
"""Of include/uapi/asm-generic/mman-common.h, since Linux 5.14 and 6.1."""
_MADVISE = ctypes.CDLL(None).madvise
RANGES = 1024
RING = 8
NR_MOVE = 9
"""Columns of moves for each pair of zones: folios, pages and ns of three folio sizes."""

# columns of zone
(
    Z_MANAGED, Z_FREE, Z_MIN, Z_LOW, Z_HIGH, Z_PRESENT, Z_PCP, Z_ISO, Z_PCPOFF, Z_FILE, Z_POOL,
    Z_RESERVE_1, Z_RESERVE_2, Z_BATCH, Z_PCP_HIGH,
    Z_FREED, _, Z_HUGE, Z_PASSES, Z_AHEAD, Z_THROUGH, Z_HUGE_PASSES, Z_HUGE_THROUGH,
    Z_PCP_LOW, Z_BELOW,
    Z_POOL_TOTAL, Z_POOL_FREE, Z_POOL_SURPLUS, Z_POOL_ADDED,
    Z_COMPACT_FROM, Z_COMPACT_TO, Z_COMPACT_CONSIDERED, Z_COMPACT_SHIFT,
    Z_PINNED, Z_ACTIVE, NR_ZONE_COLUMNS,
) = range(36)  # fmt: skip
"""Z_POOL of a node's first zone: first free hugetlb folio of the node; Z_POOL_TOTAL to
Z_POOL_ADDED count its folios (all, free, surplus, those a command adds). Its second zone has those
of the gigantic ones. Z_RESERVE_1 to
Z_PCP_HIGH follow from managed pages and marks (``engine.watermark``), Z_FREED on are
``engine.gather``'s. Z_FREED has a column per list (UNMOVABLE, MOVABLE). Z_PCP_LOW and Z_PCP_HIGH
differ where per-CPU lists tune themselves; Z_BELOW: a request found it below the high mark;
Z_ACTIVE: kswapd is at work in it (``engine.kswapd``)."""

# columns of fl: free lists, then per-CPU lists
FL_HEAD, FL_TAIL, FL_COUNT = range(3)
PCP_ROWS = 4
"""Rows of fl that a CPU has for each zone: three lists, and what they remember (engine.tuning)."""

# columns of blk: memory blocks
(
    BK_ZONE, BK_ISO, BK_NODE, BK_RESERVED, BK_USED, BK_PINNED, BK_FILE, BK_KERNEL, NR_BK,
) = range(9)  # fmt: skip

# columns of pb, pbh and pbs: pageblocks
PB_PREV, PB_NEXT, PB_AUX, PB_REST, NR_PB = range(5)
"""PB_AUX: pins and references; first run; free maximal chunks in a row; ``freelist.came``'s."""
PH_OWN = 2 * PB_REST
PH_LIST = PH_OWN
"""Area that has the pages; of a free chunk the migratetype of the list that it is on."""
PS_STATE, PS_FLAG = 4 * PB_REST + 2, 4 * PB_REST + 3
TYPE_SHIFT, TYPE_BITS = 4, 3 << 4
"""PS_FLAG: flags, and as TYPE_BITS migratetype ^ 1, so that zero is MOVABLE (``pageblock``).

A record is 16 bytes and never lies across two cache lines; ``pbh`` shows it as int16, ``pbs`` as
bytes.
"""

# columns of run, runs and runb: runs of pages, holes
RN_PB, RN_OWN, RN_PREV, RN_NEXT, RN_BNEXT, RN_CNT = range(6)
"""RN_CNT: pins and references; length of a hole."""
RS_START, RS_LEN = range(12, 14)
RS_STATE, RS_FLAG, RS_ORDER, RS_LIST = range(28, 32)
NR_RUN = 8
"""A run record is 32 bytes, half a cache line; ``runs`` shows it as int16, ``runb`` as bytes."""

# columns of slot: area, process and pin of that number; the n-th FILE area
(
    AR_KIND, AR_HINT, AR_PROC, AR_HEAD, AR_TAIL, AR_HINTREF, AR_HINTPOS, AR_PAGES, AR_PRESENT,
    AR_SEQ, PR_CPU, PR_IMMUNE, PR_RSS, PN_AREA, PN_FIRST, PN_COUNT, PN_LONG, AR_FILES,
    IO_MEAN, IO_NONE, IO_PAGES, IO_HOLD, IO_KEY, IO_MANY, AR_OLDEST, AR_ASKED, AR_MARKS, AR_LOCKED,
    AR_DIRTY, AR_LOCKS, AR_BELOW, AR_VIEWS, OB_AREA, OB_SEQ, PN_PROC, PN_SEQ, PN_THROUGH,
    PN_PINNER, PN_SLOT, PN_MAPPED, PN_AWAY, AR_UNMAPS, AR_FOLIO, AR_WORKS, AR_WORK_NS, LP_WORKS,
    LP_WORK_NS, LP_MARK, LP_MARK_NS, AR_PINS, AR_BAG, AR_SHIFT, AR_WAY,
) = range(53)  # fmt: skip
"""IO_*: I/O in flight of an area (IO_PAGES 0: none); IO_MANY: about how many I/Os, rounded up.
AR_LOCKS: locked areas that show a file, itself included. AR_BELOW, AR_VIEWS: area that the views
show, pages they show. OB_*: area whose orphans an object has, command after which they left it.
PN_THROUGH: 1 where a mapping of another area was pinned. PN_SLOT, PN_MAPPED: area that the command
named, and its AR_SEQ. AR_UNMAPS: marked by an offline that suspends its pins.
AR_FOLIO: pageblocks of a huge folio, more than 1 in areas of gigantic pages.
AR_WORKS to LP_MARK_NS are ``engine.slowdown``'s, in the row of -1 for pages that are in no area.
AR_PINS: pins and holds of the area of that number, also of one that is gone. AR_BAG:
``engine.bags``'s, NIL without. AR_SHIFT, AR_WAY and on: ``engine.ways``'s.
AR_OLDEST, AR_ASKED: ``allocate.oldest``'s. AR_MARKS: first row of ``marks``, NIL without."""
PIN_AWAY = 3
"""PN_LONG of a long-term pin whose mapping an offline took away; PN_AWAY: when (ns)."""
NR_WAYS = 15
AR_ZONE = AR_WAY + NR_WAYS
NR_SLOT = AR_ZONE + 24
"""From AR_ZONE on: pages that a FILE area has in each zone (of eight nodes at most)."""
EMPTY_SLOT = (
    AR_KIND, AR_HEAD, AR_TAIL, AR_HINTREF, AR_MARKS, PR_CPU, PN_AREA, AR_BELOW, OB_AREA, AR_BAG,
)  # fmt: skip
"""Columns where -1 means none."""

ACC_TOUCHED = 5

# globals
(
    G_PBO, G_PBP, G_MAXO, G_BLOCK_PAGES, G_BLOCK_PBS, G_BLOCK_SHIFT, G_NBLOCKS,
    G_NNODES, G_NZONES, G_NCPUS,
    G_THP, G_NOW, G_NROWS, G_RUNFREE, G_RUNTOP, G_RUNS, G_ERROR, G_PANIC, G_KILLED, G_CAUSE,
    G_NCMD, G_NRANGES, G_MUT, G_AREASEQ, G_BUSY, G_NFILES, G_LPOS, G_PINNING,
    T_PAGES, T_LATENCY, T_FAULTED, T_THP, T_FALLBACK, T_RECLAIMED, T_MIGRATED, T_FAILED, T_CALLS,
    RQ_START, RQ_MASK, RQ_HIGHEST, RQ_MT, RQ_CPU, RQ_PROC, RQ_OOM, RQ_MARK, RQ_WAKES, RQ_POOL,
    RQ_SLAB, RQ_LISTED,
    D_LEFT, D_MORE, RC_LEFT, RC_DROPPED, G_DMA,
    M_TARGET, M_CPU, M_PROC, M_NODE, M_TIMES, M_MOVED, M_HUGETLB, M_FAILED, M_FOLIOS, M_ABORT,
    M_SPLIT, M_FLIGHT, M_LATENCY, M_AGAIN4, M_AGAIN2, M_AGAING, M_AGAINT,
    PN_CALL_AREA, PN_CALL_FIRST, PN_CALL_COUNT,
    O_ON, O_ATTEMPT, O_FIRST, O_COUNT, O_START, O_BOUND, O_CAUSE, O_ZONE, O_STEP, O_BLOCK, O_PHASE,
    O_CURSOR, O_TRIES, O_CALL, O_PASSES, O_ERRORS, O_MIGRATED, O_FAILED, O_UNAVAILABLE, O_SIGNAL,
    O_ENDLESS, O_NOROOM, O_STOLEN, O_HUGETLB, O_MUT, O_RINGN, O_PAUSE, O_AWAY, O_MARK, O_QUIET,
    O_STILL,
    W_FIRST, W_STOP, LW_FIRST, LW_STOP,
    A_TOUCHED, G_PCP, G_PERM, GA_TOP, GA_PAGES, GA_SIZE, GA_BATCH, BL_REF, BL_INDEX,
    G_IO, HI_PHASE, HI_DRAWS, HI_FIRST, HI_PAGES, G_STAMP, G_FEW, G_NDIRTY, G_LATER,
    G_RESERVED, _, G_TURN_ALLOC, _, G_TURN_FREE, _, G_GIGANTIC,
    G_OBJROWS, G_NOBJ, G_THROUGH, G_TIDY, G_FOR, G_PATH, G_RECENT, G_SCANNED, G_BAGS, G_BAGWORDS,
    G_SCOUTED, G_ERRORS, G_FORESEEN,
    KS_TASK, KS_OWN, KS_LEFT, KS_AWAKE, KS_HIGHEST, KS_PRIORITY, KS_DROPPED, KS_GOAL,
    RC_CPU, RC_HELD, G_REHEARSAL, RH_BASE, RH_HUGE, SAVED,
) = range(161)  # fmt: skip
NR_CALL = M_AGAINT - M_TARGET + 1
SPARE = 8
"""Run records ahead of their use that memory is asked for; a power of two."""
BELOW = SAVED + NR_CALL
ZONELIST = BELOW + 16
WALK = ZONELIST + 25
FORESEEN = WALK + 2 * (NR_WAYS + 1)
HELD = FORESEEN + 48
SCOUTED = HELD + 32
SPARES = SCOUTED + 80
TABLE = SPARES + SPARE
"""G_RESERVED, G_TURN_ALLOC, G_TURN_FREE: ``engine.hugepool``'s, one of each ``PoolSize``.
G_GIGANTIC: pageblocks of a gigantic folio. W_FIRST to LW_STOP: ``engine.slowdown``'s. SAVED: the
M_ registers of a pass under way while a command acts between its tries. BELOW: free buddies by
order (``freelist.find_below``). ZONELIST: the request's zones, up to a NIL (RQ_LISTED: they are
those of RQ_START, RQ_MASK and RQ_HIGHEST). WALK: where the walks
of ``engine.ways`` are, then where each ends. FORESEEN, G_FORESEEN: ``engine.foresight``'s, and the
first command that it has not been called for. SPARES: ``elements.grab_run``'s. KS_:
``engine.kswapd``'s. RC_CPU: CPU whose lists get the page cache that is dropped, NIL: none.
RC_HELD: elements of a batch that is not freed yet, in HELD on; NIL: none is held back. SCOUTED:
``engine.scouting``'s. M_TIMES, O_QUIET: ``engine.alike``'s: tries that the present one stands for,
and what the last one took if the next does the same. G_REHEARSAL, RH_BASE, RH_HUGE:
``engine.rehearsal``'s: where base pages and huge folios would go."""
COSTS = TABLE + NR_CELLS
COUNTERS = COSTS + NR_COSTS
NR_GLOBALS = COUNTERS + NR_COUNTERS
"""The decision table, the costs and the counters follow the globals."""
FIRST_OBJECT, OBJECT_ROWS = -2, 4
"""Objects (``engine.objects``) have numbers from -2 downwards and stand in the last rows of the
slot table, where Numba's negative indices find them; the row of -1 (NIL) belongs to nobody."""
CPUS = RANGES
"""In small: first the heads of rows of maximal chunks, then the node of each CPU, then the chunks
that came last to each list of ``engine.freelist.came``, then the bits of ``engine.bags`` and those
of ``engine.freebits``."""
NR_BAGS, BAG_SHIFT = 4, 2
"""Bags of a host that ``engine.bags`` keeps bits for; a bit, there and in ``engine.freebits``,
stands for ``1 << BAG_SHIFT`` pageblocks."""
AHEAD = 32
"""How many chunks of a list ahead of their use memory is asked for; a power of two."""


class H(NamedTuple):
    """All arrays of a host (rows and acc are scratch shared between hosts of a process)."""

    g: Int64
    """Globals, registers of the running command and offline, table, costs, counters."""
    zone: Int64  # [nr_zones, NR_ZONE_COLUMNS]
    fl: Int32  # [lists, 3]
    small: Int32
    slot: Int64  # [slots, NR_SLOT]
    blk: Int32  # [nr_blocks, NR_BK]
    pb: Int32  # [nr_pageblocks, 4]
    pbh: Int16  # [nr_pageblocks, 8], a view of pb
    pbs: Int8  # [nr_pageblocks, 16], a view of pb
    run: Int32  # [nr_runs, 8]
    runs: Int16  # [nr_runs, 16], a view of run
    runb: Int8  # [nr_runs, 32], a view of run
    rows: Int64  # [capacity, NR_COLUMNS]
    moves: Int64  # [2 + RING, ...]: of the command, of the offline, the last passes
    acc: Int64  # [nr_blocks * NR_PATHS, 6]: what a PIN did by (block, path), the cells it touched
    marks: Int32  # [rows, 2]: landmarks (``engine.landmarks``), none as a rule
    marked: Int32  # [nr_pageblocks + nr_runs], or empty


VARIES = -1
COLUMNS: dict[str, tuple[type, int]] = {
    "g": (np.int64, 0), "zone": (np.int64, NR_ZONE_COLUMNS), "fl": (np.int32, 3),
    "small": (np.int32, 0), "slot": (np.int64, NR_SLOT), "blk": (np.int32, NR_BK),
    "pb": (np.int32, NR_PB), "pbh": (np.int16, 2 * NR_PB), "pbs": (np.int8, 4 * NR_PB),
    "run": (np.int32, NR_RUN),
    "runs": (np.int16, 2 * NR_RUN), "runb": (np.int8, 4 * NR_RUN),
    "rows": (np.int64, NR_COLUMNS), "moves": (np.int64, VARIES), "acc": (np.int64, 6),
    "marks": (np.int32, 2), "marked": (np.int32, 0),
}  # fmt: skip
"""Type and second dimension (0: none) of each array of a host."""

SCRATCH = ("rows", "acc")
"""Shared between the hosts of a process; nothing in them outlives a command or a call."""

_SCRATCH: dict[str, np.ndarray] = {}


def scratch(name: str, size: tuple[int, int]) -> Int64:
    """A scratch array at least this large, shared between the hosts of a process."""
    held = _SCRATCH.get(name)
    if held is None or len(held) < size[0]:
        held = _SCRATCH[name] = np.zeros(size, np.int64)
    return held


def fresh(shape: HostShape, table: Int64, costs: Int64) -> H:
    """Allocate the arrays of a host; nothing is online yet."""
    nb, nz, nr_cpus = shape.nr_blocks, shape.nr_zones, len(shape.cpu_node)
    per_block = shape.block_pages >> shape.pageblock_order
    nr_lists = nz * 4 * (shape.pageblock_order + 2)
    g = np.zeros(NR_GLOBALS, np.int64)
    g[G_PBO], g[G_PBP] = shape.pageblock_order, shape.pageblock_pages
    g[G_BLOCK_SHIFT] = per_block.bit_length() - 1
    g[G_MAXO], g[G_BLOCK_PAGES] = shape.pageblock_order + 1, shape.block_pages
    g[G_BLOCK_PBS], g[G_NBLOCKS], g[G_NNODES] = per_block, nb, shape.nr_nodes
    g[G_NZONES], g[G_NCPUS], g[G_THP] = nz, nr_cpus, shape.thp
    g[G_DMA], g[G_GIGANTIC] = shape.dma, shape.gigantic_pageblocks
    g[G_OBJROWS], g[G_FOR] = OBJECT_ROWS, NIL
    g[KS_TASK], g[KS_OWN], g[KS_LEFT] = shape.turns
    g[RC_CPU], g[RC_HELD], g[KS_DROPPED] = NIL, NIL, NIL
    g[G_RUNFREE], g[G_BUSY], g[G_PCP], g[G_RECENT] = NIL, NIL, nr_lists, RANGES + nr_cpus
    g[G_BAGS] = g[G_RECENT] + nz * 4 * 2 * AHEAD
    g[G_BAGWORDS] = (nb * per_block >> BAG_SHIFT) // 32 + 1
    g[G_PERM] = g[G_BAGS] + (NR_BAGS + 1) * g[G_BAGWORDS]
    g[TABLE:COSTS], g[COSTS:COUNTERS] = table, costs
    fl = np.zeros((nr_lists + nr_cpus * nz * PCP_ROWS, 3), np.int32)
    fl[:, FL_HEAD] = fl[:, FL_TAIL] = NIL
    fl[nr_lists + PCP_ROWS - 1 :: PCP_ROWS] = 0
    zone = np.zeros((nz, NR_ZONE_COLUMNS), np.int64)
    zone[:, Z_POOL] = NIL
    small = np.zeros(int(g[G_PERM]), np.int32)
    small[CPUS : CPUS + nr_cpus] = shape.cpu_node
    blk = np.zeros((nb, NR_BK), np.int32)
    blk[:, BK_ZONE] = np.minimum(np.array(shape.block_zone), -1)
    blk[:, BK_NODE], blk[:, BK_RESERVED] = shape.block_node, shape.block_reserved
    return H(
        g=g, zone=zone, fl=fl, small=small, slot=empty_slots(8 + OBJECT_ROWS), blk=blk,
        **views(arena.zeros((nb * per_block, NR_PB)), np.zeros((64, NR_RUN), np.int32)),
        rows=scratch("rows", (1024, NR_COLUMNS)),
        moves=np.zeros((2 + RING, 8 + NR_COUNTERS + nz * nz * NR_MOVE), np.int64),
        acc=scratch("acc", (nb * NR_PATHS, 6)),
        **no_landmarks(),
    )  # fmt: skip


LANDMARKS = ("marks", "marked")


def no_landmarks() -> dict[str, Any]:
    """The tables of a host that has none."""
    return {"marks": np.zeros((0, 2), np.int32), "marked": np.zeros(0, np.int32)}


def views(pb: Int32, run: Int32) -> dict[str, Any]:
    """The records of pageblocks and runs under all their types."""
    return {
        "pb": pb, "pbh": pb.view(np.int16), "pbs": pb.view(np.int8),
        "run": run, "runs": run.view(np.int16), "runb": run.view(np.int8),
    }  # fmt: skip


def empty_slots(n: int) -> Int64:
    """Rows of slots that hold nothing."""
    slot = np.zeros((n, NR_SLOT), np.int64)
    slot[:, EMPTY_SLOT] = NIL
    return slot


def resized(array: np.ndarray, size: int) -> np.ndarray:
    """A longer copy; new entries are zero."""
    out = np.zeros((size, *array.shape[1:]), array.dtype)
    out[: len(array)] = array
    return out


def reserve_runs(used: Int32, size: int) -> Int32:
    """Return room for ``size`` run records or more that begins with a copy of ``used``.

    The rest is zero. Most of it is never used and must cost nothing, so huge pages (which NumPy
    asks for in large arrays) are refused: the last one would be about half empty on every host,
    1.3 MiB. ``pack_runs`` asks for those that will be full.
    """
    record = NR_RUN * used.itemsize
    size = -(-size * record // HUGE_BYTES) * HUGE_BYTES  # the system aligns whole huge pages
    room = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without huge pages has nothing to refuse
        room.madvise(mmap.MADV_NOHUGEPAGE)
    out = np.frombuffer(room, np.int32).reshape(size // record, NR_RUN)
    out[: len(used)] = used
    return out


def pack_runs(run: Int32, used: int) -> None:
    """Move the ``used`` first records of ``reserve_runs``'s into huge pages, but for a rest.

    As for pageblocks (``engine.arena``), what is visited in no order is cheaper there. A last huge
    page that would be a quarter empty is left out: many hosts have one each. Linux before
    6.1 cannot, and leaves them where they are.
    """
    address = run.ctypes.data
    pages = (used * NR_RUN * run.itemsize + HUGE_BYTES // 4) // HUGE_BYTES
    if pages and pages * HUGE_BYTES <= run.nbytes and address % HUGE_BYTES == 0:
        for advice in (mmap.MADV_HUGEPAGE, MADV_COLLAPSE):
            _MADVISE(ctypes.c_void_p(address), ctypes.c_size_t(pages * HUGE_BYTES), advice)


def bring_runs(run: Int32, count: int) -> None:
    """Give the first ``count`` records of ``reserve_runs``'s memory now, as huge pages.

    Linux before 5.14 gives it as ever, when they are first written to.
    """
    count = min(count, len(run))
    pack_runs(run, count)
    if run.ctypes.data % HUGE_BYTES == 0:
        size = count * NR_RUN * run.itemsize
        _MADVISE(ctypes.c_void_p(run.ctypes.data), ctypes.c_size_t(size), MADV_POPULATE_WRITE)


def want_huge_pages(run: Int32) -> None:
    """Have what of ``reserve_runs``'s is used from now on lie in huge pages, the last one, too."""
    if run.ctypes.data % HUGE_BYTES == 0:
        size = run.nbytes // HUGE_BYTES * HUGE_BYTES
        _MADVISE(ctypes.c_void_p(run.ctypes.data), ctypes.c_size_t(size), mmap.MADV_HUGEPAGE)
