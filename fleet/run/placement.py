"""Where a workload goes: two rules over the ledger, ties to the lower host number."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

NOWHERE = -1
"""No host has room."""

Rule = Callable[[NDArray[np.int64], int], int]
"""``rule(room_pages, pages) -> host`` or ``NOWHERE``."""


def first_fit(room_pages: NDArray[np.int64], pages: int) -> int:
    """Return the first host with room for ``pages``."""
    host = int(np.argmax(room_pages >= pages))
    return host if room_pages[host] >= pages else NOWHERE


def spread(room_pages: NDArray[np.int64], pages: int) -> int:
    """Return the host with most room, if that is enough for ``pages``."""
    host = int(np.argmax(room_pages))
    return host if room_pages[host] >= pages else NOWHERE


RULES: dict[Literal["first-fit", "spread"], Rule] = {"first-fit": first_fit, "spread": spread}
"""Rules by the name a scenario gives them."""
