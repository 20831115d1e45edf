"""The fast host: arrays, compiled commands, and its state as arrays."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engine import arena
from engine.dispatch import (
    BACKWARDS,
    RUNS_PER_PAGEBLOCK,
    examine,
    offline_repeats_until,
    populate_blocks,
    rehearse,
    renew_reserves,
    run,
    set_landmarks,
)
from engine.enums import MOST_AREAS, NR_PATHS, ZONES_PER_NODE, AreaKind, Op, PoolSize, ZoneKind
from engine.kernel import compile_kernels
from engine.pointer import HOST, table_of, table_of_copy
from engine.rehearsal import FAILED
from engine.rows import NR_COLUMNS
from engine.shape import HostShape
from engine.shown import ABSENT, SHOWN_VIEW, join_extents, list_extents
from engine.state import (
    AR_BELOW,
    AR_FOLIO,
    AR_HEAD,
    AR_KIND,
    AR_MARKS,
    AR_PAGES,
    BK_FILE,
    BK_ISO,
    BK_KERNEL,
    BK_PINNED,
    BK_RESERVED,
    BK_USED,
    BK_ZONE,
    COSTS,
    COUNTERS,
    DESC,
    FL_HEAD,
    FOLIO,
    FREE,
    G_BLOCK_PBS,
    G_ERROR,
    G_ERRORS,
    G_FEW,
    G_GIGANTIC,
    G_MAXO,
    G_NCMD,
    G_NNODES,
    G_NOW,
    G_NROWS,
    G_NZONES,
    G_OBJROWS,
    G_PBO,
    G_PBP,
    G_PCP,
    G_PERM,
    G_REHEARSAL,
    G_RESERVED,
    G_RUNS,
    G_RUNTOP,
    G_THROUGH,
    GIGANTIC,
    ISOLATED,
    LANDMARKS,
    NIL,
    NR_GLOBALS,
    O_ON,
    PB_AUX,
    PB_NEXT,
    PCP_ROWS,
    PIN_BITS,
    PIN_MASK,
    PS_FLAG,
    PS_STATE,
    R_HOLE,
    RN_CNT,
    RN_NEXT,
    RN_PB,
    RS_FLAG,
    RS_LEN,
    RS_START,
    RS_STATE,
    SCRATCH,
    SPLIT,
    TABLE,
    UNIFORM,
    Z_FILE,
    Z_FREE,
    Z_HIGH,
    Z_ISO,
    Z_LOW,
    Z_MANAGED,
    Z_MIN,
    Z_PCP,
    Z_POOL,
    Z_POOL_FREE,
    Z_POOL_SURPLUS,
    Z_POOL_TOTAL,
    Z_PRESENT,
    H,
    bring_runs,
    empty_slots,
    fresh,
    no_landmarks,
    pack_runs,
    reserve_runs,
    resized,
    scratch,
    views,
    want_huge_pages,
)

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
RUNS_SHORT, ROWS_SHORT, OBJECTS_SHORT = 1, 2, 3
RUNS_AT_HAND = 2
"""Run records per pageblock whose memory a host gets before it is worked on page by page: a page
fault in the middle of a batch costs as much as thousands of its commands."""


class EngineError(RuntimeError):
    """The host ran out of an internal resource in the middle of a command."""


class Host:
    """A host on pageblocks and runs; equals ``ReferenceHost`` on every row and counter.

    Parameters
    ----------
    shape : HostShape
        Memory blocks, nodes, CPUs.
    table : int64[NR_CELLS]
        Decision table (``engine.table``).
    costs : int64[NR_COSTS]
        Costs in ns (``engine.costs``).
    """

    __slots__ = ("_at", "_h", "_table", "shape")

    few = 64
    """Commands of a batch about less than a pageblock each from which on landmarks pay."""

    def __init__(self, shape: HostShape, table: Int64, costs: Int64) -> None:
        compile_ahead()
        self.shape = shape
        self._hold(fresh(shape, table, costs))
        populate_blocks(self._at, np.array(shape.block_zone, np.int32))

    def _hold(self, h: H, table: Int64 | None = None) -> None:
        """Take arrays over; compiled code finds them by a table (``table_of``'s by default)."""
        self._h, self._table = h, table_of(h) if table is None else table
        self._at = self._table.ctypes.data

    # -- commands -----------------------------------------------------------------------------

    def execute(self, commands: Int64, until_ns: int) -> Int64:
        """Apply commands in order, then advance to ``until_ns``.

        Parameters
        ----------
        commands : int64[n, 8]
            ``time_ns, op, a0..a5`` (``engine.enums.Op``), times not decreasing.
        until_ns : int
            Steps of a running offline that start before this time are run.

        Returns
        -------
        int64[m, 18]
            Result rows (``engine.rows``) in the order of their making.

        Raises
        ------
        ValueError
            When times go back.
        EngineError
            When a single command needs more run records than could be foreseen.
        """
        commands = np.ascontiguousarray(commands, np.int64)
        if len(commands):
            self._make_ready(commands)
        g = self._h.g
        g[G_NROWS] = g[G_ERRORS] = 0
        i = 0
        while True:
            i = run(self._at, commands, i, until_ns)
            if i < 0:
                raise EngineError("run records exhausted within one command")
            if i > len(commands):
                break
            self._grow(int(g[G_ERROR]))
        if len(self._h.small) > g[G_PERM]:  # a permutation's scratch: two bytes per pageblock
            self._hold(self._h._replace(small=self._h.small[: g[G_PERM]].copy()))
        return self._h.rows[: g[G_NROWS]].copy()

    def probe(self, commands: Int64, until_ns: int) -> Int64:
        """``execute`` of a copy of this host, which stays as it is; only the rows are left.

        An offline of one block is rehearsed without a copy where that gives the same rows
        (``engine.rehearsal``).

        Parameters, results and errors are those of ``execute``.
        """
        rows = self._rehearsed(commands, until_ns)
        if rows is None:
            rows = self.clone(spare=True).execute(commands, until_ns)
        return rows

    def _rehearsed(self, commands: Int64, until_ns: int) -> Int64 | None:
        """Rows of commands that an offline begins, and that only ask how far it is, or None."""
        op, _, block, count = commands[0, 1:5].tolist() if len(commands) else (-1, 0, 0, 0)
        if op != Op.OFFLINE or count != 1 or (commands[1:, 1] != Op.STATUS).any():
            return None
        g = self._h.g
        before = g.copy()
        try:
            if not rehearse(self._at, block):
                return None
            rows = self.execute(commands, until_ns)
            return rows if g[G_REHEARSAL] != FAILED else None
        finally:
            g[:] = before

    def _make_ready(self, commands: Int64) -> None:
        """Check the times, and grow the tables of areas, processes and pins to the slots named."""
        top, h = examine(self._at, commands), self._h
        if top == BACKWARDS:
            times = commands[:, 0]
            if h.g[G_NCMD] and times[0] < h.g[G_NOW]:
                raise ValueError(f"command at {times[0]} ns, host is at {h.g[G_NOW]} ns")
            raise ValueError("commands are not in order of time")
        areas = len(h.slot) - int(h.g[G_OBJROWS])
        if top >= areas:
            self._more_slots(max(areas + areas // SLOTS_MORE, top + 1), int(h.g[G_OBJROWS]))
        if h.g[G_FEW] >= self.few:
            self._survey()
        if h.g[G_ERROR]:
            size = int(h.g[G_PERM]) + len(h.pbs) // 2 + 1
            self._hold(self._h._replace(small=resized(h.small, size)))

    def _more_slots(self, areas: int, objects: int) -> None:
        """Make a larger table of slots: ``areas`` rows from the front, ``objects`` from the end."""
        h, kept = self._h, int(self._h.g[G_OBJROWS])
        if objects > MOST_AREAS:
            raise EngineError(f"more than {MOST_AREAS} objects that mappings still show")
        larger = empty_slots(areas + objects)
        larger[: len(h.slot) - kept] = h.slot[: len(h.slot) - kept]
        larger[len(larger) - kept :] = h.slot[len(h.slot) - kept :]
        h.g[G_OBJROWS] = objects
        self._hold(h._replace(slot=larger))

    def _survey(self) -> None:
        """Set landmarks in all areas that are no bags, unless they have them."""
        slot, pages_per_row = self._h.slot, int(self._h.g[G_PBP])
        areas = np.flatnonzero((slot[:, AR_KIND] >= 0) & ~np.isin(slot[:, AR_KIND], BAGS))
        if not len(areas) or (len(self._h.marks) and (slot[areas, AR_MARKS] >= 0).all()):
            return
        rows = -(-slot[areas, AR_PAGES] // pages_per_row)
        slot[:, AR_MARKS] = NIL
        slot[areas, AR_MARKS] = np.cumsum(rows) - rows
        marks = np.full((int(rows.sum()), 2), NIL, np.int32)
        marked = np.zeros(len(self._h.pb) + len(self._h.run), np.int32)
        self._hold(self._h._replace(marks=marks, marked=marked))
        self._bring_runs(self._h.run)
        set_landmarks(self._at)

    def _bring_runs(self, run: Int32) -> None:
        """Give memory to the run records that single pages will need."""
        want_huge_pages(run)
        bring_runs(run, int(self._h.g[G_RUNTOP]) + RUNS_AT_HAND * len(self._h.pb))

    def _grow(self, why: int) -> None:
        """Give the host more run records or rows."""
        h = self._h
        if why == RUNS_SHORT:
            least = 2048 + 12 * self.nr_runs + 2 * RUNS_PER_PAGEBLOCK * len(h.pb)
            used = h.run[: int(h.g[G_RUNTOP])]
            run = reserve_runs(used, max(least, 2 * len(h.run)))
            marked = h.marked
            if len(h.marks):
                self._bring_runs(run)
                marked = resized(marked, len(h.pb) + len(run))
            self._hold(h._replace(**views(h.pb, run), marked=marked))
        elif why == OBJECTS_SHORT:
            objects = int(h.g[G_OBJROWS])
            self._more_slots(len(h.slot) - objects, 2 * objects + int(h.g[G_THROUGH]))
        else:
            rows = scratch("rows", (2 * len(h.rows) + 1024, h.rows.shape[1]))
            rows[: len(h.rows)] = h.rows
            self._hold(h._replace(rows=rows))

    # -- state --------------------------------------------------------------------------------

    @property
    def counters(self) -> Int64:
        """int64[NR_COUNTERS], see ``engine.enums.Counter``."""
        return self._h.g[COUNTERS:NR_GLOBALS]

    @property
    def now_ns(self) -> int:
        """Time up to which the host is advanced."""
        return int(self._h.g[G_NOW])

    @property
    def offline_running(self) -> bool:
        """Whether an offline has not returned yet."""
        return bool(self._h.g[O_ON])

    @property
    def offline_repeats_until_ns(self) -> int:
        """Until when a running offline does what it has done, if no command comes; 0: it may not.

        Its last two passes were alike and changed nothing (``engine.skipping``).
        """
        return int(offline_repeats_until(self._at))

    @property
    def nr_runs(self) -> int:
        """Run records in use."""
        return int(self._h.g[G_RUNS])

    def zones(self) -> Int64:
        """int64[nr_zones, 8]: managed, free, min, low, high, present, pcp, isolated (pages)."""
        columns = [Z_MANAGED, Z_FREE, Z_MIN, Z_LOW, Z_HIGH, Z_PRESENT, Z_PCP, Z_ISO]
        return self._h.zone[:, columns].copy()

    def blocks(self) -> Int64:
        """int64[nr_blocks, 7]: zone, isolated, free, used, pinned, file, kernel.

        Zone -1: offline, -2: hole. Pages; ``free`` counts what is in free lists, isolated
        pages too, but not those in per-CPU lists.
        """
        h = self._h
        out = np.zeros((self.shape.nr_blocks, 7), np.int64)
        out[:, 0], out[:, 1] = h.blk[:, BK_ZONE], h.blk[:, BK_ISO]
        online = h.blk[:, BK_ZONE] >= 0
        per_block = int(h.g[G_BLOCK_PBS])
        managed = (per_block - h.blk[:, BK_RESERVED].astype(np.int64)) * int(h.g[G_PBP])
        pcp = np.zeros(self.shape.nr_blocks, np.int64)
        for zone in range(int(h.g[G_NZONES])):
            for cpu in range(len(self.shape.cpu_node)):
                np.add.at(pcp, self.pcp(cpu, zone) // self.shape.block_pages, 1)
        out[:, 2] = np.where(online, managed - h.blk[:, BK_USED] - pcp, 0)
        out[:, 3:] = h.blk[:, [BK_USED, BK_PINNED, BK_FILE, BK_KERNEL]]
        return out

    def area(self, slot: int) -> Int64:
        """int64[k, 4]: first, count, pfn, step of the extents of an area in virtual order.

        pfn -1: absent, -2: zero page, -3: absent, a folio of the hugetlb pool is reserved, -4: huge
        zero page (step 0); step +1 or -1: direction of the pfns of base pages; step 2: (a part of)
        one huge folio.
        """
        rows = self._extents(slot, 0, int(self._h.slot[slot, AR_PAGES]))
        folio_pages = int(self._h.g[G_PBP] * self._h.slot[slot, AR_FOLIO])
        return rows[: join_extents(rows, len(rows), folio_pages)]

    def _extents(self, slot: int, first: int, stop: int) -> Int64:
        """int64[k, 4]: what a range of an area shows, element by element."""
        rows = np.empty((256, 4), np.int64)
        count = list_extents(self._at, slot, first, stop, rows)
        if count > len(rows):
            rows = np.empty((count, 4), np.int64)
            list_extents(self._at, slot, first, stop, rows)
        rows, pieces, done = rows[:count], [], 0
        for view in np.flatnonzero(rows[:, 2] == SHOWN_VIEW).tolist():
            pieces += [rows[done:view], self._below(slot, *rows[view, :2].tolist())]
            done = view + 1
        return np.concatenate([*pieces, rows[done:]]) if pieces else rows

    def _below(self, slot: int, first: int, pages: int) -> Int64:
        """What a range shows of the area below, nothing when that is gone."""
        below = int(self._h.slot[slot, AR_BELOW])
        if below >= 0 and self._h.slot[below, AR_KIND] < 0:
            return np.array([[first, pages, ABSENT, 0]], np.int64)
        return self._extents(below, first, first + pages)

    def pool(self, size: int = PoolSize.HUGE) -> Int64:
        """int64[nr_nodes, 4]: hugetlb folios of a node: all, free, surplus, and reserved.

        Of one ``PoolSize``. Reservations are the host's, of no node: all of them stand in the first
        row.
        """
        h = self._h
        out = np.zeros((int(h.g[G_NNODES]), 4), np.int64)
        out[:, :3] = h.zone[size::ZONES_PER_NODE, [Z_POOL_TOTAL, Z_POOL_FREE, Z_POOL_SURPLUS]]
        out[0, 3] = h.g[G_RESERVED + size]
        return out

    def _extent(self, ref: int) -> tuple[int, int, int]:
        """First pfn in virtual order, pages and step of an element; of a hole only how long."""
        h = self._h
        pbo, pbp = int(h.g[G_PBO]), int(h.g[G_PBP])
        if ref >= 0:
            return ref << pbo, pbp, 2 if h.pbs[ref, PS_STATE] == FOLIO else 1
        r = -2 - ref
        if h.runb[r, RS_STATE] == R_HOLE:
            return ABSENT, int(h.run[r, RN_CNT]), 0
        first, pages = (
            (int(h.run[r, RN_PB]) << pbo) + int(h.runs[r, RS_START]),
            int(h.runs[r, RS_LEN]),
        )
        if h.runb[r, RS_FLAG] & DESC:
            return first + pages - 1, pages, -1
        return first, pages, 1

    def _next(self, ref: int) -> int:
        """Successor of an element in its list."""
        h = self._h
        return int(h.pb[ref, PB_NEXT] if ref >= 0 else h.run[-2 - ref, RN_NEXT])

    def free_list(self, zid: int, mt: int, order: int) -> Int64:
        """int64[k]: pfns of a free list, head first."""
        h = self._h
        pbo, top = int(h.g[G_PBO]), int(h.g[G_MAXO])
        out: list[int] = []
        ref = int(h.fl[(zid * 4 + mt) * (top + 1) + order, FL_HEAD])
        while ref != NIL:
            if ref >= 0:
                row = int(h.pb[ref, PB_AUX]) if order == top else 1
                out += [(ref + 2 * k) << pbo for k in range(row)]
                ref = int(h.pb[ref, PB_NEXT])
            else:
                r = -2 - ref
                out.append((int(h.run[r, RN_PB]) << pbo) + int(h.runs[r, RS_START]))
                ref = int(h.run[r, RN_NEXT])
        return np.array(out, np.int64)

    def pcp(self, cpu: int, zid: int) -> Int64:
        """int64[k]: pages of a CPU's lists (UNMOVABLE, MOVABLE, huge), next taken first."""
        h, out = self._h, []
        for t in range(3):
            i = int(h.g[G_PCP]) + (cpu * int(h.g[G_NZONES]) + zid) * PCP_ROWS + t
            ref = int(h.fl[i, FL_HEAD])
            while ref != NIL:
                first, pages, step = self._extent(ref)
                out += [first + step * k for k in range(pages)]
                ref = self._next(ref)
        return np.array(out, np.int64)

    def pages(self) -> Int64:
        """int64[n, 7]: folios ascending: pfn, order, area, index, pins, refs, isolated."""
        h, out = self._h, list[list[int]]()
        pbo, parts = int(h.g[G_PBO]), int(h.g[G_GIGANTIC])
        areas = len(h.slot) - int(h.g[G_OBJROWS])
        for row in np.flatnonzero(h.slot[:, AR_KIND] >= 0).tolist():
            slot = row if row < areas else row - len(h.slot)
            index, ref = 0, int(h.slot[slot, AR_HEAD])
            while ref != NIL:
                first, pages, step = self._extent(ref)
                count = int(h.pb[ref, PB_AUX] if ref >= 0 else h.run[-2 - ref, RN_CNT])
                flag = int(h.pbs[ref, PS_FLAG] if ref >= 0 else h.runb[-2 - ref, RS_FLAG])
                story = [count & PIN_MASK, count >> PIN_BITS, int(flag & ISOLATED > 0)]
                if step == 2 and flag & GIGANTIC and ref % parts:  # its head came before it
                    out[-1][4:6] = out[-1][4] + story[0], out[-1][5] + story[1]
                elif step == 2:
                    order = pbo + (parts.bit_length() - 1 if flag & GIGANTIC else 0)
                    out.append([first, order, slot, index, *story])
                elif step:
                    out += [[first + step * k, 0, slot, index + k, *story] for k in range(pages)]
                index += pages
                ref = self._next(ref)
        for size in PoolSize:
            order = pbo + (parts.bit_length() - 1 if size else 0)
            for pb in h.zone[size::ZONES_PER_NODE, Z_POOL].tolist():
                while pb != NIL:
                    out.append([pb << pbo, order, -1, 0, 0, 0, 0])
                    pb = int(h.pb[pb, PB_NEXT])
        return np.array(sorted(out), np.int64).reshape(-1, 7)

    def fragments(self) -> dict[str, int]:
        """Counts of pageblocks by state and of run records, and the bytes both take."""
        h = self._h
        states = {"free": FREE, "uniform": UNIFORM, "folio": FOLIO, "split": SPLIT}
        out = {name: int((h.pbs[:, PS_STATE] == value).sum()) for name, value in states.items()}
        out["runs"] = self.nr_runs
        out["pageblock_bytes"] = h.pb[:1].nbytes
        out["run_bytes"] = h.run[:1].nbytes
        return out

    @property
    def available_pages(self) -> int:
        """Free pages and pages of files in all zones: what faults may find in the end."""
        return int(self._h.zone[:, [Z_FREE, Z_FILE]].sum())

    @property
    def nr_errors(self) -> int:
        """Commands of the last ``execute`` that returned an errno."""
        return int(self._h.g[G_ERRORS])

    @property
    def kernel_available_pages(self) -> int:
        """As ``available_pages``, of kernel zones."""
        kinds = self._h.zone.reshape(-1, ZONES_PER_NODE, self._h.zone.shape[1])
        return int(kinds[:, : ZoneKind.MOVABLE, [Z_FREE, Z_FILE]].sum())

    @property
    def nr_commands(self) -> int:
        """Commands carried out since the host was made."""
        return int(self._h.g[G_NCMD])

    def use_table(self, table: Int64) -> None:
        """Go on under another decision table (of the same profile: marks are not computed anew)."""
        self._h.g[TABLE:COSTS] = table
        renew_reserves(self._at)

    def save(self) -> dict[str, np.ndarray]:
        """Return all that tells this host from one of its shape: what ``load`` takes."""
        h = self._h
        passing = (*VIEWED, *SCRATCH, *LANDMARKS)
        arrays = {n: a for n, a in _fields(h) if n not in passing}
        return {**arrays, "pb": h.pb, "run": h.run[: int(h.g[G_RUNTOP])]}

    @classmethod
    def load(cls, shape: HostShape, arrays: dict[str, np.ndarray]) -> "Host":
        """Make the host that ``save`` gave these arrays; they become its own.

        Parameters
        ----------
        shape : HostShape
            Of the saved host.
        arrays : dict of arrays
            Writable and contiguous.
        """
        compile_ahead()
        host = cls.__new__(cls)
        host.shape = shape
        rows, acc = (
            scratch("rows", (1024, NR_COLUMNS)),
            scratch("acc", (shape.nr_blocks * NR_PATHS, 6)),
        )
        records = reserve_runs(arrays["run"], 2048 + 10 * len(arrays["run"]))
        own = {name: array for name, array in arrays.items() if name not in ("pb", "run")}
        pb = arena.zeros(arrays["pb"].shape)
        pb[:] = arrays["pb"]
        fields = {**own, **views(pb, records), "rows": rows, "acc": acc, **no_landmarks()}
        host._hold(H(**fields))
        return host

    def settle(self) -> None:
        """Say that a host has become what it is: its memory is laid out for speed."""
        pack_runs(self._h.run, int(self._h.g[G_RUNTOP]))

    def clone(self, *, spare: bool = False) -> "Host":
        """An independent copy; only what is in use is copied of the run records.

        A ``spare`` one lives in memory that the next spare clone of this process takes over: for
        one that is forgotten before another is made. Fresh memory costs a page fault per 4 KiB.
        """
        other = Host.__new__(Host)
        other.shape = self.shape
        h = self._h
        top = int(h.g[G_RUNTOP])
        copied = {n: a for n, a in _fields(h) if n not in (*SCRATCH, *VIEWED, *LANDMARKS)}
        copied |= {"pb": h.pb, "run": h.run[:top]}
        new: dict[str, np.ndarray] = {name: getattr(h, name) for name in SCRATCH}
        addresses = {}
        for name, used in copied.items():
            like = getattr(h, name)
            if spare:
                new[name], addresses[name] = _spare(name, like)
            else:
                new[name] = np.empty_like(like)
            new[name][: len(used)] = used
        viewed = views(new.pop("pb"), new.pop("run"))
        clone = H(**new, **viewed, **no_landmarks())
        if spare:
            addresses |= dict.fromkeys(("pbh", "pbs"), addresses["pb"])
            addresses |= dict.fromkeys(("runs", "runb"), addresses["run"])
            other._hold(clone, table_of_copy(self._table, addresses))
        else:
            other._hold(clone)
        return other


SLOTS_MORE = 4
"""The table of slots grows by this part of it: half of one that doubles is empty, 60 MB a fleet."""
VIEWED = ("pb", "pbh", "pbs", "run", "runs", "runb")
BAGS = (int(AreaKind.FILE), int(AreaKind.KERNEL))
_SPARE: dict[str, tuple[np.ndarray, int]] = {}


def _spare(name: str, like: np.ndarray) -> tuple[np.ndarray, int]:
    """An array of that shape in the memory of spare clones, and where that begins."""
    held, address = _SPARE.get(name, (None, 0))
    if held is None or held.size < like.size:
        large = like.dtype == np.int32
        held = arena.apart(like.size) if large else np.empty(like.size, like.dtype)
        address = held.ctypes.data
        _SPARE[name] = held, address
    return held[: like.size].reshape(like.shape), address


def _fields(h: H) -> list[tuple[str, np.ndarray]]:
    """Names and arrays of a host."""
    return list(zip(h._fields, h, strict=True))


def compile_ahead(announce: Callable[[str], None] = lambda _: None) -> None:
    """Load the kernels, or compile them if the cache lacks them: ``announce`` then gets a line."""
    import numba

    types = {
        "h": HOST,
        "commands": numba.int64[:, ::1],
        "extents": numba.int64[:, ::1],
        "kinds": numba.int32[::1],
    }
    compile_kernels(types, announce)


__all__ = ["EngineError", "Host", "compile_ahead"]
