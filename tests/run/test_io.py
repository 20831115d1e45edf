"""I/O in flight reaches the engine, under the workload's own key, before or after its pin."""

from dataclasses import replace

from engine.enums import AreaKind, Op, Pinner
from fleet.run.guests import Guests
from tests.run import small

IO = {"io_density": 10**9, "io_pages": 2, "io_hold_ns": 200_000}
PINNED = {"pages": 64, "pinner": int(Pinner.VFIO), "pinned_pages": 32, "present_pages": 32}


def placed(*work: dict[str, int], seed: int = 1) -> list[list[int]]:
    """Engine commands of placing all workloads on one host: operation and arguments."""
    plan = replace(small.plan(1, work), seed=seed)
    world = small.world(plan, small.scenario())
    guests = Guests(world, world.shapes[0], 1)
    for workload in range(len(work)):
        guests.place(0, workload, 0)
    return [[int(v) for v in command[1:]] for command in guests.batch]


def operations(commands: list[list[int]]) -> list[int]:
    return [c[0] for c in commands]


def test_io_begins_before_the_pin_or_after_placement() -> None:
    running = placed({**PINNED, **IO, "io_before_pin": 1, "touched_pages": 32})
    assert operations(running) == [Op.SPAWN, Op.MAP, Op.TOUCH, Op.IO, Op.PIN, Op.TOUCH]
    fresh = placed({**PINNED, **IO, "touched_pages": 32})
    assert operations(fresh) == [Op.SPAWN, Op.MAP, Op.TOUCH, Op.PIN, Op.TOUCH, Op.IO]
    assert fresh[-1][2:5] == [10**9, 2, 200_000]


def test_workloads_without_io_send_none() -> None:
    assert Op.IO not in operations(placed({"touched_pages": 16}, {**PINNED}))


def test_the_key_is_the_workloads_own_and_of_this_seed() -> None:
    quiet = {"touched_pages": 16, "backing": int(AreaKind.THP)}
    first = [c[5] for c in placed({**quiet, **IO}, {**quiet, **IO}) if c[0] == Op.IO]
    assert len(set(first)) == 2
    assert all(key >= 0 for key in first)
    alone = [c[5] for c in placed({**quiet, **IO}) if c[0] == Op.IO]
    assert alone == first[:1]
    other = [c[5] for c in placed({**quiet, **IO}, seed=2) if c[0] == Op.IO]
    assert other != alone
