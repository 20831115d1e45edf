"""The compiled main loop: commands in, steps of a running offline in between, rows out."""

from engine.chunks import note_range, set_max_chunk
from engine.draw_kernel import below
from engine.elements import length, nxt
from engine.emit import clear_tally, new_row, rows_needed
from engine.enums import MOST_AREAS, Errno, Op, Row
from engine.fault import mlock, read, touch
from engine.fork import fork
from engine.freelist import fl, link, unlink
from engine.history import age, follow
from engine.hold import hold
from engine.hugetlb import grow_pool, set_pool
from engine.inflight import set_io
from engine.kernel import entry, kernel
from engine.kswapd import pass_time
from engine.landmarks import mark
from engine.memory import map_area, proc_ok, spawn
from engine.migrate import migrate
from engine.objects import tidy
from engine.offline import offline, signal, status, step
from engine.online import add_block, online
from engine.pin import pin
from engine.pointer import host_at
from engine.reclaim import reclaim
from engine.rehearsal import READY, can_rehearse
from engine.returning import unpin_and_return
from engine.sharing import map_file
from engine.singles import run_singles
from engine.skipping import repeats_until
from engine.state import (
    AR_HEAD,
    AR_KIND,
    AR_MARKS,
    BK_FILE,
    BK_KERNEL,
    BK_NODE,
    BK_PINNED,
    BK_RESERVED,
    BK_USED,
    BK_ZONE,
    FL_HEAD,
    FL_TAIL,
    G_CAUSE,
    G_ERROR,
    G_ERRORS,
    G_FEW,
    G_FORESEEN,
    G_IO,
    G_KILLED,
    G_MAXO,
    G_NBLOCKS,
    G_NCMD,
    G_NOBJ,
    G_NOW,
    G_NRANGES,
    G_NROWS,
    G_NZONES,
    G_OBJROWS,
    G_PANIC,
    G_PBP,
    G_PERM,
    G_REHEARSAL,
    G_RUNS,
    G_STAMP,
    G_THROUGH,
    G_TIDY,
    HI_PHASE,
    M_TARGET,
    NIL,
    NR_CALL,
    O_CALL,
    O_ENDLESS,
    O_ON,
    O_QUIET,
    O_RINGN,
    O_STEP,
    PB_AUX,
    PB_NEXT,
    PB_PREV,
    PS_STATE,
    SAVED,
    T_CALLS,
    T_PAGES,
    Z_FREE,
    Z_MANAGED,
    Z_MIN,
    Z_PRESENT,
)
from engine.stir import stir
from engine.unmap import exit_process, free_range, set_dirty, unmap
from engine.watermark import (
    keep_reserves,
    set_watermarks,
    spread_marks,
)

OK, EINVAL = 0, int(Errno.EINVAL)
EINTR, ENOMEM = int(Errno.EINTR), int(Errno.ENOMEM)
SPAWN, MAP, TOUCH, READ = int(Op.SPAWN), int(Op.MAP), int(Op.TOUCH), int(Op.READ)
FREE, UNMAP, EXIT, PIN = int(Op.FREE), int(Op.UNMAP), int(Op.EXIT), int(Op.PIN)
UNPIN, HOLD, ONLINE, OFFLINE = int(Op.UNPIN), int(Op.HOLD), int(Op.ONLINE), int(Op.OFFLINE)
SIGNAL, STATUS, RECLAIM = int(Op.SIGNAL), int(Op.STATUS), int(Op.RECLAIM)
MIGRATE, SAMPLE, SHUFFLE, POOL = int(Op.MIGRATE), int(Op.SAMPLE), int(Op.SHUFFLE), int(Op.POOL)
MIN_FREE, IO, NR_HUGEPAGES = int(Op.MIN_FREE), int(Op.IO), int(Op.NR_HUGEPAGES)
MLOCK, DIRTY = int(Op.MLOCK), int(Op.DIRTY)
FORK, MAP_FILE = int(Op.FORK), int(Op.MAP_FILE)
BACKWARDS = -2
RUNS_PER_PAGEBLOCK = 16
"""Records kept in reserve: a large request on a full host may split most of its pageblocks. What is
never used is untouched memory and costs nothing."""
AGE, CACHE, STIR = int(Op.AGE), int(Op.CACHE), int(Op.STIR)
RESULT, SAMPLE_ROW = int(Row.RESULT), int(Row.SAMPLE)


