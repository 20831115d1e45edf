"""How a host travels through compiled code: as one pointer.

Numba passes a tuple of arrays by value, some hundred words for a host, and again in every call that
is not inlined. So kernels get the address of a table instead: per array of ``engine.state.H`` its
data pointer and length. ``h.pb[row, column]`` in a kernel reads the pointer and goes there. The
table never changes while compiled code runs, and the loads say so (``invariant.load``), so that
they leave loops.

Rows have no negative numbers, but for the arrays in ``FROM_THE_END``: Numba's own arrays look at
the sign of each index, three instructions of each access, most of which wait for the one before.
With index checks (``FLEET_BOUNDSCHECK=1``) any other row or column is an IndexError.
"""

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.extending import intrinsic, models, register_model
from numba.core.imputils import lower_builtin, lower_getattr
from numba.core.types.containers import UniTuple
from numba.core.typing import signature
from numba.core.typing.templates import (
    AbstractTemplate,
    AttributeTemplate,
    infer_getattr,
    infer_global,
)
from numpy.typing import NDArray

from engine.kernel import BOUNDSCHECK
from engine.state import COLUMNS, LANDMARKS, VARIES, H

WORDS = 3
"""Words of the table per array: data pointer, length of each of up to two dimensions."""
FROM_THE_END = ("slot",)
"""Objects (``engine.objects``) have negative numbers and stand at the end."""
WORD = ir.IntType(64)


class HostType(types.Type):
    """The type of ``h`` in kernels."""

    def __init__(self) -> None:
        super().__init__(name="fleet.Host")


class TableType(types.Type):
    """The type of ``h.name``.

    Attributes
    ----------
    dtype : numba type
        Of an item.
    word : int
        Where the table of the host has its data pointer.
    columns : int
        Items of a row, 0 for an array of one dimension, ``VARIES``.
    from_the_end : bool
        Whether negative rows count from the end.
    """

    def __init__(self, name: str, number: int) -> None:
        dtype, self.columns = COLUMNS[name]
        self.dtype = getattr(types, np.dtype(dtype).name)
        self.word = WORDS * number
        self.from_the_end = name in FROM_THE_END
        super().__init__(name=f"fleet.Table({name}, {number}, {self.dtype}, {self.columns})")

    @property
    def index(self) -> Any:
        """Type of an index."""
        return UniTuple(types.int64, 2) if self.columns else types.int64


HOST = HostType()
_EXPECTED = {name: (np.dtype(dtype), columns) for name, (dtype, columns) in COLUMNS.items()}
_TABLES = {name: TableType(name, number) for number, name in enumerate(COLUMNS)}


@register_model(TableType)
@register_model(HostType)
class _AddressModel(models.PrimitiveModel):
    """The address of the host's table, for the host and for each of its arrays."""

    def __init__(self, manager: Any, of_type: types.Type) -> None:
        super().__init__(manager, of_type, WORD.as_pointer())


@infer_getattr
class _HostAttributes(AttributeTemplate):
    """``h.name`` is a table."""

    key = HostType

    def generic_resolve(self, _: HostType, name: str) -> TableType | None:
        return _TABLES.get(name)


@infer_global(operator.getitem)
class _GetItem(AbstractTemplate):
    """``h.name[row]`` or ``h.name[row, column]`` is an item."""

    def generic(self, args: Any, _: Any) -> Any:
        table = args[0]
        return signature(table.dtype, table, table.index) if _is_table(table) else None


@infer_global(operator.setitem)
class _SetItem(AbstractTemplate):
    """An item takes any integer, cut to its width."""

    def generic(self, args: Any, _: Any) -> Any:
        table = args[0]
        if not _is_table(table):
            return None
        return signature(types.none, table, table.index, table.dtype)


@infer_global(len)
class _Len(AbstractTemplate):
    """``len(h.name)`` is how many rows there are."""

    def generic(self, args: Any, _: Any) -> Any:
        return signature(types.int64, args[0]) if _is_table(args[0]) else None


def _is_table(value: Any) -> bool:
    return isinstance(value, TableType)


# -- code -----------------------------------------------------------------------------------------


