"""The two engines by name, for commands that can use either."""

from enum import StrEnum
from typing import Any


class EngineName(StrEnum):
    """The two engines."""

    FAST = "fast"
    REFERENCE = "reference"


def engine_class(engine: EngineName) -> Any:
    """Return the class of an engine, importing it only now."""
    if engine is EngineName.REFERENCE:
        from engine.reference.host import ReferenceHost

        return ReferenceHost
    from engine.host import Host

    return Host
