"""The experiment behind each published table, in the engine."""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.costs import MODELS, CostModel
from engine.enums import AreaKind, Op, Pinner, ZoneKind
from fleet.lab.published import tables as t
from fleet.lab.published.bench import GIB_PAGES, Bench, one_node

BLOCK_2GIB, BLOCK_128MIB = 1 << 19, 1 << 15
SPARE_BLOCKS = 2
QEMU_START_NS = 327_654_654
"""Start of QEMU without its memory: what a guest of no size would take (fitted with T1)."""
ORDER_OF = {1: 9, 4: 2, 16: 4, 64: 6, 256: 8, 512: 9}
"""Order of a huge folio of so many pages; 4 KiB pages move on a host of 2 MiB ones."""
KINDS = {"thp": AreaKind.THP, "4k": AreaKind.ANON, "hugetlb": AreaKind.HUGETLB}
SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Cell:
    """One published figure beside the engine's.

    ``error`` is (simulated - measured) / measured; ``how`` says what the figure was used for.
    """

    table: t.Table
    row: str
    column: str
    measured: float
    simulated: float
    how: str

    @property
    def error(self) -> float:
        """Relative error of the simulated figure."""
        return self.simulated / self.measured - 1


def cells() -> Iterator[Cell]:
    """Every published cell, table by table."""
    yield from vfio_pin()
    yield from vfio_map()
    yield from vm_resize()
    yield from move_pages()


