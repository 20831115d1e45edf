"""What the quality of hints changes: a missed one hangs, a wrong one costs kernel-zone memory.

The shapes: pageblocks of 4 pages, chunks of 8, blocks of 16.
"""

import pytest

from engine.enums import AreaKind, Op
from tests.engine.bench import Guest, make_shape, make_table

NORMAL, MOVABLE = 1, 2
PINNERS, OTHERS, PAGES = 4, 4, 16
WAIT_NS = 10**7
"""Long enough for every offline of these small blocks that can end."""


def host(recall: int, false: int) -> tuple[int, int, int]:
    """Four programs pin, four do not; some of each give the hint, and all blocks are offlined.

    The pin itself moves nothing, so that the hint alone decides. Returns the pages outside
    ZONE_MOVABLE, those of them that nobody pins, and the number of offlines that hung.
    """
    table = make_table(
        "madvise-hint+unbounded", "linux-6.1",
        PIN_MIGRATES=0, FAULT_FLAG_ANON=0, PCP_HIGH_PAGES=1, PCP_THP=0,
    )  # fmt: skip
    g = Guest(make_shape("NNNNNNNNNNMMMMMMMMMM|NNNNNNNNNNNN", cpus=(0, 1)), table)
    g.do(Op.MIN_FREE, 8)
    areas = []
    for k in range(PINNERS + OTHERS):
        hinted = k < recall or PINNERS <= k < PINNERS + false
        area = g.map(g.spawn(), AreaKind.ANON, PAGES, hinted=hinted)
        assert g.touch(area, 0, PAGES)["errno"] == 0
        areas.append(area)
    for k, area in enumerate(areas[:PINNERS]):
        assert g.pin(90 + k, area, 0, PAGES)["errno"] == 0
    outside = [g.zones_of(area).count(NORMAL) for area in areas]
    hung = 0
    for block in range(10, 20):
        g.offline(block, attempt=200 + block)
        g.advance(WAIT_NS)
        if g.host.offline_running:
            hung += 1
            g.do(Op.SIGNAL)
            g.advance(WAIT_NS)
    return sum(outside), sum(outside[PINNERS:]), hung


@pytest.mark.parametrize("recall", range(PINNERS + 1))
def test_each_missed_hint_hangs_an_offline(recall: int) -> None:
    outside, wasted, hung = host(recall, 0)
    assert (outside, wasted) == (recall * PAGES, 0)
    assert hung == PINNERS - recall


@pytest.mark.parametrize("false", range(OTHERS + 1))
def test_each_wrong_hint_costs_kernel_zone_memory_and_prevents_nothing(false: int) -> None:
    outside, wasted, hung = host(2, false)
    assert outside == (2 + false) * PAGES
    assert wasted == false * PAGES
    assert hung == host(2, 0)[2] == 2
