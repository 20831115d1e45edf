"""What a workload's memory is made of: the engine's kinds of areas, and 1 GiB hugetlb pages."""

from enum import IntEnum

from engine.enums import AreaKind


class Backing(IntEnum):
    """Values of ``plan.tables.Workloads.backing``: those of ``AreaKind``, and one more.

    The names in lower case are the words of the event log.
    """

    ANON = AreaKind.ANON
    THP = AreaKind.THP
    FILE = AreaKind.FILE
    KERNEL = AreaKind.KERNEL
    HUGETLB = AreaKind.HUGETLB
    SHMEM = AreaKind.SHMEM
    HUGETLB1G = 6

    @property
    def area_kind(self) -> AreaKind:
        """Kind of the area that the engine maps."""
        return AreaKind.HUGETLB if self == Backing.HUGETLB1G else AreaKind(self)
