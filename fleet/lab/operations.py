"""The operations of a recorded case: ``name:arg:…`` to typed values.

The grammar is the one of the recorded cases' README: sizes are MiB unless they end in ``k``
(KiB), ``p`` (4 KiB pages), ``m`` or ``G``; bounds and delays are seconds. Every operation of that
README has an entry here, also those that no replay supports yet, so that *unknown* (not in the
vocabulary) and *unsupported* (known, but not modelled) are different answers.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

NS = 1_000_000_000
"""Nanoseconds of a second."""
PAGES_PER_MIB = 256
"""4 KiB pages of a MiB."""
MAX_PAGES = 1 << 28
"""Largest size (1 TiB), far above any host here: tables of every page of a buffer fit in memory."""
MAX_SECONDS = 1_000_000
"""Largest bound or delay, about eleven days: clocks of long scripts stay in int64."""
MAX_WHOLE = 1 << 62
"""Largest seed or setting (int64, with room for sums)."""
MAX_ROUNDS = 10_000
"""Most rounds of a ``repin``."""
MAX_DIGITS = 30
_BLOCK = re.compile(r"[hb]\d{1,6}", re.ASCII)
_RANGE = re.compile(r"h(\d{1,6})(?:-h(\d{1,6}))?", re.ASCII)


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


def _number(text: str, reason: str) -> int:
    """Decimal digits as a number: ASCII ones, and not so many that reading them takes long."""
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise OperationError(f"{text!r} is not {reason}")
    return int(text)


def pages_of(text: str) -> int:
    """Return the 4 KiB pages of a size (``32`` MiB, ``64k``, ``512p``, ``1G``)."""
    units = {"k": 1, "p": 4, "m": 4 * PAGES_PER_MIB, "G": 4 * PAGES_PER_MIB * 1024}
    unit = units.get(text[-1:])
    kib = _number(text if unit is None else text[:-1], "a size") * (unit or units["m"])
    if kib % 4:
        raise OperationError(f"{text!r} is not a whole number of pages")
    if kib // 4 > MAX_PAGES:
        raise OperationError(f"{text!r} is more than {MAX_PAGES // units['G'] * 4} GiB")
    return kib // 4


def _some_pages(text: str) -> int:
    """A size of at least a page."""
    pages = pages_of(text)
    if pages == 0:
        raise OperationError(f"{text!r} is no memory at all")
    return pages


def _seconds_ns(text: str) -> int:
    """Seconds with an optional fraction, in ns."""
    try:
        value = float(text)
    except ValueError:
        raise OperationError(f"{text!r} is not a number of seconds") from None
    if not value >= 0:
        raise OperationError(f"{text!r} is not a number from 0 on")
    if value > MAX_SECONDS:
        raise OperationError(f"{text!r} is more than {MAX_SECONDS:,} seconds")
    return round(value * NS)


def _bound_ns(text: str) -> int:
    """Seconds after which a signal ends an offline: more than none, which would mean no bound."""
    bound = _seconds_ns(text)
    if bound == 0:
        raise OperationError(f"{text!r} is no bound (above 0 seconds)")
    return bound


def _whole(text: str) -> int:
    """A decimal integer, possibly negative."""
    value = _number(text.removeprefix("-"), "a whole number")
    if value > MAX_WHOLE:
        raise OperationError(f"{text!r} is too large")
    return -value if text.startswith("-") else value


def _word(text: str) -> str:
    """A name or path, not empty."""
    if not text:
        raise OperationError("empty word")
    return text


def _hot_range(text: str) -> tuple[int, ...]:
    """``h2`` or ``h0-h3`` (descending when written so) as indices of hot blocks."""
    found = _RANGE.fullmatch(text)
    if found is None:
        raise OperationError(f"{text!r} is not a range of hot blocks")
    first, last = int(found[1]), int(found[2] or found[1])
    step = 1 if first <= last else -1
    return tuple(range(first, last + step, step))


def _target(text: str) -> tuple[str, str]:
    """An offline target as (how, what): ``h0``, ``b35``, ``of=NAME`` or ``was=NAME``."""
    how, equals, what = text.partition("=")
    if equals and how in ("of", "was") and what:
        return how, what
    if _BLOCK.fullmatch(text):
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
    if mode in ("bind", "pref") and equals:
        return mode, _number(node, "a node")
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


def _chunks(text: str) -> tuple[int, ...]:
    """Chunk sizes to draw from: one, or those of ``mix``."""
    return MIXED_CHUNKS if text == "mix" else (_some_pages(text),)


def _kind(text: str) -> str:
    """What a buffer is made of."""
    if text not in KINDS and not (text.startswith(FILE_KIND) and text != FILE_KIND):
        raise OperationError(f"{text!r} is not one of {', '.join(KINDS)}, {FILE_KIND}PATH")
    return text


KINDS = ("4k", "thp", "hugetlb", "hugetlb1g", "memfd", "shmanon")
"""Kinds of buffers, besides those that map a file."""
FILE_KIND = "file="
"""Prefix of the kind of a buffer that maps a file."""
MIXED_CHUNKS = (1, 4, 16, 64, 256, 512)
"""Pages of the chunks that ``mix`` draws among: six sizes from 4 KiB to 2 MiB."""
_PIN = _one_of("iou", "vmsplice", "vfio", "rdma", "dio")
_PERCENT = _within(0, 100)
_COUNT = _within(1, MAX_WHOLE)
_INDEX = _within(0, MAX_WHOLE)

Arguments = tuple[tuple[Callable[[str], Any], ...], int]
"""Converters of the arguments of an operation, and how many of them are required."""

GRAMMAR: dict[str, Arguments] = {
    "online": ((_hot_range, _one_of("movable", "kernel")), 2),
    "alloc": ((_word, _some_pages, _kind), 3),
    "touch": ((_word, _some_pages), 1),
    "read": ((_word,), 1),
    "hogfree": ((_word, pages_of), 2),
    "hogmov": ((_word, pages_of, _kind), 2),
    "hognode": ((_word, _INDEX, _one_of("mov", "ker"), pages_of), 4),
    "punch": ((_word, _COUNT), 2),
    "pin": ((_word, _PIN, pages_of, pages_of), 2),
    "pinblocks": ((_word, _COUNT, _PIN), 3),
    "pinstride": ((_word, _COUNT, _PIN), 3),
    "repin": ((_word, _PIN, _within(1, MAX_ROUNDS)), 3),
    "unpin": ((_word,), 1),
    "unpin_after": ((_word, _seconds_ns), 2),
    "mark": ((_word,), 1),
    "offline": ((_target, _bound_ns), 2),
    "offlineall": ((_bound_ns,), 1),
    "fork_hold": ((), 0),
    "child_kill": ((), 0),
    "mlock": ((_word,), 1),
    "free": ((_word,), 1),
    "filewrite": ((_word, _some_pages), 2),
    "kmem": ((pages_of,), 1),
    "oomadj": ((_whole,), 1),
    "put": ((_setting,), 1),
    "cat": ((_word,), 1),
    "sleep": ((_seconds_ns,), 1),
    "vfio_init": ((_word,), 1),
    "zones": ((), 0),
    "dist": ((_word,), 1),
    "blockstates": ((), 0),
    "runs": ((_word, _INDEX), 1),
    "freemap": ((), 0),
    "buddyinfo": ((), 0),
    "churn": ((_word, _whole, _some_pages, _PERCENT), 4),
    "steady": ((_word, _whole, _chunks, pages_of, _PERCENT, _PERCENT), 6),
    "alt": ((_word, _word, _some_pages, _within(1, 2)), 4),
    "par": ((_word, _word), 2),
    "share": ((_word, _word), 2),
    "overlap": ((_word, _word), 2),
    "release": ((_word,), 1),
    "cacheread": ((_word, _some_pages), 2),
    "cpu": ((_INDEX,), 1),
    "mpol": ((_policy,), 1),
    "nodefree": ((), 0),
}
"""The vocabulary, but for ``freepat``, whose second argument says what follows."""
NOTHING: Mapping[str, Arguments] = {}


def _freepat(words: list[str]) -> tuple[Any, ...]:
    """``NAME:every:K:CHUNK`` or ``NAME:rand:SEED:PCT:CHUNK``."""
    if len(words) == 4 and words[1] == "every":
        return words[0], "every", _within(1, MAX_WHOLE)(words[2]), 0, _some_pages(words[3])
    if len(words) == 5 and words[1] == "rand":
        return words[0], "rand", _whole(words[2]), _PERCENT(words[3]), _some_pages(words[4])
    raise OperationError("expected NAME:every:K:CHUNK or NAME:rand:SEED:PCT:CHUNK")


def parse(text: str, more: Mapping[str, Arguments] = NOTHING) -> Operation:
    """Parse one operation; ``more`` are words beside the vocabulary.

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
    if name not in GRAMMAR and name not in more:
        raise UnknownOperationError(f"unknown operation {text!r}")
    converters, required = GRAMMAR[name] if name in GRAMMAR else more[name]
    most = len(converters)
    if not required <= len(words) <= most:
        takes = f"{required} to {most}" if required < most else str(most or "no")
        raise OperationError(f"{text!r}: {name} takes {takes} argument{'' if most == 1 else 's'}")
    try:
        values = tuple(c(w) for c, w in zip(converters, words, strict=False))
    except OperationError as error:
        raise OperationError(f"{text!r}: {error}") from None
    return Operation(text, name, values + (None,) * (len(converters) - len(values)))