def host(gib: int, model: CostModel, kernel: str, **cells: int) -> Bench:
    """A host of one node without MOVABLE that holds ``gib`` GiB and some more."""
    return Bench(one_node("N" * (gib // 2 + SPARE_BLOCKS)), BLOCK_2GIB, model, kernel, **cells)


# -- T1 -------------------------------------------------------------------------------------------


def fresh_pin_ns(gib: int, call_pages: int, model: CostModel) -> int:
    """VFIO pins fresh guest memory: first touch of huge pages, pins, calls."""
    bench = host(gib, model, "linux-5.10", VFIO_CALL_PAGES=call_pages)
    pages = gib * GIB_PAGES
    area = bench.map(AreaKind.THP, pages)
    return bench.ns(Op.PIN, 0, area, 0, pages, Pinner.VFIO, -1)


def vfio_pin() -> Iterator[Cell]:
    """T1, fitted on its smallest and its largest guest."""
    for call_pages, seconds in t.T1_SECONDS.items():
        for gb, measured in zip(t.T1_GB, seconds, strict=True):
            ns = QEMU_START_NS + fresh_pin_ns(gb, call_pages, MODELS["broadwell"])
            how = t.FITTED if gb in t.T1_FITTED_GB else t.PREDICTED
            row = f"{call_pages} pages a call" if call_pages > 1 else "1 page a call"
            yield Cell(t.T1, row, f"{gb} GB", measured, ns / SECOND_NS, how)


# -- T2 -------------------------------------------------------------------------------------------


def map_ns(backing: str) -> tuple[int, int]:
    """VFIO maps and unmaps memory that is there."""
    bench = host(t.T2_GIB, MODELS["default"], "linux-6.12")
    pages = t.T2_GIB * GIB_PAGES
    if backing == "hugetlb":
        bench.ns(Op.POOL, 0, pages >> 9)
    area = bench.map(KINDS[backing], pages)
    bench.touch(area, pages)
    return bench.ns(Op.PIN, 0, area, 0, pages, Pinner.VFIO, -1), bench.ns(Op.UNPIN, 0)


def vfio_map() -> Iterator[Cell]:
    """T2: the figures of a pin and its release come from it."""
    for backing, measured in t.T2_SECONDS.items():
        for column, seconds, ns in zip(("map", "unmap"), measured, map_ns(backing), strict=True):
            yield Cell(t.T2, backing, column, seconds, ns / SECOND_NS, t.CALIBRATION)


# -- T3 -------------------------------------------------------------------------------------------


def guest() -> Bench:
    """The resized guest: 2 GiB of its own, the rest hot-plugged into MOVABLE."""
    blocks = "N" * (t.T3_SMALL_GIB * 8) + "M" * ((t.T3_LARGE_GIB - t.T3_SMALL_GIB) * 8)
    return Bench(one_node(blocks), BLOCK_128MIB, MODELS["default"], "linux-6.1")


def resize_ns() -> dict[str, int]:
    """What shrinking, growing and touching cost in the guest and on the host.

    The guest's driver takes memory block by block: isolates it, finds it free, offlines it
    (drivers/virtio/virtio_mem.c goes in steps of 2 MiB; the steps of a block are one here). The
    host then frees what the guest had touched and, with VFIO, releases the pins first. With VFIO
    growing populates and pins the memory at once, otherwise the guest's touch does it.
    """
    inside, first = guest(), t.T3_SMALL_GIB * 8
    plugged_gib = t.T3_LARGE_GIB - t.T3_SMALL_GIB
    shrink = inside.offline(first, plugged_gib * 8)
    grow = inside.ns(Op.ONLINE, first, plugged_gib * 8, ZoneKind.MOVABLE)
    pages = t.T3_TOUCHED_GIB * GIB_PAGES
    touched = inside.touch(inside.map(AreaKind.THP, pages), pages)

    outside = host(t.T3_LARGE_GIB, MODELS["broadwell"], "linux-6.1")
    pages = plugged_gib * GIB_PAGES
    area = outside.map(AreaKind.THP, pages)
    populate = outside.touch(area, pages)
    pin = outside.ns(Op.PIN, 0, area, 0, pages, Pinner.VFIO, -1)
    unpin, free = outside.ns(Op.UNPIN, 0), outside.ns(Op.UNMAP, area)
    return {
        "shrink": shrink, "grow": grow, "touch": touched,
        "populate": populate, "pin": pin, "unpin": unpin, "free": free,
    }  # fmt: skip


PARTS = {
    "virtio-mem": (("shrink", "free"), ("shrink",), ("grow",), ("touch", "populate")),
    "virtio-mem+vfio": (
        ("shrink", "unpin", "free"), ("shrink", "unpin", "free"), ("grow", "populate", "pin"),
        ("touch",),
    ),
}  # fmt: skip
"""What each cell of T3 is made of."""


def vm_resize() -> Iterator[Cell]:
    """T3, from T1's host and a guest of default costs; nothing is fitted to it."""
    ns = resize_ns()
    for row, measured in t.T3_SECONDS.items():
        for column, seconds, parts in zip(t.T3_COLUMNS, measured, PARTS[row], strict=True):
            simulated = sum(ns[part] for part in parts) / SECOND_NS
            yield Cell(t.T3, row, column, seconds, simulated, t.PREDICTED)


# -- T4 -------------------------------------------------------------------------------------------


def moved_ns(folio_pages: int, model: CostModel) -> tuple[int, int]:
    """move_pages of about 1 GB in folios of one size: nanoseconds and bytes."""
    kind = AreaKind.ANON if folio_pages == 1 else AreaKind.THP
    blocks = tuple((node, int(ZoneKind.NORMAL)) for node in (0, 1) for _ in range(10))
    bench = Bench(blocks, BLOCK_128MIB, model, "linux-6.12", ORDER_OF[folio_pages])
    pages = 1_000_000_000 // 4096 // 512 * 512
    area = bench.map(kind, pages)
    bench.ns(Op.TOUCH, area, 0, pages, -1, 0)
    return bench.ns(Op.MIGRATE, area, 0, pages, 1), pages * 4096


def move_pages() -> Iterator[Cell]:
    """T4, by a law fitted on two sizes."""
    for kernel, rates in t.T4_RATES.items():
        for (name, pages), measured in zip(t.T4_FOLIO_PAGES.items(), rates, strict=True):
            ns, size = moved_ns(pages, MODELS[t.T4_MODELS[kernel]])
            how = t.FITTED if name in t.T4_FITTED else t.PREDICTED
            yield Cell(t.T4, kernel, name, measured, size / ns, how)
