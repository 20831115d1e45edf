"""``fleet validate`` on small lines: agreement, disagreement, errors, exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.cli.app import main
from tests.lab.cases import DIST, line, pin_line, text


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
    code, out, _ = run([pin_line()], "--profile", "linux-5.10")
    assert code == 0
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
        line([{"op": "fork_hold"}]),
        line([{"op": "alloc:a:2:swap"}]),
        pin_line(kernel="6.18"),
    ]
    code, out, err = run(rows)
    assert code == 1
    assert err == "4 lines could not be replayed\n"
    assert out["agreement"]["overall"] == 1.0
    assert [(e["where"][-1], e["field"], e["reason"]) for e in out["errors"]] == [
        ("2", "ops[0].op", "unknown operation 'frob:a'"),
        ("3", "ops[0]", "operation 'fork_hold' is not supported yet"),
        ("4", "ops[0]", "buffers of kind 'swap' are not supported yet"),
        ("5", "kernel", "no profile for kernel '6.18' yet"),
    ]
    assert run(rows, "--kernel", "6.18")[1]["cases"]["replayed"] == 0
    assert run(rows, "--case", "nothing-*")[0] == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{\n", "cases.jsonl:1:2 line: not JSON: "),
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
    wrong["ops"][5]["result"] = "EBUSY"
    assert run([pin_line(), wrong], "--require", "50")[0] == 0
    code, out, err = run([pin_line(), wrong], "--require", "51")
    assert (code, err) == (1, "below 51 %: touched\n")
    (found,) = out["disagreements"]
    assert (found["operation"], found["field"]) == (5, "result")


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
    path.write_text(text(pin_line(), line([{"op": "fork_hold"}])))
    assert main(["validate", str(path), "--profile", "linux-5.10"]) == 1
    out = capsys.readouterr().out
    assert "touched         0/1 0%" in out
    assert "ops[5] offline:was=a:6: result: recorded ok, simulated EINTR_after_bound" in out
    assert "cases.jsonl:2 ops[0]: operation 'fork_hold' is not supported yet" in out
