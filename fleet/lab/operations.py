"""The operations of a recorded case: ``name:arg:…`` to typed values.

The grammar is the one of the recorded cases' README: sizes are MiB unless they end in ``k``
(KiB), ``p`` (4 KiB pages), ``m`` or ``G``; bounds and delays are seconds. Every operation of that
README has an entry here, also those that no replay supports yet, so that *unknown* (not in the
vocabulary) and *unsupported* (known, but not modelled) are different answers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

NS = 1_000_000_000
"""Nanoseconds of a second."""
PAGES_PER_MIB = 256
"""4 KiB pages of a MiB."""


class OperationError(ValueError):
    """An operation text that is not in the vocabulary or whose arguments do not parse."""


class UnknownOperationError(OperationError):
    """The name of the operation is not in the vocabulary at all."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One parsed operation.

    Attributes
    ----------
    text : str
        As written in the case.
    name : str
        First word.
    args : tuple
        Typed values in the order of the grammar; omitted optional ones are None.
    """

    text: str
    name: str
    args: tuple[Any, ...]


def pages_of(text: str) -> int:
    """Return the 4 KiB pages of a size (``32`` MiB, ``64k``, ``512p``, ``1G``)."""
    units = {"k": 1 / 4, "p": 1, "m": PAGES_PER_MIB, "G": PAGES_PER_MIB * 1024}
    unit = units.get(text[-1:])
    digits = text if unit is None else text[:-1]
    if not digits.isdigit():
        raise OperationError(f"{text!r} is not a size")
    pages = int(digits) * (PAGES_PER_MIB if unit is None else unit)
    if pages != int(pages):
        raise OperationError(f"{text!r} is not a whole number of pages")
    return int(pages)


def _seconds_ns(text: str) -> int:
    """Seconds with an optional fraction, in ns."""
    try:
        value = float(text)
    except ValueError:
        raise OperationError(f"{text!r} is not a number of seconds") from None
    if value < 0:
        raise OperationError(f"{text!r} is negative")
    return round(value * NS)


def _whole(text: str) -> int:
    """A decimal integer, possibly negative."""
    try:
        return int(text)
    except ValueError:
        raise OperationError(f"{text!r} is not a whole number") from None


def _word(text: str) -> str:
    """A name or path, not empty."""
    if not text:
        raise OperationError("empty word")
    return text


def _hot_range(text: str) -> tuple[int, ...]:
    """``h2`` or ``h0-h3`` (descending when written so) as indices of hot blocks."""
    ends = text.split("-")
    if len(ends) > 2 or any(not e.startswith("h") or not e[1:].isdigit() for e in ends):
        raise OperationError(f"{text!r} is not a range of hot blocks")
    first, last = int(ends[0][1:]), int(ends[-1][1:])
    step = 1 if first <= last else -1
    return tuple(range(first, last + step, step))


def _target(text: str) -> tuple[str, str]:
    """An offline target as (how, what): ``h0``, ``b35``, ``of=NAME`` or ``was=NAME``."""
    how, equals, what = text.partition("=")
    if equals and how in ("of", "was") and what:
        return how, what
    if text[:1] in ("h", "b") and text[1:].isdigit():
        return text[0], text[1:]
    raise OperationError(f"{text!r} is not an offline target")


def _setting(text: str) -> tuple[str, str]:
    """``PATH=VALUE``."""
    path, equals, value = text.partition("=")
    if not (path and equals and value):
        raise OperationError(f"{text!r} is not PATH=VALUE")
    return path, value


def _policy(text: str) -> tuple[str, int]:
    """``bind=N``, ``pref=N`` or ``default`` as (mode, node)."""
    mode, equals, node = text.partition("=")
    if mode == "default" and not equals:
        return mode, -1
    if mode in ("bind", "pref") and node.isdigit():
        return mode, int(node)
    raise OperationError(f"{text!r} is not a memory policy")


def _one_of(*words: str) -> Callable[[str], str]:
    """A converter that accepts only the given words."""

    def convert(text: str) -> str:
        if text not in words:
            raise OperationError(f"{text!r} is not one of {', '.join(words)}")
        return text

    return convert


def _within(low: int, high: int) -> Callable[[str], int]:
    """A converter that accepts only whole numbers from low to high."""

    def convert(text: str) -> int:
        value = _whole(text)
        if not low <= value <= high:
            raise OperationError(f"{text!r} is not between {low} and {high}")
        return value

    return convert


def _chunk(text: str) -> int:
    """A size of at least a page."""
    pages = pages_of(text)
    if pages == 0:
        raise OperationError(f"{text!r} is not a chunk")
    return pages


def _chunks(text: str) -> tuple[int, ...]:
    """Chunk sizes to draw from: one, or those of ``mix``."""
    return MIXED_CHUNKS if text == "mix" else (_chunk(text),)


MIXED_CHUNKS = (1, 4, 16, 64, 256, 512)
"""Pages of the chunks that ``mix`` draws among: six sizes from 4 KiB to 2 MiB."""
_PIN = _one_of("iou", "vmsplice", "vfio", "rdma", "dio")
_PERCENT = _within(0, 100)

_GRAMMAR: dict[str, tuple[tuple[Callable[[str], Any], ...], int]] = {
    # name: converters, number of required arguments
    "online": ((_hot_range, _one_of("movable", "kernel")), 2),
    "alloc": ((_word, pages_of, _word), 3),
    "touch": ((_word, pages_of), 1),
    "read": ((_word,), 1),
    "hogfree": ((_word, pages_of), 2),
    "hogmov": ((_word, pages_of, _word), 2),
    "hognode": ((_word, _whole, _one_of("mov", "ker"), pages_of), 4),
    "punch": ((_word, _whole), 2),
    "pin": ((_word, _PIN, pages_of, pages_of), 2),
    "pinblocks": ((_word, _whole, _PIN), 3),
    "pinstride": ((_word, _whole, _PIN), 3),
    "repin": ((_word, _PIN, _whole), 3),
    "unpin": ((_word,), 1),
    "unpin_after": ((_word, _seconds_ns), 2),
    "mark": ((_word,), 1),
    "offline": ((_target, _seconds_ns), 2),
    "offlineall": ((_seconds_ns,), 1),
    "fork_hold": ((), 0),
    "child_kill": ((), 0),
    "mlock": ((_word,), 1),
    "free": ((_word,), 1),
    "filewrite": ((_word, pages_of), 2),
    "kmem": ((pages_of,), 1),
    "oomadj": ((_whole,), 1),
    "put": ((_setting,), 1),
    "cat": ((_word,), 1),
    "sleep": ((_seconds_ns,), 1),
    "vfio_init": ((_word,), 1),
    "zones": ((), 0),
    "dist": ((_word,), 1),
    "blockstates": ((), 0),
    "runs": ((_word, _whole), 1),
    "freemap": ((), 0),
    "buddyinfo": ((), 0),
    "churn": ((_word, _whole, _chunk, _PERCENT), 4),
    "steady": ((_word, _whole, _chunks, pages_of, _PERCENT, _PERCENT), 6),
    "alt": ((_word, _word, _chunk, _within(1, 2)), 4),
    "par": ((_word, _word), 2),
    "share": ((_word, _word), 2),
    "overlap": ((_word, _word), 2),
    "release": ((_word,), 1),
    "cacheread": ((_word, pages_of), 2),
    "cpu": ((_whole,), 1),
    "mpol": ((_policy,), 1),
    "nodefree": ((), 0),
}


def _freepat(words: list[str]) -> tuple[Any, ...]:
    """``NAME:every:K:CHUNK`` or ``NAME:rand:SEED:PCT:CHUNK``."""
    if len(words) == 4 and words[1] == "every":
        return words[0], "every", _within(1, 1 << 31)(words[2]), 0, _chunk(words[3])
    if len(words) == 5 and words[1] == "rand":
        return words[0], "rand", _whole(words[2]), _PERCENT(words[3]), _chunk(words[4])
    raise OperationError("expected NAME:every:K:CHUNK or NAME:rand:SEED:PCT:CHUNK")


def parse(text: str) -> Operation:
    """Parse one operation.

    Raises
    ------
    UnknownOperationError
        The name is not in the vocabulary.
    OperationError
        An argument is missing, surplus or malformed.
    """
    name, *words = text.split(":")
    if name == "freepat":
        try:
            return Operation(text, name, _freepat(words))
        except OperationError as error:
            raise OperationError(f"{text!r}: {error}") from None
    if name not in _GRAMMAR:
        raise UnknownOperationError(f"unknown operation {text!r}")
    converters, required = _GRAMMAR[name]
    if not required <= len(words) <= len(converters):
        raise OperationError(f"{text!r}: {name} takes {required} to {len(converters)} arguments")
    try:
        values = tuple(c(w) for c, w in zip(converters, words, strict=False))
    except OperationError as error:
        raise OperationError(f"{text!r}: {error}") from None
    return Operation(text, name, values + (None,) * (len(converters) - len(values)))
