"""Draws are functions of their key, uniform, and the kernels' draws are the same."""

import math

import numpy as np
import pytest

from engine.draws import below, chance, draw, from_quantiles, pick_weighted
from engine.enums import Migratetype, Op
from tests.engine.bench import Guest, make_shape


def test_a_draw_depends_on_every_word_of_its_key_and_on_their_order() -> None:
    keys = [(1, 2, 3), (1, 3, 2), (1, 2), (1, 2, 3, 0), (2, 2, 3), (0,), (), (-1,)]
    assert len({draw(*k) for k in keys}) == len(keys)
    assert draw(1, 2, 3) == draw(1, 2, 3)


def test_words_are_taken_modulo_two_to_the_64() -> None:
    assert draw(-1) == draw((1 << 64) - 1)
    assert all(0 <= draw(k) < 1 << 64 for k in range(100))


def test_the_values_of_a_few_keys_never_change() -> None:
    assert [draw(0), draw(1), draw(5, 7)] == [
        draw_by_hand(0), draw_by_hand(1), draw_by_hand(5, 7),
    ]  # fmt: skip


def draw_by_hand(*key: int) -> int:
    """SplitMix64 on numpy's wrapping integers, written apart from the engine's."""

    def mix(x: np.uint64) -> np.uint64:
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))

    with np.errstate(over="ignore"):
        state = np.uint64(0)
        for word in key:
            state = mix(state ^ np.uint64(word))
        return int(mix(state))


def test_below_is_uniform_over_indices_and_over_entities() -> None:
    cells, n = 16, 32_000
    limit = cells - 1 + 4 * math.sqrt(2 * (cells - 1))
    for keys in (((7, 0, i) for i in range(n)), ((7, i, 0) for i in range(n))):
        counts = np.bincount([below(cells, *k) for k in keys], minlength=cells)
        chi2 = float(((counts - n / cells) ** 2 / (n / cells)).sum())
        assert chi2 < limit


def test_neighbouring_keys_are_not_correlated() -> None:
    x = np.array([below(1 << 30, 3, i) for i in range(20_000)], float)
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 4 / math.sqrt(len(x))


def test_a_bound_must_be_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        below(0, 1)


def test_chance_is_the_share_asked_for() -> None:
    n = 20_000
    hits = sum(chance(250_000, 9, i) for i in range(n))
    assert abs(hits - n / 4) < 4 * math.sqrt(n * 3 / 16)
    assert not chance(0, 1)
    assert chance(1_000_000, 1)


def test_quantiles_are_sampled_between_their_ends_with_equal_weight_per_step() -> None:
    table = (10, 20, 120, 121)
    values = [from_quantiles(table, 4, i) for i in range(9_000)]
    assert min(values) >= 10
    assert max(values) <= 121
    middle = sum(20 <= v < 120 for v in values)
    assert abs(middle - 3_000) < 4 * math.sqrt(9_000 * 2 / 9)
    assert {from_quantiles((5, 5), i) for i in range(9)} == {5}
    with pytest.raises(ValueError, match="two"):
        from_quantiles((1,), 1)


def test_weights_are_obeyed_and_zero_is_never_picked() -> None:
    picks = np.bincount([pick_weighted((1, 0, 3), 8, i) for i in range(8_000)], minlength=3)
    assert picks[1] == 0
    assert abs(picks[2] - 6_000) < 4 * math.sqrt(8_000 * 3 / 16)


def test_a_shuffle_is_a_function_of_its_key_alone() -> None:
    def shuffled(key: int) -> list[int]:
        g = Guest(make_shape("NNMMMMMM"), full_every=1)
        g.do(Op.SHUFFLE, key)
        pfns: list[int] = g.host.free_list(2, Migratetype.MOVABLE, 3).tolist()
        return pfns

    assert shuffled(5) == shuffled(5)
    assert len({tuple(shuffled(k)) for k in range(20)}) == 20
    assert sorted(shuffled(1)) == sorted(shuffled(-7))
