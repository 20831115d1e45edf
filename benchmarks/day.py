"""Where a day's time goes: the CPU time of one process by what its hosts are told to do."""

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.driver import PAGEBLOCK_PAGES
from benchmarks.options import Options
from benchmarks.real_fleet import ARM, DAY, Run, inputs_of
from benchmarks.section import Section, Table
from benchmarks.timing import number
from engine.enums import Op, Row
from engine.host import Host, compile_ahead
from engine.rows import COLUMNS, FIRST
from fleet.log.writer import UnitWriter
from fleet.plan.build import build_plan
from fleet.run.coordinator import Progress
from fleet.run.crews import InlineCrew
from fleet.run.runner import arms_of
from fleet.run.unit import build_world, run_unit
from fleet.scenario.load import load_scenario

Int64 = NDArray[np.int64]
HOSTS = 60
AGEING, REST = "ageing", "day"
FIGURES = ("pages", "thp_faults", "thp_fallbacks", "reclaimed_pages", "migrated_pages")
_AT = {name: FIRST + COLUMNS[Row.RESULT].index(name) for name in FIGURES}
TEXT = """{hosts} hosts of the real fleet ({inputs}), {hours} hours of `{arm}` in one process. Every
command is carried out in a call of its own, which costs each some 4 us more; *ageing* is everything
up to the end of the first window. *Pageblocks* are what the commands were about (of a background
step: what came and went), then of them huge folios faulted, requests for one that fell back to base
pages, and pageblocks' worth of page cache reclaimed and of memory migrated. The rest of the process
is Python: the coordinator, orders and rows, the log. Least counts are left out."""


@dataclass
class Meter:
    """What commands cost, by phase and kind.

    Attributes
    ----------
    phase : str
    cost_ns, count : Counter of (phase, kind)
    figures : Counter of (phase, kind, figure)
        Of RESULT rows.
    """

    phase: str = AGEING
    cost_ns: Counter[tuple[str, str]] = field(default_factory=Counter)
    count: Counter[tuple[str, str]] = field(default_factory=Counter)
    figures: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def note(self, kind: str, start_ns: int, rows: Int64 | None = None) -> None:
        """Count something that began at a CPU time and has ended now."""
        self.cost_ns[self.phase, kind] += time.process_time_ns() - start_ns
        self.count[self.phase, kind] += 1
        if rows is not None and len(rows):
            for name, column in _AT.items():
                self.figures[self.phase, kind, name] += int(rows[-1, column])


@contextmanager
def metered(meter: Meter) -> Iterator[None]:
    """Have every host of this process carry out its commands one by one, and measure each."""
    execute, probe, rehearsed = Host.execute, Host.probe, Host._rehearsed

    def one_by_one(self: Host, commands: Int64, until_ns: int) -> Int64:
        rows = []
        for k in range(len(commands)):
            now_ns = int(commands[k, 0])
            rows.append(steps(self, now_ns))
            start_ns = time.process_time_ns()
            rows.append(execute(self, commands[k : k + 1], now_ns))
            meter.note(Op(int(commands[k, 1])).name, start_ns, rows[-1])
        rows.append(steps(self, until_ns))
        return np.concatenate(rows)

    def steps(self: Host, until_ns: int) -> Int64:
        start_ns, running = time.process_time_ns(), self.offline_running
        rows = execute(self, _NOTHING, until_ns)
        if running:
            meter.note("steps of a removal", start_ns)
        return rows

    def probed(self: Host, commands: Int64, until_ns: int) -> Int64:
        start_ns, kinds = time.process_time_ns(), list[str]()

        def noted(self: Host, commands: Int64, until_ns: int) -> Int64 | None:
            rows = rehearsed(self, commands, until_ns)
            kinds.append("probe on a copy" if rows is None else "probe, rehearsed")
            return rows

        with replaced({"execute": execute, "_rehearsed": noted}):
            rows = probe(self, commands, until_ns)
        meter.note(kinds[0], start_ns)
        return rows

    with replaced({"execute": one_by_one, "probe": probed}):
        yield


