"""Tries of an offline that do what the one before did: made once, counted as often as they happen.

A folio that somebody holds is tried ten times in each pass, and nothing comes of it but time. A try
in which no folio moved and no memory changed hands leaves everything as it was, so the next one of
the pass does the same unless a command acts. Rules as in
``engine.reference.offlining``, try by try.
"""

from engine.enums import NR_COUNTERS, Cell
from engine.kernel import kernel
from engine.listing import one_try
from engine.rehearsal import rehearse_try
from engine.state import (
    COUNTERS,
    G_MUT,
    G_NOW,
    G_REHEARSAL,
    M_ABORT,
    M_AGAIN2,
    M_AGAIN4,
    M_AGAING,
    M_AGAINT,
    M_FLIGHT,
    M_LATENCY,
    M_SPLIT,
    M_TIMES,
    O_HUGETLB,
    O_QUIET,
    O_STEP,
    O_TRIES,
    O_UNAVAILABLE,
    TABLE,
)

TRIES = int(Cell.MIGRATE_TRIES)


@kernel
def tries_alike(h, until_ns):
    """Make a try; after a quiet one, all the next ones of the pass that start before ``until_ns``.

    O_QUIET is 0, or one more than the time in ns that the last try took, if it was quiet.
    """
    times = tries_before(h, until_ns) if h.g[O_QUIET] else 1
    latency_ns, changes = h.g[M_LATENCY], h.g[G_MUT] + events(h)
    h.g[M_TIMES] = times
    for register in (M_AGAIN4, M_AGAIN2, M_AGAING, M_AGAINT):
        h.g[register] = 0
    if h.g[G_REHEARSAL]:
        rehearse_try(h)
    else:
        one_try(h)
    spent_ns = h.g[M_LATENCY] - latency_ns
    quiet = pending(h) and changes == h.g[G_MUT] + events(h) and not disturbed(h)
    h.g[O_QUIET] = 1 + spent_ns // times if quiet else 0
    h.g[G_NOW] += spent_ns // times * (times - 1)  # when the last one began
    h.g[O_STEP] += spent_ns
    h.g[O_UNAVAILABLE] += spent_ns
    h.g[O_TRIES] += times


@kernel
def tries_before(h, until_ns):
    """How many more tries the pass has, of those that start before a time."""
    left, each_ns = h.g[TABLE + TRIES] - h.g[O_TRIES], h.g[O_QUIET] - 1
    return min(left, (until_ns - 1 - h.g[O_STEP]) // each_ns + 1) if each_ns else left


@kernel
def pending(h):
    """Whether folios of the call are to be tried once more."""
    held = h.g[M_AGAIN4] + h.g[M_AGAIN2] + h.g[M_AGAING] + h.g[M_AGAINT]
    return held > 0 and not h.g[M_ABORT]


@kernel
def events(h):
    """A sum that grows with anything vmstat counts."""
    total = 0
    for c in range(NR_COUNTERS):
        total += h.g[COUNTERS + c]
    return total


@kernel
def disturbed(h):
    """Whether a try of this call may differ from the next one although it has changed nothing.

    I/O in flight ends, tails of split THPs have a turn of their own, and targets of held hugetlb
    folios change places in their pool.
    """
    return h.g[M_FLIGHT] or h.g[M_SPLIT] or h.g[O_HUGETLB]
