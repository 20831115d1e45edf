"""Random commands for a bench, biased towards full hosts, pins and offlines under way."""

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.costs import CostModel
from engine.draws import below
from engine.enums import AreaKind, Cell, Cost, Op, PoolSize
from tests.engine.bench import Bench, Engine, make_shape, make_table

SHAPES = [
    make_shape("RNNNNMMMMM-", order=2, chunks=2),
    make_shape("NNNNNNNN", order=2, chunks=2, cpus=(0, 0)),
    make_shape("RNNNMMMM-|NNNMMMM-", order=2, chunks=2, cpus=(0, 1, 1)),
    make_shape("DDNNMMM-|NNNMMM", order=2, chunks=2, cpus=(0, 1), thp=True),
    make_shape("RDNNNNNN|NNNNNNN-", order=2, chunks=2, cpus=(0, 1)),
    make_shape("NNNNDMMMM-|NNMMM-", order=2, chunks=2, cpus=(0, 1), thp=True, dma=True),
    make_shape("NNNNhMMM-MM", order=2, chunks=4, cpus=(0, 0, 0), thp=True),
    make_shape("DNNMMM|NNMMM", order=3, chunks=1, cpus=(0, 1)),
    make_shape("RNNNN--|NNNNh", order=3, chunks=2, cpus=(0, 1), thp=True),
    make_shape("NNNMMMM-", order=3, chunks=1, cpus=(0,), thp=True),
    make_shape("NNNMMM|MM", order=4, chunks=1, cpus=(0, 1)),
    make_shape("RNNMMM-", order=4, chunks=2, cpus=(0,)),
    make_shape("DNNNMMMM-", order=2, chunks=2, thp=True, turns=(5, 64, 2)),
    make_shape("RNNMMM-", order=4, chunks=2, turns=(17, 100, 17)),
    make_shape("NNMMMM-", order=3, chunks=4, thp=True, turns=(1, 1 << 40, 1)),
]
GIGANTIC_SHAPES = [
    make_shape("NNNNNNMMM", order=2, chunks=1, gigantic=4),
    make_shape("RNNNNNNNNNNM-|NNNNNNNN", order=2, chunks=1, cpus=(0, 1), gigantic=8),
    make_shape("DDDDNNNNNM|NNNNNN", order=2, chunks=2, cpus=(0, 1, 1), thp=True, gigantic=8),
    make_shape("RNNN|NNNMM", order=2, chunks=4, cpus=(0, 1), gigantic=4),
    make_shape("NNNNhNNNN-M", order=3, chunks=1, cpus=(0, 0), gigantic=2),
]
"""Whose gigantic pages are of several memory blocks, of one, or of a part of one."""
SMALL = 8
"""Most pageblocks of a gigantic page that such a host has room for."""
LARGE_SHAPES = [
    make_shape("RNNMM-", order=9, chunks=1, cpus=(0, 0), thp=True),
    make_shape("NNNM|NNM", order=9, chunks=1, cpus=(0, 1)),
]
"""With the pageblocks of x86-64; one sequence in sixteen."""

