"""Tables of the plan: columns of int64 arrays, one row per host, workload, hold, request.

Times are ns from the start of the run, sizes 4 KiB pages, shares millionths. Row order and ids
are part of the contract: ids are the row numbers.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleet.plan.steady import Steady

Column = NDArray[np.int64]

RUNS_ON = -1
"""``lifetime_ns`` of a workload that is never seen to end."""

NO_PINNER = -1
"""``pinner`` of a workload that takes no long-term pin."""


class _Rows:
    """Common checks: every array column is int64 and of one length."""

    __slots__ = ()

    def __post_init__(self) -> None:
        """Reject ragged or mistyped columns (ValueError) and make them read-only."""
        lengths = set()
        for spec in fields(self):  # type: ignore[arg-type]
            column = getattr(self, spec.name)
            if isinstance(column, np.ndarray):
                if column.dtype != np.int64 or column.ndim != 1:
                    raise ValueError(f"{spec.name} must be one-dimensional int64")
                column.flags.writeable = False
                lengths.add(len(column))
        if len(lengths) > 1:
            raise ValueError(f"{type(self).__name__}: columns of unequal length")


@dataclass(frozen=True, slots=True)
class Hosts(_Rows):
    """Hosts in inventory order; the id is the row number, shard = id // 64.

    Attributes
    ----------
    name : tuple of str
        Unique name per host.
    class_names : tuple of str
        Names that ``class_id`` indexes.
    memory_pages, block_pages : int64[n]
        RAM (a whole number of blocks) and memory block size.
    nodes, cpus : int64[n]
        NUMA nodes and CPUs.
    kernel_pages, cache_pages, base_pages : int64[n]
        What the host itself uses: unmovable kernel memory, page cache, anonymous memory.
    boot_1g : int64[n]
        1 GiB hugetlb pages reserved at boot.
    """

    name: tuple[str, ...]
    class_names: tuple[str, ...]
    class_id: Column
    memory_pages: Column
    nodes: Column
    cpus: Column
    block_pages: Column
    kernel_pages: Column
    cache_pages: Column
    base_pages: Column
    boot_1g: Column

    def __len__(self) -> int:
        """Return the number of hosts."""
        return len(self.name)


@dataclass(frozen=True, slots=True)
class Workloads(_Rows):
    """Workloads by arrival; the id is the row number. Residents of time zero come first.

    Attributes
    ----------
    key : int64[n]
        Exogenous entity id: what draws about this workload are keyed by (``Purpose``). It does
        not change when hosts, arms or other streams are added, the row number may.
    kind_names : tuple of str
        Names that ``kind`` indexes.
    arrival_ns : int64[n]
        When it asks to be placed (0 for residents).
    age_ns : int64[n]
        How long it had been running at arrival (0 unless resident).
    lifetime_ns : int64[n]
        From arrival to its end, counted from its placement, or ``RUNS_ON``.
    pages, vcpus, flows : int64[n]
        Memory, CPUs, network flows.
    backing : int64[n]
        ``fleet.plan.backing.Backing``: ANON, THP, HUGETLB or HUGETLB1G.
    pinner : int64[n]
        ``engine.enums.Pinner`` or ``NO_PINNER``.
    pinned_pages : int64[n]
        Pages ``[0, pinned_pages)`` of its memory are pinned at placement (0 without a pinner).
    present_pages : int64[n]
        Of those, ``[0, present_pages)`` are touched before the pin is taken.
    touched_pages : int64[n]
        Pages ``[pinned_pages, pinned_pages + touched_pages)`` are touched after the pin.
    hinted : int64[n]
        1 when the workload gives the madvise hint.
    io_density : int64[n]
        Direct I/Os in flight per 10**12 pages of its resident memory (0: none).
    io_pages, io_hold_ns : int64[n]
        Size of one, and how long it takes.
    io_before_pin : int64[n]
        1 when it runs before the long-term pin is taken, 0 when it begins after placement.
    """

    key: Column
    kind_names: tuple[str, ...]
    kind: Column
    arrival_ns: Column
    age_ns: Column
    lifetime_ns: Column
    pages: Column
    vcpus: Column
    backing: Column
    pinner: Column
    pinned_pages: Column
    present_pages: Column
    touched_pages: Column
    flows: Column
    hinted: Column
    io_density: Column
    io_pages: Column
    io_hold_ns: Column
    io_before_pin: Column

    def __len__(self) -> int:
        """Return the number of workloads."""
        return len(self.key)


@dataclass(frozen=True, slots=True)
class Holds(_Rows):
    """References that are events, short ones (``Op.HOLD``) and DMA mappings (``Op.PIN``).

    Ordered by (workload, offset, short ones first).

    The id is the row number.

    Attributes
    ----------
    workload : int64[n]
        Row of ``Workloads``.
    offset_ns : int64[n]
        Start, counted from the placement of the workload; before its lifetime ends.
    first_page, pages : int64[n]
        Part of the workload's memory held.
    duration_ns : int64[n]
        How long.
    pinner : int64[n]
        ``engine.enums.Pinner`` of a DMA mapping, a long-term pin; ``NO_PINNER``: a short reference.
    number : int64[n]
        Mappings are numbered per workload, from 1; 0 for short references.
    """

    workload: Column
    offset_ns: Column
    first_page: Column
    pages: Column
    duration_ns: Column
    pinner: Column
    number: Column

    def __len__(self) -> int:
        """Return the number of holds."""
        return len(self.workload)


@dataclass(frozen=True, slots=True)
class Requests(_Rows):
    """Removal demands and probes together, by time; the id is the row number.

    Attributes
    ----------
    key : int64[n]
        Exogenous entity id of the request, for draws about it.
    probe : int64[n]
        1 for a probe, 0 for a removal of the campaign.
    time_ns : int64[n]
        Issue.
    deadline_ns : int64[n]
        Absolute time after which it is stuck (may lie beyond the horizon).
    host : int64[n]
        Row of ``Hosts``.
    first_block : int64[n]
        Probes: the physical block to offline. Removals: -1, the controller chooses.
    nr_blocks : int64[n]
        Blocks to remove (probes: 1).
    """

    key: Column
    probe: Column
    time_ns: Column
    deadline_ns: Column
    host: Column
    first_block: Column
    nr_blocks: Column

    def __len__(self) -> int:
        """Return the number of requests."""
        return len(self.key)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything exogenous of one replication.

    Attributes
    ----------
    seed, replication : int
        The first two words of every draw.
    horizon_ns : int
        End of the run, exclusive.
    steady : Steady, optional
        What the workloads come to in the long run; None in a plan made by hand.
    """

    seed: int
    replication: int
    horizon_ns: int
    hosts: Hosts
    workloads: Workloads
    holds: Holds
    requests: Requests
    steady: Steady | None = None


def without_workloads(plan: Plan) -> Plan:
    """Return the plan with a table of workloads that is empty."""
    work = plan.workloads
    columns = {spec.name: getattr(work, spec.name) for spec in fields(work)}
    none: dict[str, Any] = {
        name: held[:0] for name, held in columns.items() if isinstance(held, np.ndarray)
    }
    return replace(plan, workloads=replace(work, **none))


def narrow(column: NDArray[Any]) -> NDArray[Any]:
    """Return the same integers in the narrowest signed dtype that holds them all.

    For columns that are looked up one by one: sums of narrow columns overflow.
    """
    least, most = (int(column.min()), int(column.max())) if len(column) else (0, 0)
    for dtype in (np.int8, np.int16, np.int32):
        if np.iinfo(dtype).min <= least and most <= np.iinfo(dtype).max:
            return column.astype(dtype)
    return column
