"""Opens run folders in DuckDB: one view per table, over exactly the files the manifest names.

House rules, each against a trap of DuckDB 2.0 with Arrow:

* registered ``pyarrow.dataset`` objects, never file globs: a stray or half-written file can not
  enter an answer; hive columns are given per file with their types, never inferred
  (``shard=0000`` would be read as an integer or a string depending on the data);
* one connection per query or session, results fetched whole: a streaming result owns its
  connection and makes the next query on it fail with ResourceInUse;
* external access off and configuration locked before a user's SQL runs;
* DuckDB works in its own thread: Python delivers Ctrl-C only when C code returns, and delivered
  inside a call back into Python (registering a dataset is one) it would come out as another error.
"""

import json
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs

T = TypeVar("T")

SCHEMA_VERSION = 3
"""Version of the event tables that the shipped queries understand."""

_TYPES = {"int64": pa.int64(), "int32": pa.int32(), "bool": pa.bool_(), "string": pa.string()}
_PARTITIONS = (("arm", pa.string()), ("rep", pa.int32()), ("shard", pa.int32()))
UNIT = "unit"
"""Number of an (arm, replication) in ``units``.

Every table is also there as ``<table>_by_unit``, with this column more. It comes from the path as
``arm`` does, but an integer costs a third of what the words of an arm cost to group or join by.
"""
_Z = "1.959963984540054::DOUBLE"
_WILSON_ROOT = f"{_Z} * sqrt(k * (n - k) / n + {_Z} * {_Z} / 4)"
_MACROS = (
    "zone_name(zone) AS 'node' || (zone // 3) || ' '"
    " || ['DMA32', 'Normal', 'Movable'][(zone % 3 + 1)::BIGINT]",
    "is_movable(zone) AS zone % 3 = 2",
    "errno_name(errno) AS CASE errno WHEN 0 THEN 'ok' WHEN 4 THEN 'EINTR' WHEN 11 THEN 'EAGAIN'"
    " WHEN 12 THEN 'ENOMEM' WHEN 14 THEN 'EFAULT' WHEN 16 THEN 'EBUSY' WHEN 22 THEN 'EINVAL'"
    " ELSE 'errno ' || errno END",
    f"wilson_low(k, n) AS CASE WHEN n = 0 THEN NULL WHEN k = 0 THEN 0.0::DOUBLE"
    f" ELSE (k + {_Z} * {_Z} / 2 - {_WILSON_ROOT}) / (n + {_Z} * {_Z}) END",
    f"wilson_high(k, n) AS CASE WHEN n = 0 THEN NULL WHEN k = n THEN 1.0::DOUBLE"
    f" ELSE (k + {_Z} * {_Z} / 2 + {_WILSON_ROOT}) / (n + {_Z} * {_Z}) END",
    f"mean_low(x) AS avg(x) - {_Z} * stddev_samp(x) / sqrt(count(x))",
    f"mean_high(x) AS avg(x) + {_Z} * stddev_samp(x) / sqrt(count(x))",
)
_QUERIES = ("SELECT", "EXPLAIN", "CALL", "MULTI")
"""DuckDB's names of statements that may be run (PIVOT is MULTI)."""
MACROS = (
    "zone_name(zone)", "is_movable(zone)", "errno_name(errno)", "wilson_low(k, n)",
    "wilson_high(k, n)", "mean_low(x)", "mean_high(x)",
)  # fmt: skip
"""What SQL may call besides DuckDB's own functions.

The last four are ends of 95 % intervals: of a share k / n (Wilson, JASA 22 (1927)), and of a mean
(normal, so of some tens of independent values; NULL of a single one).
"""


