"""The history of a fast host: bags, whose pages come and go in random order.

Rules as in ``engine.reference.history``. A command stops between two chunks when run records
might run short and goes on when there are more (``HI_PHASE`` is set meanwhile).
"""

from engine.allocate import (
    find_zone,
    look_below,
    note_below,
    pick_zone,
    request,
    take_piece,
)
from engine.bags import empty_ahead, first_of, make_bag, tidy, word_of
from engine.draw_kernel import below, scaled_word, word
from engine.elements import (
    ask_for,
    break_uniform,
    chain_insert_before,
    chain_unlink,
    drop_run,
    hole_flag,
    is_hole,
    join_before,
    join_holes,
    length,
    new_hole,
    prv,
    set_nxt,
    set_prv,
    split_run,
    whole_again,
)
from engine.enums import AreaKind, Cell, Counter, Errno
from engine.freelist import (
    came,
    fl,
    free_loose,
    free_pb,
    note_range,
    recent,
    set_max_chunk,
    single_out,
)
from engine.kernel import kernel
from engine.memory import area_ok, claim, count_used
from engine.percpu import take_huge_by_cpu
from engine.prefetch import prefetch
from engine.reclaim import spare, watermark_ok
from engine.state import (
    AR_BAG,
    AR_BELOW,
    AR_HINT,
    AR_HINTREF,
    AR_KIND,
    AR_MARKS,
    AR_PAGES,
    AR_PRESENT,
    AR_PROC,
    AR_TAIL,
    BK_ISO,
    BK_ZONE,
    COUNTERS,
    CPUS,
    DESC,
    FL_COUNT,
    FL_HEAD,
    FL_TAIL,
    G_BLOCK_PAGES,
    G_BLOCK_SHIFT,
    G_ERROR,
    G_MAXO,
    G_MUT,
    G_NBLOCKS,
    G_NCPUS,
    G_NZONES,
    G_PBO,
    G_PBP,
    G_PERM,
    G_RUNS,
    HI_DRAWS,
    HI_FIRST,
    HI_PAGES,
    HI_PHASE,
    NIL,
    PB_AUX,
    PB_NEXT,
    PB_PREV,
    PH_LIST,
    PH_OWN,
    PN_AREA,
    PN_COUNT,
    PS_STATE,
    R_LOOSE,
    RN_CNT,
    RN_PB,
    RQ_CPU,
    RQ_MARK,
    RQ_MT,
    RQ_WAKES,
    RS_FLAG,
    RS_LEN,
    RS_START,
    RS_STATE,
    SPLIT,
    T_FAULTED,
    T_PAGES,
    TABLE,
    UNIFORM,
    UNUSED,
    Z_FREE,
    Z_LOW,
    Z_MIN,
    ZONELIST,
)
from engine.tuning import self_tuned
from engine.watermark import reserve

NR_SIZES, WEIGHT_BITS, MAX_PAGES = 6, 8, 1 << 30
TRIES, REACH = 8, 32
FARTHER, FAR, NEAR = 9, 6, 3
"""How many draws ahead the bits of bags, pageblocks and runs are asked for."""
TIDIES = 8
"""One draw in so many clears bits: it takes looks at the pageblocks around."""
LOOKS = 2
"""Pageblocks that may have a bag's page and are asked for at each draw."""
MIX_BITS = NR_SIZES * WEIGHT_BITS
MILLION = 1_000_000
MOVABLE_KIND, ALL_NODES = 2, (1 << 62) - 1
THP, FILE, KERNEL = int(AreaKind.THP), int(AreaKind.FILE), int(AreaKind.KERNEL)
HUGETLB = int(AreaKind.HUGETLB)
OK, EINVAL, EBUSY, ENOMEM = 0, int(Errno.EINVAL), int(Errno.EBUSY), int(Errno.ENOMEM)
PGFAULT, HINTS = int(Counter.PGFAULT), int(Cell.HINT_HONOURED)
IDLE, GROW, SHRINK = 0, 1, 2
"""Phases of a command under way."""


# -- commands -------------------------------------------------------------------------------------


