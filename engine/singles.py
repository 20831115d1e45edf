"""FREE and TOUCH of one page, many in a row: without the steps that only other commands need.

A command costs more than the page it is about: what it may be, who else sees or holds the range,
whether an offline runs beside it, the tally of all it did. A page of an area that is anonymous and
shares nothing, on a host where nothing else is at work, needs none of that. Such commands are told
apart before anything is changed; all others, and those that meet something unusual, are carried out
as ever (``engine.dispatch``), with the same result. So is each TOUCH where per-CPU lists tune
themselves (6.7+) or kswapd shares the CPU: every page taken there is a look at the zones.
"""

from engine.allocate import pick_zone
from engine.chains import locate_drawn
from engine.elements import is_hole, length
from engine.emit import new_row
from engine.enums import Cell, Cost, Counter, Op, Row
from engine.fault import ask
from engine.foresight import foresee
from engine.holes import hole_flag
from engine.kernel import kernel, part
from engine.memory import ANON, THP, claim, cpu_of, join_both, range_ok, release_page
from engine.percpu import take_page
from engine.punch import beside_itself, plug
from engine.reclaim import spare
from engine.state import (
    AR_BELOW,
    AR_HINT,
    AR_KIND,
    AR_PINS,
    COSTS,
    COUNTERS,
    G_CAUSE,
    G_LPOS,
    G_NCMD,
    G_NNODES,
    G_NOW,
    G_NROWS,
    G_PANIC,
    G_PBP,
    G_STAMP,
    G_TIDY,
    KS_AWAKE,
    KS_TASK,
    NIL,
    O_ON,
    RQ_MT,
    T_LATENCY,
    TABLE,
    Z_LOW,
    ZONELIST,
)
from engine.tuning import self_tuned
from engine.ways import note_way

FREE, TOUCH, RESULT = int(Op.FREE), int(Op.TOUCH), int(Row.RESULT)
HINTS, FAULT_4K = int(Cell.HINT_HONOURED), int(Cost.FAULT_4K)
PGFAULT = int(Counter.PGFAULT)
NOT_PLAIN = -1
TOGETHER = 64
"""Commands in a row, between looks at what room there is. Each makes three run records and what one
page more or less of a per-CPU list makes, some ten: together less than the 1,024 that
``dispatch.short_of_space`` keeps beside all that one command of any kind may need."""


@kernel
def run_singles(h, commands, i):
    """Carry out the plain commands from the i-th on, as many as rows and run records last for.

    Returns the index of the next one. ``short_of_space`` was asked before.
    """
    end = min(min(i + TOGETHER, len(commands)), i + len(h.rows) - h.g[G_NROWS])
    asked_cpu, asked_node = NIL, NIL
    may_touch = not (h.g[KS_TASK] or self_tuned(h))
    while i < end:
        foresee(h, commands, i)
        op, a, index, time_ns = commands[i, 1], commands[i, 2], commands[i, 3], commands[i, 0]
        if (op != FREE and op != TOUCH) or commands[i, 4] != 1 or busy(h, time_ns):
            break
        if not plain(h, a, index) or (op == TOUCH and not may_touch):
            break
        h.g[G_NOW] = time_ns
        cpu, node = cpu_of(h, a, commands[i, 5]), commands[i, 6]
        if op == FREE:
            faulted, latency_ns = free_single(h, a, index, cpu)
        else:
            again = cpu == asked_cpu and node == asked_node
            faulted, latency_ns = touch_single(h, a, index, cpu, node, again)
            if faulted == 1:
                asked_cpu, asked_node = cpu, node
        if faulted == NOT_PLAIN:
            break
        tell(h, op, a, faulted, latency_ns)
        i += 1
    return i


@part
def busy(h, time_ns):
    """Whether something else happens on the host up to a time, or is left to be done."""
    if h.g[O_ON] or h.g[G_PANIC] or h.g[G_TIDY]:
        return True
    return h.g[KS_AWAKE] != 0 and time_ns > h.g[G_NOW]


@part
def plain(h, a, index):
    """Whether a page is of an area that nobody else sees or holds, and may lie anywhere."""
    if not range_ok(h, a, index, 1) or h.slot[a, AR_PINS] > 0 or h.slot[a, AR_BELOW] != NIL:
        return False
    if h.slot[a, AR_HINT] and h.g[TABLE + HINTS]:
        return False
    return h.slot[a, AR_KIND] == ANON or h.slot[a, AR_KIND] == THP


@part
def tell(h, op, a, faulted, latency_ns):
    """The RESULT row of a command that succeeded."""
    h.g[G_STAMP] += 1
    h.g[G_CAUSE] = h.g[G_NCMD]
    h.g[G_NCMD] += 1
    n = new_row(h, RESULT)
    h.rows[n, 3] = op
    h.rows[n, 4] = a
    h.rows[n, 6] = 1
    h.rows[n, 7] = latency_ns
    h.rows[n, 8] = faulted


@part
def free_single(h, a, index, cpu):
    """FREE of a page: pages faulted (none) and ns, NOT_PLAIN for a hole that shows something."""
    h.g[T_LATENCY] = 0
    if release_page(h, a, index, cpu):
        return NOT_PLAIN, 0
    return 0, h.g[T_LATENCY]


@part
def touch_single(h, a, index, cpu, node, again):
    """TOUCH of a page: pages faulted and ns; NOT_PLAIN where more than a free page is needed.

    ``again``: the last request was for this CPU and node.
    """
    if node >= h.g[G_NNODES]:
        return NOT_PLAIN, 0
    hole = locate_drawn(h, a, index)
    if not is_hole(h, hole):
        return 0, 0
    if hole_flag(h, hole) or (h.slot[a, AR_KIND] == THP and holds_chunk(h, hole, index)):
        return NOT_PLAIN, 0
    z = zone_at_hand(h, a, cpu, node, again)
    if z < 0:
        return NOT_PLAIN, 0
    ref = -2 - take_page(h, z, cpu, h.g[RQ_MT])
    claim(h, a, ref)
    plug(h, a, hole, index, ref)
    note_way(h, a, index, ref)
    if beside_itself(h, ref):
        join_both(h, a, ref)
    h.g[COUNTERS + PGFAULT] += 1
    return 1, h.g[COSTS + FAULT_4K]


@part
def zone_at_hand(h, a, cpu, node, again):
    """Zone that has a page for a fault without more ado, or -1; its per-CPU lists are on."""
    if again and spare(h, h.g[ZONELIST], Z_LOW) > 0:
        return h.g[ZONELIST]
    ask(h, a, cpu, node, False)
    return pick_zone(h, Z_LOW)


@part
def holds_chunk(h, hole, index):
    """Whether a hole, whose first index is in G_LPOS, has all pages of a huge folio around one."""
    first = index - index % h.g[G_PBP]
    return h.g[G_LPOS] <= first and first + h.g[G_PBP] <= h.g[G_LPOS] + length(h, hole)
