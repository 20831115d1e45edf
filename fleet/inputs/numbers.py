"""One column of raw values to exact integers: whole columns at once, the odd value by itself.

What is plainly a number (digits, Arrow integers, floats) is converted by Arrow and numpy. Every
other value, and every value out of range, takes the path of single values, which knows the reason.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

NULL = -1
"""What an absent optional number becomes."""

_EXACT = 1 << 52
"""Floats below this have a fraction that fits beside their whole part."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One documented column.

    Attributes
    ----------
    name : str
        Header.
    unit : str
        ``text``, or the unit of a number.
    required : bool
        Whether the column must be there.
    nullable : bool
        Whether single values may be empty.
    low, high : int
        Range of numbers, in the scaled unit.
    scale : int
        Numbers are multiplied by this and must then be whole (seconds to ns: 10**9). At most 26
        significant bits.
    description : str
        For the reference.
    """

    name: str
    unit: str
    description: str
    required: bool = False
    nullable: bool = False
    low: int = 0
    high: int = 2**40
    scale: int = 1


class BadValueError(ValueError):
    """A value that cannot be used; ``row`` counts from 0 in the column given."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(reason)
        self.row = row


def numbers(values: pa.Array, spec: Spec) -> NDArray[np.int64]:
    """Convert a column.

    Parameters
    ----------
    values : pyarrow.Array
        Any type; text as a file of text has it.
    spec : Spec
        Range and scale.

    Returns
    -------
    int64[n]
        Scaled, ``NULL`` where empty.

    Raises
    ------
    BadValueError
        The first value that is missing, no number, not whole or out of range.
    """
    out, known = _plain(values, spec)
    inside = known & (out >= spec.low) & (out <= spec.high)
    if spec.nullable:
        empty = _empty(values)
        out[empty] = NULL
        inside |= empty
    for row in np.flatnonzero(~inside).tolist():
        try:
            out[row] = number(values[row].as_py(), spec)
        except ValueError as error:
            raise BadValueError(row, str(error)) from None
    return out


def _empty(values: pa.Array) -> NDArray[np.bool_]:
    """Return where a column has no value."""
    empty = np.asarray(values.is_null())
    if pa.types.is_string(values.type):
        empty = empty | np.asarray(pc.equal(values, "").fill_null(False))
    return empty


def _plain(values: pa.Array, spec: Spec) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return scaled values and where they can be relied upon."""
    if pa.types.is_string(values.type):
        digits = pc.match_substring_regex(values, "^[0-9]{1,18}$")
        values = pc.if_else(digits, values, None).cast(pa.int64())
    if pa.types.is_floating(values.type):
        floats = values.cast(pa.float64())
        return _from_floats(floats.fill_null(np.nan).to_numpy(zero_copy_only=False), spec.scale)
    integer = pa.types.is_integer(values.type) and values.type != pa.uint64()
    if not integer:
        return np.zeros(len(values), np.int64), np.zeros(len(values), np.bool_)
    most = (2**63 - 1) // spec.scale
    whole = values.cast(pa.int64()).fill_null(most).to_numpy(zero_copy_only=False)
    known = np.asarray(values.is_valid()) & (whole >= -most) & (whole <= most)
    return np.where(known, whole, 0) * spec.scale, known


def _from_floats(
    values: NDArray[np.float64], scale: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Scale floats as exact fractions, halves to even; whole numbers only where scale is 1.

    The whole part is scaled as an integer. The fraction's product is known exactly as the sum of
    two floats (Dekker, Numer. Math. 18, 1971), so a half that only rounding made is told apart.
    """
    limit = min(_EXACT, (2**63 - 1) // scale)
    known = np.abs(values) < limit
    safe = np.where(known, values, 0.0)
    whole = np.floor(safe)
    rest = safe - whole
    if scale == 1:
        return whole.astype(np.int64), known & (rest == 0)
    high = rest * (2**27 + 1)
    high -= high - rest
    product = rest * scale
    error = (high * scale - product) + (rest - high) * scale
    near = np.rint(product)
    half = product - near
    near += ((half == 0.5) & (error > 0)).astype(np.float64)
    near -= ((half == -0.5) & (error < 0)).astype(np.float64)
    return whole.astype(np.int64) * scale + near.astype(np.int64), known


def number(value: Any, spec: Spec) -> int:
    """Convert one value exactly; ValueError with the reason."""
    if value is None or value == "":
        if spec.nullable:
            return NULL
        raise ValueError("value missing")
    scaled = _exact(value, spec)
    if scaled < spec.low:
        above = "above 0" if spec.scale > spec.low == 1 else f"at least {spec.low // spec.scale}"
        raise ValueError(f"must be {above} {spec.unit}, got {value!r}")
    if scaled > spec.high:
        raise ValueError(f"too large: {value!r} {spec.unit}")
    return scaled


def _exact(value: Any, spec: Spec) -> int:
    """Scale a number; ValueError unless the result is whole (floats of seconds are rounded)."""
    if isinstance(value, int):
        return value * spec.scale
    if isinstance(value, str) and len(value) < 20 and value.isascii() and value.isdigit():
        return int(value) * spec.scale
    try:
        amount = Fraction(value.strip() if isinstance(value, str) else value) * spec.scale
    except (ValueError, ZeroDivisionError, TypeError, OverflowError):
        raise ValueError(f"not a number: {value!r}") from None
    if amount.denominator == 1:
        return int(amount)
    if isinstance(value, float) and spec.scale > 1:
        return round(amount)
    raise ValueError(f"{value!r} is not a whole number of {spec.unit}")
