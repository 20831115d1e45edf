"""``fleet lab``: shipped scripts, what they print, and how malformed ones are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.cli.app import main
from fleet.lab.script.guide import NAME, guide_markdown
from fleet.lab.script.load import load_script, shipped
from fleet.lab.script.run import holds

DOCS = Path(__file__).resolve().parents[2] / "docs"
STEPS = ["online:h0:movable", "alloc:vm:4:4k", "touch:vm", {"op": "offline:of=vm:2", "as": "off"}]
HOST = {"memory": "256MiB", "block": "128MiB", "dimms": ["256MiB"]}


@pytest.fixture
def lab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Write a script and run it; returns (code, stdout, stderr)."""

    def call(script: dict[str, Any] | str, *options: str) -> tuple[int, str, str]:
        path = tmp_path / "mine.yaml"
        path.write_text(script if isinstance(script, str) else json.dumps(script))
        code = main(["lab", str(path), *options])
        out, err = capsys.readouterr()
        err = "".join(s for s in err.splitlines(True) if not s.startswith("compiling the engine"))
        return code, out, err

    return call


def script(**changes: Any) -> dict[str, Any]:
    """A small script."""
    return {"title": "a test", "host": HOST, "steps": STEPS} | changes


def test_ten_scripts_tell_the_story() -> None:
    assert len(shipped()) == 10
    assert next(iter(shipped())) == "hang"


@pytest.mark.parametrize("name", shipped())
def test_shipped_scripts_see_what_they_expect(name: str, capsys: Any) -> None:
    loaded = load_script(name)
    assert set(loaded.script.expect) == set(loaded.script.arms), "an arm without expectations"
    assert main(["lab", name, "--format", "json"]) == 0
    out = json.loads(capsys.readouterr().out)
    assert [arm["unmet"] for arm in out["arms"]] == [[] for _ in loaded.script.arms]
    assert bool(out["differ"]) == (len(loaded.script.arms) > 1)


def test_the_guide_is_fresh() -> None:
    fresh = (DOCS / NAME).read_text(encoding="utf-8") == guide_markdown()
    assert fresh, f"docs/{NAME} is stale: run python -m fleet.lab.script.guide docs"


def test_the_reference_sees_the_same(lab: Any) -> None:
    steps = ["online:h0:movable", "alloc:vm:1:4k", "touch:vm", "pin:vm:vfio", "map",
             "offline:h0:0.01", "unpin_after:vm:0.02", "offline:h0:5"]  # fmt: skip
    given = script(steps=steps, arms=["linux-5.10", "linux-6.1"])
    fast = lab(given, "--format", "json")
    assert fast == lab(given, "--format", "json", "--engine", "reference")
    assert fast[0] == 0


def test_steps_say_what_happened(lab: Any) -> None:
    code, out, err = lab(script(arms=["linux-6.1"]))
    assert (code, err) == (0, "")
    assert "touch:vm           ok  4 MiB faulted in; lies: 4 MiB in MOVABLE; 821 us" in out
    assert "offline:of=vm:2    ok  block b2; 4 MiB moved to node0 DMA32; " in out
    assert "before\nnode 0  b0-b3       D▄  D▁  -   -" in out


def test_a_loop_is_drawn_while_it_runs(lab: Any) -> None:
    steps = [*STEPS[:3], "pin:vm:iou", "offline:h0:1"]
    _, out, _ = lab(script(steps=steps, arms=["linux-5.10"]))
    assert "EINTR_after_bound" in out
    assert "M▁#" in out  # pinned and isolated
    assert "M▁*" in out.split("after")[-1]


def test_arms_are_compared_and_differences_marked(lab: Any) -> None:
    steps = [*STEPS[:3], "pin:vm:iou", "offline:h0:1"]
    given = script(steps=steps, arms=["linux-6.1"])
    code, out, _ = lab(given, "--compare", "linux-5.10,linux-6.1,linux-5.10:deny+unbounded")
    assert code == 0
    lines = {line[2:4].strip(): line for line in out.splitlines() if line[2:4].strip().isdigit()}
    assert lines["3"].startswith(" ")
    assert lines["3"].count("=") == 2
    assert lines["4"].startswith("≠")
    assert "EBUSY" in lines["4"]
    found = json.loads(lab(given, "--compare", "linux-5.10,linux-6.1", "--format", "json")[1])
    assert found["differ"] == [4, 5]
    assert [a["steps"][4]["seen"]["result"] for a in found["arms"]] == ["EINTR_after_bound", "ok"]