ARMS = [
    "kernel+unbounded", "pin-in-place+unbounded", "fault-aware+bounded-4.13",
    "migrate-on-pin+unbounded", "linux-5.13+unbounded", "linux-5.13+timeout",
    "madvise-hint+pin-aware", "deny+unbounded", "pin-in-place+bounded-4.13",
    "pin-in-place+same-node-fallback", "move-before-pin+unbounded",
    "linux-5.13-bounded+unbounded", "linux-5.13-leaky+unbounded", "linux-5.13-patient+unbounded",
    "linux-5.13-soft+pin-aware", "isolate-aware+unbounded", "linux-5.13-loses-thp-file+unbounded",
    "revocable+unbounded", "pin-in-place+paced", "revocable+bounded-4.13",
    "return-on-unpin+unbounded", "reserved-pool+unbounded", "reserved-pool-20+unbounded",
    "pin-in-place+unmap-first", "migrate-on-pin+unmap-first",
]  # fmt: skip
CELLS: list[dict[str, int]] = [
    {},
    {"PCP_HIGH_PAGES": 4},
    {"PCP_HIGH_PAGES": 1, "PIN_FAILURE": 1},
    {"PCP_THP": 1, "PCP_HIGH_PAGES": 40},
    {"PCP_BATCH_SCALE": 3, "PCP_THP": 1, "PCP_HIGH_PAGES": 24},
    {"RECLAIM_BY_ZONE": 1},
    {"RECLAIM_BY_ZONE": 1, "PCP_HIGH_PAGES": 3, "MOVABLE_MARK_CAPPED": 1},
    {"PCP_THP": 1, "SPLIT_TAILS_LAST": 1, "PCP_HIGH_PAGES": 9},
    {"PCP_THP": 0, "SPLIT_TAILS_LAST": 0},
    {"ISOLATED_UNPINNABLE": 1, "PCP_HIGH_PAGES": 7},
    {"HINT_HONOURED": 1, "VFIO_CALL_PAGES": 3},
    {"PIN_ISOLATION": 1, "PIN_RETRIES": 3, "PIN_WAIT_NS": 500_000, "VFIO_CALL_PAGES": 9},
    {"PIN_ISOLATION": 2, "PIN_MIGRATES": 2, "PIN_FAILURE": 0},
    {"UNPIN_RETURNS": 1, "PIN_REVOCABLE": 1},
    {"PIN_POOL_MILLIONTHS": 300_000, "VFIO_CALL_PAGES": 5},
    {"OFFLINE_PAUSE_NS": 2_000_000, "OFFLINE_PAUSE_MAX_NS": 5_000_000, "OFFLINE_UNMAPS": 1},
    {
        "OFFLINE_RULE": 4,
        "OFFLINE_MAX_ERRORS": 1,
        "OFFLINE_PAUSE_NS": 700_000,
        "OFFLINE_PAUSE_MAX_NS": 9_000_000,
        "PIN_REVOCABLE": 1,
    },
    {"MOVABLE_MARK_CAPPED": 1, "PCP_RULE": 2},
    {"OFFLINE_MAX_ERRORS": 2, "OFFLINE_BOUND_NS": 9_000_000, "HUGETLB_PIN_MIGRATES": 1},
    {"FILE_PIN": 2, "FAULT_FLAG_SHMEM": 1, "HZP_WRITE_THP": 1},
    {"FAULT_FLAG_ZERO": 1, "FAULT_FLAG_COW": 1, "FAULT_FLAG_HZP": 0, "PIN_MIGRATES": 0},
    {"FAULT_FLAG_HZP": 1, "HZP_WRITE_THP": 1, "PCP_HIGH_PAGES": 6},
    {"FILE_PIN": 0, "FAULT_FLAG_SHMEM": 0, "FAULT_FLAG_FILE": 1},
    {"MIGRATE_TRIES": 3, "OFFLINE_BOUND_NS": 4_000_000, "THP_FAIL_PAGES": 1, "PIN_FAILURE": 0},
    {"HUGETLB_POOL_BATCHED": 1, "HUGETLB_PIN_MIGRATES": 1, "HUGETLB_COUNTS_PAGES": 0},
    {"HUGETLB_POOL_BATCHED": 1, "HUGETLB_PIN_MIGRATES": 0, "PIN_MIGRATES": 1},
    {"GIGANTIC_STRADDLE_FAILS": 0, "ISOLATED_UNPINNABLE": 1, "HUGETLB_PIN_MIGRATES": 1},
    {"GIGANTIC_STRADDLE_FAILS": 0, "IOU_FOLIO_PINS": 1, "PIN_REVOCABLE": 1},
    {"GIGANTIC_STRADDLE_FAILS": 0, "OFFLINE_TARGET": 1, "PIN_WAIT_NS": 300_000},
    {"VFIO_CALL_PAGES": 8},
    {"VFIO_CALL_PAGES": 16, "PCP_THP": 1},
]
CACHES = (AreaKind.FILE, AreaKind.SHMEM)
OPS = (*(int(op) for op in Op), -1, 0, max(Op) + 1)
"""Operations of ``junk``: all there are, and some there are not."""
MOST_PAGES, MOST_HOLES = 16, 120
"""Of a pageblock and of an area that ``Commander.fragment`` fills and perforates."""
DELAYS_NS = (0, 0, 0, 0, 0, 0, 1, 1_000, 60_000, 250_000, 800_000, 1_700_000, 3_000_001, 9_000_000)
"""Time before a command: often none, often inside a pass of a running offline."""


class Draws:
    """A stream of numbers that is a function of a key."""

    def __init__(self, *key: int) -> None:
        self.key, self.index = key, 0

    def below(self, bound: int) -> int:
        """Next number in ``[0, bound)``."""
        self.index += 1
        return below(bound, *self.key, self.index)

    def of(self, choices: Any) -> Any:
        """Next choice of a sequence."""
        return choices[self.below(len(choices))]

    def percent(self, chance: int) -> bool:
        """True with a chance in percent."""
        return self.below(100) < chance


