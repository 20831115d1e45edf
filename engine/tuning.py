"""Per-CPU lists that adapt to what is asked of them. Rules: ``engine.reference.percpu``.

All lists of a CPU in a zone count against one capacity.

The row TUNING of a CPU's lists in a zone holds, where they tune themselves (6.7+), their capacity
(T_HIGH), how often the next refill doubles (T_FACTOR) and the pages freed in a row (T_FREED).
Lists of a fixed capacity know how often what they give back next doubles (T_FACTOR).
"""

from engine.enums import Cell, PcpRule
from engine.kernel import kernel, part
from engine.stacks import HUGE, MOVABLE, TUNING, UNMOVABLE, drain_huge, pcp_drain, pcp_list
from engine.state import (
    FL_COUNT,
    FL_HEAD,
    FL_TAIL,
    G_PBP,
    TABLE,
    Z_ACTIVE,
    Z_BELOW,
    Z_FREE,
    Z_HIGH,
    Z_PCP_HIGH,
    Z_PCP_LOW,
    Z_RESERVE_2,
)
from engine.watermark import pcp_batch

T_HIGH, T_FACTOR, T_FREED = FL_HEAD, FL_TAIL, FL_COUNT
PCP_RULE, ZONE_EIGHTH = int(Cell.PCP_RULE), int(PcpRule.ZONE_EIGHTH)
BATCH_TIMES_6 = int(PcpRule.BATCH_TIMES_6)
SCALE = int(Cell.PCP_BATCH_SCALE)
SHIFT_MAX = 31
"""More halvings than any count has bits."""


@kernel
def self_tuned(h):
    """Whether the profile's lists tune themselves."""
    return h.g[TABLE + PCP_RULE] == ZONE_EIGHTH


@kernel
def capacity(h, z, u):
    """Capacity that row u stands for, within the zone's limits."""
    return min(max(h.fl[u, T_HIGH], h.zone[z, Z_PCP_LOW]), h.zone[z, Z_PCP_HIGH])


@kernel
def fixed_high(h, z):
    """Fixed capacity of a CPU's lists: four batches at most while kswapd is at work (5.14)."""
    high = h.zone[z, Z_PCP_HIGH]
    return min(4 * pcp_batch(h, z), high) if h.zone[z, Z_ACTIVE] else high


@kernel
def pages_on(h, z, cpu):
    """Pages on all lists of a CPU in a zone."""
    i = pcp_list(h, cpu, z, UNMOVABLE)
    base = h.fl[i, FL_COUNT] + h.fl[i + MOVABLE, FL_COUNT]
    return base + h.fl[i + HUGE, FL_COUNT] * h.g[G_PBP]


@kernel
def took(h, z, cpu, folios):
    """Folios were taken from a CPU's lists, one by one."""
    column = T_FREED if self_tuned(h) else T_FACTOR
    h.fl[pcp_list(h, cpu, z, TUNING), column] >>= min(folios, SHIFT_MAX)


@kernel
def give_back_pages(h, z, cpu):
    """Pages that full lists of a fixed capacity give to the buddy at once."""
    u = pcp_list(h, cpu, z, TUNING)
    factor, scale = h.fl[u, T_FACTOR], h.g[TABLE + SCALE]
    pages, h.fl[u, T_FACTOR] = nr_pcp_free(fixed_high(h, z), pcp_batch(h, z), factor, scale)
    return pages


@kernel
def nr_pcp_free(high, batch, factor, scale):
    """Pages that a list of capacity ``high`` gives back, and the factor from then on (5.13)."""
    most, pages = high - batch, batch << factor
    if pages < most and factor < scale:
        factor += 1
    return max(min(pages, most), batch), factor


