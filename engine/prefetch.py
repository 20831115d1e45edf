"""Ask the processor for memory that will be read soon.

A process holds the pageblocks of a thousand hosts, so what an event touches is in no cache, and a
read waits 150 to 300 ns for it; sixteen at a time take hardly longer than one. Where the next
records are known before they are needed, asking early is worth more than anything that is done
with them. It changes nothing else: an address may be stale, or none at all.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import intrinsic
from numba.np.arrayobj import make_array

_READ, _KEEP, _DATA = 0, 3, 1


def _prefetch(_: Any, array: types.Array, __: types.Type) -> Any:
    """Ask for the cache line in which a row of an array begins; any row number is allowed."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        held = make_array(signature.args[0])(context, builder, arguments[0])
        stride = builder.extract_value(held.strides, 0)
        byte = ir.IntType(8).as_pointer()
        start = builder.bitcast(held.data, byte)
        where = builder.gep(start, [builder.mul(arguments[1], stride)])
        flag = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(ask, [where, flag(_READ), flag(_KEEP), flag(_DATA)])
        return ir.Constant(ir.IntType(64), 0)

    return types.int64(array, types.int64), generate


prefetch: Any = intrinsic(_prefetch)
"""In compiled code ``prefetch(h.pb, row)`` asks for a record; returns 0."""
