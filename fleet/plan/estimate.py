"""What a scenario will need, before anything is built: for ``--dry-run`` and for refusals."""

from dataclasses import dataclass
from pathlib import Path

from fleet.errors import InputError
from fleet.hosts.shape import PAGEBLOCK_ORDER
from fleet.inputs.inventory import Inventory
from fleet.inputs.trace import Trace
from fleet.plan.days import arrivals_before, days_of
from fleet.plan.steady import Steady, load_of, steady_of
from fleet.scenario.scenario import Scenario
from fleet.scenario.units import MILLION
from fleet.scenario.workloads import Workloads

PAGEBLOCK_BYTES = 20
"""Engine memory per 2 MiB pageblock of RAM, area links included (its budget)."""
SPLIT_BYTES, SPLIT_SHARE = 192, 20
"""Engine memory of a split pageblock, and one in how many is expected to be split."""
HOST_BYTES = 64 * 1024
"""Python objects, zones and queues of one host (background estimate)."""
ROW_BYTES = 600
"""Memory per demand: 15 columns of the plan, and what the controller keeps about it."""
HOST_US, DEMAND_US, REQUEST_US, TIB_US = 3_000, 150, 5_000, 400_000
"""Time per host, workload, request and TiB touched, per arm on one core (background estimate)."""
TIB_PAGES = 1 << 28


@dataclass(frozen=True, slots=True)
class Estimate:
    """Expected size of one replication.

    Attributes
    ----------
    hosts, workloads, holds, requests : int
        Rows of the plan (arrivals of generators: in expectation).
    memory_pages : int
        RAM of the fleet.
    plan_bytes, host_bytes : int
        Memory of the plan, and of all hosts under one arm.
    seconds : int
        All arms and replications on one core, without start-up.
    steady : Steady
        What the workloads come to in the long run.
    """

    hosts: int
    workloads: int
    holds: int
    requests: int
    memory_pages: int
    plan_bytes: int
    host_bytes: int
    seconds: int
    steady: Steady

    @property
    def total_bytes(self) -> int:
        """Memory of everything resident at a time."""
        return self.plan_bytes + self.host_bytes


def estimate(
    scenario: Scenario, inventory: Inventory | None = None, trace: Trace | None = None
) -> Estimate:
    """Estimate one replication from the scenario and its inputs, without building the plan.

    Parameters
    ----------
    scenario : Scenario
    inventory, trace : optional
        The files the scenario names, read.

    Raises
    ------
    InputError
        As ``steady_of``; it names the field alone.
    """
    hosts, pages, cpus = _fleet(scenario, inventory)
    work = scenario.workloads
    steady = steady_of(work, trace, pages, cpus)
    workloads = _residents(work, trace, pages)
    workloads += _arrivals(work, trace, scenario.horizon_ns, steady.scale_millionths)
    holds = _holds(scenario, workloads)
    requests = _requests(scenario, hosts)
    pageblocks = pages >> PAGEBLOCK_ORDER
    host_bytes = pageblocks * (PAGEBLOCK_BYTES + SPLIT_BYTES // SPLIT_SHARE) + hosts * HOST_BYTES
    each_us = hosts * HOST_US + (workloads + holds) * DEMAND_US + requests * REQUEST_US
    each_us += pages * TIB_US // TIB_PAGES
    runs = len(scenario.arms) * scenario.replications
    rows = hosts + workloads + holds + requests
    return Estimate(
        hosts, workloads, holds, requests, pages, rows * ROW_BYTES, host_bytes,
        -(-runs * each_us // 10**6), steady,
    )  # fmt: skip


def _fleet(scenario: Scenario, inventory: Inventory | None) -> tuple[int, int, int]:
    """Return the number of hosts, their RAM and their CPUs."""
    hosts = scenario.hosts
    if inventory is not None:
        count = min(hosts.total or len(inventory.name), len(inventory.name))
        pages, cpus = inventory.memory_pages[:count], inventory.cpus[:count]
        return count, int(pages.sum()), int(cpus.sum())
    counts = [
        c.count if c.count is not None
        else -(-(hosts.total or 0) * (c.share_millionths or 0) // MILLION)
        for c in hosts.classes
    ]  # fmt: skip
    dealt = list(zip(counts, hosts.classes, strict=True))
    memory_pages = sum(n * c.memory_pages for n, c in dealt)
    return sum(counts), memory_pages, sum(n * c.cpus for n, c in dealt)


def _arrivals(work: Workloads, trace: Trace | None, horizon_ns: int, scale_millionths: int) -> int:
    """Return the arrivals before the horizon."""
    if trace is not None:
        each = arrivals_before(trace, days_of(trace), horizon_ns)
        return each * scale_millionths // MILLION
    return sum(-(-horizon_ns // g.arrivals_interval_ns) for g in work.generators)


def _residents(work: Workloads, trace: Trace | None, pages: int) -> int:
    """Return the number of residents that make up the commitment, by their mean size."""
    wanted = pages * work.commitment_millionths // MILLION
    load = load_of(work, trace)
    return int(wanted * load.workloads / load.memory_pages)


def _holds(scenario: Scenario, workloads: int) -> int:
    """Return short references and mappings, at most (as if all lived to the horizon)."""
    count, rule, stuck = 0, scenario.workloads.holds, scenario.workloads.stuck_io
    intervals = [kind.maps.every_ns for kind in scenario.workloads.kinds if kind.maps]
    if intervals:
        count += workloads * -(-scenario.horizon_ns // min(intervals))
    if rule is not None:
        times = -(-scenario.horizon_ns // rule.every_ns)
        count += workloads * rule.share_millionths // MILLION * times
    if stuck is not None:
        count += workloads * scenario.horizon_ns // stuck.interval_ns + 1
    return count


def _requests(scenario: Scenario, hosts: int) -> int:
    """Return removals and probes."""
    count = scenario.probes.count if scenario.probes else 0
    removals = scenario.removals
    if removals is None:
        return count
    if removals.target == "all":
        return count + hosts
    if removals.interval_ns is not None:
        return count + -(-scenario.horizon_ns // removals.interval_ns)
    return count + (removals.count or 0)


def available_bytes() -> int:
    """Return the memory a run may use: what is available, within the control group's limit."""
    available = 2**62
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) * 1024
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and limit.read_text().strip().isdigit():
        available = min(available, int(limit.read_text()))
    return available


def refuse_if_too_large(size: Estimate, available: int) -> None:
    """Raise InputError when a replication needs more memory than there is."""
    if size.total_bytes > available:
        reason = (
            f"needs about {_gib(size.total_bytes)} of memory, {_gib(available)} are available "
            f"({size.hosts} hosts with {size.memory_pages >> 28} TiB, {size.workloads} workloads, "
            f"{size.holds} holds, {size.requests} requests)"
        )
        raise InputError(reason, field="plan")


def _gib(amount: int) -> str:
    return f"{amount / 2**30:.1f} GiB"
