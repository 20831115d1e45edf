"""Comparisons: every figure recomputed from the shipped queries, verdicts by rule."""

import re
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from fleet.errors import RunError
from fleet.report.comparisons import ONE_REPLICATION, compare
from fleet.report.figures import collect
from fleet.report.histories import are_twins
from fleet.report.intervals import Events, Units, score, t_quantile
from fleet.report.levels import level
from fleet.report.margins import margins_of
from fleet.report.metrics import METRICS, RELATIVE, Metric
from fleet.report.terminal import print_report
from fleet.report.totals import total
from fleet.report.versus import over, print_comparisons
from fleet.scenario.verdicts import Margins
from queries.catalog import Catalog
from queries.shipped import find
from tests.log.example import ARMS, make_units, memory_catalog
from tests.report.compared import twin_runs

Row = dict[str, Any]
KEYS = {
    "metric", "label", "role", "unit", "kind", "estimand", "arm_a", "arm_b", "a", "b",
    "difference", "relative", "low", "high", "method", "n", "n_unit", "margin", "more_is_better",
    "verdict", "p_value", "p_holm", "discordant", "note", "query", "survives", "ages", "rests_on",
    "rests_on_what", "cautious",
}  # fmt: skip


@pytest.fixture(scope="module")
def figures() -> Row:
    return collect(memory_catalog(make_units()))


def test_every_metric_is_compared_with_every_arm(figures: Row) -> None:
    found = [(r["metric"], r["estimand"], r["arm_b"]) for r in figures["comparisons"]]
    assert found == [(m.name, m.estimand, arm) for m in METRICS for arm in ARMS[1:]]
    for row in figures["comparisons"]:
        assert set(row) == KEYS
        assert row["arm_a"] == ARMS[0]


def test_figures_are_recomputed_from_the_shipped_queries(figures: Row) -> None:
    catalog = memory_catalog(make_units())
    metrics = {(m.name, m.estimand): m for m in METRICS}
    names = dict.fromkeys(row["query"] for row in figures["comparisons"])
    with catalog.session():
        answers = {name: find(name).run(catalog).to_pylist() for name in names}
    for row in figures["comparisons"]:
        metric = metrics[row["metric"], row["estimand"]]
        rows = answers[row["query"]]
        for side in ("a", "b"):
            mine = [r for r in rows if r["arm"] == row[f"arm_{side}"]]
            per = sum(r[metric.per] for r in mine) if metric.per else len(mine)
            value = sum(r[metric.over] for r in mine) / per / metric.scale
            if metric.test == "level":
                value = median(r[metric.over] for r in mine)
            assert row[side] == pytest.approx(value, rel=1e-12), row["label"]
            assert row["n"] == len([r for r in mine if not metric.per or r[metric.per]])
        assert row["difference"] == pytest.approx(row["b"] - row["a"], rel=1e-12), "also of two"
        share = margins_of(None)[metric.margin]
        relative = metric.margin in RELATIVE
        assert row["margin"] == pytest.approx(share * abs(row["a"]) if relative else share)
        if row["discordant"]:
            name = "paired_mishaps" if metric.mishap else "paired_outcomes"
            pairs = find(name).run(catalog, {"kind": metric.pairing or ""}).to_pylist()
            (pair,) = [p for p in pairs if (p["arm_a"], p["arm_b"]) == (ARMS[0], row["arm_b"])]
            assert row["discordant"] == {"only_a": pair["only_a"], "only_b": pair["only_b"]}
        if metric.name == "removal_time":
            pairs = find("paired_times").run(catalog, {"kind": metric.kind or ""}).to_pylist()
            (pair,) = [p for p in pairs if (p["arm_a"], p["arm_b"]) == (ARMS[0], row["arm_b"])]
            a, b = (Units([r["time_ns"] for r in rows if r["arm"] == row[arm] and r["timed"]],
                          [r["timed"] for r in rows if r["arm"] == row[arm] and r["timed"]])
                    for arm in ("arm_a", "arm_b"))  # fmt: skip
            found = score(a, b, Events(pair["sooner_ns"], pair["later_ns"], pair["jump_ns"]))
            assert (row["low"], row["high"], row["n"]) == (found.low, found.high, len(a.x))
            netted = (pair["later_ns"] - pair["sooner_ns"]) / pair["pairs"]
            assert row["difference"] == pytest.approx(netted, rel=1e-9), "the same requests"


