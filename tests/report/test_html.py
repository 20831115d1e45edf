"""The page: every number is a shipped query's, findings are true, nothing of a run is markup."""

import json
import re
import tomllib
from collections.abc import Callable
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from engine.costs import MODELS
from fleet.cli.app import main
from fleet.log.tables import TABLES
from fleet.report import units
from fleet.report.figures import collect
from fleet.report.html import forms
from fleet.report.html.arms import arms_of
from fleet.report.html.charts.blockers import CLASSES
from fleet.report.html.charts.damage import classes
from fleet.report.html.charts.offline_curve import axis_of
from fleet.report.html.comparisons import p_value
from fleet.report.html.page import page
from fleet.report.html.render import FOLDER
from fleet.report.html.scale import clock, counts, shares, short, sizes, times
from fleet.report.verdict import verdict
from queries.catalog import Catalog
from queries.shipped import find
from tests.log.example import ARMS, Unit, make_units, memory_catalog, write_run
from tests.marks import first_quick
from tests.report.compared import comparisons, twin_runs
from tests.report.pages import Page

ROOT = Path(__file__).resolve().parents[2]
Units = dict[tuple[str, int], Unit]
SPELLED = {unit: (forms.signed(unit), forms.width(unit)) for unit in forms.FORMS}
FORMS: dict[str, Callable[[Any], str]] = {
    **{name: getattr(units, name) for name in ("count", "size", "pages", "time", "percent",
                                               "points", "digits")},
    **{form.__name__: form for pair in SPELLED.values() for form in pair},
    **{form.__name__: form for form in (forms.later, forms.bound, p_value)},
}  # fmt: skip
SPELLED_ELSEWHERE = {"tick", "name", "chip", "code", "pre", "title", "dl", "costs", "runs", "style",
                     "script", "h1", "legend", "method"}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def written(folder: Path) -> bytes:
    return made(Catalog.open([folder]))


def made(catalog: Catalog) -> bytes:
    return page(catalog, collect(catalog))


def removals_only(units: Units) -> None:
    for unit in units.values():
        unit["requests"] = [row for row in unit["requests"] if row["kind"] == "removal"]


def without(*tables: str) -> Callable[[Units], None]:
    def change(units: Units) -> None:
        for unit in units.values():
            for table in tables or tuple(unit):
                unit[table] = []

    return change


def no_hangs(units: Units) -> None:
    for unit in units.values():
        for row in unit["requests"]:
            row["reset"] = False
            row["outcome"] = "offlined"
            row["ended_ns"] = row["issued_ns"] + 10**9


CASES: dict[str, Callable[[Units], None]] = {
    "as it is": lambda units: None,  # noqa: ARG005
    "removals only": removals_only,
    "no requests": without("requests", "attempts", "blockers"),
    "no pins": without("pins", "migrations"),
    "no samples": without("host_samples"),
    "no incidents": without("incidents"),
    "nothing": without(),
    "no hangs": no_hangs,
}


def test_comparisons_are_shown_as_they_are() -> None:
    catalog = memory_catalog(make_units())
    figures = collect(catalog) | {"comparisons": comparisons()}
    data = page(catalog, figures)
    read = Page.parse(data)
    compared = comparisons()
    shown: dict[int, set[str]] = {}
    for number in read.numbers:
        if number.origin.startswith("comparisons#"):
            row, _, column = number.origin.partition("#")[2].partition(".")
            value: Any = compared[int(row)]
            for key in column.split("."):
                value = value[key]
            shown.setdefault(int(row), set()).add(column)
            assert number.value == json.dumps(value), number
            assert number.text == FORMS[number.attributes["data-as"]](value), number
    for i, made_up in enumerate(compared):
        known = {"low", "high"} if made_up["low"] is not None else set()
        wanted = {"b", "difference"} | known
        assert wanted <= shown[i]
    verdicts = re.findall(r'class="verdict is-([\w-]+)"', data.decode())
    assert {word: verdicts.count(word) for word in set(verdicts)} == {
        "better": 1, "undecided": 1, "worse": 6, "no-interval": 6
    }  # fmt: skip
    assert "there is no interval" in read.text("method")


