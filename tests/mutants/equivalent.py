"""Faults that cannot be seen, each with the argument; the hunt leaves them out of its share.

A fault belongs here only where every observable (rows, counters, zones, blocks, lists, pages,
areas) is the same with it on any host, not because no test has noticed it.
"""

from tests.mutants.seeds import Seed

EQUIVALENT: dict[tuple[str, str, str, str], str] = {
    ("allocate.py", "alloc_huge_again", "h.zone[z, Z_FREE] >= least", "h.zone[z, Z_FREE] > least"):
    "the shortcut and alloc_huge, which is asked then, give the same pageblock",
    ("allocate.py", "clusters_at_once", "above > 0", "above >= 0"):
    "above = 0 means one page over the min mark's need, with a chunk at hand: compaction is"
    " suitable then and reclaim_for_huge has ended before it asks",
    ("bulk.py", "take_folios", "most - taken > 1", "most - taken >= 1"):
    "take_chunks for half of one chunk, that is none, writes the list's head as it is",
    ("compact.py", "empty_pageblock", "pb + 1", "pb"):
    "the scan of the zone ends at this pageblock either way, and its end writes the place anew; no"
    " huge page can have come of a pageblock that was not emptied, so it does end",
    ("fault.py", "populate_huge", "z != zone_of_pb(h, pb)", "z == zone_of_pb(h, pb)"):
    "z is -1 and no zone is, so it stays -1: every folio is asked for by itself, as the"
    " reference does",
    ("freelist.py", "fallback", "h.g[G_MAXO] + 1", "h.g[G_MAXO]"):
    "the search for a small chunk starts where one exists below half a pageblock, far from the"
    " largest order",
    ("memory.py", "free_loose_base",
     "cpu < 0 or h.blk[b, BK_ISO] or h.zone[h.blk[b, BK_ZONE], Z_PCPOFF]",
     "cpu < 0 and h.blk[b, BK_ISO] and h.zone[h.blk[b, BK_ZONE], Z_PCPOFF]"):
    "free_base asks the same and frees the run past the lists, whose pieces merge into the same"
    " pageblock",
    ("skipping.py", "note_pass", "min(n, RING) + 1", "min(n, RING)"):
    "the oldest of the passes that are kept is not looked at: a period is found one pass later, or"
    " (one as long as the ring) never, and what is skipped adds exactly what passes one by one do",
    ("sharing.py", "orphanage", "last > newest", "last >= newest"):
    "they are equal only where one command both takes a pin of an area and lets held pages of that"
    " area go. PIN and HOLD take one area, that of their own process, and let its pages go only by"
    " killing the process, after which nothing is taken; what runs between commands, an offline,"
    " lets no held page go. Both are never -1: who asks has found a pin or hold of the area",
    ("move.py", "move_base", "eats_itself and h.g[RQ_WAKES]", "eats_itself or h.g[RQ_WAKES]"):
    "asks for one page in more cases than before, and pieces of one page are what the reference"
    " takes; larger ones are a shortcut to the same",
    ("allocate.py", "reclaim_from", "keep_oldest(h, a, node, zone, ref)", "(left out)"):
    "the next search begins at the area's first page instead, or where an earlier one of the same"
    " moment left it; what lies before the place left out cannot be reclaimed, and is passed over",
    ("move.py", "out_of_sight",
     "target == OFFLINE or (target == PIN and zone_from % KINDS == MOVABLE_KIND)",
     "target == OFFLINE and (target == PIN and zone_from % KINDS == MOVABLE_KIND)"):
    "never true then, so pages that have moved are freed one by one; where it is true they wait and"
    " are freed in one piece, in that order; nothing is freed or taken of their lists meanwhile",
}  # fmt: skip
"""(file, function, before, after) -> why nothing can be seen."""
PLACES = {("compact.py", "empty_pageblock", "pb + 1", "pb"): 2}
"""Where an argument is about more than one place of a function."""


def argument(fault: Seed) -> str:
    """Why a fault cannot be seen; nothing where it can."""
    return EQUIVALENT.get((fault.file, fault.function, fault.before, fault.after), "")
