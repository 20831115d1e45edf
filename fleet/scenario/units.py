"""Quantities with units: text to exact integers and back.

Sizes become 4 KiB pages, durations nanoseconds, shares millionths, rates the mean interval in
nanoseconds. Everything is exact: a text that is not a whole number of the target unit is refused.
"""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

PAGE_BYTES = 4096
MILLION = 1_000_000
STATIONARY = 0
"""Copies of a trace: as many as the commitment takes."""
MAX_INT = 2**62
"""Largest integer accepted anywhere, so that sums of two stay in int64."""

SIZE_BYTES: Mapping[str, int] = {
    "TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10,
}  # fmt: skip
DURATION_NS: Mapping[str, int] = {
    "d": 86_400 * 10**9, "h": 3_600 * 10**9, "min": 60 * 10**9, "m": 60 * 10**9,
    "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1,
}  # fmt: skip

_NUMBER = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*(.*)", re.ASCII | re.DOTALL)


def fail(reason: str, field: str = "") -> PydanticCustomError:
    """Return a validation error with our own words; ``field`` is relative to the place raised."""
    return PydanticCustomError("fleet", "{reason}", {"reason": reason, "field": field})


def _split(value: Any, what: str, units: str) -> tuple[Fraction, str]:
    """Split ``12.5GiB`` into number and unit; negative numbers and plain numbers are refused."""
    if not isinstance(value, str):
        raise fail(f"{what} needs a unit ({units}), got {value!r}")
    match = _NUMBER.fullmatch(value.strip())
    if match is None:
        raise fail(f"not a {what}: {value!r} (write a number and a unit: {units})")
    number, unit = Fraction(match[1]), match[2]
    if number < 0:
        raise fail(f"a {what} cannot be negative: {value!r}")
    return number, unit


def _scaled(value: Any, what: str, table: Mapping[str, int]) -> Fraction:
    """Return ``value`` in the base unit of ``table``."""
    units = ", ".join(table)
    number, unit = _split(value, what, units)
    if unit not in table:
        shown = f"unknown unit {unit!r}" if unit else "no unit"
        raise fail(f"{shown} in {what} {value!r} (known: {units})")
    return number * table[unit]


def _whole(amount: Fraction, value: Any, unit: str) -> int:
    """Return ``amount`` as an integer of ``unit``."""
    if amount.denominator != 1:
        raise fail(f"{value!r} is not a whole number of {unit}")
    if amount > MAX_INT:
        raise fail(f"{value!r} is too large")
    return int(amount)


def parse_size(value: Any) -> int:
    """Return pages for a size such as ``256GiB`` (a whole number of 4 KiB pages)."""
    return _whole(_scaled(value, "size", SIZE_BYTES) / PAGE_BYTES, value, "4 KiB pages")


def parse_duration(value: Any) -> int:
    """Return nanoseconds for a duration such as ``30s``, ``1.5h`` or ``2d``."""
    return _whole(_scaled(value, "duration", DURATION_NS), value, "nanoseconds")


