"""The simulated guest: its zones, the CPU that the driver starts on, and when there is no trace."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.costs import CostModel
from engine.enums import Migratetype, Op, ZoneKind
from engine.host import Host
from fleet.lab import guest
from fleet.lab.chance import ways
from fleet.lab.driver import TRACE_PAGES, Driver
from fleet.lab.lines import Case, read
from fleet.lab.machine import Machine
from tests.engine.bench import make_table
from tests.lab.cases import line

TWO_NODES = {"mem": "1G", "dimms": 2, "dimm_mb": 512, "block_mb": 128, "smp": 2,
             "numa_dimm_nodes": [0, 1]}  # fmt: skip


def case_of(tmp_path: Path, *texts: str, **changes: Any) -> Case:
    """A case with these operations."""
    path = tmp_path / "case.jsonl"
    path.write_text(json.dumps(line([{"op": text} for text in texts], **changes)) + "\n")
    (found,) = read(path)
    assert isinstance(found, Case)
    return found


def started(case: Case, kernel: str = "6.1") -> Machine:
    """The guest of a case as it is before its first operation."""
    table = make_table("kernel+unbounded", f"linux-{kernel}")
    return guest.start(case, Host, table)


def test_zone_dma_is_a_zone_unless_hot_memory_needs_zone_normal(tmp_path: Path) -> None:
    movable = guest.shape_of(case_of(tmp_path, "online:h0-h1:movable"))
    kernel = guest.shape_of(case_of(tmp_path, "online:h0-h1:kernel"))
    assert movable.dma
    assert movable.block_zone[:9] == (ZoneKind.NORMAL,) * 8 + (ZoneKind.DMA32,)
    assert not kernel.dma
    assert kernel.block_zone[:8] == (ZoneKind.DMA32,) * 8
    for shape in (movable, kernel):
        managed = Host(shape, make_table(), _costs()).zones()[:, 0].sum()
        assert managed == 195_584  # the same memory either way


def test_zone_dma_keeps_its_reserve_and_dma32_its_own(tmp_path: Path) -> None:
    host = Host(guest.shape_of(case_of(tmp_path, "online:h0-h1:movable")), make_table(), _costs())
    dma, dma32 = host.zones()[:2, 2]  # the min marks: 143 and 7,137 of them with MOVABLE online
    assert dma == pytest.approx(190, rel=0.1)
    assert dma32 == pytest.approx(9_372, rel=0.02)


@pytest.mark.parametrize(
    ("kernel", "marks", "later"),
    [("6.1", (9_372, 11_715, 14_058), 7_137), ("6.12", (9_321, 11_651, 13_981), 9_453)],
)
def test_the_marks_at_boot_are_lower_until_memory_is_onlined(
    tmp_path: Path, kernel: str, marks: tuple[int, int, int], later: int
) -> None:
    case = case_of(tmp_path, "online:h0:movable", kernel=kernel)
    machine = started(case, kernel)
    assert tuple(machine.engine.zones()[ZoneKind.NORMAL, 2:5]) == marks
    machine.do(Op.ONLINE, 32, 2, ZoneKind.MOVABLE)
    assert machine.engine.zones()[ZoneKind.NORMAL, 2] == pytest.approx(later, rel=0.003)


def test_fragments_lie_between_pages_of_the_kernel_where_a_hog_leaves_them(tmp_path: Path) -> None:
    case = case_of(tmp_path, "hogfree:hog:48")
    machine = started(case)
    boot = guest.boot_of(case)
    assert boot.kernel_fragments

    def small() -> int:
        lists = [
            machine.engine.free_list(ZoneKind.NORMAL, Migratetype.UNMOVABLE, order)
            for order in range(guest.PAGEBLOCK_ORDER)
        ]
        return sum(len(found) << order for order, found in enumerate(lists))

    before = small()
    fragments = sum(n << order for order, n in enumerate(boot.fragments[: guest.PAGEBLOCK_ORDER]))
    assert fragments <= before < fragments + 2 * guest.PAD_PAGES
    driver = Driver(machine, case.hot_blocks, guest.first_free_slot(case.guest) + 1)
    driver.run(case.records[0].operation)
    assert small() == before


def test_tracing_begins_with_the_operations_that_count_calls(tmp_path: Path) -> None:
    ops = ("online:h0:movable", "alloc:a:4:4k", "touch:a", "pinstride:a:64:iou", "repin:a:iou:1")
    case = case_of(tmp_path, *ops, "pin:a:iou")
    machine = started(case)
    driver = Driver(machine, case.hot_blocks, guest.first_free_slot(case.guest) + 1)
    traced = []
    for record in case.records:
        driver.run(record.operation)
        traced.append(driver.tracing)
    assert traced == [False] * 5 + [True]


def test_chance_chooses_the_cpu_only_where_the_case_does_not(tmp_path: Path) -> None:
    hog = "hognode:hk:0:ker:10"
    two: dict[str, Any] = {"guest": TWO_NODES, "kernel": "6.1"}
    assert guest.start_cpus(case_of(tmp_path, "online:h0:movable", hog, **two)) == (0, 1)
    assert guest.start_cpus(case_of(tmp_path, "online:h0:movable", "cpu:1", hog, **two)) == (0,)
    assert guest.start_cpus(case_of(tmp_path, hog, "cpu:1", **two)) == (0, 1)
    assert guest.start_cpus(case_of(tmp_path, "hogfree:h:48")) == (0,)


@pytest.mark.parametrize(("leave_mib", "traced"), [(96, True), (48, False)])
def test_tracing_needs_memory_that_is_available(
    tmp_path: Path, leave_mib: int, traced: bool
) -> None:
    case = case_of(tmp_path, f"hogfree:hog:{leave_mib}", kernel="6.12")
    machine = started(case, "6.12")
    driver = Driver(machine, case.hot_blocks, guest.first_free_slot(case.guest) + 1)
    driver.slab_pages = guest.boot_of(case).slab_pages
    driver.run(case.records[0].operation)
    before = machine.engine.blocks()[:, 6].sum()
    driver._trace()
    assert machine.engine.blocks()[:, 6].sum() - before == (TRACE_PAGES if traced else 0)


def _costs() -> Any:
    """The cost vector of a host."""
    return CostModel().vector()


def test_kswapd_and_tasks_take_turns_where_there_is_one_cpu(tmp_path: Path) -> None:
    """At once up to 6.1; by the tick on 6.12, whose first turn may have begun."""
    ops = ("online:h0:movable",)
    old, new = (case_of(tmp_path, *ops, kernel=kernel) for kernel in ("6.1", "6.12"))
    assert guest.shape_of(old).turns == (*guest.AT_ONCE, 1)
    task, own, first = guest.shape_of(new).turns
    assert task == first > 1
    assert own > task
    assert guest.shape_of(new, 2).turns == (task, own, task * 3 // 4)
    assert guest.shape_of(case_of(tmp_path, *ops, guest=TWO_NODES)).turns == (0, 0, 0)


@pytest.mark.parametrize(
    ("size", "kernel", "chance"),
    [(3_000, "6.12", True), (800, "6.12", False), (3_000, "6.1", False)],
)
def test_when_kswapd_runs_is_chance_where_a_file_does_not_fit(
    tmp_path: Path, size: int, kernel: str, chance: bool
) -> None:
    case = case_of(tmp_path, "online:h0-h7:movable", f"cacheread:/m/f:{size}", kernel=kernel)
    assert guest.presses_by_chance(case) == chance
    assert [way.tick for way in ways(case)] == list(range(guest.TICK_PARTS if chance else 1))
