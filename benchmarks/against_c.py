"""The engine against a per-page buddy allocator in C that serves the same page requests."""

import ctypes
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.buddy import FLAGS, BuddyHost, build, compiler, compiler_version
from benchmarks.demands import GIB_PAGES, VM_GIB, Demand, VmChurn, nr_pages, random_pages
from benchmarks.driver import (
    KINDS,
    PAGEBLOCK_PAGES,
    Driver,
    command,
    commands,
    new_host,
    one_zone,
    page_commands,
    vm_commands,
)
from benchmarks.options import Options
from benchmarks.section import Section, Table
from benchmarks.timing import Side, Spread, cpu_ns, in_turns, number
from engine.enums import AreaKind, Op

KEY = 1
OCCUPANCY_PERCENT = 90
WHOLE_TARGET, SINGLE_TARGET = 20, 1
"""Issue: at least so many times the C allocator."""
SINGLE_PAGES, WHOLE_PAGEBLOCKS = 1, 1 << 40
"""Mixes of AGE (``engine.reference.history``): all pieces of the smallest or the largest size."""
TEXT = """Both sides serve the same requests in the same order, in one process. A host of one zone,
of {hosts} GiB (the median of the real inventory is 384), is filled to {percent} % with VMs of 1 to
{largest} GiB. *Whole-VM churn*: {starts}
VMs start in a turn, each after VMs drawn by key have ended to make room; a VM touches all its
memory at once. The C side (`benchmarks/buddy.c`, {compiler}, `{flags}`) faults every 4 KiB page by
itself (frame into the VM's table, owner into `struct page`) and frees page by page; it has no
zones, watermarks, per-CPU lists, counters or event rows. The engine gets SPAWN, MAP, TOUCH and EXIT
per VM and keeps all of those; under THP it serves the same VMs with huge folios, the C side still
page by page. *Single-page churn*: {singles} pages drawn from all VMs are freed one by one and
touched again in another order; the engine gets one FREE or TOUCH per page in one `execute`, and
writes one RESULT row for each. Its cost of a command that does nothing (EINVAL) is shown beside
it. *In one command*: as histories and page cache churn, an area of 90 % of a host of that size
gives back {singles} pages that AGE draws, one by one, and touches as many again; C gets pages that
were drawn before."""


@dataclass(frozen=True, slots=True)
class Load:
    """Largest VM, VMs that start in a turn, single pages of a turn."""

    largest_gib: int
    starts: int
    singles: int


@dataclass
class Hosts:
    """The same host on every side, and the VMs on it."""

    churn: VmChurn
    c: BuddyHost
    engines: dict[str, Driver]

    def check(self) -> None:
        """Raise RuntimeError unless all sides have as many free pages."""
        free = {self.c.free_pages, *(driver.free_pages() for driver in self.engines.values())}
        if len(free) != 1:
            raise RuntimeError(f"free pages differ: {sorted(free)}")


def run(options: Options) -> list[Section]:
    """Measure both churns; without a C compiler say so."""
    section = Section("Engine against a per-page buddy allocator in C")
    if compiler() is None:
        section.parts.append("Skipped: no C compiler (`cc`) on this machine.")
        return [section]
    sizes_gib = [options.size(128, 8), options.size(384, 16)]
    load = Load(options.size(32, 4), options.size(12, 6), options.size(5_000, 1_000))
    text = TEXT.format(
        hosts=" and ".join(map(str, sizes_gib)), percent=OCCUPANCY_PERCENT,
        largest=load.largest_gib, starts=load.starts, singles=f"{load.singles:,}",
        compiler=compiler_version(), flags=" ".join(FLAGS),
    )  # fmt: skip
    section.parts.append(text)
    library = build()
    for gib in sizes_gib:
        section.parts += host_parts(library, gib, load, options.size(5, 3))
    return [section]


def host_parts(library: ctypes.CDLL, gib: int, load: Load, turns: int) -> list[str | Table]:
    """Measure both churns on a host of a size."""
    hosts = make_hosts(library, gib, load.largest_gib, ("4 KiB", "THP"))
    whole = whole_rows(hosts, load.starts, turns)
    hosts.check()
    single = single_rows(hosts, load.singles, turns)
    hosts.check()
    hosts.c.close()
    single.append(bag_row(library, gib, load.singles, turns))
    head = (f"{gib} GiB, per 4 KiB page", "C, ns", "engine, ns", "C / engine", "at least")
    return [Table(head, whole + single), overhead(hosts.engines["4 KiB"], load.singles)]


