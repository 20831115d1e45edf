"""Classes follow from operations and guest, never from names."""

from pathlib import Path

import pytest

from fleet.lab.classes import class_of, is_random, scattered
from fleet.lab.lines import Case, read
from tests.lab.cases import line, text

TWO_NODES = {
    "mem": "1G", "dimms": 2, "dimm_mb": 512, "block_mb": 128, "smp": 2, "numa_dimm_nodes": [0, 1]
}  # fmt: skip

CLASSES = [
    ("touched", ["online:h0:movable", "alloc:a:1:4k", "touch:a", "pin:a:iou", "offline:h0:1"]),
    ("untouched", ["online:h0:movable", "alloc:a:1:4k", "pin:a:vmsplice", "offline:h0:1"]),
    ("nopin", ["online:h0:movable", "offline:h0:1"]),
    ("vmsplice", ["alloc:a:1:4k", "touch:a", "pin:a:vmsplice", "offline:h0:1"]),
    ("release", ["alloc:a:1:4k", "touch:a", "pin:a:iou:0:1p", "unpin_after:a:2", "offline:h0:1"]),
    ("release", ["alloc:a:1:4k", "touch:a", "pin:a:vmsplice:0:1p", "offline:h0:1"]),
    ("k-of-8", ["alloc:a:1:4k", "touch:a", "pinblocks:a:1:iou", "offlineall:3"]),
    ("kernel-zone", ["online:h0-h1:kernel", "kmem:64", "offline:h0:1"]),
    ("kernel-zone-full", ["online:h0-h3:kernel", "alloc:a:440:4k", "touch:a", "offline:h1:20"]),
    ("noroom", ["hogfree:hog:48", "online:h0:movable", "hogmov:a:14", "offline:h0:1"]),
    ("repin", ["alloc:a:1:4k", "touch:a", "repin:a:iou:6"]),
    ("normal-leave", ["hogfree:hog:48", "alloc:a:1:4k", "touch:a", "pin:a:iou"]),
    ("normal-leave", ["zones", "alloc:a:1:4k", "touch:a", "pin:a:iou"]),
    ("fragmented", ["hogfree:hog:48", "punch:hog:4", "alloc:a:1:thp", "touch:a", "pin:a:iou"]),
    ("vfio", ["vfio_init:x", "alloc:a:1:4k", "touch:a", "pin:a:vfio", "offline:h0:1"]),
    ("hugetlb", ["alloc:a:1:hugetlb", "touch:a", "pin:a:iou"]),
    ("hugetlb", ["online:h0:movable", "put:/proc/sys/vm/nr_hugepages=4", "offline:h0:1"]),
    ("fork", ["alloc:a:1:4k", "touch:a", "pin:a:iou", "fork_hold"]),
    ("fresh", ["online:h0:movable", "alloc:a:1:4k", "touch:a", "runs:a"]),
    ("lifo", ["alloc:a:1:4k", "touch:a", "release:a", "alloc:c:1:4k", "touch:c", "runs:c"]),
    ("lifo", ["alloc:a:1:4k", "freepat:a:every:2:4k", "overlap:a:a", "runs:a"]),
    ("freed-pattern", ["hogmov:h:102:4k", "freepat:h:every:2:2", "runs:h"]),
    ("replacement", ["hogmov:h:102:4k", "churn:h:1:4k:10", "freepat:h:rand:2:10:4k", "runs:h"]),
    ("interleaved", ["alloc:a:1:4k", "alloc:b:1:4k", "alt:a:b:64k:1", "runs:a"]),
    ("interleaved", ["alloc:a:1:4k", "alloc:b:1:4k", "par:a:b", "runs:a"]),
    ("churn", ["hogmov:h:102:4k", "churn:h:1:4k:10", "runs:h"]),
    ("steady", ["hogmov:h:102:4k", "steady:h:1:mix:75:75:92", "runs:h"]),
    ("cache", ["cacheread:/m/f:64", "alloc:a:1:4k", "touch:a", "runs:a"]),
    ("two-node", ["cpu:1", "alloc:a:1:4k", "touch:a", "offline:of=a:1"]),
    ("other", ["sleep:1"]),
]


def case_of(tmp_path: Path, ops: list[str], **changes: object) -> Case:
    """A case made of operation texts."""
    path = tmp_path / "case.jsonl"
    path.write_text(text(line([{"op": op} for op in ops], **changes)))
    (case,) = read(path)
    assert isinstance(case, Case)
    return case


@pytest.mark.parametrize(("name", "ops"), CLASSES)
def test_class_follows_from_operations(tmp_path: Path, name: str, ops: list[str]) -> None:
    assert class_of(case_of(tmp_path, ops)) == name


def test_a_guest_with_two_nodes_is_its_own_class(tmp_path: Path) -> None:
    ops = ["online:h0:movable", "alloc:a:1:4k", "touch:a", "pin:a:iou", "offline:h0:1"]
    assert class_of(case_of(tmp_path, ops, guest=TWO_NODES)) == "two-node"


def test_names_change_nothing(tmp_path: Path) -> None:
    ops = ["online:h0:movable", "alloc:a:1:4k", "touch:a", "pin:a:iou", "offline:h0:1"]
    assert class_of(case_of(tmp_path, ops, case="08-noroom", title="vfio")) == "touched"


def test_the_operation_that_never_returned_counts(tmp_path: Path) -> None:
    ops = ["hogfree:hog:48", "alloc:a:1:4k", "touch:a"]
    case = case_of(tmp_path, ops, fate="oom-killed", last_op_started="pin:a:iou")
    assert class_of(case) == "normal-leave"


def test_random_histories_are_known(tmp_path: Path) -> None:
    assert is_random(case_of(tmp_path, ["freepat:a:rand:1:10:4k"]))
    assert not is_random(case_of(tmp_path, ["freepat:a:every:2:4k"]))


def test_buffers_with_a_random_history_are_named(tmp_path: Path) -> None:
    ops = [
        "freepat:a:every:2:4k",
        "churn:b:1:4k:10",
        "steady:c:1:4k:1:75:92",
        "freepat:d:rand:1:9:4k",
    ]
    assert scattered(case_of(tmp_path, ops)) == {"b", "c", "d"}
