"""What lies in a memory block of a host: extents of pages, whose they are, pins, references."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine import state
from engine.host import Host
from engine.shape import HostShape
from engine.state import PIN_BITS, PIN_MASK

Int64 = NDArray[np.int64]

NOBODY = -1
"""Area of a free hugetlb folio."""
RESERVED_AREA = -2
"""Area of what the kernel took before its allocator existed."""


class Extent(NamedTuple):
    """Pages in use that lie side by side and have one story.

    Attributes
    ----------
    pfn, pages : int
        First page frame and length.
    area : int
        Area they belong to, ``NOBODY`` or ``RESERVED_AREA``.
    pins, refs : int
        Long-term pins and short references on each page.
    huge : bool
        One folio of a pageblock, or a part of a gigantic one.
    gigantic : bool
        The latter; its pins and references are those of the whole folio.
    """

    pfn: int
    pages: int
    area: int
    pins: int
    refs: int
    huge: bool
    gigantic: bool = False


class Part(NamedTuple):
    """Part of an area whose pages lie side by side.

    Attributes
    ----------
    first, pages : int
        Index of its first page in virtual order, and how many.
    pfn : int
        Page frame of that page.
    step : int
        -1 when page frames descend, otherwise 1.
    """

    first: int
    pages: int
    pfn: int
    step: int

    def cut(self, first: int, end: int) -> "Part | None":
        """Return what lies between two indices, None when nothing does."""
        start, stop = max(self.first, first), min(self.first + self.pages, end)
        if start >= stop:
            return None
        pfn = self.pfn + self.step * (start - self.first)
        return Part(start, stop - start, pfn, self.step)

    def within(self, low: int, high: int) -> "Part | None":
        """Return what lies between two page frames, None when nothing does."""
        if self.step == -1:
            return self.cut(self.first + self.pfn + 1 - high, self.first + self.pfn + 1 - low)
        return self.cut(self.first + low - self.pfn, self.first + high - self.pfn)


def extents(engine: Host, block: int) -> list[Extent]:
    """Return the pages in use of a memory block, ascending; free ones are left out."""
    arrays = engine.save()
    shape = engine.shape
    records = state.views(arrays["pb"], arrays["run"])
    per_block = shape.block_pages // shape.pageblock_pages
    found: list[Extent] = []
    for pb in range(block * per_block, (block + 1) * per_block):
        if records["pbs"][pb, state.PS_FLAG] & state.GIGANTIC:
            found.append(_of_gigantic(records, pb, shape))
        else:
            found += _of_pageblock(records, pb, shape.pageblock_pages)
    return found


def _of_gigantic(records: dict[str, Any], pb: int, shape: HostShape) -> Extent:
    """The part of a gigantic folio that lies in a pageblock."""
    head = pb - pb % shape.gigantic_pageblocks
    area, pages = int(records["pbh"][pb, state.PH_OWN]), shape.pageblock_pages
    counts = records["pb"][head : head + shape.gigantic_pageblocks, state.PB_AUX].astype(np.int64)
    pins, refs = int((counts & PIN_MASK).sum()), int((counts >> PIN_BITS).sum())
    return Extent(pb * pages, pages, area, pins, refs, huge=True, gigantic=True)


def _of_pageblock(records: dict[str, Any], pb: int, pages: int) -> list[Extent]:
    """Extents of one pageblock."""
    row, kind = records["pb"][pb], records["pbs"][pb, state.PS_STATE]
    first = pb * pages
    if kind in (state.UNIFORM, state.FOLIO):
        area, count = int(records["pbh"][pb, state.PH_OWN]), int(row[state.PB_AUX])
        pins, refs = (count & PIN_MASK, count >> PIN_BITS) if area >= 0 else (0, 0)
        return [Extent(first, pages, area, pins, refs, bool(kind == state.FOLIO))]
    if kind == state.RESERVED:
        return [Extent(first, pages, RESERVED_AREA, 0, 0, False)]
    return _of_runs(records, int(row[state.PB_AUX]), first) if kind == state.SPLIT else []


def _of_runs(records: dict[str, Any], run: int, first: int) -> list[Extent]:
    """Extents of a pageblock that is in pieces, joined where they have one story."""
    found: list[Extent] = []
    while run != state.NIL:
        if records["runb"][run, state.RS_STATE] == state.R_ALLOC:
            start, pages = (int(records["runs"][run, c]) for c in (state.RS_START, state.RS_LEN))
            count = int(records["run"][run, state.RN_CNT])
            area = int(records["run"][run, state.RN_OWN])
            new = Extent(first + start, pages, area, count & PIN_MASK, count >> PIN_BITS, False)
            last = found[-1] if found else None
            if last and last[2:] == new[2:] and last.pfn + last.pages == new.pfn:
                found[-1] = last._replace(pages=last.pages + new.pages)
            else:
                found.append(new)
        run = int(records["run"][run, state.RN_BNEXT])
    return found


def parts(area: Int64) -> list[Part]:
    """Return the parts of an area (``Host.area``) that are present, in virtual order."""
    rows = area[area[:, 2] >= 0].tolist()
    return [Part(first, pages, pfn, -1 if step == -1 else 1) for first, pages, pfn, step in rows]


def held_parts(area: Int64, inside: list[Extent]) -> tuple[Part, ...]:
    """Return the parts of an area that lie in extents of it, by index."""
    rows = area[area[:, 2] >= 0]
    low = np.where(rows[:, 3] == -1, rows[:, 2] - rows[:, 1] + 1, rows[:, 2])
    order = np.argsort(low)
    rows, low = rows[order], low[order]
    begin = np.array([extent.pfn for extent in inside], np.int64)
    end = begin + np.array([extent.pages for extent in inside], np.int64)
    first = np.searchsorted(low + rows[:, 1], begin, "right").tolist()
    last = np.searchsorted(low, end, "left").tolist()
    found: list[Part] = []
    for extent, start, stop in zip(inside, first, last, strict=True):
        for part in parts(rows[start:stop]):
            cut = part.within(extent.pfn, extent.pfn + extent.pages)
            found += [cut] if cut is not None else []
    return tuple(sorted(found))
