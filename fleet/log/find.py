"""Finds run folders: the one a user names, the newest, all there are."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.errors import InputError
from fleet.log import paths

RUNS = Path("runs")
"""Where runs are made and looked for, below the working folder."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What there is to say about a run without reading its events.

    ``state`` is ``complete``, ``interrupted`` or ``unreadable``; ``bytes`` is the size of the
    trusted event files; ``changed_ns`` the time of its last record (wall clock, for sorting).
    """

    path: Path
    state: str
    arms: int
    replications: int
    units_done: int
    seed: int
    rows: int
    bytes: int
    changed_ns: int


def find_run(name: str | None, root: Path = RUNS) -> Path:
    """Return the folder of a run.

    Parameters
    ----------
    name : str or None
        A path, the name of a folder under ``root``, the unambiguous start of one, or None for
        the newest.

    Raises
    ------
    InputError
        There is none, or several.
    """
    if name is None:
        runs = list_runs(root)
        if not runs:
            raise InputError("no runs here yet; fleet simulate makes one", where=f"{root}/")
        return runs[0].path
    for path in (Path(name), root / name):
        if (path / paths.RUN).is_file():
            return path
    starts = [run.path for run in list_runs(root) if run.path.name.startswith(name)] if name else []
    if len(starts) == 1:
        return starts[0]
    if starts:
        listed = ", ".join(sorted(path.name for path in starts))
        raise InputError(f"fits several runs: {listed}", where=name)
    raise InputError(f"no such run, nor one under {root}/ (fleet runs lists them)", where=name)


def is_run(name: str, root: Path = RUNS) -> bool:
    """Return whether ``name`` finds a run."""
    try:
        find_run(name, root)
    except InputError:
        return False
    return True


def list_runs(root: Path = RUNS) -> list[RunInfo]:
    """Return all runs under ``root``, newest first."""
    if not root.is_dir():
        return []
    folders = [path for path in sorted(root.iterdir()) if (path / paths.RUN).is_file()]
    return sorted(
        (describe(path) for path in folders), key=lambda run: (-run.changed_ns, run.path.name)
    )


def describe(path: Path) -> RunInfo:
    """Return what the records of a run say."""
    manifest = path / paths.MANIFEST
    last = manifest if manifest.is_file() else path / paths.RUN
    changed_ns = last.stat().st_mtime_ns
    try:
        run = json.loads((path / paths.RUN).read_bytes())
        arms = len(run["arms"])
        replications = int(json.loads(last.read_bytes())["replications"])
        state = "complete" if last == manifest else "interrupted"
        records = [last] if last == manifest else _commits(path)
        files = [file for record in records for file in _files(record)]
        units = arms * replications if last == manifest else len(records)
        rows, size = (sum(int(file[key]) for file in files) for key in ("rows", "bytes"))
        seed = int(run["seed"])
    except (OSError, ValueError, KeyError, TypeError):
        return RunInfo(path, "unreadable", 0, 0, 0, 0, 0, 0, changed_ns)
    return RunInfo(path, state, arms, replications, units, seed, rows, size, changed_ns)


def _commits(path: Path) -> list[Path]:
    return sorted((path / paths.COMMITS).glob("[!.]*.json"))


def _files(record: Path) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = json.loads(record.read_bytes())["files"]
    return files