class QueryError(Exception):
    """A run that cannot be opened, an unknown query, a bad parameter, wrong SQL: one line."""


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The trusted part of one run folder.

    Attributes
    ----------
    path : Path
    run : dict
        ``run.json``.
    units : tuple of (str, int)
        Finished (arm, replication), all of them when the run is complete.
    demands : dict
        Fingerprint of what each unit was demanded (``fleet.plan.fingerprint``), if it was kept.
    files : tuple of str
        Event files, relative to ``path``.
    complete : bool
    """

    path: Path
    run: dict[str, Any]
    units: tuple[tuple[str, int], ...]
    demands: dict[tuple[str, int], str | None]
    files: tuple[str, ...]
    complete: bool


@dataclass(slots=True)
class Catalog:
    """One or more runs, open for SQL.

    With several runs an arm is called ``<run folder>:<arm>``.

    Attributes
    ----------
    runs : tuple of RunFiles
    arms : tuple of str
        Labels in the order of the scenarios.
    columns : dict
        Table name to its columns (``name, type, unit, description, nullable[, values]``).
    """

    runs: tuple[RunFiles, ...]
    arms: tuple[str, ...]
    columns: dict[str, list[dict[str, Any]]]
    _views: dict[str, Any] = field(default_factory=dict)
    _shared: Any = None

    @classmethod
    def open(cls, folders: Sequence[Path], *, partial: bool = False) -> Self:
        """Open run folders.

        Parameters
        ----------
        folders : sequence of Path
        partial : bool
            Take the finished units of an interrupted run; otherwise such a run is an error.

        Raises
        ------
        QueryError
            No run there, an interrupted run without ``partial``, a record that cannot be read, a
            missing or resized event file, another schema version.
        """
        runs = tuple(_trusted(Path(folder), partial=partial) for folder in folders)
        labels = [
            (run, arm, _label(run, arm, len(runs))) for run in runs for arm in run.run["arms"]
        ]
        arms = tuple(label for _, _, label in labels)
        if len(set(arms)) != len(arms):
            raise QueryError("the same run folder name twice; rename one of them")
        catalog = cls(runs, arms, runs[0].run["tables"])
        units = [
            (_label(run, arm, len(runs)), rep, run.demands.get((arm, rep)))
            for run in runs
            for arm, rep in run.units
        ]
        numbers = {(arm, rep): number for number, (arm, rep, _) in enumerate(units)}
        catalog._views = {name: catalog._dataset(name, numbers) for name in catalog.columns}
        catalog._views["arms"] = pa.table(
            {"position": pa.array(range(len(arms)), pa.int32()), "arm": pa.array(arms, pa.string())}
        )
        catalog._views["units"] = pa.table(
            {
                UNIT: pa.array(range(len(units)), pa.int32()),
                "arm": pa.array([arm for arm, _, _ in units], pa.string()),
                "rep": pa.array([rep for _, rep, _ in units], pa.int32()),
                "demands": pa.array([demands for _, _, demands in units], pa.string()),
            }
        )
        return catalog

    def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        name: str = "sql",
        threads: int | None = None,
    ) -> pa.Table:
        """Run one statement and return its whole result.

        Parameters
        ----------
        sql : str
        parameters : mapping
            Values of the ``$name`` in ``sql``.
        name : str
            What the statement is called in an error message.
        threads : int or None
            Threads of DuckDB (None: all); results do not depend on it.

        Raises
        ------
        QueryError
            ``name:line:col reason`` for anything DuckDB refuses.
        KeyboardInterrupt
            After Ctrl-C; the query is stopped first.
        """
        connection = self._shared or _apart(lambda: self._connect(threads))
        try:
            return _run(connection, sql, dict(parameters or {}))
        except duckdb.Error as error:
            raise QueryError(one_line(str(error), name)) from error
        finally:
            if connection is not self._shared:
                connection.close()

    @contextmanager
    def session(self, threads: int | None = None) -> Iterator[None]:
        """Let the queries inside share one connection, which is made only once."""
        self._shared = _apart(lambda: self._connect(threads))
        try:
            yield
        finally:
            self._shared.close()
            self._shared = None

    def rows(self, table: str, where: Any = None, columns: Sequence[str] | None = None) -> pa.Table:
        """Return a table in the order of arms, replications, shards and writing.

        Parameters
        ----------
        table : str
        where : pyarrow.dataset.Expression, optional
            Only rows that fulfil it; files whose arm, rep and shard do not are not opened.
        columns : sequence of str, optional
            Only these; the others are not unpacked.
        """
        dataset = self._whole(table)
        every = [name for name in dataset.schema.names if name != UNIT]
        return dataset.to_table(columns=every if columns is None else [*columns], filter=where)

    def count(self, table: str) -> int:
        """Return how many rows a table has; none is unpacked."""
        return int(self._whole(table).count_rows())

    def _whole(self, table: str) -> Any:
        view = self._views[table]
        return ds.dataset(view) if isinstance(view, pa.Table) else view

    def _connect(self, threads: int | None) -> Any:
        """Return a new connection with views and macros, locked."""
        connection = duckdb.connect(":memory:")
        connection.execute("SET TimeZone = 'UTC'")
        # Without it DuckDB would make a folder for spilled data where the user stands.
        spill = Path(tempfile.gettempdir()) / "fleet-duckdb-spill"
        connection.execute(f"SET temp_directory = '{str(spill).replace(chr(39), chr(39) * 2)}'")
        if threads is not None:
            connection.execute(f"SET threads = {int(threads)}")
        for name, view in self._views.items():
            if name in self.columns:
                connection.register(f"{name}_by_unit", view)
                connection.execute(
                    f"CREATE TEMP VIEW {name} AS SELECT * EXCLUDE ({UNIT}) FROM {name}_by_unit"
                )
            else:
                connection.register(name, view)
        for macro in _MACROS:
            connection.execute(f"CREATE TEMP MACRO {macro}")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        return connection

    def _dataset(self, table: str, numbers: Mapping[tuple[str, int], int]) -> Any:
        """Return the dataset of a table, or an empty table when there are no rows.

        ``numbers`` gives each unit (label of the arm, replication) its number.
        """
        schema = _schema(self.columns[table]).append(pa.field(UNIT, pa.int32()))
        found: list[tuple[int, int, str, str, int]] = []
        for run in self.runs:
            for file in run.files:
                name, arm, rep, shard = parse_part(file)
                if name == table:
                    label = _label(run, arm, len(self.runs))
                    found.append((numbers[label, rep], shard, str(run.path / file), label, rep))
        if not found:
            return schema.empty_table()
        found.sort()
        return ds.FileSystemDataset.from_paths(
            [path for _, _, path, _, _ in found],
            schema=schema,
            format=ds.IpcFileFormat(),
            filesystem=fs.LocalFileSystem(),
            partitions=[_partition((arm, rep, shard, unit)) for unit, shard, _, arm, rep in found],
        )


def parse_part(path: str) -> tuple[str, str, int, int]:
    """Return ``table, arm, rep, shard`` of ``events/<table>/arm=/rep=/shard=/part-.arrow``."""
    from urllib.parse import unquote

    _, table, arm, rep, shard, _ = path.split("/")
    return table, unquote(arm[4:]), int(rep[4:]), int(shard[6:])


def one_line(message: str, name: str) -> str:
    """Turn DuckDB's message of several lines into ``name:line:col reason``."""
    head, _, tail = message.partition("\n\nLINE ")
    reason = re.sub(r"^[A-Z][A-Za-z ]* Error: ", "", " ".join(head.split()))
    found = re.match(r"(\d+): (.*)\n( *)\^", tail)
    if not found:
        return f"{name}: {reason}"
    column = len(found[3]) - len(f"LINE {found[1]}: ") + 1
    return f"{name}:{found[1]}:{max(column, 1)} {reason}"


