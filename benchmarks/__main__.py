"""``python -m benchmarks``: run subjects, print their sections, keep them on demand."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.machine import machine
from benchmarks.options import Options
from benchmarks.section import Section, update

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
SUBJECTS = {
    "c-buddy": "against_c",
    "reference": "against_reference",
    "simpy": "against_simpy",
    "pageblocks": "pageblocks",
    "units": "units",
    "idle": "idle",
    "real-fleet": "real_fleet",
    "day": "day",
    "large-report": "large_report",
}
"""Name on the command line to module."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; returns the exit code."""
    options, names, write = _parse(arguments)
    sections = [machine()]
    print(sections[0], flush=True)
    for name in names:
        start = time.perf_counter()
        run: Callable[[Options], list[Section]] = import_module(f"benchmarks.{SUBJECTS[name]}").run
        for section in run(options):
            if options.quick:
                section.parts.insert(0, "Quick sizes: these figures say that it runs, no more.")
            sections.append(section)
            print(section, flush=True)
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    if write:
        update(RESULTS, sections)
        print(f"wrote {RESULTS}", file=sys.stderr)
    return 0


def _parse(arguments: Sequence[str] | None) -> tuple[Options, list[str], bool]:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subject", nargs="*", help=f"of {', '.join(SUBJECTS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--write", action="store_true", help="put the sections into the docs")
    fleet = parser.add_argument_group("real-fleet")
    fleet.add_argument("--inventory", type=Path, help="hosts, as `fleet import` makes them")
    fleet.add_argument("--trace", type=Path, help="VM arrivals, as `fleet import` makes them")
    fleet.add_argument("--arms", default="", help="arms, comma separated")
    fleet.add_argument("--hosts", default="", help="numbers of hosts, such as 100,400,1523")
    fleet.add_argument("--hours", default="", help="simulated hours, such as 6,24,72")
    fleet.add_argument("--set", action="append", default=[], metavar="PATH=VALUE")
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.subject) - set(SUBJECTS))
    if unknown:
        parser.error(f"unknown subject {unknown[0]}; want one of {', '.join(SUBJECTS)}")
    options = Options(
        quick=chosen.quick,
        inventory=chosen.inventory and chosen.inventory.resolve(),
        trace=chosen.trace and chosen.trace.resolve(),
        arms=tuple(filter(None, chosen.arms.split(","))),
        hosts=tuple(int(n) for n in chosen.hosts.split(",") if n),
        hours=tuple(int(n) for n in chosen.hours.split(",") if n),
        sets=tuple(chosen.set),
    )
    names = [name for name in SUBJECTS if name in chosen.subject or not chosen.subject]
    return options, names, chosen.write


if __name__ == "__main__":
    sys.exit(main())
