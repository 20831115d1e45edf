"""The trials of the report's statistics: what they compute is what the report computes."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_rel

import fleet
from benchmarks.statistics import __main__ as script
from benchmarks.statistics import cells, trials
from benchmarks.statistics.population import (
    CHUNK,
    SETTINGS,
    SMALL,
    TOTALS,
    Population,
    files,
    make,
)
from fleet.report.evidence import of_moves, of_units
from fleet.report.intervals import Units
from fleet.report.metrics import METRICS
from fleet.report.stopping import narrow_enough
from fleet.run.looks import Look
from fleet.scenario.load import load_scenario


@pytest.fixture(scope="module")
def some() -> Population:
    """Sixty made-up replications of forty requests on five hosts, hangs that go together."""
    rng = np.random.default_rng(5)
    rate = rng.beta(1, 9, (60, 1))
    first = rng.random((60, 40)) < rate
    hung = np.array([first, first & (rng.random((60, 40)) < 0.6)])
    times = np.where(hung, 10**9, rng.integers(10**6, 10**7, hung.shape))
    host = rng.integers(0, 5, (60, 40))
    moved = np.where(rng.random((60, 40)) < 0.3, 2**22, 0) * ~hung
    totals = rng.integers(0, 9, (2, 60, len(TOTALS)))
    return Population(hung, times, moved, times * 3, host, totals, 0.0)


@pytest.mark.parametrize("by_host", [True, False])
@pytest.mark.parametrize("n", [3, 12])
def test_all_trials_at_once_are_the_reports_intervals(
    some: Population, by_host: bool, n: int
) -> None:
    rng = np.random.default_rng(1)
    arms = trials.paired(some, some.hung[0], some.hung[1], by_host)
    times = trials.paired(some, some.time_ns[0], some.time_ns[1], by_host)
    moves = trials.paired(some, some.moved_bytes[0], some.moved_bytes[1], by_host)
    totals = trials.of_totals(some.totals[0, :, 2], some.totals[1, :, 2])
    for pair in (arms.take(trials.drawn(rng, 60, n, 30)), trials.label_swaps(arms, rng, n)):
        trials.check(pair, trials.score_bounds, times=30)
    trials.check(times.take(trials.drawn(rng, 60, n, 30)), trials.score_bounds, times=30)
    trials.check(totals.take(trials.drawn(rng, 60, n, 30)), trials.level_bounds, times=30)
    for pair in (moves, times.without_wholes(), totals):
        trials.check(pair.take(trials.drawn(rng, 60, n, 30)), trials.total_bounds, times=30)
        trials.check(trials.label_swaps(pair, rng, n), trials.total_bounds, times=30)


@pytest.mark.parametrize("value", [0.0, -0.02, -0.05, 0.01])
def test_an_interval_misses_what_lies_outside_its_bounds(some: Population, value: float) -> None:
    arms = trials.paired(some, some.hung[0], some.hung[1], True)
    pair = arms.take(trials.drawn(np.random.default_rng(2), 60, 12, 200))
    assert trials.score_misses(pair, value) == trials.wrong(pair, value, trials.score_bounds)


@pytest.mark.parametrize("value", [0.0, -1e5, -8e5, 2e5])
def test_an_interval_of_totals_misses_what_lies_outside_its_bounds(
    some: Population, value: float
) -> None:
    moves = trials.paired(some, some.moved_bytes[0], some.moved_bytes[1], False)
    pair = moves.take(trials.drawn(np.random.default_rng(2), 60, 5, 200))
    missed = trials.total_misses(pair, value).mean()
    assert missed == trials.wrong(pair, value, trials.total_bounds)


def test_t_is_scipys(some: Population) -> None:
    pair = trials.of_totals(some.totals[0, :, 0], some.totals[1, :, 0])
    pair = pair.take(np.arange(20)[None, :])
    known = ttest_rel(pair.b.x[0], pair.a.x[0]).confidence_interval(0.95)
    low, high = trials.plain_t_bounds(pair)
    assert (low[0], high[0]) == pytest.approx((known.low, known.high), rel=1e-9)


def test_cautious_is_what_the_report_calls_so(some: Population) -> None:
    moves = trials.paired(some, some.moved_bytes[0], some.moved_bytes[1], False)
    plain = moves.without_wholes()
    seen = set()
    for pair in (moves, plain):
        taken = pair.take(trials.drawn(np.random.default_rng(3), 60, 4, 40))
        for row, few in enumerate(trials.cautious(taken)):
            whole = trials.whole_moves(taken)[0][row]
            sums = {"less_bytes": taken.down[row].sum(), "more_bytes": taken.up[row].sum(),
                    "whole_bytes": whole, "arm_a": "a", "arm_b": "b"}  # fmt: skip
            a, b = (Units(arm.x[row].tolist(), arm.n[row].tolist()) for arm in (taken.a, taken.b))
            bytes_ = next(m for m in METRICS if (m.name, m.kind) == ("offline_bytes", "removal"))
            paired = {"paired_moves": {"removal": [sums]}}
            found = (of_moves(bytes_, a, b, ("a", "b"), paired) if whole
                     else of_units(bytes_, a, b, is_exact=False))  # fmt: skip
            same = found.interval.low is not None and found.interval.low == found.interval.high
            assert (found.is_cautious or same) == few
            seen.add((bool(whole), found.is_cautious))
    assert len(seen) >= 3


def test_cells_of_few_units_have_more_trials(some: Population) -> None:
    arms = trials.paired(some, some.hung[0], some.hung[1], False)
    hosts = trials.paired(some, some.hung[0], some.hung[1], True)
    assert trials.trials_of(arms, 10) == 40_000
    assert trials.trials_of(hosts, 10) == 8_000
    assert trials.trials_of(hosts, 100) == trials.TRIALS


def test_a_wrong_bound_is_noticed(some: Population) -> None:
    pair = trials.paired(some, some.hung[0], some.hung[1], False)
    pair = pair.take(trials.drawn(np.random.default_rng(1), 60, 9, 5))
    with pytest.raises(AssertionError):
        trials.check(pair, off_by_one)


def off_by_one(pair: trials.Pair) -> tuple[trials.Array, trials.Array]:
    low, high = trials.total_bounds(pair)
    return low + 0.01, high


def test_thinning_keeps_the_known_part_and_repeats() -> None:
    hung = np.ones((100, 80), bool)
    kept = trials.thinned(hung)
    assert kept.mean() == pytest.approx(trials.KEPT_MILLIONTHS / 10**6, abs=0.015)
    assert np.array_equal(kept, trials.thinned(hung))


def test_labels_do_not_matter_to_a_trial_without_difference(some: Population) -> None:
    arms = trials.paired(some, some.hung[0], some.hung[1], False)
    swapped = trials.label_swaps(arms, np.random.default_rng(3), 30)
    assert abs(swapped.difference) < 0.005
    assert trials.wrong(swapped, 0.0, trials.score_bounds) == pytest.approx(0.05, abs=0.02)


def test_growing_stops_where_the_interval_is_narrow(some: Population) -> None:
    arms = trials.paired(some, some.hung[0], some.hung[1], False)
    taken = arms.take(trials.drawn(np.random.default_rng(4), 60, 60, 40))
    counts = trials.until(taken, 1, 0.02)
    assert counts.min() >= 10
    assert (counts < 60).sum() >= 5
    for row in np.flatnonzero(counts < 60):
        widths = [np.subtract(*trials.score_bounds(taken.first(n))[::-1])[row] / 2
                  for n in range(10, counts[row] + 1)]  # fmt: skip
        assert [width <= 0.02 for width in widths] == [False] * (len(widths) - 1) + [True]


def test_growing_stops_where_the_run_stops(some: Population) -> None:
    """The trials' rule and the product's, on the same replications with hosts as units."""
    arms = trials.paired(some, some.hung[0], some.hung[1], True)
    rows = np.arange(60)[None, :]
    (count,) = trials.until(arms.take(rows), 5, 0.025)
    enough = narrow_enough(0.025)
    looks = [{"a": look(some, 0, rep), "b": look(some, 1, rep)} for rep in range(60)]
    assert 2 < count < 60
    assert [enough(looks[:n]) for n in range(2, count + 1)] == [False] * (count - 2) + [True]


def look(some: Population, arm: int, rep: int) -> Look:
    """Return what a run looks at: requests by host, and the host of every hang."""
    host = some.host[rep].tolist()
    hung = np.flatnonzero(some.hung[arm, rep]).tolist()
    return Look(dict(Counter(host)), {request: host[request] for request in hung})


def test_a_trial_that_stopped_is_the_shorter_trial(some: Population) -> None:
    arms = trials.paired(some, some.hung[0], some.hung[1], True)
    taken = arms.take(trials.drawn(np.random.default_rng(6), 60, 9, 20))
    stopped = trials.stopped(taken, np.full(20, 4), 5)
    for bounds in (trials.score_bounds, trials.t_bounds):
        np.testing.assert_allclose(bounds(stopped), bounds(taken.first(20)), atol=1e-12)


def test_rows_are_kept_until_their_population_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting, made, told = SETTINGS[0], [], list[str]()
    (part,) = files(tmp_path, setting, CHUNK, 1)
    part.write_bytes(b"first")

    def rows(*_: object) -> list[tuple[str, ...]]:
        made.append(part.read_bytes())
        return [(str(len(made)),)]

    monkeypatch.setattr(script, "load", lambda *_: None)
    monkeypatch.setattr(script, "SECTIONS", {"hangs": rows})
    for _ in range(2):
        found = script.rows_of(tmp_path, setting, 1, CHUNK, told.append)
        assert found == {"hangs": [(setting.name, "1")]}
    part.write_bytes(b"second")
    found = script.rows_of(tmp_path, setting, 1, CHUNK, told.append)
    assert found == {"hangs": [(setting.name, "2")]}
    assert made == [b"first", b"second"]
    assert told == [f"{setting.name}: hangs"] * 2


def test_the_tables_replace_what_stands_below_the_mark(tmp_path: Path) -> None:
    docs = tmp_path / "statistics.md"
    docs.write_text(f"words\n\n{script.MARK}\nold\n")
    rows = {name: [tuple("x" * len(heads))] for name, (_, heads) in script.TABLES.items()}
    script.write(docs, script.tables([rows, rows]))
    text = docs.read_text()
    assert text.startswith(f"words\n\n{script.MARK}\n## Populations")
    assert "old" not in text
    for title, heads in script.TABLES.values():
        table = text.split(f"## {title}\n")[1].split("\n## ")[0]
        assert [cell.strip() for cell in table.splitlines()[1].strip("|").split("|")] == list(heads)
        assert table.count("\n| x") == 2


def test_every_section_has_a_table() -> None:
    assert set(cells.SECTIONS) == set(script.TABLES)


def test_the_cells_of_a_population_fill_their_columns(
    some: Population, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "TRIALS", 40)
    monkeypatch.setattr(trials, "UNITS", 400)
    monkeypatch.setattr(cells, "UNTIL_TRIALS", {"probe": 40, "removal": 40})
    for setting in (SETTINGS[0], SETTINGS[3]):
        for section, tried in cells.SECTIONS.items():
            rows = tried(setting, some)
            assert all(len(row) + 1 == len(script.TABLES[section][1]) for row in rows), section
            assert bool(rows) == (section != "fixed" or setting.name == cells.STEPS[0])


@pytest.mark.slow
def test_totals_are_those_of_the_shipped_queries(tmp_path: Path) -> None:
    """A campaign with kills, failed pins and hangs, by the engine's rows and by its event log."""
    setting = SETTINGS[5]
    scenario = load_scenario(str(SMALL), (*setting.sets, "replications=2"))
    found = make(setting, range(2))
    run = fleet.simulate(scenario, out=tmp_path / "run", inline=True)
    totals = run.query("replication_totals").arrow().to_pylist()
    assert len(totals) == len(scenario.arms) * 2
    for row in totals:
        arm = scenario.arms.index(row["arm"])
        kept = dict(zip(TOTALS, found.totals[arm, row["rep"]].tolist(), strict=True))
        assert kept == {name: row[name] for name in TOTALS}
        sums = found.hung, found.moved_bytes, found.unavailable_ns
        names = ("hung", "offline_bytes", "unavailable_ns")
        for values, name in zip(sums, names, strict=True):
            assert int(values[arm, row["rep"]].sum()) == row[name], name
    assert found.totals[2, :, TOTALS.index("oom_kills")].all()


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS[1::3], ids=lambda s: s.name)
def test_populations_repeat(setting: object) -> None:
    first, again = (make(setting, range(1, 3)) for _ in range(2))  # type: ignore[arg-type]
    assert np.array_equal(first.hung, again.hung)
    assert np.array_equal(first.time_ns, again.time_ns)
    assert first.hung.any()
    assert CHUNK >= 2


def test_the_docs_have_the_tables() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "statistics.md").read_text()
    assert all(setting.name in text for setting in SETTINGS)
