"""Histories on a small replayed guest."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.enums import Counter
from fleet.cli.engines import EngineName, engine_class
from fleet.cli.validate import _tables
from fleet.lab import guest
from fleet.lab.buffers import UnsupportedOperationError
from fleet.lab.chance import AS_USUAL, Chance, ways
from fleet.lab.classes import scattered
from fleet.lab.driver import Driver
from fleet.lab.histories import TURN_PAGES
from fleet.lab.lines import Case, read
from tests.lab.cases import line, text

Replay = Callable[..., tuple[Driver, list[dict[str, Any]]]]
TWO_CPUS = {"mem": "1G", "dimms": 2, "dimm_mb": 512, "block_mb": 128, "smp": 2, "machine": "pc"}


@pytest.fixture
def replay(tmp_path: Path) -> Replay:
    """Replay operation texts; returns the driver and what each operation saw."""

    def call(
        *ops: str, kernel: str = "6.1", chance: Chance = AS_USUAL, **changes: Any
    ) -> tuple[Driver, list[dict[str, Any]]]:
        path = tmp_path / "case.jsonl"
        path.write_text(text(line([{"op": o} for o in ops], kernel=kernel, **changes)))
        (case,) = read(path)
        assert isinstance(case, Case)
        table = _tables("")(kernel)
        assert table is not None
        factory: Any = engine_class(EngineName.FAST)
        machine = guest.start(case, factory, table)
        first_slot = guest.first_free_slot(case.guest)
        driver = Driver(machine, case.hot_blocks, first_slot + 1, scattered(case))
        driver.chance = chance
        return driver, [driver.run(record.operation) for record in case.records]

    return call


def test_two_buffers_grown_in_turn_share_every_pageblock(replay: Replay) -> None:
    ops = [
        "online:h0:movable",
        "alloc:a:8:4k",
        "alloc:b:8:4k",
        "alt:a:b:1:1",
        "share:a:b",
        "runs:a",
    ]
    _, seen = replay(*ops)
    assert seen[4]["pageblocks_both"] == 8
    assert (seen[5]["va_runs"], seen[5]["pageblocks"]) == (8, 8)


def test_on_two_cpus_the_refill_batch_interleaves(replay: Replay) -> None:
    ops = ["online:h0-h7:movable", "alloc:a:8:4k", "alloc:b:8:4k", "alt:a:b:64k:2", "runs:a"]
    _, seen = replay(*ops, guest=TWO_CPUS)
    assert 8 * 256 // 63 <= seen[4]["va_runs"] <= 8 * 256 // 63 + 2  # not one per 64 KiB
    with pytest.raises(UnsupportedOperationError, match="no CPU 1"):
        replay(*ops)


def test_threads_at_the_same_time_take_turns(replay: Replay) -> None:
    ops = ["online:h0:movable", "alloc:a:8:4k", "alloc:b:8:4k", "par:a:b", "share:a:b", "runs:b"]
    driver, seen = replay(*ops, guest=TWO_CPUS)
    assert driver.cpu_now == 0
    assert 0 < seen[4]["pageblocks_both"] < 8
    assert 2 <= seen[5]["va_runs"] <= 4


@pytest.mark.parametrize("second_begins", [False, True])
@pytest.mark.parametrize("missed", [0, 1])
def test_chance_decides_which_thread_is_ahead(
    replay: Replay, second_begins: bool, missed: int
) -> None:
    ops = ["online:h0:movable", "alloc:a:8:4k", "alloc:b:8:4k", "par:a:b"]
    way = Chance(second_begins=second_begins, missed_turns=missed)
    driver, _ = replay(*ops, guest=TWO_CPUS, chance=way)
    a, b = (driver._frames(driver._buffer(name)).pfn for name in "ab")
    begins, other = (b, a) if second_begins else (a, b)
    assert (begins < other.min()).sum() == pytest.approx(TURN_PAGES * (1 + missed), abs=63)


def test_what_chance_may_have_decided(tmp_path: Path) -> None:
    def of(*ops: str) -> tuple[Chance, ...]:
        path = tmp_path / "case.jsonl"
        path.write_text(text(line([{"op": o} for o in ops], guest=TWO_CPUS)))
        (case,) = read(path)
        assert isinstance(case, Case)
        return ways(case)

    assert of("alloc:a:8:4k", "touch:a") == (Chance(),)
    both = of("alloc:a:8:4k", "alloc:b:8:4k", "par:a:b")
    assert both[0] == Chance()
    assert {(w.second_begins, w.missed_turns) for w in both} == {
        (False, 0), (True, 0), (False, 1), (True, 1),
    }  # fmt: skip


def test_a_churn_keeps_the_buffer_whole_and_takes_back_what_it_freed(replay: Replay) -> None:
    ops = ["online:h0:movable", "hogmov:h:96:4k", "runs:h", "churn:h:7:64k:25", "runs:h"]
    _, seen = replay(*ops)
    before, after = seen[2], seen[4]
    assert seen[3]["turned_pages"] == 128 * 16
    assert after["dist"]["absent"] == before["dist"]["absent"]
    assert 0 < after["dist"]["moved_since_last"] <= 128 * 16
    assert after["va_runs"] > 128
    assert after["dist"]["by_zone"] == before["dist"]["by_zone"]


def test_a_walk_leaves_what_it_says(replay: Replay) -> None:
    ops = ["online:h0:movable", "hogmov:h:96:4k", "steady:h:7:mix:64:50:75", "dist:h"]
    _, seen = replay(*ops)
    touched = seen[1]["hog_pages"]
    assert seen[3]["dist"]["by_zone"]["Movable"] == seen[2]["present_pages"] + touched % 512 + 1
    assert 0.45 * touched < seen[2]["present_pages"] < 0.8 * touched


def test_a_random_history_needs_room(replay: Replay) -> None:
    small = ["online:h0:movable", "alloc:a:1:4k", "touch:a", "steady:a:1:4k:1:50:75"]
    with pytest.raises(UnsupportedOperationError, match="needs 2 MiB"):
        replay(*small)


def test_page_cache_fills_movable_and_gives_way(replay: Replay) -> None:
    ops = [
        "online:h0:movable",
        "cacheread:/f:64",
        "cacheread:/f:64",
        "alloc:a:32:4k",
        "touch:a",
        "dist:a",
    ]
    driver, seen = replay(*ops)
    blocks = driver.machine.engine.blocks()
    assert blocks[32, 5] == 64 * 256  # read once, in the only hot block
    assert seen[5]["dist"]["by_block"] == {"32": 32 * 256}
    with pytest.raises(UnsupportedOperationError, match="read again beyond"):
        replay("cacheread:/f:1", "cacheread:/f:2")


def test_a_file_larger_than_memory_leaves_room_for_new_pages(replay: Replay) -> None:
    ops = ["online:h0-h1:movable", "cacheread:/f:1800", "alloc:a:32:4k", "touch:a", "dist:a"]
    driver, seen = replay(*ops, kernel="5.10")
    assert int(driver.machine.engine.counters[Counter.PGSTEAL]) > 32 * 256
    assert seen[4]["dist"]["absent"] == 0


def test_the_first_page_of_the_driver_comes_from_the_cpu_it_started_on(replay: Replay) -> None:
    four = TWO_CPUS | {"smp": 4}
    ops = ["online:h0-h7:movable", "cpu:0", "hogmov:h:960:4k"]
    driver, _ = replay(*ops, guest=four)
    first = int(driver._frames(driver.buffers["h"]).pfn[0])
    assert first % 32768 == 63 + 1  # one batch for the other CPU, one page of the driver's own


def test_only_whole_chunks_are_freed(replay: Replay) -> None:
    """Some pages more are no chunk: the same ones are freed, in the same order, without them."""
    for how in ("rand:7:25", "every:2"):
        freed = []
        for pages in (2048, 2049):
            ops = ["online:h0:movable", f"alloc:a:{4 * pages}k:4k", "touch:a", f"freepat:a:{how}:2"]
            driver, seen = replay(*ops)
            frames = driver._frames(driver.buffers["a"]).pfn
            freed.append(np.flatnonzero(frames < 0).tolist())
            assert seen[3]["freed_pages"] == len(freed[-1]) > 0
        assert freed[0] == freed[1]


def free_outside(driver: Driver) -> int:
    """Free pages outside MOVABLE and on the lists of the CPU there."""
    zones = driver.machine.engine.zones()
    return int(zones[:2, 1].sum() + zones[:2, 6].sum())


def test_page_cache_of_a_guest_needs_nodes_and_a_file_system(replay: Replay) -> None:
    """A slab of two pages for fourteen nodes, of 64 pages each; a second reading needs no more."""
    driver, _ = replay("online:h0-h1:movable", "alloc:a:1:4k", "touch:a")
    driver.disk_pages = (100, 30)
    before = free_outside(driver)
    driver.op_cacheread("/m/f", 28 * 64)
    assert before - free_outside(driver) == 100 + 4
    driver.op_cacheread("/m/f", 28 * 64)
    assert before - free_outside(driver) == 100 + 4


def test_page_cache_of_a_script_costs_itself_alone(replay: Replay) -> None:
    driver, _ = replay("online:h0-h1:movable", "alloc:a:1:4k", "touch:a")
    before = free_outside(driver)
    driver.op_cacheread("/m/f", 28 * 64)
    assert free_outside(driver) == before
