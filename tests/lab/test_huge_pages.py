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


@pytest.fixture
def seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a script on a host of 8 GiB; returns what each labelled step saw, by arm."""

    def run(steps: list[Any], arms: list[str], **host: Any) -> dict[str, dict[str, Any]]:
        path = tmp_path / "mine.yaml"
        given = {"memory": "8GiB", "block": "128MiB", "nodes": 2, "cpus": 2, **host}
        script = {"title": "huge pages", "host": given, "arms": arms, "steps": steps}
        path.write_text(json.dumps(script))
        assert main(["lab", str(path), "--format", "json"]) == 0
        out = json.loads(capsys.readouterr().out)
        return {
            arm["arm"]: {s["as"]: s["seen"] for s in arm["steps"] if s.get("as")}
            for arm in out["arms"]
        }

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


def test_a_hinted_buffer_is_whole_huge_pages_too(seen: Any) -> None:
    steps: list[Any] = [
        f"put:{NR}=3",
        {"op": "hint:a:3:hugetlb", "as": "hinted"},
        {"op": "touch:a", "as": "touched"},
        {"op": "hint:b:4:hugetlb", "as": "too many"},
    ]
    (found,) = seen(steps, ["linux-6.1:madvise-hint+unbounded"]).values()
    assert [found[k]["errno"] for k in ("hinted", "touched", "too many")] == ["0", "0", "ENOMEM"]
    assert found["touched"]["faulted_pages"] == 2 << 9


# -- pages of 1 GiB -------------------------------------------------------------------------------

GIGANTIC = "/sys/kernel/mm/hugepages/hugepages-1048576kB"


def test_a_gigabyte_of_the_boot_pool_and_one_of_run_time(seen: Any) -> None:
    steps: list[Any] = [
        {"op": "alloc:two:1500:hugetlb1g", "as": "two"},
        {"op": "alloc:third:1G:hugetlb1g", "as": "early"},
        f"put:{GIGANTIC}/nr_hugepages=3",
        {"op": "alloc:third:1G:hugetlb1g", "as": "third"},
        {"op": "alloc:small:2:hugetlb", "as": "small"},
        {"op": "touch:two", "as": "touched"},
    ]
    (found,) = seen(steps, ["linux-6.1"], hugepages_1g=2).values()
    assert [found[k]["errno"] for k in ("two", "early", "third", "small")] == [
        "0", "ENOMEM", "0", "ENOMEM",
    ]  # fmt: skip
    assert found["touched"]["faulted_pages"] == 2 << 18


def test_a_block_in_the_middle_of_a_pinned_gigabyte(seen: Any) -> None:
    steps: list[Any] = [
        "alloc:vm:1G:hugetlb1g",
        "touch:vm",
        "pin:vm:vfio:0:1",
        {"op": "offline:of=vm:1", "as": "off"},
    ]
    found = seen(steps, ["linux-5.10", "linux-6.1", "linux-6.12"], hugepages_1g=2)
    results = [found[arm]["off"]["result"] for arm in found]
    assert results == ["EINTR_after_bound", "EBUSY", "EBUSY"]


def test_more_gigabytes_than_the_host_has_room_for(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "mine.yaml"
    given = {"memory": "8GiB", "block": "128MiB", "hugepages_1g": 9}
    path.write_text(json.dumps({"title": "1 GiB", "host": given, "steps": ["sleep:1"]}))
    assert main(["lab", str(path)]) == 2
    assert "hugepages_1g" in capsys.readouterr().err
