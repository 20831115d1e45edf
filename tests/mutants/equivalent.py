"""Faults that cannot be seen, each with the argument; the hunt leaves them out of its share.

A fault belongs here only where every observable (rows, counters, zones, blocks, lists, pages,
areas) is the same with it on any host, not because no test has noticed it.
"""

from tests.mutants.seeds import Seed

EQUIVALENT: dict[tuple[str, str, str, str], str] = {
    ("allocate.py", "alloc_huge_again", "h.zone[z, Z_FREE] >= least", "h.zone[z, Z_FREE] > least"):
    "the shortcut and alloc_huge, which is asked then, give the same pageblock",
    ("reclaim.py", "clusters_at_once", "above > 0", "above >= 0"):
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
    ("fallback.py", "fallback", "h.g[G_MAXO] + 1", "h.g[G_MAXO]"):
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
    ("orphans.py", "orphanage", "last > newest", "last >= newest"):
    "they are equal only where one command both takes a pin of an area and lets held pages of that"
    " area go. PIN and HOLD take one area, that of their own process, and let its pages go only by"
    " killing the process, after which nothing is taken; what runs between commands, an offline,"
    " lets no held page go. Both are never -1: who asks has found a pin or hold of the area",
    ("move.py", "move_base", "eats_itself and h.g[RQ_WAKES]", "eats_itself or h.g[RQ_WAKES]"):
    "asks for one page in more cases than before, and pieces of one page are what the reference"
    " takes; larger ones are a shortcut to the same",
    ("reclaim.py", "reclaim_from", "keep_oldest(h, a, node, zone, ref)", "(left out)"):
    "the next search begins at the area's first page instead, or where an earlier one of the same"
    " moment left it; what lies before the place left out cannot be reclaimed, and is passed over",
    ("move.py", "out_of_sight",
     "target == OFFLINE or (target == PIN and zone_from % KINDS == MOVABLE_KIND)",
     "target == OFFLINE and (target == PIN and zone_from % KINDS == MOVABLE_KIND)"):
    "never true then, so pages that have moved are freed one by one; where it is true they wait and"
    " are freed in one piece, in that order; nothing is freed or taken of their lists meanwhile",
    ("bags.py", "make_bag", "bag < NR_BAGS", "bag <= NR_BAGS"):
    "no bag has the number NR_BAGS, so the search ends there either way",
    ("shrinking.py", "first_in_bag", "h.g[HI_DRAWS] % TIDIES == 0", "h.g[HI_DRAWS] % TIDIES != 0"):
    "other draws clear bits, and as before only those of pageblocks without a page of the bag",
    ("shrinking.py", "shrink", "scout(h, a, key)", "(left out)"):
    "only asks for memory early",
    ("scouting.py", "ask_for_runs", "h.pbs[pb, PS_STATE] == SPLIT", "h.pbs[pb, PS_STATE] != SPLIT"):
    "only asks for other memory early",
    ("memory.py", "attach", "note_way(h, a, index, ref)", "(left out)"):
    "ways only ask for memory early",
    ("memory.py", "release_area", "bring_near(h, a)", "(left out)"):
    "only asks for memory early",
    ("unpin.py", "drop_pins", "bring_near(h, a)", "(left out)"):
    "only asks for memory early",
    ("unpin.py", "drop_pins", "not orphans and h.slot[q, PN_COUNT] > h.slot[a, AR_PAGES] // 2",
     "not orphans or h.slot[q, PN_COUNT] > h.slot[a, AR_PAGES] // 2"):
    "asks for memory early more often",
    ("unpin.py", "drop_pins", "h.slot[q, PN_COUNT] > h.slot[a, AR_PAGES] // 2",
     "h.slot[q, PN_COUNT] >= h.slot[a, AR_PAGES] // 2"):
    "asks for memory early more often",
    ("memory.py", "release_page", "split_folio(h, ref)", "(left out)"):
    "a pageblock has more pages than the one that is cut out, which makes it a split one from"
    " whatever it was",
    ("orphans.py", "any_pin", "h.slot[a, AR_PINS] > 0", "h.slot[a, AR_PINS] >= 0"):
    "the walk that is saved finds nothing: a pin or hold counts at the area whose pages it takes"
    " (a file's, by a mapping), FORK copies what is held, and orphans are an object's",
    ("unmap.py", "free_range", "showing and h.slot[a, AR_KIND] == THP",
     "showing or h.slot[a, AR_KIND] == THP"):
    "where no hole of the range shows anything its ends are not of the huge zero page either, and"
    " only areas of THPs have that",
    ("tuning.py", "leaving", "others > 0 and h.g[TABLE + PCP_RULE] == BATCH_TIMES_6",
     "others > 0 or h.g[TABLE + PCP_RULE] == BATCH_TIMES_6"):
    "pages go through the list one by one more often; what is counted beforehand is the same",
    ("tuning.py", "leaving", "others > 0", "others >= 0"):
    "pages go through the list one by one more often; what is counted beforehand is the same",
    ("tuning.py", "leaving", "out >= 0", "out > 0"):
    "no folios leave before the list was full, and until then the factor is as it was",
    ("tuning.py", "tune_after_free", "high < need", "high <= need"):
    "a capacity that is what is needed is written once more: it is within the zone's limits",
    ("tuning.py", "free_bulk", "pages <= 0", "pages < 0"):
    "of the next lists no page is freed",
    ("tuning.py", "alone", "k != t and h.fl[pcp_list(h, cpu, z, k), FL_COUNT] > 0",
     "k != t or h.fl[pcp_list(h, cpu, z, k), FL_COUNT] > 0"):
    "no list is found alone then, and one that is gives the same pages in several turns",
    ("tuning.py", "alone", "h.fl[pcp_list(h, cpu, z, k), FL_COUNT] > 0",
     "h.fl[pcp_list(h, cpu, z, k), FL_COUNT] >= 0"):
    "no list is found alone then, and one that is gives the same pages in several turns",
    ("bulk.py", "take_chunks", "pb + 1", "pb"):
    "asks for other memory early",
    ("stir.py", "stir_list", "pb + 1", "pb"):
    "what is kept of a chunk only asks for memory early; its length is written afterwards",
    ("bulk.py", "take_chunks", "k == row", "k != row"):
    "how many chunks a list has, and which came last, only asks for memory early",
    ("freelist.py", "came", "count + 1", "count"):
    "how many chunks a list has only asks for memory early",
    ("freelist.py", "goes", "count - 1", "count"):
    "how many chunks a list has only asks for memory early",
    ("freelist.py", "goes", "AHEAD - 1", "AHEAD"):
    "writes what the next list keeps of its chunks, which only asks for memory early; the last list"
    " is of isolated chunks of the largest order, which are neither taken nor merged",
    ("chains.py", "chain_insert", "h.slot[a, AR_OLDEST] == ref", "h.slot[a, AR_OLDEST] != ref"):
    "from keep_oldest until pages are mapped (claim) only drop_cache inserts into a file's chain:"
    " one of two parts of the element that is kept, the first of which becomes a hole",
    ("gather.py", "pass_through", "out < 0", "out <= 0"):
    "no page leaves the list, and they come to it one by one",
    ("gather.py", "pass_through_huge", "out < 0", "out <= 0"):
    "no folio leaves the list, and they come to it one by one",
    ("bags.py", "tidy", "h.pbs[k, PS_STATE] == SPLIT and (not thoroughly)",
     "h.pbs[k, PS_STATE] == SPLIT or not thoroughly"):
    "a bit that stays set costs looks and nothing else",
    ("bags.py", "tidy", "h.pbs[k, PS_STATE] == SPLIT", "h.pbs[k, PS_STATE] != SPLIT"):
    "a bit that stays set costs looks and nothing else, and one is cleared only after them",
    ("calls.py", "pages_to_fault", "unit >= count", "unit > count"):
    "a single call gives no more pages than one has, and goes the other way all the same",
    ("calls.py", "pin_calls", "most > unit", "most >= unit"):
    "a single call is served like a row of one, with the same result",
    ("calls.py", "take_pins", "note_way(h, a, index, ref)", "(left out)"):
    "ways only ask for memory early",
    ("stacks.py", "further", "steps > 0", "steps >= 0"):
    "only asks for other memory early",
    ("stacks.py", "further", "ref != NIL", "ref == NIL"):
    "only asks for other memory early",
    ("foresight.py", "foresee", "go_on(h, i + ahead)", "(left out)"):
    "only asks for memory early",
    ("kswapd.py", "turn", "h.g[KS_DROPPED] < 0", "h.g[KS_DROPPED] <= 0"):
    "a pass that has dropped nothing has ended: a turn that begins one goes on with it at once, and"
    " what is dropped then is either all that was asked for, which is not nothing, or ends it",
    ("move.py", "move_to", "new < NIL", "new <= NIL"):
    "there is a piece: the zone that find_zone gives has more free pages than its min mark, and a"
    " page is taken from whatever type has one (the line before uses the piece without asking);"
    " what join_around makes of it is an element, too",
    ("allocate.py", "more_at_hand", "h.zone[z, Z_PCPOFF] or h.g[RQ_MT] > MOVABLE",
     "h.zone[z, Z_PCPOFF] and h.g[RQ_MT] > MOVABLE"):
    "nothing is left of a batch there, so each piece is asked for by itself, with the same result",
    ("growing.py", "grow", "zone >= 0 or h.g[RQ_START] == h.small[CPUS + cpu]",
     "zone >= 0 and h.g[RQ_START] == h.small[CPUS + cpu]"):
    "a whole request in the place of a short one",
    ("growing.py", "grow", "zone >= 0", "zone > 0"):
    "a whole request in the place of a short one",
    ("move.py", "move_base", "h.g[TABLE + POOL] and pins", "h.g[TABLE + POOL] or pins"):
    "more elements move page by page, with the same result",
    ("move.py", "move_base", "out_of_sight(h, zone_from) and (not fills_pool)",
     "out_of_sight(h, zone_from) or not fills_pool"):
    "no request for a target gets what its source gave back: move_pages and an UNPIN name other"
    " nodes or zones, an isolated block's pages are on no list for it; and a single page asked for"
    " leaves nothing of a batch, while without lists source and target are one zone, whose pool the"
    " move does not change",
    ("move.py", "move_to", "ref < NIL", "ref <= NIL"):
    "there is an element",
    ("move.py", "move_to", "whole_again(h, a, new)", "(left out)"):
    "what joins is made whole by the joining; a run over a whole pageblock, from a CPU's list,"
    " stays one with the same pages",
    ("scouting.py", "scout", "n <= known", "n < known"):
    "equal numbers begin at the same draw",
    ("scouting.py", "scout", "n + BITS + 1", "n + BITS"):
    "a draw less is foretold, and other memory asked for early",
}  # fmt: skip
"""(file, function, before, after) -> why nothing can be seen."""
PLACES = {
    ("freelist.py", "goes", "count - 1", "count"): 2,
    ("compact.py", "empty_pageblock", "pb + 1", "pb"): 2,
    ("move.py", "move_to", "new < NIL", "new <= NIL"): 3,
}
"""Where an argument is about more than one place of a function."""


def argument(fault: Seed) -> str:
    """Why a fault cannot be seen; nothing where it can."""
    return EQUIVALENT.get((fault.file, fault.function, fault.before, fault.after), "")
