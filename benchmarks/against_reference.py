"""The engine against the reference engine: the same commands, the same rows."""

import numpy as np
from numpy.typing import NDArray

from benchmarks.demands import VmChurn, nr_pages, random_pages
from benchmarks.driver import KINDS, Driver, new_host, one_zone, page_commands, vm_commands
from benchmarks.options import Options
from benchmarks.section import Section, Table
from benchmarks.timing import Spread, in_turns, number
from engine.enums import Op
from engine.host import Host
from engine.reference.host import ReferenceHost

KEY = 2
MIB_PAGES = 256
VM_MIB = (8, 16, 32, 64)
OCCUPANCY_PERCENT = 90
TEXT = """`engine/reference/` is the host page by page in plain Python; it defines what the engine
must compute. Both get the same commands on a host of {host} MiB filled to {percent} % with VMs of 8
to 64 MiB; their rows are compared after every turn. The host is small because the reference is slow
in proportion to pages: on larger VMs the engine gains more."""


def run(options: Options) -> list[Section]:
    """Measure whole-VM churn and single-page churn on both engines."""
    host_mib, turns = options.size(1024, 256), options.size(5, 3)
    starts, singles = options.size(12, 4), options.size(5_000, 500)
    rows = []
    for name in KINDS:
        churn, sides = _filled(host_mib * MIB_PAGES, name)
        plan = {turn: churn.turn(starts) for turn in range(-1, turns)}
        batches = {turn: vm_commands(plan[turn], KINDS[name]) for turn in plan}
        taken = _measure(sides, batches, turns)
        taken /= np.array([[nr_pages(plan[turn])] for turn in range(turns)])
        rows.append(_row(f"whole-VM churn, {name}, per page", taken))
        if name == "4 KiB":
            batches = {turn: _single(churn, singles, turn) for turn in range(-1, turns)}
            taken = _measure(sides, batches, turns) / (2 * singles)
            rows.append(_row("single-page churn, per page", taken))
    head = ("", "reference, ns", "engine, ns", "reference / engine")
    text = TEXT.format(host=host_mib, percent=OCCUPANCY_PERCENT)
    return [Section("Engine against the reference engine", [text, Table(head, rows)])]


def _filled(pages: int, kind: str) -> tuple[VmChurn, list[Driver]]:
    """Both engines, filled with the same VMs."""
    sizes = [mib * MIB_PAGES for mib in VM_MIB]
    churn = VmChurn(pages * OCCUPANCY_PERCENT // 100, sizes, KEY)
    sides = [Driver(new_host(one_zone(pages), engine=e)) for e in (ReferenceHost, Host)]
    batch = vm_commands(churn.fill(), KINDS[kind])
    for side in sides:
        side.run(batch)
    return churn, sides


def _single(churn: VmChurn, count: int, turn: int) -> NDArray[np.int64]:
    """Commands that free random pages and touch them again."""
    freed, touched = random_pages(churn.running, count, turn)
    return np.concatenate([page_commands(Op.FREE, freed), page_commands(Op.TOUCH, touched)])


def _measure(
    sides: list[Driver], batches: dict[int, NDArray[np.int64]], turns: int
) -> NDArray[np.float64]:
    """Run the batches in turns and compare the rows of the two sides."""
    reference, engine = sides

    def last(turn: int) -> int:
        taken = engine.run(batches[turn])
        if not np.array_equal(reference.rows, engine.rows):
            raise RuntimeError("the engines disagree")
        return taken

    return in_turns([lambda turn: reference.run(batches[turn]), last], turns)


def _row(name: str, taken: NDArray[np.float64]) -> tuple[str, ...]:
    """Cells of one comparison."""
    medians = np.median(taken, axis=0)
    return name, *map(number, medians), str(Spread.of(taken[:, 0] / taken[:, 1]))