@kernel
def age(h, a, key, pages, low, high, mix):
    """AGE. With HI_PHASE set on return it has to be called again."""
    if h.g[HI_PHASE] == IDLE:
        errno = begin(h, a, key, mix)
        if errno != OK:
            return errno
        set_span(h, NIL)
        if pages < 0 or not 0 <= low <= high <= h.slot[a, AR_PAGES]:
            h.g[HI_PHASE] = IDLE
            return EINVAL
    while not crowded(h):
        present = h.slot[a, AR_PRESENT]
        if h.g[HI_PHASE] == GROW:
            if present < high and grow(h, a, key, mix, high - present, NIL):
                continue
            if h.g[T_PAGES] >= pages:
                h.g[HI_PHASE] = IDLE
            else:
                h.g[HI_PHASE] = SHRINK
        elif not shrink(h, a, key, mix):
            h.g[HI_PHASE] = IDLE
        elif h.slot[a, AR_PRESENT] <= low or h.g[T_PAGES] >= pages:
            h.g[HI_PHASE] = GROW
        if h.g[HI_PHASE] == IDLE:
            break
    return OK if h.slot[a, AR_PRESENT] >= high else ENOMEM


@kernel
def follow(h, a, key, zone, churn, free, mix):
    """CACHE. With HI_PHASE set on return it has to be called again."""
    if h.g[HI_PHASE] == IDLE:
        errno = begin(h, a, key, mix)
        if errno != OK:
            return errno
        if h.slot[a, AR_KIND] != FILE or not 0 <= zone < h.g[G_NZONES] or churn < 0 or free < 0:
            h.g[HI_PHASE] = IDLE
            return EINVAL
        set_span(h, zone)
    floor = max(free - churn, 0)
    while not crowded(h):
        over = zone_spare(h, zone) - floor
        if h.g[HI_PHASE] == GROW:
            if over <= 0 or not grow(h, a, key, mix, over, zone):
                h.g[HI_PHASE] = SHRINK
        elif zone_spare(h, zone) >= free or not shrink(h, a, key, mix):
            h.g[HI_PHASE] = IDLE
            break
    return OK


@kernel
def begin(h, a, key, mix):
    """Check what AGE and CACHE have in common and begin; an errno."""
    if not area_ok(h, a) or h.slot[a, AR_KIND] == THP or h.slot[a, AR_KIND] == HUGETLB:
        return EINVAL
    if h.slot[a, AR_BELOW] != NIL:
        return EINVAL
    if h.slot[a, AR_PAGES] > MAX_PAGES or not 0 < mix < 1 << MIX_BITS or key < 0:
        return EINVAL
    for q in range(len(h.slot)):
        if h.slot[q, PN_AREA] == a and h.slot[q, PN_COUNT] > 0:
            return EBUSY
    h.g[HI_PHASE] = GROW
    h.g[HI_DRAWS] = 0
    h.slot[a, AR_HINTREF] = NIL  # positions move
    h.slot[a, AR_MARKS] = NIL
    make_bag(h, a)
    return OK


@kernel
def crowded(h):
    """Whether run records might run short before the next look; sets G_ERROR."""
    runs = h.g[G_RUNS]
    if len(h.runs) - runs < 768 + 4 * runs:
        h.g[G_ERROR] = 1
        return True
    return False


@kernel
def zone_spare(h, z):
    """Pages a zone has for user memory: above its low mark and lowmem reserve."""
    return max(h.zone[z, Z_FREE] - h.zone[z, Z_LOW] - reserve(h, z, MOVABLE_KIND), 0)


@kernel
def next_word(h, key):
    """The command's next 64 random bits."""
    h.g[HI_DRAWS] += 1
    return word(key, h.g[HI_DRAWS] - 1)


@kernel
def weight(mix):
    """All weights of a mix."""
    total = 0
    for i in range(NR_SIZES):
        total += mix >> (WEIGHT_BITS * i) & 255
    return total


@kernel
def chunk_order(h, mix, pick):
    """Order of the chunk size that ``pick`` of all weights falls to."""
    size = NR_SIZES - 1  # the largest ones first: most histories are made of them
    left = weight(mix) - 1 - pick
    while left >= mix >> (WEIGHT_BITS * size) & 255:
        left -= mix >> (WEIGHT_BITS * size) & 255
        size -= 1
    return h.g[G_PBO] * size // (NR_SIZES - 1)


# -- growing --------------------------------------------------------------------------------------


