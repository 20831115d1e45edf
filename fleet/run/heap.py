"""Memory that the C library keeps when its user is done with it."""

import ctypes

_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back() -> None:
    """Hand free memory of this process back to the system; nothing where the C library can not.

    glibc keeps what was freed below the last block in use (malloc_trim(3)). After a plan was made,
    or a window of messages and rows came and went, that is a third of the coordinator's memory.
    """
    if _TRIM is not None:
        _TRIM(ctypes.c_size_t(0))
