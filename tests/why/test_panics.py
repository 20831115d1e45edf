"""Panics, OOM kills and failed pins that commands set off in the midst of a run."""

import json
from pathlib import Path

import pytest

from engine.enums import Op
from fleet.cli.app import main
from fleet.hosts.ageing import PRESSURE
from fleet.why.explain import Explainer
from fleet.why.ids import IncidentId, RequestId
from fleet.why.incident import explain_incident
from fleet.why.source import Source, open_source
from tests.why.conftest import incidents
from tests.why.conftest import run as simulated
from tests.why.test_incident import trigger_of

ARM = "pin-in-place+unbounded"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nothing on these hosts can be killed but a process that has no memory yet."""
    return simulated(tmp_path_factory.mktemp("why") / "sudden", scenario="sudden")


@pytest.fixture
def source(run: Path) -> Source:
    return open_source(run)


def placed_at(source: Source, time_ns: int, host: int) -> set[int]:
    """Workloads that came to a host at an instant."""
    rows = source.rows("commands", ARM, 0, host=host, time_ns=time_ns).to_pylist()
    return {row["workload"] for row in rows if row["kind"] in ("place", "replace")}


def test_a_panic_in_the_midst_of_a_run_names_who_asked(source: Source) -> None:
    """It is a process that came at that instant, whatever had its number before."""
    explainer, rows = Explainer(source), incidents(source, ARM, "panic")
    assert len({row["host"] for row in rows}) < len(rows), "hosts that panic after a boot, too"
    for row in rows:
        facts = explain_incident(explainer, IncidentId(ARM, 0, row["incident"]))
        asked, texts = facts["asked"], [item["text"] for item in facts["timeline"]]
        assert not facts["booting"]
        assert asked["workload"] in placed_at(source, row["time_ns"], row["host"])
        assert (asked["op"], asked["kind"], asked["backing"]) == ("touch", "agent", "anon")
        assert facts["summary"] == (
            f"The kernel of host {row['host']} panicked when workload {asked['workload']} (agent)"
            " asked for memory: out of memory, and nothing left to kill."
        )
        assert texts[0].startswith(f"workload {asked['workload']} (agent) touches ")
        assert texts[-1].endswith(": panic")
        assert facts["largest"] == [], "no memory that counts"
        assert facts["zones"]
        for zone in facts["zones"]:
            mark = zone["min_pages"] + zone["reserve_pages"]
            assert zone["free_pages"] <= mark, "there was no room"
        json.dumps(facts)


def test_without_the_episode_of_pressure_there_is_no_panic(source: Source) -> None:
    for row in incidents(source, ARM, "panic"):
        trigger = trigger_of(source, ARM, row)
        assert not trigger.passes()
        assert trigger.passes(before=(int(Op.UNMAP), PRESSURE))
        facts = explain_incident(Explainer(source), IncidentId(ARM, 0, row["incident"]))
        found, area = facts["counterfactual"], trigger.host.area(PRESSURE)
        assert found["as_logged"]
        assert found["smallest"]["kind"] == "pressure"
        assert found["smallest"]["pages"] == area[area[:, 2] >= 0, 1].sum() > 0


def test_an_oom_kill_in_the_midst_of_a_run(source: Source) -> None:
    rows = incidents(source, ARM, "oom_kill")
    assert rows
    for row in rows:
        facts = explain_incident(Explainer(source), IncidentId(ARM, 0, row["incident"]))
        asked = facts["asked"]
        assert row["time_ns"] > 0
        assert asked["workload"] in placed_at(source, row["time_ns"], row["host"])
        assert f"workload {row['workload']} (" in facts["summary"]
        assert facts["counterfactual"]["smallest"]["kind"] in ("room", "fewer_pages")


def test_a_pin_of_hugetlb_memory_lacks_what_other_hugetlb_guests_have(source: Source) -> None:
    """Another guest's folios would have done; nobody else's memory is of use to it."""
    explainer, work = Explainer(source), source.plan(0).workloads
    for row in incidents(source, ARM, "pin_failed")[::8]:
        facts = explain_incident(explainer, IncidentId(ARM, 0, row["incident"]))
        assert facts["asked"]["backing"] == "hugetlb"
        best = facts["counterfactual"]["smallest"]
        assert best["kind"] == "room"
        (gone,) = best["about"]["workloads"]
        assert work.kind_names[int(work.kind[gone])] == "guest"


def test_a_request_that_a_panic_ended_says_so(source: Source) -> None:
    rows = source.rows("requests", ARM, 0, outcome="host_down").to_pylist()
    panics = {(row["host"], row["time_ns"]) for row in incidents(source, ARM, "panic")}
    ended = [row for row in rows if (row["host"], row["ended_ns"]) in panics]
    assert ended
    for row in ended:
        facts = Explainer(source).explain(RequestId(ARM, 0, row["request"]))
        assert facts["summary"].endswith(
            "ended with its host, which ran out of memory and panicked."
        )
        (panic,) = (item for item in facts["incidents"] if item["kind"] == "panic")
        told = f"panics (panic_on_oom); incident:{ARM}/0/{panic['incident']} tells why"
        assert any(told in item["text"] for item in facts["timeline"])


def test_report_and_page_count_the_panics(
    run: Path, source: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = [len(incidents(source, arm, "panic")) for arm, _ in source.units]
    page = tmp_path / "page.html"
    assert main(["report", str(run), "--html", str(page)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (told,) = [line.split() for line in lines if line.strip().startswith("panics ")]
    assert told == ["panics", *map(str, counts)]
    assert 'data-from="guardrails#0.panics"' in page.read_text()
    ident = incidents(source, ARM, "panic")[0]["incident"]
    assert main(["explain", str(run), f"incident:{ARM}/0/{ident}"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "smallest no episode of memory pressure on the host itself" in out
