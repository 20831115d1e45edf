"""Tables that the coordinator itself writes at the end: hosts, workloads, requests, commands."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from engine.enums import Pinner, ZoneKind
from fleet.log.tables import NULL, SCHEMAS
from fleet.log.writer import UnitWriter
from fleet.run.campaign import Campaign
from fleet.run.columns import Matrix, named
from fleet.run.coordinator import Coordinator
from fleet.run.messages import SHARD_HOSTS
from fleet.run.world import World


def write_book(coordinator: Coordinator, world: World, writer: UnitWriter) -> None:
    """Write the four tables, rows of each shard in the order of their ids."""
    _write_hosts(world, writer)
    words = {"kind": world.plan.workloads.kind_names}
    _write(writer, "workloads", _workloads(coordinator), words)
    _write(writer, "requests", _requests(coordinator.campaign))
    _write(writer, "commands", _commands(coordinator))


def _write(
    writer: UnitWriter, table: str, rows: Matrix, words: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Append rows to the shards of their hosts, rows without a host to shard 0."""
    host = rows[:, SCHEMAS[table].names.index("host")]
    shard = np.where(host == NULL, 0, host // SHARD_HOSTS)
    order = np.argsort(shard, kind="stable")
    shards, first = np.unique(shard[order], return_index=True)
    for number, part in zip(shards.tolist(), np.split(order, first[1:]), strict=False):
        writer.append(table, number, named(table, rows[part], 0, words))


def _write_hosts(world: World, writer: UnitWriter) -> None:
    """Append the table of hosts, whose names are free text."""
    hosts = world.plan.hosts
    online = [[zone for zone in shape.block_zone if zone >= 0] for shape in world.shapes]
    block_pages = np.array([shape.block_pages for shape in world.shapes])
    movable = np.array([zones.count(ZoneKind.MOVABLE) for zones in online]) * block_pages
    every = np.array([len(zones) for zones in online]) * block_pages
    columns: dict[str, Any] = {
        "host": np.arange(len(hosts)),
        "name": pa.array(hosts.name, pa.string()),
        "class": pa.array(hosts.class_names).take(pa.array(hosts.class_id)),
        "memory_pages": hosts.memory_pages,
        "nodes": np.array([shape.nr_nodes for shape in world.shapes]),
        "block_pages": block_pages,
        "movable_pages": movable,
        "kernel_pages": every - movable,
    }
    for first in range(0, len(hosts), SHARD_HOSTS):
        part = {name: column[first : first + SHARD_HOSTS] for name, column in columns.items()}
        writer.append("hosts", first // SHARD_HOSTS, part)


def _workloads(coordinator: Coordinator) -> Matrix:
    plan, tenants = coordinator.plan, coordinator.tenants
    work, start_ns = plan.workloads, tenants.demands.start_ns
    rejected = tenants.host == NULL
    begun = ~rejected & (start_ns < plan.horizon_ns)
    columns = {
        "workload": np.arange(len(work)),
        "host": tenants.host,
        "arrived_ns": work.arrival_ns - work.age_ns,
        "placed_ns": np.where(begun, start_ns, NULL),
        "ended_ns": np.where(rejected, work.arrival_ns, tenants.ended_ns),
        "memory_pages": work.pages,
        "kind": work.kind,
        "backing": work.backing,
        "vfio": work.pinner == Pinner.VFIO,
        "flows": work.flows,
        "pin_errno": tenants.pin_errno,
        "outcome": tenants.fate,
        "restarts": tenants.placement,
        "flow_us_lost": tenants.unserved_ns() // 1000 * work.flows,
    }
    return np.stack([columns[name] for name in SCHEMAS["workloads"].names], axis=1)


def _requests(campaign: Campaign) -> Matrix:
    """Rows of the requests; words are the numbers of their enums."""
    table = campaign.table
    rows = []
    for request, removal in sorted(campaign.of.items()):
        assert removal.outcome is not None, f"request {request} has no outcome"
        kind, issued_ns = int(table.probe[request]), int(table.time_ns[request])
        rows.append((
            request, kind, removal.host, removal.first_block, removal.nr_blocks, issued_ns,
            removal.started_ns, removal.deadline_ns, removal.ended_ns, removal.outcome,
            removal.errno, removal.reset, removal.endless, removal.attempts, removal.reason,
        ))  # fmt: skip
    return np.array(rows, np.int64).reshape(len(rows), len(SCHEMAS["requests"]))


def _commands(coordinator: Coordinator) -> Matrix:
    rows = coordinator.desk.logged()
    return np.concatenate((np.arange(len(rows))[:, np.newaxis], rows), axis=1)
