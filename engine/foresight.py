"""Commands of a batch that come later, about single pages: what they will look at is asked for.

Pages drawn at random from a large area lie in no cache: their landmark, the element it names, its
neighbours, its pageblock. Each is known when the one before has arrived. So while one command is
carried out, those to come take one step each towards their page, and when it is their turn
everything is there. Only on hosts with landmarks (``engine.landmarks``), of which many commands
about single pages are expected. Nothing that counts is read or written: an element may have become
something else since, then the command finds its page as ever.
"""

from engine.elements import length, nxt, prv
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
    PB_AUX,
    PS_STATE,
    R_ALLOC,
    R_HOLE,
    RN_PB,
    RS_STATE,
    SPLIT,
)

FREE, TOUCH, READ = int(Op.FREE), int(Op.TOUCH), int(Op.READ)
FAR, NEAR = 12, 8
"""Commands ahead whose landmark is asked for, and looked at."""
RING = 16
ARRIVED = 1 << 40
"""Instead of the first index of an element: its page is there."""


@kernel
def foresee(h, commands, i):
    """Take one step for each of the commands behind the i-th."""
    n = len(commands)
    if i == 0:
        for j in range(min(NEAR, n)):
            begin(h, commands, j)
    if i + FAR < n:
        row = row_of(h, commands, i + FAR)
        if row != NIL:
            prefetch(h.marks, row)
    if i + NEAR < n:
        begin(h, commands, i + NEAR)
    for j in range(i + 1, min(i + NEAR, n)):
        at = FORESEEN + 2 * (j & (RING - 1))
        if h.g[at] != NIL:
            go_on(h, at, commands[j, 3])


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
    """Begin with the element that a command's landmark names."""
    at, row = FORESEEN + 2 * (j & (RING - 1)), row_of(h, commands, j)
    h.g[at] = h.marks[row, 0] if row != NIL else NIL
    if h.g[at] != NIL:
        h.g[at + 1] = h.marks[row, 1]
        prefetch(h.marked, place_of(h, h.g[at]))
        ask_for(h, h.g[at])


@kernel
def ask_for(h, ref):
    """Ask for the record of an element."""
    if ref >= 0:
        prefetch(h.pb, ref)
    else:
        prefetch(h.run, -2 - ref)


@kernel
def go_on(h, at, index):
    """One step towards the element that covers an index; then what a change of it will touch."""
    ref, pos = h.g[at], h.g[at + 1]
    if ref < NIL and h.runb[-2 - ref, RS_STATE] not in (R_ALLOC, R_HOLE):
        h.g[at] = NIL  # the record is somebody else's, or on no chain
        return
    if pos == ARRIVED:
        pb = ref if ref >= 0 else h.run[-2 - ref, RN_PB]
        if pb >= 0 and h.pbs[pb, PS_STATE] == SPLIT:
            prefetch(h.run, h.pb[pb, PB_AUX])
        h.g[at] = NIL
        return
    pages = length(h, ref)
    if index >= pos + pages:
        h.g[at], h.g[at + 1] = nxt(h, ref), pos + pages
        ask_for(h, h.g[at])
        return
    ask_for(h, prv(h, ref))
    ask_for(h, nxt(h, ref))
    if ref < NIL:
        prefetch(h.pb, h.run[-2 - ref, RN_PB])
    h.g[at + 1] = ARRIVED
