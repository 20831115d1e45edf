"""What of a world goes to the processes that run hosts."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.plan.tables import narrow
from tests.run import small

INT64 = np.iinfo(np.int64)


@given(st.lists(st.integers(int(INT64.min), int(INT64.max)), max_size=6))
def test_narrow_columns_hold_the_same_integers(values: list[int]) -> None:
    column = np.array(values, np.int64)
    assert narrow(column).tolist() == values


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([], np.int8),
        ([-128, 127], np.int8),
        ([-129, 0], np.int16),
        ([0, 128], np.int16),
        ([32_768], np.int32),
        ([-(2**31), 2**31 - 1], np.int32),
        ([2**31], np.int64),
    ],
)
def test_narrow_columns_are_no_wider_than_they_must(values: list[int], dtype: type) -> None:
    assert narrow(np.array(values, np.int64)).dtype == dtype


def test_draws_above_int64_stay_as_they_are() -> None:
    draws = np.array([3, 2**64 - 1], np.uint64)
    assert narrow(draws).tolist() == draws.tolist()


def test_a_world_on_its_way_keeps_what_hosts_look_up() -> None:
    here = small.world(small.busy_plan(), small.scenario())
    there = pickle.loads(pickle.dumps(here))
    assert [column.tolist() for column in there.wants] == [c.tolist() for c in here.wants]
    assert len(here.wants.io_key) == 120
    assert len(there.plan.workloads) == 0
    assert there.plan.hosts.memory_pages.tolist() == here.plan.hosts.memory_pages.tolist()
    assert there.plan.requests.time_ns.tolist() == here.plan.requests.time_ns.tolist()
    assert there.plan.holds.workload.tolist() == here.plan.holds.workload.tolist()
    assert (there.latency_ns, there.shapes) == (here.latency_ns, here.shapes)
