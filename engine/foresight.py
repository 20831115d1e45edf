"""Commands of a batch that come later, about single pages: what they will look at is asked for.

Pages drawn at random from a large area lie in no cache: their landmark, the element it names, the
one that covers the page, its neighbours, its pageblock. Each is known when the one before has
arrived. So while one command is carried out, each of the next few takes one step towards its page,
and when it is their turn everything is there. Only on hosts with landmarks (``engine.landmarks``),
of which many commands about single pages are expected. Nothing that counts is read or written: an
element may have become something else since, then the command finds its page as ever.
"""

from engine.elements import ask_for, is_hole, length, nxt, prv
from engine.enums import Op
from engine.kernel import part
from engine.landmarks import place_of
from engine.prefetch import prefetch
from engine.state import (
    AR_KIND,
    AR_MARKS,
    AR_PAGES,
    FORESEEN,
    G_FORESEEN,
    G_OBJROWS,
    G_PBO,
    G_PBP,
    NIL,
    R_ALLOC,
    R_HOLE,
    RN_PB,
    RS_STATE,
)

FREE, TOUCH, READ = int(Op.FREE), int(Op.TOUCH), int(Op.READ)
MARK, FIRST, LOOKS = 12, 10, (8, 6, 4)
"""Commands ahead that ask for their landmark, for the element there, and look at an element each:
two of them take longer than memory does to answer."""
RING, WORDS = 16, 3
REF, POS, INDEX = range(WORDS)
"""Words of ``g`` for each command to come: row of its landmark, then where it is; that one's index;
its page. In a ring of commands."""


@part
def foresee(h, commands, i):
    """Take one step for each of the commands behind the i-th, unless that was done."""
    if i < h.g[G_FORESEEN]:
        return
    if h.g[G_FORESEEN] == 0:
        for k in range(RING):
            h.g[place(k) + REF] = NIL
    h.g[G_FORESEEN] = i + 1
    begin(h, commands, i + MARK)
    look_up(h, i + FIRST)
    for ahead in LOOKS:
        go_on(h, i + ahead)


@part
def place(j):
    """Where the words of a command are."""
    return FORESEEN + WORDS * (j & RING - 1)


@part
def begin(h, commands, j):
    """Ask for a command's landmark."""
    row = NIL
    if j < len(commands):
        row = row_of(h, commands, j)
        h.g[place(j) + INDEX] = commands[j, 3]
        prefetch(h.marks, row)
    h.g[place(j) + REF] = row


@part
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


@part
def look_up(h, j):
    """Go to the element that a command's landmark names."""
    at = place(j)
    row = h.g[at + REF]
    if row == NIL:
        return
    ref, index = h.marks[row, 0], h.g[at + INDEX]
    h.g[at + POS] = (index & -h.g[G_PBP]) + h.marks[row, 1]
    prefetch(h.marked, place_of(h, ref))
    ask_for(h, ref)
    h.g[at + REF] = ref


@part
def of_an_area(h, ref):
    """Whether an element may be one still: its record is not somebody else's, or on no chain."""
    return ref >= 0 or (ref != NIL and h.runb[-2 - ref, RS_STATE] in (R_ALLOC, R_HOLE))


@part
def go_on(h, j):
    """One step towards the element that covers a command's page, or a look around there."""
    at = place(j)
    ref, pos, index = h.g[at + REF], h.g[at + POS], h.g[at + INDEX]
    if not of_an_area(h, ref):
        return
    pages = length(h, ref)
    if pos < 0:  # it was come to from behind, where it ends
        pos = ~pos - pages
    if index < pos:
        ref, pos = prv(h, ref), ~pos
        ask_for(h, ref)
    elif index >= pos + pages:
        ref, pos = nxt(h, ref), pos + pages
        ask_for(h, ref)
    else:
        look_around(h, ref)
        ref = NIL
    h.g[at + REF], h.g[at + POS] = ref, pos


@part
def look_around(h, ref):
    """What will be touched when a page of an element goes, or comes to a hole."""
    ask_for(h, nxt(h, ref))
    if ref >= 0 or is_hole(h, ref):
        ask_for(h, prv(h, ref))
    else:
        prefetch(h.pb, h.run[-2 - ref, RN_PB])
