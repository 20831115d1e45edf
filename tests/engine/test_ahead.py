"""What only asks for memory early (ways, foresight, chunks ahead) changes nothing.

Areas here are large enough in pageblocks for it, and pages are drawn so that what was foreseen or
remembered is often something else by the time it is looked at.
"""

import numpy as np
import pytest

from engine.costs import CostModel
from engine.enums import AreaKind, Op, Pinner
from engine.host import Host
from engine.reference.host import ReferenceHost
from engine.state import AR_WAY, NIL, NR_WAYS
from engine.ways import LEAST
from tests.engine.bench import Guest, Surveyed, command, compare_full, make_shape, make_table
from tests.engine.commands import Draws

PAGEBLOCK = 4
PAGES = 2 * LEAST * PAGEBLOCK
KINDS = (AreaKind.ANON, AreaKind.THP)


@pytest.mark.parametrize("profile", ["linux-5.10", "linux-6.1", "linux-6.12"])
@pytest.mark.parametrize("arm", ["pin-in-place+unbounded", "linux-5.13+unbounded"])
@pytest.mark.parametrize("key", range(2))
def test_large_areas_live_and_end_alike(profile: str, arm: str, key: int) -> None:
    d = Draws(key, 77)
    shape = make_shape("NNNNMMMM|NNMM", order=2, chunks=32, cpus=(0, 1))
    guest = Guest(shape, make_table(arm, profile), checked=False, full_every=3)
    for turn in range(6):
        proc = guest.spawn(turn % 2)
        area = guest.map(proc, KINDS[d.below(2)], PAGES + d.below(40))
        half = d.below(PAGES)
        for first, count in ((half, PAGES - half), (0, half)):
            if count:
                guest.touch(area, first, count)
        for _ in range(d.below(6)):
            first = d.below(PAGES - 50)
            guest.free(area, first, 1 + d.below(50), -1)
            guest.touch(area, first, 1 + d.below(50))
        if d.below(2):
            guest.do(Op.MIGRATE, area, 0, PAGES, d.below(2))
        if d.below(2):
            guest.do(Op.PIN, turn, area, 0, PAGES, Pinner.VFIO, -1)
            guest.free(area, d.below(PAGES // 2), PAGES // 3, -1)
        if d.below(3):
            guest.do(Op.EXIT, proc)
    guest.finish()


def test_a_large_area_remembers_ways_that_lead_into_it() -> None:
    shape, table = make_shape("NNNNNNNN", order=2, chunks=32), make_table()
    host = Host(shape, table, CostModel().vector())
    host.execute(
        np.array([
            command(0, Op.SPAWN, 0, 0, 0), command(0, Op.MAP, 0, 0, AreaKind.THP, PAGES, 0),
            command(0, Op.TOUCH, 0, 0, PAGES, -1, -1),
        ]), 0,
    )  # fmt: skip
    ways = host._h.slot[0, AR_WAY : AR_WAY + NR_WAYS]
    known = ways[ways != NIL]
    assert len(known) >= NR_WAYS // 2
    assert len(set(known.tolist())) == len(known)
    at = {pfn // PAGEBLOCK for _, _, pfn, _ in host.area(0).tolist()}
    assert at & set(known.tolist())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", range(3))
def test_single_pages_of_one_batch_come_and_go_alike(kind: AreaKind, key: int) -> None:
    shape, table = make_shape("NNNNNNNN", order=2, chunks=32), make_table(PCP_HIGH_PAGES=9)
    d, costs = Draws(key, 78), CostModel().vector()
    hosts = [engine(shape, table, costs) for engine in (ReferenceHost, Host, Surveyed)]
    batch = [command(0, Op.SPAWN, 0, 0, 0)]
    for area in range(3):
        batch.append(command(0, Op.MAP, area, 0, kind, 300, 0))
        batch.append(command(0, Op.TOUCH, area, 0, 300, -1, -1))
    batches, live = [batch], [0, 1, 2]
    for turn in range(4):
        batch = []
        for _ in range(150):
            area, first = live[d.below(len(live))], d.below(298)
            op, count = (Op.FREE, Op.TOUCH, Op.FREE, Op.READ)[d.below(4)], 1 + d.below(2)
            if op == Op.READ:
                batch.append(command(turn, op, area, first, count))
            else:
                batch.append(command(turn, op, area, first, count, -1, -1))
        if turn == 2:  # in mid batch, so that commands behind are about nothing
            gone = live.pop(d.below(len(live)))
            batch.insert(70, command(turn, Op.UNMAP, gone))
        batches.append(batch)
    for commands in batches:
        first_rows, *others = (h.execute(np.array(commands), commands[-1][0]) for h in hosts)
        for rows in others:
            assert np.array_equal(first_rows, rows)
    for host in hosts[1:]:
        assert np.array_equal(hosts[0].counters, host.counters)
        compare_full(hosts[0], host, shape)
