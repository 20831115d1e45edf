"""A pool of kernel-zone memory for long-term pins: who gets it, who does not, and what is left.

Each sentence holds for both engines. Pageblocks of 4 pages, chunks of 8, blocks of 16.
"""

import numpy as np
import pytest

from engine.costs import CostModel
from engine.enums import AreaKind, Counter, Errno, Incident, Op, Row
from engine.host import Host
from tests.engine.bench import Guest, command, make_shape, make_table, rows_of
from tests.policies.test_pin_policies import guest

NORMAL, MOVABLE = 1, 2
ANON, THP, FILE, KERNEL = AreaKind.ANON, AreaKind.THP, AreaKind.FILE, AreaKind.KERNEL
NODES = "NNNNMMMMMM"
"""64 pages of kernel zones: half of them are the pool."""
POOL = 32


@pytest.mark.parametrize("kind", [ANON, THP])
def test_pins_get_memory_that_the_kernel_could_not_have(kind: AreaKind) -> None:
    free = []
    for pin in ("linux-5.13", "reserved-pool"):
        g = guest(pin, NODES)
        eater = g.map(g.spawn(immune=True), KERNEL, 64)
        for index in range(64):
            if g.host.zones()[1, 1] <= g.host.zones()[1, 2] + (POOL if "pool" in pin else 0) + 1:
                break
            g.touch(eater, index, 1)
        free.append(int(g.host.zones()[1, 1]))
        victim = g.touched(g.spawn(), ANON, 8)
        area = g.map(g.spawn(), kind, 16)
        result = g.pin(90, area, 0, 16)
        killed = [r for r in g.seen(Row.INCIDENT) if r["incident"] == Incident.OOM_KILL]
        if pin == "linux-5.13":
            assert killed or result["errno"]
            continue
        assert result["errno"] == 0
        assert not killed
        assert set(g.zones_of(area)) == {NORMAL}
        assert g.pfns(victim)
    assert free[1] - free[0] == POOL


def test_a_pin_without_pool_left_fails_and_kills_nobody() -> None:
    g = guest("reserved-pool", NODES)
    proc = g.spawn()
    areas = [g.map(proc, ANON, 24) for _ in range(2)]
    assert g.pin(90, areas[0], 0, 24)["errno"] == 0
    assert g.pin(91, areas[1], 0, 24)["errno"] == Errno.ENOMEM
    assert g.pin(91, areas[1], 0, 8)["errno"] == 0
    assert g.host.counters[Counter.OOM_KILL] == 0
    g.do(Op.UNPIN, 90)
    assert g.pin(92, areas[0], 0, 24)["errno"] == 0  # the pool is what is not pinned


def test_present_pages_move_into_the_pool() -> None:
    g = guest("reserved-pool", NODES)
    area = g.touched(g.spawn(), ANON, 16)
    assert set(g.zones_of(area)) == {MOVABLE}
    assert g.pin(90, area, 0, 16)["migrated_pages"] == 16
    assert set(g.zones_of(area)) == {NORMAL}


def test_user_memory_and_page_cache_leave_the_pool_alone() -> None:
    kept = []
    for pin in ("linux-5.13", "reserved-pool"):
        g = guest(pin, "NNNNMM")
        cache = g.map(g.spawn(), FILE, 120)
        g.touch(cache, 0, 120)
        kept.append(int(g.host.zones()[1, 1]))
    assert kept[1] - kept[0] >= POOL - 4


def test_the_share_is_part_of_the_name() -> None:
    left = []
    for pin in ("reserved-pool-25", "reserved-pool", "reserved-pool-75"):
        g = guest(pin, NODES)
        area = g.map(g.spawn(), ANON, 64)
        pages = 0
        while g.pin(100 + pages, area, pages, 1)["errno"] == 0:
            pages += 1
        left.append(pages)
    assert left == [16, 32, 48]


def test_a_host_that_aged_without_a_pool_has_one_under_another_table() -> None:
    shape, costs = make_shape(NODES), CostModel().vector()
    plain = make_table("linux-5.13+unbounded", "linux-6.1", PCP_HIGH_PAGES=1)
    pool = make_table("reserved-pool+unbounded", "linux-6.1", PCP_HIGH_PAGES=1)
    host, fresh = Host(shape, plain, costs), Host(shape, pool, costs)
    host.use_table(pool)
    commands = np.array(
        [command(0, Op.SPAWN, 0, 0, 0), command(0, Op.MAP, 1, 0, ANON, 48, 0)]
        + [command(0, Op.PIN, 10 + i, 1, 12 * i, 12, 0, -1) for i in range(4)]
    )
    errnos = [
        [r["errno"] for r in rows_of(h.execute(commands, 0), Row.RESULT)] for h in (host, fresh)
    ]
    assert errnos[0] == errnos[1] == [0, 0, 0, 0, Errno.ENOMEM, Errno.ENOMEM]


def test_each_revoked_pin_that_moves_into_a_pool_leaves_less_of_it_to_keep() -> None:
    """The zone is at its low mark and the pool; then each page that comes frees one of the pool."""
    table = make_table("revocable+unbounded", "linux-6.12", PIN_POOL_MILLIONTHS=300_000)
    g = Guest(make_shape("NNNM-", order=4), table, full_every=1)
    proc, (_, normal, movable) = g.spawn(), g.host.zones()[:3]
    area = g.touched(proc, ANON, int(movable[1]) - 40)
    g.pin(90, area, 0, 16)
    low, pool = int(normal[3]), int(normal[0]) * 3 // 10
    rest = g.map(proc, ANON, int(normal[1]), hinted=True)
    while int(g.host.zones()[NORMAL, 1]) > low + pool:
        g.touch(rest, g.pfns(rest).index(-1), 1)
    listed = len(g.host.pcp(0, NORMAL))
    assert int(g.host.zones()[NORMAL, 1]) == low + pool
    assert listed > 16  # pages of the CPU's list, so that no move changes what is free
    before = int(g.host.counters[Counter.KSWAPD_WAKE])
    g.offline(3)
    assert g.attempt()["errno"] == 0
    reserve = int(movable[0]) // 32  # lowmem_reserve of NORMAL for what may lie in MOVABLE
    assert g.host.counters[Counter.KSWAPD_WAKE] == before + reserve + 1
