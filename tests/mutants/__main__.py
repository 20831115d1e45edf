"""``python -m tests.mutants [--faults N] [--sequences N]``: seed faults, hunt them, report.

``--since COMMIT`` chooses among places that the sources of a commit did not have, ``--files`` among
those of some files. Works in copies in a temporary folder; the sources are never changed. A line
per fault goes to stderr as soon as it is known, and with ``--answers FILE`` to a file, from which
the next hunt with the same options and sources goes on. Exit code 1 when fewer than 90 % of the
faults that can be seen are caught.
"""

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from engine.enums import NR_CELLS, Cell
from engine.state import TABLE
from tests.mutants.answers import Answers, digest
from tests.mutants.equivalent import argument
from tests.mutants.seeds import Seed, chosen, seed, sites

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("engine", "policies", "queries", "fleet", "tests", "benchmarks")
SETTINGS = "pyproject.toml"
"""What pytest reads."""
WANTED = 90
"""Faults to be caught, percent."""
FRESH = "g[TABLE:COSTS], g[COSTS:COUNTERS] = table, costs\n"
SWITCH = "    g[MUTANT_AT] = MUTANT\n"
HEAD = """
import os as _os
MUTANT_AT = TABLE + NR_CELLS - 1
MUTANT = int(_os.environ.get("FLEET_MUTANT", "0"))
"""


def places(options: argparse.Namespace) -> list[Seed]:
    """Where faults may be seeded."""
    found = sites(ROOT / "engine")
    if options.since:
        known = {fault.place for fault in sites_of(options.since)}
        found = [fault for fault in found if fault.place not in known]
    return [fault for fault in found if not options.files or fault.file in options.files]


def sites_of(commit: str) -> list[Seed]:
    """The places of a commit's sources."""
    command = ["git", "-C", str(ROOT), "archive", commit, "engine"]
    sources = subprocess.run(command, check=True, capture_output=True).stdout
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(sources)) as tar:
        tar.extractall(folder, filter="data")
        return sites(Path(folder) / "engine")


def seeded_copy(folder: Path, faults: dict[int, Seed]) -> None:
    """Copy the sources and seed faults behind a switch in the last, unused cell of the table."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / SETTINGS, folder / SETTINGS)
    assert max(Cell) < NR_CELLS - 1, "the last cell is in use"
    seed(folder / "engine", faults, TABLE + NR_CELLS - 1)
    state = folder / "engine" / "state.py"
    text = state.read_text(encoding="utf-8")
    assert FRESH in text
    state.write_text(text.replace(FRESH, FRESH + SWITCH) + HEAD, encoding="utf-8")


def hunted(folder: Path, faults: dict[int, Seed], options: argparse.Namespace) -> dict[int, str]:
    """Hunt in the copy; number of each fault -> what caught it."""
    chosen_from = options.faults, options.since, options.files
    kept = Answers(
        options.answers, digest(ROOT, COPIED, *chosen_from, options.sequences, options.steps)
    )
    left = [number for number in faults if number not in kept.known]
    if left:
        numbers = (options.sequences, options.steps, options.jobs, *left)
        command = [sys.executable, "-m", "tests.mutants.hunt", *map(str, numbers)]
        env = {**os.environ, "PYTHONPATH": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
        with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE) as hunt:
            assert hunt.stdout is not None
            for line in hunt.stdout:
                kept.add(line.decode())
        if hunt.returncode:
            raise SystemExit(f"the hunt ended with exit code {hunt.returncode}")
    return {number: kept.known[number] for number in faults}


def report(faults: dict[int, Seed], answers: dict[int, str]) -> int:
    """Print the answers; 1 when too few are caught."""
    caught = sum(map(bool, answers.values()))
    rows = [
        {"number": n, "file": f.file, "line": f.line, "function": f.function, "kind": f.kind,
         "before": f.before, "after": f.after, "caught_by": answers[n], "equivalent": argument(f)}
        for n, f in faults.items()
    ]  # fmt: skip
    seen = sum(bool(answers[n]) or not argument(f) for n, f in faults.items())
    print(json.dumps({"faults": rows, "caught": caught, "of": seen}, indent=1))
    for row in rows:
        if not row["caught_by"]:
            place = f"{row['file']}:{row['line']} {row['function']}"
            word = "equivalent" if row["equivalent"] else "survives"
            print(f"{word}: {place}: {row['before']} -> {row['after']}", file=sys.stderr)
    print(f"{caught} of {len(faults)} faults caught, {len(faults) - seen} cannot be seen",
          file=sys.stderr)  # fmt: skip
    return int(100 * caught < WANTED * seen)


def main() -> int:
    """Seed, hunt, report."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--faults", type=int, default=120)
    parser.add_argument("--sequences", type=int, default=300)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--since", default="", help="commit; only places that it did not have")
    parser.add_argument("--files", nargs="+", default=[], help="only places in these of engine/")
    parser.add_argument("--only", type=int, nargs="+", default=[], help="numbers of some of them")
    parser.add_argument("--answers", type=Path, help="file that keeps the answers of this hunt")
    options = parser.parse_args()
    numbered = dict(enumerate(chosen(places(options), options.faults), 1))
    faults = {n: numbered[n] for n in options.only or numbered}
    with tempfile.TemporaryDirectory(prefix="fleet-mutants-") as folder:
        seeded_copy(Path(folder), faults)
        return report(faults, hunted(Path(folder), faults, options))


if __name__ == "__main__":
    sys.exit(main())
