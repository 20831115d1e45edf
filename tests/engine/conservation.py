"""Conservation laws of a host, checked from outside after each command.

Nothing here reads how an engine stores its state: only what the surface of
``docs/architecture.md`` shows, so any engine can be held to the laws.
"""

from collections import Counter as Tally
from collections.abc import Iterator
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.enums import Counter, Migratetype, Op, ZoneKind
from engine.shape import HostShape

Int64 = NDArray[np.int64]
MANAGED, FREE, MIN, LOW, HIGH, PRESENT, PCP, ISOLATED = range(8)
B_ZONE, B_ISOLATED, B_FREE, B_USED, B_PINNED, B_FILE, B_KERNEL = range(7)
PFN, ORDER, AREA, INDEX, PINS, REFERENCES, LISTED = range(7)
ISOLATE, RECLAIMABLE = int(Migratetype.ISOLATE), int(Migratetype.RECLAIMABLE)

POOL = -1
"""Area of a free hugetlb folio; areas below it are objects (shared or orphaned pages)."""
ADVANCE = 1 << 20
"""Pseudo operation of a command row: nothing but time passes."""

KEEPS_CONTENT = (
    ADVANCE, Op.SPAWN, Op.MAP, Op.UNPIN, Op.ONLINE, Op.OFFLINE, Op.SIGNAL, Op.STATUS,
    Op.RECLAIM, Op.MIGRATE, Op.SAMPLE, Op.SHUFFLE, Op.POOL, Op.MIN_FREE, Op.DIRTY,
    Op.NR_HUGEPAGES,
)  # fmt: skip
"""Operations after which the same virtual pages are present (page cache may be reclaimed)."""


class LawError(AssertionError):
    """A conservation law is broken."""


def require(law: bool, text: str) -> None:
    """Raise LawError with ``text`` unless ``law`` holds.

    Laws of each chunk and folio raise it themselves: to write a text for each takes longer than
    to look.
    """
    if not law:
        raise LawError(text)


class Conservation:
    """The laws, and what must be remembered between two checks of one host.

    Parameters
    ----------
    host : engine
        A host just made.
    capped, counts_pages : bool
        ``Cell.MOVABLE_MARK_CAPPED`` and ``Cell.HUGETLB_COUNTS_PAGES`` of its table.
    """

    def __init__(self, host: Any, *, capped: bool, counts_pages: bool = True) -> None:
        self.counts_pages = counts_pages
        self.shape: HostShape = host.shape
        self.seen = View(host)
        self.marks = Marks(self.shape, capped=capped)
        self.marks.start(self.seen)
        self.check_static(self.seen)

    def check(self, host: Any, command: list[int]) -> None:
        """Check all laws after ``command`` (a row, maybe of ``ADVANCE``). Raises LawError."""
        before, now = self.seen, View(host)
        self.check_static(now)
        self.check_steps(before, now, command)
        self.marks.follow(before, now, command)
        self.seen = now

    def check_static(self, now: "View") -> None:
        """Laws of one moment."""
        free_chunks(self.shape, now)
        zone_sums(self.shape, now)
        block_sums(self.shape, now)
        folios(self.shape, now)

    def check_steps(self, before: "View", now: "View", command: list[int]) -> None:
        """Laws between two moments."""
        require(now.now_ns >= before.now_ns, "time went back")
        require(bool((now.counters >= before.counters).all()), "a counter went back")
        grown = now.counters - before.counters
        killed = grown[Counter.OOM_KILL] > 0
        released = killed or command[1] in (Op.UNPIN, Op.EXIT)
        split = before.held_huge if command[1] == Op.FREE else set()
        suspended = grown[Counter.PIN_SUSPENDED] > 0
        let_go = suspended or grown[Counter.PIN_REVOKED] > 0
        stays = before.referenced if let_go else before.held
        gone = sorted(stays - now.held - split)
        require(released or not gone, f"held pages {gone[:4]} were moved or let go by {command}")
        if command[1] in KEEPS_CONTENT and not killed and not suspended:
            lost = set(before.content) - set(now.content)
            new = set(now.content) - set(before.content)
            reclaimed = int(grown[Counter.PGSTEAL])
            mapped_again = before.offline_running and grown[Counter.NR_FOLL_PIN_ACQUIRED] > 0
            require(mapped_again or not new, f"pages appeared by {command}: {sorted(new)[:4]}")
            require(
                len(lost) == reclaimed,
                f"{len(lost)} pages lost by {command}, {reclaimed} were reclaimed",
            )
        if command[1] in KEEPS_CONTENT and self.counts_pages:
            moved = sum(1 for c, pfn in now.content.items() if before.content.get(c, pfn) != pfn)
            require(
                moved <= grown[Counter.PGMIGRATE_SUCCESS],
                f"{moved} pages changed place by {command}, fewer were migrated",
            )