def make_hosts(
    library: ctypes.CDLL, host_gib: int, largest_gib: int, kinds: tuple[str, ...]
) -> Hosts:
    """Build all sides and fill them with the same VMs."""
    pages = host_gib * GIB_PAGES
    sizes = [gib * GIB_PAGES for gib in VM_GIB if gib <= largest_gib]
    churn = VmChurn(pages * OCCUPANCY_PERCENT // 100, sizes, KEY)
    engines = {name: Driver(new_host(one_zone(pages))) for name in kinds}
    hosts = Hosts(churn, BuddyHost(library, pages, max(sizes)), engines)
    demands = churn.fill()
    hosts.c.churn(demands)
    for name, driver in engines.items():
        driver.run(vm_commands(demands, KINDS[name]))
    hosts.check()
    return hosts


def whole_rows(hosts: Hosts, starts: int, turns: int) -> list[tuple[str, ...]]:
    """Measure whole-VM churn: one row per kind of memory."""
    plan: dict[int, list[Demand]] = {turn: hosts.churn.turn(starts) for turn in range(-1, turns)}
    names = list(hosts.engines)
    batches = {
        name: {turn: vm_commands(plan[turn], KINDS[name]) for turn in plan} for name in names
    }

    def engine(name: str) -> Side:
        return lambda turn: hosts.engines[name].run(batches[name][turn])

    taken = in_turns([lambda turn: hosts.c.churn(plan[turn]), *map(engine, names)], turns)
    taken /= np.array([[nr_pages(plan[turn])] for turn in range(turns)])
    return [
        _row(f"whole-VM churn, {name}", taken, side, WHOLE_TARGET)
        for side, name in enumerate(names, start=1)
    ]


def single_rows(hosts: Hosts, count: int, turns: int) -> list[tuple[str, ...]]:
    """Measure single-page churn of base pages: freed, touched, both."""
    driver = hosts.engines["4 KiB"]
    draws = {turn: random_pages(hosts.churn.running, count, turn) for turn in range(-1, turns)}
    frees = {turn: page_commands(Op.FREE, pages) for turn, (pages, _) in draws.items()}
    touches = {turn: page_commands(Op.TOUCH, pages) for turn, (_, pages) in draws.items()}
    sides = [
        lambda turn: hosts.c.free(draws[turn][0]),
        lambda turn: driver.run(frees[turn]),
        lambda turn: hosts.c.touch(draws[turn][1]),
        lambda turn: driver.run(touches[turn]),
    ]
    taken = in_turns(sides, turns) / count
    both = (taken[:, :2] + taken[:, 2:]) / 2
    return [
        _row("single pages freed", taken[:, :2], 1, None),
        _row("single pages touched", taken[:, 2:], 1, None),
        _row("single-page churn", both, 1, SINGLE_TARGET),
    ]


def bag_row(library: ctypes.CDLL, host_gib: int, count: int, turns: int) -> tuple[str, ...]:
    """Measure single-page churn of a bag: one command draws, frees and touches all pages."""
    pages = host_gib * GIB_PAGES
    used = pages * OCCUPANCY_PERCENT // 100 // PAGEBLOCK_PAGES * PAGEBLOCK_PAGES
    c, driver = BuddyHost(library, pages, used), Driver(new_host(one_zone(pages)))
    c.churn([Demand(starts=True, slot=0, pages=used)])
    spawn, area = command(Op.SPAWN, 0, 0, 0), command(Op.MAP, 0, 0, AreaKind.ANON, used, 0)
    driver.run(commands([spawn, area, command(Op.AGE, 0, KEY, 0, 0, used, WHOLE_PAGEBLOCKS)]))
    draws = {turn: random_pages({0: used}, count, turn) for turn in range(-1, turns)}
    ages = {
        turn: commands([command(Op.AGE, 0, turn + 2, count, used - count, used, SINGLE_PAGES)])
        for turn in draws
    }
    sides = [
        lambda turn: c.free(draws[turn][0]) + c.touch(draws[turn][1]),
        lambda turn: driver.run(ages[turn]),
    ]
    taken = in_turns(sides, turns) / (2 * count)
    if driver.free_pages() != c.free_pages:
        raise RuntimeError(f"free pages differ: {driver.free_pages()}, {c.free_pages}")
    c.close()
    return _row("single-page churn, one command", taken, 1, None)


def _row(name: str, taken: NDArray[np.float64], side: int, target: int | None) -> tuple[str, ...]:
    """Cells of one comparison: medians and the ratio's spread."""
    c, engine = np.median(taken[:, 0]), np.median(taken[:, side])
    ratio = Spread.of(taken[:, 0] / taken[:, side])
    return name, number(c), number(engine), str(ratio), str(target) if target else ""


def overhead(driver: Driver, count: int) -> str:
    """Say what a command costs that does nothing, and how split the host is now."""
    host = driver.host
    unknown = np.full((count, 8), -1, np.int64)
    unknown[:, 0] = host.now_ns
    taken = cpu_ns(lambda: host.execute(unknown, host.now_ns)) / count
    held = host.fragments()
    share = held["split"] * PAGEBLOCK_PAGES / int(host.zones()[:, 0].sum())
    return (
        f"A command that does nothing costs {number(taken)} ns, its row included. At the end"
        f" {share:.1%} of pageblocks are split, with {held['runs'] / held['split']:.1f} runs each."
    )
