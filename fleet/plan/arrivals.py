"""When workloads come, how large they are and how long they live, before kinds are considered.

A *stream* is a source of arrivals: a generator (here) or the trace (``fleet.plan.copies``). Every
arrival and every resident is an entity with its own key; its draws depend on the key alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fleet.plan.draws import (
    Column,
    Purpose,
    below,
    draw,
    entity,
    exponential,
    from_quantiles,
    mulhi,
    pick_weighted,
    running,
)
from fleet.plan.steady import mean_lifetime_ns
from fleet.scenario.workloads import Generator

Seed = tuple[int, int]
"""Seed and replication: the first two words of every draw."""

BATCH = 4096


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Workloads of one stream. All columns int64 of one length.

    Attributes
    ----------
    key : int64[n]
        Entity.
    source : int64[n]
        Generator's number, or row of the trace.
    arrival_ns, age_ns, lifetime_ns, pages, vcpus : int64[n]
        As in ``fleet.plan.tables.Workloads``.
    """

    key: Column
    source: Column
    arrival_ns: Column
    age_ns: Column
    lifetime_ns: Column
    pages: Column
    vcpus: Column


def keys(stream: int, *member: ArrayLike) -> Column:
    """Return the entity keys (63 bits) of members of a stream: one word each, or several."""
    return (draw(stream, *member) >> np.uint64(1)).view(np.int64)


def _batch(start: int, *names: str) -> Column:
    """Return the keys of the next ``BATCH`` members of a named stream."""
    return keys(entity(*names), np.arange(start, start + BATCH, dtype=np.int64))


def generated(generator: Generator, number: int, seed: Seed, horizon_ns: int) -> Arrivals:
    """Return the arrivals of a Poisson stream before ``horizon_ns``, in order of time."""
    members, times, now, count = [], [], 0, 0
    mean = generator.arrivals_interval_ns
    while now < horizon_ns:
        batch = _batch(count, "generator", generator.name)
        steps = exponential(mean, *seed, batch, Purpose.INTERVAL)
        arrivals = running(now, steps)
        members.append(batch)
        times.append(arrivals)
        now, count = int(arrivals[-1]), count + BATCH
    arrival = np.concatenate(times)
    inside = arrival < horizon_ns
    key = np.concatenate(members)[inside]
    pages, vcpus = _sizes(generator, key, seed)
    return Arrivals(
        key=key,
        source=np.full(len(key), number, np.int64),
        arrival_ns=arrival[inside],
        age_ns=np.zeros(len(key), np.int64),
        lifetime_ns=np.maximum(
            from_quantiles(generator.lifetime_ns, *seed, key, Purpose.LIFETIME), 1
        ),
        pages=pages,
        vcpus=vcpus,
    )


def _sizes(generator: Generator, key: Column, seed: Seed) -> tuple[Column, Column]:
    """Draw memory and CPUs from the size mix."""
    sizes = generator.sizes
    choice = pick_weighted([s.weight for s in sizes], *seed, key, Purpose.SIZE)
    pages = np.array([s.memory_pages for s in sizes], np.int64)[choice]
    return pages, np.array([s.vcpus for s in sizes], np.int64)[choice]


def length_biased(quantiles: Sequence[int], seed: Seed, key: Column) -> Column:
    """Draw the lifetimes of those found alive: density proportional to lifetime.

    A cell of the quantile table with edges a <= b is chosen with weight a + b; within it the
    position has density proportional to a + (b - a) u, a mixture of the smaller (weight a) and the
    larger (weight b) of two uniform draws.
    """
    edges = np.array(quantiles, np.int64)
    low, high = edges[:-1], edges[1:]
    shift = max(0, int(edges[-1]).bit_length() + len(edges).bit_length() - 61)
    cell = pick_weighted((low >> shift) + (high >> shift), *seed, key, Purpose.LIFETIME)
    a, b = low[cell], high[cell]
    first = draw(*seed, key, Purpose.LIFETIME_SIDE, 0)
    second = draw(*seed, key, Purpose.LIFETIME_SIDE, 1)
    larger = below(np.maximum(a + b, 1), *seed, key, Purpose.LIFETIME_SIDE, 2) < b
    at = np.where(larger, np.maximum(first, second), np.minimum(first, second))
    life = a + mulhi((b - a).view(np.uint64), at).view(np.int64)
    return np.maximum(life, 1).astype(np.int64)


def residents(generators: Sequence[Generator], seed: Seed, pages_wanted: int) -> Arrivals:
    """Return the residents of time zero, as many as fit into ``pages_wanted``.

    The generator of each is drawn by arrival rate times mean lifetime, its lifetime length-biased,
    its age uniform within the lifetime: what an observer of the stationary process sees.
    """
    loads = [_load(g) for g in generators]
    weights = [load >> max(0, sum(loads).bit_length() - 61) for load in loads]
    parts: list[Arrivals] = []
    count = have = 0
    while have < pages_wanted:
        key = _batch(count, "resident")
        source = pick_weighted(weights, *seed, key, Purpose.STREAM)
        life, pages, vcpus = (np.zeros(BATCH, np.int64) for _ in range(3))
        for number, generator in enumerate(generators):
            own = source == number
            life[own] = length_biased(generator.lifetime_ns, seed, key[own])
            pages[own], vcpus[own] = _sizes(generator, key[own], seed)
        age = below(life, *seed, key, Purpose.AGE)
        zero = np.zeros(BATCH, np.int64)
        parts.append(Arrivals(key, source, zero, age, life - age, pages, vcpus))
        have, count = have + int(pages.sum()), count + BATCH
    return first_pages(parts, pages_wanted)


def _load(generator: Generator) -> int:
    """Return arrival rate times mean lifetime, in parts of 2**20."""
    return max(1, (mean_lifetime_ns(generator) << 20) // generator.arrivals_interval_ns)


def joined(parts: Sequence[Arrivals]) -> Arrivals:
    """Concatenate columns."""
    return Arrivals(*(np.concatenate([getattr(p, n) for p in parts]) for n in Arrivals.__slots__))


def first_pages(parts: list[Arrivals], pages_wanted: int) -> Arrivals:
    """Return the longest beginning of the parts whose memory is at most ``pages_wanted``."""
    if not parts:
        return Arrivals(*(np.zeros(0, np.int64) for _ in range(7)))
    whole = joined(parts)
    count = int(np.searchsorted(np.cumsum(whole.pages), pages_wanted, side="right"))
    return Arrivals(*(getattr(whole, name)[:count] for name in Arrivals.__slots__))
