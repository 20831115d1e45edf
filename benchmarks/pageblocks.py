"""Pageblock operations per second and core, and operations inside split pageblocks."""

from collections.abc import Sequence

import numpy as np

from benchmarks.aged import aged_host, state
from benchmarks.demands import GIB_PAGES, VM_GIB, VmChurn, key_of, nr_pages
from benchmarks.driver import (
    KINDS,
    PAGEBLOCK_PAGES,
    Driver,
    arm_table,
    command,
    commands,
    one_zone,
    vm_commands,
)
from benchmarks.options import Options
from benchmarks.process_tree import resident_bytes
from benchmarks.section import Section, Table
from benchmarks.timing import Spread, number
from engine.costs import CostModel
from engine.enums import AreaKind, Op
from engine.host import Host

KEY = 4
HOST_GIB = 384
OCCUPANCY_PERCENT = 95
STARTS = 2
"""VMs started by one call on one host."""
TARGET = 80_000_000
TEXT = """{hosts} hosts of {gib} GiB ({resident:,} pageblocks) in one process, filled to {percent} %
with VMs of 1 to 32 GiB. A turn goes once over all hosts, so that what it works on is in no cache;
on each, one `execute` starts {starts} VMs after VMs drawn by key have ended to make room. An
operation is one pageblock allocated or freed. *Warm* does the same number of operations on one
host. At least {target} million operations a second with 100 million pageblocks resident are asked
for. One core."""

SLOT = 2
"""Process and area of the VM on the aged host; 0 and 1 made it old."""
SPLIT_TEXT = """On a host of {host} GiB two processes grew in turns by ranges of 1 to 64 pages up to
90 % of memory, then one of them ended: {state}. A VM of 90 % of the free memory starts (one TOUCH)
and ends (one EXIT). A run here is an extent of the VM's memory as `Host.area` shows it; the engine
may hold it in several pieces."""


def run(options: Options) -> list[Section]:
    """Measure whole pageblocks, then runs inside split ones."""
    hosts, turns = options.size(512, 8), options.size(3, 2)
    resident = hosts * HOST_GIB * GIB_PAGES // PAGEBLOCK_PAGES
    text = TEXT.format(
        hosts=hosts, gib=HOST_GIB, resident=resident, percent=OCCUPANCY_PERCENT, starts=STARTS,
        target=TARGET // 1_000_000,
    )  # fmt: skip
    rows = [row for name in KINDS for row in _whole(name, hosts, turns)]
    head = (
        "pageblock operations", "fill, million/s", "million/s", "ns each", "bytes/pageblock",
    )  # fmt: skip
    whole = Section("Pageblock operations", [text, Table(head, rows)])
    return [whole, _split(options)]


def _whole(kind: str, count: int, turns: int) -> list[tuple[str, ...]]:
    """Rows of one kind of memory: over all hosts, and on one."""
    before = resident_bytes()
    table, costs, shape = arm_table(), CostModel().vector(), one_zone(HOST_GIB * GIB_PAGES)
    fleet = [(Driver(Host(shape, table, costs)), _churn(host)) for host in range(count)]
    filled = _rate([_step(*host, kind, fill=True) for host in fleet])
    pageblocks = count * HOST_GIB * GIB_PAGES // PAGEBLOCK_PAGES
    each_bytes = (resident_bytes() - before) / pageblocks

    def turn(hosts: Sequence[tuple[Driver, VmChurn]]) -> float:
        return _rate([_step(*host, kind) for host in hosts])

    cold = Spread.of([turn(fleet) for _ in range(turns)])
    warm = Spread.of([turn(fleet[:1] * min(count, 64)) for _ in range(turns)])
    return [
        (f"{kind}, all hosts", number(filled), str(cold), _ns(cold), f"{each_bytes:.1f}"),
        (f"{kind}, one host, warm", "", str(warm), _ns(warm), ""),
    ]


def _churn(host: int) -> VmChurn:
    """The VMs of one host."""
    room = HOST_GIB * GIB_PAGES * OCCUPANCY_PERCENT // 100
    return VmChurn(room, [gib * GIB_PAGES for gib in VM_GIB], key_of(KEY, host))


def _step(driver: Driver, churn: VmChurn, kind: str, *, fill: bool = False) -> tuple[int, int]:
    """One call on one host: its CPU time in ns and its pageblock operations."""
    demands = churn.fill() if fill else churn.turn(STARTS)
    taken_ns = driver.run(vm_commands(demands, KINDS[kind]))
    return taken_ns, nr_pages(demands) // PAGEBLOCK_PAGES


def _rate(steps: Sequence[tuple[int, int]]) -> float:
    """Million operations per second over some steps."""
    return 1e3 * sum(ops for _, ops in steps) / sum(ns for ns, _ in steps)


def _ns(rate: Spread) -> str:
    """Median ns per operation of a rate in millions per second."""
    return number(1e3 / rate.median)


def _split(options: Options) -> Section:
    """Runs taken and freed inside split pageblocks, many by one command."""
    pages, turns = options.size(32, 4) * GIB_PAGES, options.size(5, 3)
    driver = aged_host(one_zone(pages), 90, KEY)
    count = driver.free_pages() * 9 // 10
    spawn, area = command(Op.SPAWN, SLOT, 0), command(Op.MAP, SLOT, SLOT, AreaKind.ANON, count)
    touch = commands([command(Op.TOUCH, SLOT, 0, count, -1, -1)])
    end = commands([command(Op.EXIT, SLOT)])
    taken = []
    for _ in range(turns):
        driver.run(commands([spawn, area]))
        took_ns = driver.run(touch)
        runs = len(driver.host.area(SLOT))
        taken.append((took_ns / runs, driver.run(end) / runs, count / runs))
    columns = np.array(taken).T
    names = ("ns per run taken", "ns per run freed", "pages per run")
    rows = [(n, str(Spread.of(c))) for n, c in zip(names, columns, strict=True)]
    text = SPLIT_TEXT.format(host=pages // GIB_PAGES, state=state(driver.host))
    return Section("Operations inside split pageblocks", [text, Table(("", ""), rows)])
