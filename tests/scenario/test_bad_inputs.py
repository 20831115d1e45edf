"""Bad scenarios, overrides, inventories, traces and imports, each through the command line."""

from pathlib import Path

import pytest

from fleet.cli.app import main
from tests.scenario import bad_sets
from tests.scenario.bad_inputs import BASE, CASES, INVENTORY_BASE, TRACE_BASE, Case, check_case


@pytest.mark.parametrize("case", [*CASES, *bad_sets.CASES], ids=lambda case: case.id)
def test_bad_input(
    case: Case,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    check_case(case, tmp_path, monkeypatch, capsys)


def test_the_bases_are_without_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hosts.csv").write_text("name,memory_mib\na,8192\nb,16384\n")
    (tmp_path / "vms.csv").write_text("arrival_s,lifetime_s,memory_mib\n0,60,1024\n1.5,,2048\n")
    for text in (BASE, INVENTORY_BASE, TRACE_BASE):
        (tmp_path / "s.yaml").write_text(text)
        assert main(["scenario", "check", "s.yaml"]) == 0
