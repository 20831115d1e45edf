"""A fingerprint changes with every demand and with nothing else."""

import dataclasses

import numpy as np
import pytest

from fleet.plan.build import build_plan
from fleet.plan.fingerprint import NOT_DEMANDED, fingerprint
from fleet.plan.tables import Column, Holds, Plan, Requests, Workloads
from tests.plan.scenarios import scenario


@pytest.fixture(scope="module")
def plan() -> Plan:
    return build_plan(scenario())


def changed(plan: Plan, table: str, column: str) -> Plan:
    """Return the plan with one number of one column changed."""
    before = getattr(plan, table)
    values = getattr(before, column).copy()
    values[-1] += 1
    return dataclasses.replace(plan, **{table: dataclasses.replace(before, **{column: values})})


def numbers(kind: type) -> list[str]:
    return [spec.name for spec in dataclasses.fields(kind) if spec.type == Column]


CASES = [("workloads", name) for name in numbers(Workloads) if name not in NOT_DEMANDED] + [
    ("requests", name) for name in numbers(Requests)
]


@pytest.mark.parametrize(("table", "column"), CASES)
def test_every_number_is_in_it(plan: Plan, table: str, column: str) -> None:
    assert fingerprint(changed(plan, table, column)) != fingerprint(plan)


def test_references_and_hosts_are_in_it(plan: Plan) -> None:
    one = np.ones(1, np.int64)
    held = dataclasses.replace(plan, holds=Holds(*[one] * len(numbers(Holds))))
    assert fingerprint(held) != fingerprint(plan)
    names = ("other", *plan.hosts.name[1:])
    renamed = dataclasses.replace(plan, hosts=dataclasses.replace(plan.hosts, name=names))
    assert fingerprint(renamed) != fingerprint(plan)
    assert fingerprint(changed(plan, "hosts", "memory_pages")) != fingerprint(plan)


def test_seed_and_replication_are_in_it(plan: Plan) -> None:
    words = {fingerprint(plan), fingerprint(build_plan(scenario(seed=8))),
             fingerprint(build_plan(scenario(), replication=1))}  # fmt: skip
    assert len(words) == 3


def test_what_arms_and_executors_decide_is_not(plan: Plan) -> None:
    other = scenario(
        arms=["deny+timeout", "kernel+unbounded@no-movable-zone"], reaction_latency="7s",
        placement="first-fit", profile="linux-5.10", executor={"actors": 3},
    )  # fmt: skip
    assert fingerprint(build_plan(other)) == fingerprint(plan)
    assert fingerprint(changed(plan, "workloads", "hinted")) == fingerprint(plan)
    assert fingerprint(changed(plan, "hosts", "cache_pages")) == fingerprint(plan)
