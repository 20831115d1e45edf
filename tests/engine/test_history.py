"""Bags whose pages come and go: levels, gaps, what they refuse, what they leave of the lists."""

import numpy as np
import pytest

from engine.enums import AreaKind, Counter, Errno, Migratetype, Op, Row
from engine.host import Host
from engine.state import PS_STATE, UNIFORM
from tests.engine.bench import (
    ENGINES,
    Bench,
    Guest,
    command,
    compare_full,
    make_shape,
    make_table,
    rows_of,
)

KEY = 12345
EVEN = sum(9 << 8 * i for i in range(6))
PAGES, BLOCKS = EVEN & 0xFF, 9 << 40
"""Mixes: all sizes, single pages, whole pageblocks."""


def guest(blocks: str = "NNNNMMMM", order: int = 4, **cells: int) -> Guest:
    shape = make_shape(blocks, order=order, chunks=4, cpus=(0, 0))
    return Guest(shape, make_table("kernel+unbounded", "linux-6.1", **cells), full_every=1)


def present(bench: Bench, area: int) -> int:
    extents = bench.host.area(area)
    return int(extents[extents[:, 2] >= 0, 1].sum())


@pytest.mark.parametrize("kind", [AreaKind.ANON, AreaKind.FILE, AreaKind.KERNEL])
@pytest.mark.parametrize("mix", [EVEN, PAGES, BLOCKS])
def test_a_bag_walks_between_levels_and_keeps_no_gaps(kind: AreaKind, mix: int) -> None:
    g = guest()
    proc = g.spawn()
    bag = g.map(proc, kind, 900)
    grown = g.do(Op.AGE, bag, KEY, 0, 200, 350, mix)
    assert (grown["errno"], grown["pages"], grown["faulted_pages"]) == (0, 0, 350)
    walked = g.do(Op.AGE, bag, KEY + 1, 700, 200, 350, mix)
    assert walked["errno"] == 0
    assert 700 <= walked["pages"] < 700 + 150 + g.shape.pageblock_pages
    assert walked["faulted_pages"] == walked["pages"]
    assert walked["latency_ns"] == 0
    assert present(g, bag) == 350
    holes = g.host.area(bag)[g.host.area(bag)[:, 2] < 0]
    assert len(holes) == 1
    assert holes[0, :2].tolist() == [350, 550]
    assert g.do(Op.AGE, bag, KEY + 2, 10_000, 0, 0, mix)["pages"] == 350
    assert present(g, bag) == 0


def test_frees_in_random_order_come_from_everywhere() -> None:
    g = guest("NMMMMMMMM")
    proc = g.spawn()
    bag = g.map(proc, AreaKind.ANON, 900)
    g.do(Op.AGE, bag, KEY, 0, 900, 900, BLOCKS)
    g.do(Op.AGE, bag, KEY, 250, 650, 650, PAGES)
    free = g.host.blocks()[:, 2]
    assert (free[1:8] > 5).all(), free


def test_the_newest_go_where_draws_find_nothing() -> None:
    g = guest("NNNNNNNNNNNNNNNN" * 20, order=2)
    bag = g.map(g.spawn(), AreaKind.ANON, 64)
    g.do(Op.AGE, bag, KEY, 0, 64, 64, BLOCKS)
    assert g.do(Op.AGE, bag, KEY, 60, 4, 4, PAGES)["pages"] == 60
    assert present(g, bag) == 4
    assert min(g.pfns(bag)[:4]) >= 0


def test_memory_that_ends_ends_the_growth_and_kills_nobody() -> None:
    g = guest("NNMM")
    bag = g.map(g.spawn(), AreaKind.ANON, 900)
    assert g.do(Op.AGE, bag, KEY, 50, 800, 900, EVEN)["errno"] == Errno.ENOMEM
    assert g.host.counters[Counter.OOM_KILL] == 0
    assert not g.seen(Row.INCIDENT)
    assert present(g, bag) > 400


