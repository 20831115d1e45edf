"""Incidents that happen rarely: pins that never return, kernels that panic; and little memory."""

import json
from pathlib import Path

import pytest

from fleet.cli.app import main
from fleet.why.explain import Explainer
from fleet.why.ids import IncidentId
from fleet.why.incident import explain_incident
from fleet.why.source import Source, open_source
from tests.why.conftest import incidents
from tests.why.conftest import run as simulated
from tests.why.test_incident import trigger_of

STUCK, BOOTS = "kernel+unbounded", "kernel+unbounded@movable-90"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kernel 6.12 pins THPs into a kernel zone in pieces; under the other arm no host can boot."""
    return simulated(tmp_path_factory.mktemp("why") / "mishaps", scenario="mishaps")


@pytest.fixture
def source(run: Path) -> Source:
    return open_source(run)


def test_a_pin_that_never_returns(source: Source) -> None:
    explainer, rows = Explainer(source), incidents(source, STUCK, "pin_stuck")
    assert rows
    assert any(row["time_ns"] for row in rows), "and not only when the run begins"
    for row in rows:
        facts = explain_incident(explainer, IncidentId(STUCK, 0, row["incident"]))
        asked, told = facts["asked"], [item["text"] for item in facts["timeline"]]
        assert facts["mechanism"] == "too_many_isolated"
        assert facts["summary"] == (
            f"A pin of workload {row['workload']} on host {row['host']} hung, waiting for pages"
            " that nobody put back."
        )
        assert (asked["op"], asked["workload"], asked["backing"]) == ("pin", row["workload"], "thp")
        assert "does not return (too_many_isolated); its owner kills it" in told[-1]
        # What is asked for lies in ZONE_MOVABLE, and the kernel zone has room, but no huge page.
        assert any(zone.endswith("Movable") for zone in facts["lies"])
        kernel = facts["zones"][0]
        assert kernel["free_pages"] > kernel["min_pages"]
        assert kernel["free_huge_pages"] == 0
        assert facts["counterfactual"]["as_logged"]
        tried = facts["counterfactual"]["tried"]
        assert {"fewer_pages", "policy"} <= {item["kind"] for item in tried}
        trigger = trigger_of(source, STUCK, row)
        for item in tried:
            if item["kind"] == "fewer_pages":
                assert trigger.passes(pages=trigger.pages - item["pages"])
                assert not trigger.passes(pages=trigger.pages - item["pages"] + 1)
        json.dumps(facts)


def test_the_command_tells_a_pin_that_never_returns(
    run: Path, source: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    row = incidents(source, STUCK, "pin_stuck")[0]
    ident = f"incident:{STUCK}/0/{row['incident']}"
    assert main(["explain", str(run), ident]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"workload {row['workload']} on host {row['host']} hung" in out
    assert "What would have avoided it" in out
    assert main(["explain", str(run), ident, "--format", "json"]) == 0
    (facts,) = json.loads(capsys.readouterr().out)["explained"]
    assert (facts["kind"], facts["id"]) == ("pin_stuck", ident)


def test_a_kernel_that_does_not_fit_its_zones_panics_when_it_boots(
    run: Path, source: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = incidents(source, BOOTS, "panic")
    hosts = source.rows("hosts", BOOTS, 0).to_pylist()
    assert [row["host"] for row in rows] == [row["host"] for row in hosts]
    assert source.rows("host_samples", BOOTS, 0).num_rows == 0
    assert not source.rows("pins", BOOTS, 0).num_rows
    outcomes = set(source.rows("workloads", BOOTS, 0)["outcome"].to_pylist())
    assert outcomes <= {"rejected", "host_panicked"}
    for row in rows:
        facts = explain_incident(Explainer(source), IncidentId(BOOTS, 0, row["incident"]))
        assert facts["summary"] == (
            f"The kernel of host {row['host']} panicked while it booted: out of memory, and nothing"
            " left to kill."
        )
        assert "does not fit into its kernel zones" in facts["timeline"][0]["text"]
        assert facts["asked"] is None
    ident = f"incident:{BOOTS}/0/{rows[-1]['incident']}"
    assert main(["explain", str(run), ident]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"kernel of host {rows[-1]['host']} panicked while it booted" in out
    assert main(["explain", str(run), ident, "--format", "json"]) == 0
    (facts,) = json.loads(capsys.readouterr().out)["explained"]
    assert (facts["kind"], facts["mechanism"]) == ("panic", "panic_on_oom")


def test_explaining_needs_no_memory_for_all_hosts(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.plan.build.available_bytes", lambda: 2**20)
    row = incidents(source, STUCK, "pin_stuck")[0]
    assert explain_incident(Explainer(source), IncidentId(STUCK, 0, row["incident"]))["asked"]
