"""Direct compaction for the targets of THP pins: what moves, what cannot, the pin that hangs."""

import pytest

from engine.enums import AreaKind, Counter, Incident, Op, Pinner, Row, ZoneKind
from engine.state import G_RUNTOP
from tests.engine.bench import ENGINES, Bench, make_shape, make_table, rows_of
from tests.engine.commands import Draws, Fragmenter, make_bench

IO_URING = int(Pinner.IO_URING)
STUCK = int(Incident.PIN_STUCK)
HOG, BUFFER = 0, 1
UNIT = 8
"""Pages of a huge folio here."""


def fragmented(
    d: Draws, every: int, pinned: int, *, thps: int = 6, profile: str = "linux-6.12",
    blocks: str = "NNNN--", junk: int = 0, last_first: bool = False, **cells: int
) -> Bench:  # fmt: skip
    """Fill the kernel zone, leave every Nth page (``pinned`` of ten of them pinned), pin THPs.

    ``junk``: what the fast engine finds behind its records before that last pin. ``last_first``:
    the last THP of the buffer is touched first, so it lies where ZONE_MOVABLE begins.
    """
    shape = make_shape(blocks, order=3, chunks=4, cpus=(0, 0))
    table = make_table("kernel+unbounded", profile, **cells)
    bench = Bench(shape, table, engines=ENGINES, full_every=0)
    bench.do(Op.SPAWN, 0, 0, 0)
    managed, free, least = (int(x) for x in bench.host.zones()[1, :3])
    pages = free - least - managed // 32 - 4
    bench.do(Op.MAP, HOG, 0, AreaKind.ANON, pages, 0)
    bench.do(Op.TOUCH, HOG, 0, pages, -1, -1)
    bench.do(Op.ONLINE, blocks.index("-"), 2, ZoneKind.MOVABLE)
    bench.do(Op.MAP, BUFFER, 0, AreaKind.THP, thps * UNIT, 0)
    if last_first:
        bench.do(Op.TOUCH, BUFFER, (thps - 1) * UNIT, UNIT, -1, -1)
    bench.do(Op.TOUCH, BUFFER, 0, thps * UNIT, -1, -1)
    for number, index in enumerate(range(0, pages, every)):
        if d.below(10) < pinned:
            bench.do(Op.PIN, 10 + number, HOG, index, 1, IO_URING, -1)
        if every > 1 and index + 1 < pages:
            bench.do(Op.FREE, HOG, index + 1, min(every - 1, pages - index - 1), d.below(3) - 1)
    fast = bench.hosts[1]
    fast._h.run[fast._h.g[G_RUNTOP] :] = junk
    bench.do(Op.PIN, 1, BUFFER, 0, thps * UNIT, IO_URING, -1)
    return bench


def counted(bench: Bench) -> tuple[int, int, int, int]:
    """Compactions that were tried, succeeded and failed; THPs that were split."""
    c = bench.host.counters
    names = (Counter.COMPACT_STALL, Counter.COMPACT_SUCCESS, Counter.COMPACT_FAIL)
    stall, success, fail = (int(c[name]) for name in names)
    return stall, success, fail, int(c[Counter.THP_MIGRATION_SPLIT])


@pytest.mark.parametrize("key", range(16))
def test_engines_agree_on_compaction(key: int) -> None:
    d = Draws(key)
    cells = {"COMPACT_ISOLATED_SHIFT": d.of((0, 1, 2, 4)), "SPLIT_TAILS_LAST": d.below(2)}
    profile = d.of(("linux-6.1", "linux-6.12"))
    pins = d.of((0, 0, 1, 4, 10))
    bench = fragmented(d, 2 + d.below(6), pins, thps=1 + d.below(9), profile=profile, **cells)
    bench.do(Op.PIN, 2, BUFFER, 0, UNIT, IO_URING, -1)
    bench.finish()


def test_what_a_pin_has_isolated_counts_in_every_pageblock() -> None:
    """Pageblock 0 as well: the pin hangs from the same number of THPs on (here the tenth)."""
    stuck = set()
    for thps in range(8, 12):
        bench = fragmented(
            Draws(1), 2, 10, thps=thps, blocks="--NNNN", junk=-1, last_first=True,
            COMPACT_ISOLATED_SHIFT=2,
        )  # fmt: skip
        hangs = STUCK in [r["incident"] for r in rows_of(bench.rows, Row.INCIDENT)]
        stuck.add(hangs)
        assert not hangs or bench.host.area(BUFFER)[-1, 2] == 0
    assert stuck == {False, True}


