"""Entries that are on disk already are not compiled again."""

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
