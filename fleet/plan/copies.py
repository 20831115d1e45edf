"""Keyed copies of a trace: what arrives, and who is there at time zero.

Copy c of row r on day d of the horizon is an entity of its own, keyed by (trace, r, c, d). So more
copies, a longer horizon or another fleet leave every entity as it was.

* Copy 0 is the trace as it was recorded, day after day; beyond its last whole day it plays whole
  days drawn by (seed, replication, day).
* Copy c plays at the same time of day the day that lies c days later in the trace, round its end.
  Times of day, and who comes with whom, stay as recorded; equal rows meet again only from copy to
  copy + (number of days), and copies together are nearer to the mean day than the trace alone.
* Every copy but the first arrives a drawn time later, below the mean distance of the trace's own
  arrival times: a trace in samples does not say more, and no two copies arrive in one instant.
* Of the last, broken copy each row is there by a drawn chance.

So the expected level is the commitment but for what the trace's own days and hours differ.
Residents know no time of day.
"""

import numpy as np

from fleet.inputs.numbers import NULL
from fleet.inputs.trace import Trace
from fleet.plan.arrivals import Arrivals, Seed, first_pages, joined, keys
from fleet.plan.days import DAY_NS, Days, days_of, lifetimes
from fleet.plan.draws import Column, Purpose, below, chance, entity
from fleet.plan.tables import RUNS_ON
from fleet.scenario.units import MILLION

BATCH = 1 << 14
"""Residents drawn at a time."""


def traced(
    trace: Trace, seed: Seed, horizon_ns: int, scale_millionths: int, *, ends: bool
) -> Arrivals:
    """Return the arrivals of copies of a trace before ``horizon_ns``, unordered.

    Parameters
    ----------
    trace : Trace
    seed : (int, int)
        Seed and replication.
    horizon_ns : int
        Arrivals come before.
    scale_millionths : int
        Number of copies; below one million the only copy is thinned.
    ends : bool
        Whether a workload of unknown end ends (``lifetimes``) or runs on.
    """
    days = days_of(trace)
    life = _ending(trace, ends)
    count = -(-horizon_ns // DAY_NS) if days.whole else 1
    parts = [
        _on_day(trace, days, life, seed, day, trace_day, scale_millionths, horizon_ns)
        for day in range(count)
        for trace_day in range(max(days.whole, 1))
    ]
    return joined(parts)


def _ending(trace: Trace, ends: bool) -> Column:
    """Return lifetimes as the plan has them."""
    if ends:
        return lifetimes(trace)
    return np.where(trace.lifetime_ns == NULL, RUNS_ON, trace.lifetime_ns)


def _on_day(
    trace: Trace, days: Days, life: Column, seed: Seed, day: int, trace_day: int,
    scale_millionths: int, horizon_ns: int,
) -> Arrivals:  # fmt: skip
    """Return what arrives on one day of the horizon out of one day of the trace."""
    whole, broken = divmod(scale_millionths, MILLION)
    period = max(days.whole, 1)
    first = (trace_day - days.of_horizon(day, seed)) % period
    copies = np.arange(first, whole + (broken > 0), period, dtype=np.int64)
    shift = (day - trace_day) * DAY_NS
    begin, end = days.ends[trace_day : trace_day + 2].tolist()
    end = min(end, int(np.searchsorted(trace.arrival_ns, horizon_ns - shift)))
    rows = np.arange(begin, max(begin, end), dtype=np.int64)
    row, copy = np.repeat(rows, len(copies)), np.tile(copies, len(rows))
    key = keys(entity("trace"), row, copy, day)
    late = np.where(copy > 0, below(days.step_ns, *seed, key, Purpose.COPY_TIME), 0)
    arrival = trace.arrival_ns[row] + shift + late
    there = (copy < whole) | chance(broken, *seed, key, Purpose.COPY)
    there &= arrival < horizon_ns
    row = row[there]
    return Arrivals(
        key=key[there],
        source=row,
        arrival_ns=arrival[there],
        age_ns=np.zeros(len(row), np.int64),
        lifetime_ns=life[row],
        pages=trace.pages[row],
        vcpus=trace.vcpus[row],
    )


def trace_residents(trace: Trace, seed: Seed, pages_wanted: int, *, ends: bool) -> Arrivals:
    """Return the residents of time zero, as many as fit into ``pages_wanted``.

    What an observer of the stationary process sees: rows of the trace's whole days drawn by
    lifetime (``lifetimes``), the age uniform within it.

    Parameters
    ----------
    trace, seed, ends
        As for ``traced``.
    pages_wanted : int
        Their memory, at most.
    """
    rows = days_of(trace).rows
    life = lifetimes(trace)[:rows]
    runs_on = (trace.lifetime_ns[:rows] == NULL) & (not ends)
    shift = max(0, int(life.max()).bit_length() + rows.bit_length() - 61)
    upper = np.cumsum(np.maximum(life >> shift, 1))
    parts: list[Arrivals] = []
    count = have = 0
    while have < pages_wanted:
        key = keys(entity("resident"), np.arange(count, count + BATCH, dtype=np.int64))
        at = below(int(upper[-1]), *seed, key, Purpose.STREAM)
        row = np.searchsorted(upper, at, side="right").astype(np.int64)
        age = below(life[row], *seed, key, Purpose.AGE)
        rest = np.where(runs_on[row], RUNS_ON, life[row] - age)
        zero = np.zeros(BATCH, np.int64)
        parts.append(Arrivals(key, row, zero, age, rest, trace.pages[row], trace.vcpus[row]))
        have, count = have + int(parts[-1].pages.sum()), count + BATCH
    return first_pages(parts, pages_wanted)