class View:
    """What a host shows at one moment, indexed for the laws."""

    def __init__(self, host: Any) -> None:
        shape: HostShape = host.shape
        self.now_ns = int(host.now_ns)
        self.offline_running = bool(host.offline_running)
        self.counters: Int64 = np.array(host.counters)
        self.zones: list[list[int]] = host.zones().tolist()
        self.blocks: list[list[int]] = host.blocks().tolist()
        self.pages: list[list[int]] = host.pages().tolist()
        self.chunks: dict[int, tuple[int, int, int]] = {}
        """Free chunks: pfn to (order, migratetype of the list, zone)."""
        self.listed_twice: list[int] = []
        self.pcp: list[tuple[int, int]] = []
        """(pfn, zone) of pages in per-CPU lists."""
        for zone in range(shape.nr_zones):
            if not self.zones[zone][PRESENT]:
                continue
            for mt in range(len(Migratetype)):
                for order in range(shape.pageblock_order + 2):
                    for pfn in host.free_list(zone, mt, order).tolist():
                        if pfn in self.chunks:
                            self.listed_twice.append(pfn)
                        self.chunks[pfn] = (order, mt, zone)
            for cpu in range(len(shape.cpu_node)):
                self.pcp += [(pfn, zone) for pfn in host.pcp(cpu, zone).tolist()]
        self.content: dict[tuple[int, int], int] = {}
        """(area, index) of every present base page to its pfn."""
        self.held: set[int] = set()
        """Base pages of folios that somebody holds; they stay where they are."""
        self.referenced: set[int] = set()
        """Those that not only long-term pins hold: they stay where pins are revocable, too."""
        self.held_huge: set[int] = set()
        """Those of huge folios: when a part is freed, what nobody holds itself may go."""
        for f in self.pages:
            if f[PINS] or f[REFERENCES]:
                span = range(f[PFN], f[PFN] + (1 << f[ORDER]))
                self.held.update(span)
                self.referenced.update(span if f[REFERENCES] else ())
                self.held_huge.update(span if f[ORDER] else ())
            if f[AREA] < 0:
                continue
            for i in range(1 << f[ORDER]):
                self.content[f[AREA], f[INDEX] + i] = f[PFN] + i