@contextmanager
def replaced(methods: dict[str, Any]) -> Iterator[None]:
    """Give hosts other methods for a while."""
    before = {name: getattr(Host, name) for name in methods}
    for name, method in methods.items():
        setattr(Host, name, method)
    try:
        yield
    finally:
        for name, method in before.items():
            setattr(Host, name, method)


_NOTHING: Int64 = np.zeros((0, 8), np.int64)


def run(options: Options) -> list[Section]:
    """Measure one arm's day."""
    compile_ahead()
    arm = options.arms[0] if options.arms else ARM
    hosts = options.hosts[-1] if options.hosts else options.size(HOSTS, 4)
    hours = options.hours[-1] if options.hours else options.size(DAY, 1)
    with tempfile.TemporaryDirectory() as folder:
        chosen = Run(arm, hosts, hours, 0)
        inputs, said = inputs_of(options, Path(folder), hosts)
        meter, all_ns = measure(arm, inputs.centred(chosen).settings(chosen), Path(folder))
    text = TEXT.format(hosts=hosts, inputs=said, hours=hours, arm=arm)
    return [Section("Where a day's time goes", [text, table(meter, all_ns)])]


def measure(arm_name: str, sets: list[str], folder: Path) -> tuple[Meter, dict[str, int]]:
    """Run one unit in this process; what its commands cost, and the CPU time of each phase."""
    scenario = load_scenario("real-fleet", sets, {"--arms": ("arms", [arm_name])})
    plan, meter = build_plan(scenario), Meter()
    (arm,) = arms_of(scenario)
    ends_ns = [time.process_time_ns()]

    def tell(progress: Progress) -> None:
        if progress.now_ns and meter.phase == AGEING:
            ends_ns.append(time.process_time_ns())
            meter.phase = REST

    with metered(meter):
        writer = UnitWriter(folder, "arm", 0)
        run_unit(build_world(plan, scenario, arm), scenario, InlineCrew(), writer, tell)
        writer.close()
    ends_ns.append(time.process_time_ns())
    return meter, {AGEING: ends_ns[1] - ends_ns[0], REST: ends_ns[2] - ends_ns[1]}


def table(meter: Meter, all_ns: dict[str, int]) -> Table:
    """One row per phase and kind of command, the dearest first, then what is no command."""
    rows = []
    for phase, whole_ns in all_ns.items():
        kinds = [kind for of, kind in meter.cost_ns if of == phase]
        for kind in sorted(kinds, key=lambda k: -meter.cost_ns[phase, k]):
            if meter.cost_ns[phase, kind] * LEAST >= whole_ns:
                rows.append(_row(meter, phase, kind))
        rest_ns = whole_ns - sum(meter.cost_ns[phase, kind] for kind in kinds)
        rows.append((f"{phase}: Python and the log", "", number(rest_ns / 1e9), *[""] * 6))
    head = (
        "what", "count", "CPU, s", "us each", "pageblocks", "faulted huge", "fallbacks",
        "reclaimed", "migrated",
    )  # fmt: skip
    return Table(head, rows)


LEAST = 200
"""A kind is left out below this part of its phase."""


def _row(meter: Meter, phase: str, kind: str) -> tuple[str, ...]:
    """Cells of one kind of command."""
    count, cost_ns = meter.count[phase, kind], meter.cost_ns[phase, kind]
    pages, thps, fallbacks, reclaimed, migrated = (meter.figures[phase, kind, n] for n in FIGURES)
    blocks = [n // PAGEBLOCK_PAGES for n in (pages, reclaimed, migrated)]
    return (
        f"{phase}: {kind}",
        f"{count:,}",
        number(cost_ns / 1e9),
        number(cost_ns / 1e3 / count),
        *(f"{n:,}" if n else "" for n in (blocks[0], thps, fallbacks, *blocks[1:])),
    )
