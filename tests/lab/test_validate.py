"""``fleet validate`` on small lines: agreement, disagreement, errors, exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.cli.app import main
from tests.lab.cases import DIST, line, pin_line, text

KINDS = "4k, thp, hugetlb, hugetlb1g, memfd, shmanon, file=PATH"
"""Kinds of buffers, as the refusal names them."""


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Write rows and run the command; returns (code, output, stderr)."""

    def call(rows: list[dict[str, Any]] | str, *options: str) -> tuple[int, Any, str]:
        path = tmp_path / "cases.jsonl"
        path.write_text(rows if isinstance(rows, str) else text(*rows))
        code = main(["validate", str(path), "--format", "json", *options])
        out, err = capsys.readouterr()
        err = "".join(s for s in err.splitlines(True) if not s.startswith("compiling the engine"))
        return code, json.loads(out) if out else None, err

    return call


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_a_case_that_agrees(run: Any, engine: str) -> None:
    code, out, err = run([pin_line()], "--engine", engine)
    assert (code, out["disagreements"], out["errors"], err) == (0, [], [], "")
    assert out["agreement"]["overall"] == 1.0
    assert out["agreement"]["classes"] == {"touched": 1.0}
    assert out["agreement"]["kernels"] == {"6.1": {"touched": 1.0}}


def test_the_wrong_profile_disagrees(run: Any) -> None:
    code, out, err = run([pin_line()], "--profile", "linux-5.10")
    assert code == 1
    assert err.endswith("disagreements are not in the list of docs/fidelity.md\n")
    assert out["agreement"]["overall"] == 0.0
    found = {(d["text"], d["field"]): (d["recorded"], d["simulated"]) for d in out["disagreements"]}
    assert found["pin:a:iou", "after.by_zone.Movable"] == (0, 1024)
    assert found["offline:was=a:6", "result"] == ("ok", "EINTR_after_bound")


def test_names_are_not_read(run: Any) -> None:
    _, plain, _ = run([pin_line()], "--profile", "linux-5.10")
    renamed = pin_line(case="08-noroom", title="no room at all")
    _, other, _ = run([renamed], "--profile", "linux-5.10")
    for out in (plain, other):
        for d in out["disagreements"]:
            del d["case"]
    assert plain == other


def test_lines_that_cannot_be_replayed_are_listed(run: Any) -> None:
    rows = [
        pin_line(),
        line([{"op": "frob:a"}]),
        line([{"op": "child_kill"}]),
        line([{"op": "alloc:a:2:swap"}]),
        pin_line(kernel="6.18"),
    ]
    code, out, err = run(rows)
    assert code == 1
    assert err == "4 lines could not be replayed\n"
    assert out["agreement"]["overall"] == 1.0
    assert [(e["where"][-1], e["field"], e["reason"]) for e in out["errors"]] == [
        ("2", "ops[0].op", "unknown operation 'frob:a'"),
        ("3", "ops[0]", "there is no child to kill"),
        (
            "4", "ops[0].op",
            f"'alloc:a:2:swap': 'swap' is not one of {KINDS}",
        ),
        ("5", "kernel", "no profile for kernel '6.18' yet"),
    ]  # fmt: skip
    assert run(rows, "--kernel", "6.18")[1]["cases"]["replayed"] == 0
    assert run(rows, "--case", "nothing-*")[0] == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{\n", "cases.jsonl:1:2 line: not JSON: "),
        (
            text(line([])).replace('"fate"', '"fate": "stuck", "fate"'),
            "cases.jsonl:1 fate: given twice",
        ),
        (
            text(line([{"op": "offline:h0:1", "vmstat": {"a": 1}}])).replace(
                '{"a"', '{"a": 2, "a"'
            ),
            "cases.jsonl:1 ops[0].vmstat.a: given twice",
        ),
        (text(line([], kernel=5)), "cases.jsonl:1 kernel: expected str, got 5"),
        (text(line([]), line([], fate="gone")), "cases.jsonl:2 fate: 'gone' is not one of "),
    ],
)
def test_malformed_input_is_one_line_and_exit_code_2(run: Any, content: str, message: str) -> None:
    code, out, err = run(content)
    assert (code, out) == (2, None)
    assert message in err
    assert err.count("\n") == 1


def test_an_unknown_profile_is_bad_input(run: Any) -> None:
    code, _, err = run([pin_line()], "--profile", "linux-2.4")
    assert code == 2
    assert err.startswith("--profile: unknown profile 'linux-2.4'")


def test_a_class_below_the_required_share_fails(run: Any) -> None:
    wrong = pin_line()
    wrong["ops"][5] |= {"result": "EBUSY", "block_zone": "Movable"}
    new = "1 disagreements are not in the list of docs/fidelity.md\n"
    assert run([pin_line(), wrong], "--require", "50")[2] == new
    code, out, err = run([pin_line(), wrong], "--require", "51")
    assert (code, err) == (1, "below 51 %: touched\n" + new)
    (found,) = out["disagreements"]
    assert (found["operation"], found["field"]) == (5, "result")


def test_the_null_model_is_wrong_where_something_fails(run: Any) -> None:
    looped = pin_line()
    looped["ops"][5]["result"] = "EINTR_after_bound"
    refused = line([{"op": "online:h0:kernel"}, {"op": "offline:h0:1", "result": "EBUSY"}])
    placed = line([{"op": "online:h0:movable"}, {"op": "alloc:a:4:4k"}, {"op": "sleep:1"}])
    _, out, _ = run([pin_line(), looped, refused, placed])
    assert out["null_model"] == {"touched": 0.5, "kernel-zone": 0.0, "other": None}


