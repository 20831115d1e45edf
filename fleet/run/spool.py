"""Aged hosts on disk, from the first arm that needs them to the last one that shares them.

One file per host: a line of JSON that says what follows, then the arrays, compressed. It is no
part of the run: a file that is missing or damaged, or a disk that is full, costs the time to age
the host again and nothing else, so errors of the file system end in that.
"""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine.host import Host
from engine.shape import HostShape

CODEC = "lz4"


def save(folder: Path, host: int, engine: Any) -> None:
    """Keep a host of the fast engine (others are not kept)."""
    if not isinstance(engine, Host) or not folder.is_dir():
        return
    codec, head, blobs = pa.Codec(CODEC), [], []
    for name, array in engine.save().items():
        columns: Any = np.ascontiguousarray(array.T)  # alike beside alike
        blob = codec.compress(memoryview(columns).cast("B"), asbytes=True) if array.size else b""
        head.append([name, array.dtype.str, list(array.shape), len(blob)])
        blobs.append(blob)
    path, temporary = _path(folder, host), folder / f".{host}.{os.getpid()}"
    try:
        with temporary.open("wb") as file:
            file.write(json.dumps(head).encode() + b"\n")
            file.writelines(blobs)
        temporary.rename(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()


def load(folder: Path, host: int, shape: HostShape) -> Host | None:
    """Return a kept host; None where there is none."""
    try:
        with _path(folder, host).open("rb") as file:
            head = json.loads(file.readline())
            blobs = [file.read(size) for *_, size in head]
    except (OSError, ValueError):
        return None
    codec, arrays = pa.Codec(CODEC), {}
    for (name, dtype, size, length), blob in zip(head, blobs, strict=True):
        if len(blob) != length:
            return None
        kind = np.dtype(dtype)
        count = int(np.prod(size)) * kind.itemsize
        raw = codec.decompress(blob, count) if count else b""
        columns = np.frombuffer(raw, kind).reshape(size[::-1])
        arrays[name] = np.array(columns.T, order="C")
    return Host.load(shape, arrays)


def _path(folder: Path, host: int) -> Path:
    return folder / f"{host}.host"
