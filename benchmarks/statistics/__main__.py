"""``python -m benchmarks.statistics``: populations, trials, the tables of docs/statistics.md.

Populations and the rows of the tables are kept in a folder, each as soon as it is finished; a
command that was interrupted goes on where it was, and one that finds all of them only writes.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.section import Table
from benchmarks.statistics.cells import SECTIONS, Rows
from benchmarks.statistics.population import REPLICATIONS, SEED, SETTINGS, Setting, files, load

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "statistics.md"
MARK = "<!-- below: written by `python -m benchmarks.statistics --write` -->\n"
CODE = (
    *(ROOT / "benchmarks" / "statistics" / name for name in ("cells.py", "trials.py")),
    *(
        ROOT / "fleet" / "report" / name
        for name in ("intervals.py", "totals.py", "levels.py", "evidence.py")
    ),
)
"""What the rows of a table depend on, besides the population."""

TABLES = {
    "populations": (
        "Populations",
        ("population", "replications", "hung, first arm", "second arm", "hangs / replication",
         "gain from pairing", "of time to offline", "CPU s"),
    ),
    "hangs": (
        "Hang rates: how often the interval misses, %",
        ("population", "pairs", "discordant", "label swaps", "other seeds", "thinned", "two arms",
         "t, thinned", "exact, swaps", "exact, seeds"),
    ),
    "few": (
        "Hang rates said to be cautious: how often, and how often the others miss, %",
        ("population", "pairs", "cautious", "two arms, rest"),
    ),
    "times": (
        "Time to offline: how often the interval misses, %",
        ("population", "pairs", "events", "label swaps", "two arms", "t, swaps", "t, two arms"),
    ),
    "totals": (
        "Totals: how often the interval misses with 10, 30 and 100 pairs, %",
        ("population", "total", "arm", "label swaps", "other seeds", "two arms", "t, swaps",
         "t, two arms", "cautious", "two arms, rest"),
    ),
    "until": (
        "Until an interval is narrow enough: how often it misses, %",
        ("population", "half-width, points", "pairs it took", "label swaps", "thinned",
         "exact, swaps"),
    ),
    "fixed": (
        "A fixed quantile, removals-0.5 with ten pairs: how often the interval misses, %",
        ("population", "quantile", "label swaps", "other seeds", "thinned", "two arms"),
    ),
}  # fmt: skip
"""Titles and columns, by section."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make what is missing, print the tables; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.statistics", description=__doc__)
    parser.add_argument("--replications", type=int, default=REPLICATIONS)
    parser.add_argument("--seed", type=int, default=SEED, help="of the populations")
    parser.add_argument("--only", choices=[s.name for s in SETTINGS], help="one population")
    parser.add_argument("--keep", type=Path, default=Path("populations"), metavar="FOLDER",
                        help="of populations and rows (default: populations)")  # fmt: skip
    parser.add_argument("--write", action="store_true", help="put the tables into the docs")
    chosen = parser.parse_args(arguments)
    if chosen.write and (chosen.only or chosen.seed != SEED or chosen.replications != REPLICATIONS):
        parser.error("--write needs all populations, as they are by default")
    chosen.keep.mkdir(parents=True, exist_ok=True)

    def tell(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    wanted = [(s, chosen.seed) for s in SETTINGS if chosen.only in (None, s.name)]
    found = [rows_of(chosen.keep, *one, chosen.replications, tell) for one in wanted]
    text = tables(found)
    print(text)
    if chosen.write:
        write(DOCS, text)
        tell(f"wrote {DOCS}")
    return 0


def tables(found: Sequence[dict[str, Rows]]) -> str:
    """Return the text: the rows of all populations, table after table."""
    parts = []
    for section, (title, heads) in TABLES.items():
        rows = [tuple(row) for rows in found for row in rows[section]]
        if rows:
            parts += [f"## {title}", str(Table(heads, rows))]
    return "\n\n".join(parts)


def write(docs: Path, text: str) -> None:
    """Replace what stands below the mark."""
    head = docs.read_text(encoding="utf-8").split(MARK)[0]
    docs.write_text(f"{head}{MARK}\n{text}\n", encoding="utf-8")


def rows_of(
    folder: Path, setting: Setting, seed: int, replications: int, tell: Callable[[str], None]
) -> dict[str, Rows]:
    """Return a population's rows by section: those in ``folder``, what is missing is made."""
    name = setting.name if seed == SEED else f"{setting.name}, seed {seed}"
    population = load(folder, setting, replications, seed, tell)
    digest = digest_of(files(folder, setting, replications, seed))
    out: dict[str, Rows] = {}
    for section, tried in SECTIONS.items():
        path = folder / f"{setting.name}-{seed}-{section}.json"
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if kept.get("of") != digest:
            kept = {"of": digest, "rows": tried(setting, population)}
            partly = path.with_suffix(".part")
            partly.write_text(json.dumps(kept), encoding="utf-8")
            os.replace(partly, path)
            tell(f"{name}: {section}")
        out[section] = [(name, *row) for row in kept["rows"]]
    return out


def digest_of(populations: Sequence[Path]) -> str:
    """Return a digest of the code that makes rows, and of the populations they are made of."""
    found = hashlib.sha256()
    for path in (*CODE, *populations):
        found.update(path.read_bytes())
    return found.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
