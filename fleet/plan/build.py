"""The plan of one replication: a pure function of scenario, seed and replication."""

from fleet.inputs.trace import Trace, read_trace
from fleet.plan.hosts import hosts_table
from fleet.plan.requests import requests_table
from fleet.plan.tables import Hosts, Plan
from fleet.plan.workloads import holds_table, workloads_table
from fleet.scenario.models import Scenario
from policies.registry import sizing


def build_plan(
    scenario: Scenario,
    replication: int = 0,
    *,
    hosts: Hosts | None = None,
    trace: Trace | None = None,
) -> Plan:
    """Build the plan of one replication.

    Parameters
    ----------
    scenario : Scenario
    replication : int
        Number of the replication, from 0.
    hosts, trace : optional
        Already read inputs of the same scenario, so that replications need not read them again.

    Raises
    ------
    InputError
        Bad inventory or trace, or demands that do not fit the hosts.
    """
    seed = (scenario.seed, replication)
    if hosts is None:
        hosts = hosts_table(scenario.hosts)
    if trace is None and scenario.workloads.trace is not None:
        trace = read_trace(scenario.workloads.trace)
    horizon_ns = scenario.horizon_ns
    fleet_pages = int(hosts.memory_pages.sum())
    work = workloads_table(scenario.workloads, trace, seed, horizon_ns, fleet_pages)
    holds = holds_table(scenario.workloads, work, seed, horizon_ns)
    movable = sizing(scenario.sizing).movable_millionths
    asked = requests_table(scenario.removals, scenario.probes, hosts, seed, horizon_ns, movable)
    return Plan(*seed, horizon_ns, hosts, work, holds, asked)
