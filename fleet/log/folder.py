"""The run folder: what is in it, who may write it, how an interrupted run goes on.

    run.json                 what the run is going to be (first)
    scenario.resolved.yaml   the scenario with every default filled in
    events/...               Arrow files
    commits/<arm>.<rep>.json one per finished (arm, replication), after its files
    manifest.json            what the run became (last: it makes the run complete)

Resuming trusts a commit only when every file it names has the recorded sha256; everything else
under ``events`` and ``commits`` is deleted and made again.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fleet.errors import InputError, RunError
from fleet.log import disk, paths, records
from fleet.log.records import Commit, Identity, Unit
from fleet.log.writer import BATCH_ROWS, PART_ROWS, UnitWriter


class RunFolder:
    """A run folder held for writing by this process; use as a context manager.

    Attributes
    ----------
    path : Path
    complete : bool
        The manifest was there already: nothing is left to do.
    """

    def __init__(self, path: Path, identity: Identity, *, lock: int, complete: bool) -> None:
        self.path, self.complete = path, complete
        self._identity, self._lock = identity, lock
        self._commits: dict[Unit, Commit] = {}

    @classmethod
    def open(cls, path: Path, identity: Identity, scenario_yaml: str, *, resume: bool) -> Self:
        """Make a run folder, or take up one that holds the same run.

        Raises
        ------
        InputError
            The folder is not writable, holds something else, is held by another process, or is
            interrupted and ``resume`` is not set.
        RunError
            A write failed.
        """
        lock = _lock_folder(path)
        try:
            state = _state(path, identity)
            if state == "interrupted" and not resume:
                done = len(list((path / paths.COMMITS).glob("[!.]*.json")))
                raise InputError(
                    f"interrupted run, {done} of {len(identity.units)} units done; "
                    "add --resume to go on",
                    where=str(path),
                )
            folder = cls(path, identity, lock=lock, complete=state == "complete")
            if state != "complete":
                folder._prepare(scenario_yaml)
        except BaseException:
            os.close(lock)
            raise
        return folder

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Let other processes in."""
        os.close(self._lock)

    @property
    def units(self) -> list[Unit]:
        """All units the run may have, in order."""
        return self._identity.units

    @property
    def missing(self) -> list[Unit]:
        """Units still to run, in order."""
        if self.complete:
            return []
        return [unit for unit in self._identity.units if unit not in self._commits]

    def unit(
        self, arm: str, rep: int, *, part_rows: int = PART_ROWS, batch_rows: int = BATCH_ROWS
    ) -> UnitWriter:
        """Return the writer of a missing unit (ValueError when it is not missing)."""
        if (arm, rep) not in self.missing:
            raise ValueError(f"unit {arm}/{rep} is not missing")
        return UnitWriter(self.path, arm, rep, part_rows=part_rows, batch_rows=batch_rows)

    def commit(
        self, unit: UnitWriter, info: Mapping[str, Any] | None = None, demands: str | None = None
    ) -> Commit:
        """Write what ``unit`` still holds, then its commit record (RunError on I/O errors).

        ``demands`` is the fingerprint of what was demanded (``fleet.plan.fingerprint``).
        """
        commit = Commit(unit.arm, unit.rep, tuple(unit.close()), info or {}, demands)
        path = self.path / paths.commit_path(unit.arm, unit.rep)
        disk.write_file(path, records.to_bytes(records.commit_record(commit)))
        self._commits[unit.arm, unit.rep] = commit
        return commit

    def info(self, arm: str, rep: int) -> Mapping[str, Any]:
        """Return the ``info`` of a committed unit (KeyError when it is missing)."""
        return self._commits[arm, rep].info

    def finish(
        self, provenance: Mapping[str, Any] | None = None, replications: int | None = None
    ) -> dict[str, Any]:
        """Write the manifest and return it (ValueError when units are missing).

        ``replications`` is how many a run that grows became: the first so many of every arm.
        """
        last = self._identity.replications if replications is None else replications
        units = [unit for unit in self._identity.units if unit[1] < last]
        missing = [unit for unit in units if unit not in self._commits]
        if missing:
            raise ValueError(f"units not committed: {missing}")
        names = [paths.RUN, paths.SCENARIO]
        names += [paths.commit_path(arm, rep) for arm, rep in units]
        try:
            others = {name: disk.file_sha256(self.path / name) for name in names}
        except OSError as error:
            raise RunError(f"{error.filename}: cannot read: {error.strerror}") from error
        commits = [self._commits[unit] for unit in units]
        manifest = records.manifest_record(self._identity, commits, others, provenance or {}, last)
        disk.write_file(self.path / paths.MANIFEST, records.to_bytes(manifest))
        self.complete = True
        return manifest

    def _prepare(self, scenario_yaml: str) -> None:
        """Write the two opening files, find trusted commits, delete everything else."""
        run = records.to_bytes(records.run_record(self._identity))
        disk.write_file(self.path / paths.RUN, run)
        disk.write_file(self.path / paths.SCENARIO, scenario_yaml.encode())
        for arm, rep in self._identity.units:
            commit = records.read_commit(self.path / paths.commit_path(arm, rep))
            if commit and (commit.arm, commit.rep) == (arm, rep) and self._intact(commit):
                self._commits[arm, rep] = commit
        self._delete_untrusted()

    def _intact(self, commit: Commit) -> bool:
        try:
            return all(disk.file_sha256(self.path / f.path) == f.sha256 for f in commit.files)
        except OSError:
            return False

    def _delete_untrusted(self) -> None:
        keep = {self.path / paths.commit_path(arm, rep) for arm, rep in self._commits}
        keep |= {self.path / f.path for c in self._commits.values() for f in c.files}
        try:
            for temp in sorted(self.path.glob(disk.TEMP_PREFIX + "*")):
                temp.unlink()
            for name in (paths.COMMITS, paths.EVENTS):
                for file in sorted((self.path / name).rglob("*")):
                    if file.is_file() and file not in keep:
                        file.unlink()
        except OSError as error:
            raise RunError(f"{error.filename}: cannot delete: {error.strerror}") from error


