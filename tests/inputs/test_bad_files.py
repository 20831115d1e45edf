"""Bad inventories, traces and imports, each through the command line."""

from pathlib import Path

import pytest

from tests.inputs.bad_files import CASES
from tests.scenario.bad_inputs import Case, check_case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_bad_file(
    case: Case,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    check_case(case, tmp_path, monkeypatch, capsys)