@kernel
def grow(h, a, key, mix, most, zone):
    """Touch a chunk at the end of a bag. False when memory or address space ended."""
    bits, total = next_word(h, key), weight(mix)
    cpu = scaled_word(bits * total, h.g[G_NCPUS])
    size = min(1 << chunk_order(h, mix, scaled_word(bits, total)), most, room(h, a))
    if size <= 0:
        return False
    kind = h.slot[a, AR_KIND]
    movable = kind != KERNEL and not (h.slot[a, AR_HINT] and h.g[TABLE + HINTS])
    request(h, h.small[CPUS + cpu], ALL_NODES, movable, cpu, h.slot[a, AR_PROC], False)
    if size == h.g[G_PBP]:
        pb = whole_pageblock(h, kind == FILE, zone)
        if pb != NIL:
            h.pbs[pb, PS_STATE] = UNIFORM
            append(h, a, pb)
            return True
    while size > 0:
        z = quiet_zone(h, zone) if kind == FILE else find_zone(h)
        if z < 0:
            return False
        ref = take_piece(h, z, size)
        size -= length(h, ref)
        append(h, a, ref)
    return True


@kernel
def room(h, a):
    """Untouched pages at the end of a bag."""
    tail = h.slot[a, AR_TAIL]
    if tail == NIL or not is_hole(h, tail) or hole_flag(h, tail):
        return 0
    return h.run[-2 - tail, RN_CNT]


@kernel
def quiet_zone(h, zone):
    """The zone if above its low mark (or the first that is), or -1: cache presses on nobody."""
    h.g[RQ_MARK] = Z_LOW
    h.g[RQ_WAKES] = 0
    if zone >= 0:
        note_below(h, zone, 0)
        return zone if spare(h, zone, Z_LOW) > 0 else NIL
    if self_tuned(h):
        look_below(h)
    return pick_zone(h, Z_LOW)


@kernel
def whole_pageblock(h, file, zone):
    """A free pageblock, on no list; page cache does not go below the low marks. NIL if none.

    A stated zone need not be among the request's: a hinted file may be told to fill ZONE_MOVABLE.
    """
    for mark in (Z_LOW, Z_MIN):
        if mark == Z_MIN and file:
            return NIL
        if zone >= 0:
            pb = pageblock_from(h, zone, mark)
            if pb != NIL:
                return pb
            continue
        n = ZONELIST
        while h.g[n] != NIL:
            pb = pageblock_from(h, h.g[n], mark)
            if pb != NIL:
                return pb
            n += 1
    return NIL


@kernel
def pageblock_from(h, z, mark):
    """A free pageblock of a zone that stays above a mark, or NIL."""
    if mark == Z_LOW:
        note_below(h, z, h.g[G_PBO])
    if watermark_ok(h, z, h.g[G_PBO], mark):
        return take_huge_by_cpu(h, z, h.g[RQ_CPU], h.g[RQ_MT])
    return NIL


@kernel
def append(h, a, ref):
    """Map a loose element behind the others of a bag, whose last element is a hole."""
    pages = length(h, ref)
    claim(h, a, ref)
    h.g[COUNTERS + PGFAULT] += pages
    h.g[T_FAULTED] += pages
    tail = h.slot[a, AR_TAIL]
    chain_insert_before(h, a, tail, ref)
    left = h.run[-2 - tail, RN_CNT] - pages
    if left > 0:
        h.run[-2 - tail, RN_CNT] = left
    else:
        chain_unlink(h, a, tail)
        drop_run(h, -2 - tail)
    if ref < NIL:
        ref = join_before(h, a, ref)
        if ref < NIL:
            whole_again(h, a, ref)


# -- shrinking ------------------------------------------------------------------------------------


@kernel
def shrink(h, a, key, mix):
    """Free the bag's pages of one aligned chunk. False when nothing could be freed."""
    first, nr_pages = h.g[HI_FIRST], h.g[HI_PAGES]
    if h.slot[a, AR_PRESENT] == 0 or nr_pages == 0:
        return False
    order = 0
    for _ in range(TRIES):
        scout(h, a, key)
        bits = next_word(h, key)
        order = chunk_order(h, mix, scaled_word(bits * nr_pages, weight(mix)))
        pfn = first_in_bag(h, a, first + scaled_word(bits, nr_pages))
        if pfn >= 0:
            free_chunk(h, a, pfn, order)
            return True
    pfn = newest(h, a)
    if not in_bag(h, a, pfn >> h.g[G_PBO], pfn & (h.g[G_PBP] - 1)):
        return False
    free_chunk(h, a, pfn, order)
    return True


