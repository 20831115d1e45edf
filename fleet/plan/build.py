"""The plan of one replication: a pure function of scenario, seed and replication."""

from dataclasses import dataclass, replace

from fleet.errors import InputError
from fleet.inputs.inventory import read_inventory
from fleet.inputs.trace import Trace, read_trace
from fleet.plan.estimate import available_bytes, estimate, refuse_if_too_large
from fleet.plan.hosts import hosts_table
from fleet.plan.references import references_table
from fleet.plan.requests import requests_table
from fleet.plan.steady import steady_of
from fleet.plan.tables import Hosts, Plan
from fleet.plan.workloads import workloads_table
from fleet.scenario.scenario import Scenario
from policies.registry import sizing


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a scenario's files hold: the same for every replication, so read once.

    Attributes
    ----------
    hosts : Hosts
    trace : Trace or None
    """

    hosts: Hosts
    trace: Trace | None


def read_inputs(scenario: Scenario, *, hosts_too: bool = True) -> Inputs:
    """Read inventory and trace, and refuse what is larger than memory.

    Parameters
    ----------
    scenario : Scenario
    hosts_too : bool
        All hosts are to be in memory, too, as in a simulation; else the plan alone.

    Raises
    ------
    InputError
        Bad inventory or trace, a plan larger than memory.
    """
    try:
        return _read(scenario, hosts_too=hosts_too)
    except InputError as error:
        raise scenario.locate(error) from None


def build_plan(scenario: Scenario, replication: int = 0, *, inputs: Inputs | None = None) -> Plan:
    """Build the plan of one replication.

    Parameters
    ----------
    scenario : Scenario
    replication : int
        Number of the replication, from 0.
    inputs : Inputs, optional
        The scenario's, when they have been read before.

    Raises
    ------
    InputError
        Bad inventory or trace, demands that do not fit the hosts, a plan larger than memory.
    """
    inputs = inputs or read_inputs(scenario)
    try:
        return _build(scenario, replication, inputs.hosts, inputs.trace)
    except InputError as error:
        raise scenario.locate(error) from None


def _read(scenario: Scenario, *, hosts_too: bool) -> Inputs:
    inventory_file, trace_file = scenario.hosts.inventory, scenario.workloads.trace
    trace = read_trace(trace_file) if trace_file is not None else None
    inventory = read_inventory(inventory_file) if inventory_file else None
    size = estimate(scenario, inventory, trace)
    refuse_if_too_large(size if hosts_too else replace(size, host_bytes=0), available_bytes())
    return Inputs(hosts_table(scenario.hosts, inventory), trace)


def _build(scenario: Scenario, replication: int, hosts: Hosts, trace: Trace | None) -> Plan:
    """Build the plan; errors name the field alone."""
    seed, horizon_ns = (scenario.seed, replication), scenario.horizon_ns
    fleet = int(hosts.memory_pages.sum()), int(hosts.cpus.sum())
    steady = steady_of(scenario.workloads, trace, *fleet)
    work = workloads_table(scenario.workloads, trace, seed, horizon_ns, steady)
    holds = references_table(scenario.workloads, work, seed, horizon_ns)
    movable = sizing(scenario.sizing).movable_millionths
    asked = requests_table(scenario.removals, scenario.probes, hosts, seed, horizon_ns, movable)
    return Plan(*seed, horizon_ns, hosts, work, holds, asked, steady)
