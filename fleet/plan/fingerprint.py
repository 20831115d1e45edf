"""One word for all that a plan demands: equal words, equal demands."""

import hashlib
from dataclasses import fields
from typing import Any

import numpy as np

from fleet.plan.tables import Plan

NOT_DEMANDED = frozenset({"hinted"})
"""Columns left out. A hint is how an application speaks to the policy that is judged (how often it
is right is swept from run to run), not what it asks for."""


def fingerprint(plan: Plan) -> str:
    """Return the sha256 of everything exogenous in a plan.

    Its words are: names and shape of the hosts, the workloads with their keys, times, sizes,
    devices, touched pages and I/O, the references that are events, and all requests; and seed,
    replication and horizon. Every draw about them is a function of these (``fleet.plan.draws``),
    so two units with one fingerprint got the same demands, whatever their policies, sizings, actors
    and ages of hosts. Kernel and cache memory of the hosts are not in it: they belong to the age.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    found = hashlib.sha256()
    found.update(f"{plan.seed} {plan.replication} {plan.horizon_ns}\n".encode())
    hosts = plan.hosts
    for name in hosts.name:
        found.update(f"{name}\n".encode())
    for column in (hosts.memory_pages, hosts.nodes, hosts.cpus, hosts.block_pages):
        _add(found, "hosts", column)
    for table in (plan.workloads, plan.holds, plan.requests):
        for spec in fields(table):
            if spec.name not in NOT_DEMANDED:
                _add(found, f"{type(table).__name__}.{spec.name}", getattr(table, spec.name))
    return found.hexdigest()


def _add(found: Any, name: str, column: Any) -> None:
    """Take in a column under its name: int64 little-endian, or the words of a tuple."""
    found.update(f"{name} {len(column)}\n".encode())
    if isinstance(column, np.ndarray):
        found.update(column.astype("<i8").tobytes())
    else:
        found.update("\n".join(map(str, column)).encode())
