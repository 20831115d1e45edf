"""What time costs in which nothing is asked: the same fleet over one day and over ten."""

import tempfile
from pathlib import Path

from benchmarks.options import Options
from benchmarks.section import Section, Table
from benchmarks.timing import Side, Spread, cpu_ns, in_turns
from engine.host import compile_ahead
from fleet.log.writer import UnitWriter
from fleet.plan.build import build_plan
from fleet.run.crews import InlineCrew
from fleet.run.runner import arms_of
from fleet.run.unit import build_world, run_unit
from fleet.scenario.load import load_scenario
from fleet.scenario.scenario import Scenario

ARM = "linux-5.13+unbounded"
LONGER, AT_MOST = 10, 1.2
TEXT = """{hosts} aged hosts of 384 GiB (`real-fleet`'s age and background), full of residents that
outlive the run; nobody arrives or leaves and nothing is asked, samples are off. The same fleet over
{hours} hours and over {longer} times as many, CPU time of one process, ageing and filling
included."""
RESIDENTS = (
    "workloads={commitment: 70%, kinds: [{name: vm, backing: thp, touched: 60%}], generators: "
    "[{name: stays, arrivals: 1/3650d, lifetime: [30000d, 36500d], sizes: [{memory: 8GiB}], "
    "mix: {vm: 100%}}]}"
)
"""Residents alone: the next of this stream is due in ten years, and they stay for decades."""


def run(options: Options) -> list[Section]:
    """Measure the long horizon against the short one."""
    compile_ahead()
    hosts, hours, turns = options.size(16, 2), options.size(24, 6), options.size(5, 3)
    sides = [_side(hosts, length) for length in (hours, hours * LONGER)]
    taken = in_turns(sides, turns)
    ratio = Spread.of(taken[:, 1] / taken[:, 0])
    row = (f"{hours * LONGER} h against {hours} h", str(Spread.of(taken[:, 0] / 1e9)),
           str(Spread.of(taken[:, 1] / 1e9)), str(ratio), str(AT_MOST))  # fmt: skip
    text = TEXT.format(hosts=hosts, hours=hours, longer=LONGER)
    head = ("horizon", "short, s", "long, s", "long / short", "at most")
    return [Section("A horizon without demands", [text, Table(head, [row])])]


def idle_fleet(hosts: int, hours: int) -> Scenario:
    """Return the scenario: residents, and a long time in which nothing happens.

    Under this seed no resident of 16 hosts ends within ten days; one end would have that host make
    up for its whole background.
    """
    sets = [
        f"hosts={{classes: [{{name: large, count: {hosts}, memory: 384GiB}}]}}",
        "seed=2", RESIDENTS, "removals=null", "probes=null", "samples=null", f"horizon={hours}h",
    ]  # fmt: skip
    return load_scenario("real-fleet", sets, {"--arms": ("arms", [ARM])})


def _side(hosts: int, hours: int) -> Side:
    """Run the fleet over so many hours, from its plan on."""
    scenario = idle_fleet(hosts, hours)
    (arm,) = arms_of(scenario)

    def work() -> None:
        world = build_world(build_plan(scenario), scenario, arm)
        with tempfile.TemporaryDirectory() as folder:
            writer = UnitWriter(Path(folder), ARM, 0)
            run_unit(world, scenario, InlineCrew(), writer)
            writer.close()

    return lambda _: cpu_ns(work)