def stray(result: str, **changes: Any) -> dict[str, Any]:
    """An empty block of a kernel zone, refused or not, as stray kernel pages will have it."""
    offline = {"op": "offline:h1:1", "block": 33, "result": result}
    return line([{"op": "online:h0-h1:kernel"}, offline], **changes)


def test_recorded_repeats_that_differ_by_stray_pages_are_all_right(run: Any) -> None:
    rows = [stray("ok"), stray("EBUSY", case="elsewhere", run=2), stray("EBUSY", kernel="5.10")]
    code, out, err = run(rows)
    assert (code, out["disagreements"], err) == (0, [], "")
    assert out["agreement"]["overall"] == 1.0
    assert [row["offlines"] for row in out["stray_pages"]] == 3 * [
        [{"operation": 1, "text": "offline:h1:1", "recorded": ["EBUSY", "ok"]}]
    ]


def test_what_follows_from_a_stray_page_is_excused_and_nothing_else(run: Any) -> None:
    states = {str(b): "Normal" if b in (32, 33) else "offline" for b in range(32, 40)}
    follows, other = stray("EBUSY"), stray("EBUSY")
    follows["ops"].append({"op": "blockstates", "errno": "0", "hot_blocks": states, "vmstat": {}})
    wrong = states | {"34": "Movable"}
    other["ops"].append({"op": "blockstates", "errno": "0", "hot_blocks": wrong, "vmstat": {}})
    repeat = stray("ok")
    repeat["ops"].append(
        {"op": "blockstates", "errno": "0", "hot_blocks": states | {"33": "offline"}, "vmstat": {}}
    )
    out = run([follows, other, repeat])[1]
    assert [(d["where"][-1], d["field"]) for d in out["disagreements"]] == [("2", "hot_blocks")]


@pytest.mark.parametrize("other", ["guest", "operations", "zone"])
def test_only_the_same_operations_and_guest_are_repeats(run: Any, other: str) -> None:
    refused = stray("EBUSY")
    if other == "guest":
        refused["guest"]["smp"] = 2
    elif other == "operations":
        refused["ops"].append({"op": "sleep:1", "errno": "0", "vmstat": {}})
    else:
        refused["ops"][1]["block_zone"] = "Movable"
    _, out, _ = run([stray("ok"), refused])
    assert out["stray_pages"] == []
    assert out["agreement"]["overall"] == 0.5


def test_repeats_that_differ_in_something_else_are_not_excused(run: Any) -> None:
    looped = pin_line()
    looped["ops"][5]["result"] = "EINTR_after_bound"
    _, out, _ = run([pin_line(), looped])
    assert out["stray_pages"] == []
    assert out["agreement"]["overall"] == 0.5


@pytest.mark.slow
def test_several_processes_find_the_same(run: Any) -> None:
    rows = [pin_line(case=f"c{i}") for i in range(15)] + [line([{"op": "frob:a"}]), stray("EBUSY")]
    one, two = run(rows, "--jobs", "1"), run(rows, "--jobs", "2")
    assert one == two
    assert (one[1]["cases"]["replayed"], len(one[1]["errors"])) == (16, 1)


def test_a_pin_without_room_kills_the_driver_and_ends_the_case(run: Any) -> None:
    hog = {"op": "hogfree:hog:48", "hog_pages": 169_227}
    rest = [{"op": "online:h0-h1:movable"}, {"op": "alloc:a:64:4k"}, {"op": "touch:a"}]
    died = line([hog, *rest], fate="oom-killed", last_op_started="pin:a:iou", oom_killed=["pinlab"])
    code, out, _ = run([died])
    assert (code, out["disagreements"]) == (0, [])
    survived = line([hog, *rest, {"op": "pin:a:iou", "pin_result": "0", "before": DIST,
                                  "after": DIST}])  # fmt: skip
    (found,) = run([survived])[1]["disagreements"]
    assert (found["field"], found["recorded"], found["simulated"]) == (
        "fate", "finished", "oom-killed",
    )  # fmt: skip


def test_an_immune_driver_panics_the_host(run: Any) -> None:
    ops = ["oomadj:-1000", "hogfree:hog:48", "online:h0-h1:movable", "alloc:a:64:4k", "touch:a"]
    rows = [
        line([{"op": o} for o in ops], fate="kernel-panic", last_op_started="pin:a:iou"),
    ]
    assert run(rows)[1]["disagreements"] == []


def test_a_guest_nobody_measured_is_told(run: Any) -> None:
    row = line([{"op": "sleep:1"}])
    row["guest"]["mem"] = "2G"
    (error,) = run([row])[1]["errors"]
    assert error["reason"] == "only 1 GiB of boot memory in 128 MiB blocks is known"


def test_the_table_shows_every_disagreement(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(text(pin_line(), line([{"op": "child_kill"}])))
    assert main(["validate", str(path), "--profile", "linux-5.10"]) == 1
    out = capsys.readouterr().out
    assert "touched           0/1 0%            1/1 100%" in out  # the null model beside it
    assert "ops[5] offline:was=a:6: result: recorded ok, simulated EINTR_after_bound" in out
    assert "cases.jsonl:2 ops[0]: there is no child to kill" in out
