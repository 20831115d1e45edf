"""What the reference host remembers: zones, folios, areas, processes, pins."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.enums import NR_COUNTERS, ZONES_PER_NODE, AreaKind, Migratetype, PoolSize
from engine.shape import HostShape

ABSENT, ZERO_PAGE, RESERVED, HUGE_ZERO, VIEW = -1, -2, -3, -4, -5
"""Entries of ``Area.pages`` that are no pfn. RESERVED: absent, but a hugetlb mapping has a folio of
the pool reserved for it; a VIEW shows the page of the area below.
"""
POOL_AREA = -1
"""Area of a free hugetlb folio."""
PCP_TYPES = (Migratetype.UNMOVABLE, Migratetype.MOVABLE)
"""Migratetypes that have a per-CPU list."""


@dataclass(slots=True)
class Kswapd:
    """A kswapd that shares its CPU with the tasks (``engine.reference.kswapd``)."""

    task_left: int
    """Base pages that are taken before its next turn."""
    awake: bool = False
    highest: int = 0
    """Highest zone kind that is wanted above its high mark."""
    priority: int = 0
    """A pass drops the page cache shifted right by this."""
    dropped: int = -1
    """Pages that the pass under way has dropped, -1 between passes."""
    goal: int = 0
    """What it is to drop (without the multi-gen LRU; with it, 0 if nothing)."""


@dataclass(slots=True)
class Tuning:
    """What a CPU's lists of a zone remember (struct per_cpu_pages of 6.1 and 6.12)."""

    high: int = 0
    """Capacity, pages; below the least one it counts as that."""
    alloc_factor: int = 0
    """How often the next refill doubles the batch."""
    free_factor: int = 0
    """How often what is given back next doubles the batch (5.13 to 6.6), halved by each taking."""
    free_count: int = 0
    """Pages freed in a row, halved by each allocation."""


class Zone:
    """Free pages of one zone, and the marks that guard them."""

    def __init__(self, zid: int, max_order: int, nr_cpus: int) -> None:
        self.zid = zid
        self.kind = zid % ZONES_PER_NODE
        self.node = zid // ZONES_PER_NODE
        self.free_area: list[list[OrderedDict[int, None]]] = [
            [OrderedDict() for _ in range(max_order + 1)] for _ in Migratetype
        ]
        self.free_pages = 0
        self.isolated_pages = 0
        self.managed = 0
        self.present = 0
        self.min = self.low = self.high = 0
        self.pcp: list[list[deque[int]]] = [[deque() for _ in PCP_TYPES] for _ in range(nr_cpus)]
        self.pcp_huge: list[deque[int]] = [deque() for _ in range(nr_cpus)]
        self.pcp_disabled = False
        self.tuning = [Tuning() for _ in range(nr_cpus)]
        self.below_high = False
        """ZONE_BELOW_HIGH: a request found the zone below its high mark."""
        self.compact_from = self.compact_to = 0
        """Pageblocks where the scanners of compaction go on (compact_to 0: at the ends)."""
        self.compact_considered = self.compact_defer_shift = 0
        self.reclaim_active = False
        """ZONE_RECLAIM_ACTIVE: kswapd is at work (``engine.reference.kswapd``)."""

    def pages_of(self, cpu: int, huge_pages: int) -> int:
        """Pages on the lists of one CPU; a huge folio has ``huge_pages``."""
        return sum(len(stack) for stack in self.pcp[cpu]) + len(self.pcp_huge[cpu]) * huge_pages

    def pcp_pages(self, huge_pages: int) -> int:
        """Pages that sit in per-CPU lists; a huge folio has ``huge_pages``."""
        base = sum(len(stack) for cpu in self.pcp for stack in cpu)
        return base + sum(len(stack) for stack in self.pcp_huge) * huge_pages


@dataclass(slots=True, eq=False)
class Folio:
    """An allocated base page (order 0) or huge folio (pageblock order, or that of 1 GiB)."""

    pfn: int
    order: int
    area: int
    index: int
    pins: int = 0
    """FOLL_LONGTERM pins; a huge folio counts one per pinned sub-page."""
    references: int = 0
    """References without FOLL_LONGTERM."""
    isolated: bool = False
    """On the list of a running migrate_pages call."""

    @property
    def pages(self) -> int:
        """Base pages of the folio."""
        return 1 << self.order

    @property
    def held(self) -> bool:
        """True when somebody but the page table refers to it."""
        return self.pins > 0 or self.references > 0


