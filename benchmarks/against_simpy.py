"""The engine against the same host as SimPy processes and Python objects."""

from importlib.util import find_spec

import numpy as np

from benchmarks.demands import VmChurn, nr_pages
from benchmarks.driver import KINDS, SMALL_BLOCK_PAGES, Driver, new_host, one_zone, vm_commands
from benchmarks.options import Options
from benchmarks.section import Section, Table
from benchmarks.timing import Side, Spread, cpu_ns, in_turns, number

KEY = 3
MIB_PAGES = 256
OCCUPANCY_PERCENT = 90
TEXT = """`benchmarks/simpy_host.py` is the host as one would write it without the engine: each VM a
SimPy process, each page a Python object with its block and owner, free pages a list, free memory a
`simpy.Container`. It keeps no buddy order, watermarks or event rows. Both sides carry out the same
VM starts and ends on a host of {host} GiB filled to {percent} % with VMs of 64 to 512 MiB."""


def run(options: Options) -> list[Section]:
    """Measure whole-VM churn on both."""
    section = Section("Engine against SimPy processes and Python objects")
    if find_spec("simpy") is None:
        section.parts.append("Skipped: SimPy is not installed (`pip install .[dev]`).")
        return [section]
    from benchmarks.simpy_host import SimpyHost

    host_gib, turns, starts = options.size(8, 2), options.size(5, 3), options.size(12, 4)
    pages = host_gib * 1024 * MIB_PAGES
    churn = VmChurn(
        pages * OCCUPANCY_PERCENT // 100, [mib * MIB_PAGES for mib in (64, 128, 256, 512)], KEY
    )
    simpy_host = SimpyHost(pages, SMALL_BLOCK_PAGES)
    drivers = {name: Driver(new_host(one_zone(pages))) for name in KINDS}
    plan = {-2: churn.fill()} | {turn: churn.turn(starts) for turn in range(-1, turns)}
    simpy_host.run(plan[-2])
    for name, driver in drivers.items():
        driver.run(vm_commands(plan[-2], KINDS[name]))

    def engine(name: str) -> Side:
        batches = {turn: vm_commands(plan[turn], KINDS[name]) for turn in plan}
        return lambda turn: drivers[name].run(batches[turn])

    sides: list[Side] = [lambda turn: cpu_ns(lambda: simpy_host.run(plan[turn]))]
    taken = in_turns([*sides, *map(engine, drivers)], turns)
    taken /= np.array([[nr_pages(plan[turn])] for turn in range(turns)])
    if any(driver.free_pages() != len(simpy_host.free) for driver in drivers.values()):
        raise RuntimeError("free pages differ")
    rows = []
    for i, name in enumerate(drivers, start=1):
        cells = (number(float(np.median(taken[:, side]))) for side in (0, i))
        rows.append((f"whole-VM churn, {name}", *cells, str(Spread.of(taken[:, 0] / taken[:, i]))))
    head = ("per 4 KiB page", "SimPy, ns", "engine, ns", "SimPy / engine")
    text = TEXT.format(host=host_gib, percent=OCCUPANCY_PERCENT)
    section.parts += [text, Table(head, rows)]
    return [section]
