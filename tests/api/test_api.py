"""The Python face: what notebooks call, what comes back, how errors read."""

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

import fleet
from fleet.api.answer import whole_numbers
from queries.shipped import find


@pytest.fixture(scope="module")
def run(cookbook_run: Path) -> fleet.Run:
    return fleet.open_run(cookbook_run)


def test_answers_in_every_form(run: fleet.Run) -> None:
    answer = run.sql("SELECT arm, sum(memory_pages) AS pages FROM hosts GROUP BY arm ORDER BY arm")
    assert answer.columns == ["arm", "pages"]
    assert len(answer) == len(run.arms) == 5
    assert pa.types.is_decimal(answer.arrow().schema.field("pages").type)
    frame = answer.df()
    assert str(frame["pages"].dtype) == "int64"
    assert frame.to_dict("records") == answer.rows() == list(answer)
    assert "pin-in-place+unbounded" in repr(answer)


def test_missing_integers_stay_integers(run: fleet.Run) -> None:
    frame = run.sql("SELECT * FROM (VALUES (1::BIGINT), (NULL)) AS t(n)").df()
    assert str(frame["n"].dtype) == "Int64"
    assert frame["n"].sum() == 1


def test_parameters_and_one_value(run: fleet.Run) -> None:
    sql = "SELECT count(*) FROM requests WHERE kind = $kind AND arm = $arm"
    assert run.sql(sql, kind="probe", arm=run.arms[0]).value() == 256
    with pytest.raises(ValueError, match="5 rows of 1 columns are not one value"):
        run.sql("SELECT arm FROM arms").value()


def test_large_sums_are_not_cut() -> None:
    big = pa.array([Decimal(2**63), Decimal(1)], pa.decimal128(38, 0))
    table = pa.table({"big": big, "small": pa.array([Decimal(1), None], pa.decimal128(38, 0))})
    kept = whole_numbers(table)
    assert kept.schema.field("big").type == pa.decimal128(38, 0)
    assert kept.column("small").to_pylist() == [1, None]
    assert kept.schema.field("small").type == pa.int64()


def test_shipped_questions_and_tables(run: fleet.Run) -> None:
    asked = run.query("hang_rate", kind="probe")
    assert asked.arrow().equals(find("hang_rate").run(run._catalog, {"kind": "probe"}))
    assert {column["name"] for column in run.tables()["requests"]} >= {"request", "outcome"}


def test_the_report_is_that_of_the_command(run: fleet.Run) -> None:
    report = run.report()
    assert "linux-5.13+unbounded" in report["verdict"]
    assert report["arms"] == list(run.arms)
    assert run.verdict() == report["verdict"]


def test_verify_and_list(run: fleet.Run) -> None:
    assert [found.problems for found in run.verify()] == [()]
    assert [info.path for info in fleet.list_runs(run.path.parent)] == [run.path]
    assert repr(run).startswith("Run(")


def test_a_session_shares_a_connection(run: fleet.Run) -> None:
    with run.session() as inside:
        assert inside.sql("SELECT 1").value() == 1
        assert inside.sql("SELECT 2").value() == 2


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda run: run.sql("SELEC 1"), "sql:1:1"),
        (lambda run: run.query("hangrate"), "hang_rate"),
        (lambda run: run.query("hang_rate", kind="all day"), "kind"),
        (lambda _: fleet.open_run("no-such-run"), "no-such-run: no such run"),
        (lambda _: fleet.load_scenario("quickstart", {"hosts.totl": 3}), "hosts.totl"),
        (lambda _: fleet.load_scenario("no-such-scenario"), "no-such-scenario"),
        (lambda _: fleet.simulate("quickstart", inline=True, actors=2), "actors: does not go"),
        (
            lambda _: fleet.simulate(fleet.load_scenario("quickstart"), {"seed": 2}),
            "changes: go with the name",
        ),
    ],
)
def test_errors_are_one_line(run: fleet.Run, call: object, reason: str) -> None:
    assert callable(call)
    with pytest.raises(fleet.InputError) as caught:
        call(run)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_runs_are_looked_at_together(cookbook_run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    scenario = fleet.load_scenario(
        "quickstart",
        {"hosts.total": 4, "horizon": "5m", "removals.count": 2, "probes.count": 2},
        arms=["pin-in-place+unbounded"],
        seed=3,
        replications=1,
    )
    run = fleet.simulate(scenario, out=other, inline=True)
    assert fleet.simulate(scenario, out=other, inline=True).path == run.path == other
    both = fleet.open_run(cookbook_run, other)
    assert both.arms[-1] == "other:pin-in-place+unbounded"
    with pytest.raises(fleet.InputError, match="did not get the same demands"):
        both.report()


def test_the_package_starts_light() -> None:
    code = "import fleet, sys; print([m for m in ('duckdb', 'pyarrow', 'ray') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fleet.nothing
    assert set(fleet.__all__) <= set(dir(fleet.api)) | set(dir(fleet))