def test_a_bag_is_not_held_and_not_huge() -> None:
    g = guest()
    proc = g.spawn()
    bag = g.touched(proc, AreaKind.ANON, 64)
    g.pin(7, bag, 8, 4)
    assert g.do(Op.AGE, bag, KEY, 9, 0, 9, EVEN)["errno"] == Errno.EBUSY
    g.do(Op.UNPIN, 7)
    for arguments in ((-1, 0, 9), (9, 10, 9), (9, 0, 65)):
        assert g.do(Op.AGE, bag, KEY, *arguments, EVEN)["errno"] == Errno.EINVAL
    assert g.do(Op.AGE, bag, KEY, 9, 0, 9, 0)["errno"] == Errno.EINVAL
    assert g.do(Op.AGE, bag, KEY, 9, 0, 9, 1 << 48)["errno"] == Errno.EINVAL
    assert g.do(Op.CACHE, bag, KEY, 2, 9, 9, EVEN)["errno"] == Errno.EINVAL
    assert g.do(Op.STIR, KEY, 2, 1_000_001)["errno"] == Errno.EINVAL
    huge = g.map(proc, AreaKind.THP, 64)
    assert g.do(Op.AGE, huge, KEY, 9, 0, 9, EVEN)["errno"] == Errno.EINVAL


def test_a_block_being_removed_is_left_alone() -> None:
    g = guest("NMMM|NM", PIN_MIGRATES=0)
    proc = g.spawn()
    bag = g.map(proc, AreaKind.ANON, 256)
    g.do(Op.AGE, bag, KEY, 0, 256, 256, BLOCKS)
    held = g.touched(proc, AreaKind.ANON, 40)
    g.do(Op.PIN, 3, held, 0, 40, 0, -1)
    block = g.blocks_of(held)[0]
    g.offline(block)
    before = int(g.host.blocks()[block, 3])
    g.do(Op.AGE, bag, KEY, 10_000, 0, 0, PAGES, after_ns=0)
    assert int(g.host.blocks()[block, 3]) == before


@pytest.mark.parametrize("free", [40, 100])
def test_page_cache_follows_what_is_free(free: int) -> None:
    g = guest()
    bag = g.map(g.spawn(), AreaKind.FILE, 9_000)
    zone = g.host.zones()[2]
    assert g.do(Op.CACHE, bag, KEY, 2, 10_000, free, EVEN)["errno"] == 0
    now = g.host.zones()[2]
    assert free <= now[1] - now[3] < free + g.shape.pageblock_pages
    assert set(g.zones_of(bag)) <= {2, -1}
    other = g.touched(0, AreaKind.ANON, int(now[1] - now[3]) - 1)
    g.do(Op.CACHE, bag, KEY + 1, 2, 0, free, EVEN)
    assert g.host.zones()[2][1] - zone[3] >= free
    g.do(Op.UNMAP, other)
    g.do(Op.CACHE, bag, KEY + 2, 2, 0, free, EVEN)
    left = g.host.zones()[2]
    assert free <= left[1] - left[3] + 0 < free + g.shape.pageblock_pages


def test_a_hinted_file_may_be_told_to_fill_zone_movable() -> None:
    """Its own faults stay out of there; a random sequence found the engines apart."""
    table = make_table(
        "kernel+unbounded", "linux-5.10", HINT_HONOURED=1, PCP_HIGH_PAGES=40, PCP_THP=1
    )
    g = Guest(make_shape("NNMMMMM-"), table, full_every=1)
    bag = 1
    assert g.do(Op.MAP, bag, g.spawn(), AreaKind.FILE, 37, 1)["errno"] == 0
    assert g.do(Op.CACHE, bag, 3229248423144759861, 2, 80, 41, 122247658864640)["errno"] == 0
    assert set(g.zones_of(bag)) <= {2, -1}
    assert 2 in g.zones_of(bag)


def test_stirring_moves_the_used_part_and_leaves_the_tail() -> None:
    g = guest("NN" + "M" * 30)
    before = g.host.free_list(2, Migratetype.MOVABLE, 5).tolist()
    g.do(Op.STIR, KEY, 2, 750_000)
    after = g.host.free_list(2, Migratetype.MOVABLE, 5).tolist()
    used = len(before) * 3 // 4
    assert after[used:] == before[used:]
    assert sorted(after[:used]) == before[:used]
    moved = np.flatnonzero(np.array(after) != np.array(before))
    assert len(moved) > used * 3 // 4
    bag = g.touched(g.spawn(), AreaKind.THP, 32 * 16)
    assert len(g.blocks_of(bag)) > 8  # a fresh host would have packed it into 4


def test_stirring_leaves_pageblocks_alone_that_are_on_no_list() -> None:
    """The first ones are what a table of chunks says behind its end."""
    g = guest("NNMMMM")
    bag = g.map(g.spawn(), AreaKind.KERNEL, 64)
    g.do(Op.AGE, bag, KEY, 0, 64, 64, BLOCKS)
    assert g.pfns(bag)[0] == 0
    for turn in range(3):
        g.do(Op.STIR, KEY + turn, 2, 1_000_000)
    g.do(Op.AGE, bag, KEY, 64, 0, 0, PAGES)
    assert present(g, bag) == 0


