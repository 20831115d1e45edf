"""One unit of a run, an (arm, replication): built, run, written."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.costs import cost_model
from engine.enums import MigrateReason
from fleet.hosts.ageing import Age
from fleet.hosts.shape import host_shape
from fleet.log.tables import SCHEMAS
from fleet.log.writer import UnitWriter
from fleet.plan.tables import Plan
from fleet.run.book import write_book
from fleet.run.campaign import Outcome
from fleet.run.columns import LEAD, Batch, code, named
from fleet.run.coordinator import Coordinator, Crew, Progress
from fleet.run.looks import look
from fleet.run.tenants import Fate
from fleet.run.world import EngineName, World
from fleet.scenario import hosts as asked
from fleet.scenario.scenario import Scenario
from policies.arms import Arm, parse_arm

REASON_COLUMN = LEAD + SCHEMAS["migrations"].names.index("reason")
PAGES_COLUMN = LEAD + SCHEMAS["migrations"].names.index("pages")
KIND_COLUMN = LEAD + SCHEMAS["incidents"].names.index("kind")
PIN_FAILED = code("incidents", "kind", "pin_failed")
OOM_KILL = code("incidents", "kind", "oom_kill")


@dataclass(frozen=True, slots=True)
class Tally:
    """What a unit came to, for the summary on the terminal (the report reads the event log).

    Attributes
    ----------
    requests, hung : int
        All requests, and those that were stuck or reset.
    outcomes : dict
        Requests by outcome name.
    pin_failures : int
        As often as it happened: a workload that is started again may fail again.
    oom_kills : int
        Also of workloads that had failed already: their pin, before the controller could react.
    look : dict or None
        For a run that grows: ``looks.Look.to_json()``.
    """

    requests: int
    hung: int
    outcomes: dict[str, int]
    workloads: int
    pin_failures: int
    oom_kills: int
    pin_pages: int
    offline_pages: int
    look: dict[str, Any] | None = None


def build_world(
    plan: Plan,
    scenario: Scenario,
    arm: Arm,
    engine: EngineName = "fast",
    spool: Path | None = None,
) -> World:
    """Return what the hosts of a unit need to know; ``spool``: where aged hosts are kept."""
    plain = parse_arm("kernel+unbounded", scenario.profile, scenario.sizing)
    hosts = plan.hosts
    columns = (hosts.memory_pages, hosts.block_pages, hosts.nodes, hosts.cpus)
    rows = zip(*(c.tolist() for c in columns), strict=True)
    return World(
        plan=plan,
        shapes=tuple(host_shape(*row, arm.movable_millionths) for row in rows),
        table=arm.table(),
        costs=cost_model(scenario.costs).vector(),
        latency_ns=scenario.reaction_latency_ns,
        boot_ns=tuple(scenario.watchdog.boot_ns),
        engine=engine,
        age=age_of(scenario.age),
        plain_table=plain.table(),
        spool=spool,
    )


def age_of(age: asked.Age | None) -> Age | None:
    """Return the age of hosts in the units of ``fleet.hosts``."""
    if age is None:
        return None
    pressure = age.pressure
    episodes = (0, 0, 0)
    if pressure is not None:
        episodes = pressure.memory_millionths, pressure.every_ns, pressure.duration_ns
    return Age(age.history, age.used_millionths, age.churn_millionths, age.every_ns, *episodes)


def run_unit(
    world: World,
    scenario: Scenario,
    crew: Crew,
    writer: UnitWriter,
    tell: Callable[[Progress], None] = lambda _: None,
) -> Tally:
    """Run a unit from time zero to the horizon and hand all its rows to the writer.

    The writer is not closed.
    """
    moved = [0] * len(MigrateReason)
    happened = {PIN_FAILED: 0, OOM_KILL: 0}

    def sink(batches: list[Batch]) -> None:
        for batch in batches:
            columns = named(batch.table, batch.rows)
            writer.append(batch.table, batch.shard, columns)
            if batch.table == "migrations":
                for reason in MigrateReason:
                    pages = batch.rows[batch.rows[:, REASON_COLUMN] == reason, PAGES_COLUMN]
                    moved[reason] += int(pages.sum())
            elif batch.table == "incidents":
                for kind in happened:
                    happened[kind] += int((batch.rows[:, KIND_COLUMN] == kind).sum())

    coordinator = Coordinator(world, scenario, crew, sink)
    coordinator.run(tell)
    write_book(coordinator, world, writer)
    found = tally(coordinator, moved, happened)
    if scenario.until_ci is None:
        return found
    return replace(found, look=look(coordinator).to_json())


def tally(coordinator: Coordinator, moved: list[int], happened: dict[int, int]) -> Tally:
    """Count what a finished unit came to.

    ``moved`` are pages per ``MigrateReason``, ``happened`` incidents by the code of their kind.
    """
    removals = coordinator.campaign.of.values()
    tenants = coordinator.tenants
    outcomes: dict[str, int] = {}
    for outcome in Outcome:
        count = sum(removal.outcome == outcome for removal in removals)
        if count:
            outcomes[outcome.name.lower()] = count
    return Tally(
        requests=len(removals),
        hung=sum(removal.reset or removal.outcome == Outcome.STUCK for removal in removals),
        outcomes=outcomes,
        workloads=int((tenants.fate != Fate.WAITING).sum()),
        pin_failures=happened[PIN_FAILED],
        oom_kills=happened[OOM_KILL],
        pin_pages=moved[MigrateReason.LONGTERM_PIN],
        offline_pages=moved[MigrateReason.MEMORY_HOTPLUG],
    )
