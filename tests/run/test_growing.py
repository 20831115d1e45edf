"""Runs that add replications until the difference of hang rates is known well enough."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fleet.errors import InputError
from fleet.log.verify import verify_run
from fleet.report.figures import collect
from fleet.report.stopping import FIRST_LOOK, rule_of
from fleet.run.progress import Talk
from fleet.run.runner import Finished, Settings, simulate
from fleet.scenario.load import load_scenario
from queries.catalog import Catalog

GROW = str(Path(__file__).with_name("grow.yaml"))
WIDTH = 0.045


def run(out: Path, *sets: str, resume: bool = False) -> Finished:
    scenario = load_scenario(GROW, (f"until_ci.half_width={WIDTH:%}", *sets))
    settings = Settings(out=out, inline=True, resume=resume)
    return simulate(scenario, settings, Talk(True), rule_of(scenario))


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("runs") / "grown").path


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def half_width(folder: Path, **partial: bool) -> float:
    figures = collect(Catalog.open([folder], **partial))
    (row,) = [r for r in figures["comparisons"] if r["metric"] == "hang_rate"]
    return float(row["high"] - row["low"]) / 2


def replications(folder: Path) -> int:
    return int(json.loads((folder / "manifest.json").read_bytes())["replications"])


def test_it_stops_at_the_first_replication_that_is_enough(grown: Path, tmp_path: Path) -> None:
    count = replications(grown)
    assert FIRST_LOOK < count < 200
    assert half_width(grown) <= WIDTH, "the interval that the report prints"
    shutil.copytree(grown, tmp_path / "fewer")
    (tmp_path / "fewer" / "manifest.json").unlink()
    for commit in (tmp_path / "fewer" / "commits").glob(f"*.{count - 1:04d}.json"):
        commit.unlink()
    assert half_width(tmp_path / "fewer", partial=True) > WIDTH


def test_what_was_grown_is_a_whole_run(grown: Path) -> None:
    found = verify_run(grown)
    assert (found.complete, found.problems) == (True, ())
    assert found.units == 2 * replications(grown)
    (described,) = collect(Catalog.open([grown]))["runs"]
    assert described["replications"] == replications(grown)


def test_an_interrupted_one_goes_on_to_the_same_bytes(grown: Path, tmp_path: Path) -> None:
    shutil.copytree(grown, tmp_path / "again")
    (tmp_path / "again" / "manifest.json").unlink()
    commits = sorted((tmp_path / "again" / "commits").iterdir())
    for commit in [commits[0], commits[5], *commits[-4:]]:
        commit.unlink()
    assert not run(tmp_path / "again", resume=True).was_complete
    assert contents(tmp_path / "again") == contents(grown)


def test_it_is_the_beginning_of_a_run_with_more_replications(grown: Path, tmp_path: Path) -> None:
    fixed = load_scenario(GROW, ("replications=3",))
    simulate(fixed, Settings(out=tmp_path / "fixed", inline=True), Talk(True))
    whole, some = contents(grown), contents(tmp_path / "fixed")
    events = {name for name in some if name.startswith("events/")}
    assert len(events) > 20
    assert {name: whole[name] for name in events} == {name: some[name] for name in events}


def test_the_limit_ends_it(tmp_path: Path) -> None:
    found = run(tmp_path / "run", "until_ci.limit=3")
    assert sorted({rep for _, rep in found.tallies}) == [0, 1, 2]
    assert replications(found.path) == 3


def test_probes_are_looked_at_by_host(tmp_path: Path) -> None:
    sets = ("probes={count: 40, bound: 1s}", "removals=null", "until_ci.half_width=20%")
    found = run(tmp_path / "run", *sets)
    count = replications(found.path)
    assert count >= -(-FIRST_LOOK // 4)
    assert half_width(found.path) <= 0.2


def test_without_a_rule_it_is_refused(tmp_path: Path) -> None:
    scenario: Any = load_scenario(GROW, ("until_ci.half_width=5%",))
    with pytest.raises(ValueError, match="needs a rule"):
        simulate(scenario, Settings(out=tmp_path / "run", inline=True), Talk(True))


@pytest.mark.parametrize(
    ("sets", "reason"),
    [
        (("arms=[linux-5.13+unbounded]",), "until_ci: compares arms, and there is one"),
        (("removals=null",), "until_ci: is about hang rates, and there are neither"),
        (("replications=300",), r"until_ci.limit: below `replications`, where it begins \(300\)"),
    ],
)
def test_what_cannot_be_reached_is_refused(sets: tuple[str, ...], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        load_scenario(GROW, ("until_ci.half_width=5%", *sets))
