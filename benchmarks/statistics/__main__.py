"""``python -m benchmarks.statistics``: populations, trials, the tables of docs/statistics.md."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.section import Table
from benchmarks.statistics import trials as t
from benchmarks.statistics.population import REPLICATIONS, SEED, SETTINGS, Population, Setting, load

DOCS = Path(__file__).resolve().parents[2] / "docs" / "statistics.md"
MARK = "<!-- below: written by `python -m benchmarks.statistics --write` -->\n"
SIZES = (10, 30, 100)
LIMIT = 100
UNTIL_TRIALS = {"probe": 8_000, "removal": 16_000}


def main(arguments: Sequence[str] | None = None) -> int:
    """Make what is missing, try everything, print the tables; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.statistics", description=__doc__)
    parser.add_argument("--replications", type=int, default=REPLICATIONS)
    parser.add_argument("--seed", type=int, default=SEED, help="of the populations")
    parser.add_argument("--only", choices=[s.name for s in SETTINGS], help="one population")
    parser.add_argument("--folder", type=Path, default=Path("populations"),
                        help="where populations are kept (an interrupted run goes on)")  # fmt: skip
    parser.add_argument("--write", action="store_true", help="put the tables into the docs")
    chosen = parser.parse_args(arguments)
    if chosen.write and chosen.only:
        parser.error("--write needs all populations")
    chosen.folder.mkdir(parents=True, exist_ok=True)

    def tell(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    found = {
        setting: load(chosen.folder, setting, chosen.replications, chosen.seed, tell)
        for setting in SETTINGS
        if chosen.only in (None, setting.name)
    }
    text = "\n\n".join(_sections(found))
    print(text)
    if chosen.write:
        head = DOCS.read_text(encoding="utf-8").split(MARK)[0]
        DOCS.write_text(f"{head}{MARK}\n{text}\n", encoding="utf-8")
        tell(f"wrote {DOCS}")
    return 0


def _sections(found: dict[Setting, Population]) -> list[str]:
    """Return the text, table after table."""
    rates, tried, times, untils = [], [], [], []
    for setting, population in found.items():
        rates.append(_rates(setting, population))
        tried += _tried(setting, population)
        times += _times(setting, population)
        untils += _until(setting, population)
    return [
        "## Populations",
        str(Table(("population", "replications", "hung, first arm", "second arm",
                   "hangs / replication", "gain from pairing", "of time to offline",
                   "CPU s"), rates)),
        "## Hang rates: how often the interval misses, %",
        str(Table(("population", "pairs", "discordant", "label swaps", "other seeds", "thinned",
                   "two arms", "t, thinned", "exact, swaps", "exact, seeds"), tried)),
        "## Time to offline: how often the interval misses, %",
        str(Table(("population", "pairs", "events", "label swaps", "two arms", "t, swaps",
                   "t, two arms"), times)),
        "## Until an interval is narrow enough: how often it misses, %",
        str(Table(("population", "half-width, points", "pairs it took", "label swaps",
                   "thinned", "exact, swaps"), untils)),
    ]  # fmt: skip


def _arms(setting: Setting, found: Population) -> t.Pair:
    return t.paired(found, found.hung[0], found.hung[1], setting.kind == "probe")


def _thinned(setting: Setting, found: Population) -> t.Pair:
    kept = t.thinned(found.hung[0])
    return t.paired(found, found.hung[0], kept, setting.kind == "probe")


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _gain(a: Any, b: Any) -> str:
    """How many times more replications unpaired arms would take: variance over variance."""
    a, b = (values.sum(axis=1).astype(float) for values in (a, b))
    return f"{(a.var() + b.var()) / (b - a).var():.2f}"


def _rates(setting: Setting, found: Population) -> tuple[str, ...]:
    hung = found.hung
    return (
        setting.name,
        f"{hung.shape[1]:,}",
        *(f"{100 * hung[arm].mean():.2f} %" for arm in (0, 1)),
        f"{hung[0].sum(axis=1).mean():.1f}",
        _gain(hung[0], hung[1]),
        _gain(found.time_ns[0], found.time_ns[1]),
        f"{found.seconds:.0f}",
    )


def _tried(setting: Setting, found: Population) -> list[tuple[str, ...]]:
    """Try the interval and the exact test of hang rates at every size."""
    arms, thin, rng = _arms(setting, found), _thinned(setting, found), np.random.default_rng(1)
    rows = []
    for n in SIZES:
        swaps = t.label_swaps(arms, rng, n)
        seeds = t.independent(found, setting.kind == "probe", rng, n)
        less, both = t.samples(thin, rng, n), t.samples(arms, rng, n)
        for pair in (swaps, less, both):
            t.check(pair, t.score_bounds)
        shares = (
            t.score_misses(swaps, 0.0),
            t.score_misses(seeds, 0.0),
            t.score_misses(less, thin.difference),
            t.score_misses(both, arms.difference),
            t.wrong(less, thin.difference, t.plain_t_bounds),
            t.exact(swaps),
            t.exact(seeds),
        )
        few = f"{t.events(both).mean():.1f}"
        rows.append((setting.name, str(n), few, *map(_percent, shares)))
    return rows


def _times(setting: Setting, found: Population) -> list[tuple[str, ...]]:
    """Try the interval of times to offline, and Student's t for comparison."""
    a, b = found.time_ns
    arms, rng = t.paired(found, a, b, setting.kind == "probe"), np.random.default_rng(2)
    rows = []
    for n in SIZES:
        swaps, both = t.label_swaps(arms, rng, n), t.samples(arms, rng, n)
        for pair in (swaps, both):
            t.check(pair, t.score_bounds)
            t.check(pair, t.t_bounds)
        shares = (
            t.score_misses(swaps, 0.0),
            t.score_misses(both, arms.difference),
            t.wrong(swaps, 0.0, t.t_bounds),
            t.wrong(both, arms.difference, t.t_bounds),
        )
        few = f"{t.events(both).mean():.1f}"
        rows.append((setting.name, str(n), few, *map(_percent, shares)))
    return rows


def _until(setting: Setting, found: Population) -> list[tuple[str, ...]]:
    """Let runs grow to the half-width that about 20 and about 60 replications give."""
    arms, thin, rng = _arms(setting, found), _thinned(setting, found), np.random.default_rng(3)
    hosts, trials = arms.a.x.shape[1], UNTIL_TRIALS[setting.kind]
    rows: list[tuple[str, ...]] = []
    for n in (20, 60):
        low, high = t.score_bounds(thin.take(t.drawn(rng, len(thin.a.x), n, 500)))
        width = float(np.median(high - low)) / 2
        less = thin.take(t.drawn(rng, len(thin.a.x), LIMIT, trials))
        swaps = t.label_swaps(arms, rng, LIMIT, trials)
        counts, others = t.until(less, hosts, width), t.until(swaps, hosts, width)
        less, swaps = t.stopped(less, counts, hosts), t.stopped(swaps, others, hosts)
        shares = (
            t.score_misses(swaps, 0.0),
            t.score_misses(less, thin.difference),
            t.exact(swaps.only(np.arange(t.TRIALS))),
        )
        middle = f"{np.median(counts):.0f}"
        rows.append((setting.name, f"{100 * width:.2f}", middle, *map(_percent, shares)))
    return rows


if __name__ == "__main__":
    sys.exit(main())
