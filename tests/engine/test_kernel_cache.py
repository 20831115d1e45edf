"""Entries that are on disk already are not compiled again."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine import kernel


class Entry:
    """As much of a Numba dispatcher as ``compile_kernels`` touches."""

    def __init__(self, name: str) -> None:
        self.name, self.signatures, self.disabled = name, list[Any](), False
        self.py_func = lambda: None

    def compile(self, signature: tuple[Any, ...]) -> None:
        if self.disabled:
            raise RuntimeError("compilation disabled")
        self.signatures.append(signature)

    def disable_compile(self) -> None:
        self.disabled = True


def test_another_process_may_save_some_entries_while_this_one_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first entry was found, the second one was not there yet: only that one is compiled."""
    found, missing = Entry("found"), Entry("missing")

    def load(entry: Entry, signature: tuple[Any, ...]) -> bool:
        if entry is found:
            entry.signatures.append(signature)
            entry.disable_compile()
        return entry is found

    monkeypatch.setattr(kernel, "_ENTRIES", [found, missing])
    monkeypatch.setattr(kernel, "_KERNELS", [])
    monkeypatch.setattr(kernel, "_load", load)
    said: list[str] = []
    kernel.compile_kernels({}, said.append)
    assert len(found.signatures) == len(missing.signatures) == 1
    assert len(said) == 1


LOOK = """
import sys
sys.path.insert(0, sys.argv[1])
from engine import dispatch
cache = dispatch.run._cache
print(dispatch.__file__, cache.cache_path, cache._impl.locator.get_source_stamp())
"""


def test_copies_of_the_sources_share_what_is_compiled(tmp_path: Path) -> None:
    """A worker in another folder must not compile what the driver has compiled."""
    engine = Path(kernel.__file__).parent
    for name in ("a", "b"):
        ignored = shutil.ignore_patterns("__pycache__", "reference")
        shutil.copytree(engine, tmp_path / name / "engine", ignore=ignored)
        os.utime(tmp_path / name / "engine" / "dispatch.py", (len(name), ord(name)))
    told = [
        subprocess.run(
            [sys.executable, "-c", LOOK, str(tmp_path / name)],
            capture_output=True, text=True, check=True, cwd=tmp_path,
        ).stdout.split()
        for name in ("a", "b")
    ]  # fmt: skip
    assert told[0][0] != told[1][0]
    assert told[0][1:] == told[1][1:]


def test_functions_of_others_are_left_to_numba() -> None:
    from engine.locator import ByContent

    assert ByContent.from_function(test_functions_of_others_are_left_to_numba, __file__) is None
