"""What revocable and returning pins, paced offlines and unmapping first change, on tiny hosts.

Each sentence holds for both engines. Pageblocks of 4 pages, chunks of 8, blocks of 16.
"""

import pytest

from engine.enums import AreaKind, BlockerClass, Cost, Counter, Errno, MigrateReason, Op, Row
from tests.engine.bench import Guest, rows_of
from tests.policies.test_pin_policies import block_of, guest

MS, SECOND = 1_000_000, 1_000_000_000
ANON, THP = AreaKind.ANON, AreaKind.THP
NORMAL, MOVABLE = 1, 2
TWO_NODES = "NNNNNNMMMMMM|NNNNMMMM"


def pinned(
    pin: str, offline: str = "unbounded", kind: AreaKind = ANON, pages: int = 8
) -> tuple[Guest, int, int]:
    """A host with a wholly pinned area in ZONE_MOVABLE; the area and its first block."""
    g = guest(pin, TWO_NODES, offline)
    area = g.touched(g.spawn(), kind, pages)
    assert g.pin(90, area, 0, pages)["errno"] == 0
    return g, area, block_of(g, area)


# -- revocable ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ANON, THP])
def test_a_revocable_pin_lets_the_block_go_and_holds_the_page_at_its_new_place(
    kind: AreaKind,
) -> None:
    g, area, block = pinned("revocable", kind=kind)
    costs = g.costs
    g.offline(block)
    attempt = g.attempt()
    folios = 2 if kind == THP else 8
    assert attempt["errno"] == 0
    assert g.host.counters[Counter.PIN_REVOKED] == folios
    assert attempt["unavailable_ns"] >= folios * costs[Cost.PIN_REVOKE]
    assert block not in g.blocks_of(area)
    assert g.host.blocks()[:, 4].sum() == 8
    assert g.do(Op.UNPIN, 90)["errno"] == 0
    assert g.host.blocks()[:, 4].sum() == 0


