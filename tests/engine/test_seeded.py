"""Stories for faults that random sequences did not notice (docs/testing.md)."""

import numpy as np
import pytest

from engine.costs import CostModel
from engine.enums import AreaKind, Cost, Counter, Op, ZoneKind
from engine.host import Host
from tests.engine.bench import Guest, command, make_shape, make_table

PAGEBLOCK = 16
ISOLATED = 6
"""Column of ``pages``."""


def full_of(kind: AreaKind, spare: int) -> tuple[Guest, int, int]:
    """A host of 16-page pageblocks full of one kind of pages, few of them left for others."""
    shape = make_shape("NNNN", order=4, chunks=2, cpus=(0,))
    bench = Guest(shape, make_table(PCP_HIGH_PAGES=1), full_every=1, checked=False)
    bench.do(Op.MIN_FREE, 1)
    proc = bench.spawn()
    pages = int(bench.host.zones()[:, 1].sum()) - spare
    return bench, proc, bench.touched(proc, kind, pages)


@pytest.mark.parametrize("wanted", [AreaKind.KERNEL, AreaKind.ANON])
@pytest.mark.parametrize("gap", [1, 2, 3])
@pytest.mark.parametrize("freed", range(5, 12))
def test_a_pageblock_changes_its_type_when_half_of_it_fits(
    wanted: AreaKind, gap: int, freed: int
) -> None:
    """Fallback finds chunks of every size, in pageblocks just below, at and above half."""
    other = AreaKind.ANON if wanted == AreaKind.KERNEL else AreaKind.KERNEL
    bench, proc, area = full_of(other, 24)
    for block in range(4):
        first = PAGEBLOCK * (2 + 3 * block)
        for page in range(first, first + min(freed * gap, PAGEBLOCK), gap):
            if other == AreaKind.ANON:
                bench.free(area, page, 1)
    if other == AreaKind.KERNEL:
        bench.free(area, PAGEBLOCK * 2, freed)
    taken = bench.map(proc, wanted, 40)
    for page in range(40):
        if bench.host.zones()[:, 1].sum() <= 8:
            break
        bench.touch(taken, page, 1)
    for block in range(4):  # what is freed now goes to the lists of the pageblock's type
        bench.free(area, PAGEBLOCK * (3 + 3 * block) - 1, 1)


def test_records_come_back_however_pieces_merge() -> None:
    """Freeing pages in any order gives every record back: nothing grows with the rounds."""
    shape = make_shape("NNMM", order=4, chunks=2)
    host = Host(shape, make_table(PCP_HIGH_PAGES=1), CostModel().vector())
    host.execute(np.array([command(0, Op.SPAWN, 0, 0, 0), command(0, Op.MAP, 0, 0, 0, 96)]), 1)
    orders = [range(96), range(95, -1, -1), [*range(0, 96, 2), *range(1, 96, 2)],
              [(i * 37) % 96 for i in range(96)]]  # fmt: skip
    sizes = []
    for index in range(400):
        frees = [command(1, Op.FREE, 0, page, 1, -1) for page in orders[index % 4]]
        host.execute(np.array([command(1, Op.TOUCH, 0, 0, 96, -1, -1), *frees]), 1)
        sizes.append(host.nr_runs)
    assert sizes[-1] == sizes[8]


def test_fresh_memory_is_one_entry_however_many_blocks() -> None:
    """Neighbouring blocks of a zone are one row of chunks, up to a reserved one or another zone."""
    for blocks, rows in (("NNNNNNNN", 1), ("NNNNMMMM", 2), ("NNN|NNNNN", 2)):
        host = Host(make_shape(blocks, order=4, chunks=2), make_table(), CostModel().vector())
        assert host.fragments()["free"] == rows


def test_pages_that_come_one_by_one_fill_whole_pageblocks() -> None:
    """What a history leaves costs its fragments alone: a full pageblock is no record of its own."""
    bench = Guest(make_shape("NNNNNNNN", order=4, chunks=4), make_table(), full_every=1)
    bag = bench.map(bench.spawn(), AreaKind.ANON, 40 * PAGEBLOCK)
    single_pages = 9
    bench.do(Op.AGE, bag, 1, 0, 20 * PAGEBLOCK, 20 * PAGEBLOCK, single_pages)
    held = bench.hosts[1].fragments()
    assert held["uniform"] >= 18
    assert held["split"] <= 3


@pytest.mark.parametrize("level", range(4, 60, 4))
def test_a_history_of_pageblocks_leaves_the_cpus_lists_as_each_request_would(level: int) -> None:
    """A zone found below its high mark shortens the lists of 6.12, by a bag's growth as well."""
    shape = make_shape("NNNNNNNN", order=2, chunks=8, cpus=(0, 0))
    bench = Guest(shape, make_table(profile="linux-6.12"), checked=False, full_every=1)
    bench.do(Op.MIN_FREE, 60)
    proc = bench.spawn()
    marks = bench.host.zones()[1]
    other = bench.touched(proc, AreaKind.ANON, int(marks[1] - marks[4]) - 60)
    bench.do(Op.RECLAIM, 0, 0)
    bag = bench.map(proc, AreaKind.KERNEL if level % 8 else AreaKind.ANON, 120)
    whole_pageblocks = 9 << 40
    bench.do(Op.AGE, bag, level, 0, level, level + 4, whole_pageblocks)
    for first in range(0, 60, 6):
        bench.free(other, first, 5, first % 2)


