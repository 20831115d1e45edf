"""Where a buffer's pages lie: the counts that the recorded driver reports."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.enums import ZONES_PER_NODE, ZoneKind
from engine.shape import HostShape
from fleet.lab.machine import Ints

ABSENT, ZERO_PAGE, RESERVED, HUGE_ZERO = -1, -2, -3, -4
HUGE_STEP = 2
"""Extent step of a huge folio (engine contract)."""
SEQUENCE_LENGTH = 24
"""Entries of ``block_seq`` that the recorded driver prints."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Frame of every page of a buffer, in virtual order.

    Attributes
    ----------
    pfn : int64[pages]
        Frame number, ABSENT, ZERO_PAGE or HUGE_ZERO.
    huge : bool[pages]
        Part of a huge folio.
    """

    pfn: Ints
    huge: np.ndarray[Any, np.dtype[np.bool_]]


def frames(extents: Ints, pages: int) -> Frames:
    """Expand the extents of an area (engine contract) to pages."""
    pfn = np.full(pages, ABSENT, np.int64)
    huge = np.zeros(pages, np.bool_)
    for first, count, start, step in extents.tolist():
        if start < 0:
            pfn[first : first + count] = ABSENT if start == RESERVED else start
        else:
            direction = -1 if step < 0 else 1
            pfn[first : first + count] = start + direction * np.arange(count)
            huge[first : first + count] = step == HUGE_STEP
    return Frames(pfn, huge)


def joined(parts: Iterable[Frames]) -> Frames:
    """Frames of areas that follow each other in virtual order."""
    found = list(parts)
    return Frames(np.concatenate([f.pfn for f in found]), np.concatenate([f.huge for f in found]))


def kind_of_block(blocks: Ints) -> Ints:
    """Zone kind per memory block, -1 where the block is not online."""
    zone = blocks[:, 0]
    return np.where(zone < 0, -1, zone % ZONES_PER_NODE)


def distribution(
    now: Frames, last: Ints | None, shape: HostShape, blocks: Ints, *, hugetlb: bool = False
) -> dict[str, Any]:
    """The driver's ``dist``: counts by state, zone, block and node.

    ``last`` holds the frames of the previous look (None: there was none). The zero page lies in
    block 0, outside MOVABLE; an untouched THP buffer that is read maps the huge zero page, so
    it counts as THP there (mm/huge_memory.c ``do_huge_pmd_anonymous_page``).
    """
    present = now.pfn != ABSENT
    zero = now.pfn < ABSENT
    real = now.pfn >= 0
    block = np.where(zero, 0, now.pfn // shape.block_pages)[present]
    kinds = kind_of_block(blocks)
    movable = kinds[block] == ZoneKind.MOVABLE
    node = np.array(shape.block_node)[block]
    moved = 0
    if last is not None:
        moved = int((real & (last >= 0) & (last != now.pfn)).sum())
    by_node: dict[str, int] = {}
    for n in range(shape.nr_nodes):
        for name, chosen in (("Movable", movable), ("kernel", ~movable)):
            pages = int(((node == n) & chosen).sum())
            if pages:
                by_node[f"{n}/{name}"] = pages
    huge = int((now.huge & real).sum())
    numbers, counts = np.unique(block, return_counts=True)
    return {
        "pages": len(now.pfn),
        "absent": int((~present).sum()),
        "moved_since_last": moved,
        "thp": 0 if hugetlb else huge + int((now.pfn == HUGE_ZERO).sum()),
        "hugetlb": huge if hugetlb else 0,
        "by_zone": {"Movable": int(movable.sum()), "kernel": int((~movable).sum())},
        "by_block": {str(b): int(c) for b, c in zip(numbers, counts, strict=True)},
        "by_node_zone": by_node,
    }


def most_used_block(dist: Mapping[str, Any]) -> int:
    """Block that holds most pages of a buffer, the lowest of equals; -1 without pages."""
    by_block = {int(b): int(c) for b, c in dist["by_block"].items()}
    return min(by_block, key=lambda b: (-by_block[b], b), default=-1)


def runs(now: Frames, shape: HostShape) -> dict[str, Any]:
    """The driver's ``runs``: blocks, pageblocks and runs of a buffer.

    A run in virtual order goes on while the frame moves by exactly one, up or down; a run in
    physical order is a stretch of neighbouring frames.
    """
    pfn = now.pfn[now.pfn >= 0]
    step = np.diff(pfn)
    block = pfn // shape.block_pages
    edges = np.flatnonzero(np.diff(block)) + 1
    starts = np.concatenate(([0], edges)).astype(np.int64) if len(pfn) else np.zeros(0, np.int64)
    lengths = np.diff(np.append(starts, len(pfn)))
    physical = np.diff(np.sort(pfn))
    return {
        "nblocks": len(np.unique(block)),
        "pageblocks": len(np.unique(pfn >> shape.pageblock_order)),
        "va_runs": int((np.abs(step) != 1).sum()) + (len(pfn) > 0),
        "phys_runs": int((physical != 1).sum()) + (len(pfn) > 0),
        "block_seq": [[int(block[s]), int(n)] for s, n in zip(starts, lengths, strict=True)][
            :SEQUENCE_LENGTH
        ],
    }


def shared_pageblocks(a: Ints, b: Ints, pageblock_order: int) -> dict[str, int]:
    """Pageblocks in which only one of two buffers has frames, and in which both have."""
    mine, theirs = (np.unique(f[f >= 0] >> pageblock_order) for f in (a, b))
    both = len(np.intersect1d(mine, theirs))
    return {
        "pageblocks_a_only": len(mine) - both,
        "pageblocks_b_only": len(theirs) - both,
        "pageblocks_both": both,
    }


def overlap(frames_now: Ints, frames_then: Ints) -> int:
    """Pages of one buffer whose frames another one had."""
    return int(np.isin(frames_now[frames_now >= 0], frames_then[frames_then >= 0]).sum())
