"""Explained incidents: who asked, what was free, whom it hit, and what would have avoided it."""

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.cli.app import main
from fleet.errors import InputError
from fleet.why.explain import Explainer
from fleet.why.ids import IncidentId, incidents_of, parse
from fleet.why.incident import Trigger, _trigger, explain_incident, with_kernel_blocks
from fleet.why.source import Source

TIGHT = "linux-5.13+timeout-20ms@movable-90"


def incidents(source: Source, arm: str, kind: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = source.rows("incidents", arm, 0, kind=kind).to_pylist()
    return rows


def trigger_of(source: Source, arm: str, row: dict[str, Any]) -> Trigger:
    explainer, ident = Explainer(source), IncidentId(arm, 0, row["incident"])
    instant = explainer.replay(arm, 0, row["host"]).instant(row["time_ns"])
    assert instant is not None
    found = _trigger(explainer, ident, row, *instant)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", ["oom_kill", "pin_failed"])
def test_incidents_are_explained(aged: Source, kind: str) -> None:
    explainer, rows = Explainer(aged), incidents(aged, TIGHT, kind)
    assert len(rows) > 100
    for row in rows[::70]:
        facts = explain_incident(explainer, IncidentId(TIGHT, 0, row["incident"]))
        json.dumps(facts)
        assert f"host {row['host']}" in facts["summary"]
        assert f"workload {row['workload']}" in facts["summary"]
        assert facts["counterfactual"]["as_logged"]
        assert facts["asked"]["pages"] >= facts["asked"]["present_pages"]
        assert [arm["arm"] for arm in facts["arms"]] == [a for a, _ in aged.units if a != TIGHT]
        texts = [item["text"] for item in facts["timeline"]]
        assert sum(text.startswith("room: ") for text in texts) == len(facts["zones"])
        for zone in facts["zones"]:
            assert 0 <= zone["free_huge_pages"] <= zone["free_pages"] <= zone["managed_pages"]
        assert facts["zones"][0]["min_pages"] > 0


def test_the_victim_is_the_largest_when_another_asked(aged: Source) -> None:
    """What was largest before is killed, unless the one that asked had grown past it."""
    explainer, others = Explainer(aged), 0
    for row in incidents(aged, TIGHT, "oom_kill")[::25]:
        facts = explain_incident(explainer, IncidentId(TIGHT, 0, row["incident"]))
        if facts["asked"]["workload"] != row["workload"]:
            others += 1
            assert facts["largest"][0]["workload"] == row["workload"]
            assert facts["largest"][0]["rss_pages"] == row["pages"]
        else:
            assert all(w["rss_pages"] <= row["pages"] for w in facts["largest"])
    assert others


@pytest.mark.parametrize("kind", ["oom_kill", "pin_failed"])
def test_what_would_have_avoided_it_does(aged: Source, kind: str) -> None:
    """By hand: one page more than what goes fails again, and so does one block fewer."""
    explainer, blocks = Explainer(aged), 0
    for row in incidents(aged, TIGHT, kind)[::90]:
        trigger = trigger_of(aged, TIGHT, row)
        assert not trigger.passes()
        ident = IncidentId(TIGHT, 0, row["incident"])
        tried = explain_incident(explainer, ident)["counterfactual"]["tried"]
        for item in (item for item in tried if item["kind"] == "fewer_pages"):
            goes = trigger.pages - item["pages"]
            assert trigger.passes(pages=goes)
            assert not trigger.passes(pages=goes + 1)
        moved = [item for item in tried if item["kind"] == "kernel_share"]
        if moved and moved[-1]["avoided"]:
            blocks += 1
            outcomes = [changed.passes() for _, changed in with_kernel_blocks(trigger)]
            assert outcomes.index(True) == len(moved) - 1
    assert blocks


def test_a_reset_names_its_request(reboots: Source) -> None:
    arm = reboots.units[0][0]
    row = incidents(reboots, arm, "reset")[0]
    facts = explain_incident(Explainer(reboots), IncidentId(arm, 0, row["incident"]))
    assert facts["request"] == f"{arm}/0/{row['cause']}"
    assert facts["request"] in facts["summary"]
    assert facts["counterfactual"] is None


def test_ids(aged: Source) -> None:
    first = incidents(aged, TIGHT, "oom_kill")[0]["incident"]
    assert parse(f"incident:{TIGHT}/0/{first}", aged) == IncidentId(TIGHT, 0, first)
    assert str(parse(f"incident:linux-5.13+t/{first}", aged)) == f"incident:{TIGHT}/0/{first}"
    for text, reason in {
        "incident:7": "fits several units", "incident:kernel/0/7": "no such incident; kernel",
        "incident:kernel/0/x": "not an incident's id", "incident:": "not an incident's id",
        "incident:nope/0/1": "no finished unit fits",
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=reason):
            parse(text, aged)


def test_the_command(aged_run: Path, aged: Source, capsys: pytest.CaptureFixture[str]) -> None:
    first = incidents(aged, TIGHT, "oom_kill")[0]
    ident = f"incident:{TIGHT}/0/{first['incident']}"
    assert main(["explain", str(aged_run), ident]) == 0
    out = capsys.readouterr().out
    assert "What would have avoided it" in out
    assert "smallest" in out
    assert main(["explain", str(aged_run), ident, "--format", "json"]) == 0
    (facts,) = json.loads(capsys.readouterr().out)["explained"]
    assert facts["id"] == ident
    assert main(["explain", str(aged_run), "incident:kernel/0/7"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "has none" in said.err


def test_a_host_lists_its_incidents(
    aged_run: Path, aged: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    found = incidents_of(aged, None, None, 5)
    assert main(["explain", str(aged_run), "--host", "5", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["incidents"] == [str(item) for item in found]
    assert main(["explain", str(aged_run), "--host", "5", "--arm", TIGHT]) == 0
    out = capsys.readouterr().out
    assert "Incidents of this host" in out
    assert "more incidents; --format json names all" in out
