"""The operation language of scripts: that of the recorded cases, and two words more.

* ``map`` draws the memory blocks at this point;
* ``hint:NAME:SIZE:KIND`` maps a buffer as ``alloc`` does and says by ``madvise``, before the first
  touch, that it is going to be pinned (proposal 3 of the mail "Pinning ZONE_MOVABLE pages").
"""

from fleet.lab.operations import GRAMMAR, Operation, parse

WORDS = {"map": ((), 0), "hint": GRAMMAR["alloc"]}
"""The two words."""


def parse_step(text: str) -> Operation:
    """Parse one operation of a script (OperationError when it is malformed)."""
    return parse(text, WORDS)