def test_an_expectation_that_fails_is_exit_code_1(lab: Any) -> None:
    given = script(expect={"kernel+unbounded": {"off": {"result": "EBUSY", "passes": "<= 9"}}})
    code, out, err = lab(given)
    assert code == 1
    assert "off.result: expected 'EBUSY', seen 'ok'" in out
    assert "1 of 2 expectations hold" in out
    assert err.endswith("1 expectation(s) did not come true\n")


@pytest.mark.parametrize(
    ("expected", "value", "answer"),
    [
        (3, 3, True),
        (3, 4, False),
        (0, None, True),
        ("ok", "ok", True),
        (True, 1, False),
        (1, True, False),
        (">= 3", 3, True),
        ("> 3", 3, False),
        ("< 3", 2, True),
        ("<= 3", 4, False),
        (">= x", 4, False),
        ("ok", None, False),
    ],
)
def test_expectations_compare(expected: Any, value: Any, answer: bool) -> None:
    assert holds(expected, value) is answer


STAYS = """\
name: stays
kind: pin
summary: linux-5.13 that leaves what does not move, and moves nothing
extends: linux-5.13
cells: {PIN_MIGRATES: no, FAULT_FLAG_ANON: no}
"""
HASTY = """\
name: hasty
kind: offline
summary: gives up at the first failed pass
cells: {OFFLINE_RULE: bounded-4-13, OFFLINE_MAX_ERRORS: 1, OFFLINE_BOUND_NS: 1s}
"""
PINNED = [*STEPS[:3], "pin:vm:iou", {"op": "offline:h0:1", "as": "off"}]


def test_own_policies_are_compared_with_shipped_ones(lab: Any, tmp_path: Path) -> None:
    for name, text in (("stays", STAYS), ("hasty", HASTY)):
        (tmp_path / f"{name}.yaml").write_text(text)
    files = [f"--policy={tmp_path / name}.yaml" for name in ("stays", "hasty")]
    arms = "linux-5.13+unbounded,stays+unbounded,linux-5.10:stays+hasty,stays-loses-thp+hasty"
    code, out, err = lab(
        script(steps=PINNED), *files, "--compare", arms, "--format", "json",
    )  # fmt: skip
    assert (code, err) == (0, "")
    results = [arm["steps"][-1]["seen"]["result"] for arm in json.loads(out)["arms"]]
    assert results == ["ok", "EINTR_after_bound", "EBUSY", "EBUSY"]


def test_json_says_whose_pages_were_away_while_the_loop_worked(lab: Any) -> None:
    _, out, _ = lab(script(steps=PINNED, arms=["linux-5.10"]), "--format", "json")
    step = json.loads(out)["arms"][0]["steps"][-1]
    (slowed,) = [row for row in step["slowdowns"] if row["buffer"] == "vm"]
    assert slowed["reason"] == "memory_hotplug"
    assert slowed["unmaps"] >= 10 * 1024 * (step["seen"]["passes"] - 1)  # each try, each page
    assert 0.9 * step["attempts"][0]["time_ns"] < slowed["unavailable_ns"] < 10**9 * 1.1


def test_a_script_names_its_policies_from_its_own_folder(lab: Any, tmp_path: Path) -> None:
    (tmp_path / "stays.yaml").write_text(STAYS)
    arm = "stays+unbounded"
    brief = [*PINNED[:-1], {"op": "offline:h0:0.02", "as": "off"}]
    given = script(
        steps=brief, policies=["stays.yaml"], arms=[arm],
        expect={arm: {"off": {"result": "EINTR_after_bound"}}},
    )  # fmt: skip
    assert lab(given)[0] == 0
    assert lab(given, "--engine", "reference")[0] == 0


def test_a_policy_that_is_not_there_or_malformed_is_one_line(lab: Any, tmp_path: Path) -> None:
    file = tmp_path / "stays.yaml"
    file.write_text(STAYS.replace("no, F", "perhaps, F"))
    code, _, err = lab(script(), "--policy", str(file))
    assert code == 2
    assert f"{file}:5:23 cells.PIN_MIGRATES: must be one of no, after-faults, before-faults" in err
    file.write_text(STAYS)
    code, _, err = lab(script(), "--policy", str(file), "--policy", str(file))
    assert code == 2
    assert "policies[1].name: 'stays' is used twice" in err
    code, _, err = lab(script(), "--compare", "stays+unbounded")
    assert code == 2
    assert "unknown pin policy 'stays'" in err
    assert err.count("\n") == 1