def _run(connection: Any, sql: str, parameters: dict[str, Any]) -> pa.Table:
    """Run one statement, so that Ctrl-C interrupts it."""
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise duckdb.InvalidInputException(f"one statement expected, {len(statements)} given")
    kind = statements[0].type.name
    if kind not in _QUERIES:
        raise duckdb.InvalidInputException(f"only queries are run here, not {kind}")
    return _apart(lambda: _fetch(connection, sql, parameters), connection.interrupt)


def _apart(work: Callable[[], T], stop: Callable[[], None] = lambda: None) -> T:
    """Do something in a thread of its own; Ctrl-C stops it, waits for its end and is passed on."""
    box: list[Any] = []
    done = threading.Event()

    def run() -> None:
        try:
            box.append((work(), None))
        except BaseException as error:  # handed to the caller below
            box.append((None, error))
        finally:
            done.set()

    threading.Thread(target=run, daemon=True).start()
    try:
        while not done.wait(0.1):
            pass
    except KeyboardInterrupt:
        stop()
        done.wait()
        raise
    result, error = box[0]
    if error is not None:
        raise error
    found: T = result
    return found


def _fetch(connection: Any, sql: str, parameters: dict[str, Any]) -> pa.Table:
    """Return the whole result."""
    try:
        relation = connection.sql(sql, params=parameters or None)
    except (duckdb.BinderException, duckdb.CatalogException):
        connection.execute(sql, parameters)  # fails the same way, but says line and column
        raise
    return relation.to_arrow_table()


