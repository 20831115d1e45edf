"""Tables that the coordinator itself writes at the end: hosts, workloads, requests, commands."""

from collections.abc import Iterable

import numpy as np

from engine.enums import OfflineReason, Pinner, ZoneKind
from fleet.log.tables import NULL, SCHEMAS
from fleet.log.writer import UnitWriter
from fleet.run.campaign import Removal
from fleet.run.columns import BACKINGS
from fleet.run.coordinator import Coordinator
from fleet.run.squad import SHARD_HOSTS
from fleet.run.tenants import Fate
from fleet.run.world import World

Row = tuple[object, ...]


def write_book(coordinator: Coordinator, world: World, writer: UnitWriter) -> None:
    """Write the four tables, rows of each shard in the order of their ids."""
    _write(writer, "hosts", _hosts(world))
    _write(writer, "workloads", _workloads(coordinator))
    _write(writer, "requests", _requests(coordinator))
    _write(writer, "commands", _commands(coordinator))


def _write(writer: UnitWriter, table: str, rows: Iterable[tuple[int, Row]]) -> None:
    """Append (host, row) pairs to the shards of their hosts; without a host to shard 0."""
    shards: dict[int, list[Row]] = {}
    for host, row in rows:
        shards.setdefault(0 if host == NULL else host // SHARD_HOSTS, []).append(row)
    names = SCHEMAS[table].names
    for shard in sorted(shards):
        columns = zip(*shards[shard], strict=True)
        found = {n: _plain(c) for n, c in zip(names, columns, strict=True)}
        writer.append(table, shard, found)


def _plain(column: tuple[object, ...]) -> object:
    """Integers as an array, so that ``NULL`` means null; the rest as a list."""
    if all(type(value) is int for value in column):
        return np.array(column, np.int64)
    return list(column)


def _hosts(world: World) -> Iterable[tuple[int, Row]]:
    hosts = world.plan.hosts
    for host, shape in enumerate(world.shapes):
        online = [zone for zone in shape.block_zone if zone >= 0]
        movable = sum(zone == ZoneKind.MOVABLE for zone in online) * shape.block_pages
        yield (
            host,
            (
                host,
                hosts.name[host],
                hosts.class_names[int(hosts.class_id[host])],
                int(hosts.memory_pages[host]),
                shape.nr_nodes,
                shape.block_pages,
                movable,
                len(online) * shape.block_pages - movable,
            ),
        )


def _workloads(coordinator: Coordinator) -> Iterable[tuple[int, Row]]:
    plan, tenants = coordinator.plan, coordinator.tenants
    work, horizon_ns = plan.workloads, plan.horizon_ns
    for workload in range(len(work)):
        tenant = tenants.of.get(workload)
        flows = int(work.flows[workload])
        arrived_ns = int(work.arrival_ns[workload]) - int(work.age_ns[workload])
        host = NULL if tenant is None else tenant.host
        placed_ns, ended_ns, fate, errno, restarts = NULL, NULL, Fate.REJECTED, 0, 0
        if tenant is None:
            ended_ns = tenants.rejected[workload]
        else:
            placed_ns = tenant.placed_ns if tenant.placed_ns < horizon_ns else NULL
            ended_ns, fate, errno = tenant.ended_ns, tenant.fate, tenant.pin_errno
            restarts = tenant.placement
        lost_us = tenants.lost_ns(workload) // 1000 * flows
        yield host, (
            workload, host, arrived_ns, placed_ns, ended_ns, int(work.pages[workload]),
            BACKINGS[int(work.backing[workload])], int(work.pinner[workload]) == Pinner.VFIO,
            flows, errno, fate.name.lower(), restarts, lost_us,
        )  # fmt: skip


def _requests(coordinator: Coordinator) -> Iterable[tuple[int, Row]]:
    table = coordinator.plan.requests
    for request, removal in sorted(coordinator.campaign.of.items()):
        kind = "probe" if table.probe[request] else "removal"
        issued_ns = int(table.time_ns[request])
        yield removal.host, _request(request, kind, issued_ns, removal)


def _request(request: int, kind: str, issued_ns: int, removal: Removal) -> Row:
    outcome = removal.outcome
    assert outcome is not None, f"request {request} has no outcome"
    return (
        request, kind, removal.host, removal.first_block, removal.nr_blocks, issued_ns,
        removal.started_ns, removal.deadline_ns, removal.ended_ns, outcome.name.lower(),
        removal.errno, removal.reset, removal.endless, removal.attempts,
        OfflineReason(removal.reason).name.lower(),
    )  # fmt: skip


def _commands(coordinator: Coordinator) -> Iterable[tuple[int, Row]]:
    for command, decision in enumerate(coordinator.desk.decisions):
        time_ns, host, decided_ns, kind, workload, request, first, count = decision
        yield host, (command, host, time_ns, decided_ns, kind, workload, request, first, count)