def parse_share(value: Any) -> int:
    """Return millionths for a share such as ``12.5%``, 0 to 100 %."""
    number, unit = _split(value, "share", "%")
    if unit != "%":
        raise fail(f"a share is written in percent: {value!r} (for example 25%)")
    if number > 100:
        raise fail(f"a share cannot be above 100%: {value!r}")
    return _whole(number * (MILLION // 100), value, "millionths")


def parse_rate(value: Any) -> int:
    """Return the mean interval in ns of a rate such as ``120/h`` or ``1/30s`` (rounded down)."""
    if not isinstance(value, str) or value.count("/") != 1:
        raise fail(f"not a rate: {value!r} (write a count per time: 120/h)")
    count, per = (part.strip() for part in value.split("/"))
    number, rest = _split(count, "rate", "none before the slash")
    if rest or number == 0:
        raise fail(f"a rate needs a positive count before the slash: {value!r}")
    interval = _scaled(per if per[:1].isdigit() else f"1{per}", "rate", DURATION_NS) / number
    if interval < 1:
        raise fail(f"a rate cannot be above one per nanosecond: {value!r}")
    return _whole(Fraction(int(interval)), value, "nanoseconds")


def _format(amount: int, table: Mapping[str, int]) -> str:
    """Write ``amount`` of the base unit with the largest unit that divides it."""
    for unit, factor in table.items():
        if amount and amount % factor == 0:
            return f"{amount // factor}{unit}"
    return f"0{list(table)[-1]}"


def format_size(pages: int) -> str:
    """Write pages as a size: the canonical form of ``parse_size``."""
    return _format(pages * PAGE_BYTES, SIZE_BYTES)


def format_duration(duration_ns: int) -> str:
    """Write nanoseconds as a duration: the canonical form of ``parse_duration``."""
    return _format(duration_ns, DURATION_NS)


def format_share(millionths: int) -> str:
    """Write millionths as percent: the canonical form of ``parse_share``."""
    whole, rest = divmod(millionths, MILLION // 100)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + "%"


def format_rate(interval_ns: int) -> str:
    """Write a mean interval as a rate: the canonical form of ``parse_rate``."""
    return f"1/{format_duration(interval_ns)}"


def parse_block(value: Any) -> int:
    """Return pages of a memory block size, ``auto`` as 0; a power of two from 4MiB to 2GiB."""
    if value == "auto":
        return 0
    pages = parse_size(value)
    if not 1024 <= pages <= 524_288 or pages & (pages - 1):
        raise fail(f"a memory block is a power of two from 4MiB to 2GiB, or auto: {value!r}")
    return pages


def format_block(pages: int) -> str:
    """Write a memory block size: the canonical form of ``parse_block``."""
    return format_size(pages) if pages else "auto"


def parse_copies(value: Any) -> int:
    """Return millionths of a number of copies, ``stationary`` as ``STATIONARY``."""
    if value == "stationary":
        return STATIONARY
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value <= MILLION:
        raise fail(f"needs `stationary` or a number of copies above 0 (at most 10**6): {value!r}")
    return _whole(Fraction(repr(value)) * MILLION, value, "millionths")


def format_copies(millionths: int) -> str | int | float:
    """Write a number of copies: the canonical form of ``parse_copies``."""
    if millionths == STATIONARY:
        return "stationary"
    return millionths / MILLION if millionths % MILLION else millionths // MILLION


def _text(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


Size = Annotated[
    int, BeforeValidator(parse_size), PlainSerializer(format_size, return_type=str),
    _text(r"^\d+(\.\d+)?\s*[KMGT]iB$", "256GiB"),
]  # fmt: skip
Duration = Annotated[
    int, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str),
    _text(r"^\d+(\.\d+)?\s*(d|h|min|m|s|ms|us|ns)$", "30s"),
]  # fmt: skip
Share = Annotated[
    int, BeforeValidator(parse_share), PlainSerializer(format_share, return_type=str),
    _text(r"^\d+(\.\d+)?\s*%$", "25%"),
]  # fmt: skip
Rate = Annotated[
    int, BeforeValidator(parse_rate), PlainSerializer(format_rate, return_type=str),
    _text(r"^\d+(\.\d+)?\s*/.+$", "120/h"),
]  # fmt: skip
BlockSize = Annotated[
    int, BeforeValidator(parse_block), PlainSerializer(format_block, return_type=str),
    _text(r"^(auto|\d+\s*[MG]iB)$", "128MiB"),
]  # fmt: skip
Copies = Annotated[
    int, BeforeValidator(parse_copies), PlainSerializer(format_copies),
    WithJsonSchema({"anyOf": [
        {"enum": ["stationary"]}, {"type": "number", "exclusiveMinimum": 0, "maximum": MILLION},
    ]}),
]  # fmt: skip
