"""Explanations: facts that agree with the log, changes that really return the memory."""

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.cli.app import main
from fleet.errors import InputError
from fleet.why import words
from fleet.why.changes import Changes
from fleet.why.counterfactual import search
from fleet.why.explain import Explainer
from fleet.why.ids import RequestId, chosen, parse
from fleet.why.replay import Replay
from fleet.why.room import withdrawal
from fleet.why.source import Source
from fleet.why.trial import Trial

END = 2**62


def requests(source: Source, arm: int, *outcomes: str) -> list[dict[str, Any]]:
    rows = source.rows("requests", *source.units[arm]).to_pylist()
    return [row for row in rows if row["outcome"] in outcomes]


def trial_of(source: Source, arm: int, row: dict[str, Any]) -> tuple[Trial, Replay]:
    """The last attempt of a request as a trial."""
    unit = source.units[arm]
    replay = Replay(source, *unit, row["host"])
    made = source.rows("attempts", *unit, host=row["host"], request=row["request"]).to_pylist()[-1]
    deadline_ns = min(row["deadline_ns"], replay.plan.horizon_ns)
    moment = replay.to(END, [made["attempt"]]).moments[made["attempt"]]
    place = made["attempt"], made["first_block"], made["nr_blocks"], deadline_ns
    return Trial(moment, *place, row["kind"] == "probe", replay.world.table), replay


SAMPLES = [
    *((arm, 14) for arm in (0, 3)),
    *(pytest.param(arm, 1, marks=pytest.mark.slow) for arm in range(5)),
]
"""Arms, and every how many-th of their requests."""


@pytest.mark.parametrize(("arm", "step"), SAMPLES)
def test_without_a_change_every_attempt_ends_as_it_did(aged: Source, arm: int, step: int) -> None:
    rows = requests(aged, arm, "offlined", "stuck", "refused", "gave_up")
    assert len(rows) > 15
    for row in rows[::step]:
        trial, _ = trial_of(aged, arm, row)
        ended = trial.run()
        assert ended.returned == (row["outcome"] == "offlined"), row
        if row["outcome"] != "stuck":
            made = aged.rows("attempts", *aged.units[arm], attempt=trial.attempt).to_pylist()[0]
            assert (ended.errno, ended.end_ns) == (made["errno"], made["end_ns"])
            assert (ended.passes, ended.migrated_pages) == (made["passes"], made["migrated_pages"])


def test_the_smallest_change_returns_the_block(aged: Source) -> None:
    """Applied to the host by hand, step by step, the block goes offline."""
    found = set()
    for row in requests(aged, 0, "stuck")[::4]:
        trial, replay = trial_of(aged, 0, row)
        best = next(t for t in search(trial, replay.plan) if t.ended.returned)
        found.add(best.change.kind)
        host, failed = trial.host(best.change.stages)
        assert not failed
        again = Trial(trial.moment, trial.attempt, trial.first_block, trial.nr_blocks,
                      trial.deadline_ns, trial.probe, trial.table)  # fmt: skip
        assert again.run(best.change.stages, best.change.first_block, best.change.table).returned
        assert host.blocks()[trial.first_block, 0] >= 0, "not before the attempt"
    assert "move_pages" in found


def test_released_pins_are_all_needed(aged: Source) -> None:
    checked = 0
    for row in requests(aged, 0, "stuck"):
        if checked > 3:
            break
        trial, replay = trial_of(aged, 0, row)
        changes = Changes(trial, replay.plan)
        best = [t for t in search(trial, replay.plan) if t.change.kind == "release_pin"]
        if len(changes.pins) < 2 or not best or not best[0].ended.returned:
            continue
        workloads = (best[0].change.facts or {})["workloads"]
        for workload in workloads:
            fewer = [p for p in changes.pins if p.workload in workloads and p.workload != workload]
            if fewer:
                assert not trial.run(changes.release(fewer).stages).returned
                checked += 1
    assert checked


@pytest.mark.parametrize(("arm", "step"), SAMPLES)
def test_every_request_can_be_explained(aged: Source, arm: int, step: int) -> None:
    explainer = Explainer(aged)
    unit = aged.units[arm]
    for row in aged.rows("requests", *unit).to_pylist()[::step]:
        facts = explainer.explain(RequestId(*unit, row["request"]))
        json.dumps(facts)
        assert words.summary(facts).endswith(".")
        times = [time_ns for time_ns, _ in words.timeline(facts)]
        assert times == sorted(times)
        assert len(facts["arms"]) == 4
        for attempt in facts["attempts_made"]:
            mine = [s for s in facts["slowed"] if s["attempt"] == attempt["attempt"]]
            away = sum(s["unavailable_ns"] + s["suspended_ns"] for s in mine)
            assert away == attempt["unavailable_ns"]
            assert all(s["unavailable_ns"] <= s["worked_ns"] for s in mine)
        start = facts["at_start"]
        if start is not None:
            assert sum(c["pinned_pages"] for c in facts["causes"]) == start["pinned_pages"]
        for cause in facts["causes"]:
            pinned = cause["pinned_pages"]
            assert cause["before"] + cause["by_pin"] == pinned == sum(cause["born"].values())
            assert 0 <= cause["stayed"] <= pinned
        for arm_facts in facts["arms"]:
            assert words.other_arm(facts, arm_facts)