def test_without_revocation_the_same_offline_hangs() -> None:
    g, _, block = pinned("pin-in-place")
    g.offline(block)
    g.advance(SECOND // 20)
    assert g.host.offline_running


def test_nobody_can_be_asked_to_drop_a_short_reference() -> None:
    g, area, block = pinned("revocable")
    g.do(Op.HOLD, 91, area, 3, 1)
    g.offline(block)
    g.advance(SECOND // 10)
    g.do(Op.STATUS, 7)
    (blocker,) = g.seen(Row.BLOCKER)
    assert (blocker["pages"], blocker["references"]) == (1, 1)
    assert g.host.counters[Counter.PIN_REVOKED] == 7


# -- return-on-unpin ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ANON, THP])
def test_pages_return_to_movable_when_their_last_pin_is_gone(kind: AreaKind) -> None:
    g = guest("return-on-unpin")
    area = g.map(g.spawn(), kind, 8)
    g.pin(90, area, 0, 8)
    g.pin(91, area, 0, 4)
    assert set(g.zones_of(area)) == {NORMAL}
    assert g.do(Op.UNPIN, 90)["migrated_pages"] == 4
    assert g.zones_of(area) == [NORMAL] * 4 + [MOVABLE] * 4
    moves = g.seen(Row.MIGRATION)
    assert {m["reason"] for m in moves} == {MigrateReason.UNPIN}
    g.do(Op.UNPIN, 91)
    assert set(g.zones_of(area)) == {MOVABLE}
    plain = guest("linux-5.13")
    stays = plain.map(plain.spawn(), kind, 8)
    plain.pin(90, stays, 0, 8)
    assert plain.do(Op.UNPIN, 90)["migrated_pages"] == 0
    assert set(plain.zones_of(stays)) == {NORMAL}


def test_pages_return_only_as_far_as_there_is_room_and_nothing_is_reclaimed() -> None:
    g = guest("return-on-unpin", "NNNNNNMMM")
    cache = g.touched(g.spawn(), AreaKind.FILE, 36)
    area = g.map(g.spawn(), ANON, 24)
    g.pin(90, area, 0, 24)
    steals = int(g.host.counters[Counter.PGSTEAL])
    moved = g.do(Op.UNPIN, 90)["migrated_pages"]
    assert 0 < moved < 24
    assert g.zones_of(area) == [MOVABLE] * moved + [NORMAL] * (24 - moved)
    assert g.host.counters[Counter.PGSTEAL] == steals
    assert -1 not in g.pfns(cache)
    assert g.host.zones()[2, 1] <= g.host.zones()[2, 3] + 1


def test_a_process_that_ends_moves_nothing() -> None:
    g = guest("return-on-unpin")
    proc = g.spawn()
    area = g.map(proc, ANON, 8)
    g.pin(90, area, 0, 8)
    g.do(Op.EXIT, proc)
    assert g.host.counters[Counter.PGMIGRATE_SUCCESS] == 0


# -- paced ----------------------------------------------------------------------------------------


def test_a_paced_offline_tries_five_passes_then_leaves_the_block_alone() -> None:
    g, _, block = pinned("pin-in-place", "paced")
    g.offline(block)
    g.advance(SECOND)
    assert g.host.counters[Counter.OFFLINE_PASSES] == 5
    assert not g.host.blocks()[:, 1].any()  # not isolated, in use meanwhile
    assert g.host.offline_running
    for seconds, passes in ((51, 10), (101, 15), (201, 20), (301, 25), (301, 30)):
        g.advance(seconds * SECOND)
        assert g.host.counters[Counter.OFFLINE_PASSES] == passes


def test_a_paced_offline_ends_when_the_pin_has_gone_in_a_pause() -> None:
    g, _, block = pinned("pin-in-place", "paced")
    g.offline(block)
    g.advance(SECOND)
    g.do(Op.UNPIN, 90)
    attempt = g.attempt(60 * SECOND)
    assert (attempt["errno"], attempt["passes"]) == (0, 7)
    assert attempt["end_ns"] - attempt["start_ns"] > 50 * SECOND


def test_a_signal_or_a_bound_ends_a_pause_at_once() -> None:
    g, _, block = pinned("pin-in-place", "paced")
    g.offline(block)
    g.do(Op.SIGNAL, after_ns=7 * SECOND)
    attempt = g.attempt(1)
    assert (attempt["errno"], attempt["end_ns"] - attempt["start_ns"]) == (Errno.EINTR, 7 * SECOND)
    assert g.seen(Row.BLOCKER)[0]["class"] == BlockerClass.LONGTERM_PIN
    g.offline(block, bound_ns=20 * SECOND)
    attempt = g.attempt(30 * SECOND)
    assert attempt["end_ns"] - attempt["start_ns"] == 20 * SECOND


def test_pausing_costs_the_application_less_than_looping() -> None:
    seen = []
    for offline in ("unbounded", "paced"):
        g, _, block = pinned("pin-in-place", offline)
        g.offline(block)
        g.do(Op.STATUS, 7, after_ns=SECOND // 10)
        seen.append(g.seen(Row.ATTEMPT)[0]["unavailable_ns"])
    assert seen[1] * 10 < seen[0]


# -- unmap-first ----------------------------------------------------------------------------------


def test_unmapping_first_lets_the_block_go_at_the_price_of_the_flows() -> None:
    g, area, block = pinned("pin-in-place", "unmap-first")
    g.offline(block)
    attempt = g.attempt()
    assert attempt["errno"] == 0
    assert attempt["unavailable_ns"] >= attempt["end_ns"] - attempt["start_ns"]
    assert attempt["end_ns"] - attempt["start_ns"] >= g.costs[Cost.PIN_SUSPEND]
    assert g.host.counters[Counter.PIN_SUSPENDED] == 1
    assert block not in g.blocks_of(area)
    assert g.host.blocks()[:, 4].sum() == 8  # mapped again
    assert [r["pinned_pages"] for r in rows_of(g.rows, Row.PIN)] == [8]
    assert g.do(Op.UNPIN, 90)["errno"] == 0


def test_mapping_again_follows_the_pin_policy() -> None:
    g = guest("migrate-on-pin", TWO_NODES, "unmap-first", PIN_FAILURE=1)
    area = g.touched(g.spawn(), ANON, 8)
    g.do(Op.HOLD, 91, area, 0, 8)
    g.pin(90, area, 0, 8)
    g.do(Op.UNPIN, 91)
    assert set(g.zones_of(area)) == {MOVABLE}
    g.offline(block_of(g, area))
    rows = g.advance(10 * SECOND)
    assert rows_of(rows, Row.ATTEMPT)[0]["errno"] == 0
    assert sum(r["pinned_pages"] for r in rows_of(rows, Row.PIN)) == 8
    assert set(g.zones_of(area)) == {NORMAL}


def test_while_an_area_is_unmapped_it_can_be_freed_unpinned_and_unmapped() -> None:
    g, area, block = pinned("pin-in-place", "unmap-first")
    other = g.touched(g.hosts[0].area_of[area].proc, ANON, 4)
    assert block in g.blocks_of(other)
    g.do(Op.HOLD, 92, other, 0, 4)  # keeps the offline busy
    g.pin(91, other, 0, 2)
    g.offline(block)
    g.advance(SECOND // 5)
    assert g.host.blocks()[:, 4].sum() == 0
    assert g.free(area, 0, 4)["errno"] == 0
    assert g.do(Op.UNPIN, 91)["errno"] == 0
    g.do(Op.STATUS, 7)
    waited = g.now_ns - g.seen(Row.ATTEMPT)[0]["start_ns"]
    assert g.seen(Row.ATTEMPT)[0]["unavailable_ns"] >= waited  # of the one that is left
    g.do(Op.UNPIN, 92)
    rows = g.advance(SECOND)
    assert rows_of(rows, Row.ATTEMPT)[0]["errno"] == 0
    assert -1 not in g.pfns(area)  # the new mapping faulted in what was freed
    assert g.host.blocks()[:, 4].sum() == 8


def test_an_area_that_is_gone_is_not_mapped_again() -> None:
    g, area, block = pinned("pin-in-place", "unmap-first")
    g.offline(block)
    g.advance(1)
    assert g.do(Op.UNMAP, area)["errno"] == 0
    assert g.attempt()["errno"] == 0
    assert g.do(Op.UNPIN, 90)["errno"] == Errno.EINVAL


def test_an_offline_that_is_given_up_maps_again_too() -> None:
    g, area, block = pinned("pin-in-place", "unmap-first")
    g.do(Op.HOLD, 91, area, 0, 1)
    g.offline(block)
    g.do(Op.SIGNAL, after_ns=SECOND // 5)
    assert g.attempt()["errno"] == Errno.EINTR
    assert g.host.blocks()[:, 4].sum() == 8


def test_memory_that_was_freed_under_its_pin_goes_with_the_mapping() -> None:
    g, area, block = pinned("pin-in-place", "unmap-first")
    assert g.free(area, 0, 8)["errno"] == 0
    assert g.host.blocks()[:, 4].sum() == 8  # orphans, in the block as before
    g.offline(block)
    assert g.attempt()["errno"] == 0
    assert -1 not in g.pfns(area)  # the new mapping faulted in other pages
    assert block not in g.blocks_of(area)
    assert g.do(Op.UNPIN, 90)["errno"] == 0
    assert g.host.blocks()[:, 4].sum() == 0


def test_an_area_mapped_later_in_the_same_place_is_not_taken_for_the_old_one() -> None:
    g, area, block = pinned("pin-in-place", "unmap-first")
    proc = g.hosts[0].area_of[area].proc
    g.offline(block)
    g.advance(1)
    g.do(Op.UNMAP, area)
    g.do(Op.MAP, area, proc, ANON, 8, 0)
    assert g.attempt()["errno"] == 0
    assert set(g.pfns(area)) == {-1}
    assert g.do(Op.UNPIN, 90)["errno"] == Errno.EINVAL
