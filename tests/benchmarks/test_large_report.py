"""A run made larger by copies is a sound run, with the rates of the small one."""

from pathlib import Path

import pytest

from benchmarks import large_report
from fleet.log.verify import verify_run
from queries.catalog import Catalog
from queries.shipped import find
from tests.log.example import write_run

COPIES, BESIDE = 10, 4
"""Of the small fleet, and how many of them run at the same time: three at most after each other."""


def test_copies_are_a_sound_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_report, "FLEET", BESIDE * large_report.SHARD)
    small = write_run(tmp_path / "small")
    before = Catalog.open([small])
    rows = sum(before.rows(name).num_rows for name in before.columns if name != "hosts")
    large = large_report.enlarge(small, tmp_path / "large", COPIES * rows)
    after = Catalog.open([large])
    assert verify_run(large).problems == ()
    made = sum(after.rows(name).num_rows for name in after.columns if name != "hosts")
    assert made == COPIES * rows
    assert after.rows("hosts").num_rows == BESIDE * before.rows("hosts").num_rows
    for name in ("hang_rate", "outcome_shares"):
        for one, many in zip(
            find(name).run(before).to_pylist(), find(name).run(after).to_pylist(), strict=True
        ):
            assert many["requests"] == COPIES * one["requests"]
            share = "hang_rate" if name == "hang_rate" else "stuck"
            assert many[share] == one[share]
    assert find("pairing").run(after).num_rows == 0
    assert find("conservation").run(after).num_rows == 0
