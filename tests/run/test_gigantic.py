"""Workloads on 1 GiB hugetlb pages: reserved at boot, or found later (here: 8 pageblocks)."""

from dataclasses import replace

import numpy as np
import pytest

from engine.enums import Op, Pinner, PoolSize
from fleet.plan.backing import Backing
from fleet.run.guests import Guests
from fleet.run.world import World
from tests.run import small

PAGES = 64
WANTS = {
    "backing": int(Backing.HUGETLB1G), "pages": PAGES, "pinner": int(Pinner.VFIO),
    "pinned_pages": PAGES,
}  # fmt: skip
PROFILE = "linux-5.10"


def world(*work: dict[str, int], boot_1g: int, nodes: int = 1) -> World:
    """A host with so many pages reserved."""
    plan = small.plan(1, work)
    plan = replace(plan, hosts=replace(plan.hosts, boot_1g=small.column([boot_1g])))
    made = small.world(plan, small.scenario(profile=PROFILE), nodes=nodes)
    shape = replace(made.shapes[0], gigantic_pageblocks=8)
    return replace(made, shapes=(shape,), engine="fast")


def placed(a_world: World) -> tuple[list[list[int]], list[int]]:
    """Place all workloads; returns the pool (node by node) and the errno of each command."""
    engine = a_world.new_engine(0)
    reserved = engine.pool(PoolSize.GIGANTIC)[:, 0].tolist()
    guests = Guests(a_world, a_world.shapes[0], 1, reserved)
    for workload in range(len(a_world.plan.workloads)):
        guests.place(0, workload, 0)
    rows = engine.execute(np.array(guests.batch, np.int64), 1)
    errnos = [int(row[5]) for row in rows.tolist() if row[1] == 1]
    pool: list[list[int]] = engine.pool(PoolSize.GIGANTIC).tolist()
    return pool, errnos


def test_a_workload_takes_its_pages_from_those_of_boot() -> None:
    pool, errnos = placed(world(WANTS, boot_1g=2))
    assert pool == [[2, 1, 0, 0]]
    assert set(errnos) == {0}


def test_what_boot_has_not_reserved_is_found_at_run_time() -> None:
    pool, errnos = placed(world(WANTS, WANTS, boot_1g=1))
    assert pool == [[2, 0, 0, 0]]
    assert set(errnos) == {0}


def test_without_a_free_range_the_workload_cannot_touch_its_memory() -> None:
    pool, errnos = placed(world(*[WANTS] * 9, boot_1g=0))
    assert pool == [[3, 0, 0, 0]]  # of four in the kernel zone, one of which the kernel image is in
    assert errnos.count(0) < len(errnos)


def test_pages_of_boot_are_spread_over_the_nodes() -> None:
    made = world(WANTS, boot_1g=3, nodes=2)
    engine = made.new_engine(0)
    assert engine.pool(PoolSize.GIGANTIC)[:, 0].tolist() == [1, 1]  # node 0 has room for one
    assert engine.pool(PoolSize.HUGE)[:, 0].tolist() == [0, 0]


@pytest.mark.parametrize(("backing", "flag"), [(Backing.HUGETLB1G, 4), (Backing.HUGETLB, 0)])
def test_the_area_is_of_the_pages_that_the_workload_asks_for(backing: int, flag: int) -> None:
    made = world({**WANTS, "backing": int(backing)}, boot_1g=0)
    guests = Guests(made, made.shapes[0], 1)
    guests.place(0, 0, 0)
    (mapped,) = [c for c in guests.batch if c[1] == Op.MAP]
    assert (mapped[4], mapped[6] & 4) == (Backing.HUGETLB, flag)
    asks = Op.NR_HUGEPAGES if flag else Op.POOL
    assert [c[1] for c in guests.batch if c[1] in (Op.POOL, Op.NR_HUGEPAGES)] == [asks]
