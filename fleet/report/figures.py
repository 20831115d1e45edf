"""Gathers every number of a report: shipped queries, and the statistics built on their counts."""

from collections.abc import Collection
from typing import Any

from fleet.errors import InputError
from fleet.report.comparisons import compare
from fleet.report.histories import are_twins, history_of, tell_twins
from fleet.report.margins import margins_of
from fleet.report.show import plain
from queries.catalog import Catalog
from queries.shipped import find

KINDS = ("probe", "removal")
BY_KIND = ("hang_rate", "outcomes", "offline_time", "offline_work", "blocked_by")
"""Queries asked for each kind of request that the run has."""
PLAIN = (
    "pin_outcomes", "pin_latency", "guardrails", "kernel_zone_headroom", "pinned_blocks",
    "workload_impact",
)  # fmt: skip
"""Queries asked once."""
PAIRED = {
    "paired_outcomes": KINDS, "paired_mishaps": ("pin_failed", "oom_kill"),
    "paired_times": KINDS, "paired_moves": KINDS,
}  # fmt: skip
"""Queries that compare the same requests or workloads, and what they are asked for."""
MIGRATION_COST, COMPARISONS = "migration_cost", "comparisons"
ALL = (*BY_KIND, MIGRATION_COST, *PLAIN, COMPARISONS)
"""Everything, in the order of the report."""
UNITS = ("probe_clusters", "replication_totals")
"""Queries with the sums of each unit that comparisons are made of; too long for a report."""

Figures = dict[str, Any]


def collect(catalog: Catalog, names: Collection[str] = ALL) -> Figures:
    """Return the figures of a report, the shape of ``fleet report --format json``.

    Parameters
    ----------
    catalog
    names : collection of str
        Which of ``ALL``, and of nothing else; what the runs are is told anyway.

    Raises
    ------
    InputError
        The arms did not get the same demands: nothing that compares them would mean anything.
    """
    with catalog.session():
        _check_pairing(catalog)
        return _collect(catalog, names)


def _collect(catalog: Catalog, names: Collection[str]) -> Figures:
    rates = {kind: _ask(catalog, "hang_rate", kind) for kind in KINDS}
    kinds = [kind for kind in KINDS if any(row["requests"] for row in rates[kind])]
    figures: Figures = {
        "runs": [_describe(run) for run in catalog.runs],
        "arms": list(catalog.arms),
        "baseline": catalog.arms[0],
        "kinds": kinds,
    }
    for name in names:
        if name == COMPARISONS:
            figures[name] = _comparisons(catalog)
        elif name in PLAIN:
            figures[name] = _ask(catalog, name)
        elif name == MIGRATION_COST and not kinds:
            figures[name] = {"all": _ask(catalog, name, "all")}
        else:
            figures[name] = {kind: _ask(catalog, name, kind) for kind in kinds}
    return figures


def _comparisons(catalog: Catalog) -> list[dict[str, Any]]:
    """Compare every arm with the first; fresh and aged runs each with their own first."""
    if len(catalog.arms) == 1:
        return []
    units = {name: _ask(catalog, name) for name in UNITS}
    paired = {
        name: {kind: _ask(catalog, name, kind) for kind in kinds} for name, kinds in PAIRED.items()
    }
    folders = [run.path for run in catalog.runs]
    margins = margins_of(folders[0] if folders else None)
    arms = list(catalog.arms)
    if not are_twins(folders):
        pairs = [(arms[0], arm) for arm in arms[1:]]
        return compare(pairs, units, paired, margins)
    size = len(arms) // 2
    pairs = [(side[0], arm) for side in (arms[:size], arms[size:]) for arm in side[1:]]
    rows = compare(pairs, units, paired, margins)
    histories = {arm: history_of(folders[i // size]) for i, arm in enumerate(arms)}
    tell_twins(rows, histories, size)
    return rows


def _ask(catalog: Catalog, name: str, kind: str | None = None) -> list[dict[str, Any]]:
    given = {} if kind is None else {"kind": kind}
    rows = find(name).run(catalog, given).to_pylist()
    return [plain(row) for row in rows]


def _describe(run: Any) -> dict[str, Any]:
    record = run.run
    return {
        "path": str(run.path),
        "name": record["name"],
        "run_hash": record["run_hash"],
        "seed": record["seed"],
        "replications": record["replications"],
    }


def _check_pairing(catalog: Catalog) -> None:
    """Refuse to compare arms whose demands differ."""
    if len(catalog.arms) == 1:
        return
    words, odd = _ask(catalog, "demands"), _ask(catalog, "pairing")
    if odd:
        first = odd[0]
        what = (
            f"{first['what']} {first['id']} of replication {first['rep']} is in {first['arms']} of "
            f"{first['expected']} arms in {first['variants']} versions ({len(odd):,} such demands; "
            "fleet query pairing lists them)"
        )
    elif words:
        one, other = words[0], words[1]
        what = (
            f"in replication {one['rep']} {other['arms']} has fingerprint {other['demands'][:12]}, "
            f"{one['arms']} has {one['demands'][:12]} (fleet query demands lists them; logged rows "
            "are alike, so hosts, memory touched, holds or I/O differ)"
        )
    else:
        return
    reason = f"the arms did not get the same demands, so nothing can be compared: {what}"
    where = ", ".join(str(run.path) for run in catalog.runs)
    raise InputError(reason, where=where)
