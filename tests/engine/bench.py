"""A bench: the same commands go to every engine, results are compared, laws are checked."""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.costs import CostModel
from engine.enums import NR_CELLS, AreaKind, Cell, Migratetype, Op, PoolSize, Row, ZoneKind
from engine.host import Host
from engine.kernel import BOUNDSCHECK
from engine.reference.host import ReferenceHost
from engine.rows import COLUMNS, FIRST
from engine.shape import HOLE, OFFLINE, HostShape
from policies.arms import parse_arm
from tests.engine.conservation import ADVANCE, POOL, Conservation

Int64 = NDArray[np.int64]
Engine = Any
"""A class with the surface of docs/architecture.md, or an object of it."""


class Surveyed(Host):
    """A fast host that sets landmarks for a single small command."""

    __slots__ = ()
    few = 1


ENGINES: tuple[Engine, ...] = (ReferenceHost, Host)
"""The reference comes first: it defines what the others must compute."""

ALL_ENGINES = (*ENGINES, Surveyed)

_KINDS = {
    "D": ZoneKind.DMA32,
    "N": ZoneKind.NORMAL,
    "R": ZoneKind.NORMAL,
    "M": ZoneKind.MOVABLE,
    "-": OFFLINE,
    "h": HOLE,
}


def make_shape(
    nodes: str, *, order: int = 2, chunks: int = 2, cpus: Sequence[int] = (0,), thp: bool = False,
    dma: bool = False, gigantic: int = 512, turns: tuple[int, int, int] = (0, 0, 0),
) -> HostShape:  # fmt: skip
    """Return a shape drawn with one letter per memory block.

    Parameters
    ----------
    nodes : str
        ``D`` DMA32, ``N`` NORMAL, ``M`` MOVABLE, ``-`` offline, ``h`` hole, ``R`` NORMAL whose
        first pageblock is reserved; ``|`` starts the next node.
    order : int
        Pageblock order.
    chunks : int
        Chunks of maximal order in a memory block.
    cpus : sequence of int
        Node of each CPU.
    thp : bool
        Whether khugepaged raises the watermarks.
    dma : bool
        Whether ``D`` stands for ZONE_DMA and ``N`` for DMA32.
    gigantic : int
        Pageblocks of a gigantic hugetlb page.
    turns : (int, int, int)
        Pages taken and dropped in a turn, and taken in the first one, where kswapd shares the CPU.
    """
    letters = [(node, c) for node, part in enumerate(nodes.split("|")) for c in part]
    return HostShape(
        pageblock_order=order,
        block_pages=chunks << (order + 1),
        block_node=tuple(node for node, _ in letters),
        block_zone=tuple(int(_KINDS[c]) for _, c in letters),
        block_reserved=tuple(int(c == "R") for _, c in letters),
        cpu_node=tuple(cpus),
        thp=thp,
        dma=dma,
        gigantic_pageblocks=gigantic,
        turns=turns,
    )


def make_table(arm: str = "kernel+unbounded", profile: str = "linux-6.1", **cells: int) -> Int64:
    """Return an arm's decision table with single cells replaced by name."""
    table = parse_arm(arm, profile, "movable-50").table().copy()
    for name, value in cells.items():
        table[Cell[name]] = value
    return table


def command(time_ns: int, op: int, *arguments: int) -> list[int]:
    """Return one command row."""
    return [time_ns, int(op), *map(int, arguments), *[0] * (6 - len(arguments))]


def rows_of(rows: Int64, kind: Row) -> list[dict[str, int]]:
    """Return the rows of one kind as dicts, ``time_ns`` and ``cause`` included."""
    names = COLUMNS[kind]
    return [
        {"time_ns": r[0], "cause": r[2], **dict(zip(names, r[FIRST:], strict=False))}
        for r in rows.tolist()
        if r[1] == kind
    ]


@dataclass
class MismatchError(AssertionError):
    """Two engines disagree."""

    what: str

    def __str__(self) -> str:
        return self.what