def test_values_can_be_laid_over(lab: Any) -> None:
    code, out, _ = lab(script(), "--set", "host.dimms=[1GiB]", "--set", "host.cpus=4")
    assert code == 0
    assert "in blocks of 128 MiB, 1 node, 4 CPUs" in out


HEAD = "title: t\nhost: {memory: 256MiB, block: 128MiB, dimms: [128MiB]}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: [map]\n", ":1:1 title: required field is missing"),
        ("- map\n", ":1:1: a script is a mapping of fields"),
        (HEAD + "steps: [map, frob:a]\n", ":3:14 steps[1]: unknown operation 'frob:a'"),
        (HEAD + "steps:\n- op: touch\n", ":4:3 steps[0]: 'touch': touch takes 1 to 2 arguments"),
        (HEAD + "steps: [map:x]\n", ":3:9 steps[0]: 'map:x': map takes no arguments"),
        (HEAD + "steps: [{op: map, az: x}]\n", ":3:19 steps[0].az: unknown field"),
        (HEAD + "steps: [map]\nstep: 3\n", ":4:1 step: unknown field (did you mean 'steps'?)"),
        (HEAD + "steps: [map]\narms: [kernel]\n", ":4:8 arms[0]: arm 'kernel': want PIN+OFFLINE"),
        (HEAD + "steps: [map]\narms: [linux-2.4:kernel+unbounded]\n", ": unknown profile 'linux"),
        (HEAD + "steps: [map]\nprofile: linux-3\n", ":4:10 profile: unknown profile 'linux-3'"),
        (HEAD + "steps: [touch:a]\n", ":3:9 steps[0]: no buffer 'a' is mapped"),
        (HEAD + "steps: [online:h1:movable]\n", ":3:9 steps[0]: the host has 1 removable blocks"),
        (HEAD + "steps: [offline:h1:1]\n", ":3:9 steps[0]: the host has 1 removable blocks"),
        (HEAD + "steps: [offline:b7:1]\n", ":3:9 steps[0]: the host has 3 blocks"),
        (HEAD + "steps: [map]\nexpect: {x: {}}\n", ":4:10 expect.x: not one of `arms`"),
        (
            HEAD + "steps: [map]\nexpect: {kernel+unbounded: {p: {}}}\n",
            ":4:29 expect.kernel+unbounded.p: no step is called so (end)",
        ),
        (
            HEAD + "steps: [map]\nexpect: {kernel+unbounded: {end: {passes: 3}}}\n",
            ":4:35 expect.kernel+unbounded.end.passes: nothing is called so (fate, oom_kills)",
        ),
        (
            "title: t\nsteps: [map]\nhost: {memory: 64MiB}\n",
            ":3:16 host.memory: needs two memory blocks of 128 MiB on each node",
        ),
        (
            "title: t\nsteps: [map]\nhost: {dimms: [1MiB]}\n",
            ":3:15 host.dimms: DIMM 0: not whole blocks of 128 MiB",
        ),
        (
            "title: t\nsteps: [map]\nhost: {dimms: [1GiB], dimm_nodes: [1]}\n",
            ":3:36 host.dimm_nodes[0]: the host has 1 node(s), from 0",
        ),
    ],
)
def test_malformed_scripts_name_line_and_field(lab: Any, text: str, message: str) -> None:
    code, out, err = lab(text)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_list_show_check_and_schema(capsys: Any) -> None:
    assert main(["lab", "list"]) == 0
    assert capsys.readouterr().out.startswith("hang ")
    assert main(["lab", "list", "--format", "json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == list(shipped())
    assert main(["lab", "show", "hang"]) == 0
    assert capsys.readouterr().out.startswith("title: ")
    assert main(["lab", "check", "hang"]) == 0
    assert capsys.readouterr().err == "hang: ok, 7 steps\n"
    assert main(["lab", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Script"
    assert main(["lab", "nothing-of-the-kind"]) == 2
    assert "no such file or shipped script (shipped: hang, " in capsys.readouterr().err
