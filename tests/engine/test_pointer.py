"""Items of a host's arrays as compiled code sees them."""

from typing import Any

import numba
import numpy as np
import pytest

from engine.costs import CostModel
from engine.host import Host
from engine.kernel import BOUNDSCHECK
from engine.pointer import host_at
from engine.state import AR_KIND, G_NBLOCKS, PB_NEXT, PH_OWN, PS_STATE
from tests.engine.bench import make_shape, make_table


def compiled(function: Any) -> Any:
    """An entry that is not kept on disk."""
    return numba.njit(_nrt=False, error_model="numpy")(function)


@compiled
def read(at: int, row: int, column: int) -> int:
    return int(host_at(at).pb[row, column])


@compiled
def read_slot(at: int, row: int, column: int) -> int:
    return int(host_at(at).slot[row, column])


@compiled
def write(at: int, row: int, value: int) -> int:
    h = host_at(at)
    h.pb[row, PB_NEXT] = value
    h.pbh[row, PH_OWN] = value
    h.pbs[row, PS_STATE] += 3
    return int(len(h.pb) * 1_000 + h.g[G_NBLOCKS])


def host() -> Host:
    return Host(make_shape("NNNNMMMM"), make_table(), CostModel().vector())


def test_items_are_those_of_the_arrays() -> None:
    h = host()
    arrays = h._h
    arrays.pb[:] = np.arange(arrays.pb.size).reshape(arrays.pb.shape)
    assert [read(h._at, 5, k) for k in range(4)] == arrays.pb[5].tolist()
    arrays.pb[5] = 0
    assert write(h._at, 5, -(1 << 31) + 7) == 1_000 * len(arrays.pb) + 8
    assert arrays.pb[5, PB_NEXT] == -(1 << 31) + 7
    assert (arrays.pbh[5, PH_OWN], arrays.pbs[5, PS_STATE]) == (7, 3), "cut to their widths"


def test_slots_count_from_the_end_too() -> None:
    h = host()
    h._h.slot[-2, AR_KIND] = 77
    assert read_slot(h._at, -2, AR_KIND) == 77
    assert read_slot(h._at, len(h._h.slot) - 2, AR_KIND) == 77


@pytest.mark.skipif(not BOUNDSCHECK, reason="with FLEET_BOUNDSCHECK=1")
def test_index_checks_find_rows_and_columns_outside() -> None:
    h = host()
    pageblocks, slots = len(h._h.pb), len(h._h.slot)
    for row, column in ((-1, 0), (pageblocks, 0), (0, -1), (0, 4)):
        with pytest.raises(IndexError):
            read(h._at, row, column)
    for row in (-slots - 1, slots):
        with pytest.raises(IndexError):
            read_slot(h._at, row, 0)
