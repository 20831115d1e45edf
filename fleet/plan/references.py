"""References that are events: holds at intervals, stuck I/O, and DMA mappings."""

import numpy as np
from numpy.typing import NDArray

from fleet.plan.arrivals import Seed
from fleet.plan.draws import Column, Purpose, below, chance, exponential, from_quantiles
from fleet.plan.tables import NO_PINNER, RUNS_ON, Holds, Workloads
from fleet.plan.workloads import PINNERS
from fleet.scenario import workloads as asked


def references_table(work: asked.Workloads, rows: Workloads, seed: Seed, horizon_ns: int) -> Holds:
    """Build the table of references that are events, ordered by (workload, offset)."""
    parts = [
        _holds(work.holds, rows, seed, horizon_ns),
        *_stuck(work.stuck_io, rows, seed, horizon_ns),
        *(_maps(kind, number, rows, seed, horizon_ns) for number, kind in enumerate(work.kinds)),
    ]
    columns = {n: np.concatenate([getattr(p, n) for p in parts]) for n in Holds.__slots__}
    order = np.lexsort((columns["offset_ns"], columns["workload"]))
    return Holds(**{name: column[order] for name, column in columns.items()})


def _holds(rule: asked.Holds | None, rows: Workloads, seed: Seed, horizon_ns: int) -> Holds:
    """Holds of a share of the workloads, one per period."""
    if rule is None:
        return _NONE
    takes = chance(rule.share_millionths, *seed, rows.key, Purpose.HOLD)
    first = below(rule.every_ns, *seed, rows.key, Purpose.HOLD_TIME)
    workload, index = _periods(takes, first, rule.every_ns, rows, horizon_ns)
    pages = np.minimum(rule.pages, rows.pages[workload])
    room = rows.pages[workload] - pages + 1
    return _short(
        workload,
        first[workload] + index * rule.every_ns,
        below(room, *seed, rows.key[workload], Purpose.HOLD_PAGE, index)
        if len(workload) else np.zeros(0, np.int64),
        pages,
        np.full(len(workload), rule.duration_ns, np.int64),
    )  # fmt: skip


def _periods(
    takes: NDArray[np.bool_], first_ns: Column, every_ns: int, rows: Workloads, horizon_ns: int
) -> tuple[Column, Column]:
    """Return workload and number of each period that begins while it lives and the run lasts.

    The first of a workload begins within one period, drawn; then there is one per period.
    """
    span = _span_ns(rows, horizon_ns)
    count = np.where(takes & (first_ns < span), (span - first_ns - 1) // every_ns + 1, 0)
    workload = np.repeat(np.arange(len(rows), dtype=np.int64), count)
    starts = np.repeat(np.cumsum(count) - count, count)
    return workload, np.arange(len(workload), dtype=np.int64) - starts


def _span_ns(rows: Workloads, horizon_ns: int) -> Column:
    """Return how long each workload lives within the run, at most."""
    left = horizon_ns - rows.arrival_ns
    return np.where(rows.lifetime_ns == RUNS_ON, left, np.minimum(rows.lifetime_ns, left))


def _maps(
    kind: asked.WorkloadKind, number: int, rows: Workloads, seed: Seed, horizon_ns: int
) -> Holds:
    """DMA mappings of a kind: one per period, each of a whole buffer of the workload's memory.

    Its memory is divided into buffers of the mapping's size. A mapping takes one of the first
    ``buffers`` of them, or one of all.
    """
    rule = kind.maps
    if rule is None:
        return _NONE
    first = below(rule.every_ns, *seed, rows.key, Purpose.MAP_TIME)
    mapped = (rows.kind == number) & (rows.pages >= rule.pages)
    workload, index = _periods(mapped, first, rule.every_ns, rows, horizon_ns)
    if not len(workload):
        return _NONE
    places = rows.pages[workload] // rule.pages
    if rule.buffers:
        places = np.minimum(places, rule.buffers)
    place = below(places, *seed, rows.key[workload], Purpose.MAP_PLACE, index)
    return Holds(
        workload=workload,
        offset_ns=first[workload] + index * rule.every_ns,
        first_page=place * rule.pages,
        pages=np.full(len(workload), rule.pages, np.int64),
        duration_ns=np.full(len(workload), rule.duration_ns, np.int64),
        pinner=np.full(len(workload), int(PINNERS[kind.pin]), np.int64),
        number=index + 1,
    )


def _stuck(rule: asked.StuckIo | None, rows: Workloads, seed: Seed, horizon_ns: int) -> list[Holds]:
    """Stuck I/Os of workloads with I/O: a Poisson process each, the n-th ones of all together."""
    if rule is None:
        return []
    span = _span_ns(rows, horizon_ns)
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
        parts.append(_short(who, at, first, pages, duration) if len(who) else _NONE)
    return parts


def _short(
    workload: Column, offset_ns: Column, first_page: Column, pages: Column, duration_ns: Column
) -> Holds:
    """Return short references."""
    nobody = np.full(len(workload), NO_PINNER, np.int64)
    number = np.zeros(len(workload), np.int64)
    return Holds(workload, offset_ns, first_page, pages, duration_ns, nobody, number)


_NONE = Holds(*(np.zeros(0, np.int64) for _ in Holds.__slots__))
