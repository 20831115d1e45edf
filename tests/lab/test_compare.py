"""The comparison rules, one by one."""

from typing import Any

import pytest

from fleet.lab.compare import Comparison, Mismatch
from tests.lab.cases import DIST

HOT = frozenset(range(32, 40))


def fields(
    recorded: dict[str, Any], seen: dict[str, Any], name: str = "dist", *, placement: bool = False,
    random: bool = False, rules: Comparison | None = None,
) -> list[str]:  # fmt: skip
    """Fields that differ."""
    rules = rules or Comparison(placement, random, HOT)
    return [m.field for m in rules.operation(name, ("a",), recorded, seen)]


def sim_dist(**changes: Any) -> dict[str, Any]:
    """A simulated look that agrees with ``DIST``."""
    by_zone = {"by_zone": {"Movable": 1024, "kernel": 0}}
    return DIST | by_zone | {"by_node_zone": {"0/Movable": 1024}} | changes


@pytest.mark.parametrize(
    ("key", "was", "now"),
    [("errno", "0", "ENOMEM"), ("pin_result", "0", "EFAULT"), ("result", "ok", "EBUSY"),
     ("pin_pages", 1, 2), ("pinned_blocks", [32], [33])],
)  # fmt: skip
def test_names_and_states_must_be_equal(key: str, was: object, now: object) -> None:
    assert fields({key: was}, {key: now}) == [key]
    assert fields({key: was}, {key: was}) == []


@pytest.mark.parametrize("key", ["pages", "absent", "moved_since_last", "thp"])
def test_page_counts_agree_within_64_pages(key: str) -> None:
    for off, differs in ((64, False), (65, True)):
        seen = {"dist": sim_dist(**{key: DIST[key] + off})}  # type: ignore[operator]
        assert (f"dist.{key}" in fields({"dist": DIST}, seen)) is differs


def test_page_counts_of_large_buffers_agree_within_one_percent() -> None:
    recorded = {"dist": DIST | {"pages": 100_000, "moved_since_last": 50_000}}
    for moved, differs in ((51_000, False), (51_001, True)):
        seen = {"dist": sim_dist(pages=100_000, moved_since_last=moved)}
        assert ("dist.moved_since_last" in fields(recorded, seen)) is differs


def test_zones_are_compared_as_movable_or_not() -> None:
    recorded = {"dist": DIST | {"by_zone": {"boot_mixed": 700, "DMA32": 324}}}
    assert fields(recorded, {"dist": sim_dist(by_zone={"Movable": 60, "kernel": 964})}) == []
    assert fields(recorded, {"dist": sim_dist()}) == ["dist.by_zone.Movable"]


def test_page_flags_that_were_not_read_are_not_compared() -> None:
    assert fields({"dist": DIST | {"lru": 0}}, {"dist": sim_dist(thp=1024)}) == []


def test_the_marked_block_is_compared_whatever_its_number() -> None:
    rules = Comparison(False, False, HOT)
    mark = {"dist": DIST, "marked_block": 32}
    assert fields(mark, {"dist": sim_dist(), "marked_block": 35}, "mark", rules=rules) == []
    seen = {"dist": sim_dist(in_marked_block=900)}
    assert fields({"dist": DIST}, seen, rules=rules) == ["dist.in_marked_block"]
    seen = {"dist": sim_dist(in_marked_block=1024)}
    assert fields({"dist": DIST}, seen, rules=rules) == []


@pytest.mark.parametrize(
    ("counter", "was", "now", "differs"),
    [
        ("pgmigrate_success", 30, 90, False),
        ("pgmigrate_success", 0, 65, True),
        ("nr_foll_pin_acquired", 16382, 16384, False),
        ("nr_foll_pin_released", 8192, 0, True),
        ("thp_migration_success", 16, 17, False),
        ("thp_migration_success", 1, 0, False),
        ("thp_migration_success", 16, 18, True),
        ("thp_migration_split", 56, 1, True),
        ("pgmigrate_fail", 5, 500_000, False),
    ],
)
def test_counters(counter: str, was: int, now: int, differs: bool) -> None:
    found = fields({"vmstat": {counter: was}}, {"vmstat": {counter: now}})
    assert found == ([f"vmstat.{counter}"] if differs else [])


def test_failed_thp_are_a_rate_while_the_offline_loops() -> None:
    recorded = {"vmstat": {"thp_migration_fail": 1328}, "result": "EINTR_after_bound"}
    seen = {"vmstat": {"thp_migration_fail": 9}, "result": "EINTR_after_bound"}
    assert fields(recorded, seen, "offline") == []
    finished = {"vmstat": {"thp_migration_fail": 8}, "result": "ok"}
    assert fields(finished, seen | {"result": "ok"}, "offline") == []
    assert fields(finished, {"vmstat": {}, "result": "ok"}, "offline") == [
        "vmstat.thp_migration_fail"
    ]


def test_a_collapse_in_the_recorded_run_widens_its_migration_counters() -> None:
    recorded = {"vmstat": {"pgmigrate_success": 31280, "thp_collapse_alloc": 1}}
    assert fields(recorded, {"vmstat": {"pgmigrate_success": 30700}}) == []
    del recorded["vmstat"]["thp_collapse_alloc"]
    assert fields(recorded, {"vmstat": {"pgmigrate_success": 30700}}) == [
        "vmstat.pgmigrate_success"
    ]


