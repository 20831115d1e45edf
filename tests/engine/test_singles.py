"""Many commands about one page each in one batch: what is carried out without the general steps
(engine/singles.py, engine/punch.py) gives what the reference gives, whatever lies between."""

from collections import Counter

import numpy as np
import pytest

import engine.state
from engine.costs import CostModel
from engine.enums import AreaKind, Op, Pinner, Row
from engine.host import Host
from engine.reference.host import ReferenceHost
from engine.rows import COLUMNS, FIRST
from engine.shape import HostShape
from tests.engine.bench import (
    Int64,
    Surveyed,
    command,
    compare_full,
    make_shape,
    make_table,
    rows_of,
)
from tests.engine.commands import Draws

ENGINES = (ReferenceHost, Host, Surveyed)
KINDS = (
    AreaKind.ANON, AreaKind.THP, AreaKind.ANON, AreaKind.FILE, AreaKind.KERNEL, AreaKind.SHMEM,
    AreaKind.HUGETLB,
)  # fmt: skip
TAKES_PAGES = len(KINDS) - 1
"""Areas before that of a pool that has no folio."""
PAGES, TURNS, SINGLES = 40, 8, 60
NORESERVE = 2
HINTED = 1
SHAPES = {
    "two nodes": make_shape("NNNMMM-|NNMM", order=2, chunks=4, cpus=(0, 1)),
    "one zone": make_shape("NNNNNNN", order=3, chunks=4, cpus=(0, 0)),
    "kswapd has turns": make_shape("DNNNMMM-", order=2, chunks=4, thp=True, turns=(5, 64, 2)),
    "x86-64": make_shape("NNNMM-", order=9, chunks=1),
}
CELLS: list[dict[str, int]] = [
    {}, {"PCP_HIGH_PAGES": 9}, {"HINT_HONOURED": 1, "PCP_HIGH_PAGES": 1}, {"PCP_BATCH_SCALE": 3},
]  # fmt: skip


class Batches:
    """Draws batches: mostly single pages, rarely what makes them anything but plain."""

    def __init__(self, shape: HostShape, key: int) -> None:
        self.d, self.shape, self.now_ns, self.attempts = Draws(key, 79), shape, 0, 0
        self.slots = len(KINDS)
        self.pages = (PAGES >> shape.pageblock_order or 1) << shape.pageblock_order

    def first(self) -> list[list[int]]:
        """Map areas of all kinds; one is hinted, all are touched in part."""
        return [row for process in (0, 1) for row in self.life(process)]

    def life(self, process: int) -> list[list[int]]:
        """Start a process and its areas."""
        cpu = process % len(self.shape.cpu_node)
        rows = [command(self.now_ns, Op.SPAWN, process, cpu, 0)]
        for area in range(process, self.slots, 2):
            flags = HINTED if area == 2 else NORESERVE if area == TAKES_PAGES else 0
            some = self.pages // (1 + self.d.below(3))
            rows.append(command(self.now_ns, Op.MAP, area, process, KINDS[area], self.pages, flags))
            rows.append(command(self.now_ns, Op.TOUCH, area, 0, some, -1, -1))
        return rows

    def next(self) -> list[list[int]]:
        """One more batch; a process that was killed lives again."""
        rows = []
        for _ in range(SINGLES):
            if not self.d.below(9):
                self.now_ns += self.d.of((1, 1_000, 800_000))
            rows.append(self.rare() if not self.d.below(14) else self.single())
        return [*rows, *self.life(self.d.below(2))]

    def single(self) -> list[int]:
        """FREE or TOUCH of a page of the first areas as a rule; wrong ones, too."""
        area = self.d.below(2) if self.d.below(4) else self.d.below(self.slots + 1)
        index = self.d.below(self.pages) if self.d.below(20) else self.d.of((-1, self.pages))
        cpu = self.d.below(3) - 1
        if self.d.below(2):
            return command(self.now_ns, Op.FREE, area, index, 1, cpu)
        node = self.d.of((-1, -1, -1, 0, 1, self.shape.nr_nodes))
        return command(self.now_ns, Op.TOUCH, area, index, 1, cpu, node)

    def rare(self) -> list[int]:
        """Something else."""
        d, area, first = self.d, self.d.below(self.slots), self.d.below(self.pages - 9)
        self.attempts += 1
        return command(self.now_ns, *d.of([
            (Op.READ, area, first, 1 + d.below(9)),
            (Op.TOUCH, area, first, 1 + d.below(9), -1, -1),
            (Op.FREE, area, first, 1 + d.below(9), -1),
            (Op.PIN, d.below(2), area, first, 1 + d.below(9), Pinner.VFIO, -1),
            (Op.UNPIN, d.below(2)),
            (Op.UNPIN, d.below(2)),
            (Op.FORK, self.slots, d.below(3), d.below(2)),
            (Op.UNMAP, self.slots),
            (Op.UNMAP, self.slots),
            (Op.OFFLINE, self.attempts, d.below(len(self.shape.block_zone)), 1, 0),
            (Op.SIGNAL,),
            (Op.SIGNAL,),
            (Op.MLOCK, area, d.below(2)),
        ]))  # fmt: skip