def free_chunks(shape: HostShape, v: View) -> None:
    """Free lists are disjoint, aligned, wholly merged, online, of a plausible type."""
    require(not v.listed_twice, f"on two free lists: {v.listed_twice[:4]}")
    end = -1
    for pfn in sorted(v.chunks):
        order, mt, zone = v.chunks[pfn]
        block = v.blocks[pfn // shape.block_pages]
        if pfn % (1 << order):
            raise LawError(f"free chunk {pfn} of order {order} is not aligned")
        if pfn < end:
            raise LawError(f"free chunk {pfn} overlaps the one before")
        end = pfn + (1 << order)
        if block[B_ZONE] != zone:
            raise LawError(f"free chunk {pfn} is on a list of another zone")
        if (mt == ISOLATE) != bool(block[B_ISOLATED]):
            raise LawError(f"free chunk {pfn} is on list {mt}, isolated: {block[B_ISOLATED]}")
        if mt == RECLAIMABLE:
            raise LawError(f"free chunk {pfn} is RECLAIMABLE: nobody is")
        buddy = v.chunks.get(pfn ^ (1 << order)) if order <= shape.pageblock_order else None
        if buddy is not None and buddy[0] == order and buddy[2] == zone:
            both = f"{pfn} and {pfn ^ (1 << order)}"
            raise LawError(f"free buddies {both} of order {order} are not merged")


def zone_sums(shape: HostShape, v: View) -> None:
    """Per zone: managed = free + per-CPU + isolated + used, each equal to a recount."""
    free, isolated, used, pcp, present = Tally[int](), Tally[int](), Tally[int](), Tally[int](), 0
    for order, mt, zone in v.chunks.values():
        (isolated if mt == Migratetype.ISOLATE else free)[zone] += 1 << order
    for f in v.pages:
        used[v.blocks[f[PFN] // shape.block_pages][B_ZONE]] += 1 << f[ORDER]
    for pfn, zone in v.pcp:
        pcp[zone] += 1
        if v.blocks[pfn // shape.block_pages][B_ZONE] != zone:
            raise LawError(f"pcp page {pfn}: other zone")
    require(not any(z < 0 for z in used), "a page is in a block that is not online")
    for zone, z in enumerate(v.zones):
        name = f"zone {zone}"
        online = [b for b, row in enumerate(v.blocks) if row[B_ZONE] == zone]
        reserved = sum(shape.block_reserved[b] for b in online) << shape.pageblock_order
        present = len(online) * shape.block_pages
        require(z[PRESENT] == present, f"{name}: present {z[PRESENT]}, {len(online)} blocks")
        require(z[MANAGED] == present - reserved, f"{name}: managed {z[MANAGED]}")
        require(z[FREE] == free[zone], f"{name}: free {z[FREE]}, lists hold {free[zone]}")
        require(z[PCP] == pcp[zone], f"{name}: pcp {z[PCP]}, lists hold {pcp[zone]}")
        require(z[ISOLATED] == isolated[zone], f"{name}: isolated {z[ISOLATED]}")
        total = z[FREE] + z[PCP] + z[ISOLATED] + used[zone]
        require(z[MANAGED] == total, f"{name}: managed {z[MANAGED]}, accounted for {total}")


def block_sums(shape: HostShape, v: View) -> None:
    """blocks() equals a recount; an offline block has no page; no page is in two places."""
    taken: Tally[int] = Tally()
    per_block = [[0, 0, 0] for _ in v.blocks]  # free, used, pinned
    for pfn, (order, _, _) in v.chunks.items():
        taken.update(range(pfn, pfn + (1 << order)))
        per_block[pfn // shape.block_pages][0] += 1 << order
    for pfn, _ in v.pcp:
        taken[pfn] += 1
    for f in v.pages:
        end = f[PFN] + (1 << f[ORDER])
        taken.update(range(f[PFN], end))
        for pfn in range(f[PFN], end, shape.pageblock_pages):  # it may reach over several blocks
            pages = min(shape.pageblock_pages, end - pfn)
            row = per_block[pfn // shape.block_pages]
            row[1] += pages
            row[2] += pages if f[PINS] else 0
    twice = [pfn for pfn, n in taken.items() if n > 1]
    require(not twice, f"in two places: {sorted(twice)[:8]}")
    for block, (row, mine) in enumerate(zip(v.blocks, per_block, strict=True)):
        shown = [row[B_FREE], row[B_USED], row[B_PINNED]]
        if shown != mine:
            raise LawError(f"block {block}: free, used, pinned {shown}, recount {mine}")
        if row[B_FILE] + row[B_KERNEL] > row[B_USED]:
            raise LawError(f"block {block}: file + kernel > used")
        if row[B_ZONE] < 0 and mine != [0, 0, 0]:
            raise LawError(f"offline block {block} has pages")
        if row[B_ZONE] < 0 and row[B_ISOLATED]:
            raise LawError(f"offline block {block} is isolated")


def folios(shape: HostShape, v: View) -> None:
    """Folios are aligned, counts are not negative, no virtual page has two, pins add up."""
    pages, pins = 0, 0
    gigantic = shape.pageblock_order + shape.gigantic_pageblocks.bit_length() - 1
    orders = (0, shape.pageblock_order, gigantic)
    for f in v.pages:
        pfn, order, area, index, held_pins, references, _ = f
        if order not in orders:
            raise LawError(f"folio {f} has an odd order")
        if pfn % (1 << order) or (area != POOL and index % (1 << order)):
            raise LawError(f"folio {f} is not aligned")
        if held_pins < 0 or references < 0:
            raise LawError(f"folio {f} has a negative count")
        if area == POOL and (held_pins or references):
            raise LawError(f"pool folio {f} is held")
        pages += 1 << order if area >= 0 else 0
        pins += held_pins
    require(pages == len(v.content), "a virtual page has two folios")
    live = v.counters[Counter.NR_FOLL_PIN_ACQUIRED] - v.counters[Counter.NR_FOLL_PIN_RELEASED]
    require(live == pins, f"acquired - released = {live}, live pins {pins}")


class Marks:
    """Watermarks recomputed from the kernel's formulas, following each block that comes or goes.

    mm/page_alloc.c ``init_per_zone_wmark_min``, ``__setup_per_zone_wmarks``;
    mm/khugepaged.c ``set_recommended_min_free_kbytes``. ``nr_free_buffer_pages`` subtracts the
    high mark in force, so marks depend on the marks before.
    """

    def __init__(self, shape: HostShape, *, capped: bool) -> None:
        self.shape = shape
        self.capped = capped
        self.marks = [(0, 0, 0)] * shape.nr_zones

    def start(self, view: View) -> None:
        """Compute the marks of a host just made."""
        self._set(self._managed(self._zones(view)))

    def follow(self, before: View, now: View, command: list[int]) -> None:
        """Check the marks after one step."""
        shown = [(z[MIN], z[LOW], z[HIGH]) for z in now.zones]
        changed = self._zones(before) != self._zones(now)
        if command[1] == Op.MIN_FREE and command[2] >= 0 and (changed or shown != self.marks):
            self._spread(self._managed(self._zones(now)), command[2])
            if changed and shown != self.marks:  # the offline ended after the command
                self._spread(self._managed(self._zones(before)), command[2])
                self._step(before, now, command, [])
        else:
            start = self.marks
            for hidden in self._hidden(before, now):
                self.marks = start
                self._step(before, now, command, hidden)
                if self.marks == shown:
                    break
        for zone, (mine, theirs) in enumerate(zip(self.marks, shown, strict=True)):
            require(mine == theirs, f"zone {zone}: marks {theirs}, formula {mine}")
            require(mine[0] <= mine[1] <= mine[2], f"zone {zone}: marks {mine} out of order")

    def _hidden(self, before: View, now: View) -> Iterator[list[int]]:
        """Blocks that may have left their zone and come back within a step, the likeliest first.

        An offline that gives up puts back what it has removed. Blocks of a zone have the same size,
        as one with reserved pages cannot leave, so it matters only how many they are.
        """
        yield []
        if not before.offline_running:
            return
        stayed: dict[int, list[int]] = {}
        pairs = zip(self._zones(before), self._zones(now), strict=True)
        for block, (old, new) in enumerate(pairs):
            if old == new >= 0 and not self.shape.block_reserved[block]:
                stayed.setdefault(old, []).append(block)
        for blocks in stayed.values():
            for count in range(1, len(blocks) + 1):
                yield blocks[:count]

    def _step(self, before: View, now: View, command: list[int], hidden: list[int]) -> None:
        """Compute the marks anew for each block that leaves its zone, then for each that comes.

        An offline removes its blocks from the first one on, and puts them back so; an ONLINE, which
        comes after it, adds its blocks so.
        """
        zones, end = self._zones(before), self._zones(now)
        changed = [b for b, (old, new) in enumerate(zip(zones, end, strict=True)) if old != new]
        online = range(command[2], command[2] + command[3]) if command[1] == Op.ONLINE else ()
        for block in sorted(hidden + [b for b in changed if zones[b] >= 0]):
            zones[block] = -1
            self._set(self._managed(zones))
        come = hidden + [b for b in changed if end[b] >= 0]
        for block in sorted(come, key=lambda b: (b in online, b)):
            zones[block] = end[block]
            self._set(self._managed(zones))

    @staticmethod
    def _zones(view: View) -> list[int]:
        """Zone of each block."""
        return [row[B_ZONE] for row in view.blocks]

    def _managed(self, zones: list[int]) -> list[int]:
        managed = [0] * self.shape.nr_zones
        for block, zone in enumerate(zones):
            if zone >= 0:
                reserved = self.shape.block_reserved[block] << self.shape.pageblock_order
                managed[zone] += self.shape.block_pages - reserved
        return managed

    def _set(self, managed: list[int]) -> None:
        kinds = [z % len(ZoneKind) for z in range(len(managed))]
        low = [z for z, kind in enumerate(kinds) if kind != ZoneKind.MOVABLE]
        buffer = sum(max(managed[z] - self.marks[z][2], 0) for z in low)
        kbytes = min(max(isqrt(buffer * 64), 128), 262_144)
        pages = kbytes // 4
        self._spread(managed, pages)
        if self.shape.thp:
            zones = sum(1 + (kinds[z] == ZoneKind.DMA32) for z in low if managed[z])
            buffer = sum(max(managed[z] - self.marks[z][2], 0) for z in low)
            wanted = min((11 * zones) << self.shape.pageblock_order, buffer * 5 // 100)
            if wanted > pages:
                self._spread(managed, wanted)

    def _spread(self, managed: list[int], pages: int) -> None:
        kinds = [z % len(ZoneKind) for z in range(len(managed))]

        def counts(z: int) -> bool:
            return not (self.capped and kinds[z] == ZoneKind.MOVABLE)

        total = sum(m for z, m in enumerate(managed) if counts(z))
        self.marks = []
        for z, m in enumerate(managed):
            share = pages * m // total if total else 0
            low = share if counts(z) else min(max(m // 1024, 32), 128) if m else 0
            gap = max(share // 4, m // 1000)
            self.marks.append((low, low + gap, low + 2 * gap))