def long_passes(scale: int) -> NDArray[np.int64]:
    """Costs with which passes take longer, and an offline as a whole less."""
    costs = CostModel().vector()
    costs[Cost.PASS_FIXED] *= scale
    costs[Cost.OFFLINE_FIXED] //= scale
    return costs


def make_bench(d: Draws, engines: tuple[Engine, ...], full_every: int) -> Bench:
    """Return a bench of a random shape and table, with costs that make passes longer at times."""
    kind = d.below(16)
    shape = d.of(LARGE_SHAPES if kind == 0 else GIGANTIC_SHAPES if kind < 4 else SHAPES)
    table = make_table(d.of(ARMS), d.of(("linux-5.10", "linux-6.1", "linux-6.12")), **d.of(CELLS))
    costs = long_passes(d.of((1, 4, 10)))
    return Bench(shape, table, costs, engines=engines, full_every=full_every)


class Commander:
    """Chooses commands by what the first host holds.

    Parameters
    ----------
    bench : Bench
        Its first engine must be the reference, whose state is read to choose live slots.
    d : Draws
        For the history the sequence starts from.
    """

    def __init__(self, bench: Bench, d: Draws) -> None:
        self.bench, self.shape, self.model = bench, bench.shape, bench.host
        self.pages = int(self.model.zones()[:, 0].sum())
        self.gigantic = bench.shape.gigantic_pageblocks <= SMALL
        self.d = d
        self._populate()

    def _populate(self) -> None:
        """Three processes; page cache and anonymous memory up to a level, kernel memory."""
        d = self.d
        if self.gigantic:
            for node in range(self.shape.nr_nodes):
                self.bench.do(Op.POOL, node, 1 + d.below(3), PoolSize.GIGANTIC)
        for proc in range(3):
            cpu = proc % len(self.shape.cpu_node)
            self.bench.do(Op.SPAWN, proc, cpu, proc == 2 and d.percent(30))
        for slot, kind in enumerate((AreaKind.KERNEL, AreaKind.FILE, AreaKind.THP, AreaKind.ANON)):
            share = (8, 100, 100, 40)[slot]
            pages = d.below(max(self.pages * share // 200, 2))
            if d.percent(75) and pages:
                self.bench.do(Op.MAP, slot, slot % 3, kind, pages, d.percent(30))
                if d.percent(85):
                    self.bench.do(Op.TOUCH, slot, 0, pages, -1, d.of((-1, -1, 0, 1)))
        if d.percent(25):
            self.bench.do(Op.POOL, d.below(self.shape.nr_nodes), 1 + d.below(5))

    def act(self, d: Draws) -> None:
        """Do something."""
        self.d = d
        if self.model.panicked and d.percent(95):
            return
        if self.model.offline_running and d.percent(30):
            self._meanwhile()
            return
        pick = d.below(sum(weight for weight, _ in WEIGHTS))
        for weight, function in WEIGHTS:
            pick -= weight
            if pick < 0:
                function(self)
                return

    def run(self, op: int, *arguments: int) -> None:
        """One command after a random delay."""
        self.bench.do(op, *arguments, after_ns=self.d.of(DELAYS_NS))  # type: ignore[arg-type]

    # -- choosing -----------------------------------------------------------------------------

    def alive(self, numbers: Collection[int]) -> int:
        """A live slot, at times any number."""
        if not numbers or self.d.percent(2):
            return self.d.below(9)
        return int(self.d.of(sorted(numbers)))

    def vacant(self, numbers: Collection[int]) -> int:
        """A free slot, at times a used one."""
        if self.d.percent(3):
            return self.alive(numbers)
        slot = self.d.below(4)
        while slot in numbers:
            slot += 1
        return slot

    def area(self) -> int:
        """A live area."""
        return self.alive([s for s in self.model.area_of if s >= 0])

    def span(self, area: int) -> tuple[int, int]:
        """A range inside an area: a page, some pages across folios, whole folios, all of it."""
        d, unit = self.d, self.shape.pageblock_pages
        total = len(self.model.area_of[area].pages) if area in self.model.area_of else 9
        if area in self.model.area_of and self.model.area_of[area].gigantic and d.percent(60):
            unit *= self.shape.gigantic_pageblocks
        if d.percent(2):
            return d.below(total) - 1, d.below(total + 3)
        how, first = d.below(10), d.below(total)
        if how == 0:
            return 0, total
        if how < 4:
            first -= first % unit
        most = total - first
        count = 1 if how < 3 else 1 + d.below(min(most, 4 * unit) if how < 8 else most)
        if 3 <= how < 5 and count >= unit:
            count -= count % unit
        return first, min(count, most)

    # -- commands -----------------------------------------------------------------------------

    def spawn(self) -> None:
        """SPAWN."""
        cpu = self.d.below(len(self.shape.cpu_node))
        self.run(Op.SPAWN, self.vacant(self.model.proc_of), cpu, self.d.percent(10))

    def map(self) -> None:
        """MAP, mostly touched at once; most areas fit into what is free."""
        d, unit = self.d, self.shape.pageblock_pages
        kind = d.of((0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 4, 4, 5, 5))
        free = int(self.model.zones()[:, 1].sum())
        most = max(free // 2 if d.percent(85) else self.pages // 2, 2)
        pages = 1 + d.below(max(most // (8 if kind == AreaKind.KERNEL else 1), 2))
        if kind in (AreaKind.THP, AreaKind.HUGETLB) and d.percent(90):
            pages = -(-pages // unit) * unit
        area, proc = self.vacant(self.model.area_of), self.alive(self.model.proc_of)
        flags = d.percent(30) + 2 * d.percent(40)
        if self.gigantic and d.percent(40):
            kind, flags = AreaKind.HUGETLB, flags + 4
            unit *= self.shape.gigantic_pageblocks
            pages = unit * (1 + d.below(2)) - d.percent(4)
            if d.percent(25):
                self.grow_pool(1, PoolSize.GIGANTIC)
        elif kind == AreaKind.HUGETLB:
            pages = min(pages, (1 + d.below(6)) * unit)
            if d.percent(75):
                self.grow_pool(pages // unit)
        self.run(Op.MAP, area, proc, kind, pages, flags)
        if d.percent(60):
            self.run(Op.TOUCH, area, 0, pages, -1, -1)

    def grow_pool(self, folios: int, size: int = PoolSize.HUGE) -> None:
        """POOL or NR_HUGEPAGES, for about so many folios more."""
        d, model = self.d, self.model
        node, more = d.below(self.shape.nr_nodes), max(folios + d.of((-1, 0, 0, 1, 2)), 1)
        if d.percent(50):
            self.run(Op.POOL, node, more, size)
        else:
            now = int(model.pool(size)[:, 0].sum())
            self.run(Op.NR_HUGEPAGES, -1, now + more, d.below(3) - 1, size)

    def set_pool(self) -> None:
        """NR_HUGEPAGES: of all nodes or one, up or down."""
        d = self.d
        size = PoolSize.GIGANTIC if self.gigantic and d.percent(50) else PoolSize.HUGE
        node, now = d.below(self.shape.nr_nodes + 2) - 1, int(self.model.pool(size)[:, 0].sum())
        wanted = max(now + d.below(7) - 4, d.below(2) - 1)
        self.run(Op.NR_HUGEPAGES, node, wanted, d.below(3) - 1, size)

    def share(self) -> None:
        """FORK into a process that may be new, MAP_FILE; at times a write to what is shared."""
        d, area, slot = self.d, self.area(), self.vacant(self.model.area_of)
        if d.percent(40):
            caches = [s for s, a in self.model.area_of.items() if a.kind in CACHES and s >= 0]
            file = int(d.of(sorted(caches))) if caches and d.percent(90) else area
            self.run(Op.MAP_FILE, slot, self.alive(self.model.proc_of), file)
        else:
            forked = self.model.area_of.get(area)
            others = [p for p in self.model.proc_of if forked is None or p != forked.proc]
            if not others or d.percent(30):
                others = [self.vacant(self.model.proc_of)]
                self.run(Op.SPAWN, others[0], d.below(len(self.shape.cpu_node)), 0)
            self.run(Op.FORK, slot, area, int(d.of(sorted(others))))
        if d.percent(60):
            shown = d.of((area, slot))
            self.run(d.of((Op.TOUCH, Op.TOUCH, Op.READ)), shown, *self.span(shown), -1, -1)

    def touch(self) -> None:
        """TOUCH."""
        area, d = self.area(), self.d
        self.run(Op.TOUCH, area, *self.span(area), d.below(4) - 1, d.of((-1, -1, -1, 0, 1, 2)))

    def free(self) -> None:
        """FREE of a range, or of every few pages."""
        area, d = self.area(), self.d
        if d.percent(60):
            self.run(Op.FREE, area, *self.span(area), d.below(4) - 1)
            return
        first, count = self.span(area)
        for index in range(first, first + count, 2 + d.below(3))[:8]:
            self.run(Op.FREE, area, index, 1, -1)

    def let_go(self) -> None:
        """UNMAP, EXIT, MLOCK, DIRTY, READ."""
        what, area = self.d.below(7), self.area()
        if what < 2:
            self.run(Op.EXIT, self.alive(self.model.proc_of))
        elif what < 4:
            self.run(Op.UNMAP, area)
        elif what < 5:
            self.run(self.d.of((Op.MLOCK, Op.DIRTY, Op.DIRTY)), area, self.d.percent(60))
        else:
            self.run(Op.READ, area, *self.span(area))

    def pin(self) -> None:
        """PIN."""
        area, d = self.area(), self.d
        pin = self.vacant(self.model.pin_of)
        self.run(Op.PIN, pin, area, *self.span(area), d.below(4), d.below(3) - 1)

    def hold(self) -> None:
        """HOLD."""
        area = self.area()
        self.run(Op.HOLD, self.vacant(self.model.pin_of), area, *self.span(area))

    def io(self) -> None:
        """IO: mostly so much that many pageblocks meet some, at times none or nonsense."""
        d, unit = self.d, self.shape.pageblock_pages
        area = self.area()
        density = d.of((0, 1, 1, 1, 2, 3, 7, 9)) * 10**12 // (d.of((1, 3, 20)) * unit)
        pages = unit >> d.below(self.shape.pageblock_order + 1)
        hold_ns = d.of((1, 40_000, 300_000, 2_000_000, 1 << 32))
        self.run(Op.IO, area, density, d.of((pages, pages, pages, 3)), hold_ns, d.below(1 << 62))

    def unpin(self) -> None:
        """UNPIN."""
        self.run(Op.UNPIN, self.alive(self.model.pin_of))

    def offline(self) -> None:
        """OFFLINE of a block with movable memory, or of any range."""
        d, zones = self.d, self.model.block_zone
        likely = [b for b, z in enumerate(zones) if z % 3 == 2 and z >= 0]
        if self.gigantic and d.percent(60):
            size, order = self.shape.block_pages, self.shape.pageblock_order
            likely = sorted({p // size for p, f in self.model.owner.items() if f.order > order})
        first = int(d.of(likely)) if likely and d.percent(70) else d.below(self.shape.nr_blocks + 1)
        count = d.of((1, 1, 1, 2, 2, 3, 4))
        self.run(Op.OFFLINE, len(self.bench.log), first, count, d.of((0, 0, 0, 5_000_000)))
        if d.percent(70):
            self.bench.advance(d.of(DELAYS_NS))

    def _meanwhile(self) -> None:
        """While an offline runs: time, signals, status."""
        d, attempt = self.d, self.model.offline.attempt
        what = d.below(10)
        if what < 6:
            self.bench.advance(d.of(DELAYS_NS) + d.below(3_000_000))
        elif what < 8:
            self.run(Op.STATUS, attempt - d.percent(10))
        else:
            self.run(Op.SIGNAL)

    def online(self) -> None:
        """ONLINE of what is offline."""
        d = self.d
        away = [b for b, z in enumerate(self.model.block_zone) if z == -1]
        first = int(d.of(away)) if away and d.percent(90) else d.below(self.shape.nr_blocks)
        self.run(Op.ONLINE, first, d.of((1, 1, 1, 2)), d.of((2, 2, 2, 1, 1, 0, 3)))

    def host(self) -> None:
        """RECLAIM, SAMPLE, SHUFFLE, STIR, MIN_FREE, POOL, NR_HUGEPAGES."""
        d = self.d
        what = d.below(8)
        if what == 0:
            self.run(Op.RECLAIM, d.below(self.shape.nr_zones + 1), d.below(60) - 1)
        elif what == 1:
            self.run(Op.SAMPLE, d.below(1000))
        elif what == 2:
            self.run(Op.SHUFFLE, d.below(1 << 62))
        elif what == 3:
            zone = d.below(self.shape.nr_zones + 1)
            self.run(Op.STIR, d.below(1 << 62), zone, d.below(1_100_000))
        elif what == 4:
            self.run(Op.MIN_FREE, d.below(self.pages // 6) - 1)
        elif what == 5:
            self.run(Op.POOL, d.below(self.shape.nr_nodes + 1), d.below(4))
        else:
            self.set_pool()

    def age(self) -> None:
        """AGE, at times between any levels; CACHE."""
        area, d = self.area(), self.d
        mix = sum(d.below(4) * d.below(60) << 8 * i for i in range(6))
        bag = self.model.area_of.get(area)
        if bag is not None and bag.kind == AreaKind.FILE and d.percent(60):
            free, zone = d.below(self.pages // 2), d.below(self.shape.nr_zones)
            self.run(Op.CACHE, area, d.below(1 << 62), zone, d.below(self.pages), free, mix)
            return
        total = len(bag.pages) if bag is not None else 9
        low, high = sorted((d.below(total + 1), d.below(total + 1)))
        if d.percent(25):
            high = low
        self.run(Op.AGE, area, d.below(1 << 62), d.below(2 * total) - 1, low, high, mix)

    def migrate(self) -> None:
        """MIGRATE."""
        area = self.area()
        self.run(Op.MIGRATE, area, *self.span(area), self.d.below(self.shape.nr_nodes + 1))

    def junk(self) -> None:
        """Any operation with any small arguments."""
        self.run(self.d.of(OPS), *(self.d.below(34) - 3 for _ in range(6)))


WEIGHTS = (
    (2, Commander.spawn),
    (14, Commander.map),
    (9, Commander.share),
    (14, Commander.touch),
    (16, Commander.free),
    (3, Commander.let_go),
    (14, Commander.pin),
    (6, Commander.hold),
    (6, Commander.io),
    (8, Commander.unpin),
    (12, Commander.offline),
    (4, Commander.online),
    (7, Commander.host),
    (5, Commander.migrate),
    (9, Commander.age),
    (3, Commander.junk),
)
"""Relative frequencies."""


class Fragmenter(Commander):
    """As Commander, on hosts that start fragmented at times, or become so: compaction."""

    at_start_percent, one_in = 40, 150
    """How often a host with migrating pins starts so; of how many commands one fragments it."""

    def _populate(self) -> None:
        super()._populate()
        if self.bench.table[Cell.PIN_MIGRATES] and self.d.percent(self.at_start_percent):
            self.fragment()

    def act(self, d: Draws) -> None:
        """Do something."""
        if d.below(self.one_in) == 0:
            self.d = d
            self.fragment()
        else:
            super().act(d)

    def fragment(self) -> None:
        """Fill the host, leave single pages free all over the kernel zones, pin THPs: compaction.

        The THPs come first, where there is room for huge pages, which is in ZONE_MOVABLE if any is.
        """
        d, model, unit = self.d, self.model, self.shape.pageblock_pages
        if unit > MOST_PAGES:
            self.pin()
            return
        thp, hog, proc = self.vacant(model.area_of), 20 + d.below(4), self.alive(model.proc_of)
        pages = (2 + d.below(7)) * unit
        self.run(Op.MIN_FREE, 1 + d.below(4))
        self.run(Op.MAP, thp, proc, AreaKind.THP, pages, 0)
        self.run(Op.TOUCH, thp, 0, pages, -1, -1)
        zones = model.zones()
        room = max(int((zones[:, 1] - zones[:, 2]).sum()) - d.below(unit), 1)
        self.run(Op.MAP, hog, proc, d.of((0, 0, 0, AreaKind.SHMEM, AreaKind.FILE)), room, 0)
        self.run(Op.TOUCH, hog, 0, room, -1, -1)
        self._perforate(hog, d.of((2, 2, 2, 3)), d.of((0, 0, 10, 100, 100)))
        for first in d.of(((0,), (0, unit), (pages - unit, 0, unit))):
            self.run(Op.PIN, self.vacant(model.pin_of), thp, first, unit, d.below(4), -1)
        self.run(Op.PIN, self.vacant(model.pin_of), thp, 0, pages, d.below(4), -1)
        if d.percent(70):
            self.run(Op.UNMAP, hog)

    def _perforate(self, area: int, every: int, pinned: int) -> None:
        """Free every so many pages of an area outside ZONE_MOVABLE; pin some of those that stay."""
        model, d = self.model, self.d
        kernel = [
            folio.index
            for pfn, folio in sorted(model.owner.items())
            if folio.area == area and model.block_zone[pfn // self.shape.block_pages] % 3 != 2
        ]
        for number, index in enumerate(kernel[:MOST_HOLES]):
            if number % every == 0:
                self.run(Op.FREE, area, index, 1, -1)
            elif number % every == 1 and d.percent(pinned):
                self.run(d.of((Op.PIN, Op.HOLD)), self.vacant(model.pin_of), area, index, 1, 0, -1)
