"""Bit counts, which Numba does not offer to Python, as the processor's own instructions."""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.extending import intrinsic

_WORD, _YES = ir.IntType(64), ir.Constant(ir.IntType(1), 1)


def _low_bit(_: Any, __: types.Type) -> Any:
    """Number of trailing zero bits of an int64 other than 0."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], _YES)

    return types.int64(types.int64), generate


def _high_bit(_: Any, __: types.Type) -> Any:
    """Floor of the binary logarithm of a positive int64."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.sub(ir.Constant(_WORD, 63), builder.ctlz(arguments[0], _YES))

    return types.int64(types.int64), generate


low_bit: Any = intrinsic(_low_bit)
"""In compiled code: number of trailing zero bits of a number other than 0."""

high_bit: Any = intrinsic(_high_bit)
"""In compiled code: floor of the binary logarithm of a positive number."""
