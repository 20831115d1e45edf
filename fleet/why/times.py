"""Simulated times as people give them: ``33m19s``-like durations, or ``h:mm:ss.mmm`` as printed."""

import re

from pydantic_core import PydanticCustomError

from fleet.errors import InputError
from fleet.scenario.units import DURATION_NS, parse_duration

_CLOCK = re.compile(r"(\d+):([0-5]\d):([0-5]\d)(?:\.(\d{1,9}))?")
_PARTS = re.compile(r"(\d+(?:\.\d+)?)(d|h|min|m|s|ms|us|ns)(?![a-z])")


def parse_at(text: str, horizon_ns: int) -> int:
    """Return a simulated time in ns.

    Parameters
    ----------
    text : str
        ``2h``, ``1h30m``, ``1999.5s``, ``0:33:19.216``.
    horizon_ns : int
        End of the run; the time must come before or be it.

    Raises
    ------
    InputError
        Not a time, or after the end of the run.
    """
    time_ns = _clock(text.strip())
    if time_ns > horizon_ns:
        end = f"{horizon_ns / 10**9:,.3f}".rstrip("0").rstrip(".")
        raise InputError(f"{text} is after the end of the run at {end} s", where="--at")
    return time_ns


def _clock(text: str) -> int:
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        hours, minutes, seconds, fraction = clock.groups()
        whole = (int(hours) * 60 + int(minutes)) * 60 + int(seconds)
        return whole * 10**9 + int((fraction or "0").ljust(9, "0"))
    parts = _PARTS.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        try:
            return sum(parse_duration(number + unit) for number, unit in parts)
        except PydanticCustomError as error:
            raise InputError(error.message(), where="--at") from None
    known = ", ".join(DURATION_NS)
    raise InputError(f"{text!r} is not a time: write 1h30m or 0:33:19.216 ({known})", where="--at")
