"""Pages that several areas see, and pages that left their area while somebody holds them.

A *view* is a place in an area that shows the page of the area *below* at the same index. Two kinds
of area lie below others: a file, for those who map it (a write goes to the file's page), and an
*object*, an area without a process that took the pages of an area over when it was forked (a write
copies the page; who sees it alone takes it back). That is the shadow object of Mach (Rashid et al.,
"Machine-Independent Virtual Memory Management", ASPLOS 1987); the decisions are those of
mm/memory.c: ``copy_present_page`` (a page that somebody holds is copied at fork, since 5.9),
``do_wp_page`` (copy unless the page is seen once), mm/huge_memory.c ``do_huge_pmd_wp_page`` (a
shared THP is copied page by page).

Objects have numbers from -2 downwards. A page that is freed while held becomes an *orphan*: it
moves to an object that remembers the area it left and when, so that each pin finds the pages it
took, whatever the area shows now.

Simplified: a reference without FOLL_LONGTERM counts as a pin at fork, and is taken on a copy of a
page that others see. A held huge folio of which a part is freed is split. Pages nobody sees any
more are freed after the area's own.
"""

from engine.enums import Cell, Counter, Errno, FaultPath
from engine.reference.memory import ANONYMOUS, CACHES, Memory
from engine.reference.state import ABSENT, VIEW, Area, Folio, Pin

FIRST_OBJECT = -2
"""Number of the first object; the others follow downwards."""
NOTHING_BELOW = -1


