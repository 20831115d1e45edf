"""Sizing presets: how much of a host is ZONE_MOVABLE."""

import re

from policies.models import PolicyError, Sizing

MAX_SHARE_PERCENT = 90
"""Largest share accepted. The kernel's guide calls 3:1 to 4:1 fine and warns of more
(Documentation/admin-guide/mm/memory-hotplug.rst, 5.15, "Configuring ZONE_MOVABLE")."""

NO_MOVABLE_ZONE = Sizing("no-movable-zone", 0)

SIZINGS: tuple[Sizing, ...] = (
    NO_MOVABLE_ZONE,
    *(Sizing(f"movable-{n}", n * 10_000) for n in (10, 25, 50, 75, 90)),
)
"""The presets that listings show; any ``movable-N`` is understood."""


def parse_movable(name: str) -> Sizing | None:
    """Return the preset ``movable-N`` (N % of the memory), None if ``name`` is another.

    Raises
    ------
    PolicyError
        If N is not a whole number of per cent in 0..90.
    """
    prefix, dash, text = name.partition("-")
    if prefix != "movable" or not dash:
        return None
    share = int(text) if re.fullmatch(r"[0-9]{1,6}", text) else -1
    if not 0 <= share <= MAX_SHARE_PERCENT:
        raise PolicyError(
            f"sizing preset '{name}': want a share of 0 to {MAX_SHARE_PERCENT} per cent,"
            " such as movable-75"
        )
    return Sizing(name, share * 10_000)
