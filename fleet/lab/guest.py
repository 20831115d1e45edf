"""The machine a case ran on: its shape, and what its kernel had taken before the first operation.

Facts per kernel were read off the recorded cases (``zones``, ``nodefree`` and ``buddyinfo``
before anything was touched, and where a hog's pages lay afterwards). Simplifications, none of
which can move a page between MOVABLE and the rest or change which hot block it lies in:

* ZONE_DMA has seven pageblocks, as many as its 3,808 to 3,945 free pages fill, in a block of its
  own behind the boot memory. Where hot memory goes into ZONE_NORMAL the engine has no zone left for
  it, and it is folded into DMA32 (``engine.shape.HostShape.dma``).
* Memory the kernel took before the allocator existed is whole pageblocks at a block's start.
* Kernel pages taken after that are one contiguous area per node.
"""

from dataclasses import dataclass
from itertools import count

from engine.enums import AreaKind, Errno, Op, ZoneKind
from engine.shape import HOLE, OFFLINE, HostShape
from fleet.lab.lines import Case, CaseError, Guest
from fleet.lab.machine import EngineFactory, Ints, Machine, build

PAGEBLOCK_ORDER = 9
PAGES_PER_MIB = 256
DMA_PAGEBLOCKS = 7
"""Free pageblocks of ZONE_DMA: three chunks of 4 MiB and one of 2 MiB (``buddyinfo`` at boot)."""
PAD_PAGES = 256
"""More than the four batches of 63 pages that a CPU's lists hold at least."""
MAPS_NOTHING = {
    "online", "put", "cat", "zones", "nodefree", "freemap", "buddyinfo", "blockstates", "mpol",
    "sleep",
}  # fmt: skip
"""Operations for which the driver needs no memory of its own."""
AT_ONCE = (1, 1 << 40)
"""Turns of a kswapd that preempts whoever woke it, and is at its goal before its turn ends."""
TICK_PARTS = 8
"""Parts of a turn that the guest's first one may begin in (``fleet.lab.chance``)."""
BOOT_PROC, DRIVER_PROC, OTHER_PROC, CHILD_PROC = 0, 1, 2, 3
"""Process slots: init and the kernel; the driver program; a neighbour that holds memory; the child
that the driver forks first."""