@pytest.mark.parametrize("key", [1, 4, 5, 8])
def test_engines_agree_on_hosts_that_become_fragmented(key: int) -> None:
    d = Draws(key)
    commander = Fragmenter(make_bench(d, ENGINES, 20), d)
    for step in range(20):
        commander.act(Draws(key, step + 1))
    commander.bench.finish()


def huge_folios(bench: Bench) -> int:
    """Huge folios of the buffer."""
    return int((bench.host.area(BUFFER)[:, 3] == 2).sum())


def test_pages_that_can_move_make_room_for_whole_thps() -> None:
    bench = fragmented(Draws(1), 4, 0, thps=8, profile="linux-6.1")
    stall, success, fail, split = counted(bench)
    assert success > 0
    assert (fail, split) == (0, 0)
    assert stall == success
    assert huge_folios(bench) == 8
    assert bench.host.blocks()[4:, 4].sum() == 0  # nothing pinned in ZONE_MOVABLE
    bench.finish()


def test_among_pinned_pages_thps_are_split_and_moved_all_the_same() -> None:
    bench = fragmented(Draws(1), 4, 10, thps=8, profile="linux-6.1")
    _, success, fail, split = counted(bench)
    assert success == 0
    assert fail > 0
    assert split > 0
    assert int(bench.host.counters[Counter.THP_MIGRATION_FAIL]) == split
    assert huge_folios(bench) == 8 - split
    assert bench.host.blocks()[4:, 4].sum() == 0
    bench.finish()


def test_on_6_12_the_same_pin_never_returns() -> None:
    bench = fragmented(Draws(1), 4, 10, thps=8)
    assert bench.log[-1][1] == Op.PIN
    assert 1 not in bench.host.pin_of  # nothing stays pinned when its process is killed at last
    assert int(bench.host.counters[Counter.COMPACT_STALL]) == 1
    assert [r["incident"] for r in rows_of(bench.rows, Row.INCIDENT)] == [
        Incident.PIN_STUCK,
        Incident.PIN_FAILED,
    ]
    in_movable = bench.host.blocks()[4:, 3].sum()
    assert 0 < in_movable < 8 * UNIT  # what was moved before stays moved
    bench.finish()


def test_compaction_is_tried_from_two_huge_pages_above_the_low_mark_on() -> None:
    """compaction_suitable: low mark plus twice the request; exactly that much is too little."""
    tried = []
    for holes in range(36, 58):
        shape = make_shape("NNNN--", order=3, chunks=4, cpus=(0, 0))
        table = make_table("kernel+unbounded", "linux-6.1", PCP_HIGH_PAGES=1, PCP_THP=0)
        bench = Bench(shape, table, engines=ENGINES, checked=False, full_every=0)
        bench.do(Op.SPAWN, 0, 0, 0)
        managed, free, least = (int(x) for x in bench.host.zones()[1, :3])
        pages = free - least - managed // 32 - 4
        bench.do(Op.MAP, HOG, 0, AreaKind.ANON, pages, 0)
        bench.do(Op.TOUCH, HOG, 0, pages, -1, -1)
        bench.do(Op.ONLINE, 4, 2, ZoneKind.MOVABLE)
        bench.do(Op.MAP, BUFFER, 0, AreaKind.THP, 8 * UNIT, 0)
        bench.do(Op.TOUCH, BUFFER, 0, 8 * UNIT, -1, -1)
        for index in range(holes):
            bench.do(Op.FREE, HOG, 2 * index, 1, -1)
        bench.do(Op.PIN, 1, BUFFER, 0, 8 * UNIT, IO_URING, -1)
        tried.append(int(bench.host.counters[Counter.COMPACT_STALL]))
    first = [tried.index(n) for n in (1, 2, 3)]
    assert tried == sorted(tried)
    assert first == [first[0], first[0] + UNIT, first[0] + 2 * UNIT]
