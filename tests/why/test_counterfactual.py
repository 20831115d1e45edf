"""Changes on hosts made by hand: for every reason to stay the change that undoes it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from engine.enums import AreaKind, Op, Pinner
from engine.host import Host
from engine.shape import HostShape
from fleet.run.guests import Books, Guest
from fleet.why.changes import Changes
from fleet.why.counterfactual import Tried, search
from fleet.why.trial import Trial
from fleet.why.watched import Moment
from policies.arms import parse_arm
from tests.run import small

BLOCK = 12
"""A MOVABLE block of node 1 (blocks 8 to 15, of which 12 to 15 are MOVABLE)."""
Commands = Sequence[tuple[int, ...]]
NORESERVE = 2


def host(commands: Commands, arm: str = "pin-in-place+unbounded") -> tuple[Host, Any]:
    table = parse_arm(arm, "linux-6.1", "movable-50").table()
    made = Host(small.shape(500_000, 2), table, small.slow_costs())
    rows = [(0, *map(int, c), *[0] * (7 - len(c))) for c in commands]
    results = made.execute(np.array(rows, np.int64), 0)
    assert not results[results[:, 1] == 1][:, 5].any(), "every command succeeds"
    return made, table


def workload(slot: int, cpu: int, pages: int, kind: AreaKind = AreaKind.ANON) -> Commands:
    return [
        (Op.SPAWN, slot, cpu), (Op.MAP, slot, slot, kind, pages, NORESERVE),
        (Op.TOUCH, slot, 0, pages, -1, -1),
    ]  # fmt: skip


def tried(
    engine: Host, table: Any, guests: dict[int, Guest], rows: list[dict[str, int]],
    held: dict[int, dict[int, int]] | None = None, plan_held: Any = (), block: int = BLOCK,
) -> list[Tried]:  # fmt: skip
    books = Books(
        {g.slot: (w, 0) for w, g in guests.items()}, guests,
        {g.pin: w * 1024 for w, g in guests.items() if g.pin >= 0}, held or {},
    )  # fmt: skip
    plan = small.plan(1, rows, held=plan_held)
    trial = Trial(Moment(0, engine, books), 0, block, 1, 40 * small.SECOND, True, table)
    assert not trial.run().returned
    return search(trial, plan)


def best(found: list[Tried]) -> Tried:
    assert found[0].ended.returned
    return found[0]


def test_a_pin_is_moved_or_released() -> None:
    pin = (Op.PIN, 5, 5, 0, 16, Pinner.VFIO, -1)
    engine, table = host([*workload(5, 2, 16), pin])
    where = int(engine.area(5)[0, 2]) // small.BLOCK_PAGES
    row = {"pages": 16, "pinned_pages": 16, "present_pages": 16, "pinner": int(Pinner.VFIO)}
    found = tried(engine, table, {0: Guest(0, 5, 1, 16, 0, 5)}, [row], block=where)
    assert {t.change.kind for t in found if t.ended.returned} >= {"release_pin", "move_pages"}
    assert best(found).change.pages == 16
    moved = next(t for t in found if t.change.kind == "move_pages")
    after, failed = Trial(
        Moment(0, engine, Books({}, {}, {}, {})), 0, where, 1, small.SECOND, True, table
    ).host(moved.change.stages)
    assert not failed
    assert after.blocks()[where, 4] == 0
    assert after.blocks()[:, 4].sum() == 16, "as many pages are pinned elsewhere"


def test_a_short_reference_is_dropped() -> None:
    engine, table = host([*workload(5, 2, 16), (Op.HOLD, 9, 5, 0, 4)])
    where = int(engine.area(5)[0, 2]) // small.BLOCK_PAGES
    found = tried(
        engine, table, {0: Guest(0, 5, 1, 16, 0, -1)}, [{"pages": 16, "touched_pages": 16}],
        {0: {0: 9}}, [(0, 0, 0, 4, 10**9)], block=where,
    )  # fmt: skip
    assert best(found).change.kind == "release_reference"
    assert best(found).change.pages == 4


def full(shape: HostShape, node: int) -> int:
    """More pages than a node has."""
    return sum(n == node for n in shape.block_node) * shape.block_pages


def test_room_is_made_on_the_other_node() -> None:
    """Node 0 is full of workloads; one of node 1 has nowhere to go."""
    size = full(small.shape(500_000, 2), 0)
    filled = [
        *workload(5, 2, 16), (Op.SPAWN, 6, 0), (Op.MAP, 6, 6, AreaKind.ANON, size, NORESERVE),
        (Op.SPAWN, 7, 0), (Op.MAP, 7, 7, AreaKind.ANON, 24, NORESERVE),
        (Op.TOUCH, 7, 0, 24, 0, 0), (Op.TOUCH, 6, 0, size - 60, 0, 0),
    ]  # fmt: skip
    engine, table = host(filled)
    where = int(engine.area(5)[0, 2]) // small.BLOCK_PAGES
    assert engine.shape.block_node[where] == 1
    rows = [{"pages": 16}, {"pages": size}, {"pages": 24}]
    guests = {
        0: Guest(0, 5, 1, 16, 0, -1), 1: Guest(0, 6, 0, size, 0, -1), 2: Guest(0, 7, 0, 24, 0, -1)
    }  # fmt: skip
    found = tried(engine, table, guests, rows, block=where)
    kinds = [(t.change.kind, t.ended.returned) for t in found]
    assert ("same_node", True) in kinds
    room = [t for t in found if t.change.kind == "room"]
    assert [(t.change.facts or {})["workloads"] for t in room] == [[2]], "the smallest is enough"
    assert room[0].ended.returned


def test_a_pool_is_shrunk() -> None:
    """Node 0 is full of free huge pages: room for nobody until the pool is smaller."""
    shape = small.shape(500_000, 2)
    folios = full(shape, 0) // shape.pageblock_pages
    table = parse_arm("pin-in-place+unbounded", "linux-6.1", "movable-50").table()
    engine = Host(shape, table, small.slow_costs())
    rows = [(0, *map(int, c), *[0] * (7 - len(c))) for c in workload(5, 2, 16)]
    engine.execute(np.array([*rows, (0, int(Op.POOL), 0, folios, 0, 0, 0, 0)], np.int64), 0)
    assert engine.zones()[:3, 1].sum() < 16, "no room on node 0"
    where = int(engine.area(5)[0, 2]) // small.BLOCK_PAGES
    plan = small.plan(1, [{"pages": 16}])
    books = Books({5: (0, 0)}, {0: Guest(0, 5, 1, 16, 0, -1)}, {}, {})
    trial = Trial(Moment(0, engine, books), 0, where, 1, 40 * small.SECOND, True, table)
    found = search(trial, plan)
    shrunk = [t for t in found if t.change.kind == "shrink_pool"]
    (few, most) = shrunk
    assert few.ended.returned
    assert most.ended.returned
    assert most.change.facts == {"node": 0, "folios": int(engine.pool()[0, 1])}
    assert 0 < few.change.pages < most.change.pages
    fewer = Changes(trial, plan).shrink_pool(0, few.change.pages // shape.pageblock_pages - 1)
    assert not trial.run(fewer.stages).returned, "one page less is not enough"


@pytest.mark.parametrize("kernel_pages", [1, 20])
def test_unmovable_memory_leaves_only_other_blocks(kernel_pages: int) -> None:
    engine, table = host(
        [(Op.SPAWN, 5, 2, 1), (Op.MAP, 5, 5, AreaKind.KERNEL, kernel_pages, 0),
         (Op.TOUCH, 5, 0, kernel_pages, -1, -1)]
    )  # fmt: skip
    where = int(engine.area(5)[0, 2]) // small.BLOCK_PAGES
    found = tried(engine, table, {}, [], block=where)
    assert {t.change.kind for t in found} == {"other_block"}
    assert best(found).change.first_block != where
