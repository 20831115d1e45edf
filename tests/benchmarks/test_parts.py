"""Demands, aged hosts, figures, the results file, process trees, the SimPy host."""

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.aged import aged_host
from benchmarks.demands import VmChurn, random_pages
from benchmarks.driver import Driver, command, commands, new_host, one_zone, vm_commands
from benchmarks.idle import idle_fleet
from benchmarks.process_tree import measure
from benchmarks.section import Section, Table, update
from benchmarks.timing import Side, Spread, exponent, in_turns, number
from engine.enums import AreaKind, Op
from fleet.plan.build import build_plan


def test_churn_keeps_the_host_nearly_full_and_repeats_by_key() -> None:
    churn, again = (VmChurn(1000, (10, 20, 40), 7) for _ in range(2))
    assert churn.fill() == again.fill()
    for _ in range(30):
        demands = churn.turn(3)
        assert demands == again.turn(3)
        assert sum(d.starts for d in demands) == 3
        assert 900 < churn.used_pages <= 1000
    assert demands != VmChurn(1000, (10, 20, 40), 8).turn(3)


def test_random_pages_are_distinct_pages_of_running_vms_in_two_orders() -> None:
    running = {0: 50, 3: 200, 4: 70}
    freed, touched = random_pages(running, 100, 1)
    assert len({tuple(p) for p in freed.tolist()}) == 100
    assert all(0 <= page < running[slot] for slot, page in freed.tolist())
    assert sorted(freed.tolist()) == sorted(touched.tolist())
    assert freed.tolist() != touched.tolist()
    assert set(freed[:, 0].tolist()) == {0, 3, 4}
    with pytest.raises(ValueError, match="too few"):
        random_pages({0: 10}, 20, 1)


def test_an_aged_host_is_split_and_has_room() -> None:
    pages = 1 << 16
    driver = aged_host(one_zone(pages), 90, 1)
    held = driver.host.fragments()
    assert held["split"] > 80
    assert held["runs"] > 20 * held["split"]
    assert 0.5 * pages < driver.free_pages() < 0.62 * pages


def test_a_driver_refuses_commands_that_fail() -> None:
    driver = Driver(new_host(one_zone(1 << 15)))
    with pytest.raises(RuntimeError, match="errno"):
        driver.run(commands([command(Op.EXIT, 3)]))


def test_turns_alternate_after_a_warm_up() -> None:
    seen: list[tuple[str, int]] = []

    def side(name: str, ns: int) -> Side:
        def work(turn: int) -> int:
            seen.append((name, turn))
            return ns * (turn + 2)

        return work

    taken = in_turns([side("a", 1), side("b", 10)], 2)
    assert taken.tolist() == [[2, 20], [3, 30]]
    assert seen == [("a", -1), ("b", -1), ("a", 0), ("b", 0), ("a", 1), ("b", 1)]


def test_figures() -> None:
    assert str(Spread.of([3.0, 1.0, 2.0])) == "2.00 (1.00 to 3.00)"
    assert [number(x) for x in (0, 0.01234, 1.5, 99.96, 12345.6)] == [
        "0", "0.0123", "1.50", "100.0", "12,346",
    ]  # fmt: skip
    assert exponent([100, 400, 1600], [3, 3 * 4**1.5, 3 * 16**1.5]) == pytest.approx(1.5)
    with pytest.raises(ValueError, match="two sizes"):
        exponent([1, 1], [1, 2])


def test_results_keep_the_sections_that_were_not_measured(tmp_path: Path) -> None:
    file = tmp_path / "benchmarks.md"
    update(file, [Section("A", ["old"]), Section("B", ["kept", Table(("x", "n"), [("y", "1")])])])
    before = file.read_text()
    update(file, [Section("A", ["new"]), Section("C", ["added"])])
    text = file.read_text()
    assert text.startswith("# Benchmarks")
    assert "old" not in text
    assert text.index("## A\n\nnew\n\n## B\n\nkept") < text.index("## C\n\nadded")
    update(file, [Section("A", ["old"])])
    assert file.read_text() == before.rstrip("\n") + "\n\n## C\n\nadded\n"


def test_a_tree_counts_children_and_what_they_left_behind(tmp_path: Path) -> None:
    burn = "import time, sys; x = bytearray(80 << 20); t = time.process_time\nwhile t() < {}: pass"
    child = f"import subprocess, sys; {burn.format(0.8)}"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); print(7)"
    usage = measure([sys.executable, "-c", parent], tmp_path)
    assert usage.exit_code == 0
    assert usage.output == "7\n"
    assert usage.peak_bytes > 80 << 20
    assert 0.3 < usage.cpu_s <= usage.wall_s * 2
    assert measure([sys.executable, "-c", "raise SystemExit(3)"], tmp_path).exit_code == 3


def test_the_simpy_host_takes_and_frees_what_the_engine_does() -> None:
    pytest.importorskip("simpy")
    from benchmarks.simpy_host import SimpyHost

    pages = 1 << 15
    churn, simpy_host = VmChurn(pages * 9 // 10, (256, 512, 1024), 3), SimpyHost(pages, 1 << 10)
    driver = Driver(new_host(one_zone(pages)))
    for turn in range(3):
        demands = churn.turn(5) if turn else churn.fill()
        simpy_host.run(demands)
        driver.run(vm_commands(demands, AreaKind.ANON))
        assert len(simpy_host.free) == driver.free_pages() == pages - churn.used_pages
        assert sum(block.used for block in simpy_host.blocks) == churn.used_pages
    owners = {page.owner for page in simpy_host.free}
    assert owners == {-1}
    assert len({page.pfn for page in simpy_host.free}) == len(simpy_host.free)


def test_numbers_of_a_vm_are_its_slots() -> None:
    churn = VmChurn(100, (10,), 1)
    churn.fill()
    assert sorted(churn.running) == list(range(10))
    (ended, started) = churn.turn(1)
    assert not ended.starts
    assert started.slot == ended.slot
    assert np.unique(list(churn.running)).size == 10


def test_an_idle_fleet_is_full_and_has_no_demands() -> None:
    plan = build_plan(idle_fleet(hosts=16, hours=240))
    assert int(plan.workloads.pages.sum()) * 10 > 6 * int(plan.hosts.memory_pages.sum())
    assert not plan.workloads.arrival_ns.any()
    assert (plan.workloads.lifetime_ns > plan.horizon_ns).all()
    assert not len(plan.requests)
