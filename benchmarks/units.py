"""What one pin, unpin, migration, offline and clone cost the simulator."""

from typing import Any

import numpy as np

from benchmarks.aged import aged_host, state
from benchmarks.demands import GIB_PAGES, Int64
from benchmarks.driver import (
    KINDS,
    LARGE_BLOCK_PAGES,
    PAGEBLOCK_PAGES,
    Driver,
    command,
    commands,
    new_host,
)
from benchmarks.options import Options
from benchmarks.section import Section, Table
from benchmarks.timing import Spread, cpu_ns
from engine.enums import Op, Pinner, Row, ZoneKind
from engine.shape import HostShape
from fleet.hosts.shape import host_shape

KEY = 5
HALF = 500_000
IN_PLACE, MIGRATES = "pin-in-place+unbounded", "linux-5.13+unbounded"
DEADLINE_NS = 600 * 10**9
TEXT = """A host of {host} GiB, one node, half of it ZONE_MOVABLE, 40 % of memory taken by one VM.
Pins are VFIO pins of all of the VM's memory in one command, per pageblock of 2 MiB; migration at
pin is what the same pin costs more under `{migrates}`, which moves every page out of ZONE_MOVABLE
first. An offline takes one memory block of 2 GiB to its end on a clone of the host; *aged*: of a
host of {aged} GiB where {state}. Microseconds of CPU time."""


def run(options: Options) -> list[Section]:
    """Measure every unit on hosts that hold one kind of memory."""
    host_gib, aged_gib, turns = options.size(384, 64), options.size(64, 16), options.size(5, 3)
    shape, rows = _shape(host_gib), []
    for kind in KINDS:
        rows += _pins(shape, kind, turns)
    aged = aged_host(_shape(aged_gib), 40, KEY, IN_PLACE)
    for kind in KINDS:
        filled = _filled(shape, kind, IN_PLACE)
        rows.append(_row(f"offline, block full of {kind}", _offlines(filled, 1.0, turns)))
        rows.append(_row(f"clone, host of {host_gib} GiB, {kind}", _clones(filled.host, turns)))
    rows.append(_row("offline, free block", _offlines(filled, 0.0, turns)))
    rows.append(_row("offline, aged block", _offlines(aged, 0.5, turns)))
    rows.append(_row(f"clone, aged host of {aged_gib} GiB", _clones(aged.host, turns)))
    text = TEXT.format(host=host_gib, aged=aged_gib, state=state(aged.host), migrates=MIGRATES)
    return [Section("Units", [text, Table(("per pageblock, block or host", "us"), rows)])]


def _row(name: str, taken_ns: Any) -> tuple[str, str]:
    return name, str(Spread.of(np.asarray(taken_ns) / 1000))


def _shape(gib: int) -> HostShape:
    """A host with half of its memory in ZONE_MOVABLE and blocks of 2 GiB."""
    return host_shape(gib * GIB_PAGES, LARGE_BLOCK_PAGES, 1, 8, HALF)


def _filled(shape: HostShape, kind: str, arm: str) -> Driver:
    """A host with one VM on 40 % of its memory, all of it in ZONE_MOVABLE."""
    driver = Driver(new_host(shape, arm))
    pages = driver.free_pages() * 2 // 5 // PAGEBLOCK_PAGES * PAGEBLOCK_PAGES
    vm = [command(Op.SPAWN, 0, 0), command(Op.MAP, 0, 0, KINDS[kind], pages)]
    driver.run(commands([*vm, command(Op.TOUCH, 0, 0, pages, -1, -1)]))
    return driver


def _pins(shape: HostShape, kind: str, turns: int) -> list[tuple[str, str]]:
    """Pin and unpin in place, and a pin that migrates, per pageblock."""
    in_place, moves = _filled(shape, kind, IN_PLACE), _filled(shape, kind, MIGRATES)
    pages = int(in_place.host.blocks()[:, 3].sum())
    pin = commands([command(Op.PIN, 0, 0, 0, pages, Pinner.VFIO, -1)])
    unpin = commands([command(Op.UNPIN, 0)])
    taken = []
    for _ in range(turns):
        pinned_ns = in_place.run(pin)
        clone = Driver(moves.host.clone())
        moved_ns = clone.run(pin) - pinned_ns
        moved = sum(row["pages"] for row in clone.rows_of(Row.MIGRATION))
        if moved < pages // 2:
            raise RuntimeError("the pin did not migrate")
        taken.append((pinned_ns / pages, in_place.run(unpin) / pages, moved_ns / moved))
    columns = np.array(taken).T * PAGEBLOCK_PAGES
    names = ("pin in place", "unpin", "migration at pin")
    return [_row(f"{n}, {kind}", c) for n, c in zip(names, columns, strict=True)]


def _offlines(driver: Driver, used: float, turns: int) -> list[int]:
    """Offline movable blocks that hold about this share of used pages, each on a clone."""
    blocks = driver.host.blocks()
    movable = np.flatnonzero(blocks[:, 0] % 3 == ZoneKind.MOVABLE)
    distance = np.abs(blocks[movable, 3] - used * LARGE_BLOCK_PAGES)
    chosen: Int64 = movable[np.argsort(distance, kind="stable")][:turns]
    taken = []
    for block in chosen.tolist():
        clone = Driver(driver.host.clone())
        offline = command(Op.OFFLINE, 1, block, 1, time_ns=clone.host.now_ns)
        taken.append(clone.run(commands([offline]), DEADLINE_NS))
        (attempt,) = clone.rows_of(Row.ATTEMPT)
        if attempt["errno"]:
            raise RuntimeError(f"block {block} did not go offline: {attempt}")
    return taken


def _clones(host: Any, turns: int) -> list[int]:
    """Clone a host as a probe does."""
    return [cpu_ns(host.clone) for _ in range(turns)]