class Sharing(Memory):
    """The layer of views, forks and orphans."""

    def _map_file(self, slot: int, proc: int, file: int) -> Errno:
        """MAP_FILE: a shared mapping of a whole file (an area of page cache)."""
        if not self._may_map(slot) or proc not in self.proc_of:
            return Errno.EINVAL
        below = self._mapped(file)
        if below is None or below.kind not in CACHES or below.below >= 0:
            return Errno.EINVAL
        self.area_of[slot] = Area(
            below.kind, proc, False, self.area_sequence, [ABSENT] * len(below.pages), below=file
        )
        self.area_sequence += 1
        return Errno.OK

    def _behind(self, slot: int, first: int = 0, count: int = 0) -> int:
        """The file a mapping shows, with a range of it mapped; any other area itself."""
        area = self.area_of[slot]
        if area.below < 0:
            return slot
        area.pages[first : first + count] = [VIEW] * count
        return area.below

    # -- fork ---------------------------------------------------------------------------------

    def _fork(self, child: int, slot: int, proc: int) -> Errno:
        """FORK: copy_page_range of one area into a process; EINTR when memory ends."""
        if not self._may_map(child) or proc not in self.proc_of:
            return Errno.EINVAL
        area = self._mapped(slot)
        if area is None or area.proc == proc:
            return Errno.EINVAL
        if area.kind not in ANONYMOUS and area.below < 0:
            return Errno.EINVAL
        copy = Area(area.kind, proc, area.hinted, self.area_sequence, [ABSENT] * len(area.pages))
        self.area_sequence += 1
        self.area_of[child] = copy
        self.tally.pages = len(area.pages)
        if area.below >= 0:
            copy.below, copy.pages = area.below, list(area.pages)
            return Errno.OK
        errno = self._copy_held(child, slot)
        if errno == Errno.OK:
            self._share(area, copy)
        return errno

    def _copy_held(self, child: int, slot: int) -> Errno:
        """Copy what somebody holds of an area, page by page."""
        pages, cpu = self.area_of[slot].pages, self._cpu(slot, -1)
        for index in range(len(pages)):
            if pages[index] < 0 or not self.owner[pages[index]].held:
                continue
            area = self.area_of[child]
            flagged = area.hinted and bool(self.table[Cell.HINT_HONOURED])
            request = self._fault_request(area, cpu, -1, flagged=flagged, pinning=False)
            self._fault_base(child, index, request, FaultPath.COW)
            if slot not in self.area_of:  # the parent was killed
                self._unmap(child)
                return Errno.EINTR
        return Errno.OK

    def _share(self, area: Area, copy: Area) -> None:
        """Give all that nobody holds to an object that both see."""
        number = self._new_object(area)
        shared = self.area_of[number]
        shared.below = area.below
        for index, entry in enumerate(area.pages):
            if entry >= 0 and self.owner[entry].held:
                continue
            if entry >= 0 or entry == VIEW:
                if entry >= 0:
                    self.owner[entry].area = number
                shared.pages[index] = entry
                area.pages[index] = copy.pages[index] = VIEW
            else:
                copy.pages[index] = entry
        area.below = copy.below = number

    def _new_object(self, like: Area) -> int:
        """An empty object as large as an area; the highest free number."""
        number = FIRST_OBJECT
        while number in self.area_of:
            number -= 1
        self.area_of[number] = Area(
            like.kind, -1, False, 0, [ABSENT] * len(like.pages), gigantic=like.gigantic
        )
        return number

    # -- writing to a view --------------------------------------------------------------------

    def _viewers(self, below: int, index: int) -> list[int]:
        """Areas that see the page of the area below at an index."""
        return [s for s, a in self.area_of.items() if a.below == below and a.pages[index] == VIEW]

    def _way_down(self, slot: int, index: int) -> list[int]:
        """Areas below a view, down to the one that has the page."""
        way = [self.area_of[slot].below]
        while self.area_of[way[-1]].pages[index] == VIEW:
            way.append(self.area_of[way[-1]].below)
        return way

    def _alone(self, slot: int, index: int, folio: Folio) -> bool:
        """Whether an area sees a page of a folio and nobody else does."""
        if self.area_of[slot].pages[index] != VIEW:
            return False
        way = self._way_down(slot, index)
        pfn = self.area_of[way[-1]].pages[index]
        if pfn < 0 or self.owner[pfn] is not folio:
            return False
        return all(len(self._viewers(below, index)) == 1 for below in way)

    def _take_back(self, slot: int, index: int) -> bool:
        """wp_page_reuse: a page, or THP, that nobody else sees becomes the area's own."""
        folio = self.owner[self.area_of[self._way_down(slot, index)[-1]].pages[index]]
        span = range(folio.index, folio.index + folio.pages)
        if not all(self._alone(slot, i, folio) for i in span):
            return False
        pages = self.area_of[slot].pages
        for i in span:
            for below in self._way_down(slot, i):
                self.area_of[below].pages[i] = ABSENT
            pages[i] = folio.pfn + i - folio.index
        folio.area = slot
        self.counters[Counter.PGFAULT] += 1
        return True

    def _sweep(self, number: int, first: int, count: int, cpu: int) -> None:
        """Free what nobody sees any more of the objects from ``number`` downwards."""
        while number <= FIRST_OBJECT:
            pages = self.area_of[number].pages
            start, index = -1, first - first % self.pb_pages
            end = min(-(-(first + count) // self.pb_pages) * self.pb_pages, len(pages))
            while index <= end:
                if index < end and self._forgotten(number, index):
                    start = index if start < 0 else start
                elif start >= 0:
                    self._release_range(number, start, index - start, cpu)
                    start = -1
                index += 1
            number = self.area_of[number].below

    def _forgotten(self, number: int, index: int) -> bool:
        """Whether nobody sees a page of an object, or any page of its folio."""
        pfn = self.area_of[number].pages[index]
        span = range(index, index + 1)
        if pfn >= 0:
            folio = self.owner[pfn]
            if folio.held:
                return False
            span = range(folio.index, folio.index + folio.pages)
        above = [area for area in self.area_of.values() if area.below == number]
        return not any(area.pages[i] == VIEW for area in above for i in span)

    # -- orphans ------------------------------------------------------------------------------

    def _orphan_held(self, slot: int, first: int, count: int) -> None:
        """Move what somebody holds of a range to an object."""
        area = self.area_of[slot]
        index, end = first, first + count
        while index < end:
            pfn = area.pages[index]
            folio = self.owner[pfn] if pfn >= 0 else None
            if folio is None or not folio.held:
                index += 1
            elif folio.index < index or folio.index + folio.pages > end:
                self._split_held(slot, folio)
            else:
                number = self._orphanage(slot)
                for i in range(index, index + folio.pages):
                    self.area_of[number].pages[i] = area.pages[i]
                    area.pages[i] = ABSENT
                folio.area = number
                index += folio.pages

    def _split_held(self, slot: int, folio: Folio) -> None:
        """Make base pages of a held huge folio, each with the pins and references it has."""
        for part in self._split_folio(folio):
            for pin in self.pin_of.values():
                if (
                    pin.area != slot
                    or pin.away
                    or not pin.first <= part.index < pin.first + pin.count
                ):
                    continue
                if pin.by_folio and part.index not in (pin.first, folio.index):
                    continue  # its pin stays with the first page it covers
                if self._page_of(pin, part.index) == part.pfn:
                    part.pins += pin.longterm
                    part.references += not pin.longterm

    def _orphanage(self, slot: int) -> int:
        """Object for pages that leave an area now: the last one, unless pins were taken since."""
        last = max((s for a, s, _ in self.gone if a == slot), default=-1)
        newest = max((p.sequence for p in self.pin_of.values() if p.area == slot), default=-1)
        if last > newest:
            return next(n for a, s, n in self.gone if (a, s) == (slot, last))
        number = self._new_object(self.area_of[slot])
        self.gone.append((slot, self._latest(), number))
        return number

    def _latest(self) -> int:
        """Index of the last command: the order of pins, and of pages that leave their areas."""
        return self.nr_commands - 1

    def _page_of(self, pin: Pin, index: int) -> int:
        """Page that a pin took at an index, ABSENT without any."""
        for area, sequence, number in self.gone:
            if area == pin.area and sequence > pin.sequence:
                pages = self.area_of[number].pages
                if index < len(pages) and pages[index] >= 0:
                    return pages[index]
        own = self.area_of.get(pin.area)
        return own.pages[index] if own is not None and index < len(own.pages) else ABSENT

    def _let_go(self, folio: Folio, cpu: int) -> None:
        """Free an orphan that nobody holds any more."""
        if folio.area <= FIRST_OBJECT and not folio.held:
            self._free_folio(folio, cpu)

    # -- objects that are not needed any more -------------------------------------------------

    def _tidy(self) -> None:
        """Forget empty objects; what one area alone sees of an object becomes its own."""
        again = True
        while again:
            objects = sorted((n for n in self.area_of if n <= FIRST_OBJECT), reverse=True)
            again = any(self._forget(n) or self._merge(n) for n in objects)

    def _forget(self, number: int) -> bool:
        """Forget an object without pages. Whether it was."""
        if any(p >= 0 or p == VIEW for p in self.area_of[number].pages):
            return False
        for area in self.area_of.values():
            if area.below == number:
                area.below = NOTHING_BELOW
        self.gone = [entry for entry in self.gone if entry[2] != number]
        del self.area_of[number]
        return True

    def _merge(self, number: int) -> bool:
        """Give all of an object to the only area that sees it, if it sees all. Whether it did."""
        above = [s for s, a in self.area_of.items() if a.below == number]
        if len(above) != 1:
            return False
        area, below = self.area_of[above[0]], self.area_of[number]
        if any(
            (q >= 0 or q == VIEW) and p != VIEW
            for p, q in zip(area.pages, below.pages, strict=True)
        ):
            return False
        for index, entry in enumerate(below.pages):
            if entry >= 0:
                self.owner[entry].area = above[0]
            if entry >= 0 or entry == VIEW:
                area.pages[index] = entry
        area.below = below.below
        del self.area_of[number]
        return True

    def _pins_over(self, folio: Folio) -> list[int]:
        """Pins that hold a folio."""
        span = range(folio.index, folio.index + folio.pages)
        areas = {a for a, _, n in self.gone if n == folio.area} or {folio.area}
        return [
            number
            for number, pin in self.pin_of.items()
            if pin.area in areas
            and not pin.away
            and any(
                pin.first <= i < pin.first + pin.count
                and self._page_of(pin, i) == folio.pfn + i - folio.index
                for i in span
            )
        ]
