"""Which fault paths carry the long-term flag: each one that loses it brings the hang back.

The shapes: pageblocks of 4 pages (a THP is 4 pages), chunks of 8, blocks of 16.
"""

from collections.abc import Callable

import pytest

from engine.enums import AreaKind, FaultPath, Op, Pinner, Row
from policies.pins import HONOURS
from tests.engine.bench import Guest, make_shape, make_table

MOVABLE = 2
PAGES = 8


def fresh(g: Guest, kind: AreaKind) -> int:
    """Memory that nobody has touched."""
    return g.map(g.spawn(), kind, PAGES)


def read(g: Guest, kind: AreaKind) -> int:
    """Memory that was read before it was written: zero pages."""
    area = fresh(g, kind)
    assert g.do(Op.READ, area, 0, PAGES)["errno"] == 0
    return area


def shared(g: Guest) -> int:
    """Memory that a child shares since a fork: the pin copies it."""
    area, child = g.touched(g.spawn(), AreaKind.ANON, PAGES), g.spawn()
    assert g.do(Op.FORK, g._slot(), area, child)["errno"] == 0
    return area


def pooled(g: Guest) -> int:
    """Huge pages of a pool that has some inside ZONE_MOVABLE and, behind them, some outside.

    All were in use once, and those outside, which had joined the pool last, were freed first.
    """
    assert g.do(Op.POOL, 0, 26)["errno"] == 0
    used = g.touched(g.spawn(), AreaKind.HUGETLB, 26 * 4)
    inside = [z == MOVABLE for z in g.zones_of(used)]
    outside = inside.index(True)
    assert outside >= PAGES
    assert all(inside[outside:])
    g.free(used, 0, outside)
    g.free(used, outside, 26 * 4 - outside)
    area = g._slot()
    assert g.do(Op.MAP, area, g.spawn(), AreaKind.HUGETLB, PAGES, 2)["errno"] == 0
    return area


PATHS: dict[str, tuple[FaultPath, Callable[[Guest], int]]] = {
    "anon": (FaultPath.ANON, lambda g: fresh(g, AreaKind.ANON)),
    "thp": (FaultPath.THP, lambda g: fresh(g, AreaKind.THP)),
    "file": (FaultPath.FILE, lambda g: fresh(g, AreaKind.FILE)),
    "hugetlb": (FaultPath.HUGETLB, pooled),
    "shmem": (FaultPath.SHMEM, lambda g: fresh(g, AreaKind.SHMEM)),
    "zero": (FaultPath.ZERO, lambda g: read(g, AreaKind.ANON)),
    "hzp": (FaultPath.HZP, lambda g: read(g, AreaKind.THP)),
    "cow": (FaultPath.COW, shared),
}


def test_every_path_that_policies_name_is_told() -> None:
    assert set(PATHS) == set(HONOURS)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_loses_the_flag_brings_the_hang_back(path: str) -> None:
    """``fault-aware`` everywhere but there: pages of this path alone stay in ZONE_MOVABLE."""
    number, prepare = PATHS[path]
    hangs = []
    for policy in ("fault-aware", f"fault-aware-loses-{path}"):
        table = make_table(f"{policy}+unbounded", "linux-6.1", PCP_HIGH_PAGES=1, PCP_THP=0)
        g = Guest(make_shape("NNNNNNMMMMMM|NNNNNN", cpus=(0, 1)), table)
        g.do(Op.MIN_FREE, 8)
        area = prepare(g)
        assert g.pin(90, area, 0, PAGES, Pinner.VFIO)["errno"] == 0
        seen = {r["path"] for r in g.seen(Row.PIN) if r["faulted_pages"]}
        assert number in seen
        inside = [
            p // 16 for p, z in zip(g.pfns(area), g.zones_of(area), strict=True) if z == MOVABLE
        ]
        if inside:
            g.offline(inside[0])
            g.advance(10**8)
        hangs.append(bool(inside) and bool(g.host.offline_running))
    assert hangs == [False, True]
