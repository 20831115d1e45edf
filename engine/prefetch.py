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

from engine.pointer import TableType, row_start

_READ, _KEEP, _DATA = 0, 3, 1


def _prefetch(_: Any, table: TableType, __: types.Type) -> Any:
    """Ask for the cache line in which a row of a table begins; any row number is allowed."""

    def generate(_: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        where = builder.bitcast(row_start(builder, signature.args[0], *arguments), byte)
        flag = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(ask, [where, flag(_READ), flag(_KEEP), flag(_DATA)])
        return ir.Constant(ir.IntType(64), 0)

    return types.int64(table, types.int64), generate


prefetch: Any = intrinsic(_prefetch)
"""In compiled code ``prefetch(h.pb, row)`` asks for a record; returns 0."""
