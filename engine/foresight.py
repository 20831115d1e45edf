"""Commands of a batch that come later, about single pages: what they will look at is asked for.

Pages drawn at random from a large area lie in no cache: their landmark, the element it names, the
one that covers the page, its neighbours, its pageblock. Each is known when the one before has
arrived. So while one command is carried out, each of the next few takes one step towards its page,
and when it is their turn everything is there. Only on hosts with landmarks (``engine.landmarks``),
of which many commands about single pages are expected. Nothing that counts is read or written: an
element may have become something else since, then the command finds its page as ever.
"""

from engine.elements import ask_for, length, nxt, prv
from engine.enums import Op
from engine.kernel import kernel
from engine.landmarks import place_of
from engine.prefetch import prefetch
from engine.state import (
    AR_KIND,
    AR_MARKS,
    AR_PAGES,
    FORESEEN,
    G_OBJROWS,
    G_PBO,
    NIL,
    R_ALLOC,
    R_HOLE,
    RN_PB,
    RS_STATE,
)

FREE, TOUCH, READ = int(Op.FREE), int(Op.TOUCH), int(Op.READ)
MARK, FIRST, FURTHER, FURTHEST, AROUND = range(10, 0, -2)
"""Commands ahead that take each step: two of them take longer than memory does to answer."""
RING, WORDS = 16, 3
ROW, REF, POS = range(WORDS)
"""Words of ``g`` for each command to come: row of its landmark, where it is, that one's index."""


@kernel
def foresee(h, commands, i):
    """Take one step for each of the commands behind the i-th."""
    left = len(commands) - i
    if i == 0:
        for k in range(FORESEEN, FORESEEN + WORDS * RING):
            h.g[k] = NIL
    if left > MARK:
        begin(h, commands, i + MARK)
    if left > FIRST:
        look_up(h, i + FIRST)
    if left > FURTHER:
        go_on(h, commands, i + FURTHER)
    if left > FURTHEST:
        go_on(h, commands, i + FURTHEST)
    if left > AROUND:
        look_around(h, i + AROUND)


@kernel
def place(j):
    """Where the words of a command are."""
    return FORESEEN + WORDS * (j & (RING - 1))


@kernel
def row_of(h, commands, j):
    """Row of the landmark of the page that a command is about, NIL where there is none."""
    op, a, index = commands[j, 1], commands[j, 2], commands[j, 3]
    if op != FREE and op != TOUCH and op != READ:
        return NIL
    if not 0 <= a < len(h.slot) - h.g[G_OBJROWS] or h.slot[a, AR_KIND] < 0:
        return NIL
    if h.slot[a, AR_MARKS] < 0 or not 0 <= index < h.slot[a, AR_PAGES]:
        return NIL
    return h.slot[a, AR_MARKS] + (index >> h.g[G_PBO])


@kernel
def begin(h, commands, j):
    """Ask for a command's landmark."""
    row = row_of(h, commands, j)
    h.g[place(j) + ROW] = row
    prefetch(h.marks, row)


@kernel
def look_up(h, j):
    """Go to the element that a command's landmark names."""
    at = place(j)
    row, ref = h.g[at + ROW], NIL
    if row != NIL:
        ref, h.g[at + POS] = h.marks[row, 0], h.marks[row, 1]
        prefetch(h.marked, place_of(h, ref))
        ask_for(h, ref)
    h.g[at + REF] = ref


@kernel
def of_an_area(h, ref):
    """Whether an element may be one still: its record is not somebody else's, or on no chain."""
    return ref >= 0 or (ref != NIL and h.runb[-2 - ref, RS_STATE] in (R_ALLOC, R_HOLE))


@kernel
def go_on(h, commands, j):
    """One step towards the element that covers a command's page."""
    at = place(j)
    ref, pos = h.g[at + REF], h.g[at + POS]
    if not of_an_area(h, ref):
        h.g[at + REF] = NIL
        return
    if pos < 0:  # it was come to from behind, where it ends
        pos = ~pos - length(h, ref)
    if commands[j, 3] < pos:
        ref, pos = prv(h, ref), ~pos
    elif commands[j, 3] >= pos + length(h, ref):
        ref, pos = nxt(h, ref), pos + length(h, ref)
    h.g[at + REF], h.g[at + POS] = ref, pos
    ask_for(h, ref)


@kernel
def look_around(h, j):
    """What a change of the element that a command reached will touch."""
    ref = h.g[place(j) + REF]
    if of_an_area(h, ref):
        ask_for(h, prv(h, ref))
        ask_for(h, nxt(h, ref))
        if ref < NIL:
            prefetch(h.pb, h.run[-2 - ref, RN_PB])