def ask_again(catalog: Catalog, asked: set[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the answers of shipped queries, ``hang_rate?kind=probe`` and the like."""
    answers = {}
    with catalog.session():
        for question in sorted(asked):
            name, *given = question.split("?")
            found = find(name).run(catalog, dict(pair.split("=") for pair in given))
            answers[question] = found.to_pylist()
    return answers


@pytest.mark.parametrize("case", first_quick(CASES, 2))
def test_every_number_is_a_shipped_querys(case: str) -> None:
    units = make_units()
    CASES[case](units)
    catalog = memory_catalog(units)
    read = Page.parse(made(catalog))
    asked_for = [n for n in read.numbers if not n.origin.startswith("comparisons#")]
    answers = ask_again(catalog, {number.origin.split("#")[0] for number in asked_for})
    for number in asked_for:
        asked, row, column = re.split("[#.]", number.origin)
        value = answers[asked][int(row)][column]
        told = "" if value is None else value if isinstance(value, str) else json.dumps(value)
        assert number.value == told, number
        if number.tag == "data":
            assert number.text == FORMS[number.attributes["data-as"]](value), number
    assert len(answers) > (8 if case != "nothing" else -1)
    rest = [(under, text) for under, text in read.pieces if not under & SPELLED_ELSEWHERE]
    loose = {word for _, text in rest for word in re.findall(r"\S*\d\S*", text)}
    assert loose <= {"95", "p99:", "p99", "99", "10", "%"}, loose


def test_the_verdict_leads(folder: Path, written: bytes) -> None:
    assert Page.parse(written).text("h1") == verdict(collect(Catalog.open([folder])))


def test_same_run_same_bytes(written: bytes, tmp_path: Path) -> None:
    assert made(Catalog.open([write_run(tmp_path)])) == written


def test_nothing_is_fetched_from_anywhere(written: bytes) -> None:
    text = written.decode()
    assert re.findall(r"(?:src|href|srcset|action|poster)\s*=", text) == []
    assert set(re.findall(r"url\([^)]*\)", text)) == {"url(#hatch)", "url(#cross)"}
    assert "@import" not in text
    assert "//" not in text.replace(" // ", "")


HOSTILE = ["<script>alert(1)</script>", '"><img src=x>', "</pre>&amp;"]


@pytest.mark.parametrize("hostile", first_quick(HOSTILE))
def test_what_comes_from_a_run_is_text(tmp_path: Path, hostile: str, monkeypatch: Any) -> None:
    folder = write_run(tmp_path)
    (folder / "scenario.resolved.yaml").write_text(
        f"name: example\nhorizon: 1h\nprofile: {json.dumps(hostile)}\n"
    )
    catalog = Catalog.open([folder])
    catalog.runs[0].run["name"] = hostile
    data = made(catalog)
    assert hostile.encode() not in data
    read = Page.parse(data)
    assert hostile in read.text("dl")
    assert data.count(b"<script") == 1
    monkeypatch.setattr(catalog, "arms", (hostile, *ARMS[1:]))


def test_costs_are_those_of_the_run(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    for name in ("default", "lab-6.1"):
        model = MODELS[name]
        (folder / "scenario.resolved.yaml").write_text(f"name: example\ncosts: {name}\n")
        told = Page.parse(made(Catalog.open([folder]))).text("costs")
        for cost in model.figures:
            assert f"{model.figure(cost).ns:,}" in told
            assert model.figure(cost).source in told


def test_every_class_of_blocker_has_its_words() -> None:
    words = next(c.values for c in TABLES["blockers"].columns if c.name == "class")
    assert set(CLASSES) == set(words)


def test_one_arm(tmp_path: Path) -> None:
    units = {key: unit for key, unit in make_units().items() if key[0] == ARMS[0]}
    read = Page.parse(made(Catalog.open([write_run(tmp_path, units, arms=ARMS[:1])])))
    assert ARMS[0] in read.text("h3")
    assert "baseline" not in read.text("arms")


def test_several_runs(tmp_path: Path) -> None:
    folders = [write_run(tmp_path), write_run(tmp_path, name="other")]
    read = Page.parse(made(Catalog.open(folders)))
    assert "other" in read.text("runs")
    assert len(set(read.ids)) == len(read.ids)


@pytest.mark.slow
def test_fresh_and_aged_runs_are_compared_side_by_side(tmp_path: Path) -> None:
    """Each run against its own baseline, and every verdict with the other run's."""
    for folders, age in (
        (twin_runs(tmp_path), "fresh"),
        (twin_runs(tmp_path / "again")[::-1], "aged"),
    ):
        catalog = Catalog.open(folders)
        figures = collect(catalog)
        text = page(catalog, figures).decode()
        section = text.split('<section id="comparisons">')[1].split("</section>")[0]
        assert re.findall(r"Each arm against (\w)", section) == ["A", "D"]
        told = [row["survives"] for row in figures["comparisons"]]
        assert section.count("holds fresh and aged") + section.count("holds aged") == (
            told.count(True)
        )
        assert section.count("fresh: ") == told.count(False) > 0
        lead = verdict(figures)
        assert (
            "fresh: undecided, aged (deep): better" in lead or "aged (deep): better, fresh" in lead
        )
        assert ("hangs least" in lead) == (age == "aged")
        assert ("It turns on the hosts' age: " in lead) == (age == "aged")


def test_an_empty_run_has_one_clear_line() -> None:
    units = make_units()
    without()(units)
    read = Page.parse(made(memory_catalog(units)))
    assert read.text("h1").startswith("Nothing was asked of the hosts")
    assert read.text("figure") == ""
    assert not {"comparisons", "guardrails"} & set(read.ids)


def test_each_chart_has_a_finding_and_its_query(written: bytes) -> None:
    text = written.decode()
    figures = re.findall(r"<figure.*?</figure>", text, re.DOTALL)
    assert len(figures) == 4 * 2 + 6
    for figure in figures:
        assert re.search(r"<h3>.+</h3>", figure, re.DOTALL)
        names = re.findall(r"<code>queries/(\w+)\.sql", figure)
        assert names
        used = set(re.findall(r'data-from="(\w+)', figure))
        assert used <= {find(name).name for name in names}
        assert 'aria-hidden="true"' in figure or "aria-label=" in figure or "nothing" in figure


def test_bars_are_as_long_as_their_values(written: bytes) -> None:
    figure = written.decode().split('id="failures"')[1].split("</figure>")[0]
    found = re.findall(r'<rect[^>]*width="([\d.]+)%"[^>]*data-value="(\d+)"', figure)
    assert found
    longest = max(int(value) for _, value in found)
    scale = counts(longest)
    for width, value in found:
        assert float(width) == pytest.approx(100 * int(value) / scale.high, abs=0.01)


@pytest.mark.parametrize(
    ("names", "shorts"),
    [
        (["a+x", "b+x"], ["a", "b"]),
        (["a+x", "a+y"], ["a+x", "a+y"]),
        (["a+x@s", "a+x"], ["a@s", "a"]),
        (["r:a+x", "q:a+x"], ["r:a", "q:a"]),
        (["r:a+x", "r:b+x"], ["a", "b"]),
        (["a+x"], ["a+x"]),
        (["odd", "a+x"], ["odd", "a+x"]),
    ],
)
def test_short_names(names: list[str], shorts: list[str]) -> None:
    assert [arm.short for arm in arms_of(names, names[0])] == shorts


@pytest.mark.parametrize("high", [0, 1, 3, 7, 99, 100, 101, 4096, 10**6 + 1, 7 * 2**40])
def test_axes_hold_their_values(high: int) -> None:
    for scale in (counts(high), sizes(high), clock(high)):
        assert scale.high >= high
        assert 2 <= len(scale.ticks) <= 7 or scale.high < 10**9
        assert scale.at(0) == 0.0
        assert len({text for _, text in scale.ticks}) == len(scale.ticks)


def test_large_counts_are_ticked_in_words() -> None:
    """Four numbers of nine digits do not fit under each other's bars on a phone."""
    assert [text for _, text in counts(121 * 10**6).ticks] == [
        "0", "50 million", "100 million", "150 million"
    ]  # fmt: skip
    assert [text for _, text in counts(1_900_000).ticks][-1] == "2,000,000"


@pytest.mark.parametrize(("low", "high"), [(1, 1), (5, 7), (3_510_000, 30 * 10**9), (10, 10**15)])
def test_time_axes_have_ticks(low: int, high: int) -> None:
    scale = times(low, high)
    assert 0 < scale.at(low) < scale.at(high) < 1 or low == high
    assert 1 <= len(scale.ticks) <= 7
    assert all(scale.low <= value <= scale.high for value, _ in scale.ticks)


def test_refusals_at_once_do_not_stretch_the_axis_of_the_curve() -> None:
    rows = [{"time_ns": 0, "offlined": 0}, {"time_ns": 3 * 10**7, "offlined": 5},
            {"time_ns": 10**9, "offlined": 0}]  # fmt: skip
    axis = axis_of(rows)
    assert 10**7 < axis.low < 3 * 10**7
    assert axis.at(0) == 0
    assert axis.at(10**9) < 1
    assert axis_of([{**row, "offlined": 0} for row in rows]).low < 1, "nothing went offline"


def test_share_axes_end_at_one() -> None:
    assert shares(1.0).ticks[-1] == (1.0, "100 %")
    assert shares(0.08).ticks[-1][1] == "8 %"
    assert shares(0.0).high > 0


@pytest.mark.parametrize(
    ("long", "brief"),
    [("1.50 GiB", "1.5 GiB"), ("10.0 %", "10 %"), ("1,000 ms", "1,000 ms"), ("0.250 s", "0.25 s"),
     ("100 us", "100 us"), ("2.00 h", "2 h")],
)  # fmt: skip
def test_ticks_are_brief(long: str, brief: str) -> None:
    assert short(long) == brief


@pytest.mark.parametrize("worst", [0, 1, 2, 3, 5, 6, 37, 1000])
def test_classes_of_damage_leave_no_gap(worst: int) -> None:
    ranges = classes(worst)
    assert 1 <= len(ranges) <= 5
    assert ranges[0][0] == 1
    assert ranges[-1][1] == max(worst, 1)
    for (_, end), (start, _) in pairwise(ranges):
        assert start == end + 1


def test_the_command_writes_it(folder: Path, written: bytes, tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "new" / "report.html"
    assert main(("report", str(folder), "--html", str(file))) == 0
    out, err = capsys.readouterr()
    assert file.read_bytes() == written
    assert out.startswith(verdict(collect(Catalog.open([folder])))[:40])
    assert err == f"{file}  {len(written) / 1024:,.0f} KiB\n"


def test_where_it_can_not_be_written(folder: Path, tmp_path: Path, capsys: Any) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("mine")
    for path, code in ((tmp_path, 2), (blocked / "report.html", 1)):
        assert main(("report", str(folder), "--html", str(path))) == code
        _, err = capsys.readouterr()
        assert str(path) in err
        assert len(err.splitlines()) == 1
    assert blocked.read_text() == "mine"


def test_templates_are_shipped() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = tools["package-data"]["fleet"]
    files = [path.relative_to(ROOT / "fleet").as_posix() for path in FOLDER.iterdir()]
    assert len(files) > 5
    assert [f for f in files if not any(fnmatch(f, pattern) for pattern in patterns)] == []
