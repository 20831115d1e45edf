"""Stories for faults that random sequences did not notice (docs/testing.md)."""

import numpy as np
import pytest

from engine.costs import CostModel
from engine.enums import AreaKind, Op
from engine.host import Host
from tests.engine.bench import Guest, command, make_shape, make_table

PAGEBLOCK = 16


def full_of(kind: AreaKind, spare: int) -> tuple[Guest, int, int]:
    """A host of 16-page pageblocks full of one kind of pages, few of them left for others."""
    shape = make_shape("NNNN", order=4, chunks=2, cpus=(0,))
    bench = Guest(shape, make_table(PCP_HIGH_PAGES=1), full_every=1, checked=False)
    bench.do(Op.MIN_FREE, 1)
    proc = bench.spawn()
    pages = int(bench.host.zones()[:, 1].sum()) - spare
    return bench, proc, bench.touched(proc, kind, pages)


@pytest.mark.parametrize("wanted", [AreaKind.KERNEL, AreaKind.ANON])
@pytest.mark.parametrize("gap", [1, 2, 3])
@pytest.mark.parametrize("freed", range(5, 12))
def test_a_pageblock_changes_its_type_when_half_of_it_fits(
    wanted: AreaKind, gap: int, freed: int
) -> None:
    """Fallback finds chunks of every size, in pageblocks just below, at and above half."""
    other = AreaKind.ANON if wanted == AreaKind.KERNEL else AreaKind.KERNEL
    bench, proc, area = full_of(other, 24)
    for block in range(4):
        first = PAGEBLOCK * (2 + 3 * block)
        for page in range(first, first + min(freed * gap, PAGEBLOCK), gap):
            if other == AreaKind.ANON:
                bench.free(area, page, 1)
    if other == AreaKind.KERNEL:
        bench.free(area, PAGEBLOCK * 2, freed)
    taken = bench.map(proc, wanted, 40)
    for page in range(40):
        if bench.host.zones()[:, 1].sum() <= 8:
            break
        bench.touch(taken, page, 1)
    for block in range(4):  # what is freed now goes to the lists of the pageblock's type
        bench.free(area, PAGEBLOCK * (3 + 3 * block) - 1, 1)


def test_records_come_back_however_pieces_merge() -> None:
    """Freeing pages in any order gives every record back: nothing grows with the rounds."""
    shape = make_shape("NNMM", order=4, chunks=2)
    host = Host(shape, make_table(PCP_HIGH_PAGES=1), CostModel().vector())
    host.execute(np.array([command(0, Op.SPAWN, 0, 0, 0), command(0, Op.MAP, 0, 0, 0, 96)]), 1)
    orders = [range(96), range(95, -1, -1), [*range(0, 96, 2), *range(1, 96, 2)],
              [(i * 37) % 96 for i in range(96)]]  # fmt: skip
    sizes = []
    for index in range(400):
        frees = [command(1, Op.FREE, 0, page, 1, -1) for page in orders[index % 4]]
        host.execute(np.array([command(1, Op.TOUCH, 0, 0, 96, -1, -1), *frees]), 1)
        sizes.append(host.nr_runs)
    assert sizes[-1] == sizes[8]
