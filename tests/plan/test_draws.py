"""Column draws equal the engine's, one by one; the exponential has its moments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import draws as scalar
from fleet.hosts import populate
from fleet.plan import draws
from fleet.plan.draws import Purpose, running

WORD = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(WORD, min_size=1, max_size=5), WORD, st.integers(1, 2**63 - 1))
def test_equal_to_the_engine(entities: list[int], seed: int, bound: int) -> None:
    keys = np.array(entities, np.int64)
    table = [0, 5, 5, 10**9, 2**62]
    for index, entity in enumerate(entities):
        key = (seed, 1, entity, 7)
        column = (seed, 1, keys, 7)
        assert draws.draw(*column)[index] == scalar.draw(*key)
        assert draws.below(bound, *column)[index] == scalar.below(bound, *key)
        assert draws.from_quantiles(table, *column)[index] == scalar.from_quantiles(table, *key)
        assert draws.pick_weighted([3, 0, 9], *column)[index] == scalar.pick_weighted(
            [3, 0, 9], *key
        )
        assert draws.chance(300_000, *column)[index] == scalar.chance(300_000, *key)
        mean = (bound >> 5) + 1
        assert draws.exponential(mean, *column)[index] == scalar.exponential(mean, *key)


def test_bounds_must_be_positive() -> None:
    for bound in (0, -1, np.array([3, 0])):
        with pytest.raises(ValueError, match="positive"):
            draws.below(bound, 1, np.arange(2))
    with pytest.raises(ValueError, match="two values"):
        draws.from_quantiles([1], 1)


def test_exponential_has_its_mean_and_tail() -> None:
    mean = 3_600 * 10**9
    sample = draws.exponential(mean, 1, 0, np.arange(400_000), Purpose.INTERVAL) / mean
    assert sample.mean() == pytest.approx(1, abs=4 / 400_000**0.5)
    assert (sample > 3).mean() == pytest.approx(np.exp(-3), abs=0.0015)
    assert sample.min() >= 0
    with pytest.raises(ValueError, match="range"):
        draws.exponential(0, 1)
    with pytest.raises(ValueError, match="positive"):
        scalar.exponential(0, 1)


def test_entities_differ_by_every_part_of_their_name() -> None:
    names = [("a",), ("b",), ("a", "b"), ("ab",), ("a", "", "b")]
    assert len({draws.entity(*n) for n in names}) == len(names)


def test_populate_uses_its_reserved_purposes() -> None:
    assert Purpose.POPULATE_ORDER == populate.ORDER_PURPOSE
    assert Purpose.POPULATE_CPU == populate.CPU_PURPOSE


def test_running_times_end_where_int64_does() -> None:
    steps = np.full(6, 1 << 61, np.int64)
    last = np.iinfo(np.int64).max
    assert running(5, steps).tolist() == [5 + (k << 61) for k in (1, 2, 3)] + [last] * 3
    assert running(7, np.array([1, 2, 3], np.int64)).tolist() == [8, 10, 13]
