"""What the command line chose, as every subject sees it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """Choices of one call of ``python -m benchmarks``.

    Attributes
    ----------
    quick : bool
        Small sizes: does it run, not how fast it is.
    inventory, trace : Path or None
        Inputs of the real fleet (``fleet import``); without them a fleet is generated.
    arms : tuple of str
        Arms of the real fleet's table by arm; the first one is used for everything else.
    hosts, hours : tuple of int
        Sizes of the real fleet; the largest number of hosts and 24 hours are the centre.
    sets : tuple of str
        More ``--set PATH=VALUE`` for every run of the real fleet.
    """

    quick: bool = False
    inventory: Path | None = None
    trace: Path | None = None
    arms: tuple[str, ...] = ()
    hosts: tuple[int, ...] = ()
    hours: tuple[int, ...] = ()
    sets: tuple[str, ...] = ()

    def size(self, full: int, quick: int) -> int:
        """Return a size by how much time there is."""
        return quick if self.quick else full
