"""The JSON records of a run folder: ``run.json``, commit records, ``manifest.json``.

``run.json`` says what the run is going to be (written first), a commit record what one
(arm, replication) became, the manifest what the whole run became (written last).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from platform import python_version
from typing import Any

from fleet.log.disk import sha256
from fleet.log.tables import SCHEMA_VERSION, TABLES
from fleet.log.writer import FileRecord

FORMAT = 1
"""Version of the records' own layout."""

Unit = tuple[str, int]
"""(arm, replication)."""

_PACKAGES = ("fleet", "duckdb", "numba", "numpy", "pyarrow", "pydantic", "ray", "scipy")


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes two runs the same run.

    Attributes
    ----------
    name : str
        Name of the scenario.
    content : mapping
        Everything that may change a byte of the events: resolved scenario, decision tables,
        costs, seed, code version; JSON values only. Executor settings stay out.
    seed : int
    arms : tuple of str
        In the order of the report; the first is the baseline.
    replications : int
        When a rule ends the run (``grows``), at most so many.
    grows : bool
        The run adds replications until a rule says that they are enough; the manifest says how
        many they became.
    """

    name: str
    content: Mapping[str, Any]
    seed: int
    arms: tuple[str, ...]
    replications: int
    grows: bool = False

    @property
    def run_hash(self) -> str:
        """sha256 of the whole identity as canonical JSON."""
        whole = [self.name, self.content, self.seed, self.arms, self.replications, SCHEMA_VERSION]
        return sha256(json.dumps(whole, sort_keys=True, separators=(",", ":")).encode())

    @property
    def folder_name(self) -> str:
        """``<name>-<hash8>``."""
        return f"{self.name}-{self.run_hash[:8]}"

    @property
    def units(self) -> list[Unit]:
        """All (arm, replication), arms in order, replications within."""
        return [(arm, rep) for arm in self.arms for rep in range(self.replications)]


@dataclass(frozen=True, slots=True)
class Commit:
    """A finished unit and its files.

    Attributes
    ----------
    arm, rep, files
    info : mapping
        What does not count (wall clock, ...).
    demands : str, optional
        Fingerprint of what was demanded; arms can be compared when theirs are equal.
    """

    arm: str
    rep: int
    files: tuple[FileRecord, ...]
    info: Mapping[str, Any]
    demands: str | None = None


def to_bytes(record: Mapping[str, Any]) -> bytes:
    """Return a record as the bytes that go to disk, sealed with the sha256 of its content."""
    content = {key: value for key, value in record.items() if key != "seal"}
    seal = sha256(_json(content))
    return _json({**content, "seal": seal})


def is_sealed(data: bytes, record: Mapping[str, Any]) -> bool:
    """Return whether ``data``, read as ``record``, is exactly what ``to_bytes`` wrote."""
    return to_bytes(record) == data


def _json(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()


def run_record(identity: Identity) -> dict[str, Any]:
    """Return ``run.json``: identity and the schema of every table."""
    return {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "name": identity.name,
        "run_hash": identity.run_hash,
        "seed": identity.seed,
        "arms": list(identity.arms),
        "replications": identity.replications,
        "grows": identity.grows,
        "tables": {
            name: [
                {k: v for k, v in asdict(column).items() if k != "values" or v}
                for column in table.columns
            ]
            for name, table in TABLES.items()
        },
    }


def commit_record(commit: Commit) -> dict[str, Any]:
    """Return the commit record of a unit."""
    return {
        "format": FORMAT,
        "arm": commit.arm,
        "rep": commit.rep,
        "demands": commit.demands,
        "rows": rows_per_table(commit.files),
        "content_digest": content_digest(commit.files),
        "files": [asdict(file) for file in commit.files],
        "info": dict(commit.info),
    }


def read_commit(path: Path) -> Commit | None:
    """Read a commit record; None when it is unreadable or contradicts itself."""
    try:
        raw = path.read_bytes()
        data = json.loads(raw)
        files = tuple(FileRecord(**file) for file in data["files"])
        commit = Commit(data["arm"], data["rep"], files, data["info"], data.get("demands"))
        whole = is_sealed(raw, data) and data["content_digest"] == content_digest(files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return commit if whole else None


def manifest_record(
    identity: Identity,
    commits: Sequence[Commit],
    others: Mapping[str, str],
    provenance: Mapping[str, Any],
    replications: int | None = None,
) -> dict[str, Any]:
    """Return ``manifest.json``.

    Parameters
    ----------
    others : mapping
        Path to sha256 of the files that are not event files (scenario, run and commit records).
    provenance : mapping
        Whatever the caller wants to remember (command line, wall clock); never compared.
    replications : int, optional
        What a run that grows became.
    """
    files = [file for commit in commits for file in commit.files]
    return {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "name": identity.name,
        "run_hash": identity.run_hash,
        "seed": identity.seed,
        "arms": list(identity.arms),
        "replications": replications or identity.replications,
        "demands": [[commit.arm, commit.rep, commit.demands] for commit in commits],
        "content_digest": content_digest(files),
        "rows": rows_per_table(files),
        "files": [asdict(file) for file in sorted(files, key=lambda f: f.path)],
        "records": dict(sorted(others.items())),
        "versions": versions(),
        "provenance": dict(provenance),
    }


def content_digest(files: Iterable[FileRecord]) -> str:
    """sha256 over path, rows and sha256 of the event files in path order; no wall clock in it."""
    lines = [f"{f.path} {f.rows} {f.sha256}\n" for f in sorted(files, key=lambda f: f.path)]
    return sha256("".join(lines).encode())


def rows_per_table(files: Iterable[FileRecord]) -> dict[str, int]:
    """Return the row count of every table, tables without rows included."""
    rows = dict.fromkeys(TABLES, 0)
    for file in files:
        rows[file.path.split("/")[1]] += file.rows
    return rows


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that made the run."""
    found = {"python": python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "absent"
    return found
