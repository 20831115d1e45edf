"""Costs against published tables and recorded ratios: the fits, the limits, the report."""

import json
from typing import Any

import pytest

from engine.costs import MODELS
from engine.enums import Cost
from fleet.cli.app import main
from fleet.lab.published import fits, tables
from fleet.lab.published.experiments import QEMU_START_NS
from fleet.lab.published.report import CELL_LIMIT, MEDIAN_LIMIT, RATE_FACTOR, Published, published


@pytest.fixture(scope="module")
def found() -> Published:
    """Every experiment, once."""
    return published()


def test_the_figures_of_the_fitted_machines_are_what_the_fits_give() -> None:
    figures = MODELS["broadwell"].figures
    assert fits.vfio_pin() == (
        QEMU_START_NS, figures[Cost.FAULT_2M].ns, figures[Cost.PIN_CALL].ns,
    )  # fmt: skip
    for kernel, name in tables.T4_MODELS.items():
        law = MODELS[name].law
        assert law is not None
        assert fits.move_pages(kernel) == (law.folio_ns, law.page_ns)


def test_every_published_cell_is_there_and_says_what_it_was_used_for(found: Published) -> None:
    count = {name: sum(c.table.name == name for c in found.cells) for name in
             ("vfio-pin", "vfio-map", "vm-resize", "move-pages")}  # fmt: skip
    assert count == {"vfio-pin": 16, "vfio-map": 6, "vm-resize": 8, "move-pages": 12}
    assert {c.how for c in found.cells if c.table is tables.T2} == {"calibration"}
    assert {c.how for c in found.cells if c.table is tables.T3} == {"predicted"}
    fitted = {c.column for c in found.cells if c.table is tables.T4 and c.how == "fitted"}
    assert fitted == {"4K", "1M"}
    fitted = {c.column for c in found.cells if c.table is tables.T1 and c.how == "fitted"}
    assert fitted == {"1 GB", "120 GB"}


def test_predicted_cells_are_near_what_was_measured(found: Published) -> None:
    errors = sorted(abs(c.error) for c in found.cells if c.how == "predicted")
    assert errors[len(errors) // 2] <= MEDIAN_LIMIT
    assert errors[-1] <= CELL_LIMIT


@pytest.mark.parametrize("kernel", ["5.10", "6.1"])
def test_recorded_ratios_hold(found: Published, kernel: str) -> None:
    mine = [r for r in found.ratios if r.kernel == kernel]
    assert len(mine) >= 11
    assert {r.name: r.error for r in mine if abs(r.error) > 0.25} == {}


@pytest.mark.parametrize("kernel", ["5.10", "6.1", "6.12"])
def test_pass_rates_follow_the_number_of_held_pages(found: Published, kernel: str) -> None:
    mine = {r.name: r.simulated / r.recorded for r in found.rates if r.kernel == kernel}
    assert len(mine) == 5
    assert max(mine.values()) <= RATE_FACTOR
    assert min(mine.values()) >= 1 / RATE_FACTOR


def test_the_report_says_it_in_a_table_and_in_json(
    found: Published, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("fleet.lab.published.report.published", lambda: found)
    assert main(["validate", "--published"]) == 0
    out = capsys.readouterr().out
    assert "move-pages: move_pages of 1 GB between nodes" in out
    assert "BROKEN" not in out
    assert main(["validate", "--published", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["holds"] is True
    assert len(told["cells"]) == 42
    assert set(told["cells"][0]) == {
        "table", "row", "column", "unit", "measured", "simulated", "error", "how", "source",
    }  # fmt: skip


def test_a_broken_limit_fails(
    found: Published, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("fleet.lab.published.report.published", lambda: found)
    monkeypatch.setattr("fleet.lab.published.report.CELL_LIMIT", 0.01)
    assert main(["validate", "--published"]) == 1
    assert "largest error of a predicted cell" in capsys.readouterr().out


def test_published_takes_no_files_and_cases_need_one(capsys: Any) -> None:
    assert main(["validate", "--published", "cases.jsonl"]) == 2
    assert "--published: takes no recorded cases" in capsys.readouterr().err
    assert main(["validate"]) == 2
    assert "FILE: a file of recorded cases is missing" in capsys.readouterr().err
