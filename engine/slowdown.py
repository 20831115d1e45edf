"""How often and how long the pages of each area could not be used because somebody worked them.

As in ``engine.reference.state.Moves``: a folio is unmapped for the time that its move, or a try of
it that fails, takes. Two sets of books are kept, as of moves: 0 is the running command's, 1 the
running offline's, which other commands interrupt. A loop that is skipped needs to know what one
period of it did: LP_MARK, LP_MARK_NS are how the offline's books stood after the pass O_MARK.
Rows of areas outside W_FIRST to W_STOP (LW_FIRST to LW_STOP) hold zeros.
"""

from engine.emit import new_row
from engine.enums import Row, SlowReason
from engine.kernel import kernel
from engine.state import (
    AR_WORK_NS,
    AR_WORKS,
    LP_MARK,
    LP_MARK_NS,
    LP_WORK_NS,
    LP_WORKS,
    LW_FIRST,
    LW_STOP,
    NIL,
    O_ATTEMPT,
    O_MARK,
    W_FIRST,
    W_STOP,
)

SLOWED = int(Row.SLOWED)
HOTPLUG = int(SlowReason.MEMORY_HOTPLUG)
SUSPENDED = int(SlowReason.SUSPENDED)


@kernel
def note_work(h, which, a, times, ns):
    """Count folios of an area (objects: of none) that were unmapped, ``ns`` in all."""
    row = max(a, NIL)
    first, stop = W_FIRST + 2 * which, W_STOP + 2 * which
    h.slot[row, AR_WORKS + 2 * which] += times
    h.slot[row, AR_WORK_NS + 2 * which] += ns
    if h.g[first] == h.g[stop]:
        h.g[first] = row
        h.g[stop] = row + 1
    elif row < h.g[first]:
        h.g[first] = row
    elif row >= h.g[stop]:
        h.g[stop] = row + 1


@kernel
def emit_work(h, which, reason, slot):
    """One SLOWED row per area in a set of books, then clear it."""
    first, stop = h.g[W_FIRST + 2 * which], h.g[W_STOP + 2 * which]
    for a in range(first, stop):
        if h.slot[a, AR_WORKS + 2 * which]:
            emit_slowed(h, which, reason, slot, a)
    h.g[W_FIRST + 2 * which] = 0
    h.g[W_STOP + 2 * which] = 0


@kernel
def emit_slowed(h, which, reason, slot, a):
    """The SLOWED row of one area, whose books are cleared."""
    works, ns = AR_WORKS + 2 * which, AR_WORK_NS + 2 * which
    new_slowed(h, reason, slot, a, h.slot[a, works], h.slot[a, ns])
    h.slot[a, works] = 0
    h.slot[a, ns] = 0
    if which:
        h.slot[a, LP_MARK] = 0
        h.slot[a, LP_MARK_NS] = 0


@kernel
def new_slowed(h, reason, slot, a, times, ns):
    """A SLOWED row."""
    n = new_row(h, SLOWED)
    h.rows[n, 3] = reason
    h.rows[n, 4] = slot
    h.rows[n, 5] = a
    h.rows[n, 6] = times
    h.rows[n, 7] = ns


@kernel
def area_ends(h, a):
    """Say what the running offline has done to an area that ends: its number may be used again."""
    if a >= 0 and h.slot[a, LP_WORKS]:
        emit_slowed(h, 1, HOTPLUG, h.g[O_ATTEMPT], a)


@kernel
def mark_work(h, n):
    """Remember how the offline's books stand after pass ``n``."""
    h.g[O_MARK] = n
    for a in range(h.g[LW_FIRST], h.g[LW_STOP]):
        h.slot[a, LP_MARK] = h.slot[a, LP_WORKS]
        h.slot[a, LP_MARK_NS] = h.slot[a, LP_WORK_NS]


@kernel
def repeat_work(h, times):
    """What was done since the mark was done again, so many times."""
    for a in range(h.g[LW_FIRST], h.g[LW_STOP]):
        h.slot[a, LP_WORKS] += times * (h.slot[a, LP_WORKS] - h.slot[a, LP_MARK])
        h.slot[a, LP_WORK_NS] += times * (h.slot[a, LP_WORK_NS] - h.slot[a, LP_MARK_NS])