def _attribute(name: str) -> None:
    """Make code for ``h.name``: nothing is read before an item is."""

    @lower_getattr(HostType, name)
    def get(_: Any, __: Any, ___: HostType, pointer: Any) -> Any:
        return pointer


for _name in COLUMNS:
    _attribute(_name)


def _load(builder: Any, pointer: Any, word: int) -> Any:
    """Read a word of the table."""
    value = builder.load(builder.gep(pointer, [ir.Constant(WORD, word)]))
    value.set_metadata("invariant.load", builder.module.add_metadata([]))
    return value


def _width(builder: Any, table: TableType, pointer: Any) -> Any:
    """Items of a row."""
    if table.columns == VARIES:
        return _load(builder, pointer, table.word + 2)
    return WORD(max(table.columns, 1))


def row_start(builder: Any, table: TableType, pointer: Any, row: Any) -> Any:
    """Address of the first item of a row; any number is allowed."""
    item = ir.IntType(table.dtype.bitwidth).as_pointer()
    data = builder.inttoptr(_load(builder, pointer, table.word), item)
    return builder.gep(data, [builder.mul(row, _width(builder, table, pointer))])


def _item(context: Any, builder: Any, table: TableType, pointer: Any, index: Any) -> Any:
    """Address of an item."""
    row, column = index, None
    if table.columns:
        row, column = (builder.extract_value(index, i) for i in range(2))
    if BOUNDSCHECK:
        _check(context, builder, table, pointer, row, column)
    if table.from_the_end:
        beyond = builder.add(row, _load(builder, pointer, table.word + 1))
        row = builder.select(builder.icmp_signed("<", row, WORD(0)), beyond, row)
    start = row_start(builder, table, pointer, row)
    return start if column is None else builder.gep(start, [column])


def _check(
    context: Any, builder: Any, table: TableType, pointer: Any, row: Any, column: Any
) -> None:
    """Raise IndexError where there is no such item."""
    rows = _load(builder, pointer, table.word + 1)
    least = builder.neg(rows) if table.from_the_end else WORD(0)
    limits = [(row, least, rows)]
    if column is not None:
        limits.append((column, WORD(0), _width(builder, table, pointer)))
    for value, first, end in limits:
        below = builder.icmp_signed("<", value, first)
        bad = builder.or_(below, builder.icmp_signed(">=", value, end))
        with builder.if_then(bad, likely=False):
            context.call_conv.return_user_exc(builder, IndexError, (f"no such item of {table}",))


@lower_builtin(operator.getitem, TableType, types.Any)
def _get(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.load(_item(context, builder, sig.args[0], *args))


@lower_builtin(operator.setitem, TableType, types.Any, types.Any)
def _set(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    pointer, index, value = args
    builder.store(value, _item(context, builder, sig.args[0], pointer, index))
    return context.get_dummy_value()


@lower_builtin(len, TableType)
def _length(_: Any, builder: Any, sig: Any, args: Any) -> Any:
    return _load(builder, args[0], sig.args[0].word + 1)


def _host_at(_: Any, address: types.Type) -> Any:
    """The host whose table is at an address."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], WORD.as_pointer())

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
    words: list[int] = []
    for name, (dtype, columns) in _EXPECTED.items():
        array = getattr(h, name)
        if array.dtype != dtype or not array.flags.c_contiguous:
            raise ValueError(f"{name}: {array.dtype}, not in C order")
        rows, *wide = array.shape
        if len(wide) != (columns != 0) or (columns > 0 and wide[0] != columns):
            raise ValueError(f"{name}: shape {array.shape}")
        words += (array.__array_interface__["data"][0], rows, *(wide or (0,)))
    return np.array(words, np.int64)


def table_of_copy(table: NDArray[np.int64], addresses: dict[str, int]) -> NDArray[np.int64]:
    """Return the table of a copy whose named arrays lie elsewhere, and which has no landmarks.

    As ``table_of`` would, but for its look at each array: 1.5 % of a day of 300 hosts with probes.
    """
    words = table.copy()
    for name, address in addresses.items():
        words[_TABLES[name].word] = address
    for name in LANDMARKS:
        words[_TABLES[name].word + 1] = 0
    return words