@entry
def populate_blocks(at, kinds):
    """Put all memory that is online at start into the free lists; ``kinds`` per block."""
    h = host_at(at)
    for b in range(h.g[G_NBLOCKS]):
        if kinds[b] >= 0:
            start_block(h, b, kinds)
    set_watermarks(h)


@kernel
def start_block(h, b, kinds):
    """Add one boot block; neighbours become one row of maximal chunks in the free list."""
    z = h.blk[b, BK_NODE] * 3 + kinds[b]
    add_block(h, b, z)
    n = h.g[G_NRANGES]
    if n < 2 or b == 0 or h.blk[b - 1, BK_ZONE] != z or h.blk[b, BK_RESERVED]:
        return
    last, before = h.small[n - 1], h.small[n - 2]
    i = fl(h, z, 1, h.g[G_MAXO])
    if before + 2 * h.pb[before, PB_AUX] != last or h.fl[i, FL_TAIL] != last:
        return
    if h.pb[last, PB_PREV] != before:
        return
    unlink(h, z, h.g[G_MAXO], last)
    row = h.pb[last, PB_AUX]
    note_range(h, last, NIL)
    h.pbs[last, PS_STATE] = 0
    h.pb[before, PB_AUX] += row


@kernel
def sample(h, number):
    """SAMPLE: one row per zone with memory."""
    for z in range(h.g[G_NZONES]):
        if h.zone[z, Z_PRESENT] == 0:
            continue
        n = new_row(h, SAMPLE_ROW)
        h.rows[n, 3] = number
        h.rows[n, 4] = z
        h.rows[n, 5] = h.zone[z, Z_MANAGED]
        h.rows[n, 6] = h.zone[z, Z_FREE]
        h.rows[n, 7] = h.zone[z, Z_MIN]
        used = 0
        for b in range(h.g[G_NBLOCKS]):
            if h.blk[b, BK_ZONE] != z:
                continue
            used += h.blk[b, BK_USED]
            h.rows[n, 8] += h.blk[b, BK_PINNED]
            h.rows[n, 9] += h.blk[b, BK_FILE]
            h.rows[n, 11] += h.blk[b, BK_KERNEL]
            h.rows[n, 12] += 1
            h.rows[n, 13] += 1 if h.blk[b, BK_PINNED] else 0
        h.rows[n, 10] = used - h.rows[n, 9] - h.rows[n, 11]
    return OK


@kernel
def shuffle(h, key):
    """SHUFFLE: permute the max-order free lists by key (mm/shuffle.c)."""
    order = h.g[G_MAXO]
    for z in range(h.g[G_NZONES]):
        for mt in range(4):
            shuffle_list(h, z, mt, order, key)
    return OK


@kernel
def shuffle_list(h, z, mt, order, key):
    """Fisher-Yates on one list: chunks are numbered in list order, then linked anew."""
    i = fl(h, z, mt, order)
    n = 0
    head = h.fl[i, FL_HEAD]
    while head != NIL:  # rows of chunks become single ones
        following = h.pb[head, PB_NEXT]
        row = h.pb[head, PB_AUX]
        if row > 1:
            note_range(h, head, NIL)
        for k in range(row):
            h.small[h.g[G_PERM] + n] = head + 2 * k
            n += 1
        head = following
    h.fl[i, FL_HEAD] = NIL
    h.fl[i, FL_TAIL] = NIL
    for k in range(n - 1, 0, -1):
        j = below(k + 1, key, z, mt, k)
        a = h.small[h.g[G_PERM] + k]
        h.small[h.g[G_PERM] + k] = h.small[h.g[G_PERM] + j]
        h.small[h.g[G_PERM] + j] = a
    for k in range(n):
        set_max_chunk(h, h.small[h.g[G_PERM] + k], 1)
        link(h, z, mt, order, h.small[h.g[G_PERM] + k], True)


