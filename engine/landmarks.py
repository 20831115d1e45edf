"""Landmarks: where every 512th page of an area is, for hosts that are worked on page by page.

A position is found by walking an area's chain from the last one used, which suits work along an
area and costs thousands of steps for pages drawn at random. When many commands of a batch are about
a few pages each, the host gets two tables: ``marks`` has a row per pageblock's worth of an area's
virtual pages (an element, at which of them it begins), ``marked`` says which row an element stands
in (plus one; 0: none). A row counts only while both agree: an element whose first index may have
changed, or that left its chain, is taken out of ``marked`` and nothing else, and the next visitor
writes the row anew. Bags have none, as their positions move (``engine.history``).
"""

from engine.kernel import kernel, part
from engine.state import AR_MARKS, G_PBO, G_PBP, NIL

REACH = 32
"""Rows looked at before and behind; further away the walk starts where the last one ended."""


@part
def place_of(h, ref):
    """Where an element stands in ``marked``."""
    return ref if ref >= 0 else len(h.pb) + (-2 - ref)


@kernel
def unmark(h, ref):
    """An element leaves its place or its first index may change."""
    if len(h.marks):
        h.marked[place_of(h, ref)] = 0


@part
def hand_over(h, ref, new):
    """An element takes another's place."""
    if len(h.marks):
        row = h.marked[place_of(h, ref)]
        h.marked[place_of(h, ref)] = 0
        h.marked[place_of(h, new)] = row
        if row:
            h.marks[row - 1, 0] = new


@kernel
def mark(h, a, ref, pos):
    """Write the row of an element that begins at an index, unless another one holds it."""
    row = h.slot[a, AR_MARKS] + (pos >> h.g[G_PBO])
    if not valid(h, row):
        h.marks[row, 0] = ref
        h.marks[row, 1] = pos & h.g[G_PBP] - 1
        h.marked[place_of(h, ref)] = row + 1


@part
def first_index(h, a, row):
    """First index of the element that a row of an area names."""
    return (row - h.slot[a, AR_MARKS] << h.g[G_PBO]) + h.marks[row, 1]


@part
def valid(h, row):
    """Whether a row counts."""
    ref = h.marks[row, 0]
    return ref != NIL and h.marked[place_of(h, ref)] == row + 1


@kernel
def nearest(h, a, index, last):
    """Row of a landmark near an index of an area that has ``last + 1`` rows, or NIL."""
    base = h.slot[a, AR_MARKS]
    here = index >> h.g[G_PBO]
    for far in range(REACH):
        if far <= here and valid(h, base + here - far):
            return base + here - far
        if here + far <= last and valid(h, base + here + far):
            return base + here + far
    return NIL
