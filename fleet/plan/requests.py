"""Removal demands and probes: who is asked for memory, when, how much."""

from dataclasses import dataclass

import numpy as np

from fleet.errors import InputError
from fleet.hosts.shape import removable_blocks
from fleet.plan.arrivals import BATCH, Seed
from fleet.plan.draws import Column, Purpose, below, draw, entity, exponential, running
from fleet.plan.tables import Hosts, Requests
from fleet.scenario.demands import Probes, Removals


@dataclass(frozen=True, slots=True)
class _Asked:
    """Requests of one sort before they are numbered."""

    key: Column
    probe: Column
    time_ns: Column
    deadline_ns: Column
    host: Column
    first_block: Column
    nr_blocks: Column


def _keys(name: str, count: int) -> Column:
    """Return the entity keys of the first ``count`` requests of a sort."""
    words = draw(entity(name), np.arange(count, dtype=np.int64))
    return (words >> np.uint64(1)).view(np.int64)


def _spread(key: Column, seed: Seed, start_ns: int, end_ns: int) -> Column:
    """Spread requests over a window: one in each of n equal slices, its place drawn."""
    count = len(key)
    edges = np.array([start_ns + (end_ns - start_ns) * i // count for i in range(count + 1)])
    width = np.maximum(np.diff(edges), 1)
    return (edges[:-1] + below(width, *seed, key, Purpose.TIME)).astype(np.int64)


def _removals(removals: Removals, hosts: Hosts, seed: Seed, end_ns: int) -> _Asked:
    """Return the demands of a campaign."""
    start_ns = removals.start_ns
    if removals.target == "all":
        key = _keys("removal", len(hosts))
        host = np.arange(len(hosts), dtype=np.int64)
        time = start_ns + below(end_ns - start_ns, *seed, key, Purpose.TIME)
    elif removals.interval_ns is not None:
        key, time = _poisson(removals.interval_ns, seed, start_ns, end_ns)
        host = below(len(hosts), *seed, key, Purpose.HOST)
    else:
        key = _keys("removal", removals.count or 0)
        time = _spread(key, seed, start_ns, end_ns)
        host = below(len(hosts), *seed, key, Purpose.HOST)
    size = hosts.block_pages[host]
    blocks = (
        np.full(len(key), removals.blocks, np.int64)
        if removals.pages is None
        else -(-removals.pages // size)
    )
    over = np.flatnonzero(blocks * size >= hosts.memory_pages[host])
    if len(over):
        field = "removals.blocks" if removals.pages is None else "removals.bytes"
        name = hosts.name[int(host[over[0]])]
        raise InputError(f"would take the whole memory of host {name}", field=field)
    return _Asked(
        key=key,
        probe=np.zeros(len(key), np.int64),
        time_ns=time,
        deadline_ns=time + removals.deadline_ns,
        host=host,
        first_block=np.full(len(key), -1, np.int64),
        nr_blocks=blocks,
    )


def _poisson(interval_ns: int, seed: Seed, start_ns: int, end_ns: int) -> tuple[Column, Column]:
    """Return keys and times of a Poisson stream between two times."""
    count, times = 0, np.zeros(0, np.int64)
    now = start_ns
    while now < end_ns:
        key = _keys("removal", count + BATCH)[count:]
        steps = exponential(interval_ns, *seed, key, Purpose.INTERVAL)
        times = np.concatenate((times, running(now, steps)))
        now, count = int(times[-1]), count + BATCH
    inside = times < end_ns
    return _keys("removal", count)[inside], times[inside]


def _probes(probes: Probes, hosts: Hosts, seed: Seed, end_ns: int, movable: int) -> _Asked:
    """Return probes; each names a physical block that is removable under the default sizing."""
    key = _keys("probe", probes.count)
    time = _spread(key, seed, probes.start_ns, end_ns)
    host = below(len(hosts), *seed, key, Purpose.HOST)
    block = np.zeros(len(key), np.int64)
    shape = np.stack((hosts.memory_pages[host], hosts.block_pages[host], hosts.nodes[host]), axis=1)
    shapes, which = np.unique(shape, axis=0, return_inverse=True)
    for index, (memory, block_pages, nodes) in enumerate(shapes.tolist()):
        own = np.flatnonzero(which.reshape(-1) == index)
        choices = removable_blocks(memory, block_pages, nodes, movable)
        if not len(choices):
            name = hosts.name[int(host[own[0]])]
            raise InputError(f"host {name} has no removable block to probe", field="probes")
        block[own] = choices[below(len(choices), *seed, key[own], Purpose.BLOCK)]
    return _Asked(
        key=key,
        probe=np.ones(len(key), np.int64),
        time_ns=time,
        deadline_ns=time + probes.bound_ns,
        host=host,
        first_block=block,
        nr_blocks=np.ones(len(key), np.int64),
    )


def requests_table(
    removals: Removals | None,
    probes: Probes | None,
    hosts: Hosts,
    seed: Seed,
    horizon_ns: int,
    movable_millionths: int,
) -> Requests:
    """Build the table of removal demands and probes, by (time, key).

    Parameters
    ----------
    movable_millionths : int
        The scenario's default sizing: probes choose among the blocks that are MOVABLE under it
        (without a movable zone: above DMA32), and keep that block under every arm.

    Raises
    ------
    InputError
        A request as large as its host, or a host without a block to probe.
    """
    parts = []
    if removals is not None:
        end_ns = horizon_ns if removals.end_ns is None else removals.end_ns
        parts.append(_removals(removals, hosts, seed, end_ns))
    if probes is not None:
        end_ns = horizon_ns if probes.end_ns is None else probes.end_ns
        parts.append(_probes(probes, hosts, seed, end_ns, movable_millionths))
    if not parts:
        return Requests(*(np.zeros(0, np.int64) for _ in range(7)))
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in _Asked.__slots__
    }
    order = np.lexsort((columns["key"], columns["time_ns"]))
    return Requests(**{name: column[order] for name, column in columns.items()})
