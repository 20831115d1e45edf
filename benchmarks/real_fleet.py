"""The real fleet per simulated day: wall, CPU, memory of all processes, and how both grow."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.apart import gain
from benchmarks.fleet_inputs import generate
from benchmarks.fleet_stages import staged
from benchmarks.options import Options
from benchmarks.process_tree import Usage
from benchmarks.section import Section, Table
from benchmarks.timing import Spread, exponent, number
from engine.host import compile_ahead
from fleet.inputs.inventory import read_inventory
from fleet.scenario.load import load_scenario
from queries.catalog import Catalog

ROOT = Path(__file__).resolve().parents[1]
ARM = "linux-5.13+unbounded"
ARMS = ("pin-in-place+unbounded", ARM, "linux-5.13+timeout", "kernel+unbounded@no-movable-zone")
HOSTS, HOURS, DAY = (100, 400, 1523), (6, 24, 72), 24
DAY_NS = 24 * 3600 * 10**9
TEXT = """`fleet simulate real-fleet` ({inputs}) in a process of its own, wall and CPU of all it
starts from start to end, peak memory as their proportional set sizes, sampled every three seconds.
*Aged*: when all hosts were aged and full of their residents (60 s after that and 90 s for that are
asked for).
Two actors unless a line says otherwise. Removals and probes are as many per host and hour at every
size. The fits are of wall and CPU time over hosts (at {day} h) and over hours (at {most} hosts),
the start of Python and Ray included. *Committed* is the memory of workloads over that of hosts, in
the mean of the run; *turned over*, the memory of workloads started in a day."""
ACCEPTANCE = """
SELECT
  (SELECT sum(memory_pages)::DOUBLE FROM hosts) AS fleet_pages,
  (SELECT sum(memory_pages * (least(coalesce(ended_ns, $end_ns), $end_ns) - placed_ns)::DOUBLE)
     FROM workloads WHERE placed_ns IS NOT NULL) / $end_ns AS committed_pages,
  (SELECT coalesce(sum(memory_pages), 0)::DOUBLE FROM workloads WHERE placed_ns > 0)
     AS started_pages,
  (SELECT count(*) FROM requests WHERE kind = 'removal') AS removals,
  (SELECT count(*) FROM requests WHERE kind = 'probe') AS probes
