"""Calls of a VFIO pin in a row, served in one go as far as their faults find huge folios."""

import pytest

from engine.enums import AreaKind, Counter, Errno, Op, Pinner, Row
from tests.engine.bench import Guest, make_shape, make_table, rows_of
from tests.engine.commands import Draws

UNIT = 8
"""Pages of a huge folio here."""
VFIO = int(Pinner.VFIO)
SHAPES = [
    make_shape("NNNNMMMM", order=3, chunks=2, cpus=(0, 0), thp=True),
    make_shape("NNMM|NNNM", order=3, chunks=2, cpus=(0, 1), thp=True),
    make_shape("NNNNMM", order=3, chunks=2, turns=(5, 64, 2)),
]
ARMS = (
    "linux-5.13+unbounded", "kernel+unbounded", "migrate-on-pin+unbounded", "deny+unbounded",
    "move-before-pin+unbounded", "reserved-pool+unbounded", "pin-in-place+unbounded",
)  # fmt: skip


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("profile", ["linux-5.10", "linux-6.1", "linux-6.12"])
@pytest.mark.parametrize("key", range(6))
def test_engines_agree_on_calls_in_a_row(arm: str, profile: str, key: int) -> None:
    d = Draws(key, 2711)
    pages = d.of((UNIT, 2 * UNIT, 4 * UNIT, 12, 3))
    table = make_table(arm, profile, VFIO_CALL_PAGES=pages, PCP_THP=d.below(2))
    g = Guest(d.of(SHAPES), table, full_every=1)
    cache = g.touched(g.spawn(immune=True), AreaKind.FILE, 20 + d.below(120))
    if d.below(2):
        other = g.map(g.spawn(immune=d.below(2) == 0), AreaKind.ANON, 160)
        g.touch(other, 0, 10 + d.below(150))  # as much as there is
    for turn in range(4):
        proc, area, whole = 10 + turn, 20 + turn, 30 + d.below(160)
        g.do(Op.SPAWN, proc, d.below(len(g.shape.cpu_node)), 0)  # in vain after a panic
        g.do(Op.MAP, area, proc, AreaKind.THP, whole, d.below(4) == 0)
        for _ in range(d.below(3)):
            first = d.below(whole - 1)
            g.do(Op.READ if d.below(2) else Op.TOUCH, area, first, 1 + d.below(3), -1, -1)
        first = d.of((0, 0, 0, UNIT, 5))
        g.pin(100 + turn, area, first, whole - first if d.below(3) == 0 else whole - UNIT, VFIO)
        if d.below(3) == 0:
            g.do(Op.EXIT, proc)
        elif d.below(3) == 0:
            g.do(Op.UNPIN, 100 + turn)
        g.touch(cache, 0, 10)
    g.finish()


def guest(kernel_pages: int, call_pages: int = UNIT, **cells: int) -> Guest:
    """A host whose kernel zone has about so many pages left above its marks."""
    shape = make_shape("NNNNMMMM", order=3, chunks=4, thp=True)
    table = make_table("linux-5.13+unbounded", "linux-6.1", VFIO_CALL_PAGES=call_pages, **cells)
    g = Guest(shape, table, full_every=1)
    free, least = (int(x) for x in g.host.zones()[1, 1:3])
    g.touched(g.spawn(immune=True), AreaKind.KERNEL, free - least - kernel_pages)
    return g


@pytest.mark.parametrize("call_pages", [UNIT, 2 * UNIT, 4 * UNIT])
def test_folios_are_faulted_where_they_may_be_pinned(call_pages: int) -> None:
    g = guest(100, call_pages)
    area = g.map(g.spawn(), AreaKind.THP, 64)
    result = g.pin(50, area, 0, 64, VFIO)
    assert (result["errno"], result["calls"]) == (0, 64 // call_pages)
    assert (result["faulted_pages"], result["migrated_pages"]) == (64, 0)
    assert sum(row["pinned_pages"] for row in g.seen(Row.PIN)) == 64
    assert sum(row["faulted_pages"] for row in g.seen(Row.PIN)) == 64
    assert g.host.counters[Counter.NR_FOLL_PIN_ACQUIRED] == 64


@pytest.mark.parametrize("kind", [AreaKind.ANON, AreaKind.SHMEM])
def test_memory_without_huge_folios_is_faulted_in_base_pages(kind: AreaKind) -> None:
    g = guest(100)
    result = g.pin(50, g.map(g.spawn(), kind, 64), 0, 64, VFIO)
    assert (result["errno"], result["faulted_pages"], result["thp_faults"]) == (0, 64, 0)


@pytest.mark.parametrize("call_pages", [UNIT, 2 * UNIT, 4 * UNIT])
def test_where_folios_end_calls_fall_back_to_base_pages_once(call_pages: int) -> None:
    g = guest(44, call_pages)
    area = g.map(g.spawn(), AreaKind.THP, 96)
    g.pin(50, area, 0, 96, VFIO)
    counters = g.host.counters
    assert 0 < counters[Counter.THP_FAULT_ALLOC] < 12
    assert counters[Counter.THP_FAULT_FALLBACK] > 0


@pytest.mark.parametrize("call_pages", [UNIT, 2 * UNIT, 4 * UNIT])
def test_a_pinner_killed_in_a_late_call_lets_go_of_the_earlier_ones(call_pages: int) -> None:
    g = guest(60, call_pages)
    area = g.map(g.spawn(), AreaKind.THP, 160)
    assert g.pin(50, area, 0, 160, VFIO)["errno"] == Errno.EINTR
    counters = g.host.counters
    assert counters[Counter.OOM_KILL] == 1
    assert counters[Counter.NR_FOLL_PIN_ACQUIRED] == counters[Counter.NR_FOLL_PIN_RELEASED] > 0
    assert not any(p[4] for p in g.host.pages().tolist())
    assert rows_of(g.rows, Row.INCIDENT)
