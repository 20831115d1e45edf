"""I/O in flight: the stationary law, its draws, and what they do to pins and offlines.

The law is checked against explicit events: I/Os that arrive at random times and hold their pages
for a while, either counted directly or sent to a host as HOLD and UNPIN commands.
"""

import math

import numpy as np
import pytest

from engine.costs import CostModel
from engine.enums import AreaKind, BlockerClass, Counter, Errno, MigrateReason, Op, Row
from engine.host import Host
from engine.reference.inflight import ONE, mean_in_flight, none_in_flight, places, poisson
from engine.reference.state import Io
from tests.engine.bench import Bench, Guest, command, make_shape, make_table, rows_of, table_of
from tests.engine.commands import long_passes
from tests.marks import first_quick

HOLD_NS = 200_000
PAGES = 4
"""Pages of a pageblock in these hosts."""


def density(per_pageblock: float) -> int:
    """IO's density for a mean number of I/Os in flight over a pageblock."""
    return round(per_pageblock * 10**12 / PAGES)


def guest(nodes: str, arm: str = "linux-5.13+unbounded", chunks: int = 2, **cells: int) -> Guest:
    """A guest whose kernel migrates before a pin."""
    table = make_table(arm, "linux-6.1", **{"PCP_HIGH_PAGES": 1, "PCP_THP": 0, **cells})
    g = Guest(make_shape(nodes, chunks=chunks, cpus=(0,)), table, full_every=1)
    g.do(Op.MIN_FREE, 8)
    return g


def close(count: int, of: int, probability: float) -> bool:
    """Whether a count is within 4 standard deviations of its expectation."""
    return abs(count - of * probability) < 4 * math.sqrt(of * probability * (1 - probability))


def two_samples(a: list[int], b: list[int]) -> float:
    """Kolmogorov-Smirnov distance of two samples over its 1 in 1000 bound."""
    x, y = np.sort(a), np.sort(b)
    at = np.union1d(x, y)
    gap = np.searchsorted(x, at, "right") / len(x) - np.searchsorted(y, at, "right") / len(y)
    return float(np.abs(gap).max()) / (1.95 * math.sqrt((len(x) + len(y)) / (len(x) * len(y))))


# -- the law --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mean", [1e-6, 1e-3, 0.2, 0.5, 0.51, 1, 2.5, 8])
def test_the_chance_of_none_is_the_exponential(mean: float) -> None:
    assert none_in_flight(round(mean * ONE)) / ONE == pytest.approx(math.exp(-mean), abs=3e-8)