def test_one_command_may_make_many_records() -> None:
    shape = make_shape("NNNNNNNN", order=9, chunks=1, cpus=(0,))
    bench = Bench(shape, make_table(), checked=False)
    bench.do(Op.SPAWN, 0, 0, 0)
    bench.do(Op.MAP, 0, 0, AreaKind.ANON, 6_000, 0)
    bench.do(Op.AGE, 0, KEY, 4_000, 3_000, 5_000, 1)
    assert bench.hosts[1].nr_runs > 1_000
    bench.finish()


def test_a_saved_host_goes_on_as_the_host() -> None:
    shape = make_shape("RNNNMMMM|NNMMM", order=4, chunks=4, cpus=(0, 1))
    bench = Bench(shape, make_table(PCP_THP=1), engines=ENGINES)
    bench.do(Op.SPAWN, 0, 0, 0)
    for area, kind in enumerate((AreaKind.ANON, AreaKind.FILE, AreaKind.KERNEL)):
        bench.do(Op.MAP, area, 0, kind, 900, 0)
        bench.do(Op.AGE, area, KEY + area, 300, 100, 250, EVEN)
    host = bench.hosts[1]
    arrays = {name: array.copy() for name, array in host.save().items()}
    again = Host.load(shape, arrays)
    compare_full(host, again, shape)
    more = np.array([[9, Op.AGE, 0, 5, 400, 50, 300, EVEN], [9, Op.EXIT, 0, 0, 0, 0, 0, 0]])
    assert np.array_equal(host.execute(more, 10), again.execute(more, 10))
    compare_full(host, again, shape)
    assert host.nr_commands == again.nr_commands == 9
    again.use_table(make_table("deny+unbounded"))
    pinned = [command(10, Op.SPAWN, 0, 0, 0), command(10, Op.MAP, 0, 0, AreaKind.ANON, 8, 0)]
    pinned.append(command(10, Op.PIN, 0, 0, 0, 8, 0, -1))
    errnos = [
        rows_of(h.execute(np.array(pinned), 11), Row.RESULT)[-1]["errno"] for h in (host, again)
    ]
    assert errnos == [0, Errno.EBUSY]


def test_a_bag_that_grows_to_the_low_mark_says_that_its_zone_is_below_the_high_one() -> None:
    """6.12: the lists of a zone below its high mark keep no more than their least capacity."""
    shape = make_shape("NNNN" * 16, order=4, chunks=4, cpus=(0, 0))
    g = Guest(shape, make_table("kernel+unbounded", "linux-6.12"), full_every=0)
    proc = g.spawn()
    area = g.touched(proc, AreaKind.ANON, 3000)
    _, free, _, low, high, *_ = g.host.zones()[1].tolist()
    bag = g.map(proc, AreaKind.ANON, 8192)
    pages = (free - (low + high) // 2) // 16 * 16
    g.do(Op.AGE, bag, KEY, 0, pages, pages, BLOCKS)
    assert low < g.host.zones()[1, 1] < high
    g.free(area, 0, 300, 0)
    g.finish()
    assert len(g.host.pcp(0, 1)) < 200


def test_a_bag_that_grows_page_by_page_needs_no_records_for_whole_pageblocks() -> None:
    g = guest("NNNNMMMM")
    bag = g.map(g.spawn(), AreaKind.ANON, 800)
    runs = g.hosts[1].nr_runs
    g.do(Op.AGE, bag, KEY, 0, 800, 800, PAGES)
    assert present(g, bag) == 800
    assert g.hosts[1].nr_runs < runs + 800 // 16 // 2


def test_a_whole_pageblock_from_a_list_needs_no_record() -> None:
    """The second batch of mmu_gather is a pageblock, and is taken from its CPU's list as it went.

    No pageblock can be had at once: with one the zone would be below its min mark.
    """
    g = Guest(make_shape("NNNN", order=4, chunks=4), make_table(PCP_HIGH_PAGES=100), full_every=1)
    proc = g.spawn()
    _, free, least, low, *_ = g.host.zones()[1].tolist()
    area = g.touched(proc, AreaKind.ANON, free - low - 2)
    assert low + 2 - 16 < least
    g.free(area, 24, 24, 0)
    bag = g.map(proc, AreaKind.ANON, 16)
    g.do(Op.AGE, bag, KEY, 0, 16, 16, BLOCKS)
    assert g.pfns(bag) == list(range(32, 48))
    assert g.hosts[1]._h.pbs[2, PS_STATE] == UNIFORM
