"""Large arrays that share slabs."""

import gc

import numpy as np
import pytest

from benchmarks.process_tree import resident_bytes
from engine import arena


@pytest.mark.parametrize("rows", [3, 1 << 18, (1 << 18) + 7, (arena.SLAB_BYTES >> 4) + 5])
def test_arrays_are_zero_apart_and_serve_again(rows: int) -> None:
    first, second = arena.zeros((rows, 4)), arena.zeros((rows, 4))
    assert first.shape == (rows, 4)
    assert first.dtype == np.int32
    assert not first.any()
    assert not np.shares_memory(first, second)
    first.fill(7)
    assert not second.any()
    where = first.ctypes.data
    view = first[1:]
    del first
    gc.collect()
    third = arena.zeros((rows, 4))
    assert third.ctypes.data != where or rows == 3, "a view still refers to it"
    del view
    gc.collect()
    fourth = arena.zeros((rows, 4))
    assert not fourth.any()
    if 16 * rows >= arena.LEAST_BYTES:
        assert fourth.ctypes.data == where


def test_memory_of_its_own_goes_back_to_the_system() -> None:
    array = arena.apart(3 << 20)
    array.fill(7)
    filled = resident_bytes()
    del array
    gc.collect()
    assert resident_bytes() < filled - (8 << 20)
    again = arena.apart(5)
    assert again.tolist() == [0] * 5
