"""The operation language of scripts: that of the recorded cases, and two words more.

* ``map`` draws the memory blocks at this point;
* ``hint:NAME:SIZE:KIND`` maps a buffer as ``alloc`` does and says by ``madvise``, before the first
  touch, that it is going to be pinned (proposal 3 of the mail "Pinning ZONE_MOVABLE pages").
"""

from dataclasses import replace

from fleet.lab.operations import Operation, OperationError, parse


def parse_step(text: str) -> Operation:
    """Parse one operation of a script (OperationError when it is malformed)."""
    name, colon, rest = text.partition(":")
    if name == "map":
        if colon:
            raise OperationError(f"{text!r}: map takes no arguments")
        return Operation(text, name, ())
    if name == "hint":
        return replace(parse(f"alloc{colon}{rest}"), text=text, name=name)
    return parse(text)
