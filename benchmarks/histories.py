"""What histories leave of a host: ``python -m benchmarks.histories [--hosts N] [--picture FILE]``.

Prints the tables of ``docs/ageing.md`` about the state of hosts, and draws its picture: where the
pages of a few pinned VMs lie under each history.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.section import Table
from engine.costs import CostModel
from engine.enums import AreaKind, Op, ZoneKind
from engine.host import Host
from engine.shape import HostShape
from engine.state import (
    AR_KIND,
    BK_ZONE,
    FREE,
    G_BLOCK_PBS,
    MAXORDER,
    PB_AUX,
    PH_OWN,
    PS_FLAG,
    PS_STATE,
    R_ALLOC,
    RN_OWN,
    RN_PB,
    RS_ORDER,
    RS_STATE,
    SPLIT,
    UNIFORM,
    Z_FREE,
)
from fleet.hosts.ageing import CACHE, HISTORIES, WHOLE, Own, first_slot, history
from fleet.hosts.shape import host_shape
from policies.arms import parse_arm

GIB = 1 << 18
SIZES_GIB = (256, 384, 512)
VM_GIB = (2, 4, 8, 16)
BUFFER_PAGES = 8 * GIB // 4
KINDS = ("DMA32", "NORMAL", "MOVABLE")
Int64 = NDArray[np.int64]


class Subject:
    """A host with a history, and figures about it."""

    def __init__(self, memory_gib: int, number: int, depth: str) -> None:
        pages = memory_gib * GIB
        self.shape: HostShape = host_shape(pages, 2 * GIB, 2, 64, 500_000)
        table = parse_arm("pin-in-place+unbounded", "linux-6.1", "movable-50").table()
        self.host = Host(self.shape, table, CostModel().vector())
        self.pages, self.slot = pages, first_slot(self.shape)
        own = Own((1, 0, number), pages // 25, pages // 50)
        start = time.process_time()
        self.host.execute(history(own, self.shape, depth), 0)
        self.seconds = time.process_time() - start

    def do(self, op: Op, *arguments: int) -> None:
        """Run one command now."""
        row = [self.host.now_ns, int(op), *arguments, *[0] * (6 - len(arguments))]
        self.host.execute(np.array([row], np.int64), self.host.now_ns)

    def place(self, kind: AreaKind, pages: int) -> int:
        """Start a process with one touched area; return its number."""
        self.slot += 1
        self.do(Op.SPAWN, self.slot, self.slot * 7 % 64, 0)
        self.do(Op.MAP, self.slot, self.slot, kind, pages, 0)
        self.do(Op.TOUCH, self.slot, 0, pages, -1, -1)
        return self.slot

    def fill(self, share: float) -> list[int]:
        """Start VMs until they hold a share of memory; every fifth is pinned by a device."""
        vms: list[int] = []
        held = 0
        while held < share * self.pages:
            size = VM_GIB[len(vms) * 5 % 7 % 4] * GIB
            vms.append(self.place(AreaKind.THP, size))
            if len(vms) % 5 == 0:
                self.do(Op.PIN, self.slot, self.slot, 0, size, 1, -1)
            held += size
        return vms

    def blocks_of(self, area: int) -> set[int]:
        """Memory blocks an area has pages in."""
        extents = self.host.area(area)
        return set((extents[extents[:, 2] >= 0, 2] // self.shape.block_pages).tolist())

    def content(self) -> "Content":
        """Free chunks and kernel pages as they stand."""
        return Content(self.host)


class Content:
    """Figures from the records of a host."""

    def __init__(self, host: Host) -> None:
        saved = host.save()
        pb, run = saved["pb"], saved["run"]
        pbh, pbs, runb = pb.view(np.int16), pb.view(np.int8), run.view(np.int8)
        state, held = pbs[:, PS_STATE], runb[:, RS_STATE]
        zone = np.repeat(saved["blk"][:, BK_ZONE], int(saved["g"][G_BLOCK_PBS]))
        self.kind = zone % 3
        split = state == SPLIT
        self.split = float(split.mean())
        self.runs = host.nr_runs / max(int(split.sum()), 1)
        heads = (state == FREE) & (pbs[:, PS_FLAG] & MAXORDER > 0)
        rows = pb[heads, PB_AUX]
        self.never_used = 2 * float(rows[rows > 1].sum()) / len(pb)
        kinds = saved["slot"][:, AR_KIND]
        kernel = np.zeros(len(pb), bool)
        whole = np.flatnonzero(state == UNIFORM)
        kernel[whole[kinds[pbh[whole, PH_OWN]] == AreaKind.KERNEL]] = True
        parts = np.flatnonzero(held == R_ALLOC)
        kernel[run[parts[kinds[run[parts, RN_OWN]] == AreaKind.KERNEL], RN_PB]] = True
        low = self.kind != ZoneKind.MOVABLE
        self.kernel = float(kernel.mean())
        self.kernel_of_low = float(kernel[low].mean())
        self.free = np.zeros((3, 3))
        """Pages by zone kind and by order: below 2 MiB, 2 MiB, 4 MiB."""
        pieces = np.flatnonzero(held == FREE)
        np.add.at(
            self.free[:, 0], self.kind[run[pieces, RN_PB]], 1 << runb[pieces, RS_ORDER].astype(int)
        )
        single = (state == FREE) & ~heads
        np.add.at(self.free[:, 1], self.kind[single], 512)
        np.add.at(self.free[:, 2], self.kind[heads], 1024 * rows)
        assert self.free.sum() == saved["zone"][:, Z_FREE].sum()


def aged(depth: str, hosts: int) -> tuple[tuple[str, ...], tuple[str, ...], list[Int64]]:
    """Figures of some hosts under one history: a row of each table; pinned pages per block."""
    left, placed, pinned = [], [], []
    for number in range(hosts):
        subject = Subject(SIZES_GIB[number % len(SIZES_GIB)], number, depth)
        fresh = subject.content()
        vms = subject.fill(0.5)
        growth = subject.blocks_of(subject.place(AreaKind.THP, BUFFER_PAGES))
        small = subject.blocks_of(subject.place(AreaKind.ANON, BUFFER_PAGES))
        blocks = subject.host.blocks()
        mine = blocks[blocks[:, 0] % 3 == ZoneKind.MOVABLE]
        pinned.append(blocks[:, 4])
        for vm in vms[1::2]:
            subject.do(Op.EXIT, vm)
        again = subject.blocks_of(subject.place(AreaKind.THP, BUFFER_PAGES))
        nr = len(mine) / 2  # of one node
        placed.append(
            [
                len(growth), len(again), nr * (1 - (1 - 1 / nr) ** (BUFFER_PAGES / 512)),
                len(small), 100 * np.mean(mine[:, 4] > 0),
            ]
        )  # fmt: skip
        for zone in range(subject.shape.nr_zones):
            free = subject.pages // 40
            subject.do(Op.CACHE, CACHE + zone, zone, zone, subject.pages, free // 6, WHOLE)
        full = subject.content()
        ns = 1e9 * subject.seconds / (subject.pages // 512)
        share = 100 * full.free / subject.pages
        left.append(
            [
                ns, 100 * fresh.split, 100 * full.split, full.runs, 32 * full.runs,
                100 * fresh.never_used, 100 * fresh.kernel, 100 * fresh.kernel_of_low,
                *share[1], *share[2],
            ]
        )  # fmt: skip
    head = (depth,)
    one = tuple(f"{x:.{0 if i == 0 else 1}f}" for i, x in enumerate(np.median(left, axis=0)))
    two = tuple(f"{x:.0f}" for x in np.mean(placed, axis=0))
    return head + one, head + two, pinned


STATE = (
    "history", "ns per pageblock", "split, %", "split when full, %", "runs", "bytes",
    "never used, %", "with kernel pages, %", "of kernel zones, %",
    "NORMAL <2M", "2M", "4M", "MOVABLE <2M", "2M", "4M",
)  # fmt: skip
PLACED = ("history", "growth", "replacement", "formula", "4 KiB", "MOVABLE blocks with a pin, %")


def picture(strips: dict[str, Int64], path: Path) -> None:
    """Draw one strip of memory blocks per history, darker with more pinned pages."""
    width, height, left, top = 5, 26, 92, 30
    nr = max(len(strip) for strip in strips.values())
    size = left + nr * width + 10, top + len(strips) * (height + 8) + 8
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{size[0]}" height="{size[1]}" fill="#ffffff"/>',
        f'<text x="{left}" y="18">Pinned pages in the 2 GiB blocks of one 256 GiB host, '
        "a fifth of its VMs pinned (white: none)</text>",
    ]
    for row, (name, strip) in enumerate(strips.items()):
        y = top + row * (height + 8)
        out.append(f'<text x="8" y="{y + 18}">{name}</text>')
        for block, pages in enumerate(strip.tolist()):
            ink = 0 if not pages else 25 + 75 * pages // (2 * GIB)
            shade = 255 - ink * 2
            out.append(
                f'<rect x="{left + block * width}" y="{y}" width="{width}" height="{height}" '
                f'fill="rgb({shade},{min(shade + 25, 255)},255)"/>'
            )
        box = f'x="{left}" y="{y}" width="{len(strip) * width}" height="{height}"'
        out.append(f'<rect {box} fill="none" stroke="#888888"/>')
    path.write_text("\n".join([*out, "</svg>", ""]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every history; print the tables; draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=12)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args(arguments)
    Subject(64, 0, "none")
    states, places, strips = [], [], {}
    for depth in HISTORIES:
        state, placed, pinned = aged(depth, options.hosts)
        states.append(state)
        places.append(placed)
        strips[depth] = pinned[0]
    print(Table(STATE, states), Table(PLACED, places), sep="\n\n")
    if options.picture:
        picture(strips, options.picture)


if __name__ == "__main__":
    main()
