"""Reading case files: every malformed line is one error with its place and field."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fleet.lab.lines import Case, CaseError, read
from tests.lab.cases import line, pin_line, text


def write(tmp_path: Path, content: str) -> Path:
    """A case file with this content."""
    path = tmp_path / "cases.jsonl"
    path.write_text(content)
    return path


def test_a_case_is_read_with_its_guest_and_operations(tmp_path: Path) -> None:
    (case,) = read(write(tmp_path, "\n" + text(pin_line())))
    assert isinstance(case, Case)
    assert case.where.endswith("cases.jsonl:2")
    assert (case.guest.memory_mib, case.guest.dimm_nodes, case.guest.nodes) == (1024, (0, 0), 1)
    assert [r.operation.name for r in case.records][:3] == ["online", "alloc", "touch"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kernel": None}, "kernel"),
        ({"case": 3}, "case"),
        ({"fate": "fine"}, "fate"),
        ({"fate": "oom-killed"}, "last_op_started"),
        ({"ops": "none"}, "ops"),
        ({"ops": [7]}, r"ops\[0\]"),
        ({"ops": [{"op": 3}]}, r"ops\[0\].op"),
        ({"hot_blocks": 32}, "hot_blocks"),
        ({"guest": []}, "guest"),
        ({"guest": {"mem": "big", "dimms": 1, "dimm_mb": 1, "block_mb": 1, "smp": 1}}, "guest.mem"),
        ({"guest": {"mem": "1G", "dimms": 0}}, "guest.dimms"),
        ({"guest": {"mem": "1G", "dimms": True}}, "guest.dimms"),
        ({"guest": {"dimms": 2}}, "guest.mem"),
        (
            {"guest": {"mem": "1G", "dimms": 2, "dimm_mb": 512, "block_mb": 128, "smp": 1,
                       "numa_dimm_nodes": [0]}},
            "guest.numa_dimm_nodes",
        ),
    ],
)  # fmt: skip
def test_a_malformed_line_is_one_error_with_place_and_field(
    tmp_path: Path, change: dict[str, Any], field: str
) -> None:
    try:
        (item,) = read(write(tmp_path, text(line([]) | change)))
    except CaseError as error:
        item = error
    assert isinstance(item, CaseError)
    assert re.search(rf"cases\.jsonl:1 {field}: ", str(item))
    assert "\n" not in str(item)


@pytest.mark.parametrize("content", ["{", "[1]", '"x"', '{"case": 1'])
def test_a_line_that_is_no_json_object_is_told(tmp_path: Path, content: str) -> None:
    with pytest.raises(CaseError, match=r"cases\.jsonl:2(:\d+)? line: not "):
        list(read(write(tmp_path, text(line([])) + content)))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="file: No such file"):
        list(read(tmp_path / "nowhere.jsonl"))


def test_unknown_and_malformed_operations_are_errors_of_their_line_only(tmp_path: Path) -> None:
    rows = [line([{"op": "frob:a"}]), line([{"op": "alloc:a"}]), line([{"op": "sleep:1"}])]
    first, second, third = read(write(tmp_path, text(*rows)))
    assert str(first).endswith("cases.jsonl:1 ops[0].op: unknown operation 'frob:a'")
    assert "ops[0].op: 'alloc:a': alloc takes 3 arguments" in str(second)
    assert isinstance(third, Case)


def test_the_operation_that_never_returned_is_read(tmp_path: Path) -> None:
    row = pin_line(fate="kernel-panic", last_op_started="pin:a:iou")
    (case,) = read(write(tmp_path, json.dumps(row)))
    assert isinstance(case, Case)
    assert case.unfinished is not None
    assert case.unfinished.text == "pin:a:iou"
