"""Many commands about one page each in one batch: what is carried out without the general steps
(engine/singles.py, engine/punch.py) gives what the reference gives, whatever lies between."""

import numpy as np
import pytest

from engine.costs import CostModel
from engine.enums import AreaKind, Op, Pinner, Row
from engine.host import Host
from engine.reference.host import ReferenceHost
from engine.rows import COLUMNS, FIRST
from engine.shape import HostShape
from tests.engine.bench import Surveyed, command, compare_full, make_shape, make_table
from tests.engine.commands import Draws

ENGINES = (ReferenceHost, Host, Surveyed)
KINDS = (AreaKind.ANON, AreaKind.THP, AreaKind.ANON, AreaKind.FILE, AreaKind.KERNEL)
PAGES, TURNS, SINGLES = 90, 8, 60
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
        self.d, self.shape, self.now_ns = Draws(key, 79), shape, 0
        self.slots = len(KINDS)

    def first(self) -> list[list[int]]:
        """Map areas of all kinds; one is hinted, all are touched in part."""
        rows = [
            command(0, Op.SPAWN, 0, 0, 0),
            command(0, Op.SPAWN, 1, len(self.shape.cpu_node) - 1, 0),
        ]
        for area, kind in enumerate(KINDS):
            rows.append(command(0, Op.MAP, area, area % 2, kind, PAGES, HINTED if area == 2 else 0))
            rows.append(command(0, Op.TOUCH, area, 0, PAGES // (1 + self.d.below(3)), -1, -1))
        return rows

    def next(self) -> list[list[int]]:
        """One more batch."""
        rows = []
        for _ in range(SINGLES):
            if not self.d.below(9):
                self.now_ns += self.d.of((1, 1_000, 800_000))
            rows.append(self.rare() if not self.d.below(14) else self.single())
        return rows

    def single(self) -> list[int]:
        """FREE or TOUCH of a page of the first areas as a rule; wrong ones, too."""
        area = self.d.below(2) if self.d.below(4) else self.d.below(self.slots + 1)
        index = self.d.below(PAGES) if self.d.below(20) else self.d.of((-1, PAGES))
        cpu = self.d.below(3) - 1
        if self.d.below(2):
            return command(self.now_ns, Op.FREE, area, index, 1, cpu)
        node = self.d.of((-1, -1, -1, 0, 1, self.shape.nr_nodes))
        return command(self.now_ns, Op.TOUCH, area, index, 1, cpu, node)

    def rare(self) -> list[int]:
        """Something else."""
        d, area, first = self.d, self.d.below(self.slots), self.d.below(PAGES - 9)
        return command(self.now_ns, *d.of([
            (Op.READ, area, first, 1 + d.below(9)),
            (Op.TOUCH, area, first, 1 + d.below(9), -1, -1),
            (Op.FREE, area, first, 1 + d.below(9), -1),
            (Op.PIN, d.below(2), area, first, 1 + d.below(9), Pinner.VFIO, -1),
            (Op.UNPIN, d.below(2)),
            (Op.FORK, self.slots, area % 2, area),
            (Op.UNMAP, self.slots),
            (Op.OFFLINE, d.below(len(self.shape.block_zone)), 1, 0, 0),
            (Op.SIGNAL,),
            (Op.MLOCK, area, d.below(2)),
        ]))  # fmt: skip


@pytest.mark.parametrize("profile", ["linux-5.10", "linux-6.1", "linux-6.12"])
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("key", range(4))
def test_batches_of_single_pages(profile: str, name: str, key: int) -> None:
    shape, costs = SHAPES[name], CostModel().vector()
    table = make_table("linux-5.13+unbounded", profile, **CELLS[key])
    hosts = [engine(shape, table, costs) for engine in ENGINES]
    batches = Batches(shape, key)
    for turn in range(TURNS):
        rows = batches.next() if turn else batches.first()
        results = [h.execute(np.array(rows), batches.now_ns) for h in hosts]
        for host, other in zip(hosts[1:], results[1:], strict=True):
            assert np.array_equal(results[0], other)
            assert np.array_equal(hosts[0].counters, host.counters)
            compare_full(hosts[0], host, shape)


@pytest.mark.parametrize("kind", [AreaKind.ANON, AreaKind.THP])
def test_every_page_of_a_pageblock_goes_and_comes(kind: AreaKind) -> None:
    """First, last and middle pages, of runs both ways, until all is a hole, and back again."""
    shape, table = make_shape("NNNN", order=4, chunks=2), make_table(PCP_HIGH_PAGES=5)
    hosts = [engine(shape, table, CostModel().vector()) for engine in ENGINES]
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


def test_more_single_pages_than_rows_and_run_records_were_made_for() -> None:
    """The tables grow in mid batch."""
    shape, table = make_shape("NNNN", order=9, chunks=2), make_table()
    hosts = [engine(shape, table, CostModel().vector()) for engine in (Host, Surveyed)]
    pages = 3000
    start = [
        command(0, Op.SPAWN, 0, 0, 0), command(0, Op.MAP, 0, 0, AreaKind.ANON, pages, 0),
        command(0, Op.TOUCH, 0, 0, pages, -1, -1),
    ]  # fmt: skip
    frees = [command(0, Op.FREE, 0, page, 1, 0) for page in range(0, pages, 2)]
    touches = [command(0, Op.TOUCH, 0, page, 1, 0, -1) for page in range(0, pages, 2)]
    for batch in (start, frees, touches):
        one_by_one = np.concatenate([hosts[0].execute(np.array([row]), 0) for row in batch])
        assert np.array_equal(one_by_one, hosts[1].execute(np.array(batch), 0))
    compare_full(hosts[0], hosts[1], shape)