@kernel
def apply(h, commands, i):
    """Run one command; returns its errno."""
    op = commands[i, 1]
    a0, a1, a2 = commands[i, 2], commands[i, 3], commands[i, 4]
    a3, a4, a5 = commands[i, 5], commands[i, 6], commands[i, 7]
    if op == TOUCH:
        return touch(h, a0, a1, a2, a3, a4)
    if op == PIN:
        return pin(h, a0, a1, a2, a3, a4, a5)
    if op == EXIT:
        if not proc_ok(h, a0):
            return EINVAL
        exit_process(h, a0)
        return OK
    if op == SPAWN:
        return spawn(h, a0, a1, a2)
    if op == MAP:
        return map_area(h, a0, a1, a2, a3, a4)
    if op == READ:
        return read(h, a0, a1, a2)
    if op == FREE:
        return free_range(h, a0, a1, a2, a3)
    if op == UNMAP:
        return unmap(h, a0)
    if op == UNPIN:
        return unpin_and_return(h, a0)
    if op == HOLD:
        return hold(h, a0, a1, a2, a3)
    if op == AGE:
        return age(h, a0, a1, a2, a3, a4, a5)
    if op == CACHE:
        return follow(h, a0, a1, a2, a3, a4, a5)
    return apply_rare(h, op, a0, a1, a2, a3, a4)


@kernel
def apply_rare(h, op, a0, a1, a2, a3, a4):
    """The commands that concern the host as a whole."""
    if op == ONLINE:
        return online(h, a0, a1, a2)
    if op == OFFLINE:
        return offline(h, a0, a1, a2, a3)
    if op == SIGNAL:
        return signal(h)
    if op == STATUS:
        return status(h, a0)
    if op == RECLAIM:
        if not 0 <= a0 < h.g[G_NZONES] or a1 < 0:
            return EINVAL
        h.g[T_PAGES] = reclaim(h, -1, a0, a1, False, 0)
        return OK
    if op == MIGRATE:
        return migrate(h, a0, a1, a2, a3)
    if op == SAMPLE:
        return sample(h, a0)
    if op == SHUFFLE:
        return shuffle(h, a0)
    if op == MIN_FREE:
        if a0 < 0:
            return EINVAL
        spread_marks(h, a0)
        return OK
    if op == STIR:
        return stir(h, a0, a1, a2)
    if op == POOL:
        return grow_pool(h, a0, a1, a2)
    if op == NR_HUGEPAGES:
        return set_pool(h, a0, a1, a2, a3)
    if op == IO:
        return set_io(h, a0, a1, a2, a3, a4)
    if op == MLOCK:
        return mlock(h, a0, a1)
    if op == DIRTY:
        return set_dirty(h, a0, a1)
    if op == FORK:
        return fork(h, a0, a1, a2)
    if op == MAP_FILE:
        return map_file(h, a0, a1, a2)
    return EINVAL


@kernel
def command(h, commands, i):
    """Run one command and emit its RESULT row. False: it is to be called again (HI_PHASE)."""
    h.g[G_STAMP] += 1
    if not h.g[HI_PHASE]:
        h.g[G_CAUSE] = h.g[G_NCMD]
        h.g[G_NCMD] += 1
        clear_tally(h)
    op = commands[i, 1]
    errno = EINVAL
    if not h.g[G_PANIC]:
        if h.g[O_ON]:
            h.g[O_RINGN] = 0
            h.g[O_QUIET] = 0
            if op != SAMPLE and op != STATUS:
                h.g[O_ENDLESS] = 0
        pass_under_way = h.g[O_CALL]
        if pass_under_way:
            for k in range(NR_CALL):
                h.g[SAVED + k] = h.g[M_TARGET + k]
        errno = apply(h, commands, i)
        if h.g[G_TIDY]:
            tidy(h)
        if pass_under_way:
            for k in range(NR_CALL):
                h.g[M_TARGET + k] = h.g[SAVED + k]
        if h.g[HI_PHASE]:
            return False
        if h.g[G_PANIC]:
            errno = ENOMEM
            h.g[O_ON] = 0
        elif h.g[G_KILLED]:
            errno = EINTR
        h.g[G_KILLED] = 0
    n = new_row(h, RESULT)
    h.rows[n, 3] = op
    h.rows[n, 4] = commands[i, 2]
    h.rows[n, 5] = errno
    h.g[G_ERRORS] += errno != OK
    for k in range(T_PAGES, T_CALLS + 1):
        h.rows[n, 6 + k - T_PAGES] = h.g[k]
    return True