class Bench:
    """Engines driven by the same commands.

    Parameters
    ----------
    shape, table, costs
        As for an engine; costs default to the default model.
    engines : sequence of engine classes
        The first one is asked when a test reads state.
    checked : bool
        Check conservation laws on the first engine after each command. Not with index checks: the
        same commands have been checked without, and the first engine is the same.
    full_every : int
        Compare everything, list order included, at every such step; 0: only when asked.
    shortens : bool
        Add a snippet that replays the failure, cut to the commands it needs, to any error.
    """

    def __init__(
        self,
        shape: HostShape,
        table: Int64 | None = None,
        costs: Int64 | None = None,
        *,
        engines: Sequence[Engine] = ENGINES,
        checked: bool = True,
        full_every: int = 20,
        shortens: bool = True,
    ) -> None:
        self.shape = shape
        self.table = make_table() if table is None else table
        self.costs = CostModel().vector() if costs is None else costs
        self.hosts: list[Engine] = [e(shape, self.table, self.costs) for e in engines]
        self.engines = tuple(engines)
        self.full_every = full_every
        self.shortens = shortens
        self.broken = False
        self.log: list[list[int]] = []
        self.rows = np.zeros((0, 18), np.int64)
        capped = bool(self.table[Cell.MOVABLE_MARK_CAPPED])
        pages = bool(self.table[Cell.HUGETLB_COUNTS_PAGES])
        laws = checked and not BOUNDSCHECK
        self.laws = Conservation(self.host, capped=capped, counts_pages=pages) if laws else None
        self.compare(full=True)

    @property
    def host(self) -> Engine:
        """The first engine."""
        return self.hosts[0]

    @property
    def now_ns(self) -> int:
        """Time of the host."""
        return int(self.host.now_ns)

    # -- driving ------------------------------------------------------------------------------

    def do(self, op: Op, *arguments: int, after_ns: int = 0) -> dict[str, int]:
        """Run one command ``after_ns`` from now on all engines; return its RESULT."""
        self._step(command(self.now_ns + after_ns, op, *arguments))
        return rows_of(self.rows, Row.RESULT)[-1]

    def advance(self, ns: int) -> Int64:
        """Let time pass on all engines; return the rows."""
        self._step(command(self.now_ns + ns, ADVANCE))
        return self.rows

    def replay(self, log: Sequence[Sequence[int]]) -> "Bench":
        """Run logged commands again, one call each."""
        for row in log:
            self._step([*row, *[0] * (8 - len(row))])
        return self

    def finish(self) -> None:
        """Compare everything once more, by a last step of no time."""
        every, self.full_every = self.full_every, 1
        self.advance(0)
        self.full_every = every

    def _step(self, row: list[int]) -> None:
        self.log.append(row)
        commands = commands_of(row)
        try:
            results = [h.execute(commands, row[0]) for h in self.hosts]
            self.rows = results[0]
            for host, other in zip(self.hosts[1:], results[1:], strict=True):
                same("rows", results[0], other)
                same("nr_errors", np.array(self.host.nr_errors), np.array(host.nr_errors))
            self.compare(full=bool(self.full_every) and len(self.log) % self.full_every == 0)
            if self.laws is not None:
                self.laws.check(self.host, row)
        except Exception as error:
            self.broken = True
            if self.shortens:
                error.add_note(snippet(self, shortest(self, type(error))))
            raise

    # -- comparing ----------------------------------------------------------------------------

    def compare(self, *, full: bool) -> None:
        """Compare all engines with the first one.

        Raises MismatchError naming what differs.
        """
        first = self.host
        zones, blocks = first.zones(), first.blocks()
        for other in self.hosts[1:]:
            same("counters", first.counters, other.counters)
            same("zones", zones, other.zones())
            same("blocks", blocks, other.blocks())
            if (first.now_ns, first.offline_running) != (other.now_ns, other.offline_running):
                raise MismatchError(
                    f"now, offline: {first.now_ns}, {first.offline_running}"
                    f" != {other.now_ns}, {other.offline_running}"
                )
            if full:
                compare_full(first, other, self.shape)