def test_intervals_of_totals_are_recomputed_from_the_shipped_queries(figures: Row) -> None:
    catalog = memory_catalog(make_units())
    tried: set[str] = set()
    for row in figures["comparisons"]:
        metric = next(
            m for m in METRICS if (m.name, m.estimand) == (row["metric"], row["estimand"])
        )
        if metric.test in ("paired", "times") or row["method"] == "3/n":
            continue
        tried.add(metric.test)
        rows = find(row["query"]).run(catalog).to_pylist()
        whole, rests_on = 0.0, None
        if metric.test == "moves":
            moves = find("paired_moves").run(catalog, {"kind": metric.kind or ""}).to_pylist()
            (pair,) = [p for p in moves if (p["arm_a"], p["arm_b"]) == (ARMS[0], row["arm_b"])]
            unit = metric.name.removeprefix("offline_")
            whole = pair[f"whole_{unit}"]
            rests_on = (pair[f"less_{unit}"] + pair[f"more_{unit}"]) / whole
            netted = (pair[f"more_{unit}"] - pair[f"less_{unit}"]) / pair["pairs"]
            assert row["difference"] == pytest.approx(netted, rel=1e-9), "the same requests"
        a, b = (units_of(metric, rows, row[arm]) for arm in ("arm_a", "arm_b"))
        found = level(a, b) if metric.test == "level" else total(a, b, whole)
        bounds = [None if v is None else v / metric.scale for v in (found.low, found.high)]
        assert [row["low"], row["high"]] == bounds, row["label"]
        differ = sum(x != y for x, y in zip(a.x, b.x, strict=True))
        assert row["rests_on"] == (differ if rests_on is None else rests_on)
        known = found.low is not None and found.low != found.high
        enough = 6 if metric.test == "moves" else min(6, len(a.x))
        few = row["rests_on"] < enough and metric.test != "level"
        assert row["cautious"] == (known and few)
    assert tried == {"moves", "mean", "level"}


def units_of(metric: Metric, rows: list[Row], arm: str) -> Units:
    mine = [r for r in rows if r["arm"] == arm and (not metric.per or r[metric.per])]
    return Units([r[metric.over] for r in mine], [r[metric.per] if metric.per else 1 for r in mine])


def test_what_is_yes_or_no_has_discordant_counts_and_an_exact_test(figures: Row) -> None:
    paired = {row["metric"] for row in figures["comparisons"] if row["discordant"] is not None}
    assert paired == {"hang_rate", "pin_failures", "oom_kills"}
    found = find("replication_totals").run(memory_catalog(make_units())).to_pylist()
    shifted = 0
    for row in figures["comparisons"]:
        if row["metric"] in ("pin_failures", "oom_kills"):
            a, b = ([r[row["metric"]] for r in found if r["arm"] == row[arm]]
                    for arm in ("arm_a", "arm_b"))  # fmt: skip
            shifts = [y - x for x, y in zip(a, b, strict=True)]
            shifted += any(shifts)
            if any(shifts):  # of two replications no assignment of signs is rarer than a half
                assert row["p_value"] == pytest.approx(0.5) or row["p_value"] == 1.0, row
    assert shifted


def test_one_replication_has_no_interval_and_says_why() -> None:
    units = {key: unit for key, unit in make_units().items() if key[1] == 0}
    for row in collect(memory_catalog(units))["comparisons"]:
        if row["estimand"] == "probe":
            assert row["low"] is not None or row["n"] < 2 or "same amount" in row["note"]
        else:
            assert (row["low"], row["high"], row["p_value"], row["p_holm"]) == (None,) * 4
            assert (row["note"], row["verdict"]) == (ONE_REPLICATION, "undecided")