@kernel
def leaving(h, z, cpu, t, folios, pages):
    """Folios of ``pages`` each that leave list t, of a fixed capacity, when more come in.

    -1 where pages of the CPU's other lists of the zone would leave between them.
    """
    u = pcp_list(h, cpu, z, TUNING)
    factor, scale = h.fl[u, T_FACTOR], h.g[TABLE + SCALE]
    high, batch = fixed_high(h, z), pcp_batch(h, z)
    held = h.fl[pcp_list(h, cpu, z, t), FL_COUNT]
    others = pages_on(h, z, cpu) - held * pages
    if others > 0 and h.g[TABLE + PCP_RULE] == BATCH_TIMES_6:
        return -1
    out, factor = leave(held, others, folios, pages, high, batch, factor, scale)
    if out >= 0:
        h.fl[u, T_FACTOR] = factor
    return out


@kernel
def leave(held, others, folios, pages, high, batch, factor, scale):
    """Folios of ``pages`` each that leave a list of ``held`` when more come in one by one.

    ``others``: pages on the other lists, ``factor``: how often what is given back doubles,
    ``scale``: at most. Returns the folios and the factor afterwards (free_unref_page_commit);
    -1 folios where more would be given back than this list holds, and others would give.
    """
    full, out = (high - others + pages - 1) // pages, 0
    while True:
        need = max(full - held, 1)
        if folios < need:
            return out, factor
        folios -= need
        held += need
        before = factor
        k, factor = nr_pcp_free(high, batch, before, scale)
        k = (k + pages - 1) // pages
        if k > held:
            if others > 0:
                return -1, before
            k = held
        held -= k
        out += k
        if held == full - k and factor == before:
            return out + folios // k * k, factor


@kernel
def refill_pages(h, z, cpu, order):
    """Folios that an empty list takes at once (nr_pcp_alloc)."""
    u, batch = pcp_list(h, cpu, z, TUNING), pcp_batch(h, z)
    high = capacity(h, z, u)
    pages = batch if order else batch << h.fl[u, T_FACTOR]
    if h.zone[z, Z_PCP_LOW] != h.zone[z, Z_PCP_HIGH] and not h.zone[z, Z_BELOW]:
        high = min(high + pages, h.zone[z, Z_PCP_HIGH])
    h.fl[u, T_HIGH] = high
    if order:
        return max(batch >> order, 2)
    room = max(high - pages_on(h, z, cpu) - batch, batch)
    if pages <= room and h.fl[u, T_FACTOR] < h.g[TABLE + SCALE]:
        h.fl[u, T_FACTOR] += 1
    return min(pages, room)


@kernel
def full_at(h, z, cpu):
    """Pages that may be freed one by one before a CPU's lists give some back."""
    if not self_tuned(h):
        return fixed_high(h, z) - pages_on(h, z, cpu)
    full = capacity(h, z, pcp_list(h, cpu, z, TUNING))
    if h.zone[z, Z_ACTIVE]:
        full = min(4 * pcp_batch(h, z), h.zone[z, Z_PCP_LOW])
    elif h.zone[z, Z_BELOW]:
        full = h.zone[z, Z_PCP_LOW]
    return full - pages_on(h, z, cpu)


@part
def after_free(h, z, cpu, t, folios, pages):
    """Account ``folios`` of ``pages`` each that came onto list t; only the last may fill it."""
    if self_tuned(h):
        tune_after_free(h, z, cpu, t, folios, pages)
    elif pages_on(h, z, cpu) >= fixed_high(h, z):
        free_pages_of(h, z, cpu, t, give_back_pages(h, z, cpu))


