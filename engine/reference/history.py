"""The history of a host: areas whose pages come and go in random order.

An area that is aged is a *bag*: its present pages come first in virtual order and what is taken
out leaves no gap, so a history of any length leaves only its fragments behind. Chunks are freed
straight to the buddy, lowest page first, as long after the fact the per-CPU lists have drained.
Touches go through the CPUs' lists, on a CPU drawn for each chunk. Nobody waits for any of it, so
it has no latency, and it never sets off the OOM killer: where memory ends the bag stops growing.

The rules follow the experiment of kernel-lab/behaviours.md, "Placement and nodes", 7 to 9:
occupancy that walks between two levels, six chunk sizes from one page to a pageblock.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace

from engine.draws import below, draw
from engine.enums import AreaKind, Cell, Counter, Errno, Migratetype, ZoneKind
from engine.reference.allocator import Request
from engine.reference.offlining import Offlining
from engine.reference.state import ABSENT

NR_SIZES = 6
"""Chunk sizes: 2**(pageblock_order * i // 5) pages, i from 0; 4 KiB to 2 MiB on x86-64."""
WEIGHT_BITS = 8
"""A mix holds the weight of size i in its bits 8 i to 8 i + 7."""
TRIES, REACH = 8, 32
"""Draws of a place, and pageblocks looked at from each, before the bag's newest page is taken."""
MAX_PAGES = 1 << 30
"""Largest bag, virtual pages."""


WORD = 1 << 64
MILLION = 1_000_000


@dataclass(slots=True)
class Draws:
    """The draws of one command, in order."""

    key: int
    index: int = 0

    def pair(self, first: int, second: int) -> tuple[int, int]:
        """Two numbers in ``[0, first)`` and ``[0, second)`` from the next draw.

        What the multiplication that scales the first one leaves below the point is the second.
        """
        product = draw(self.key, self.index) * first
        self.index += 1
        return product // WORD, product % WORD * second // WORD


class History(Offlining):
    """The layer of ageing."""

    def _age(self, slot: int, key: int, pages: int, low: int, high: int, mix: int) -> Errno:
        """AGE: walk the bag between ``low`` and ``high`` present pages until ``pages`` were freed.

        It grows to ``high``; while fewer than ``pages`` are freed it shrinks, by a chunk at least,
        to ``low`` and grows to ``high`` again. It ends early when a chunk to free is not found.
        ENOMEM when it ends below ``high``.
        """
        errno = self._bag_errno(slot, mix, key)
        if errno != Errno.OK:
            return errno
        if pages < 0 or not 0 <= low <= high <= len(self.area_of[slot].pages):
            return Errno.EINVAL
        draws = Draws(key)
        growing, more = True, True
        while more:
            if growing:
                present = self._present(slot)
                if present < high and self._grow(slot, draws, mix, high - present, -1):
                    continue
                growing, more = False, self.tally.pages < pages
            else:
                more = self._shrink(slot, draws, mix, self._draw_span(-1))
                growing = self._present(slot) <= low or self.tally.pages >= pages
        return Errno.OK if self._present(slot) >= high else Errno.ENOMEM

    def _follow(self, slot: int, key: int, zid: int, churn: int, free: int, mix: int) -> Errno:
        """CACHE: let a bag of page cache fill what a zone has free, but for ``free`` pages.

        Free is what user memory could have without reclaim, above low marks and lowmem reserves.
        The bag grows until ``free - churn`` pages are, then chunks are dropped in random order
        until ``free`` are.
        """
        errno = self._bag_errno(slot, mix, key)
        if errno != Errno.OK:
            return errno
        if self.area_of[slot].kind != AreaKind.FILE or not 0 <= zid < len(self.zone):
            return Errno.EINVAL
        if churn < 0 or free < 0:
            return Errno.EINVAL
        draws, floor, span = Draws(key), max(free - churn, 0), self._draw_span(zid)
        while self._spare(zid) > floor:
            if not self._grow(slot, draws, mix, self._spare(zid) - floor, zid):
                break
        while self._spare(zid) < free and self._shrink(slot, draws, mix, span):
            pass
        return Errno.OK

    def _stir(self, key: int, zid: int, millionths: int) -> Errno:
        """STIR: permute the first ``millionths`` of a zone's lists of maximal chunks.

        What a history leaves behind whose tenants, in pageblocks, have all gone in random order:
        their chunks have merged, and lie in the order in which they did. The rest of a list was
        never used.
        """
        if not 0 <= millionths <= MILLION or not 0 <= zid < len(self.zone):
            return Errno.EINVAL
        for mt, lists in zip(Migratetype, self.zone[zid].free_area, strict=True):
            chunks = list(lists[self.max_order])
            used = len(chunks) * millionths // MILLION
            for i in range(used - 1, 0, -1):
                j = below(i + 1, key, zid, int(mt), i)
                chunks[i], chunks[j] = chunks[j], chunks[i]
            lists[self.max_order] = OrderedDict.fromkeys(chunks)
        return Errno.OK

    def _bag_errno(self, slot: int, mix: int, key: int) -> Errno:
        """EINVAL unless the area can be a bag and the mix has weights; EBUSY if it is held."""
        area = self._mapped(slot)
        if area is None or area.kind in (AreaKind.THP, AreaKind.HUGETLB) or area.below != -1:
            return Errno.EINVAL
        if len(area.pages) > MAX_PAGES or not 0 < mix < 1 << NR_SIZES * WEIGHT_BITS or key < 0:
            return Errno.EINVAL
        held = any(pin.area == slot and pin.count for pin in self.pin_of.values())
        return Errno.EBUSY if held else Errno.OK

    def _present(self, slot: int) -> int:
        """Present pages of a bag."""
        return sum(pfn >= 0 for pfn in self.area_of[slot].pages)

    def _spare(self, zid: int) -> int:
        """Pages a zone has for user memory: above its low mark and lowmem reserve."""
        zone = self.zone[zid]
        return max(zone.free_pages - zone.low - self._reserve(zone, ZoneKind.MOVABLE), 0)

    def _chunk_pages(self, mix: int, pick: int) -> int:
        """Pages of the chunk size that ``pick`` of all weights falls to."""
        size = 0
        while pick >= mix >> WEIGHT_BITS * size & 255:
            pick -= mix >> WEIGHT_BITS * size & 255
            size += 1
        return 1 << self.pbo * size // (NR_SIZES - 1)

    # -- growing ------------------------------------------------------------------------------

    def _grow(self, slot: int, draws: Draws, mix: int, most: int, zid: int) -> bool:
        """Touch a chunk at the end of the bag. False when memory or address space ended.

        A chunk of a whole pageblock is asked for as a THP would be, but mapped as base pages.
        ``zid``: the one zone it comes from, -1: any of the zonelist.
        """
        area = self.area_of[slot]
        pick, cpu = draws.pair(_weight(mix), len(self.shape.cpu_node))
        size = self._chunk_pages(mix, pick)
        end = self._bag_end(slot)
        size = min(size, most, len(area.pages) - end)
        if not size:
            return False
        movable = area.kind != AreaKind.KERNEL
        if area.hinted and self.table[Cell.HINT_HONOURED]:
            movable = False
        nodes = self._nodes_from(self.shape.cpu_node[cpu])
        request = self._request(nodes, movable, cpu, area.proc, may_oom=False)
        if zid >= 0:
            request = replace(request, zones=(self.zone[zid],))
        if size == self.pb_pages:
            pfn = self._whole_pageblock(request, file=area.kind == AreaKind.FILE)
            if pfn >= 0:
                for i in range(size):
                    self._append(slot, end + i, pfn + i)
                return True
        for index in range(end, end + size):
            if area.kind == AreaKind.FILE:
                pfn = self._taken(self._from_freelists(request, 0, low=True))
            else:
                pfn = self._alloc(request, 0)
            if pfn < 0:
                return False
            self._append(slot, index, pfn)
        return True

    def _whole_pageblock(self, request: Request, *, file: bool) -> int:
        """A free pageblock; page cache does not go below the low marks. -1 if none."""
        pfn = self._from_freelists(request, self.pbo, low=True)
        if pfn < 0 and not file:
            pfn = self._from_freelists(request, self.pbo, low=False)
        return pfn

    def _append(self, slot: int, index: int, pfn: int) -> None:
        """Map a base page behind the others."""
        self._place(slot, index, pfn, 0)
        self.counters[Counter.PGFAULT] += 1
        self.tally.faulted_pages += 1

    def _bag_end(self, slot: int) -> int:
        """First of the untouched pages at the end of a bag."""
        pages = self.area_of[slot].pages
        end = len(pages)
        while end and pages[end - 1] == ABSENT:
            end -= 1
        return end

    # -- shrinking ----------------------------------------------------------------------------

    def _draw_span(self, zid: int) -> range:
        """Pages among which chunks to free are drawn: all, or from a zone's first to its last."""
        blocks = [b for b, zone in enumerate(self.block_zone) if zid in (-1, zone)]
        first, end = (blocks[0], blocks[-1] + 1) if blocks else (0, 0)
        return range(first * self.shape.block_pages, end * self.shape.block_pages)

    def _shrink(self, slot: int, draws: Draws, mix: int, span: range) -> bool:
        """Free the bag's pages of one aligned chunk. False when nothing could be freed.

        The chunk lies around a page drawn from the span; where that is not the bag's, around the
        page at the same place of one of the next pageblocks. After some draws in vain it lies
        around the newest page.
        """
        if not span or not any(pfn >= 0 for pfn in self.area_of[slot].pages):
            return False
        for _ in range(TRIES):
            drawn, pick = draws.pair(len(span), _weight(mix))
            near = (span[(drawn + self.pb_pages * i) % len(span)] for i in range(REACH))
            pfn = next((p for p in near if self._in_bag(slot, p)), ABSENT)
            if pfn >= 0:
                break
        else:
            pfn = self.area_of[slot].pages[self._newest(slot)]
            if not self._in_bag(slot, pfn):
                return False
        size = self._chunk_pages(mix, pick)
        first = pfn - pfn % size
        mine = [p for p in range(first, first + size) if self._in_bag(slot, p)]
        self._take_out(slot, set(mine))
        for p in mine:
            self._free_chunk(p, 0)
        self.tally.pages += len(mine)
        return True

    def _newest(self, slot: int) -> int:
        """Index of the last present page of a bag."""
        return max(i for i, pfn in enumerate(self.area_of[slot].pages) if pfn >= 0)

    def _in_bag(self, slot: int, pfn: int) -> bool:
        """Whether a page may be freed: the bag's, and not in a block that is being removed."""
        folio = self.owner.get(pfn)
        if folio is None or folio.area != slot:
            return False
        return not self.block_isolated[self._block(pfn)]

    def _take_out(self, slot: int, pfns: set[int]) -> None:
        """Unmap pages and close the gaps they leave."""
        area = self.area_of[slot]
        first = min(self.owner[pfn].index for pfn in pfns)
        behind = [pfn for pfn in area.pages[first:] if pfn not in pfns]
        area.pages[first:] = behind + [ABSENT] * len(pfns)
        for index, pfn in enumerate(behind, first):
            if pfn >= 0:
                self.owner[pfn].index = index
        for pfn in pfns:
            del self.owner[pfn]


def _weight(mix: int) -> int:
    """All weights of a mix."""
    return sum(mix >> WEIGHT_BITS * i & 255 for i in range(NR_SIZES))
