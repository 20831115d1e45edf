"""How a zone is spelled."""

from engine.enums import ZONES_PER_NODE

_KINDS = ("DMA32", "Normal", "Movable")


def zone_name(zone: int) -> str:
    """Return a zone id as /proc/zoneinfo spells it, ``node0 Movable``; ``offline`` below 0.

    The same words as the SQL macro ``zone_name`` (queries/catalog.py).
    """
    if zone < 0:
        return "offline"
    return f"node{zone // ZONES_PER_NODE} {_KINDS[zone % ZONES_PER_NODE]}"
