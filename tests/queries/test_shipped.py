"""Headers say what the queries answer; answers do not depend on threads or file order."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binomtest, norm

from fleet.hosts.zones import zone_name
from queries import reference
from queries.catalog import MACROS, Catalog, QueryError
from queries.shipped import FOLDER, Query, find, parse, shipped
from tests.log.example import ARMS, Unit, make_units, memory_catalog, write_run

DOCS = Path(__file__).resolve().parents[2] / "docs"
QUERIES = sorted(shipped())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def catalog(folder: Path) -> Iterator[Catalog]:
    catalog = Catalog.open([folder])
    with catalog.session():
        yield catalog


@pytest.fixture(scope="module")
def by_threads(folder: Path) -> Iterator[list[Catalog]]:
    """The same run opened for one, two and four threads."""
    catalogs = [Catalog.open([folder]) for _ in range(3)]
    with ExitStack() as stack:
        for catalog, threads in zip(catalogs, (1, 2, 4), strict=True):
            stack.enter_context(catalog.session(threads))
        yield catalogs


@pytest.fixture(scope="module")
def backwards(catalog: Catalog) -> Iterator[Catalog]:
    """The same run with the files of every table in reverse order."""
    views = {
        table: reordered(view) if hasattr(view, "files") else view
        for table, view in catalog._views.items()
    }
    mixed = Catalog(catalog.runs, catalog.arms, catalog.columns, views)
    with mixed.session():
        yield mixed


@pytest.fixture(scope="module")
def shuffled(catalog: Catalog) -> Iterator[Catalog]:
    """The same run with the rows of every table in another order."""
    draws, views = np.random.default_rng(7), {}
    for table, view in catalog._views.items():
        rows = view if isinstance(view, pa.Table) else view.to_table()
        views[table] = rows.take(draws.permutation(rows.num_rows))
    mixed = Catalog(catalog.runs, catalog.arms, catalog.columns, views)
    with mixed.session():
        yield mixed


@pytest.fixture(scope="module")
def empty() -> Iterator[Catalog]:
    """A run of the same arms in which nothing was logged."""
    units: dict[tuple[str, int], Unit] = {
        key: {table: [] for table in unit} for key, unit in make_units().items()
    }
    catalog = memory_catalog(units)
    with catalog.session():
        yield catalog


@pytest.mark.parametrize("name", QUERIES)
def test_header_lists_the_columns_of_the_result(catalog: Catalog, name: str) -> None:
    query = shipped()[name]
    described = catalog.query(f"DESCRIBE {query.sql}", query.values({})).to_pylist()
    assert [row["column_name"] for row in described] == [column.name for column in query.columns]
    for row, column in zip(described, query.columns, strict=True):
        assert row["column_type"] in ("BIGINT", "INTEGER", "DOUBLE", "VARCHAR"), column
        if row["column_type"] == "DOUBLE":
            assert column.unit in ("share", "flow-s"), column


@pytest.mark.parametrize("name", QUERIES)
def test_header_lists_the_parameters_of_the_statement(name: str) -> None:
    query = shipped()[name]
    body = "\n".join(line for line in query.sql.splitlines() if not line.startswith("--"))
    assert set(re.findall(r"\$(\w+)", body)) == {p.name for p in query.parameters}
    for parameter in query.parameters:
        assert parameter.value(str(parameter.default)) == parameter.default


@pytest.mark.parametrize("name", QUERIES)
def test_an_answer_is_in_a_stated_order(name: str) -> None:
    assert "\nORDER BY" in shipped()[name].sql.rsplit("FROM", 1)[-1]


@pytest.mark.parametrize("name", QUERIES)
def test_answers_do_not_depend_on_threads(by_threads: list[Catalog], name: str) -> None:
    query = shipped()[name]
    answers = [query.run(one) for one in by_threads]
    assert answers[0].equals(answers[1])
    assert answers[0].equals(answers[2])


@pytest.mark.parametrize("name", QUERIES)
def test_answers_do_not_depend_on_the_order_of_files(
    catalog: Catalog, backwards: Catalog, name: str
) -> None:
    query = shipped()[name]
    assert query.run(backwards).equals(query.run(catalog))


@pytest.mark.parametrize("name", QUERIES)
def test_answers_do_not_depend_on_the_order_of_rows(
    catalog: Catalog, shuffled: Catalog, name: str
) -> None:
    query = shipped()[name]
    choices = [{p.name: choice} for p in query.parameters for choice in p.choices]
    for given in [{}, *choices]:
        assert query.run(shuffled, given).equals(query.run(catalog, given)), given


def reordered(view: Any) -> Any:
    """Return the same dataset with its files in reverse order."""
    import pyarrow.dataset as ds

    return ds.FileSystemDataset(
        list(view.get_fragments())[::-1], view.schema, view.format, view.filesystem
    )


@pytest.mark.parametrize("name", QUERIES)
def test_an_empty_run_is_answered(empty: Catalog, name: str) -> None:
    rows = shipped()[name].run(empty).to_pylist()
    if rows:
        assert list(dict.fromkeys(row["arm"] for row in rows)) == list(ARMS)


def test_fixed_columns_of_hang_rate() -> None:
    names = [column.name for column in shipped()["hang_rate"].columns]
    assert names == ["arm", "requests", "hung", "hang_rate", "low", "high"]


def test_zero_and_all_have_exact_ends(empty: Catalog) -> None:
    units = make_units()
    for (arm, _), unit in units.items():
        for row in unit["requests"]:
            row["reset"] = False
            row["outcome"] = "stuck" if arm == ARMS[0] else "offlined"
    rows = find("hang_rate").run(memory_catalog(units)).to_pylist()
    assert (rows[0]["hang_rate"], rows[0]["high"]) == (1.0, 1.0)
    assert (rows[1]["hang_rate"], rows[1]["low"]) == (0.0, 0.0)
    assert rows[0]["low"] == pytest.approx(1 - rows[1]["high"])
    none = find("hang_rate").run(empty).to_pylist()[0]
    assert (none["requests"], none["hang_rate"], none["low"], none["high"]) == (0, None, None, None)


@pytest.mark.parametrize(
    ("what", "column", "value"),
    [
        ("requests", "host", 77), ("requests", "first_block", 1), ("requests", "issued_ns", 1),
        ("requests", "nr_blocks", 5), ("requests", "deadline_ns", 10**15),
        ("workloads", "memory_pages", 1), ("workloads", "arrived_ns", 5),
        ("requests", None, None), ("workloads", None, None),
    ],
)  # fmt: skip
def test_pairing_sees_every_difference(what: str, column: str | None, value: int) -> None:
    units = make_units()
    rows = units[ARMS[1], 1][what]
    if column is None:
        del rows[4]
    else:
        rows[4][column] = value
    found = find("pairing").run(memory_catalog(units)).to_pylist()
    assert [(r["rep"], r["what"], r["id"]) for r in found] == [(1, what.removesuffix("s"), 4)]


def test_demands_lists_only_replications_that_differ() -> None:
    units = make_units()
    assert find("demands").run(memory_catalog(units)).num_rows == 0
    found = find("demands").run(memory_catalog(units, {(ARMS[1], 1): "other"})).to_pylist()
    assert found == [
        {"rep": 1, "demands": "as demanded", "arms": f"{ARMS[0]}, {ARMS[2]}"},
        {"rep": 1, "demands": "other", "arms": ARMS[1]},
    ]


Break = tuple[str, str, dict[str, Any], dict[str, Any]]
"""Rule, table, which row (its values), how it is changed; no change: the row is doubled."""

BREAKS: list[Break] = [
    ("an attempt belongs to a request on its host", "attempts", {}, {"host": 77}),
    ("a blocker belongs to an attempt of its request", "blockers", {}, {"attempt": 99_999}),
    ("a migration at pin belongs to a pin", "migrations", {"reason": "longterm_pin"},
     {"cause": 99_999}),
    ("a pin belongs to a workload", "pins", {}, {"workload": 99}),
    ("pages moved = folios of their order, bytes = 4096 x pages", "migrations", {}, {"bytes": 1}),
    ("pages moved = folios of their order, bytes = 4096 x pages", "migrations", {},
     {"folio_order": 9}),
    ("a migration at offline belongs to an attempt", "migrations",
     {"reason": "memory_hotplug"}, {"cause": None}),
    ("a slowdown at pin belongs to a pin", "slowdowns", {"reason": "longterm_pin"},
     {"cause": 99_999}),
    ("a slowdown at offline belongs to an attempt", "slowdowns", {"reason": "suspended"},
     {"cause": None}),
    ("a slowdown is of a workload of the plan", "slowdowns", {}, {"workload": 99}),
    ("a slowdown takes pages away at least once, for no negative time", "slowdowns", {},
     {"unmaps": 0}),
    ("an attempt takes pages away for as long as its slowdowns say", "slowdowns",
     {"reason": "memory_hotplug"}, {"unavailable_ns": 1}),
    ("an attempt takes pages away for as long as its slowdowns say", "attempts", {},
     {"unavailable_ns": 10**10}),
    ("a command is about a request or workload of the plan", "commands", {}, {"request": 99}),
    ("a command is about a request or workload of the plan", "commands", {}, {"workload": 99}),
    ("a request counts its attempts", "requests", {}, {"attempts": 9}),
    ("nothing ends before it begins", "attempts", {}, {"end_ns": -1}),
    ("nothing ends before it begins", "requests", {}, {"deadline_ns": -1}),
    ("free and pinned pages fit into the zone", "host_samples", {}, {"free_pages": 10**6}),
    ("every row of a host lies in the shard of the host", "host_samples", {}, {"shard": 7}),
    ("an incident hits a workload of the plan", "incidents", {}, {"workload": 99}),
    ("what went offline has an end and no errno", "requests", {"outcome": "offlined"},
     {"ended_ns": None}),
    ("what went offline has an end and no errno", "requests", {"outcome": "offlined"},
     {"errno": 16}),
    ("a request has exactly one outcome", "requests", {}, {}),
    ("a workload has one row", "workloads", {}, {}),
    ("an attempt has one row", "attempts", {}, {}),
    ("a host is listed once", "hosts", {}, {}),
    ("an incident has one row", "incidents", {}, {}),
    ("a command has one row", "commands", {}, {}),
    ("a zone is sampled once per host and time", "host_samples", {}, {}),
]  # fmt: skip


@pytest.mark.parametrize("start", range(0, len(BREAKS), 6))
def test_conservation_sees(start: int) -> None:
    """Break one rule in each of the six units; each must report its own."""
    units = make_units()
    keys = [key for key in units if key[0] != ARMS[0]] + [key for key in units if key[0] == ARMS[0]]
    expected = []
    for key, (rule, table, which, change) in zip(keys, BREAKS[start : start + 6], strict=False):
        rows = units[key][table]
        row = next(r for r in rows if which.items() <= r.items() and not same(r, change))
        if change:
            row.update(change)
        else:
            rows.append(dict(row))
        expected.append((*key, rule))
    found = find("conservation").run(memory_catalog(units)).to_pylist()
    assert set(expected) <= {(row["arm"], row["rep"], row["rule"]) for row in found}
    assert all(row["rows"] >= 1 for row in found)


@pytest.mark.parametrize("number", range(len(BREAKS)))
def test_conservation_looks_at_every_broken_unit(number: int) -> None:
    """Alone as well, each broken row is found as if all rows were looked at one by one."""
    _, table, which, change = BREAKS[number]
    units = make_units()
    rows = units[ARMS[1], 1][table]
    row = next(r for r in rows if which.items() <= r.items() and not same(r, change))
    rows += [] if change else [dict(row)]
    row.update(change)
    sql = find("conservation").sql
    slow = re.sub(
        r"unsound AS MATERIALIZED \(.*?\n\),", "unsound AS (FROM units),", sql, flags=re.DOTALL
    )
    assert slow != sql
    catalog = memory_catalog(units)
    found = catalog.query(sql).to_pylist()
    assert {(r["arm"], r["rep"]) for r in found} == {(ARMS[1], 1)}
    assert found == catalog.query(slow).to_pylist()


def same(row: dict[str, Any], change: dict[str, Any]) -> bool:
    return bool(change) and change.items() <= row.items()


def test_conservation_is_quiet_about_a_sound_run(catalog: Catalog) -> None:
    assert find("conservation").run(catalog).to_pylist() == []


def test_every_rule_of_conservation_is_tested() -> None:
    rules = set(re.findall(r"'((?:an? |every |nothing |free |pages |what )[^']*)'",
                           shipped()["conservation"].sql))  # fmt: skip
    assert rules == {rule for rule, *_ in BREAKS}


@pytest.mark.parametrize(
    ("name", "given", "reason"),
    [
        ("hang_rates", {}, "no query 'hang_rates'; did you mean hang_rate?"),
        ("hang_rate", {"kinds": "all"}, "hang_rate: no parameter 'kinds'; it has kind"),
        (
            "hang_rate",
            {"kind": "probes"},
            "parameter kind: 'probes' is not one of all, removal, pr",
        ),
        ("guardrails", {"kind": "all"}, "guardrails: no parameter 'kind'; it has none"),
        ("fleet_timeline", {"step_ns": "1h"}, "parameter step_ns: '1h' is not an integer"),
        ("fleet_timeline", {"step_ns": "0"}, "parameter step_ns: must lie between 1 and"),
        ("fleet_timeline", {"step_ns": str(2**63)}, "parameter step_ns: must lie between 1 and"),
    ],
)
def test_wrong_questions(catalog: Catalog, name: str, given: dict[str, str], reason: str) -> None:
    with pytest.raises(QueryError, match=re.escape(reason)):
        find(name).run(catalog, given)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1", "-- name\nSELECT 1", "-- name\n-- Question: why\n-- Colums:\n--   a: b\n",
        "-- name\n-- Question: why\n-- Columns:\n--   a\n",
        "-- name\n-- Question: why\n-- Parameters:\n--   a text: b\n",
    ],
)  # fmt: skip
def test_wrong_headers(text: str) -> None:
    with pytest.raises(ValueError, match=r"header|line not understood"):
        parse(text)


def test_files_and_names_agree() -> None:
    assert [path.stem for path in sorted(FOLDER.glob("*.sql"))] == QUERIES
    assert all(isinstance(query, Query) for query in shipped().values())


def test_macros_are_the_documented_ones(catalog: Catalog) -> None:
    sql = "SELECT zone_name(z) AS n, is_movable(z) AS m FROM range(6) AS r(z) ORDER BY z"
    names = ["DMA32", "Normal", "Movable"]
    assert catalog.query(sql).to_pylist() == [
        {"n": f"node{z // 3} {names[z % 3]}", "m": z % 3 == 2} for z in range(6)
    ]
    assert [zone_name(z) for z in range(6)] == [row["n"] for row in catalog.query(sql).to_pylist()]
    errnos = catalog.query("SELECT errno_name(e) AS n FROM (VALUES (0), (16), (99)) AS v(e)")
    assert errnos["n"].to_pylist() == ["ok", "EBUSY", "errno 99"]
    sql = (
        "SELECT wilson_low(k, n) AS low, wilson_high(k, n) AS high"
        " FROM (VALUES (0, 9), (3, 40), (7, 7)) AS v(k, n)"
    )
    for row, (k, n) in zip(catalog.query(sql).to_pylist(), [(0, 9), (3, 40), (7, 7)], strict=True):
        found = binomtest(k, n).proportion_ci(method="wilson")
        assert (row["low"], row["high"]) == pytest.approx((found.low, found.high), rel=1e-9)
    sql = "SELECT mean_low(x) AS low, mean_high(x) AS high FROM (VALUES (1), (2), (6)) AS v(x)"
    (row,) = catalog.query(sql).to_pylist()
    half = norm.ppf(0.975) * 7**0.5 / 3**0.5
    assert (row["low"], row["high"]) == pytest.approx((3 - half, 3 + half), rel=1e-12)
    assert catalog.query("SELECT wilson_low(0, 0) AS n").to_pylist() == [{"n": None}]
    assert len(MACROS) == 7


def test_reference_is_not_stale() -> None:
    assert (DOCS / "queries.md").read_text(encoding="utf-8") == reference.queries_markdown(), (
        "run: python -m queries.reference docs"
    )