def commands_of(row: Sequence[int]) -> Int64:
    """Commands of one logged step: the row itself, none where only time passes."""
    return np.array([row] if row[1] != ADVANCE else [], np.int64).reshape(-1, 8)


def compare_full(a: Engine, b: Engine, shape: HostShape) -> None:
    """Compare two engines in every detail a host shows. Raises MismatchError."""
    for name in ("available_pages", "kernel_available_pages"):
        same(name, np.array(getattr(a, name)), np.array(getattr(b, name)))
    for zone in range(shape.nr_zones):
        for mt in Migratetype:
            for order in range(shape.pageblock_order + 2):
                name = f"free_list({zone}, {mt.name}, {order})"
                same(name, a.free_list(zone, mt, order), b.free_list(zone, mt, order))
        for cpu in range(len(shape.cpu_node)):
            same(f"pcp({cpu}, {zone})", a.pcp(cpu, zone), b.pcp(cpu, zone))
    for size in PoolSize:
        same(f"pool({size.name})", a.pool(size), b.pool(size))
    pages = a.pages()
    same("pages", pages, b.pages())
    shown = set(a.area_of) if isinstance(a, ReferenceHost) else {int(p[2]) for p in pages}
    for area in sorted(shown - {POOL}):
        same(f"area({area})", a.area(area), b.area(area))


def same(what: str, a: Int64, b: Int64) -> None:
    """Raise MismatchError unless two arrays are equal, showing the first rows that differ."""
    if a.shape == b.shape and np.array_equal(a, b):
        return
    if a.ndim == 2 and b.ndim == 2:
        left, right = a.tolist(), b.tolist()
        only = [f"- {r}" for r in left if r not in right] + [
            f"+ {r}" for r in right if r not in left
        ]
        raise MismatchError(
            f"{what}: {a.shape} {b.shape}\n" + "\n".join(only[:24] or ["order differs"])
        )
    raise MismatchError(f"{what}:\n- {a.tolist()}\n+ {b.tolist()}")


def table_of(cells: dict[str, int]) -> Int64:
    """Return a table from cells by name, the others 0."""
    table = np.zeros(NR_CELLS, np.int64)
    for name, value in cells.items():
        table[Cell[name]] = value
    return table


def shortest(bench: Bench, error: type[Exception]) -> list[list[int]]:
    """Cut a failing log to the commands it needs, within a minute.

    Delta debugging by halves (Zeller and Hildebrandt, IEEE TSE 28(2), 2002).
    """
    log, size = list(bench.log), max(len(bench.log) // 2, 1)
    end = time.monotonic() + 60
    while True:
        start = 0
        while start < len(log):
            shorter = log[:start] + log[start + size :]
            if time.monotonic() > end:
                return log
            if _fails(bench, shorter, error):
                log = shorter
            else:
                start += size
        if size == 1:
            return log
        size //= 2


def _fails(bench: Bench, log: list[list[int]], error: type[Exception]) -> bool:
    """Whether a log makes the same kind of failure on fresh hosts.

    Tried in a child process, because a broken engine may also hang or crash.
    """
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status) == SAME_FAILURE
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(10)
    again = Bench(
        bench.shape, bench.table, bench.costs, engines=bench.engines, full_every=1,
        checked=bench.laws is not None, shortens=False,
    )  # fmt: skip
    try:
        again.replay(log)
    except BaseException as e:
        os._exit(SAME_FAILURE if isinstance(e, error) else 1)
    os._exit(0)


SAME_FAILURE = 7
"""Exit code of a child that failed as the original did."""