@dataclass(frozen=True, slots=True)
class Boot:
    """Memory that is not free when the first operation starts.

    Attributes
    ----------
    reserved : tuple of int
        Per boot block: pageblocks taken before the allocator existed.
    kernel_pages : tuple of int
        Per node: unmovable pages taken since.
    cached_pages : tuple of (int, int, int)
        Node, CPU, and movable pages of the node on that CPU's list. On two nodes 6.1 and 6.12 leave
        pages of node 0 on CPU 1's list: a hog there found 1.8 k (6.1) and 0.8 k (6.12) pages more
        than the zone lost, one on CPU 0 none (6.1).
    cached_kernel_pages : int
        Unmovable pages on the list of each node's first CPU (6.1: the 121 page tables of a hog of
        242 MiB took 2 pages from the zone, the 253 of one of 506 MiB on two nodes 31).
    fragments : tuple of int
        Free chunks by order (0 to 9) below 4 MiB outside MOVABLE, per node with boot memory.
    slab_pages : int
        nr_slab_reclaimable of a guest that has just booted (/proc/vmstat).
    min_free_pages : int
        min_free_kbytes, in pages, until memory goes on or off line (0: as the engine computes it).
        khugepaged writes it while the kernel starts (mm/khugepaged.c
        ``set_recommended_min_free_kbytes``), before the kernel frees its own start-up code and the
        initrd: a twentieth of less memory than is managed later. `zones` at boot have a min mark of
        9,372 (6.1) and 9,321 (6.12) pages in DMA32, and 9,525 and 9,453 once memory was onlined.
    kernel_fragments : bool
        The fragments lie between pages of the kernel's own, in the buddy. A hog of 6.1 that leaves
        11,702 pages of DMA32 leaves the fragments among them: no more than 21 huge pages are whole
        then. Else they are between movable pages and mostly on the CPU's list.
    turns : (int, int)
        Where there is one CPU: pages that a task takes and that kswapd drops in a turn. Up to 6.1 a
        task that slept preempts at once (kernel/sched/fair.c ``wakeup_preempt_entity``): in the
        recorded runs one page of MOVABLE, taken at the min mark, is followed by about 1,550 of
        DMA32, which kswapd had freed. With EEVDF (6.6) the tick decides, each 4 ms: recorded are
        6.1 us for a page that is read and 2.6 us for one that is dropped.
    disk_pages : (int, int)
        Kernel pages that the file system and file of a ``cacheread`` take for good, and that they
        leave on the CPU's lists. 5.10, whose lists hold next to nothing, has 2,127 fewer free pages
        outside MOVABLE after 800 MiB, 457 of them nodes of the page cache; 6.1 has 3,275 fewer.
        6.12: as many as DMA32 needs for 16 huge pages once its lists are drained, as recorded.
    """

    reserved: tuple[int, ...]
    kernel_pages: tuple[int, ...]
    cached_pages: tuple[tuple[int, int, int], ...]
    cached_kernel_pages: int
    fragments: tuple[int, ...]
    slab_pages: int
    min_free_pages: int = 0
    kernel_fragments: bool = False
    turns: tuple[int, int] = AT_ONCE
    disk_pages: tuple[int, int] = (0, 0)

    @property
    def ticks(self) -> bool:
        """Whether the tick, not the wake-up, ends the turn of a task that wakes kswapd."""
        return self.turns != AT_ONCE


BOOTS: dict[tuple[str, int], Boot] = {
    # (kernel, nodes); managed and free pages of `zones` at boot: 5.10 197,275 and 187,328;
    # 6.1 195,464 and 181,515; 6.12 194,148 and 182,016; two nodes by `nodefree`: free
    # 116.9 k + 69.9 k on 5.10, 111.8 k + 67.8 k on 6.1, 111.4 k + 69.6 k on 6.12
    ("5.10", 1): Boot(
        (14, 0, 0, 0, 0, 0, 50, 63),
        (6_820,),
        ((0, 0, 352),),
        0,
        (4, 4, 4, 6, 6, 5, 8, 6, 2, 2),
        1_888,
        disk_pages=(1_670, 0),
    ),
    ("6.1", 1): Boot(
        (17, 0, 0, 0, 0, 0, 50, 63),
        (10_490,),
        ((0, 0, 2_050),),
        480,
        (1, 2, 3, 1, 1, 0, 3, 2, 2, 1),
        2_397,
        9_547,
        True,
        disk_pages=(1_670, 1_148),
    ),
    ("6.12", 1): Boot(
        (20, 0, 0, 0, 0, 0, 50, 63),
        (9_965,),
        (),
        0,
        (3, 2, 1, 2, 0, 2, 3, 1, 1, 1),
        285,
        9_497,
        turns=(640, 1_536),
        disk_pages=(1_140, 3_345),
    ),
    ("5.10", 2): Boot(
        (18, 0, 0, 2, 4, 0, 46, 62),
        (1_000, 1_060),
        ((0, 0, 300), (1, 1, 300)),
        0,
        (4, 4, 4, 6, 6, 5, 8, 6, 2, 2),
        1_888,
    ),
    ("6.1", 2): Boot(
        (24, 0, 0, 1, 7, 0, 46, 63),
        (3_740, 3_390),
        ((0, 1, 1_900), (1, 1, 100)),
        480,
        (),
        2_397,
    ),
    ("6.12", 2): Boot(
        (25, 0, 0, 1, 6, 0, 44, 63),
        (4_580, 2_150),
        ((0, 1, 300), (1, 1, 250)),
        0,
        (),
        285,
    ),
}
"""What each kernel had taken, by number of nodes."""


