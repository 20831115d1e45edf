"""Counting frames, and the recorded driver's random numbers."""

import numpy as np

from engine.enums import ZoneKind
from engine.shape import HOLE, OFFLINE, HostShape
from fleet.lab.draws import Lcg
from fleet.lab.placement import (
    ABSENT,
    HUGE_ZERO,
    ZERO_PAGE,
    distribution,
    frames,
    joined,
    most_used_block,
    overlap,
    runs,
    shared_pageblocks,
)

SHAPE = HostShape(
    pageblock_order=2,
    block_pages=16,
    block_node=(0, 0, 0, 1),
    block_zone=(ZoneKind.DMA32, HOLE, OFFLINE, OFFLINE),
    block_reserved=(0, 0, 0, 0),
    cpu_node=(0,),
)
BLOCKS = np.array([[0], [-2], [2], [5]], np.int64)
"""Zone ids: node 0 DMA32, hole, node 0 MOVABLE, node 1 MOVABLE."""


def test_extents_expand_to_pages() -> None:
    extents = np.array(
        [[0, 2, ABSENT, 0], [2, 3, 40, 1], [5, 2, 50, -1], [7, 4, 32, 2], [11, 1, ZERO_PAGE, 0]]
    )
    now = frames(extents, 12)
    assert now.pfn.tolist() == [-1, -1, 40, 41, 42, 50, 49, 32, 33, 34, 35, -2]
    assert now.huge.tolist() == [False] * 7 + [True] * 4 + [False]


def test_distribution_counts_zones_blocks_nodes_and_moves() -> None:
    now = frames(np.array([[0, 4, 32, 2], [4, 2, 50, 1], [6, 1, ZERO_PAGE, 0], [7, 1, 3, 1]]), 9)
    last = np.array([32, 33, 34, 35, 40, 51, ABSENT, ABSENT, ABSENT])
    dist = distribution(now, last, SHAPE, BLOCKS)
    assert (dist["pages"], dist["absent"], dist["moved_since_last"], dist["thp"]) == (9, 1, 1, 4)
    assert dist["by_zone"] == {"Movable": 6, "kernel": 2}
    assert dist["by_block"] == {"0": 2, "2": 4, "3": 2}
    assert dist["by_node_zone"] == {"0/Movable": 4, "0/kernel": 2, "1/Movable": 2}
    assert most_used_block(dist) == 2
    read = frames(np.array([[0, 4, 32, 2], [4, 2, 50, 1], [6, 1, HUGE_ZERO, 0], [7, 1, 3, 1]]), 9)
    huge_zero = distribution(read, None, SHAPE, BLOCKS)
    assert (huge_zero["thp"], huge_zero["moved_since_last"]) == (5, 0)


def test_runs_go_up_or_down_by_one() -> None:
    now = frames(np.array([[0, 3, 32, 1], [3, 3, 45, -1], [6, 1, 48, 1], [7, 1, 32 + 3, 1]]), 8)
    found = runs(now, SHAPE)
    assert (found["va_runs"], found["phys_runs"]) == (4, 3)
    assert (found["nblocks"], found["pageblocks"]) == (2, 4)
    assert found["block_seq"] == [[2, 6], [3, 1], [2, 1]]


def test_an_absent_buffer_has_no_runs() -> None:
    found = runs(frames(np.zeros((0, 4), np.int64), 3), SHAPE)
    assert (found["va_runs"], found["nblocks"], found["block_seq"]) == (0, 0, [])
    assert most_used_block({"by_block": {}}) == -1


def test_overlap_ignores_absent_pages() -> None:
    assert overlap(np.array([-1, 5, 6, -2]), np.array([-1, -2, 6, 7])) == 1


def test_pageblocks_of_two_buffers() -> None:
    a, b = np.array([-1, 0, 1, 4, 9]), np.array([5, 6, 12, 13, -2])
    assert shared_pageblocks(a, b, 2) == {
        "pageblocks_a_only": 2, "pageblocks_b_only": 1, "pageblocks_both": 1,
    }  # fmt: skip


def test_areas_that_follow_each_other_are_one_buffer() -> None:
    parts = [frames(np.array([[0, 2, 40, 1]]), 2), frames(np.array([[0, 4, 8, 2]]), 4)]
    both = joined(parts)
    assert both.pfn.tolist() == [40, 41, 8, 9, 10, 11]
    assert both.huge.tolist() == [False] * 2 + [True] * 4


def test_the_recorded_generator() -> None:
    state, outputs = 7, []
    for _ in range(6):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        outputs.append(state >> 33)
    draws = Lcg(7)
    assert [draws.next(), draws.next()] == outputs[4:]
    picked = Lcg(7).pick(5, range(20))
    assert len(set(picked)) == 5
    first = outputs[4] % 20
    assert picked[0] == first


def test_a_shuffle_exchanges_from_the_last_item_down() -> None:
    draws, expected = Lcg(5), list(range(9))
    for i in range(8, 0, -1):
        j = draws.next() % (i + 1)
        expected[i], expected[j] = expected[j], expected[i]
    assert Lcg(5).shuffle(range(9)) == expected
    assert sorted(expected) == list(range(9))