@kernel
def first_in_bag(h, a, pfn):
    """The first page that may be freed of those in the same place of a few pageblocks, or NIL."""
    place, pb, bag = pfn & (h.g[G_PBP] - 1), pfn >> h.g[G_PBO], h.slot[a, AR_BAG]
    pbs = h.g[HI_PAGES] >> h.g[G_PBO]
    end = (h.g[HI_FIRST] >> h.g[G_PBO]) + pbs
    left = REACH
    while left > 0:
        step = min(empty_ahead(h, bag, pb), left, end - pb)
        if step == 0:
            if in_bag(h, a, pb, place):
                return (pb << h.g[G_PBO]) + place
            if h.g[HI_DRAWS] % TIDIES == 0:
                tidy(h, a, pb)
            step = 1
        left -= step
        pb += step
        if pb == end:
            pb -= pbs
    return NIL


@kernel
def scout(h, a, key):
    """Ask for what later draws will look at: bits very early, pageblocks early, then runs.

    Draws are a function of their number alone, so those to come are known. Some will be a grown
    chunk's: what they ask for is not used.
    """
    bag = h.slot[a, AR_BAG]
    prefetch(h.small, word_of(h, bag, drawn(h, key, FARTHER)))
    pb = drawn(h, key, FAR)
    for _ in range(LOOKS):
        pb += empty_ahead(h, bag, pb)
        prefetch(h.pb, pb)
        pb = min(pb, len(h.pb) - 2) + 1
    pb = drawn(h, key, NEAR)
    for _ in range(LOOKS):
        pb = min(pb + empty_ahead(h, bag, pb), len(h.pb) - 1)
        if h.pbs[pb, PS_STATE] == SPLIT:
            prefetch(h.run, h.pb[pb, PB_AUX])
        elif h.pbs[pb, PS_STATE] == UNIFORM and h.pbh[pb, PH_OWN] == a:
            ask_for(h, h.pb[pb, PB_PREV])  # linked to what will be freed
            ask_for(h, h.pb[pb, PB_NEXT])
        pb = min(pb, len(h.pb) - 2) + 1


@kernel
def drawn(h, key, ahead):
    """Pageblock that a draw some numbers ahead looks at first."""
    bits = word(key, h.g[HI_DRAWS] + ahead)
    return h.g[HI_FIRST] + scaled_word(bits, h.g[HI_PAGES]) >> h.g[G_PBO]


@kernel
def set_span(h, zone):
    """Where chunks to free are drawn: all blocks, or those of a zone and what lies between."""
    first, end = 0, h.g[G_NBLOCKS]
    if zone >= 0:
        while end > 0 and h.blk[end - 1, BK_ZONE] != zone:
            end -= 1
        while first < end and h.blk[first, BK_ZONE] != zone:
            first += 1
    h.g[HI_FIRST] = first * h.g[G_BLOCK_PAGES]
    h.g[HI_PAGES] = (end - first) * h.g[G_BLOCK_PAGES]


@kernel
def in_bag(h, a, pb, place):
    """Whether a page may be freed: the bag's, and not in a block that is being removed."""
    if h.pbs[pb, PS_STATE] == UNIFORM:
        return h.pbh[pb, PH_OWN] == a and not h.blk[pb >> h.g[G_BLOCK_SHIFT], BK_ISO]
    if h.pbs[pb, PS_STATE] != SPLIT or h.blk[pb >> h.g[G_BLOCK_SHIFT], BK_ISO]:
        return False
    return first_of(h, a, pb, place, place + 1) != NIL


@kernel
def newest(h, a):
    """Pfn of the last present page of a bag that has one."""
    ref = h.slot[a, AR_TAIL]
    while is_hole(h, ref):
        ref = prv(h, ref)
    if ref >= 0:
        return (ref + 1 << h.g[G_PBO]) - 1
    r = -2 - ref
    pfn = (h.run[r, RN_PB] << h.g[G_PBO]) + h.runs[r, RS_START]
    if h.runb[r, RS_FLAG] & DESC:
        return pfn
    return pfn + h.runs[r, RS_LEN] - 1


