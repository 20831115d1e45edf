"""The plan of one replication: a pure function of scenario, seed and replication."""

from dataclasses import dataclass

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
from fleet.scenario.models import Scenario
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


def read_inputs(scenario: Scenario) -> Inputs:
    """Read inventory and trace, and refuse a plan larger than memory.

    Raises
    ------
    InputError
        Bad inventory or trace, a plan larger than memory.
    """
    try:
        return _read(scenario)
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


def _read(scenario: Scenario) -> Inputs:
    inventory_file, trace_file = scenario.hosts.inventory, scenario.workloads.trace
    trace = read_trace(trace_file) if trace_file is not None else None
    inventory = read_inventory(inventory_file) if inventory_file else None
    refuse_if_too_large(estimate(scenario, inventory, trace), available_bytes())
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