def test_a_thp_of_the_guest_itself_widens_the_pages_moved_by_one_huge_page() -> None:
    recorded = {"vmstat": {"pgmigrate_success": 8738, "thp_migration_success": 1}}
    assert fields(recorded, {"vmstat": {"pgmigrate_success": 8208}}) == []
    assert fields(recorded, {"vmstat": {"pgmigrate_success": 8138}}) == ["vmstat.pgmigrate_success"]
    recorded["vmstat"]["thp_migration_success"] = 3
    assert fields(recorded, {"vmstat": {"pgmigrate_success": 8208}}) == [
        "vmstat.thp_migration_success"
    ]


def test_counters_of_a_large_buffer_agree_within_one_percent_of_it() -> None:
    rules = Comparison(False, False, HOT)
    look = {"dist": DIST | {"pages": 66_048}}
    fields(look, {"dist": sim_dist(pages=66_048)}, rules=rules)
    counter = "pgmigrate_success"
    for now, found in ((4560, []), (4561, [f"vmstat.{counter}"])):
        seen = {"vmstat": {counter: now}}
        assert fields({"vmstat": {counter: 3900}}, seen, rules=rules) == found


def test_block_states_rounds_and_blocks() -> None:
    states = {"hot_blocks": {"32": "offline"}}
    assert fields(states, {"hot_blocks": {"32": "Movable"}}) == ["hot_blocks"]
    rounds = {"rounds": [{"pin_result": "0", "moved": 8192}, {"pin_result": "0", "moved": 0}]}
    other = {"rounds": [{"pin_result": "0", "moved": 0}, {"pin_result": "0", "moved": 0}]}
    assert fields(rounds, other, "repin") == ["rounds[0].moved"]
    blocks = {"blocks": [{"block": 32, "result": "ok"}, {"block": 33, "result": "ok"}]}
    assert fields(blocks, {"blocks": blocks["blocks"][:1]}, "offlineall") == ["blocks count"]
    bad = {"blocks": [{"block": 32, "result": "ok"}, {"block": 33, "result": "EBUSY"}]}
    assert fields(blocks, bad, "offlineall") == ["blocks[1].result"]


RUNS: dict[str, Any] = {
    "dist": DIST | {"by_node_zone": {"0/Movable": 1024}}, "nblocks": 1, "pageblocks": 3,
    "va_runs": 100, "phys_runs": 10, "block_seq": [[32, 900], [33, 63], [34, 124]],
}  # fmt: skip


def sim_runs(**changes: Any) -> dict[str, Any]:
    """A simulated ``runs`` that agrees with ``RUNS``."""
    return RUNS | {"dist": sim_dist()} | changes


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"va_runs": 115}, []),
        ({"va_runs": 116}, ["va_runs"]),
        ({"phys_runs": 12}, ["phys_runs"]),
        ({"pageblocks": 4}, []),
        ({"pageblocks": 5}, ["pageblocks"]),
        ({"block_seq": [[32, 900], [34, 124]]}, []),
        ({"block_seq": [[34, 124], [32, 900]]}, ["order of first use"]),
        ({"dist": sim_dist(by_block={"32": 921, "33": 103})}, [
            "dist.by_block.32", "dist.by_block.33", "hot blocks touched"]),
        ({"dist": sim_dist(by_node_zone={"1/Movable": 1024})}, [
            "dist.by_node_zone.0/Movable", "dist.by_node_zone.1/Movable"]),
    ],
)  # fmt: skip
def test_placement_of_a_deterministic_history(changes: dict[str, Any], found: list[str]) -> None:
    assert fields(RUNS, sim_runs(**changes), "runs", placement=True) == found


def test_random_histories_have_wider_tolerances() -> None:
    seen = sim_runs(va_runs=130, dist=sim_dist(by_block={"32": 500, "33": 524}), block_seq=[])
    assert fields(RUNS, seen, "runs", placement=True, random=True) == []
    assert fields(RUNS, sim_runs(va_runs=131), "runs", placement=True, random=True) == ["va_runs"]


def test_runs_in_boot_memory_are_not_compared() -> None:
    boot = RUNS | {"dist": RUNS["dist"] | {"by_block": {"0": 500, "32": 524}}}
    seen = sim_runs(va_runs=3, dist=sim_dist(by_block={"0": 500, "32": 524}))
    assert fields(boot, seen, "runs", placement=True) == []


def test_overlap_agrees_within_ten_percent_of_the_buffer() -> None:
    recorded = {"overlap_pages": 8192, "c_pages": 24576}
    assert fields(recorded, {"overlap_pages": 5735}, "overlap") == []
    assert fields(recorded, {"overlap_pages": 5734}, "overlap") == ["overlap_pages"]


def test_what_a_history_drew_agrees_within_one_percent() -> None:
    recorded = {"steps": 364_234, "present_pages": 216_266, "freed_pages": 192_000}
    assert fields(recorded, recorded | {"steps": 360_592}, "steady") == []
    assert fields(recorded, recorded | {"steps": 360_591}, "steady") == ["steps"]
    assert fields({"turned_pages": 512}, {"turned_pages": 577}, "churn") == ["turned_pages"]


def test_shared_pageblocks_agree_within_15_percent_of_those_touched() -> None:
    recorded = {"pageblocks_a_only": 14, "pageblocks_b_only": 16, "pageblocks_both": 35}
    assert fields(recorded, recorded | {"pageblocks_both": 44}, "share") == []
    assert fields(recorded, recorded | {"pageblocks_both": 45}, "share") == ["pageblocks_both"]


def test_a_mismatch_holds_both_values() -> None:
    rules = Comparison(False, False, HOT)
    assert rules.operation("offline", (), {"result": "ok"}, {"result": "EBUSY"}) == [
        Mismatch("result", "ok", "EBUSY")
    ]