def _trusted(folder: Path, *, partial: bool) -> RunFiles:
    """Open a run; records of another shape are a QueryError."""
    try:
        run = _open_run(folder, partial=partial)
        for columns in run.run["tables"].values():
            _schema(columns)
        for file in run.files:
            parse_part(file)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise QueryError(f"{folder}: unreadable records; fleet verify says more") from error
    return run


def _open_run(folder: Path, *, partial: bool) -> RunFiles:
    run = _read_json(folder / "run.json", missing="no run here")
    if run.get("schema_version") != SCHEMA_VERSION:
        raise QueryError(
            f"{folder}: events of schema version {run.get('schema_version')}, "
            f"this version reads {SCHEMA_VERSION}"
        )
    complete = (folder / "manifest.json").exists()
    if complete:
        manifest = _read_json(folder / "manifest.json", missing="unreadable")
        run["replications"] = manifest["replications"]  # of a run that grew: what it became
        units = [(arm, rep) for arm in run["arms"] for rep in range(run["replications"])]
        records = manifest["files"]
        demands = {(arm, rep): word for arm, rep, word in manifest.get("demands", [])}
    elif partial:
        commits = [
            _read_json(path, missing="unreadable")
            for path in sorted((folder / "commits").glob("[!.]*.json"))
        ]
        units = sorted((c["arm"], c["rep"]) for c in commits)
        demands = {(c["arm"], c["rep"]): c.get("demands") for c in commits}
        units.sort(key=lambda unit: run["arms"].index(unit[0]))
        records = sorted((f for c in commits for f in c["files"]), key=lambda f: str(f["path"]))
    else:
        raise QueryError(f"{folder}: interrupted run; --partial takes what is finished")
    for record in records:
        _check_size(folder / record["path"], record["bytes"])
    files = tuple(str(record["path"]) for record in records)
    return RunFiles(folder, run, tuple(units), demands, files, complete)


def _read_json(path: Path, *, missing: str) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise QueryError(f"{path.parent}: {missing}") from error
    except (OSError, ValueError) as error:
        raise QueryError(f"{path}: unreadable record; fleet verify says more") from error
    if not isinstance(data, dict):
        raise QueryError(f"{path}: unreadable record; fleet verify says more")
    return data


def _check_size(path: Path, size: int) -> None:
    try:
        actual = path.stat().st_size
    except OSError as error:
        raise QueryError(f"{path}: {error.strerror}; fleet verify says more") from error
    if actual != size:
        raise QueryError(f"{path}: {actual} bytes, recorded {size}; fleet verify says more")


def _label(run: RunFiles, arm: str, runs: int) -> str:
    return arm if runs == 1 else f"{run.path.resolve().name}:{arm}"


def _schema(columns: Sequence[Mapping[str, Any]]) -> pa.Schema:
    fields = [pa.field(c["name"], _TYPES[c["type"]], c["nullable"]) for c in columns]
    return pa.schema(fields + [pa.field(name, kind) for name, kind in _PARTITIONS])


def _partition(values: Sequence[Any]) -> Any:
    """Return the expression that gives a file its arm, rep, shard and number of its unit."""
    arm, rep, shard, unit = (
        ds.field(name) == pa.scalar(value, kind)
        for (name, kind), value in zip((*_PARTITIONS, (UNIT, pa.int32())), values, strict=True)
    )
    return arm & rep & shard & unit