@pytest.mark.parametrize("free", [0, 1, 2])
@pytest.mark.parametrize("node", [0, 1])
def test_a_held_huge_page_asks_the_pool_of_the_node_it_is_to_move_to(free: int, node: int) -> None:
    """What each try takes from the buddy and gives back is counted, unless the pool has a page."""
    shape = make_shape("NNNN|NNNN", order=3, chunks=2, cpus=(0, 1))
    bench = Guest(shape, make_table(), full_every=1)
    proc = bench.spawn()
    bench.do(Op.POOL, 0, 1)
    area = bench.touched(proc, AreaKind.HUGETLB, 8)
    if free:
        bench.do(Op.POOL, node, free)
    if free == 2:
        bench.map(proc, AreaKind.HUGETLB, 16)  # reserves what is free
    bench.do(Op.HOLD, 50, area, 0, 8)
    tries = 10
    before = int(bench.host.counters[Counter.HTLB_BUDDY_ALLOC_SUCCESS])
    assert bench.do(Op.MIGRATE, area, 0, 8, 1)["errno"] != 0
    taken = int(bench.host.counters[Counter.HTLB_BUDDY_ALLOC_SUCCESS]) - before
    assert taken == (0 if (free, node) == (1, 1) else tries)


def test_pages_that_become_one_pageblock_again_stay_on_the_list_of_an_offline() -> None:
    """Pinned in two pieces when they were listed, alike since: each try is about all of them."""
    bench = Guest(make_shape("NNNN"), make_table("pin-in-place+unbounded"), full_every=1)
    area = bench.touched(bench.spawn(), AreaKind.ANON, 4)
    bench.pin(10, area, 0, 4)
    bench.pin(11, area, 1, 3)
    bench.offline(bench.blocks_of(area)[0])
    while not bench.host.pages()[0, ISOLATED]:
        bench.advance(int(bench.costs[Cost.MIGRATE_FAIL_4K]))
    bench.do(Op.UNPIN, 11)
    assert bench.hosts[1].fragments()["uniform"] == 1
    assert bench.host.pages()[:, ISOLATED].tolist() == [1] * 4
    bench.do(Op.UNPIN, 10)
    assert bench.attempt()["errno"] == 0


def test_pages_that_descend_do_so_in_the_first_pageblock_of_the_host_too() -> None:
    """An offline moves them in the order of their pfns, to the only pageblock that is free."""
    bench = Guest(make_shape("NN"), make_table(profile="linux-5.10"), checked=False, full_every=1)
    bench.do(Op.MIN_FREE, 1)
    proc = bench.spawn()
    hog = bench.touched(proc, AreaKind.ANON, 24)
    assert bench.pfns(hog) == list(range(24))
    for page in range(16, 20):
        bench.free(hog, page, 1, 0)
    area = bench.touched(proc, AreaKind.ANON, 4)
    assert bench.pfns(area) == [19, 18, 17, 16]
    bench.free(hog, 8, 8)
    bench.free(hog, 0, 4)
    bench.offline(1)
    assert bench.attempt()["errno"] == 0
    assert bench.pfns(area) == [3, 2, 1, 0]


@pytest.mark.parametrize("profile", ["linux-5.10", "linux-6.1"])
@pytest.mark.parametrize("moves", [False, True])
def test_a_block_that_is_online_again_has_forgotten_what_its_offline_listed(
    profile: str, moves: bool
) -> None:
    """Whoever gets its pageblocks then: a new area, or one that comes from another node."""
    shape = make_shape("NNN|NNN", chunks=4, cpus=(0, 1))
    bench = Guest(shape, make_table(profile=profile), full_every=1)
    proc = bench.spawn(1)
    area = bench.touched(proc, AreaKind.THP, 32, node=1)
    (block,) = bench.blocks_of(area)
    bench.offline(block)
    assert bench.attempt()["errno"] == 0
    assert bench.do(Op.ONLINE, block, 1, ZoneKind.NORMAL)["errno"] == 0
    bench.do(Op.UNMAP, area)
    bench.do(Op.MIN_FREE, 1)
    bench.touched(proc, AreaKind.THP, 4, node=1)
    area = bench.touched(proc, AreaKind.THP, 84, node=0 if moves else 1)
    if moves:
        assert bench.do(Op.MIGRATE, area, 0, 84, 1)["errno"] == 0
    assert block in bench.blocks_of(area)
    assert not bench.host.pages()[:, ISOLATED].any()
