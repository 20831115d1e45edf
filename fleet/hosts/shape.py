"""From a host's RAM, nodes and zone sizing to the engine's ``HostShape``.

Simplifications, none of which changes which zone or block a page can be in:

* There is no PCI hole: RAM is contiguous from address 0. DMA32 therefore is the first 3 GiB of
  RAM (what a PC has below its hole), rounded up to whole memory blocks: 4 GiB with 2 GiB blocks.
* ZONE_DMA (16 MiB) counts as DMA32.
* Zones begin and end at memory blocks.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from engine.enums import ZoneKind
from engine.shape import HostShape

PAGEBLOCK_ORDER = 9
GIB_PAGES = 1 << 18
MIB_PAGES = 1 << 8
SMALL_BLOCK_PAGES = 128 * MIB_PAGES
LARGE_BLOCK_PAGES = 2 * GIB_PAGES
LARGE_BLOCK_FROM_PAGES = 64 * GIB_PAGES
TWO_NODES_FROM_PAGES = 128 * GIB_PAGES
DMA32_PAGES = 3 * GIB_PAGES
MEMMAP_SHARE = 64
"""One 64-byte ``struct page`` per 4 KiB page: 1/64 of memory."""
IMAGE_PAGEBLOCKS = 32
"""Kernel text, data and early allocations, 64 MiB at the start of node 0 (background estimate)."""
MILLION = 1_000_000


def auto_block_pages(memory_pages: int) -> int:
    """Memory block size of a bare-metal host: 128 MiB below 64 GiB of RAM, else 2 GiB.

    arch/x86/mm/init_64.c ``probe_memory_block_size`` (5.10 to 6.12), without the hypervisor rule.
    """
    return SMALL_BLOCK_PAGES if memory_pages < LARGE_BLOCK_FROM_PAGES else LARGE_BLOCK_PAGES


def default_nodes(memory_pages: int) -> int:
    """Two nodes from 128 GiB on, one below."""
    return 2 if memory_pages >= TWO_NODES_FROM_PAGES else 1


def blocks_per_node(nr_blocks: int, nodes: int) -> list[int]:
    """Split blocks over nodes as evenly as whole blocks allow, the lower nodes first."""
    return [nr_blocks // nodes + (node < nr_blocks % nodes) for node in range(nodes)]


def zone_kinds(
    memory_pages: int, block_pages: int, nodes: int, movable_millionths: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return node and zone kind of every memory block.

    MOVABLE takes the top of each node, ``movable_millionths`` of its blocks rounded down
    (mm/page_alloc.c ``find_zone_movable_pfns_for_nodes`` spreads kernelcore evenly over nodes and
    begins ZONE_MOVABLE at the rest); the first 3 GiB of node 0 are DMA32, what is left NORMAL.

    Returns
    -------
    (int64[nr_blocks], int64[nr_blocks])
        Node, ``ZoneKind``. A remainder of RAM below one block is not used.
    """
    counts = blocks_per_node(memory_pages // block_pages, nodes)
    node_of = np.repeat(np.arange(nodes, dtype=np.int64), counts)
    kinds = np.full(len(node_of), int(ZoneKind.NORMAL), np.int64)
    kinds[: -(-DMA32_PAGES // block_pages)] = ZoneKind.DMA32
    end = 0
    for count in counts:
        end += count
        kinds[end - count * movable_millionths // MILLION : end] = ZoneKind.MOVABLE
    return node_of, kinds


def reserved_pageblocks(
    node_of: NDArray[np.int64], kinds: NDArray[np.int64], block_pages: int
) -> list[int]:
    """Return per block the pageblocks taken at boot: kernel image and memmap.

    Each node holds its own memmap. memblock allocates from the top down (mm/memblock.c), but not
    from memory that is to be removable (``movable_node``), so it fills the node's kernel zones
    from their top. The image sits at the bottom of node 0.
    """
    per_block = block_pages >> PAGEBLOCK_ORDER
    reserved = [0] * len(node_of)
    reserved[0] = min(IMAGE_PAGEBLOCKS, per_block)
    for node in range(int(node_of[-1]) + 1):
        own = np.flatnonzero(node_of == node)
        left = -(-len(own) * per_block // MEMMAP_SHARE)
        for block in reversed(own[kinds[own] != ZoneKind.MOVABLE].tolist()):
            taken = min(left, per_block - reserved[block])
            reserved[block] += taken
            left -= taken
    return reserved


@lru_cache(maxsize=256)
def host_shape(
    memory_pages: int, block_pages: int, nodes: int, cpus: int, movable_millionths: int
) -> HostShape:
    """Build the shape of a host under a sizing.

    Parameters
    ----------
    memory_pages : int
        RAM.
    block_pages : int
        Memory block size.
    nodes, cpus : int
        NUMA nodes, and CPUs in equal runs over them.
    movable_millionths : int
        Share of each node in ZONE_MOVABLE.

    Raises
    ------
    ValueError
        If there are fewer than two blocks per node.
    """
    node_of, kinds = zone_kinds(memory_pages, block_pages, nodes, movable_millionths)
    if len(node_of) < 2 * nodes:
        raise ValueError("a host needs two memory blocks per node")
    return HostShape(
        pageblock_order=PAGEBLOCK_ORDER,
        block_pages=block_pages,
        block_node=tuple(node_of.tolist()),
        block_zone=tuple(kinds.tolist()),
        block_reserved=tuple(reserved_pageblocks(node_of, kinds, block_pages)),
        cpu_node=tuple(cpu * nodes // max(cpus, nodes) for cpu in range(max(cpus, nodes))),
    )


def removable_blocks(
    memory_pages: int, block_pages: int, nodes: int, movable_millionths: int
) -> NDArray[np.int64]:
    """Return the block numbers a removal may name: MOVABLE ones; without any, all but DMA32."""
    _, kinds = zone_kinds(memory_pages, block_pages, nodes, movable_millionths)
    movable = np.flatnonzero(kinds == ZoneKind.MOVABLE)
    return movable if len(movable) else np.flatnonzero(kinds != ZoneKind.DMA32)
