"""The laws notice when a host breaks them: each tampering is a bug an engine might have."""

from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pytest

from engine.costs import CostModel
from engine.enums import AreaKind, Counter, Errno, OfflineReason, Op, ZoneKind
from engine.reference.host import ReferenceHost
from engine.reference.offlining import Offline
from tests.engine.bench import Guest, make_shape, make_table
from tests.engine.conservation import ADVANCE, Conservation, LawError


def host() -> ReferenceHost:
    """A host with a pinned, a held and a plain area in ZONE_MOVABLE, checked once."""
    shape, table = make_shape("NNNNMMMM"), make_table("pin-in-place+unbounded", PCP_HIGH_PAGES=6)
    g = Guest(shape, table, engines=(ReferenceHost,))
    area = g.touched(g.spawn(), AreaKind.ANON, 12)
    g.pin(1, area, 2, 1)
    g.do(Op.HOLD, 2, area, 5, 1)
    g.free(area, 9, 2)
    made: ReferenceHost = g.host
    return made


def _lose_a_chunk(h: ReferenceHost) -> None:
    h._remove(h.zone[1], next(iter(h.zone[1].free_area[1][3])))


def _list_on_the_wrong_type(h: ReferenceHost) -> None:
    pfn = next(iter(h.zone[1].free_area[1][3]))
    h._remove(h.zone[1], pfn)
    h._insert(h.zone[1], pfn, 3, list(type(h.pb_mt[0]))[3], tail=True)


def _forget_to_merge(h: ReferenceHost) -> None:
    pfn = next(iter(h.zone[1].free_area[1][3]))
    h._remove(h.zone[1], pfn)
    for half in (pfn, pfn + 4):
        h._insert(h.zone[1], half, 2, h.pb_mt[0], tail=True)


def _overlap(h: ReferenceHost) -> None:
    h._insert(h.zone[2], min(h.owner), 0, h.pb_mt[0], tail=True)


def _miscount_free(h: ReferenceHost) -> None:
    h.zone[2].free_pages += 1


def _negative_pins(h: ReferenceHost) -> None:
    h.owner[max(h.owner)].pins = -1


def _count_a_pin_twice(h: ReferenceHost) -> None:
    h.counters[Counter.NR_FOLL_PIN_ACQUIRED] += 1


def _take_a_counter_back(h: ReferenceHost) -> None:
    h.counters[Counter.PGFAULT] -= 1


def _move(h: ReferenceHost, held: Callable[[int, int], bool]) -> None:
    """Swap two folios' places, one of them chosen by (pins, references)."""
    one = next(f for f in h.owner.values() if held(f.pins, f.references))
    other = next(f for f in h.owner.values() if not f.held)
    pages = h.area_of[one.area].pages
    one.pfn, other.pfn = other.pfn, one.pfn
    for f in (one, other):
        h.owner[f.pfn] = f
        pages[f.index] = f.pfn


def _move_a_pinned_page(h: ReferenceHost) -> None:
    _move(h, lambda pins, _: pins > 0)


def _move_a_referenced_page(h: ReferenceHost) -> None:
    _move(h, lambda _, references: references > 0)


def _drop_content(h: ReferenceHost) -> None:
    folio = next(f for f in h.owner.values() if not f.held)
    h._unmap_folio(folio)
    h._free_chunk(folio.pfn, 0)


