"""The answers of a hunt in a file, so that one that was broken off can go on."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def digest(root: Path, folders: Iterable[str], *options: object) -> str:
    """What the answers of a hunt depend on: the sources below ``root``, and options."""
    h = hashlib.sha256(repr(options).encode())
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            h.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return h.hexdigest()


class Answers:
    """Answers by number of the fault: ``number text`` a line, no text where it survives.

    Parameters
    ----------
    path : Path or None
        File to read and to add to; None keeps nothing.
    key : str
        Its first line; a file with another one is of another hunt and is begun anew.
    """

    def __init__(self, path: Path | None, key: str) -> None:
        self.path = path
        self.known: dict[int, str] = {}
        if path is None:
            return
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        if lines[:1] != [key]:
            path.write_text(key + "\n", encoding="utf-8")
        for line in lines[1:] if lines[:1] == [key] else ():
            self._note(line)

    def add(self, line: str) -> None:
        """Note an answer, and keep it."""
        self._note(line)
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(line.rstrip("\n") + "\n")

    def _note(self, line: str) -> None:
        number, _, text = line.rstrip("\n").partition(" ")
        self.known[int(number)] = text