@kernel
def tune_after_free(h, z, cpu, t, folios, pages):
    """``after_free`` of lists that tune themselves.

    free_unref_page_commit: a burst gives back as many pages at once as were freed in a row.
    """
    u, batch = pcp_list(h, cpu, z, TUNING), pcp_batch(h, z)
    h.fl[u, T_FACTOR] >>= min(folios, SHIFT_MAX)
    least, most = h.zone[z, Z_PCP_LOW], h.zone[z, Z_PCP_HIGH]
    count = pages_on(h, z, cpu)
    high = capacity(h, z, u)
    if h.zone[z, Z_ACTIVE]:
        count_freed_below(h, z, u, batch, folios, pages)
        high = min(4 * batch, h.fl[u, T_HIGH])
    elif h.zone[z, Z_BELOW] and least != most:
        count_freed_below(h, z, u, batch, folios, pages)
        high = max(count, least)
    else:
        count_freed(h, u, batch, folios, pages)
        h.fl[u, T_HIGH] = high
        need = h.fl[u, T_FREED] + batch
        if least != most and count >= high and high < need:
            h.fl[u, T_HIGH] = min(need, most)
    if count < high:
        return
    free_bulk(h, z, cpu, t, min(max(h.fl[u, T_FREED], batch), high - batch))
    if h.zone[z, Z_BELOW] and h.zone[z, Z_FREE] > h.zone[z, Z_HIGH] + h.zone[z, Z_RESERVE_2]:
        h.zone[z, Z_BELOW] = 0


@kernel
def count_freed(h, u, batch, folios, pages):
    """Count folios freed in a row, up to the most that are given back at once."""
    most = batch << h.g[TABLE + SCALE]
    if h.fl[u, T_FREED] < most:
        freed = h.fl[u, T_FREED] + folios * pages
        h.fl[u, T_FREED] = freed if folios == 1 else min(freed, most)


@kernel
def count_freed_below(h, z, u, batch, folios, pages):
    """As ``count_freed`` in a zone below its high mark: each free also lowers the capacity."""
    least = h.zone[z, Z_PCP_LOW]
    high = capacity(h, z, u)
    while folios > 0 and high > least:
        count_freed(h, u, batch, 1, pages)
        high = max(high - max(h.fl[u, T_FREED], batch), least)
        folios -= 1
    h.fl[u, T_HIGH] = high
    if folios > 0:
        count_freed(h, u, batch, folios, pages)


@kernel
def free_pages_of(h, z, cpu, t, pages):
    """free_pcppages_bulk: give pages of a CPU's lists, list t first, to the buddy."""
    if h.g[TABLE + PCP_RULE] == BATCH_TIMES_6:
        free_in_turns(h, z, cpu, pages)
    else:
        free_bulk(h, z, cpu, t, pages)


@kernel
def free_bulk(h, z, cpu, t, pages):
    """free_pcppages_bulk of 5.18+: all of list t, oldest first, then of the next ones."""
    for k in range(HUGE + 1):
        if pages <= 0:
            return
        pages -= free_oldest(h, z, cpu, (t + k) % (HUGE + 1), pages, pages)


@kernel
def free_in_turns(h, z, cpu, pages):
    """free_pcppages_bulk of 5.10: the lists in turns, as many of each as lists were passed."""
    turn, folios = 0, 0
    while pages > 0 and pages_on(h, z, cpu) > 0:
        turn, folios = (turn + 1) % (HUGE + 1), folios + 1
        i = pcp_list(h, cpu, z, turn)
        held = h.fl[i, FL_COUNT]
        if alone(h, z, cpu, turn):
            folios = held
        pages -= free_oldest(h, z, cpu, turn, folios, pages)
        folios -= held - h.fl[i, FL_COUNT]


@kernel
def alone(h, z, cpu, t):
    """Whether list t is the only one of a CPU's lists of a zone that is not empty."""
    for k in range(HUGE + 1):
        if k != t and h.fl[pcp_list(h, cpu, z, k), FL_COUNT] > 0:
            return False
    return True


@kernel
def free_oldest(h, z, cpu, t, folios, pages):
    """Give the oldest folios of list t to the buddy until a limit is reached; their pages."""
    i, freed = pcp_list(h, cpu, z, t), 0
    if t == HUGE:
        while folios > 0 and freed < pages and h.fl[i, FL_COUNT] > 0:
            drain_huge(h, z, i)
            folios -= 1
            freed += h.g[G_PBP]
        return freed
    freed = min(min(folios, pages), h.fl[i, FL_COUNT])
    pcp_drain(h, z, i, freed)
    return freed