def test_what_an_earlier_attempt_met_is_no_reason(aged: Source) -> None:
    """Of several attempts on several blocks the last one decides."""
    row = next(row for row in requests(aged, 0, "stuck") if row["kind"] == "removal")
    facts = Explainer(aged).explain(RequestId(*aged.units[0], row["request"]))
    earlier = {"attempt": -1, "class": "unmovable", "runs": 1, "pages": 1, "workloads": []}
    both = {**facts, "blockers": [earlier, *facts["blockers"]]}
    assert words.summary(both) == words.summary(facts)
    last = {**earlier, "attempt": facts["attempts_made"][-1]["attempt"]}
    assert "unmovable" in words.summary({**facts, "blockers": [last]})


def test_reboots_can_be_explained(reboots: Source) -> None:
    reset = next(row for row in requests(reboots, 0, "host_down") if row["reset"])
    facts = Explainer(reboots).explain(RequestId(*reboots.units[0], reset["request"]))
    assert "watchdog" in words.summary(facts)
    assert any("the watchdog resets the host" in text for _, text in words.timeline(facts))
    assert facts["counterfactual"]["smallest"] is not None


def test_withdrawn_requests_say_why(aged: Source) -> None:
    """With the ledger recounted every withdrawal has its reason, and the room is really short."""
    unit = aged.units[4]
    rows = requests(aged, 4, "withdrawn")
    assert len(rows) > 5
    for row in rows:
        found = withdrawal(aged, *unit, row)
        left = found["capacity_pages"] - found["asked_pages"]
        assert (found["reason"] == "no_room") == (left < found["committed_pages"])
        assert found["reason"] != "no_time"


def test_removals_that_began_had_room(aged: Source) -> None:
    unit, checked = aged.units[0], 0
    for row in requests(aged, 0, "offlined", "stuck"):
        if row["kind"] == "removal":
            decided = aged.rows("commands", *unit, request=row["request"]).to_pylist()[0]
            found = withdrawal(aged, *unit, {**row, "ended_ns": decided["decided_ns"]})
            assert found["reason"] == "no_time", "neither room nor range were wanting"
            checked += 1
    assert checked > 5


def test_ids(aged: Source) -> None:
    first = aged.units[0][0]
    assert parse(f"{first}/0/3", aged) == RequestId(first, 0, 3)
    assert str(parse("kernel/3", aged)) == "kernel+unbounded@no-movable-zone/0/3"
    assert parse(f"{first}/3", aged) == RequestId(first, 0, 3)
    for text, reason in {
        "3": "fits several units", "pin/3": "fits several units", "kernel/1/3": "no finished unit",
        "kernel/0/999": "no such request; kernel", "nope/0/1": "no finished unit fits",
        "kernel/0/x": "not a request's id", "a/b/c/1": "not a request's id", "a/b/1": "'b' is not",
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=reason):
            parse(text, aged)


def test_the_worst_come_first(aged: Source, reboots: Source) -> None:
    assert chosen(reboots, None, None, None, 1)[0].arm == reboots.units[0][0]
    rows = [
        aged.rows("requests", i.arm, i.rep, request=i.request).to_pylist()[0]["outcome"]
        for i in chosen(aged, None, None, 2, 100)
    ]
    order = ["stuck", "gave_up", "refused", "withdrawn", "censored", "offlined"]
    assert [order.index(o) for o in rows] == sorted(order.index(o) for o in rows)


def test_the_command(
    aged_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["explain", str(aged_run), "--worst", "2"]) == 0
    out = capsys.readouterr().out
    assert out.count("What happened") == 2
    assert "smallest" in out
    assert main(["explain", str(aged_run), "--host", "1", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["explained"]) == 3
    assert {item["host"] for item in document["explained"]} == {1}


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["5/5/5/5"], "5/5/5/5: not a request's id"),
        (
            ["pin-in-place+unbounded/0/4242"],
            "no such request; pin-in-place+unbounded/0 has 0 to 41",
        ),
        (["--host", "6"], "--host: no host 6; the run has 0 to 5"),
        (["--host", "-1"], "--host: no host -1"),
        (["--arm", "nope"], "--arm: 'nope' is not an arm of this run"),
        (["--rep", "3"], "--rep: no replication 3"),
        (["kernel/1", "--worst", "2"], "--worst: does not go with an id"),
        (["--format", "csv"], "--format: 'csv' is not one of table, json"),
    ],
)
def test_bad_input_is_one_line(
    aged_run: Path, args: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(aged_run), *args]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert reason in said.err
