"""How a host travels through compiled code: as one pointer.

Numba passes a tuple of arrays by value, some hundred words for a host, and again in every call that
is not inlined. So kernels get the address of a table instead: per array of ``engine.state.H`` its
data pointer and length. ``h.pb`` in a kernel reads the pointer and gives the array. The table
never changes while compiled code runs, and the loads say so (``invariant.load``), so that they
leave loops.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import (
    intrinsic,
    models,
    register_model,
)
from numba.core.imputils import lower_getattr
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.np.arrayobj import make_array, populate_array
from numpy.typing import NDArray

from engine.state import COLUMNS, VARIES, H

WORDS = 3
"""Words of the table per array: data pointer, length of each of up to two dimensions."""


class HostType(types.Type):
    """The type of ``h`` in kernels."""

    def __init__(self) -> None:
        super().__init__(name="fleet.Host")


HOST = HostType()
_ARRAY_OF = {
    name: types.Array(getattr(types, np.dtype(dtype).name), 1 + (columns != 0), "C")
    for name, (dtype, columns) in COLUMNS.items()
}


@register_model(HostType)
class _HostModel(models.PrimitiveModel):
    """An address."""

    def __init__(self, manager: Any, host_type: HostType) -> None:
        super().__init__(manager, host_type, ir.IntType(64).as_pointer())


@infer_getattr
class _HostAttributes(AttributeTemplate):
    """``h.name`` is an array."""

    key = HostType

    def generic_resolve(self, _: HostType, name: str) -> types.Array | None:
        return _ARRAY_OF.get(name)


def _load(builder: Any, pointer: Any, word: int) -> Any:
    """Read a word of the table."""
    value = builder.load(builder.gep(pointer, [ir.Constant(ir.IntType(64), word)]))
    value.set_metadata("invariant.load", builder.module.add_metadata([]))
    return value


def _lower(name: str, number: int) -> None:
    """Make code for ``h.name``."""
    dtype, columns = COLUMNS[name]
    item = np.dtype(dtype).itemsize
    array_type = _ARRAY_OF[name]

    @lower_getattr(HostType, name)
    def get(context: Any, builder: Any, _: HostType, pointer: Any) -> Any:
        array = make_array(array_type)(context, builder)
        word = ir.IntType(64)
        data = builder.inttoptr(_load(builder, pointer, WORDS * number), array.data.type)
        shape, strides = [_load(builder, pointer, WORDS * number + 1)], [ir.Constant(word, item)]
        if columns:
            varies = columns == VARIES
            width = _load(builder, pointer, WORDS * number + 2) if varies else word(columns)
            shape.append(width)
            strides.insert(0, builder.mul(width, word(item)))
        populate_array(
            array,
            data=data,
            shape=cgutils.pack_array(builder, shape),
            strides=cgutils.pack_array(builder, strides),
            itemsize=ir.Constant(word, item),
            meminfo=None,
        )
        return array._getvalue()


for _number, _name in enumerate(COLUMNS):
    _lower(_name, _number)


def _host_at(_: Any, address: types.Type) -> Any:
    """The host whose table is at an address."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())

    return HOST(address), generate


host_at: Any = intrinsic(_host_at)
"""In compiled code ``host_at(address)`` is the host whose table is there."""


def table_of(h: H) -> NDArray[np.int64]:
    """Return the table of a host: int64[WORDS * arrays]. The arrays must stay alive and in place.

    Raises
    ------
    ValueError
        When an array is not as ``engine.state.COLUMNS`` says.
    """
    out = np.zeros(WORDS * len(COLUMNS), np.int64)
    for number, (name, (dtype, columns)) in enumerate(COLUMNS.items()):
        array = getattr(h, name)
        wide = array.shape[1:]
        if array.dtype != dtype or not array.flags.c_contiguous:
            raise ValueError(f"{name}: {array.dtype}, not in C order")
        if len(wide) != (columns != 0) or (columns > 0 and wide[0] != columns):
            raise ValueError(f"{name}: shape {array.shape}")
        out[WORDS * number] = array.ctypes.data
        out[WORDS * number + 1 : WORDS * number + 1 + array.ndim] = array.shape
    return out
