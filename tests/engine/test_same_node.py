"""Offline targets on two nodes: the other node, and under same-node-fallback also the own one.

The case is the lab's: the other node is full, other blocks of the block's own node are empty.
"""

import pytest

from engine.enums import AreaKind, BlockerClass, Op, Row
from tests.engine.bench import Guest, make_shape, make_table

PINNED = 3


def full_other_node(offline: str, kind: AreaKind, left: int = 0) -> tuple[Guest, int]:
    """A guest whose second node has ``left`` pages to spare; 8 pages in the block 4 of node 0."""
    shape = make_shape("NNNNMMMM|NNMM", cpus=(0, 1))
    table = make_table(f"pin-in-place+{offline}", "linux-5.10", PCP_HIGH_PAGES=1)
    g = Guest(shape, table, full_every=1)
    g.do(Op.MIN_FREE, 8)
    proc = g.spawn()
    area = g.touched(proc, kind, 8)
    other = g.map(proc, AreaKind.ANON, 64)
    for index in range(64):
        zones = g.host.zones()
        if sum(max(int(zones[z, 1] - zones[z, 2]), 0) for z in (4, 5)) <= left:
            break
        g.touch(other, index, 1, node=1)
    assert g.blocks_of(area) == [4]
    return g, area


@pytest.mark.parametrize("kind", [AreaKind.ANON, AreaKind.THP])
def test_without_fallback_it_loops_beside_empty_blocks_of_its_own_node(kind: AreaKind) -> None:
    g, area = full_other_node("unbounded", kind)
    g.offline(4)
    g.do(Op.STATUS, 7, after_ns=2_000_000_000)
    (attempt,) = g.seen(Row.ATTEMPT)
    assert attempt["endless"] == 1
    assert {r["class"] for r in g.seen(Row.BLOCKER)} == {BlockerClass.NO_ROOM}
    assert sum(g.host.blocks()[5:8, 2]) == 3 * 16
    assert 4 in g.blocks_of(area)


@pytest.mark.parametrize("kind", [AreaKind.ANON, AreaKind.THP])
def test_with_fallback_the_pages_move_inside_their_own_node(kind: AreaKind) -> None:
    g, area = full_other_node("same-node-fallback", kind)
    used = int(g.host.blocks()[4, 3])
    g.offline(4)
    attempt = g.attempt()
    assert (attempt["errno"], attempt["migrated_pages"]) == (0, used)
    moves = g.seen(Row.MIGRATION)
    assert {(r["zone_from"], r["zone_to"]) for r in moves} == {(2, 2)}
    assert set(g.blocks_of(area)) <= {5, 6, 7}


def test_the_own_node_is_the_last_resort() -> None:
    g, area = full_other_node("same-node-fallback", AreaKind.ANON, left=3)
    g.offline(4)
    assert g.attempt()["errno"] == 0
    to = {r["zone_to"]: r["pages"] for r in g.seen(Row.MIGRATION)}
    assert to[2] > 0
    assert sum(pages for zone, pages in to.items() if zone > 2) > 0
    assert sum(to.values()) == 8
    assert g.zones_of(area).count(2) == 8 - sum(p for z, p in to.items() if z % 3 != 2)


def test_with_room_elsewhere_both_policies_do_the_same() -> None:
    ends = []
    for offline in ("unbounded", "same-node-fallback"):
        g, area = full_other_node(offline, AreaKind.THP, left=30)
        g.offline(4)
        ends.append((g.attempt()["end_ns"], g.pfns(area)))
        assert all(r["zone_to"] > 2 for r in g.seen(Row.MIGRATION))
    assert ends[0] == ends[1]


def test_a_pin_still_loops_with_fallback() -> None:
    g, area = full_other_node("same-node-fallback", AreaKind.ANON)
    g.pin(PINNED + 90, area, 2, 1)
    g.offline(4)
    g.do(Op.STATUS, 7, after_ns=2_000_000_000)
    assert g.seen(Row.ATTEMPT)[0]["endless"] == 1
    assert [r["class"] for r in g.seen(Row.BLOCKER)] == [BlockerClass.LONGTERM_PIN]
    g.do(Op.UNPIN, PINNED + 90)
    assert g.attempt()["errno"] == 0
