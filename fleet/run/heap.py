"""Memory that libraries keep when their user is done with it."""

import ctypes

import pyarrow as pa

_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back() -> None:
    """Hand free memory of this process back to the system; what the C library cannot, it keeps.

    Arrow's pool keeps what was freed, and so does glibc below the last block in use
    (malloc_trim(3)). After a plan was made, or a window of messages and rows came and went, that is
    a third of the coordinator's memory.
    """
    pa.default_memory_pool().release_unused()
    if _TRIM is not None:
        _TRIM(ctypes.c_size_t(0))