@dataclass(frozen=True, slots=True)
class Io:
    """Direct I/O of an area in equilibrium (``engine.reference.inflight``)."""

    mean: int
    """I/Os in flight over a pageblock, fixed point."""
    none: int
    """Probability of none, fixed point."""
    pages: int
    hold_ns: int
    key: int


@dataclass(slots=True, eq=False)
class Area:
    """A stretch of virtual memory: ``pages[i]`` is a pfn, or one of the entries that are none."""

    kind: AreaKind
    proc: int
    hinted: bool
    sequence: int
    pages: list[int]
    io: Io | None = None
    locked: bool = False
    """mlock: reclaim passes over its pages (they migrate as ever)."""
    dirty: bool = False
    """Page cache that must be written back before it is dropped."""
    below: int = -1
    """Area that its views show (``engine.reference.sharing``)."""
    gigantic: bool = False
    """Hugetlb area of gigantic pages."""


@dataclass(slots=True, eq=False)
class Process:
    """An address space: the CPU it runs on and whether the OOM killer spares it."""

    cpu: int
    oom_immune: bool


@dataclass(slots=True, eq=False)
class Pin:
    """What PIN or HOLD took: a range of an area."""

    area: int
    first: int
    count: int
    longterm: bool
    proc: int
    """Process whose exit releases it."""
    sequence: int
    """Index of the command that took it."""
    by_folio: bool = False
    """Each huge folio is pinned once, not once per page."""
    pinner: int = 0
    through: int = -1
    """Area that the command named: ``area`` itself, or a mapping of it."""
    mapped: int = -1
    """Sequence number of that area, which tells it from a later one of the same slot."""
    away_ns: int = -1
    """When an offline had the mapping taken away, -1 while it holds its pages."""

    @property
    def away(self) -> bool:
        """Whether an offline had the mapping taken away for its time."""
        return self.away_ns >= 0


@dataclass(slots=True)
class Tally:
    """What one command did, for its RESULT row."""

    pages: int = 0
    latency_ns: int = 0
    faulted_pages: int = 0
    thp_faults: int = 0
    thp_fallbacks: int = 0
    reclaimed_pages: int = 0
    migrated_pages: int = 0
    failed_pages: int = 0
    calls: int = 0


NO_AREA = -1
"""Stands for all pages that are in no area: several see them, or nobody does any more."""


@dataclass(slots=True)
class Moves:
    """Migrations by (zone from, zone to, folio order): folios, pages, ns.

    And what working them cost those whose pages they are, by area: how often a folio was unmapped,
    moved or not, and for how long, ns. mm/migrate.c works one folio after the other: it is unmapped
    before the reference count is looked at, and mapped again at its new place or where it was.
    """

    cells: dict[tuple[int, int, int], list[int]] = field(default_factory=dict)
    areas: dict[int, list[int]] = field(default_factory=dict)

    def add(self, zone_from: int, zone_to: int, order: int, latency_ns: int) -> None:
        """Count one folio."""
        cell = self.cells.setdefault((zone_from, zone_to, order), [0, 0, 0])
        cell[0] += 1
        cell[1] += 1 << order
        cell[2] += latency_ns

    def work(self, area: int, unavailable_ns: int, times: int = 1) -> None:
        """Count a folio of an area that was unmapped, so many times for so long each."""
        worked = self.areas.setdefault(max(area, NO_AREA), [0, 0])
        worked[0] += times
        worked[1] += times * unavailable_ns


class PinRows:
    """What one PIN did, by (block, fault path)."""

    PINNED, FAULTED, MIGRATED, FAILED, LATENCY = range(5)

    def __init__(self) -> None:
        self.cells: dict[tuple[int, int], list[int]] = {}

    def add(self, block: int, path: int, column: int, pages: int, latency_ns: int) -> None:
        """Add pages to a column, and their time."""
        cell = self.cells.setdefault((block, path), [0, 0, 0, 0, 0])
        cell[column] += pages
        cell[self.LATENCY] += latency_ns


@dataclass(slots=True)
class Pool:
    """The hugetlb pool of one page size (struct hstate)."""

    order: int
    gigantic: bool
    """Larger than the buddy's largest chunk."""
    free: list[list[int]]
    """Free folios of each node, the last one is taken first."""
    total: list[int]
    """Folios of each node, free or in use."""
    surplus: list[int]
    """Folios of each node that leave the pool when they are freed next."""
    reserved: int = 0
    """Free folios that mappings have reserved, on whatever node."""
    turn: list[int] = field(default_factory=lambda: [0, 0])
    """Node whose turn it is to give a page to the pool, and to get one back."""

    @property
    def pages(self) -> int:
        """Base pages of a folio."""
        return 1 << self.order

    @property
    def available(self) -> int:
        """available_huge_pages: free folios that no mapping has reserved."""
        return sum(map(len, self.free)) - self.reserved

    @property
    def persistent(self) -> int:
        """persistent_huge_pages: what nr_hugepages shows."""
        return sum(self.total) - sum(self.surplus)


