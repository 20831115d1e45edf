"""Verifies the bytes of a run: every record, every event file, every count, nothing left over.

What rows must say to each other (ids, outcomes) is asked in SQL: ``queries/conservation.sql``.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from fleet.log import disk, paths, records
from fleet.log.tables import SCHEMA_VERSION, SCHEMAS, TABLES
from fleet.log.writer import FileRecord

BAD_FILE = (OSError, pa.ArrowException, ValueError)
"""What a damaged file can raise while it is read."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: the file (relative to the run folder) and what about it."""

    path: str
    reason: str

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Verification:
    """Outcome of a verification; ``files`` and ``rows`` count what was read in full."""

    complete: bool
    units: int
    files: int
    rows: int
    problems: tuple[Problem, ...]


def verify_run(path: Path) -> Verification:
    """Read every byte of a run folder and compare it with its records.

    An interrupted run is checked as far as its commit records go.
    """
    problems: list[Problem] = []
    run = _read(path, paths.RUN, problems)
    complete = (path / paths.MANIFEST).exists()
    manifest = _read(path, paths.MANIFEST, problems) if complete else None
    problems += _check_run(run) if run is not None else []
    commits = {
        f"{paths.COMMITS}/{file.name}": records.read_commit(file)
        for file in sorted((path / paths.COMMITS).glob("[!.]*.json"))
    }
    problems += [
        Problem(name, "unreadable commit record") for name, c in commits.items() if c is None
    ]
    files = sorted(
        (file for commit in commits.values() if commit is not None for file in commit.files),
        key=lambda file: file.path,
    )
    if manifest is not None:
        problems += _check_manifest(path, run or {}, manifest, files)
        files = _manifest_files(manifest) or files
    read = 0
    for file in files:
        found = list(_check_file(path, file, set((run or {}).get("arms", []))))
        problems += found
        read += 0 if found else file.rows
    problems += _check_leftovers(path, {file.path for file in files}, complete=complete)
    return Verification(complete, len(commits), len(files), read, tuple(problems))


def _read(path: Path, name: str, problems: list[Problem]) -> dict[str, Any] | None:
    try:
        raw = (path / name).read_bytes()
        data = json.loads(raw)
        if isinstance(data, dict):
            if not records.is_sealed(raw, data):
                problems.append(Problem(name, "its bytes were changed"))
            return data
        problems.append(Problem(name, "not a record"))
    except OSError as error:
        problems.append(Problem(name, error.strerror or "cannot read"))
    except ValueError:
        problems.append(Problem(name, "not JSON"))
    return None


def _check_run(run: dict[str, Any]) -> Iterator[Problem]:
    if run.get("schema_version") != SCHEMA_VERSION:
        yield Problem(
            paths.RUN, f"schema version {run.get('schema_version')}, not {SCHEMA_VERSION}"
        )
    tables = run.get("tables")
    if not isinstance(tables, dict) or set(tables) != set(TABLES):
        yield Problem(paths.RUN, "lists other tables")


def _check_manifest(
    path: Path, run: dict[str, Any], manifest: dict[str, Any], committed: list[FileRecord]
) -> Iterator[Problem]:
    """Compare the manifest with ``run.json``, the commit records and itself."""
    fixed = ["run_hash", "seed", "arms", "name", "schema_version"]
    for key in fixed if run.get("grows") else [*fixed, "replications"]:
        if manifest.get(key) != run.get(key):
            yield Problem(paths.MANIFEST, f"{key} differs from {paths.RUN}")
    files = _manifest_files(manifest)
    if files is None:
        yield Problem(paths.MANIFEST, "its list of files cannot be read")
        return
    if sorted(files, key=lambda file: file.path) != committed:
        yield Problem(paths.MANIFEST, "its files are not those of the commit records")
    if manifest.get("content_digest") != records.content_digest(files):
        yield Problem(paths.MANIFEST, "content digest differs from its files")
    if manifest.get("rows") != records.rows_per_table(files):
        yield Problem(paths.MANIFEST, "row counts differ from its files")
    others = manifest.get("records")
    if not isinstance(others, dict):
        yield Problem(paths.MANIFEST, "its list of records cannot be read")
        return
    for name, digest in others.items():
        try:
            if disk.file_sha256(path / name) != digest:
                yield Problem(name, "sha256 differs from the manifest")
        except OSError as error:
            yield Problem(name, error.strerror or "cannot read")


def _manifest_files(manifest: dict[str, Any]) -> list[FileRecord] | None:
    try:
        files = [FileRecord(**file) for file in manifest["files"]]
        for file in files:
            table, *_ = paths.parse_part(file.path)
            if table not in TABLES or not isinstance(file.rows, int):
                return None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return files


def _check_file(path: Path, file: FileRecord, arms: set[str]) -> Iterator[Problem]:
    """Check one event file: bytes, sha256, schema, rows, values."""
    try:
        data = (path / file.path).read_bytes()
    except OSError as error:
        yield Problem(file.path, error.strerror or "cannot read")
        return
    if len(data) != file.bytes:
        yield Problem(file.path, f"{len(data)} bytes, recorded {file.bytes}")
        return
    if disk.sha256(data) != file.sha256:
        yield Problem(file.path, "sha256 differs: its bytes were changed")
        return
    table, arm, _, _ = paths.parse_part(file.path)
    if arms and arm not in arms:
        yield Problem(file.path, f"arm {arm} is not of this run")
    try:
        content = pa.ipc.open_file(pa.py_buffer(data)).read_all()
        content.validate(full=True)
    except BAD_FILE as error:
        yield Problem(file.path, f"not a readable Arrow file ({error})")
        return
    if not content.schema.equals(SCHEMAS[table], check_metadata=True):
        yield Problem(file.path, "schema is not the documented one")
    elif content.num_rows != file.rows:
        yield Problem(file.path, f"{content.num_rows} rows, recorded {file.rows}")
    else:
        yield from _check_values(file.path, table, content)


def _check_values(path: str, table: str, content: pa.Table) -> Iterator[Problem]:
    """Check nulls in required columns and words outside a column's list."""
    for column in TABLES[table].columns:
        values = content.column(column.name)
        if values.null_count and not column.nullable:
            yield Problem(path, f"{column.name}: null in a required column")
        if column.values:
            odd = sorted(set(values.unique().to_pylist()) - {None, *column.values})
            if odd:
                yield Problem(path, f"{column.name}: undocumented values {', '.join(odd)}")


def _check_leftovers(path: Path, known: set[str], *, complete: bool) -> Iterator[Problem]:
    """Report files that no record names (an interrupted run may have some: resuming drops them)."""
    if not complete:
        return
    for file in sorted((path / paths.EVENTS).rglob("*")):
        name = file.relative_to(path).as_posix()
        if file.is_file() and name not in known:
            yield Problem(name, "named by no record")