def totals(arm: str, values: list[int], column: str = "pin_bytes") -> list[Row]:
    """Rows of ``replication_totals`` in which only one column is of interest."""
    zero = {
        name: 0
        for metric in METRICS if metric.estimand != "probe"
        for name in (metric.over, metric.per) if name
    }  # fmt: skip
    common = {**zero, "pin_p99_ns": None, "headroom_pages": None, "workloads": 1000}
    return [{"arm": arm, "rep": i, **common, column: v} for i, v in enumerate(values)]


def judged(a: list[int], b: list[int], column: str, metric: str, **margins: float) -> Row:
    rows = totals("a", a, column) + totals("b", b, column)
    units = {"probe_clusters": [], "replication_totals": rows}
    found = compare([("a", "b")], units, {}, {**margins_of(None), **margins})
    (row,) = [r for r in found if r["metric"] == metric]
    return row


def test_a_level_is_that_of_the_middle_replication() -> None:
    """One replication far off changes neither its values nor what they differ by."""
    a, b = [100, 110, 120, 130, 140, 150, 160], [90, 90, 100, 120, 120, 130, 10**6]
    row = judged(a, b, "pin_p99_ns", "pin_latency")
    assert (row["a"], row["b"], row["difference"]) == (130, 120, -20), "not the middles' difference"
    assert (row["low"], row["high"], row["relative"]) == (-20, 10**6 - 160, -20 / 130)
    assert (row["verdict"], row["cautious"]) == ("undecided", False)
    assert row["p_value"] == pytest.approx(2 * (1 + 7) / 2**7)


@pytest.mark.parametrize(
    ("b", "verdict"),
    [
        ([100, 101, 102, 103, 104, 101], "equivalent"),
        ([60, 63, 61, 64, 60, 62], "better"),
        ([160, 163, 161, 164, 160, 162], "worse"),
        ([60, 163, 91, 114, 120, 99], "undecided"),
    ],
)
def test_verdicts(b: list[int], verdict: str) -> None:
    a = [100, 100, 103, 104, 101, 102]
    assert judged(a, b, "pin_p99_ns", "pin_latency")["verdict"] == verdict
    turned = {"better": "worse", "worse": "better"}
    assert judged(a, b, "headroom_pages", "headroom")["verdict"] == turned.get(verdict, verdict)


def test_nothing_at_all_shows_the_bound() -> None:
    row = judged([0] * 4, [0] * 4, "oom_kills", "oom_kills")
    assert (row["low"], row["high"]) == (-3 / 4000, 3 / 4000)
    assert (row["verdict"], row["method"], row["note"]) == ("equivalent", "3/n", "none in 4,000")
    assert judged([0] * 4, [0] * 4, "oom_kills", "oom_kills", oom_kills=1e-4)["verdict"] == (
        "undecided"
    )


DEADLINE = 5 * 10**9


def timed(b: list[int], changes: dict[str, int], arms: tuple[str, str] = ("a", "b")) -> Row:
    """Compare times of 100 removals in four replications of 25, which were instant under ``a``."""
    rows = totals("a", [0] * 4, "time_ns") + totals("b", b, "time_ns")
    rows = [row | {"requests": 25, "timed": 25} for row in rows]
    units = {"probe_clusters": [], "replication_totals": rows}
    pair = {"arm_a": arms[0], "arm_b": arms[1], "pairs": 100, **changes}
    found = compare([("a", "b")], units, {"paired_times": {"removal": [pair]}}, margins_of(None))
    (row,) = [r for r in found if r["metric"] == "removal_time"]
    return row


def test_a_time_that_rests_on_hangs_is_as_sure_as_their_number() -> None:
    """Four removals that waited to their deadline: the interval of four hangs, times it."""
    times = [DEADLINE, DEADLINE, 0, 2 * DEADLINE]
    row = timed(times, {"sooner_ns": 0, "later_ns": 4 * DEADLINE, "jump_ns": DEADLINE})
    found = score(Units([0] * 4, [25] * 4), Units([1, 1, 0, 2], [25] * 4), Events(0, 4))
    assert found.low is not None
    assert found.high is not None
    expected = (found.low * DEADLINE, found.high * DEADLINE)
    assert (row["low"], row["high"]) == pytest.approx(expected, rel=1e-9)
    assert row["method"] == found.method
    turned = timed(times, {"sooner_ns": 4 * DEADLINE, "later_ns": 0, "jump_ns": DEADLINE},
                   ("b", "a"))  # fmt: skip
    assert (turned["low"], turned["high"]) == (row["low"], row["high"])