class State:
    """Attributes of the reference host; the layers above add behaviour."""

    def __init__(
        self, shape: HostShape, table: NDArray[np.int64], costs: NDArray[np.int64]
    ) -> None:
        self.shape = shape
        self.table = [int(x) for x in table]
        self.costs = [int(x) for x in costs]
        self.counters: NDArray[np.int64] = np.zeros(NR_COUNTERS, np.int64)
        self.now_ns = 0
        self.pbo = shape.pageblock_order
        self.pb_pages = 1 << self.pbo
        self.max_order = self.pbo + 1
        self.zone = [Zone(z, self.max_order, len(shape.cpu_node)) for z in range(shape.nr_zones)]
        self.block_zone = [-2] * shape.nr_blocks
        self.block_isolated = [False] * shape.nr_blocks
        nr_pageblocks = shape.nr_blocks * (shape.block_pages >> self.pbo)
        self.pb_mt = [Migratetype.MOVABLE] * nr_pageblocks
        self.chunk: dict[int, tuple[int, Migratetype]] = {}
        self.owner: dict[int, Folio] = {}
        self.area_of: dict[int, Area] = {}
        self.proc_of: dict[int, Process] = {}
        self.pin_of: dict[int, Pin] = {}
        gigantic_order = self.pbo + shape.gigantic_pageblocks.bit_length() - 1
        n = shape.nr_nodes
        self.pools = [
            Pool(order, order > self.pbo, [[] for _ in range(n)], [0] * n, [0] * n)
            for order in (self.pbo, gigantic_order)
        ]
        """By ``PoolSize``."""
        self.gone: list[tuple[int, int, int]] = []
        """Pages that left an area while held: (area, index of the command, object), in order."""
        self.on_behalf = -1
        """Process that works on a file through a mapping."""
        self.area_sequence = 0
        self.panicked = False
        self.pin_rows: PinRows | None = None
        """Where faults and moves of a running PIN are recorded."""
        self.busy_area = -1
        """Area a PIN works on: its page cache is not reclaimed meanwhile."""
        self.tally = Tally()
        self.held_back: list[int] | None = None
        """Page cache that a batch of kswapd's has dropped and not freed yet."""
        self.kswapd = Kswapd(task_left=shape.turns[2])
        self.moves = Moves()
        self.cause = 0
        self.nr_commands = 0
        self.rows: list[list[int]] = []

    def _zone_of(self, pfn: int) -> Zone | None:
        """Zone a pfn is online in, None when it is not."""
        block = pfn // self.shape.block_pages
        if not 0 <= block < self.shape.nr_blocks or self.block_zone[block] < 0:
            return None
        return self.zone[self.block_zone[block]]

    def _zone_at(self, pfn: int) -> Zone:
        """Zone of a pfn known to be online."""
        zone = self._zone_of(pfn)
        assert zone is not None
        return zone

    def _node_of(self, pfn: int) -> int:
        """Node of a pfn."""
        return self.shape.block_node[pfn // self.shape.block_pages]

    def _pool_of(self, order: int) -> Pool:
        """The pool that folios of an order belong to."""
        return self.pools[PoolSize.GIGANTIC if order > self.pbo else PoolSize.HUGE]

    def _pool_under(self, area: Area) -> Pool:
        """The pool that a hugetlb area takes its folios from."""
        return self.pools[PoolSize.GIGANTIC if area.gigantic else PoolSize.HUGE]

    def _parts(self, folio: Folio) -> list[int]:
        """First pfns of the pageblocks of a folio; a base page itself.

        What a folio of several pageblocks costs, and what is told by memory block, goes by them.
        """
        return list(range(folio.pfn, folio.pfn + folio.pages, self.pb_pages))

    def _populated_nodes(self) -> list[int]:
        """Nodes with online memory (N_MEMORY)."""
        return sorted({z.zid // ZONES_PER_NODE for z in self.zone if z.present})

    def _emit(self, kind: int, *values: int, cause: int | None = None) -> None:
        """Append a result row."""
        self.rows.append(
            [self.now_ns, kind, self.cause if cause is None else cause, *map(int, values)]
        )