def shape_of(case: Case, tick: int = 0) -> HostShape:
    """Return the shape of a case's guest; CaseError when it is not one that is known.

    ``tick``: parts of the first turn that have passed (``TICK_PARTS``).
    """
    guest, boot = case.guest, boot_of(case)
    block_pages = guest.block_mib * PAGES_PER_MIB
    boot_blocks = guest.memory_mib // guest.block_mib
    if boot_blocks != len(boot.reserved) or guest.memory_mib % guest.block_mib:
        raise CaseError(case.where, "guest", "only 1 GiB of boot memory in 128 MiB blocks is known")
    per_dimm = guest.dimm_mib // guest.block_mib
    hot = case.hot_blocks
    if len(hot) != guest.dimms * per_dimm:
        raise CaseError(case.where, "hot_blocks", "does not match guest.dimms and guest.dimm_mb")
    last = max(hot) + 1
    node, zone, reserved = [0] * last, [HOLE] * last, [0] * last
    dma = has_dma(case)
    for block in range(boot_blocks):
        node[block] = block * guest.nodes // boot_blocks
        zone[block] = int(ZoneKind.NORMAL if dma else ZoneKind.DMA32)
        reserved[block] = boot.reserved[block]
    if dma:
        reserved[0] += DMA_PAGEBLOCKS
        zone[boot_blocks] = int(ZoneKind.DMA32)
        reserved[boot_blocks] = (block_pages >> PAGEBLOCK_ORDER) - DMA_PAGEBLOCKS
    for i, block in enumerate(hot):
        node[block], zone[block] = guest.dimm_nodes[i // per_dimm], OFFLINE
    cpus = tuple(cpu if guest.nodes > 1 else 0 for cpu in range(guest.cpus))
    task, own = boot.turns if guest.cpus == 1 else (0, 0)
    turns = task, own, task - task * tick // TICK_PARTS
    return HostShape(
        PAGEBLOCK_ORDER, block_pages, tuple(node), tuple(zone), tuple(reserved), cpus, dma=dma,
        turns=turns,
    )  # fmt: skip


def has_dma(case: Case) -> bool:
    """Whether the guest has a ZONE_DMA of its own: where no hot memory goes into ZONE_NORMAL."""
    return not any(
        r.operation.name == "online" and "kernel" in r.operation.args for r in case.records
    )


def boot_of(case: Case) -> Boot:
    """Return what the case's kernel had taken; CaseError for a kernel nobody looked at."""
    found = BOOTS.get((case.kernel, case.guest.nodes))
    if found is None:
        raise CaseError(
            case.where, "kernel", f"{case.kernel!r} with {case.guest.nodes} node(s): not supported"
        )
    return found


def start(case: Case, factory: EngineFactory, table: Ints, tick: int = 0) -> Machine:
    """Build the guest of a case and bring it to the state before the first operation."""
    machine = build(factory, shape_of(case, tick), table)
    boot = boot_of(case)
    slots = count()
    _expect(machine.do(Op.SPAWN, BOOT_PROC, 0, 1))
    for node in range(case.guest.nodes):
        _take(machine, next(slots), AreaKind.KERNEL, boot.kernel_pages[node], node)
        _fragment(machine, next(slots), next(slots), boot, node)
        if boot.min_free_pages:
            _expect(machine.do(Op.MIN_FREE, boot.min_free_pages))
        cpu = machine.shape.cpu_node.index(node)
        slot = next(slots)
        for where, on_cpu, pages in boot.cached_pages:
            if where == node:
                _cache(machine, slot, AreaKind.ANON, pages, node, on_cpu)
        _cache(machine, next(slots), AreaKind.KERNEL, boot.cached_kernel_pages, node, cpu)
    return machine


def start_cpus(case: Case) -> tuple[int, ...]:
    """CPUs that the driver may have started on as far as it matters: one of each node.

    The scheduler chose, where the case has not: of the recorded runs of three histories that begin
    with a hog some have the driver's own pages on node 0 and some on node 1.
    """
    nodes = shape_of(case).cpu_node
    begun = [r.operation.name for r in case.records if r.operation.name not in MAPS_NOTHING]
    if begun[:1] == ["cpu"]:
        return (0,)
    return tuple(nodes.index(node) for node in sorted(set(nodes)))


def presses_by_chance(case: Case) -> bool:
    """Whether kswapd and the driver take turns for memory, and the tick decides when.

    That is where files do not fit into the memory of a guest with one CPU.
    """
    guest = case.guest
    if guest.cpus > 1 or not boot_of(case).ticks:
        return False
    memory = (guest.memory_mib + guest.dimms * guest.dimm_mib) * PAGES_PER_MIB
    read = [r.operation for r in case.records if r.operation.name == "cacheread"]
    return bool(sum(operation.args[1] for operation in read) > memory)


def first_free_slot(guest: Guest) -> int:
    """First area slot that booting did not use."""
    return 5 * guest.nodes


def held_by_neighbour(case: Case, free_pages: int) -> int:
    """Pages another process held from the start: what a first ``zones`` saw missing.

    A case that looks at the zones before it does anything states its initial condition; memory
    missing there against the boot state was filled by a process outside the operation list.
    """
    if not case.records or case.records[0].operation.name != "zones":
        return 0
    zones = case.records[0].seen.get("zones", {})
    seen = sum(int(z["free"]) for name, z in zones.items() if name != "Movable")
    return max(free_pages - seen, 0)


def _take(
    machine: Machine, slot: int, kind: AreaKind, pages: int, node: int, cpu: int = -1
) -> None:
    """Map and touch an area of the boot process on a node."""
    _expect(machine.do(Op.MAP, slot, BOOT_PROC, kind, pages, 0))
    _expect(machine.do(Op.TOUCH, slot, 0, pages, cpu, node))


def _cache(machine: Machine, slot: int, kind: AreaKind, pages: int, node: int, cpu: int) -> None:
    """Leave pages on a CPU's list: touched there and freed again."""
    if pages:
        _take(machine, slot, kind, pages, node, cpu)
        _expect(machine.do(Op.FREE, slot, 0, pages, cpu))


def _fragment(machine: Machine, slot: int, pad_slot: int, boot: Boot, node: int) -> None:
    """Leave the free chunks of ``Boot.fragments`` between pages that stay.

    Every chunk sits at an aligned offset of one freshly touched area (which is contiguous on
    an untouched zone), large ones first, with at least a page kept after it. What is to end in
    the buddy is pushed off the CPU's list, which is as short as it can be meanwhile, by a pad.
    """
    holes: list[tuple[int, int]] = []
    offset = 0
    for order in range(len(boot.fragments) - 1, -1, -1):
        for _ in range(boot.fragments[order]):
            size = 1 << order
            offset += -offset % (2 * size)
            holes.append((offset, size))
            offset += 2 * size if order < PAGEBLOCK_ORDER else size
    if not holes:
        return
    kind = AreaKind.KERNEL if boot.kernel_fragments else AreaKind.ANON
    _take(machine, slot, kind, offset + 1, node)
    if boot.kernel_fragments:
        _take(machine, pad_slot, kind, PAD_PAGES, node)
        _expect(machine.do(Op.MIN_FREE, 0))
    _expect(machine.do_all(Op.FREE, [(slot, first, size, -1) for first, size in holes]))
    if boot.kernel_fragments:
        _expect(machine.do(Op.UNMAP, pad_slot))


def _expect(errno: Errno) -> None:
    """Booting never fails on a guest that fits."""
    if errno != Errno.OK:
        raise RuntimeError(f"booting the guest failed with {errno.name}")
