"""Parts of an area that lie in extents of a block, page by page."""

import numpy as np
import pytest

from fleet.why.contents import Extent, Part, held_parts


def area_of(draws: np.random.Generator) -> np.ndarray:
    """An area of parts that lie anywhere, some downwards, some absent, some huge."""
    lengths = draws.integers(1, 9, 40)
    starts = np.cumsum(draws.integers(8, 14, 40))
    draws.shuffle(starts)
    rows, first = [], 0
    for pages, low in zip(lengths.tolist(), starts.tolist(), strict=True):
        step = int(draws.choice([-1, 0, 1, 2]))
        pfn = -1 if step == 0 else low + pages - 1 if step == -1 else low
        rows.append([first, pages, pfn, step])
        first += pages
    return np.array(rows, np.int64)


def pages_of(part: Part) -> dict[int, int]:
    """Index of each page to its page frame."""
    return {part.first + i: part.pfn + part.step * i for i in range(part.pages)}


@pytest.mark.parametrize("seed", range(20))
def test_held_parts_are_the_pages_in_the_extents(seed: int) -> None:
    draws = np.random.default_rng(seed)
    area = area_of(draws)
    edges = np.sort(draws.choice(500, 12, replace=False)).tolist()
    inside = [Extent(low, high - low, 7, 1, 0, huge=False)
              for low, high in zip(edges[::2], edges[1::2], strict=True)]  # fmt: skip
    every: dict[int, int] = {}
    for first, pages, pfn, step in area.tolist():
        if pfn >= 0:
            every |= pages_of(Part(first, pages, pfn, -1 if step == -1 else 1))
    wanted = {
        index: pfn
        for index, pfn in every.items()
        if any(extent.pfn <= pfn < extent.pfn + extent.pages for extent in inside)
    }
    found = held_parts(area, inside)
    assert list(found) == sorted(found)
    assert sum(part.pages for part in found) == len(wanted)
    assert {i: pfn for part in found for i, pfn in pages_of(part).items()} == wanted
    assert wanted
