"""The folders of aged hosts of one run: one per replication and sizing that several units share."""

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

Key = tuple[int, int]
"""Replication and movable share (millionths): what aged hosts of one scenario depend on."""


class Spools:
    """Keeps a hidden folder beside the run folder while units wait for what is in it.

    Whoever holds the run folder's lock owns it, so one that an earlier process left behind is
    deleted.

    Parameters
    ----------
    run : Path
        The run folder.
    units : sequence of Key
        One entry for each unit that is still to be run.
    """

    def __init__(self, run: Path, units: Sequence[Key]) -> None:
        self._root = run.parent / f".{run.name}.aged"
        self._waiting = Counter(units)

    def __enter__(self) -> "Spools":
        shutil.rmtree(self._root, ignore_errors=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._root, ignore_errors=True)

    def open(self, key: Key) -> Path | None:
        """Return the folder for a unit that begins; None when it shares its hosts with no other."""
        folder = self._folder(key)
        if self._waiting[key] < 2 and not folder.is_dir():
            return None
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def close(self, key: Key) -> None:
        """Delete the folder when the last unit that shares it is done."""
        self._waiting[key] -= 1
        if not self._waiting[key]:
            shutil.rmtree(self._folder(key), ignore_errors=True)

    def _folder(self, key: Key) -> Path:
        return self._root / f"rep={key[0]:04d}.movable={key[1]}"
