"""Short references in flight, drawn by key from their stationary law instead of simulated.

Direct I/O references its pages for less than a millisecond (mm/gup.c ``pin_user_pages_fast``
without FOLL_LONGTERM, Documentation/core-api/pin_user_pages.rst case 1), so what a try of
migrate_pages meets is a sample of a process in equilibrium. I/Os that arrive as a Poisson
process, each on one aligned stretch of an area, are an M/G/infinity queue: the number in flight
over a pageblock is Poisson distributed with mean rate x hold time, whatever the distribution of
hold times, and each is equally likely on every stretch (Takacs, "Introduction to the Theory of
Queues", 1962, chapter 3). Nothing is kept between two questions. Time is cut into epochs of one
hold time, shifted by key for each pageblock: inside an epoch the same pages are held, so that a
try some microseconds later meets the same I/O and one long after does not.

An I/O meets the pages that its area has in the stretch; pages that are held anyway are not
asked. Only anonymous areas have I/O: reclaim does not know it, and hugetlb pages are not drawn,
because an offline that moves them in circles could then never be skipped.
"""

from engine.draws import below
from engine.enums import AreaKind, Cell, Errno
from engine.reference.sharing import Sharing
from engine.reference.state import POOL_AREA, Folio, Io

ONE_BITS = 31
ONE = 1 << ONE_BITS
"""Fixed-point one of means and probabilities."""
MOST_IN_FLIGHT = 8
"""Highest mean number of I/Os in flight over one pageblock."""
MAX_HOLD_NS = (1 << 32) - 1
"""Longest hold time (4.3 s); what is held longer is an event (HOLD)."""
DENSITY_BITS = 12
"""Density counts I/Os in flight per ``10**DENSITY_BITS`` pages."""
PHASE, COUNT, PLACE = 1, 2, 3
"""Purposes of the draws: start of epochs, I/Os in flight, place of the first of them."""


def mean_in_flight(density: int, pages: int) -> int:
    """Mean I/Os in flight over ``pages`` pages, in units of 1 / ONE.

    ``2**31 / 10**12`` is ``2**19 / 5**12``, which keeps products below ``2**63``.
    """
    fives: int = 5**DENSITY_BITS
    return density * pages * (1 << (ONE_BITS - DENSITY_BITS)) // fives


def none_in_flight(mean: int) -> int:
    """exp(-mean) in integers: the series for at most a half, then squared as often as halved."""
    halvings = 0
    while mean > ONE // 2:
        mean >>= 1
        halvings += 1
    value = ONE
    for i in range(12, 0, -1):
        value = ONE - (mean * value >> ONE_BITS) // i
    for _ in range(halvings):
        value = value * value >> ONE_BITS
    return value


def poisson(sample: int, mean: int, none: int) -> int:
    """Number of I/Os for a uniform ``sample`` in [0, ONE), by inversion."""
    number, term, total = 0, none, none
    while sample >= total and term > 0:
        number += 1
        term = (term * mean >> ONE_BITS) // number
        total += term
    return number


def places(io: Io, pageblock: int, pageblock_pages: int, now_ns: int) -> list[int]:
    """Stretches of a pageblock (numbered from its start) under an I/O at ``now_ns``."""
    epoch = (now_ns + below(io.hold_ns, io.key, PHASE, pageblock, 0)) // io.hold_ns
    number = poisson(below(ONE, io.key, COUNT, pageblock, epoch), io.mean, io.none)
    stretches = pageblock_pages // io.pages
    return [below(stretches, io.key, PLACE + j, pageblock, epoch) for j in range(number)]


class InFlight(Sharing):
    """The layer of short references in flight."""

    later_ns = 0
    """How long after ``now_ns`` a pin that waits for references looks at pages."""

    def _io(self, slot: int, density: int, pages: int, hold_ns: int, key: int) -> Errno:
        """IO: from now on an area has I/O in flight (density 0: no more).

        Density is I/Os in flight per 10**12 pages; ``pages`` is the size of one, a part of a
        pageblock.
        """
        area = self._mapped(slot)
        if area is None or area.kind not in (AreaKind.ANON, AreaKind.THP):
            return Errno.EINVAL
        if density == 0:
            area.io = None
            return Errno.OK
        if not 1 <= pages <= self.pb_pages or self.pb_pages % pages:
            return Errno.EINVAL
        most = MOST_IN_FLIGHT * 10**DENSITY_BITS // self.pb_pages
        if not 0 < density <= most or not 0 < hold_ns <= MAX_HOLD_NS:
            return Errno.EINVAL
        mean = mean_in_flight(density, self.pb_pages)
        area.io = Io(mean, none_in_flight(mean), pages, hold_ns, key)
        return Errno.OK

    def _flights(self, folio: Folio) -> int:
        """I/Os in flight over a folio that nobody else holds, at this instant."""
        io = self.area_of[folio.area].io if folio.area != POOL_AREA else None
        if io is None or folio.held:
            return 0
        held = places(io, folio.pfn >> self.pbo, self.pb_pages, self.now_ns + self.later_ns)
        if folio.order:
            return len(held)
        return held.count(folio.pfn % self.pb_pages // io.pages)

    def _await_references(self, folios: list[Folio]) -> int:
        """Wait for each folio in turn until nobody else refers to it; returns ns waited in all.

        At most ``Cell.PIN_WAIT_NS`` each. A pin or a HOLD never ends meanwhile, because commands
        act at an instant; an I/O in flight ends with its epoch.
        """
        most, waited = self.table[Cell.PIN_WAIT_NS], 0
        for folio in folios if most else []:
            self.later_ns, end = waited, waited + most
            while self.later_ns < end and (folio.held or self._flights(folio)):
                self.later_ns = min(end if folio.held else self._epoch_end(folio), end)
            waited = self.later_ns
        self.later_ns = 0
        return waited

    def _epoch_end(self, folio: Folio) -> int:
        """When the epoch of a folio's pageblock ends, as ``later_ns``."""
        io = self.area_of[folio.area].io
        assert io is not None
        shift = below(io.hold_ns, io.key, PHASE, folio.pfn >> self.pbo, 0)
        epoch = (self.now_ns + self.later_ns + shift) // io.hold_ns
        return (epoch + 1) * io.hold_ns - shift - self.now_ns