def counts(rows: Int64) -> Counter[str]:
    """How often what should happen in these tests did."""
    found: Counter[str] = Counter()
    for row in rows_of(rows, Row.RESULT):
        if row["errno"]:
            continue
        found[Op(row["op"]).name] += 1
        if row["pages"] == 1 and row["op"] == Op.TOUCH:
            found[f"touched {row['faulted_pages']}"] += 1
        if row["pages"] == 1 and row["op"] == Op.FREE:
            found["freed" if row["latency_ns"] else "freed nothing"] += 1
    found["attempts"] += len(rows_of(rows, Row.ATTEMPT))
    return found


@pytest.mark.parametrize("profile", ["linux-5.10", "linux-6.1", "linux-6.12"])
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("key", range(4))
def test_batches_of_single_pages(profile: str, name: str, key: int) -> None:
    shape, costs = SHAPES[name], CostModel().vector()
    table = make_table("linux-5.13+unbounded", profile, **CELLS[key])
    hosts = [kind(shape, table, costs) for kind in ENGINES]
    batches, happened = Batches(shape, key), Counter[str]()
    for turn in range(TURNS):
        rows = batches.next() if turn else batches.first()
        results = [h.execute(np.array(rows), batches.now_ns) for h in hosts]
        for host, other in zip(hosts[1:], results[1:], strict=True):
            assert np.array_equal(results[0], other)
            assert np.array_equal(hosts[0].counters, host.counters)
            compare_full(hosts[0], host, shape)
        happened += counts(results[0])
    for what in ("freed", "freed nothing", "touched 0", "touched 1"):
        assert happened[what] >= TURNS, happened


def test_the_batches_have_what_is_not_plain() -> None:
    """And so much of what is that the test above tells something."""
    happened = Counter[str]()
    for shape in SHAPES.values():
        for key in range(4):
            table = make_table("linux-5.13+unbounded", "linux-6.1", **CELLS[key])
            host, batches = Surveyed(shape, table, CostModel().vector()), Batches(shape, key)
            for turn in range(TURNS):
                rows = batches.next() if turn else batches.first()
                happened += counts(host.execute(np.array(rows), batches.now_ns))
    for what in ("FORK", "UNMAP", "PIN", "UNPIN", "OFFLINE", "SIGNAL", "attempts", "MLOCK"):
        assert happened[what] >= 5, happened
    for what in ("freed", "freed nothing", "touched 0", "touched 1"):
        assert happened[what] >= 400, happened


@pytest.mark.parametrize("kind", [AreaKind.ANON, AreaKind.THP])
def test_every_page_of_a_pageblock_goes_and_comes(kind: AreaKind) -> None:
    """First, last and middle pages, of runs both ways, until all is a hole, and back again."""
    shape, table = make_shape("NNNN", order=4, chunks=2), make_table(PCP_HIGH_PAGES=5)
    hosts = [make(shape, table, CostModel().vector()) for make in ENGINES]
    start = [
        command(0, Op.SPAWN, 0, 0, 0), command(0, Op.MAP, 0, 0, kind, 48, 0),
        command(0, Op.TOUCH, 0, 0, 48, -1, -1),
    ]  # fmt: skip
    d, batches = Draws(7, 80), [start]
    for _ in range(5):
        order = np.argsort([d.below(1 << 30) for _ in range(48)]).tolist()
        again = np.argsort([d.below(1 << 30) for _ in range(48)]).tolist()
        batches.append([command(0, Op.FREE, 0, page, 1, 0) for page in order])
        batches.append([command(0, Op.TOUCH, 0, page, 1, 0, -1) for page in again])
    for batch in batches:
        first, *others = (h.execute(np.array(batch), 0) for h in hosts)
        for rows, host in zip(others, hosts[1:], strict=True):
            assert np.array_equal(first, rows)
            compare_full(hosts[0], host, shape)
    errno = FIRST + COLUMNS[Row.RESULT].index("errno")
    assert not first[:, errno].any()


def test_more_single_pages_than_rows_and_run_records_were_made_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The tables grow in mid batch."""
    monkeypatch.setattr(engine.state, "_SCRATCH", {})
    shape, table = make_shape("NNNN", order=9, chunks=2), make_table()
    hosts = [kind(shape, table, CostModel().vector()) for kind in (Host, Surveyed)]
    pages = 3000
    start = [
        command(0, Op.SPAWN, 0, 0, 0), command(0, Op.MAP, 0, 0, AreaKind.ANON, pages, 0),
        command(0, Op.TOUCH, 0, 0, pages, -1, -1),
    ]  # fmt: skip
    frees = [command(0, Op.FREE, 0, page, 1, 0) for page in range(0, pages, 2)]
    touches = [command(0, Op.TOUCH, 0, page, 1, 0, -1) for page in range(0, pages, 2)]
    before = len(hosts[1]._h.rows), len(hosts[1]._h.run)
    for batch in (start, frees, touches):
        one_by_one = np.concatenate([hosts[0].execute(np.array([row]), 0) for row in batch])
        assert np.array_equal(one_by_one, hosts[1].execute(np.array(batch), 0))
    compare_full(hosts[0], hosts[1], shape)
    assert len(hosts[1]._h.rows) > before[0]
    assert len(hosts[1]._h.run) > before[1]