def _lock_folder(path: Path) -> int:
    """Make the folder and hold it: a lock on the directory, gone when the process is."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise InputError(
            f"cannot be made a run folder: {error.strerror}", where=str(path)
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        held = isinstance(error, BlockingIOError)
        reason = "another process is writing this run" if held else f"lock: {error.strerror}"
        raise InputError(reason, where=str(path)) from error
    if not os.access(path, os.W_OK | os.X_OK):
        os.close(lock)
        raise InputError("not writable", where=str(path))
    return lock


def _state(path: Path, identity: Identity) -> str:
    """Return ``new``, ``interrupted`` or ``complete`` (InputError when it is something else)."""
    names = [n for n in sorted(os.listdir(path)) if not n.startswith(disk.TEMP_PREFIX)]
    if not names:
        return "new"
    if paths.RUN not in names:
        raise InputError("not empty and not a run folder", where=str(path))
    try:
        run_hash = json.loads((path / paths.RUN).read_bytes())["run_hash"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError("unreadable run record", where=str(path / paths.RUN)) from error
    if run_hash != identity.run_hash:
        raise InputError(f"holds another run ({str(run_hash)[:8]})", where=str(path))
    if paths.MANIFEST not in names:
        return "interrupted"
    _refuse_damaged(path)
    return "complete"


def _refuse_damaged(path: Path) -> None:
    """Refuse a complete run with a missing or resized file (``fleet verify`` reads every byte)."""
    try:
        files = json.loads((path / paths.MANIFEST).read_bytes())["files"]
        for file in files:
            if (path / file["path"]).stat().st_size != file["bytes"]:
                raise InputError("size differs from the manifest", where=str(path / file["path"]))
    except OSError as error:
        raise InputError(f"damaged run: {error.strerror}", where=str(error.filename)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("unreadable manifest", where=str(path / paths.MANIFEST)) from error
