"""The physical shape of a host: memory blocks, nodes, zones, CPUs."""

from dataclasses import dataclass

from engine.enums import ZONES_PER_NODE, ZoneKind

OFFLINE = -1
"""``block_zone`` value of a present block that is not online."""
HOLE = -2
"""``block_zone`` value of a block number without memory behind it."""


@dataclass(frozen=True, slots=True)
class HostShape:
    """What a host is built from. Sizes in 4 KiB pages; physical address = pfn * 4 KiB.

    Memory block ``b`` covers pfns ``[b * block_pages, (b + 1) * block_pages)``.

    Attributes
    ----------
    pageblock_order : int
        Order of a pageblock and of a THP (9 on x86-64; smaller in tests). The largest buddy
        order is ``pageblock_order + 1`` (4 MiB).
    block_pages : int
        Pages of a memory block: a power of two (as Linux demands, drivers/base/memory.c), at
        least the largest buddy chunk.
    block_node, block_zone : tuple of int
        Per block: node, and the zone kind it is online in at start (``ZoneKind``, ``OFFLINE``
        or ``HOLE``). Within a node kinds ascend with the address at boot.
    block_reserved : tuple of int
        Per block: pageblocks at its start that the kernel took before the allocator existed
        (image, memmap). They are not managed, and make the block unmovable.
    cpu_node : tuple of int
        Node of each CPU.
    thp : bool
        Transparent huge pages enabled: khugepaged raises min_free_kbytes
        (mm/khugepaged.c ``set_recommended_min_free_kbytes``).
    dma : bool
        The kind DMA32 stands for ZONE_DMA and NORMAL for DMA32: a machine without ZONE_NORMAL
        whose 16 MiB of ZONE_DMA matter. Otherwise DMA32 includes ZONE_DMA, with its reserve.
    gigantic_pageblocks : int
        Pageblocks of a gigantic hugetlb page, a power of two; 512 of 2 MiB are 1 GiB.
    turns : (int, int, int)
        Base pages that tasks take, and that kswapd drops, in a turn on the only CPU, which they
        share, and that tasks take in their first turn; zeros: kswapd has a CPU of its own
        (``engine.reference.kswapd``).
    """

    pageblock_order: int
    block_pages: int
    block_node: tuple[int, ...]
    block_zone: tuple[int, ...]
    block_reserved: tuple[int, ...]
    cpu_node: tuple[int, ...]
    thp: bool = True
    dma: bool = False
    gigantic_pageblocks: int = 512
    turns: tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self) -> None:
        """Reject shapes the engines cannot hold (ValueError)."""
        n = len(self.block_node)
        if not (n and len(self.block_zone) == n and len(self.block_reserved) == n):
            raise ValueError("block_node, block_zone and block_reserved must have equal length")
        chunk = 1 << (self.pageblock_order + 1)
        if self.pageblock_order < 1 or self.block_pages % chunk:
            raise ValueError(f"block_pages must be a multiple of {chunk}")
        if self.block_pages & (self.block_pages - 1):
            raise ValueError("block_pages must be a power of two")
        if not self.cpu_node or max(self.cpu_node) >= self.nr_nodes:
            raise ValueError("every CPU needs a node")
        if any(self.turns) and (min(self.turns) < 1 or len(self.cpu_node) * self.nr_nodes > 1):
            raise ValueError("turns are positive, and those of the only CPU of the only node")
        if self.turns[2] > self.turns[0]:
            raise ValueError("a first turn is no longer than the others")
        if any(z < HOLE or z >= ZONES_PER_NODE for z in self.block_zone):
            raise ValueError("unknown zone kind")
        if self.gigantic_pageblocks < 2 or self.gigantic_pageblocks.bit_count() != 1:
            raise ValueError("gigantic_pageblocks must be a power of two from 2 on")
        per_block = self.block_pages >> self.pageblock_order
        if any(r < 0 or r > per_block for r in self.block_reserved):
            raise ValueError("reserved pageblocks exceed the block")

    @property
    def nr_blocks(self) -> int:
        """Number of memory blocks, holes included."""
        return len(self.block_node)

    @property
    def nr_nodes(self) -> int:
        """Number of nodes."""
        return max(self.block_node) + 1

    @property
    def nr_zones(self) -> int:
        """Number of zone ids (populated or not)."""
        return self.nr_nodes * ZONES_PER_NODE

    @property
    def pageblock_pages(self) -> int:
        """Base pages of a pageblock."""
        return 1 << self.pageblock_order


def zone_id(node: int, kind: ZoneKind | int) -> int:
    """Return the zone id of ``kind`` on ``node``."""
    return node * ZONES_PER_NODE + int(kind)
