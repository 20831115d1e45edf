"""A report of a run of ten million rows: the whole command, and each shipped query alone.

The run is a small one, copied until it has that many rows: first side by side (other hosts), as
long as the fleet is smaller than the real one, then one after the other (later times). Workloads,
requests, pins and so on are new in every copy, so that every query has as many groups as a large
fleet gives it.
"""

import os
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.options import Options
from benchmarks.process_tree import Usage, measure
from benchmarks.section import Section, Table
from benchmarks.timing import number
from fleet.log.folder import RunFolder
from fleet.log.records import Identity
from queries.catalog import Catalog
from queries.shipped import shipped

ROOT = Path(__file__).resolve().parents[1]
ROWS, QUICK_ROWS = 10_000_000, 200_000
SHARD, FLEET = 64, 1536
TIMES = frozenset({
    "arrived_ns", "placed_ns", "ended_ns", "issued_ns", "started_ns", "deadline_ns", "start_ns",
    "end_ns", "time_ns", "decided_ns",
})  # fmt: skip
"""Columns that are points in time."""
MOST_S, MOST_QUERY_S, MOST_GIB = 20, 3, 2
TEXT = """`fleet report RUN --html FILE` on a run of {rows:,} rows ({bytes:,} MiB of event files,
{hosts:,} hosts in {arms} arms): wall and CPU time and peak memory of the command from start to end,
and the wall time of each shipped query in one process (the slowest of its kinds of requests),
on {cpus} threads. The page has {page:,} KiB."""


def run(options: Options) -> list[Section]:
    """Measure and return the section."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        small = _simulate(place)
        large = enlarge(small, place / "large", options.size(ROWS, QUICK_ROWS))
        page = place / "report.html"
        usage = measure(_fleet("report", str(large), "--html", str(page)), ROOT)
        if usage.exit_code:
            raise RuntimeError(usage.output)
        return [_section(large, page, usage)]


def enlarge(small: Path, large: Path, rows: int) -> Path:
    """Write a run that holds as many copies of a small one as give at least ``rows`` rows."""
    catalog = Catalog.open([small])
    copies = Copies.of(catalog, rows)
    record = catalog.runs[0].run
    whole = Identity(
        name=record["name"], content={"copies": copies.count}, seed=record["seed"],
        arms=tuple(record["arms"]), replications=record["replications"],
    )  # fmt: skip
    scenario = (small / "scenario.resolved.yaml").read_text()
    with catalog.session(), RunFolder.open(large, whole, scenario, resume=False) as folder:
        for arm, rep in folder.missing:
            writer = folder.unit(arm, rep)
            for table in catalog.columns:
                for shard, part in copies.of_table(catalog, table, arm, rep):
                    writer.append(table, shard, part)
            folder.commit(writer)
        folder.finish()
    return large


@dataclass(frozen=True, slots=True)
class Copies:
    """How often a run is copied, and by how much hosts, times and other ids move each time."""

    count: int
    beside: int
    hosts: int
    time_ns: int
    ids: int

    @classmethod
    def of(cls, catalog: Catalog, rows: int) -> Self:
        """Return what gives at least ``rows`` rows."""
        has = sum(_first(catalog, f"count(*) FROM {t}") for t in catalog.columns if t != "hosts")
        hosts = (_highest(catalog, ("host",)) // SHARD + 1) * SHARD
        names = {c["name"] for columns in catalog.columns.values() for c in columns
                 if c["unit"] == "id"}  # fmt: skip
        return cls(
            -(-rows // has), max(FLEET // hosts, 1), hosts, _highest(catalog, TIMES) + 1,
            _highest(catalog, names) + 1,
        )  # fmt: skip

    def of_table(
        self, catalog: Catalog, table: str, arm: str, rep: int
    ) -> Iterator[tuple[int, Any]]:
        """Yield shard and rows (a pyarrow table) of a unit's table, copies of a shard together."""
        columns = ", ".join(self._moved(c["name"], c["unit"]) for c in catalog.columns[table])
        shards = "SELECT DISTINCT shard FROM {} WHERE arm = $arm AND rep = $rep ORDER BY shard"
        unit = {"arm": arm, "rep": rep}
        for row in catalog.query(shards.format(table), unit).to_pylist():
            for beside in range(self.beside):
                later = 1 if table == "hosts" else -(-(self.count - beside) // self.beside)
                part = catalog.query(
                    f"SELECT {columns} FROM {table}, range({later}) AS copies(later), "
                    f"(SELECT {beside} AS beside) WHERE arm = $arm AND rep = $rep "
                    f"AND shard = {row['shard']} ORDER BY later",
                    unit,
                )
                yield row["shard"] + beside * self.hosts // SHARD, part

    def _moved(self, column: str, unit: str) -> str:
        """Return the SQL of a column in copy (beside, later)."""
        if column == "host":
            return f"host + beside * {self.hosts} AS host"
        if unit == "id":
            return f"({column} + (later * {self.beside} + beside) * {self.ids})::BIGINT AS {column}"
        return f"{column} + later * {self.time_ns} AS {column}" if column in TIMES else column


def _highest(catalog: Catalog, names: Collection[str]) -> int:
    """Return the highest value in any table of the columns of these names."""
    return max(
        _first(catalog, f"coalesce(max({column['name']}), 0) FROM {table}")
        for table, columns in catalog.columns.items()
        for column in columns
        if column["name"] in names
    )


def _first(catalog: Catalog, what: str) -> int:
    return int(catalog.query(f"SELECT {what}").column(0)[0].as_py())


def _simulate(place: Path) -> Path:
    small = place / "small"
    usage = measure(_fleet("simulate", "quickstart", "--inline", "--out", str(small)), ROOT)
    if usage.exit_code:
        raise RuntimeError(usage.output)
    return small


def _fleet(*words: str) -> list[str]:
    return [sys.executable, "-m", "fleet", *words]


def _section(large: Path, page: Path, usage: Usage) -> Section:
    catalog = Catalog.open([large])
    text = TEXT.format(
        rows=sum(map(catalog.count, catalog.columns)),
        bytes=sum(file.stat().st_size for file in large.rglob("*.arrow")) >> 20,
        hosts=catalog.rows("hosts").num_rows // len(catalog.arms), arms=len(catalog.arms),
        cpus=len(os.sched_getaffinity(0)), page=page.stat().st_size >> 10,
    )  # fmt: skip
    command = Table(
        ("fleet report --html", "measured", "at most"),
        [("wall, s", number(usage.wall_s), str(MOST_S)), ("CPU, s", number(usage.cpu_s), ""),
         ("peak memory, GiB", number(usage.peak_bytes / 2**30), str(MOST_GIB))],
    )  # fmt: skip
    queries = Table(
        ("query", "s", "at most"),
        [(name, number(took), str(MOST_QUERY_S)) for name, took in query_times(catalog)],
    )
    return Section("A report of ten million rows", [text, command, queries])


def query_times(catalog: Catalog) -> list[tuple[str, float]]:
    """Return every shipped query with its wall time in seconds, the slowest first."""
    found = []
    for name, query in shipped().items():
        kinds = next((p.choices for p in query.parameters if p.name == "kind"), ())
        times = []
        for given in [{"kind": kind} for kind in kinds] or [{}]:
            start = time.perf_counter()
            query.run(catalog, given)
            times.append(time.perf_counter() - start)
        found.append((name, max(times)))
    return sorted(found, key=lambda pair: -pair[1])
