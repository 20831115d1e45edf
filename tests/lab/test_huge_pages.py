"""Hugetlb buffers and pool sizes in replayed cases."""

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.cli.app import main
from tests.lab.cases import line, text

NR = "/proc/sys/vm/nr_hugepages"
SYSFS = "/sys/kernel/mm/hugepages/hugepages-2048kB"


def dist(pages: int, *, moved: int = 0, absent: int = 0, block: int = 32) -> dict[str, Any]:
    """What the driver sees of a hugetlb buffer that lies in one hot block."""
    present = pages - absent
    return {
        "pages": pages, "absent": absent, "moved_since_last": moved, "thp": 0, "hugetlb": present,
        "lru": 0, "by_zone": {"Movable": present} if present else {},
        "by_block": {str(block): present} if present else {},
    }  # fmt: skip


@pytest.fixture
def differences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Replay one line; returns (text of the operation, field) of what differs."""

    def run(ops: list[dict[str, Any]], **changes: Any) -> list[tuple[str, str]]:
        path = tmp_path / "cases.jsonl"
        path.write_text(text(line(ops, **changes)))
        main(["validate", str(path), "--format", "json"])
        out = json.loads(capsys.readouterr().out)
        assert out["errors"] == []
        return [(d["text"], d["field"]) for d in out["disagreements"]]

    return run


def test_pool_sizes_are_read_back(differences: Any) -> None:
    ops: list[dict[str, Any]] = [
        {"op": "online:h0-h1:movable"},
        {"op": f"put:{NR}=10", "vmstat": {"htlb_buddy_alloc_success": 10}},
        {"op": f"cat:{NR}", "value": "10"},
        {"op": "alloc:a:12:hugetlb"},
        {"op": f"cat:{SYSFS}/resv_hugepages", "value": "6"},
        {"op": "touch:a:8"},
        {"op": f"cat:{SYSFS}/resv_hugepages", "value": "2"},
        {"op": f"cat:{SYSFS}/free_hugepages", "value": "6"},
        {"op": f"put:{NR}=3"},
        {"op": f"cat:{NR}", "value": "3"},
        {"op": f"cat:{SYSFS}/nr_hugepages", "value": "6"},
        {"op": f"cat:{SYSFS}/surplus_hugepages", "value": "3"},
        {"op": "free:a"},
        {"op": f"cat:{SYSFS}/nr_hugepages", "value": "3"},
        {"op": "alloc:b:8:hugetlb", "errno": "ENOMEM"},
    ]
    assert differences(ops) == []
    ops[2]["value"] = "11"
    ops[-1]["errno"] = "0"
    assert differences(ops) == [(f"cat:{NR}", "value"), ("alloc:b:8:hugetlb", "errno")]


def test_reserved_and_unused_pages_refuse_the_offline(differences: Any) -> None:
    ops = [
        {"op": "online:h0-h1:movable"},
        {"op": f"put:{NR}=10", "vmstat": {"htlb_buddy_alloc_success": 10}},
        {"op": "alloc:a:12:hugetlb"},
        {"op": "offline:h0:6", "block": 32, "result": "EBUSY"},
        {"op": f"cat:{NR}", "value": "6"},
    ]
    assert differences(ops) == []


@pytest.mark.parametrize(("kernel", "result"), [("5.10", "0"), ("6.1", "EFAULT")])
def test_a_pin_of_untouched_memory_with_a_pool_in_movable(
    differences: Any, kernel: str, result: str
) -> None:
    absent = 0 if result == "0" else 2048
    pinned = {} if absent else {"nr_foll_pin_acquired": 2048}
    ops = [
        {"op": "online:h0-h1:movable"},
        {"op": f"put:{NR}=4", "vmstat": {"htlb_buddy_alloc_success": 4}},
        {"op": "alloc:a:8:hugetlb"},
        {
            "op": "pin:a:iou", "errno": result, "pin_result": result, "pin_pages": 2048,
            "before": dist(2048, absent=2048), "after": dist(2048, absent=absent),
            "vmstat": pinned,
        },
    ]  # fmt: skip
    assert differences(ops, kernel=kernel) == []


def test_a_loop_of_huge_pages_ends_after_as_many_calls_as_recorded(differences: Any) -> None:
    """Each call moves both pages once, so the counter tells the calls."""
    ops: list[dict[str, Any]] = [
        {"op": "online:h0-h1:movable"},
        {"op": f"put:{NR}=6", "vmstat": {"htlb_buddy_alloc_success": 6}},
        {"op": "alloc:a:4:hugetlb"},
        {"op": "touch:a"},
        {"op": "mark:a", "dist": dist(1024), "marked_block": 32},
        {
            "op": "offline:was=a:6", "block": 32, "result": "EINTR_after_bound",
            "migrate_pages_calls": 1001, "vmstat": {"pgmigrate_success": 1001 * 1024},
        },
        {"op": "dist:a", "dist": dist(1024, moved=1024)},
        {"op": f"cat:{NR}", "value": "6"},
    ]  # fmt: skip
    assert differences(ops) == []
    ops[5] |= {"migrate_pages_calls": 1100}
    assert ("offline:was=a:6", "vmstat.pgmigrate_success") in differences(ops)
