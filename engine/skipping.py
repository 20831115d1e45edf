"""Endless loops, skipped.

A pass that changed nothing repeats for ever: then whole passes are skipped up to the next event and
the counters advanced by what one pass adds. The same is done for hugetlb folios that change places
inside the block with a period of at most RING passes. Draws of I/O in flight cannot disturb a
repetition: a pass in which one made a folio stay is not taken for one, and where nothing unheld
moved there was no room, whatever was drawn.
"""

from engine.enums import NR_COUNTERS, Cell, OfflineRule
from engine.kernel import kernel
from engine.slowdown import mark_work, repeat_work
from engine.state import (
    COUNTERS,
    FOLIO,
    G_BLOCK_PBS,
    G_MUT,
    G_NNODES,
    G_NZONES,
    NIL,
    NR_MOVE,
    O_BLOCK,
    O_BOUND,
    O_CURSOR,
    O_ENDLESS,
    O_ERRORS,
    O_FAILED,
    O_MARK,
    O_MIGRATED,
    O_ON,
    O_PASSES,
    O_RINGN,
    O_SIGNAL,
    O_START,
    O_STEP,
    O_UNAVAILABLE,
    PB_AUX,
    PB_NEXT,
    PB_PREV,
    PH_OWN,
    PS_STATE,
    RING,
    TABLE,
    Z_POOL,
)

RULE, RULE_NS = int(Cell.OFFLINE_RULE), int(Cell.OFFLINE_BOUND_NS)
BOUNDED, TIMED, PACED = (
    int(OfflineRule.BOUNDED_4_13),
    int(OfflineRule.TIMEOUT),
    int(OfflineRule.PACED),
)
FOR_EVER = (1 << 63) - 1
RING_REGISTERS = 8
"""Ring columns: digest, mutations, step_ns, then passes, migrated, failed, unavailable, errors."""


@kernel
def mix(x, y):
    """Mix a word into a digest."""
    x = (x ^ y) * 0x9E3779B97F4A7C1
    return x ^ (x >> 29)


@kernel
def digest(h):
    """Digest of what a pass without buddy traffic can change: the block's folios, the pools."""
    d = h.g[O_CURSOR]
    start = h.g[O_BLOCK] * h.g[G_BLOCK_PBS]
    for pb in range(start, start + h.g[G_BLOCK_PBS]):
        if h.pbs[pb, PS_STATE] == FOLIO:
            d = mix(d, pb)
            d = mix(d, h.pbh[pb, PH_OWN])
            d = mix(d, h.pb[pb, PB_PREV])
            d = mix(d, h.pb[pb, PB_NEXT])
            d = mix(d, h.pb[pb, PB_AUX])
    for node in range(h.g[G_NNODES]):
        for size in range(2):
            pb = h.zone[node * 3 + size, Z_POOL]
            while pb != NIL:
                d = mix(d, pb)
                pb = h.pb[pb, PB_NEXT]
            d = mix(d, -1)
    return d


@kernel
def save_pass(h, k, d):
    """Remember in ring slot k how things stood after a pass."""
    h.moves[k + 2, 0] = d
    h.moves[k + 2, 1] = h.g[G_MUT]
    h.moves[k + 2, 2] = h.g[O_STEP]
    h.moves[k + 2, 3] = h.g[O_PASSES]
    h.moves[k + 2, 4] = h.g[O_MIGRATED]
    h.moves[k + 2, 5] = h.g[O_FAILED]
    h.moves[k + 2, 6] = h.g[O_UNAVAILABLE]
    h.moves[k + 2, 7] = h.g[O_ERRORS]
    for c in range(NR_COUNTERS):
        h.moves[k + 2, RING_REGISTERS + c] = h.g[COUNTERS + c]
    for c in range(h.g[G_NZONES] * h.g[G_NZONES] * NR_MOVE):
        h.moves[k + 2, RING_REGISTERS + NR_COUNTERS + c] = h.moves[1, c]


@kernel
def note_pass(h, until_ns):
    """Look for the state after this pass among the last ones; skip whole periods if found."""
    d = digest(h)
    n = h.g[O_RINGN]
    period = 0
    for back in range(1, min(n, RING) + 1):
        k = (n - back) % RING
        if h.moves[k + 2, 0] == d and h.moves[k + 2, 1] == h.g[G_MUT]:
            period = back
            break
    if not period or n - h.g[O_MARK] == period:  # else the mark has to be one period old first
        if period:
            skip(h, (n - period) % RING, until_ns)
        mark_work(h, n)
    save_pass(h, n % RING, d)
    h.g[O_RINGN] = n + 1


@kernel
def repeats_until(h):
    """Until when a running offline only repeats its last pass; 0 when it may do something else."""
    n = h.g[O_RINGN]
    last = (n - 1) % RING + 2
    before = (n - 2) % RING + 2
    if not h.g[O_ON] or not h.g[O_ENDLESS] or h.g[O_SIGNAL] or n < 2 or passes_count(h):
        return 0
    if h.moves[last, 0] != h.moves[before, 0] or h.moves[last, 1] != h.moves[before, 1]:
        return 0
    return ends(h, FOR_EVER)


@kernel
def passes_count(h):
    """Whether the policy counts passes that fail."""
    return h.g[TABLE + RULE] == BOUNDED or h.g[TABLE + RULE] == PACED


@kernel
def ends(h, until_ns):
    """When an offline ends by itself, at the latest ``until_ns``."""
    if h.g[O_BOUND]:
        until_ns = min(until_ns, h.g[O_START] + h.g[O_BOUND])
    if h.g[TABLE + RULE] == TIMED or h.g[TABLE + RULE] == BOUNDED:
        until_ns = min(until_ns, h.g[O_START] + h.g[TABLE + RULE_NS])
    return until_ns


@kernel
def skip(h, k, until_ns):
    """Advance by as many whole periods as fit before the next event.

    Only steps that start before ``until_ns`` are run, and a pass whose last try costs nothing (it
    found no target) ends when that try starts.
    """
    period = h.g[O_STEP] - h.moves[k + 2, 2]
    limit = ends(h, until_ns - 1)
    if period <= 0 or passes_count(h) or h.g[O_SIGNAL] or limit <= h.g[O_STEP]:
        return
    times = (limit - h.g[O_STEP]) // period
    if times <= 0:
        return
    h.g[O_STEP] += times * period
    h.g[O_PASSES] += times * (h.g[O_PASSES] - h.moves[k + 2, 3])
    h.g[O_MIGRATED] += times * (h.g[O_MIGRATED] - h.moves[k + 2, 4])
    h.g[O_FAILED] += times * (h.g[O_FAILED] - h.moves[k + 2, 5])
    h.g[O_UNAVAILABLE] += times * (h.g[O_UNAVAILABLE] - h.moves[k + 2, 6])
    h.g[O_ERRORS] += times * (h.g[O_ERRORS] - h.moves[k + 2, 7])
    for c in range(NR_COUNTERS):
        h.g[COUNTERS + c] += times * (h.g[COUNTERS + c] - h.moves[k + 2, RING_REGISTERS + c])
    for c in range(h.g[G_NZONES] * h.g[G_NZONES] * NR_MOVE):
        h.moves[1, c] += times * (h.moves[1, c] - h.moves[k + 2, RING_REGISTERS + NR_COUNTERS + c])
    repeat_work(h, times)
    h.g[O_RINGN] = 0
