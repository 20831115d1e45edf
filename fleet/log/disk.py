"""The only place that writes files of a run: whole, durable, or not at all.

A file is written to a dot-temp name in its folder, flushed, fsynced, renamed, and the folder is
fsynced; so a file under its final name is complete after any crash (Pillai et al., "All File
Systems Are Not Created Equal", OSDI 2014).
"""

import hashlib
import os
from pathlib import Path

from fleet.errors import RunError

TEMP_PREFIX = ".tmp-"
"""Names of files that were never finished; deleted on resume."""


def sha256(data: bytes | memoryview) -> str:
    """Return the sha256 of ``data`` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal (OSError when it cannot be read)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_file(path: Path, data: bytes | memoryview) -> None:
    """Write ``data`` to ``path`` atomically and durably, making its folder.

    Raises
    ------
    RunError
        One line naming the file, when any step fails (disk full, I/O error); nothing new is left
        under the final name, and the temp file is removed where that is still possible.
    """
    temp, renamed = path.with_name(TEMP_PREFIX + path.name), False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temp.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temp.rename(path)
        renamed = True
        _sync_folder(path.parent)
    except OSError as error:
        _remove_quietly(temp)
        if renamed:  # but the folder that says so may not be on the disk
            _remove_quietly(path)
        raise RunError(f"{path}: cannot write: {error.strerror or error}") from error


def replace_file(path: Path, data: bytes) -> None:
    """Write a file that is no part of a run: whole, or the one that was there before stays.

    Raises
    ------
    RunError
        One line naming the file, when it cannot be written.
    """
    temp = path.with_name(f"{TEMP_PREFIX}{os.getpid()}-{path.name}")
    try:
        temp.write_bytes(data)
        temp.rename(path)
    except BaseException as error:  # an interrupt leaves nothing behind, either
        _remove_quietly(temp)
        if isinstance(error, OSError):
            raise RunError(f"{path}: cannot write: {error.strerror or error}") from error
        raise


def _sync_folder(folder: Path) -> None:
    """Make renames inside ``folder`` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_quietly(path: Path) -> None:
    """Remove a file of a failed write; when even that fails, resume deletes it."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
