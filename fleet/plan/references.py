"""Short references that are events: holds at intervals, and stuck I/O."""

import numpy as np

from fleet.plan.arrivals import Seed
from fleet.plan.draws import Purpose, below, chance, exponential, from_quantiles
from fleet.plan.tables import RUNS_ON, Holds, Workloads
from fleet.scenario import models


def references_table(work: models.Workloads, rows: Workloads, seed: Seed, horizon_ns: int) -> Holds:
    """Build the table of short references that are events, ordered by (workload, offset)."""
    parts = [
        _holds(work.holds, rows, seed, horizon_ns),
        *_stuck(work.stuck_io, rows, seed, horizon_ns),
    ]
    columns = {n: np.concatenate([getattr(p, n) for p in parts]) for n in Holds.__slots__}
    order = np.lexsort((columns["offset_ns"], columns["workload"]))
    return Holds(**{name: column[order] for name, column in columns.items()})


def _holds(rule: models.Holds | None, rows: Workloads, seed: Seed, horizon_ns: int) -> Holds:
    """Holds of a share of the workloads, one per period.

    The first hold of a workload begins within one period, drawn; then one per period while it
    lives and the horizon lasts.
    """
    if rule is None:
        return _NONE
    takes = chance(rule.share_millionths, *seed, rows.key, Purpose.HOLD)
    first = below(rule.every_ns, *seed, rows.key, Purpose.HOLD_TIME)
    left = horizon_ns - rows.arrival_ns
    span = np.where(rows.lifetime_ns == RUNS_ON, left, np.minimum(rows.lifetime_ns, left))
    count = np.where(takes & (first < span), (span - first - 1) // rule.every_ns + 1, 0)
    workload = np.repeat(np.arange(len(rows), dtype=np.int64), count)
    starts = np.repeat(np.cumsum(count) - count, count)
    index = np.arange(len(workload), dtype=np.int64) - starts
    pages = np.minimum(rule.pages, rows.pages[workload])
    room = rows.pages[workload] - pages + 1
    return Holds(
        workload=workload,
        offset_ns=first[workload] + index * rule.every_ns,
        first_page=below(room, *seed, rows.key[workload], Purpose.HOLD_PAGE, index)
        if len(workload) else np.zeros(0, np.int64),
        pages=pages,
        duration_ns=np.full(len(workload), rule.duration_ns, np.int64),
    )  # fmt: skip


def _stuck(
    rule: models.StuckIo | None, rows: Workloads, seed: Seed, horizon_ns: int
) -> list[Holds]:
    """Stuck I/Os of workloads with I/O: a Poisson process each, the n-th ones of all together."""
    if rule is None:
        return []
    left = horizon_ns - rows.arrival_ns
    span = np.where(rows.lifetime_ns == RUNS_ON, left, np.minimum(rows.lifetime_ns, left))
    who = np.flatnonzero(rows.io_density > 0).astype(np.int64)
    at = np.zeros(len(who), np.int64)
    parts: list[Holds] = []
    while len(who):
        key, index = rows.key[who], len(parts)
        at = at + exponential(rule.interval_ns, *seed, key, Purpose.STUCK_TIME, index)
        begins = at < span[who]
        who, at, key = who[begins], at[begins], key[begins]
        resident = (rows.pinned_pages + rows.touched_pages)[who]
        pages = np.minimum(rule.pages, resident)
        room = resident - pages + 1
        duration = from_quantiles(rule.duration_ns, *seed, key, Purpose.STUCK_DURATION, index)
        first = below(room, *seed, key, Purpose.STUCK_PAGE, index)
        parts.append(Holds(who, at, first, pages, duration) if len(who) else _NONE)
    return parts


_NONE = Holds(*(np.zeros(0, np.int64) for _ in range(5)))
