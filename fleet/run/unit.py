"""One unit of a run, an (arm, replication): built, run, written."""

from collections.abc import Callable
from dataclasses import dataclass

from engine.costs import CostModel
from fleet.hosts.shape import host_shape
from fleet.log.writer import UnitWriter
from fleet.plan.tables import Plan
from fleet.run.book import write_book
from fleet.run.campaign import Outcome
from fleet.run.columns import Batch, named
from fleet.run.coordinator import Coordinator, Crew, Progress
from fleet.run.world import EngineName, World
from fleet.scenario.models import Scenario
from policies.arms import Arm


@dataclass(frozen=True, slots=True)
class Tally:
    """What a unit came to, for the summary on the terminal.

    Attributes
    ----------
    outcomes : dict
        Removal and probe requests by (kind, outcome name).
    resets, migrated_pages, pin_failures, oom_kills : int
    """

    outcomes: dict[str, dict[str, int]]
    resets: int
    workloads: int
    pin_failures: int
    oom_kills: int


def build_world(plan: Plan, scenario: Scenario, arm: Arm, engine: EngineName = "fast") -> World:
    """Return what the hosts of a unit need to know."""
    hosts = plan.hosts
    columns = (hosts.memory_pages, hosts.block_pages, hosts.nodes, hosts.cpus)
    rows = zip(*(c.tolist() for c in columns), strict=True)
    return World(
        plan=plan,
        shapes=tuple(host_shape(*row, arm.movable_millionths) for row in rows),
        table=arm.table(),
        costs=CostModel(scenario.costs).vector(),
        latency_ns=scenario.reaction_latency_ns,
        boot_ns=tuple(scenario.watchdog.boot_ns),
        engine=engine,
    )


def run_unit(
    world: World,
    scenario: Scenario,
    crew: Crew,
    writer: UnitWriter,
    tell: Callable[[Progress], None] = lambda _: None,
) -> Coordinator:
    """Run a unit from time zero to the horizon and hand all its rows to the writer.

    The writer is not closed; the coordinator is returned for its ledgers and tallies.
    """

    def sink(batches: list[Batch]) -> None:
        for batch in batches:
            writer.append(batch.table, batch.shard, named(batch.table, batch.rows))

    coordinator = Coordinator(world.plan, scenario, world.shapes, crew, sink)
    coordinator.run(tell)
    write_book(coordinator, world, writer)
    return coordinator


def tally(coordinator: Coordinator) -> Tally:
    """Count what a finished unit came to."""
    probes = coordinator.plan.requests.probe
    names = {outcome: outcome.name.lower() for outcome in Outcome}
    outcomes: dict[str, dict[str, int]] = {"removal": {}, "probe": {}}
    removals = coordinator.campaign.of
    for request in sorted(removals):
        kind = outcomes["probe" if probes[request] else "removal"]
        outcome = removals[request].outcome
        assert outcome is not None
        kind[names[outcome]] = kind.get(names[outcome], 0) + 1
    tenants = coordinator.tenants.of.values()
    return Tally(
        outcomes,
        sum(removal.reset for removal in removals.values()),
        len(coordinator.tenants.of) + len(coordinator.tenants.rejected),
        sum(tenant.pin_errno != 0 for tenant in tenants),
        sum(tenant.oom_kills for tenant in tenants),
    )