@kernel
def free_chunk(h, a, pfn, order):
    """Free the bag's pages of the aligned chunk around one of them, ascending."""
    pbo = h.g[G_PBO]
    pb = pfn >> pbo
    if h.pbs[pb, PS_STATE] == UNIFORM:
        if order == pbo:
            take_off(h, a, pb, h.g[G_PBP])
            h.pbs[pb, PS_STATE] = UNUSED
            free_pb(h, pb)
            return
        break_uniform(h, pb)
    start = (pfn & (h.g[G_PBP] - 1)) >> order << order
    end = start + (1 << order)
    while start < end and h.pbs[pb, PS_STATE] == SPLIT:
        r = first_of(h, a, pb, start, end)
        if r == NIL:
            return
        if h.runs[r, RS_START] < start:
            r = -2 - split_run(h, -2 - r, start - h.runs[r, RS_START])
        if h.runs[r, RS_START] + h.runs[r, RS_LEN] > end:
            split_run(h, -2 - r, end - h.runs[r, RS_START])
        start = h.runs[r, RS_START] + h.runs[r, RS_LEN]
        take_off(h, a, -2 - r, h.runs[r, RS_LEN])
        h.runb[r, RS_STATE] = R_LOOSE
        h.run[r, RN_CNT] = 0
        free_loose(h, r, True)


@kernel
def take_off(h, a, ref, pages):
    """Take a present element out of a bag and close the gap it leaves."""
    pb = ref if ref >= 0 else h.run[-2 - ref, RN_PB]
    count_used(h, a, pb, -pages)
    h.g[T_PAGES] += pages
    before = prv(h, ref)
    chain_unlink(h, a, ref)
    tail = h.slot[a, AR_TAIL]
    if tail != NIL and is_hole(h, tail) and not hole_flag(h, tail):
        h.run[-2 - tail, RN_CNT] += pages
    else:
        chain_insert_before(h, a, NIL, new_hole(h, pages, 0))
    if before != NIL and is_hole(h, before):
        join_holes(h, a, before)


# -- lists ----------------------------------------------------------------------------------------


@kernel
def stir(h, key, z, millionths):
    """STIR."""
    if not 0 <= millionths <= MILLION or not 0 <= z < h.g[G_NZONES]:
        return EINVAL
    for mt in range(4):
        stir_list(h, z, mt, key, millionths)
    return OK


@kernel
def stir_list(h, z, mt, key, millionths):
    """Fisher-Yates on the first part of a list of maximal chunks; the rest stays in rows."""
    order = h.g[G_MAXO]
    i = fl(h, z, mt, order)
    head, total = h.fl[i, FL_HEAD], 0
    while head != NIL:
        total += h.pb[head, PB_AUX]
        head = h.pb[head, PB_NEXT]
    used = total * millionths // MILLION
    head, n = h.fl[i, FL_HEAD], 0
    while n < used:
        following, row = h.pb[head, PB_NEXT], h.pb[head, PB_AUX]
        if n + row > used:
            single_out(h, z, head + 2 * (used - n), head)
            row = used - n
            following = head + 2 * row
        if row > 1:
            note_range(h, head, NIL)
        for k in range(row):
            h.small[h.g[G_PERM] + n + k] = head + 2 * k
        n += row
        head = following
    if used == 0:
        return
    permute(h, z, mt, key, used)
    last, begin, count = NIL, recent(h, z, mt, order), h.fl[i, FL_COUNT]
    for k in range(used - 1, -1, -1):
        pb = h.small[h.g[G_PERM] + k]
        count = came(h, begin, count, pb, pb + 1)
    h.fl[i, FL_COUNT] = count
    for k in range(used):
        pb = h.small[h.g[G_PERM] + k]
        set_max_chunk(h, pb, 1)
        h.pbh[pb, PH_LIST] = mt
        set_prv(h, pb, last)
        if last == NIL:
            h.fl[i, FL_HEAD] = pb
        else:
            set_nxt(h, last, pb)
        last = pb
    set_nxt(h, last, head)
    if head == NIL:
        h.fl[i, FL_TAIL] = last
    else:
        set_prv(h, head, last)
    h.g[G_MUT] += 1


@kernel
def permute(h, z, mt, key, n):
    """Fisher-Yates on the first n entries of the scratch table."""
    base = h.g[G_PERM]
    for k in range(n - 1, 0, -1):
        j = below(k + 1, key, z, mt, k)
        pb = h.small[base + k]
        h.small[base + k] = h.small[base + j]
        h.small[base + j] = pb
