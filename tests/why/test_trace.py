"""Traces are valid by the format's own rules and agree with the log."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fleet.cli.app import main
from fleet.why.passes import MOST_PASSES, passes
from fleet.why.replay import Replay
from fleet.why.source import Source
from fleet.why.trace import REMOVALS, trace
from fleet.why.trial import Trial

Event = dict[str, Any]


@pytest.fixture(params=["aged", "reboots"])
def traced(request: pytest.FixtureRequest) -> tuple[Replay, list[Event]]:
    source: Source = request.getfixturevalue(request.param)
    replay = Replay(source, *source.units[0], 3)
    found = trace(replay)
    assert found["displayTimeUnit"] == "ms"
    return replay, found["traceEvents"]


def test_events_are_valid(traced: tuple[Replay, list[Event]]) -> None:
    _, events = traced
    json.loads(json.dumps(events))
    opened: dict[tuple[str, str], float] = {}
    for event in events:
        assert {"ph", "name", "pid", "tid"} <= set(event)
        assert event["pid"] == 3
        kind = event["ph"]
        if kind == "M":
            continue
        assert event["ts"] >= 0
        if kind == "X":
            assert event["dur"] >= 0
        elif kind == "i":
            assert event["s"] in ("g", "p", "t")
        elif kind == "C":
            assert event["args"]
            assert all(isinstance(v, int) and v >= 0 for v in event["args"].values())
        elif kind == "b":
            assert opened.setdefault((event["cat"], event["id"]), event["ts"]) == event["ts"]
        else:
            assert kind == "e"
            assert event["ts"] >= opened.pop((event["cat"], event["id"]))
    assert not opened
    times = [e["ts"] for e in events if e["ph"] != "M"]
    assert times == sorted(times)


def test_complete_events_nest(traced: tuple[Replay, list[Event]]) -> None:
    _, events = traced
    ends: list[float] = []
    slices = [e for e in events if e["ph"] == "X"]
    assert len(slices) > 5
    for event in slices:
        while ends and ends[-1] <= event["ts"] + 1e-6:
            ends.pop()
        end = event["ts"] + event["dur"]
        assert not ends or end <= ends[-1] + 1e-3
        ends.append(end)


def test_what_is_logged_is_there(traced: tuple[Replay, list[Event]]) -> None:
    replay, events = traced
    unit = replay.arm, replay.rep

    def count(table: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = replay.source.rows(table, *unit, host=3).to_pylist()
        return found

    def named(ph: str, cat: str) -> list[Event]:
        return [e for e in events if e["ph"] == ph and e.get("cat") == cat]

    assert len(named("i", "incident")) == len(count("incidents"))
    assert len(named("i", "decision")) == len(count("commands"))
    assert len(named("b", "request")) == len(count("requests"))
    assert len(named("b", "pin")) == len({(r["pin"], r["time_ns"]) for r in count("pins")})
    pinned = sum(e["args"]["pinned_pages"] for e in named("b", "pin"))
    assert pinned == sum(row["pinned_pages"] for row in count("pins"))
    removals = [e for e in events if e["ph"] == "X" and e["name"].startswith("offline")]
    assert all(e["tid"] == REMOVALS for e in removals)
    assert len(removals) + len(named("b", "probe")) == len(count("attempts"))


def test_counters_agree_with_samples(aged: Source) -> None:
    unit = aged.units[1]
    events = trace(Replay(aged, *unit, 2))["traceEvents"]
    for row in aged.rows("host_samples", *unit, host=2).to_pylist():
        name = f"node{row['zone'] // 3} {('DMA32', 'Normal', 'Movable')[row['zone'] % 3]}"
        at = [e for e in events if e["ph"] == "C" and e["ts"] == row["time_ns"] / 1000]
        if not row["time_ns"]:
            continue
        values = {e["name"]: e["args"][name] for e in at if name in e["args"]}
        assert values["free pages"] == row["free_pages"]
        assert values["pinned pages"] == row["pinned_pages"]


@pytest.mark.parametrize("arm", [0, 3])
def test_passes_add_up_to_the_attempt(aged: Source, arm: int) -> None:
    unit = aged.units[arm]
    checked = 0
    for host in range(3):
        rows = aged.rows("attempts", *unit, host=host).to_pylist()
        whole = Replay(aged, *unit, host)
        moments = whole.to(2**62, [row["attempt"] for row in rows]).moments
        for row in rows:
            if row["end_ns"] is None or not 0 < row["passes"] < MOST_PASSES:
                continue
            probe = bool(whole.plan.requests.probe[row["request"]])
            place = row["attempt"], row["first_block"], row["nr_blocks"], row["end_ns"] + 1
            found = passes(Trial(moments[row["attempt"]], *place, probe, whole.world.table))
            assert len(found) == row["passes"]
            assert sum(p.migrated_pages for p in found) == row["migrated_pages"]
            assert sum(p.failed_pages for p in found) == row["failed_pages"]
            assert all(a.end_ns == b.start_ns for a, b in pairwise(found))
            assert row["start_ns"] <= found[0].start_ns
            assert found[-1].end_ns <= row["end_ns"]
            checked += 1
    assert checked > 1


def test_the_command(aged_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "host.json"
    assert main(["trace", str(aged_run), "--host", "1", "-o", str(out)]) == 0
    document = json.loads(out.read_text())
    assert {"traceEvents", "displayTimeUnit", "otherData"} == set(document)
    assert document["otherData"]["host"] == 1
    assert capsys.readouterr().err == f"wrote {out}: {len(document['traceEvents']):,} events\n"
    assert main(["trace", str(aged_run), "--host", "77", "-o", str(out)]) == 2
    assert main(["trace", str(aged_run), "--host", "1", "-o", "/proc/x.json"]) == 1
    assert json.loads(out.read_text()) == document