@kernel
def short_of_space(h):
    """Whether the next command or step might not find rows or run records (G_ERROR: did not)."""
    runs = h.g[G_RUNS]
    # an I/O in flight cuts an element in three; their number is Poisson distributed
    reserve = RUNS_PER_PAGEBLOCK * len(h.pb) + 8 * runs + runs // 2 + 16 * h.g[G_IO]
    if len(h.runs) - runs < 1024 + reserve:
        return 1
    if len(h.rows) - h.g[G_NROWS] < rows_needed(h):
        return 2
    # a command makes one object, but for orphans of files that are pinned through mappings
    if h.g[G_OBJROWS] - 1 - h.g[G_NOBJ] < 2 + h.g[G_THROUGH]:
        return 3
    return 0


@entry
def examine(at, commands):
    """Look at commands before they are run: the highest slot they may open, -1 without any.

    BACKWARDS when their times go back. G_ERROR: whether a list will be shuffled. G_FEW: commands
    about a part of an area smaller than a pageblock.
    """
    h = host_at(at)
    top = -1
    last_ns = h.g[G_NOW] if h.g[G_NCMD] else commands[0, 0]
    h.g[G_ERROR] = 0
    h.g[G_FEW] = 0
    for i in range(len(commands)):
        op = commands[i, 1]
        if commands[i, 0] < last_ns:
            return BACKWARDS
        last_ns = commands[i, 0]
        if op in (SPAWN, PIN, HOLD):
            top = max(top, commands[i, 2])
        elif op in (MAP, FORK, MAP_FILE):
            if commands[i, 2] < MOST_AREAS:
                top = max(top, commands[i, 2])
        elif op == SHUFFLE or op == STIR:
            h.g[G_ERROR] = 1
        if op == FREE or op == TOUCH or op == READ or op == PIN or op == HOLD:
            pages = commands[i, 4] if op != PIN and op != HOLD else commands[i, 5]
            h.g[G_FEW] += pages < h.g[G_PBP]
    return top


@entry
def renew_reserves(at):
    """Compute anew what zones keep from requests, under another decision table."""
    h = host_at(at)
    for z in range(h.g[G_NZONES]):
        keep_reserves(h, z)


@entry
def offline_repeats_until(at):
    """See ``skipping.repeats_until``."""
    return repeats_until(host_at(at))


@entry
def rehearse(at, b):
    """From here on the host rehearses an offline of a block; whether it can (``rehearsal``)."""
    h = host_at(at)
    able = can_rehearse(h, b) and not short_of_space(h)
    h.g[G_REHEARSAL] = READY if able else 0
    return able


@entry
def set_landmarks(at):
    """Write the landmarks of all areas that have rows in an empty table."""
    h = host_at(at)
    for a in range(len(h.slot)):
        if h.slot[a, AR_KIND] < 0 or h.slot[a, AR_MARKS] < 0:
            continue
        ref, pos = h.slot[a, AR_HEAD], 0
        while ref != NIL:
            mark(h, a, ref, pos)
            pos += length(h, ref)
            ref = nxt(h, ref)


@entry
def run(at, commands, i, until_ns):
    """Apply commands from index i on, then advance to ``until_ns``.

    Returns the index of the next command. G_ERROR tells why it stopped early: 1 run records,
    2 rows; 0 when all is done (the index is then one past the last command).
    """
    h = host_at(at)
    n = len(commands)
    h.g[O_RINGN] = 0
    h.g[O_QUIET] = 0
    h.g[G_FORESEEN] = 0
    while True:
        h.g[G_ERROR] = short_of_space(h)
        if h.g[G_ERROR]:
            return i
        limit = commands[i, 0] if i < n else until_ns
        if h.g[O_ON] and h.g[O_STEP] < limit:
            step(h, limit)
        elif i < n:
            if len(h.marks):
                done = run_singles(h, commands, i)
                if done > i:
                    i = done
                    if h.g[G_ERROR]:
                        return -1
                    continue
            pass_time(h, commands[i, 0])
            if not command(h, commands, i):
                return i
            i += 1
        else:
            pass_time(h, max(h.g[G_NOW], until_ns))
            return n + 1
        if h.g[G_ERROR]:
            return -1