def hung(b: list[int], only_a: int, only_b: int) -> Row:
    """Compare removals that hung in six replications of 25; one hung in each under ``a``."""
    rows = totals("a", [1] * 6, "hung") + totals("b", b, "hung")
    units = {"probe_clusters": [], "replication_totals": [r | {"requests": 25} for r in rows]}
    pair = {"arm_a": "a", "arm_b": "b", "pairs": 150, "only_a": only_a, "only_b": only_b}
    paired = {"paired_outcomes": {"removal": [pair]}}
    found = compare([("a", "b")], units, paired, margins_of(None))
    (row,) = [r for r in found if r["metric"] == "hang_rate"]
    return row


@pytest.mark.parametrize(("b", "hangs"), [([0, 0, 0, 0, 0, 1], 5), ([0, 0, 0, 0, 0, 0], 6)])
def test_fewer_than_six_requests_are_said_to_be_few(
    b: list[int], hangs: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five of one kind are p 0.0625 to the exact test, six 0.03125: the first that can decide."""
    row = hung(b, hangs, 0)
    few = hangs < 6
    assert (row["rests_on"], row["cautious"]) == (hangs, few)
    assert (row["p_value"] < 0.05) == (not few)
    print_comparisons({"comparisons": [row]}, {"a": "A", "b": "B"})
    shown = " ".join(capsys.readouterr().out.split())
    assert ("~ removals that hung" in shown) == few
    assert ("as few as 5 requests that hung under one arm alone" in shown) == few


def moved(b: list[int], **sums: int) -> Row:
    """Compare what 25 removals in each of four replications moved; 100 under ``a``."""
    rows = totals("a", [100] * 4, "offline_bytes") + totals("b", b, "offline_bytes")
    units = {"probe_clusters": [], "replication_totals": [r | {"requests": 25} for r in rows]}
    pair = {"arm_a": "a", "arm_b": "b", "pairs": 100, "less_ns": 0, "more_ns": 0, "whole_ns": 0}
    paired = {"paired_moves": {"removal": [{**pair, **sums}]}}
    found = compare([("a", "b")], units, paired, margins_of(None))
    (row,) = [r for r in found if r["metric"] == "offline_bytes"]
    return row


def test_bytes_reach_as_far_as_a_whole_move_that_was_not_seen() -> None:
    known = moved([100, 102, 100, 101], less_bytes=0, more_bytes=3, whole_bytes=40)
    plain = moved([100, 102, 100, 101], less_bytes=0, more_bytes=3, whole_bytes=0)
    assert known["cautious"]
    assert known["rests_on"] == 3 / 40
    assert known["high"] > plain["high"] + 40 * 3 / 100
    assert known["p_value"] == plain["p_value"], "it says nothing of whether arms differ"


def test_bytes_that_never_differ_have_the_bound_of_their_number() -> None:
    row = moved([100] * 4, less_bytes=0, more_bytes=0, whole_bytes=40)
    bound = t_quantile(3) ** 2 * 40 / 100
    assert (row["low"], row["high"]) == pytest.approx((-bound, bound), rel=1e-9)
    assert row["cautious"]


def test_what_never_differs_is_said_to_be_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """No interval of 0 to 0: a few units in a hundred can differ all the same."""
    row = judged([100, 120, 90] * 4, [100, 120, 90] * 4, "headroom_pages", "headroom")
    assert (row["low"], row["high"], row["cautious"], row["rests_on"]) == (0.0, 0.0, False, 0)
    print_comparisons({"comparisons": [row]}, {"a": "A", "b": "B"})
    shown = " ".join(capsys.readouterr().out.split())
    assert "same in all 12" in shown
    assert "0 to 0" not in shown
    assert "fewer than 3/n of the units can differ" in shown


def test_times_that_never_differ_are_the_same() -> None:
    row = timed([0] * 4, {"sooner_ns": 0, "later_ns": 0, "jump_ns": 0})
    assert (row["low"], row["high"], row["p_value"]) == (0.0, 0.0, 1.0)
    assert "same in both arms" in row["note"]


def test_a_primary_verdict_has_to_survive_holm() -> None:
    rows = []
    for arm, values in {"a": [100, 140, 90, 120], "b": [160, 170, 130, 210],
                        "c": [100, 150, 80, 120], "d": [150, 101, 120, 90]}.items():  # fmt: skip
        rows += totals(arm, values)
    units = {"probe_clusters": [], "replication_totals": rows}
    alone = compare([("a", "b")], units, {}, margins_of(None))
    many = compare([("a", "b"), ("a", "c"), ("a", "d")], units, {}, margins_of(None))
    first = [next(r for r in found if r["metric"] == "pin_bytes") for found in (alone, many)]
    assert [r["low"] > 0 for r in first] == [True, True]
    assert [r["verdict"] for r in first] == ["worse", "undecided"]
    assert "Holm" in first[1]["note"]


def test_margins_are_the_scenarios(tmp_path: Path) -> None:
    assert margins_of(tmp_path) == margins_of(None) == Margins.model_validate({}).shares()
    (tmp_path / "scenario.resolved.yaml").write_text("margins: {hang_rate: 2.5%}\n")
    assert margins_of(tmp_path) == {**margins_of(None), "hang_rate": 0.025}
    (tmp_path / "scenario.resolved.yaml").write_text("margins: {hang_rate: 3}\n")
    with pytest.raises(RunError, match="margins cannot be read"):
        margins_of(tmp_path)


def test_the_terminal_fits_and_says_all(figures: Row, capsys: pytest.CaptureFixture[str]) -> None:
    print_report(figures)
    lines = capsys.readouterr().out.splitlines()
    start = lines.index(f"B against A: {ARMS[1]}")
    assert max(map(len, lines[start:])) <= 100
    shown = "\n".join(lines[start:])
    for metric in METRICS:
        found = re.findall(rf"^[ ~] {metric.label}  ", shown, re.MULTILINE)
        assert len(found) == len(ARMS) - 1, metric.label


def test_verdicts_survive_ageing_or_not(tmp_path: Path) -> None:
    """Two runs that differ in age alone: compared within, and told whether both agree."""
    catalog = Catalog.open(twin_runs(tmp_path))
    rows = collect(catalog)["comparisons"]
    labels = list(catalog.arms)
    assert {(r["arm_a"], r["arm_b"]) for r in rows} == {
        (labels[0], labels[1]), (labels[0], labels[2]),
        (labels[3], labels[4]), (labels[3], labels[5]),
    }  # fmt: skip
    hangs = [r for r in rows if (r["metric"], r["kind"]) == ("hang_rate", "probe")]
    assert [r["verdict"] for r in hangs] == ["undecided", "undecided", "better", "better"]
    assert {r["survives"] for r in hangs} == {False}
    assert hangs[0]["ages"] == "fresh: undecided, aged (deep): better"
    same = [r for r in rows if r["metric"] == "flow_seconds"]
    assert {r["survives"] for r in same} == {True}
    assert any(r["ages"] == "holds fresh and aged (deep)" for r in same), same


def test_runs_that_differ_in_more_than_age_are_no_twins(tmp_path: Path) -> None:
    for name, text in {"a": "seed: 1\n", "b": "seed: 2\nage: {history: deep}\n"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "scenario.resolved.yaml").write_text(text)
    assert not are_twins([tmp_path / "a", tmp_path / "b"])
    assert not are_twins([tmp_path / "a"])


def test_what_intervals_are_over_is_said_once_per_unit() -> None:
    rows = [{"n": n, "n_unit": unit} for n, unit in
            ((513, "hosts"), (12, "replications"), (510, "hosts"))]  # fmt: skip
    assert over(rows) == "510 to 513 hosts and 12 replications"
    assert over(rows[1:2]) == "12 replications"
