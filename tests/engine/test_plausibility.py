"""The engine's placement against what probability and packing say."""

import math

import numpy as np

from engine.enums import AreaKind, Errno, OfflineReason, Op, Row
from tests.engine.bench import Guest, make_shape, make_table, rows_of

BLOCKS, CHUNKS = 40, 8
"""Movable memory: blocks, and chunks of maximal order in each."""
ARM = make_table("pin-in-place+unbounded", "linux-5.10", PCP_THP=0)


def pinned_blocks(chunks: int, key: int | None) -> int:
    """Blocks that hold a pinned page when ``chunks`` chunks are filled and pinned.

    ``key``: of the shuffled free list; None: a fresh host.
    """
    shape = make_shape("N" * 8 + "M" * BLOCKS, order=2, chunks=CHUNKS)
    g = Guest(shape, ARM, checked=False, full_every=0)
    if key is not None:
        g.do(Op.SHUFFLE, key)
    pages = chunks << 3
    area = g.touched(g.spawn(), AreaKind.THP, pages)
    assert g.pin(1, area, 0, pages)["errno"] == 0
    content = g.host.blocks()
    assert content[:8, 4].sum() == 0
    assert content[:, 4].sum() == pages
    return int((content[:, 4] > 0).sum())


def test_a_shuffled_free_list_taints_the_share_that_chance_predicts() -> None:
    """The share of tainted blocks is 1 - (1 - f)^k, f of chunks pinned, k chunks a block.

    Drawn without replacement, k chunks of a block are all free with probability
    C(N - n, k) / C(N, k), which 1 - (1 - f)^k approaches; both are asked for.
    """
    n, total, keys = 40, BLOCKS * CHUNKS, 60
    f = n / total
    shares = np.array([pinned_blocks(n, key) / BLOCKS for key in range(keys)])
    exact = 1 - math.comb(total - CHUNKS, n) / math.comb(total, n)
    formula = 1 - (1 - f) ** CHUNKS
    error = float(shares.std(ddof=1)) / math.sqrt(keys)
    assert abs(shares.mean() - exact) < 3 * error
    one_host = math.sqrt(formula * (1 - formula) / BLOCKS)
    assert abs(shares.mean() - formula) < 3 * one_host


def test_each_block_is_tainted_as_often_as_any_other() -> None:
    firsts = []
    for key in range(200):
        shape = make_shape("N" * 2 + "M" * 10, order=2, chunks=2)
        g = Guest(shape, ARM, checked=False, full_every=0)
        g.do(Op.SHUFFLE, key)
        firsts += g.blocks_of(g.touched(g.spawn(), AreaKind.THP, 8))
    counts = np.bincount(firsts, minlength=12)[2:]
    expected = len(firsts) / 10
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    assert chi2 < 27.9  # 99.9 % of chi-square with 9 degrees of freedom


def test_a_fresh_host_packs_its_pins_into_as_few_blocks_as_hold_them() -> None:
    n = 40
    fresh = pinned_blocks(n, None)
    assert fresh == math.ceil(n / CHUNKS)
    scattered = BLOCKS * (1 - (1 - n / (BLOCKS * CHUNKS)) ** CHUNKS)
    assert fresh < scattered / 3


def test_without_a_movable_zone_a_block_is_refused_loops_or_goes_by_its_content() -> None:
    shape = make_shape("N" * 24, order=2, chunks=4)
    arm = make_table("linux-5.13+unbounded@no-movable-zone", "linux-6.1")
    g = Guest(shape, arm, full_every=1)
    g.do(Op.SHUFFLE, 11)
    proc = g.spawn()
    g.touched(proc, AreaKind.KERNEL, 40)
    pinned = g.touched(proc, AreaKind.THP, 48)
    g.touched(proc, AreaKind.ANON, 120)
    g.do(Op.SHUFFLE, 12)
    assert g.pin(1, pinned, 0, 48)["errno"] == 0
    expected, seen = {"refused": 0, "looping": 0, "offlined": 0}, dict[str, int]()
    for block in range(shape.nr_blocks):
        kernel, pins = g.host.blocks()[block, [6, 4]]
        content = "refused" if kernel else "looping" if pins else "offlined"
        expected[content] += 1
        outcome = try_to_remove(g, block)
        seen[outcome] = seen.get(outcome, 0) + 1
        assert outcome == content, f"block {block}: kernel {kernel}, pinned {pins}"
    assert seen == expected
    assert min(expected.values()) >= 2


def try_to_remove(g: Guest, block: int) -> str:
    """Offline a block and bring it back; a loop is ended by a signal."""
    g.offline(block)
    attempts = rows_of(g.advance(60_000_000), Row.ATTEMPT)
    if not attempts:
        assert g.do(Op.STATUS, 7)["errno"] == 0
        endless = g.seen(Row.ATTEMPT)[0]["endless"]
        g.do(Op.SIGNAL)
        assert g.attempt()["reason"] == OfflineReason.SIGNAL
        return "looping" if endless else "working"
    if attempts[0]["errno"] == 0:
        assert g.do(Op.ONLINE, block, 1, 1)["errno"] == 0
        return "offlined"
    assert attempts[0]["errno"] == Errno.EBUSY
    assert attempts[0]["reason"] == OfflineReason.UNMOVABLE
    return "refused"
