"""What the coordinator tells hosts and what hosts tell the coordinator: plain tuples of integers.

A *command* is ``(time_ns, do, host, id, a, b, c, boot)`` and is carried out in the order of that
tuple. ``boot`` is the fence: the boot of the host it was meant for, ``ANY_BOOT`` for all. A host
that has been down since then does not carry it out.
A *report* is ``(time_ns, host, sequence, told, id, a, b, c, d, e)``; ``sequence`` counts the
reports of one host, so that reports too have a total order that no sharding can change.
"""

from enum import IntEnum

Command = tuple[int, int, int, int, int, int, int, int]
Report = tuple[int, int, int, int, int, int, int, int, int, int]

EVERY_HOST = -1
"""``host`` of a command that all hosts carry out (samples)."""

ANY_BOOT = -1
"""``boot`` of a command that does not depend on what the host has been through."""

ATTEMPTS_PER_REQUEST = 1024
"""An attempt's id is ``request * ATTEMPTS_PER_REQUEST + number``, numbers from 0."""

PLACEMENTS_PER_WORKLOAD = 1024
"""A pin's id is ``workload * PLACEMENTS_PER_WORKLOAD + placement``, placements from 0."""


class Do(IntEnum):
    """Commands; at equal times what frees comes before what takes."""

    END = 0  # id workload, a placement, b workload: it ends by itself
    EVICT = 1  # id workload, a placement: what is left of it is cleared away
    UNHOLD = 2  # id hold, a placement, b workload
    SIGNAL = 3  # id request: interrupts the running offline
    REBOOT = 4  # id request
    PLACE = 5  # id workload, a placement
    HOLD = 6  # id hold, a placement, b workload
    OFFLINE = 7  # id attempt, a first block, b number of blocks, c watchdog ns (0: none)
    SAMPLE = 8  # id sample
    PROBE = 9  # id request


class Told(IntEnum):
    """Reports."""

    PIN_FAILED = 0  # id workload, a placement, b errno
    KILLED = 1  # id workload, a placement
    NOT_PLACED = 2  # id workload, a placement: the host was down when it came
    RETURNED = 3  # id attempt, a errno, b reason, c endless, d start_ns, e failed block
    PROBED = 4  # id request, a errno, b reason, c endless, d end_ns (-1: had not returned), e down
    RESET = 5  # id request, a ns until the host is back, b endless
    PANIC = 6  # id -1, a ns until the host is back
    REBOOTED = 7  # id request, a ns until the host is back
    NOT_BEGUN = 8  # id attempt: the host was down when it came


CANCELLABLE = frozenset({Do.END, Do.HOLD, Do.UNHOLD})
"""Commands that a workload's death takes back (columns ``b`` workload, ``a`` placement)."""
