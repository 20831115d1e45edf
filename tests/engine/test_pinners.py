"""What tells the pinners apart: pages of a call, what a bad page fails, direct I/O."""

import pytest

from engine.enums import AreaKind, Counter, Errno, Op, Pinner, Row
from tests.engine.bench import Guest, make_shape, make_table, rows_of

SHAPE = make_shape("NNNNMMMM", order=2, chunks=2)
LARGE = make_shape("NNNNMM", order=9, chunks=1)


def guest(profile: str = "linux-6.1", shape: object = SHAPE, **cells: int) -> Guest:
    return Guest(shape, make_table("kernel+unbounded", profile, **cells), full_every=1)  # type: ignore[arg-type]


def movable_pages(g: Guest, area: int) -> int:
    """Pages of an area in MOVABLE."""
    zone = g.host.blocks()[:, 0]
    pages = [p[0] for p in g.host.pages().tolist() if p[2] == area]
    return sum(zone[pfn // g.shape.block_pages] == 2 for pfn in pages)


@pytest.mark.parametrize(
    ("pinner", "calls", "reached"),
    [(Pinner.IO_URING, 1, 1200), (Pinner.VFIO, 300, 604), (Pinner.RDMA, 3, 1024)],
)
def test_one_bad_page_fails_its_call_and_with_it_the_pin(
    pinner: Pinner, calls: int, reached: int
) -> None:
    g = guest(shape=LARGE, VFIO_CALL_PAGES=4)
    area = g.touched(g.spawn(), AreaKind.ANON, 1200)
    assert movable_pages(g, area) == 1200
    g.do(Op.HOLD, 50, area, 600, 1)
    result = g.pin(51, area, 0, 1200, pinner)
    assert (result["errno"], result["calls"]) == (Errno.ENOMEM, calls)
    # the pages of all calls up to the failed one have moved, but for the bad one
    assert movable_pages(g, area) == 1200 - reached + 1
    assert not any(p[4] for p in g.host.pages().tolist())


def test_direct_io_references_pages_where_they_are() -> None:
    g = guest()
    area = g.map(g.spawn(), AreaKind.ANON, 8)
    before = g.host.counters.copy()
    assert g.pin(50, area, 0, 8, Pinner.DIRECT_IO)["faulted_pages"] == 8
    assert movable_pages(g, area) == 8
    assert [p[4:6] for p in g.host.pages().tolist()] == [[0, 1]] * 8
    grown = g.host.counters - before
    assert not grown[Counter.NR_FOLL_PIN_ACQUIRED]
    assert g.pin(51, area, 0, 8)["errno"] == Errno.ENOMEM
    g.do(Op.UNPIN, 50)
    assert g.pin(51, area, 0, 8)["errno"] == 0


def test_an_offline_waits_for_direct_io() -> None:
    g = guest()
    area = g.touched(g.spawn(), AreaKind.THP, 4)
    block = int(g.host.pages()[0, 0]) // SHAPE.block_pages
    g.pin(50, area, 0, 4, Pinner.DIRECT_IO)
    g.offline(block)
    assert not rows_of(g.advance(50_000_000), Row.ATTEMPT)
    g.do(Op.UNPIN, 50)
    assert g.attempt()["errno"] == 0