"""

STAGES = ("plan_s", "first_window_s", "rest_s")
INSIDE_TEXT = """The same fleet in one process, CPU time: the plan, everything up to the end of the
first window (hosts are made, aged and filled with their residents), the rest with the log. *log* is
the share of all that is done with rows once the engine has made them (kept, collected, made
columns, compressed, written; at most 10 % is asked for). Shares are of the hosts' state at the end;
bytes per split pageblock are its record and its runs."""


@dataclass(frozen=True, slots=True)
class Run:
    """What to simulate.

    Attributes
    ----------
    arm : str
    hosts, hours, actors : int
        Actors 0: no Ray.
    """

    arm: str
    hosts: int
    hours: int
    actors: int


@dataclass(frozen=True, slots=True)
class Done:
    """What a run took, and what it was: rows written and the figures of ``ACCEPTANCE``."""

    usage: Usage
    rows: int
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class Inputs:
    """Files and settings shared by all runs.

    Attributes
    ----------
    inventory, trace : Path
    sets : tuple of str
        ``PATH=VALUE`` for every run.
    requests : dict
        Removals and probes of the centre; other sizes have as many per host and hour, so that a
        fit over sizes is of fleets that are alike.
    host_hours : int
        Of the centre.
    """

    inventory: Path
    trace: Path
    sets: tuple[str, ...]
    requests: dict[str, int] = field(default_factory=dict)
    host_hours: int = 1

    def settings(self, run: Run) -> list[str]:
        """Return the scenario's fields to set."""
        share = run.hosts * run.hours
        counts = {k: max(n * share // self.host_hours, 1) for k, n in self.requests.items()}
        return [
            f"inventory={self.inventory}", f"trace={self.trace}", f"hosts.total={run.hosts}",
            f"horizon={run.hours}h", *self.sets, *(f"{k}.count={n}" for k, n in counts.items()),
        ]  # fmt: skip

    def centred(self, run: Run) -> "Inputs":
        """Return these inputs with the scenario's own requests at this size."""
        scenario = load_scenario("real-fleet", self.settings(run), {})
        sources = {"removals": scenario.removals, "probes": scenario.probes}
        requests = {name: s.count for name, s in sources.items() if s and s.count}
        return replace(self, requests=requests, host_hours=run.hosts * run.hours)


def run(options: Options) -> list[Section]:
    """Measure arms, sizes, actors and the event log."""
    compile_ahead()
    hosts = sorted(options.hosts or ((4, 8) if options.quick else HOSTS))
    hours = sorted(options.hours or ((1, 2) if options.quick else HOURS))
    arms = options.arms or (ARMS[:2] if options.quick else ARMS)
    with tempfile.TemporaryDirectory() as folder:
        inputs, said = inputs_of(options, Path(folder), hosts[-1])
        hosts = sorted({min(n, len(read_inventory(str(inputs.inventory)).name)) for n in hosts})
        day = DAY if DAY in hours else hours[-1]
        inputs = inputs.centred(Run(arms[0], hosts[-1], day, 0))
        section = Section("The real fleet")
        section.parts.append(TEXT.format(inputs=said, day=day, most=hosts[-1]))
        runs = _runs(arms, hosts, hours, day)
        done = {one: _simulate(one, inputs, Path(folder) / "run") for one in runs}
        section.parts.append(_table(done))
        section.parts += _fits(done, arms[0], day, hosts[-1])
        both = Run(arms[0], hosts[-1], day, 2)
        section.parts.append(_second_actor(both, options.size(5, 1), inputs, Path(folder) / "run"))
        section.parts.append(_apart(options, arms[0], inputs))
        section.parts.append(_log_turns(options, arms[0], inputs))
        section.parts += _inside([Run(arm, hosts[-1], day, 0) for arm in arms], inputs)
    return [section]


def inputs_of(options: Options, folder: Path, hosts: int) -> tuple[Inputs, str]:
    """Return the files given, or generated ones, and what they are called."""
    if options.inventory and options.trace:
        return Inputs(options.inventory, options.trace, options.sets), "real inventory and trace"
    quick = ("removals.count=8", "probes.count=16", "removals.start=10m", "probes.start=10m")
    sets = (*(quick if options.quick else ()), *options.sets)
    return Inputs(*generate(folder, hosts), sets), "generated hosts and VMs"


def _runs(arms: Sequence[str], hosts: list[int], hours: list[int], day: int) -> list[Run]:
    """All arms at full size; the first one at all sizes and with one actor."""
    full = hosts[-1]
    found = [Run(arm, full, day, 2) for arm in arms]
    found += [Run(arms[0], full, day, 1)]
    found += [Run(arms[0], n, day, 2) for n in hosts] + [Run(arms[0], full, h, 2) for h in hours]
    return list(dict.fromkeys(found))


def _simulate(run: Run, inputs: Inputs, out: Path) -> Done:
    """Simulate in a process of its own and read what was written, which is then removed."""
    usage = staged(run.arm, run.actors, out, inputs.settings(run))
    manifest = json.loads((out / "manifest.json").read_text())
    end_ns = run.hours * 3600 * 10**9
    (row,) = Catalog.open([out]).query(ACCEPTANCE, {"end_ns": end_ns}).to_pylist()
    shutil.rmtree(out)
    figures = {
        "committed": row["committed_pages"] / row["fleet_pages"],
        "turned over in a day": row["started_pages"] / row["fleet_pages"] * DAY_NS / end_ns,
        "removals": row["removals"],
        "probes": row["probes"],
        "aged_s": json.loads(usage.output.splitlines()[-1])["aged_s"],
    }
    return Done(usage, sum(manifest["rows"].values()), figures)


def _table(done: dict[Run, Done]) -> Table:
    """One row per run: times, memory, rows, and what kind of fleet it was."""
    rows = []
    for run, one in done.items():
        usage, figures = one.usage, one.figures
        rows.append(
            (
                run.arm,
                f"{run.hosts:,}",
                str(run.hours),
                str(run.actors),
                number(usage.wall_s),
                number(figures["aged_s"]),
                number(usage.cpu_s),
                f"{usage.peak_bytes / 2**30:.2f}",
                f"{one.rows:,}",
                f"{figures['committed']:.1%}",
                f"{figures['turned over in a day']:.1%}",
                f"{figures['removals']:,}",
                f"{figures['probes']:,}",
            )
        )
    head = (
        "arm", "hosts", "hours", "actors", "wall, s", "aged, s", "CPU, s", "peak, GiB", "rows",
        "committed", "turned over a day", "removals", "probes",
    )  # fmt: skip
    return Table(head, rows)


def _fits(done: dict[Run, Done], arm: str, day: int, most: int) -> list[str]:
    """Exponents of time over hosts and over hours."""
    two = {run: one.usage for run, one in done.items() if run.arm == arm and run.actors == 2}
    said = []
    for name, chosen in (
        ("hosts", {run.hosts: u for run, u in two.items() if run.hours == day}),
        ("hours", {run.hours: u for run, u in two.items() if run.hosts == most}),
    ):
        if len(chosen) > 1:
            wall, cpu = (
                exponent(list(chosen), [getattr(u, what) for u in chosen.values()])
                for what in ("wall_s", "cpu_s")
            )
            said.append(f"over {name}: wall {wall:.2f}, CPU {cpu:.2f}")
    return [f"Exponents of `{arm}` {'; '.join(said)} (at most 1.05 asked for)."]


def _second_actor(both: Run, turns: int, inputs: Inputs, out: Path) -> str:
    """Say how much faster two actors are than one, by turns in changing order."""
    ratios = []
    for turn in range(turns):
        order = (2, 1) if turn % 2 else (1, 2)
        wall_s = {n: _simulate(replace(both, actors=n), inputs, out).usage.wall_s for n in order}
        ratios.append(wall_s[1] / wall_s[2])
    return (
        f"Two actors are {Spread.of(ratios)} times as fast as one ({turns} turns, 1.8 asked for):"
        f" {', '.join(f'{ratio:.2f}' for ratio in ratios)}."
    )


def _apart(options: Options, arm: str, inputs: Inputs) -> str:
    """Say what a second process gains on this machine that shares nothing with the first."""
    run = Run(arm, options.size(100, 4), options.size(24, 1), 0)
    spread = gain(arm, inputs.settings(run), options.size(5, 1))
    return (
        f"Two runs of {run.hosts} hosts and {run.hours} h in one process each, which share nothing"
        f" but the machine, are {spread} times as fast at once as one after the other: a second"
        f" actor cannot be expected to give more."
    )


def _inside(runs: Sequence[Run], inputs: Inputs) -> list[str | Table]:
    """What only a run in one process shows: the hosts at its end, the stages, the log's share."""
    rows = []
    for run in runs:
        on = _census(run, "on", inputs)
        rows.append(
            (
                run.arm,
                *(number(on[stage]) for stage in STAGES),
                f"{on['log_s'] / _whole_s(on):.1%}",
                f"{on['pageblocks']:,.0f}",
                f"{on['pageblock_bytes']:.0f}",
                f"{on['split_bytes']:.0f}",
                f"{on['split_share_median']:.2%}",
                f"{on['split_share']:.2%}",
                f"{on['used_share']:.1%}",
                f"{on['pinned_share']:.1%}",
            )
        )
    head = (
        "arm", "plan, s", "first window, s", "rest, s", "log", "pageblocks", "bytes each",
        "bytes per split one", "split, median host", "split", "used", "pinned",
    )  # fmt: skip
    return [INSIDE_TEXT, Table(head, rows)]


def _whole_s(census: dict[str, float]) -> float:
    """CPU time of a run in one process."""
    return sum(census[stage] for stage in STAGES)


def _log_turns(options: Options, arm: str, inputs: Inputs) -> str:
    """Say what the log's writer costs, by turns with it and without it, in changing order."""
    run = Run(arm, options.size(100, 4), options.size(24, 1), 0)
    ratios = []
    for turn in range(options.size(7, 1)):
        order = ("on", "off") if turn % 2 else ("off", "on")
        took_s = {log: _whole_s(_census(run, log, inputs)) for log in order}
        ratios.append(took_s["on"] / took_s["off"])
    return (
        f"{run.hosts} hosts and {run.hours} h in one process take {Spread.of(ratios)} times as much"
        f" CPU time with the event log as with a writer that drops the rows ({len(ratios)} turns)."
    )


def _census(run: Run, log: str, inputs: Inputs) -> dict[str, float]:
    """Run ``benchmarks.fleet_census`` and return what it says."""
    command = [sys.executable, "-m", "benchmarks.fleet_census", run.arm, log]
    made = subprocess.run(
        [*command, *inputs.settings(run)], cwd=ROOT, capture_output=True, text=True
    )
    if made.returncode:
        raise RuntimeError(made.stderr)
    found: dict[str, float] = json.loads(made.stdout.splitlines()[-1])
    return found