def _take_a_block_with_pages(h: ReferenceHost) -> None:
    h.block_zone[min(h.owner) // h.shape.block_pages] = -1


def _turn_time_back(h: ReferenceHost) -> None:
    h.now_ns -= 1


def _shift_a_mark(h: ReferenceHost) -> None:
    h.zone[1].low += 1


@pytest.mark.parametrize(
    "tamper",
    [
        _lose_a_chunk, _list_on_the_wrong_type, _forget_to_merge, _overlap, _miscount_free,
        _negative_pins, _count_a_pin_twice, _take_a_counter_back, _move_a_pinned_page,
        _move_a_referenced_page, _drop_content, _take_a_block_with_pages, _turn_time_back,
        _shift_a_mark,
    ],
)  # fmt: skip
def test_a_broken_law_is_noticed(tamper: Callable[[ReferenceHost], None]) -> None:
    h = host()
    laws = Conservation(h, capped=False)
    laws.check(h, [h.now_ns, ADVANCE, 0])
    tamper(h)
    with pytest.raises(LawError):
        laws.check(h, [h.now_ns, ADVANCE, 0])


def test_marks_that_a_command_sets_again_as_an_offline_ends_are_lawful() -> None:
    """The second MIN_FREE undoes what the block's leaving did: marks look as if nothing had been.

    Found by a random sequence: the law took the marks of a smaller zone instead.
    """
    h = ReferenceHost(make_shape("NNNNNMMMMM-", chunks=2), make_table(), CostModel().vector())
    laws, us = Conservation(h, capped=False), 1_000
    laws.check(h, [0, ADVANCE, 0])
    commands = (
        [0, Op.OFFLINE, 1, 7, 1, 0, 0, 0], [10_000 * us, Op.MIN_FREE, 2, 0, 0, 0, 0, 0],
        [20_000 * us, Op.OFFLINE, 2, 9, 1, 0, 0, 0], [40_000 * us, Op.MIN_FREE, 2, 0, 0, 0, 0, 0],
    )  # fmt: skip
    for command in commands:
        h.execute(np.array([command], np.int64), command[0] + 1)
        laws.check(h, command)
    assert not h.offline_running


class Careless(ReferenceHost):
    """A mark is off by one where blocks have come online, or an offline has ended."""

    def _online(self, first: int, count: int, kind: int) -> Errno:
        errno = super()._online(first, count, kind)
        self.zone[1].low += 1
        return errno

    def _end(self, off: Offline, errno: Errno, reason: OfflineReason) -> None:
        super()._end(off, errno, reason)
        self.zone[1].low += 1


def _two_come_online(g: Guest) -> None:
    assert g.do(Op.ONLINE, 5, 2, ZoneKind.MOVABLE)["errno"] == 0


def _two_leave(g: Guest) -> None:
    g.offline(7, 2)
    assert g.attempt()["errno"] == 0


def _two_leave_and_come_back(g: Guest) -> None:
    g.offline(7, 4)
    assert g.attempt()["reason"] == OfflineReason.BAD_STATE


def _one_has_left_and_another_leaves_before_both_come_back(g: Guest) -> None:
    """It looks as if one block had come, but the marks have been computed three times."""
    g.offline(7, 4)
    while g.host.block_zone[7] >= 0:
        g.advance(10_000)
    assert g.host.block_zone[8] >= 0
    g.do(Op.MIN_FREE, 1)
    assert g.attempt()["reason"] == OfflineReason.BAD_STATE
    assert g.host.block_zone[7] == g.host.block_zone[8] == ZoneKind.MOVABLE


@pytest.mark.parametrize(
    "story",
    [
        _two_come_online, _two_leave, _two_leave_and_come_back,
        _one_has_left_and_another_leaves_before_both_come_back,
    ],
)  # fmt: skip
def test_marks_are_known_where_several_blocks_change_in_one_step(
    story: Callable[[Guest], None],
) -> None:
    """A random sequence found the law wrong: marks depend on those before, block by block."""
    shape = make_shape("RNNNN--MM|NNNNh", order=3, chunks=4, cpus=(0, 1), thp=True)
    table = make_table(MOVABLE_MARK_CAPPED=1)
    for engine, lawful in ((ReferenceHost, True), (Careless, False)):
        g = Guest(shape, table, engines=(engine,), shortens=False)
        g.laws = Conservation(g.host, capped=True)  # with index checks, too
        with nullcontext() if lawful else pytest.raises(LawError):
            story(g)
