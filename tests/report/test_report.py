"""A report: pairing first, every number from a shipped query, a verdict that is earned."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleet.errors import InputError
from fleet.report.figures import BY_KIND, PLAIN, collect
from fleet.report.terminal import print_report
from fleet.report.verdict import ask_verdict, verdict
from queries.catalog import Catalog
from queries.shipped import find, shipped
from tests.log.example import ARMS, Unit, make_units, memory_catalog, write_run

Units = dict[tuple[str, int], Unit]


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    return collect(memory_catalog(make_units()))


def test_every_number_is_a_shipped_querys(figures: dict[str, Any]) -> None:
    catalog = memory_catalog(make_units())
    for name in (*BY_KIND, "migration_cost"):
        for kind in ("probe", "removal"):
            assert figures[name][kind] == find(name).run(catalog, {"kind": kind}).to_pylist()
    for name in PLAIN:
        assert figures[name] == find(name).run(catalog).to_pylist()
    fields = {"runs", "arms", "baseline", "kinds", "comparisons"}
    assert set(figures) - fields <= set(shipped())


def test_every_number_on_screen_is_in_the_figures(
    figures: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    print_report(figures)
    told = capsys.readouterr().out
    sides = told.split(" against A: ")[0]
    rows = {line.strip().split("  ")[0]: line for line in sides.splitlines()}
    for kind in ("probe", "removal"):
        for row in figures["hang_rate"][kind]:
            assert f"{row['requests']:,}" in told
            assert f"{row['hung']:,}" in told
    assert rows["flow-seconds lost"].split()[-3:] == [
        f"{row['flow_seconds_lost']:,.0f}" for row in figures["workload_impact"]
    ]
    assert rows["OOM kills"].split()[-3:] == [
        str(row["oom_kills"]) for row in figures["guardrails"]
    ]
    assert told.splitlines()[0] == verdict(figures)
    assert max(map(len, told.splitlines())) < 320
    assert "\x1b" not in told


@pytest.mark.parametrize("what", ["requests", "workloads"])
def test_without_pairing_no_number_is_printed(what: str) -> None:
    units = make_units()
    del units[ARMS[2], 0][what][3]
    with pytest.raises(InputError, match="did not get the same demands") as caught:
        collect(memory_catalog(units))
    told = str(caught.value)
    assert f"{what.removesuffix('s')} 3 of replication 0 is in 2 of 3 arms" in told
    assert "\n" not in told


def test_another_fingerprint_refuses_even_where_all_rows_pair() -> None:
    demands = {(ARMS[1], 1): "0123456789abcdef"}
    with pytest.raises(InputError, match="did not get the same demands") as caught:
        collect(memory_catalog(make_units(), demands))
    assert f"replication 1 {ARMS[1]} has fingerprint 0123456789ab" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_runs_of_other_demands_are_not_compared(tmp_path: Path) -> None:
    units = make_units()
    for unit in units.values():
        unit["requests"][0]["issued_ns"] += 1
    folders = [write_run(tmp_path), write_run(tmp_path, units, name="other")]
    with pytest.raises(InputError, match="did not get the same demands"):
        collect(Catalog.open(folders))


def test_runs_of_the_same_demands_are(tmp_path: Path) -> None:
    folders = [write_run(tmp_path), write_run(tmp_path, name="other")]
    figures = collect(Catalog.open(folders))
    assert len(figures["arms"]) == 6
    pair = (figures["arms"][0], figures["arms"][3])
    same = [row for row in figures["comparisons"] if (row["arm_a"], row["arm_b"]) == pair]
    assert len(same) > 10
    assert {row["difference"] for row in same} == {0.0}
    assert {tuple(row["discordant"].values()) for row in same if row["discordant"]} == {(0, 0)}


def outcome(units: Units, decide: Callable[[int, int, str], str]) -> dict[str, Any]:
    """Return the figures of the example with outcomes decided by (arm, request, kind)."""
    for (arm, _), unit in units.items():
        for row in unit["requests"]:
            row["reset"] = False
            row["outcome"] = decide(ARMS.index(arm), row["request"], row["kind"])
    figures = collect(memory_catalog(units))
    assert ask_verdict(memory_catalog(units)) == verdict(figures), "asked for by itself"
    return figures


def test_verdict_when_an_arm_stops_the_hangs() -> None:
    told = verdict(outcome(make_units(), lambda arm, _, __: ("stuck", "offlined", "refused")[arm]))
    assert told.startswith(
        f"{ARMS[1]} hangs least: 0 of 60 probes (below 5.00 %) against 60 (100 %) under {ARMS[0]}, "
        "-100 points (95 % -100 to -85.1); 60 went offline instead of 0; price: "
    )
    price = "22.8 MiB more migrated at pin, 2 fewer failed pins, 1 fewer OOM kill, "
    assert told.endswith(price + "304 fewer flow-seconds lost.")


def test_verdict_when_nothing_hangs() -> None:
    told = verdict(outcome(make_units(), lambda *_: "offlined"))
    assert told == "No probe hung under any arm: each rate is below 5.00 %."


def test_verdict_when_the_baseline_is_best() -> None:
    told = verdict(outcome(make_units(), lambda arm, _, __: ("offlined", "stuck", "stuck")[arm]))
    assert told == f"No arm hangs less than {ARMS[0]}: 0 of 60 probes (below 5.00 %)."


def test_verdict_when_it_is_not_decided() -> None:
    def decide(arm: int, request: int, _: str) -> str:
        return "stuck" if request == 0 or (arm == 0 and request == 1) else "offlined"

    told = verdict(outcome(make_units(), decide))
    # both other arms hang as rarely and remove as much; the last one does less harm
    assert told.startswith(f"Not decided: {ARMS[2]} has fewest, 2 of 60 probes against 4 under ")


def test_verdict_without_probes_goes_by_replications() -> None:
    units = removals_only()
    told = verdict(outcome(units, lambda arm, *_: ("stuck", "offlined", "stuck")[arm]))
    assert told == (
        f"Not decided: {ARMS[1]} has fewest, 0 of 20 removals against 20 under {ARMS[0]}, 95 % "
        "interval -100 to +72.9 points."
    ), "two replications are too few for anything"
    for unit in units.values():
        unit["requests"] = []
    assert verdict(collect(memory_catalog(units))).startswith("Nothing was asked of the hosts")


def test_verdict_of_one_replication_of_removals_is_open() -> None:
    units = {key: unit for key, unit in removals_only().items() if key[1] == 0}
    told = verdict(outcome(units, lambda arm, *_: ("stuck", "offlined", "stuck")[arm]))
    assert told.startswith(f"Not decided: {ARMS[1]} has fewest, 0 of 10 removals against 10 under ")
    assert "one replication" in told
    assert "--replications" in told


@pytest.mark.parametrize("hung", [True, False])
def test_verdict_on_one_arm_is_its_hang_rate(hung: bool) -> None:
    units = {key: unit for key, unit in make_units().items() if key[0] == ARMS[0]}
    figures = outcome(units, lambda *_: "stuck" if hung else "offlined")
    assert (figures["arms"], figures["comparisons"]) == ([ARMS[0]], [])
    words = "60 of 60 probes hung (100 %" if hung else "0 of 60 probes hung (below 5.00 %)."
    assert verdict(figures).startswith(f"{ARMS[0]}: {words}")


def test_verdict_within_the_margin() -> None:
    figures = outcome(make_units(), lambda arm, *_: ("stuck", "offlined", "stuck")[arm])
    for row in figures["comparisons"]:
        row.update(verdict="equivalent", low=-0.004, high=0.006)
    told = verdict(figures)
    assert told.startswith(f"No difference that matters: {ARMS[1]} has fewest, 0 of 60 probes ")
    assert told.endswith("95 % interval -0.4 to +0.6 points, margin 1.00.")


def removals_only() -> Units:
    units = make_units()
    for unit in units.values():
        unit["requests"] = [row for row in unit["requests"] if row["kind"] == "removal"]
    return units


def test_verdict_of_probes_on_one_host() -> None:
    units = {key: unit for key, unit in make_units().items() if key[1] == 0}
    for unit in units.values():
        for row in unit["requests"]:
            row["host"] = 2
    told = verdict(outcome(units, lambda arm, *_: ("stuck", "offlined", "stuck")[arm]))
    assert told.endswith(
        f"0 of 30 probes against 30 under {ARMS[0]}, but all probes are on one host, so there is "
        "no interval."
    )


def test_an_empty_run_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    units: dict[tuple[str, int], Unit] = {
        key: {table: [] for table in unit} for key, unit in make_units().items()
    }
    print_report(collect(memory_catalog(units)))
    assert "Nothing was asked of the hosts" in capsys.readouterr().out


def test_figures_are_json(figures: dict[str, Any]) -> None:
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_reference_names_every_key(figures: dict[str, Any]) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "report.md").read_text()
    table = text.split("## `--format json`")[1]
    keys = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {name for cell in keys for name in re.findall(r"`(\w+)`", cell)}
    assert named == {"verdict", *figures}