def test_fixed_point_means_are_exact_to_a_part_in_two_billion() -> None:
    for count in (1, 999, 10**6 + 1, 8 * 10**12 // 512):
        exact = count * 512 / 10**12
        assert abs(mean_in_flight(count, 512) / ONE - exact) <= 1 / ONE


@pytest.mark.parametrize("mean", [0.01, 0.7, 3, 8])
def test_inversion_gives_the_poisson_distribution(mean: float) -> None:
    fixed = round(mean * ONE)
    none = none_in_flight(fixed)
    grid = 20_000
    found = [poisson((2 * i + 1) * ONE // (2 * grid), fixed, none) for i in range(grid)]
    for k in range(12):
        exact = math.exp(-mean) * mean**k / math.factorial(k)
        assert found.count(k) / grid == pytest.approx(exact, abs=2 / grid)


def events(
    rng: np.random.Generator, mean: float, units: int, until_ns: int, hold: str
) -> np.ndarray:
    """I/Os of a Poisson process with ``mean`` in flight, on ``units`` units.

    int64[n, 3]: start, end, unit.
    """
    number = int(rng.poisson(mean * until_ns / HOLD_NS))
    start = np.sort(rng.integers(0, until_ns, number))
    if hold == "fixed":
        length = np.full(number, HOLD_NS)
    elif hold == "exponential":
        length = rng.exponential(HOLD_NS, number)
    else:  # log-normal, as direct I/O
        length = rng.lognormal(math.log(HOLD_NS) - 0.5, 1, number)
    unit = rng.integers(0, units, number)
    return np.stack([start, (start + length).astype(np.int64), unit], axis=1)


@pytest.mark.parametrize("hold", first_quick(["log-normal", "exponential", "fixed"]))
def test_what_an_instant_sees_is_what_explicit_events_leave_in_flight(hold: str) -> None:
    mean, blocks, per_block, instants = 0.3, 16, 8, 600
    io_mean = round(mean * ONE)
    step = 40 * HOLD_NS
    rng = np.random.default_rng(5)
    start, end, unit = events(rng, mean * blocks, blocks * per_block, (instants + 1) * step, hold).T
    drawn: list[int] = []
    counted: list[int] = []
    covered_drawn, covered_counted = 0, 0
    for i in range(1, instants + 1):
        at = i * step
        io = Io(io_mean, none_in_flight(io_mean), 64, HOLD_NS, key=12_345)
        seen = [places(io, pb, 64 * per_block, at) for pb in range(blocks)]
        drawn += [len(p) for p in seen]
        covered_drawn += sum(len(set(p)) for p in seen)
        live = unit[(start <= at) & (at < end)]
        counted += np.bincount(live // per_block, minlength=blocks).tolist()
        covered_counted += len(np.unique(live))
    samples = instants * blocks
    for k in range(4):
        exact = math.exp(-mean) * mean**k / math.factorial(k)
        assert close(drawn.count(k), samples, exact)
        assert close(counted.count(k), samples, exact)
    covered = 1 - math.exp(-mean / per_block)
    assert close(covered_drawn, samples * per_block, covered)
    assert close(covered_counted, samples * per_block, covered)


def test_inside_an_epoch_the_same_pages_are_held_and_long_after_others() -> None:
    mean = ONE // 2
    io = Io(mean, none_in_flight(mean), 1, HOLD_NS, key=9)
    same_soon = same_late = held = 0
    for pb in range(2_000):
        now = places(io, pb, 512, 10**9)
        held += bool(now)
        same_soon += now == places(io, pb, 512, 10**9 + HOLD_NS // 50) and bool(now)
        same_late += now == places(io, pb, 512, 10**9 + 10**9) and bool(now)
    assert close(same_soon, held, 0.98)
    assert same_late <= 2


# -- pins -----------------------------------------------------------------------------------------


def pinned_by_key(g: Guest, area: int, pages: int, mean: float, unit: int, keys: int) -> list[int]:
    """Pages that pins of an area failed on, one pin per key, each on a copy of the fast host."""
    failed = []
    for key in range(keys):
        host: Host = g.hosts[1].clone()
        now = g.now_ns
        commands = [
            command(now, Op.IO, area, density(mean), unit, HOLD_NS, key),
            command(now, Op.PIN, 90, area, 0, pages, 0, -1),
        ]
        rows = host.execute(np.array(commands), now)
        result = rows_of(rows, Row.RESULT)[1]
        assert (result["errno"] == Errno.ENOMEM) == (result["failed_pages"] > 0)
        failed.append(result["failed_pages"])
    return failed


@pytest.mark.parametrize("kind", [AreaKind.ANON, AreaKind.THP])
def test_a_pin_fails_as_often_as_one_of_its_pages_is_in_flight(kind: AreaKind) -> None:
    mean, keys = 0.02, 1_500
    g = guest("NNNNNNMMMMMM")
    area = g.touched(g.spawn(), kind, 32)
    failed = pinned_by_key(g, area, 32, mean, 2, keys)
    assert close(sum(f > 0 for f in failed), keys, 1 - math.exp(-mean * 8))
    unit = 4 if kind == AreaKind.THP else 2  # a huge folio stays whole
    units = 32 // unit
    rate = 1 - math.exp(-mean * 8 / units)
    assert all(f % unit == 0 for f in failed)
    assert close(sum(failed) // unit, keys * units, rate)
    rng = np.random.default_rng(3)
    start, end, _ = events(rng, mean * 8, 16, keys * 20 * HOLD_NS, "log-normal").T
    at = [i * 20 * HOLD_NS for i in range(1, keys)]
    busy = sum(bool(((start <= t) & (t < end)).any()) for t in at)
    assert close(busy, len(at), 1 - math.exp(-mean * 8))


def test_a_page_in_flight_fails_a_pin_as_a_short_reference_does() -> None:
    g = guest("NNNNNNMMMMMM")
    area = g.touched(g.spawn(), AreaKind.ANON, 32)
    for key in range(200):
        g.do(Op.IO, area, density(0.3), 2, HOLD_NS, key)
        result = g.pin(90, area, 0, 32)
        if result["errno"]:
            break
        g.do(Op.UNPIN, 90)
        g.do(Op.UNMAP, area)
        g.do(Op.MAP, area, 0, AreaKind.ANON, 32, 0)
        g.touch(area, 0, 32)
    assert result["errno"] == Errno.ENOMEM
    assert 0 < result["failed_pages"] < 32
    assert result["migrated_pages"] == 32 - result["failed_pages"]
    stayed = [i for i, zone in enumerate(g.zones_of(area)) if zone == 2]
    assert len(stayed) == result["failed_pages"]
    assert (
        g.pin(
            90,
            area,
            0,
            32,
        )["errno"]
        == Errno.ENOMEM
    )  # the same instant, the same I/O
    g.do(Op.IO, area, 0, 0, 0, 0)
    assert g.pin(90, area, 0, 32)["errno"] == 0


@pytest.mark.parametrize("unit", [1, 2, 4])
@pytest.mark.parametrize("key", range(4))
def test_pages_mapped_downwards_meet_the_io_over_their_own_stretch(unit: int, key: int) -> None:
    shape = make_shape("NNNN|NNNN", order=4, chunks=2, cpus=(0, 1))
    g = Guest(shape, make_table(PCP_HIGH_PAGES=64), full_every=1)
    proc, pages = g.spawn(), 13
    before = g.touched(proc, AreaKind.ANON, pages)
    for page in range(pages):
        g.free(before, page, 1)
    area = g.touched(proc, AreaKind.ANON, pages)
    pfns = g.pfns(area)
    assert pfns == sorted(pfns, reverse=True)
    g.do(Op.IO, area, density(1), unit, HOLD_NS, key)
    g.do(Op.MIGRATE, area, 0, pages, 1)  # the engines agree on what moves


def test_a_pin_that_may_stay_in_place_pins_what_is_in_flight_where_it_is() -> None:
    g = guest("NNNNNNMMMMMM", PIN_FAILURE=1)
    area = g.touched(g.spawn(), AreaKind.ANON, 32)
    g.do(Op.IO, area, density(2), 2, HOLD_NS, 4)
    result = g.pin(90, area, 0, 32)
    assert result["errno"] == 0
    assert 0 < g.zones_of(area).count(2) == result["failed_pages"] < 32


# -- offlines -------------------------------------------------------------------------------------


def loaded_block(**cells: int) -> tuple[Guest, int, int]:
    """A guest with a THP area that fills one block of 16 huge folios; the area and the block."""
    g = guest("NNNNNNMMMMMM|NNNNMMMM", "kernel+unbounded", chunks=8, **cells)
    area = g.touched(g.spawn(), AreaKind.THP, 64)
    (block,) = g.blocks_of(area)
    return g, area, block


def ended(rows: np.ndarray) -> dict[str, int]:
    """The ATTEMPT of an offline that succeeded."""
    (attempt,) = rows_of(rows, Row.ATTEMPT)
    assert attempt["errno"] == 0
    return attempt


@pytest.mark.parametrize(
    ("mean", "slower", "most"), [(0.02, 1, 3), (0.1, 1, 4), (0.03, 10, 4), (0.1, 25, 9)]
)
def test_passes_until_a_block_with_io_is_offline_are_those_of_explicit_events(
    mean: float, slower: int, most: int
) -> None:
    """Both ways on the same host: I/O drawn by key, and HOLD and UNPIN at random times."""
    g, area, block = loaded_block(MIGRATE_TRIES=1)
    runs, start, end = 500, 4 * HOLD_NS, 100 * HOLD_NS
    passes: list[list[int]] = [[], []]
    failed: list[list[int]] = [[], []]
    rng = np.random.default_rng(11)
    for key in range(runs):
        offline = command(0, Op.OFFLINE, 7, block, 1, 0)
        io = command(g.now_ns, Op.IO, area, density(mean), PAGES, slower * HOLD_NS, key)
        offline[0] = g.now_ns + slower * start
        told = []
        for pin, (s, e, unit) in enumerate(events(rng, 16 * mean, 16, end, "fixed").tolist()):
            at, until = g.now_ns + slower * s, g.now_ns + slower * e
            told.append(command(at, Op.HOLD, 100 + pin, area, unit * PAGES, PAGES))
            told.append(command(until, Op.UNPIN, 100 + pin))
        told = sorted([*told, offline], key=lambda row: row[0])
        for way, commands in enumerate(([io, offline], told)):
            host: Host = g.hosts[1].clone()
            attempt = ended(host.execute(np.array(commands), g.now_ns + 2 * slower * end))
            passes[way].append(attempt["passes"])
            failed[way].append(attempt["failed_pages"])
    assert max(passes[0]) >= most
    assert two_samples(*passes) < 1
    assert two_samples(*failed) < 1


def test_a_pass_meets_other_pages_than_the_one_long_before() -> None:
    g, area, block = loaded_block()
    g.do(Op.IO, area, density(1.5), PAGES, HOLD_NS, 1)
    g.offline(block)
    g.do(Op.STATUS, 7, after_ns=2_500_000)
    attempt = g.attempt()
    assert attempt["errno"] == 0
    assert attempt["passes"] > 1


def test_pages_in_flight_are_told_as_short_references() -> None:
    g, area, block = loaded_block()
    g.do(Op.IO, area, density(8), 1, HOLD_NS, 1)
    g.offline(block)
    g.do(Op.STATUS, 7, after_ns=3_000_000)
    rows = g.seen(Row.BLOCKER)
    assert rows
    assert {r["class"] for r in rows} == {BlockerClass.SHORT_REFERENCE}
    assert all(r["references"] > 0 and r["pins"] == 0 and r["pin"] == -1 for r in rows)
    assert g.seen(Row.ATTEMPT)[0]["endless"] == 0


def test_base_pages_in_flight_are_told_stretch_by_stretch() -> None:
    g = guest("NNNNNNMMMMMM|NNNNMMMM", "kernel+unbounded", chunks=8)
    area = g.touched(g.spawn(), AreaKind.ANON, 64)
    g.do(Op.IO, area, density(1.2), 2, 4_000_000_000, 1)
    g.offline(g.blocks_of(area)[0])
    g.do(Op.STATUS, 7, after_ns=30_000_000)
    rows = g.seen(Row.BLOCKER)
    assert sum(r["pages"] for r in rows) == sum(p >= 0 for p in g.pfns(area)[:64]) - sum(
        r["pages"] for r in g.seen(Row.MIGRATION) if r["reason"] == MigrateReason.MEMORY_HOTPLUG
    )
    assert {r["class"] for r in rows} == {BlockerClass.SHORT_REFERENCE}
    assert all(r["pages"] % 2 == 0 for r in rows)


# -- endless loops --------------------------------------------------------------------------------


def test_a_loop_over_a_pin_is_skipped_although_the_area_has_io() -> None:
    shape = make_shape("NNNNNNMMMMMM|NNNNMMMM", chunks=8)
    table = make_table("pin-in-place+unbounded", "linux-6.1")
    host = Host(shape, table, CostModel().vector())
    hour = 3_600_000_000_000
    commands = [
        command(0, Op.SPAWN, 0, 0, 0),
        command(0, Op.MAP, 0, 0, AreaKind.THP, 64, 0),
        command(0, Op.TOUCH, 0, 0, 64, -1, -1),
        command(0, Op.PIN, 1, 0, 8, 1, 0, -1),
        command(0, Op.IO, 0, density(1), 2, HOLD_NS, 77),
    ]
    host.execute(np.array(commands), 0)
    block = int(np.flatnonzero(host.blocks()[:, 4])[0])
    host.execute(np.array([command(0, Op.OFFLINE, 7, block, 1, 0)]), hour)
    assert host.counters[Counter.OFFLINE_PASSES] > 10**6
    rows = host.execute(np.array([command(hour, Op.STATUS, 7)]), hour)
    (attempt,) = rows_of(rows, Row.ATTEMPT)
    assert attempt["endless"] == 1
    assert [r["class"] for r in rows_of(rows, Row.BLOCKER)] == [BlockerClass.LONGTERM_PIN]


def test_a_loop_without_room_is_told_as_endless_whatever_is_in_flight() -> None:
    g = guest("NNNMMM", "kernel+unbounded")
    area = g.map(g.spawn(immune=True), AreaKind.ANON, 96)
    for index in range(96):
        zones = g.host.zones()
        if all(zones[z, 1] <= zones[z, 2] + 1 for z in (1, 2)):
            break
        g.touch(area, index, 1)
    g.do(Op.IO, area, density(1), 2, 30_000, 5)
    g.offline(max(g.blocks_of(area)))
    g.advance(5_000_000)
    for _ in range(8):
        g.do(Op.STATUS, 7, after_ns=1_234_567)
        assert g.seen(Row.ATTEMPT)[0]["endless"] == 1


# -- the command ----------------------------------------------------------------------------------


def test_bad_io_is_refused() -> None:
    g = guest("NNNNMMMM")
    proc = g.spawn()
    assert g.do(Op.POOL, 0, 4)["errno"] == 0  # a hugetlb mapping reserves its pages
    areas = [g.map(proc, kind, 16) for kind in AreaKind]
    wanted = {AreaKind.ANON: 0, AreaKind.THP: 0}
    for kind, area in zip(AreaKind, areas, strict=True):
        errno = g.do(Op.IO, area, density(1), 2, HOLD_NS, 1)["errno"]
        assert errno == wanted.get(kind, Errno.EINVAL)
    for arguments in (
        (areas[0], -1, 2, HOLD_NS), (areas[0], density(9), 2, HOLD_NS),
        (areas[0], 1, 3, HOLD_NS), (areas[0], 1, 8, HOLD_NS), (areas[0], 1, 0, HOLD_NS),
        (areas[0], 1, 2, 0), (areas[0], 1, 2, 1 << 32), (77, 1, 2, HOLD_NS),
    ):  # fmt: skip
        assert g.do(Op.IO, *arguments, 1)["errno"] == Errno.EINVAL


def test_a_pin_killed_while_it_moves_pages_leaves_no_clock_behind() -> None:
    """Its wait for references once went on in the draws of a later offline, in the reference.

    Found by a sweep of random sequences; the OOM killer takes the process of the pin.
    """
    cells = {
        "FAULT_FLAG_ANON": 1, "FAULT_FLAG_THP": 1, "FAULT_FLAG_FILE": 1, "FAULT_FLAG_HUGETLB": 1,
        "PIN_MIGRATES": 1, "ISOLATED_UNPINNABLE": 1, "MIGRATE_TRIES": 10, "VFIO_CALL_PAGES": 9,
        "THP_FAIL_PAGES": 1, "HUGETLB_PIN_MIGRATES": 1, "SPLIT_TAILS_LAST": 1,
        "COMPACT_ISOLATED_SHIFT": 1, "PIN_ISOLATION": 1, "PIN_RETRIES": 3, "PIN_WAIT_NS": 500_000,
        "FAULT_FLAG_SHMEM": 1, "FILE_PIN": 1, "FAULT_FLAG_ZERO": 1, "FAULT_FLAG_HZP": 1,
        "FAULT_FLAG_COW": 1,
    }  # fmt: skip
    shape = make_shape("NNMMMMM-", order=3, thp=True, dma=True)
    bench = Bench(shape, table_of(cells), long_passes(10), full_every=1)
    bench.replay([
        [0, 1],  # SPAWN
        [0, 1, 1],  # SPAWN
        [0, 1, 2],  # SPAWN
        [0, 2, 1, 1, 2, 58, 1],  # MAP
        [0, 3, 1, 0, 58, -1, -1],  # TOUCH
        [0, 2, 2, 2, 1, 82],  # MAP
        [0, 3, 2, 0, 82, -1, -1],  # TOUCH
        [9121000, 12, 13, 6, 1],  # OFFLINE
        [9121000, 10, 3, 2, 22, 16],  # HOLD
        [14320001, 8, 2, 2, 0, 63, 0, 1],  # PIN
        [36533001, 5, 1, 24, 27, 1],  # FREE
        [36783001, 2, 3, 0, 1, 32, 1],  # MAP
        [36783001, 3, 3, 0, 32, -1, -1],  # TOUCH
        [41543003, 24, 3, 250000000000, 8, 1, 3316304580985182412],  # IO
        [54593004, 12, 48, 2, 1],  # OFFLINE
        [57093004, 1, 2],  # SPAWN
    ])  # fmt: skip
    assert bench.host.counters[Counter.OOM_KILL] == 1