def snippet(bench: Bench, log: list[list[int]]) -> str:
    """Python that replays a log."""
    cells = {c.name: int(bench.table[c]) for c in Cell if bench.table[c]}
    lines = [f"    {_trimmed(r)},  # {_op_name(r[1])}" for r in log]
    return "\n".join(
        [
            "import numpy as np",
            "from engine.shape import HostShape",
            "from tests.engine.bench import Bench, table_of",
            f"costs = np.array({bench.costs.tolist()})",
            f"bench = Bench({bench.shape!r}, table_of({cells!r}), costs, full_every=1)",
            "bench.replay([",
            *lines,
            "])",
        ]
    )


def _trimmed(row: list[int]) -> list[int]:
    """A command row without its trailing zeros."""
    used = max((i for i, v in enumerate(row) if v), default=0)
    return row[: max(used + 1, 2)]


def _op_name(op: int) -> str:
    """Name of an operation in a log."""
    if op == ADVANCE:
        return "time passes"
    return Op(op).name if op in list(Op) else "unknown"


class Guest(Bench):
    """A bench whose commands read like a story; slots are numbered by it."""

    _next = 0

    def _slot(self) -> int:
        self._next += 1
        return self._next - 1

    def spawn(self, cpu: int = 0, *, immune: bool = False) -> int:
        """Start a process and return its slot."""
        proc = self._slot()
        assert self.do(Op.SPAWN, proc, cpu, immune)["errno"] == 0
        return proc

    def map(self, proc: int, kind: AreaKind, pages: int, *, hinted: bool = False) -> int:
        """Map an area and return its slot."""
        area = self._slot()
        assert self.do(Op.MAP, area, proc, kind, pages, hinted)["errno"] == 0
        return area

    def touched(self, proc: int, kind: AreaKind, pages: int, node: int = -1) -> int:
        """Map an area, touch all of it, and return its slot."""
        area = self.map(proc, kind, pages)
        assert self.touch(area, 0, pages, node=node)["errno"] == 0
        return area

    def touch(
        self, area: int, first: int, count: int, cpu: int = -1, node: int = -1
    ) -> dict[str, int]:
        """Touch a range."""
        return self.do(Op.TOUCH, area, first, count, cpu, node)

    def free(self, area: int, first: int, count: int, cpu: int = -1) -> dict[str, int]:
        """Free a range."""
        return self.do(Op.FREE, area, first, count, cpu)

    def pin(
        self, pin: int, area: int, first: int, count: int, pinner: int = 0, cpu: int = -1
    ) -> dict[str, int]:
        """Pin a range."""
        return self.do(Op.PIN, pin, area, first, count, pinner, cpu)

    def offline(self, first: int, count: int = 1, bound_ns: int = 0, attempt: int = 7) -> None:
        """Start an offline that must be accepted."""
        assert self.do(Op.OFFLINE, attempt, first, count, bound_ns)["errno"] == 0

    def attempt(self, ns: int = 10_000_000_000) -> dict[str, int]:
        """Let time pass until the running offline has returned; return its ATTEMPT."""
        return rows_of(self.advance(ns), Row.ATTEMPT)[-1]

    def seen(self, kind: Row) -> list[dict[str, int]]:
        """Rows of one kind that the last step returned."""
        return rows_of(self.rows, kind)

    def pfns(self, area: int) -> list[int]:
        """Pfn of every page of an area (-1 absent, -2 zero page, -3 reserved)."""
        out: list[int] = []
        for _, count, pfn, step in self.host.area(area).tolist():
            stride = 0 if pfn < 0 else -1 if step == -1 else 1
            out += [pfn + stride * i for i in range(count)]
        return out

    def zones_of(self, area: int) -> list[int]:
        """Zone kind of every present page of an area, -1 where absent."""
        blocks = self.host.blocks()[:, 0].tolist()
        return [
            int(blocks[p // self.shape.block_pages]) % len(ZoneKind) if p >= 0 else -1
            for p in self.pfns(area)
        ]

    def blocks_of(self, area: int) -> list[int]:
        """Memory blocks an area has pages in, ascending."""
        return sorted({p // self.shape.block_pages for p in self.pfns(area) if p >= 0})
