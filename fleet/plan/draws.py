"""Draws by key for whole columns: the array form of ``engine.draws`` with equal values.

A draw is ``engine.draws.draw(seed, replication, entity, purpose, index)``; the entity is a row's
``key``, the purpose one of ``Purpose``. Words may be integers or arrays, which broadcast.
"""

from collections.abc import Sequence
from enum import IntEnum
from hashlib import blake2b

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.draws import exponential_table

Words = NDArray[np.uint64]
Column = NDArray[np.int64]


class Purpose(IntEnum):
    """What a draw decides; part of the key, so never renumbered."""

    KIND = 1
    SIZE = 2
    LIFETIME = 3
    LIFETIME_SIDE = 4
    AGE = 5
    INTERVAL = 6
    STREAM = 7
    HINT = 8
    HOLD = 9
    HOLD_TIME = 10
    HOLD_PAGE = 11
    HOST = 12
    TIME = 13
    BLOCK = 14
    POPULATE_ORDER = 15
    POPULATE_CPU = 16
    BOOT = 17
    CPU = 18
    TARGET = 19
    COPY = 20
    COPY_TIME = 21
    DAY = 22
    AGEING = 23
    STEP = 24
    LEVEL = 25
    EPISODE = 26
    IN_FLIGHT = 30
    STUCK_TIME = 31
    STUCK_PAGE = 32
    STUCK_DURATION = 33
    MAP_TIME = 34
    MAP_PLACE = 35


def entity(*names: str) -> int:
    """Return the 63-bit key of a named thing, such as ``entity("generator", "vms")``."""
    return int.from_bytes(blake2b("\0".join(names).encode(), digest_size=8).digest()) >> 1


def _mix(x: Words) -> Words:
    """SplitMix64 finaliser, see ``engine.draws``."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _word(value: ArrayLike) -> Words:
    """Turn an integer or an int64/uint64 array into 64-bit words (two's complement)."""
    if isinstance(value, int):
        return np.array([value & (2**64 - 1)], np.uint64)
    array = np.atleast_1d(np.asarray(value))
    return array if array.dtype == np.uint64 else array.astype(np.int64).view(np.uint64)


def draw(*key: ArrayLike) -> Words:
    """Return uint64 draws; words broadcast against each other."""
    state = np.zeros(1, np.uint64)
    for word in key:
        state = _mix(state ^ _word(word))
    return _mix(state)


def mulhi(a: Words, b: Words) -> Words:
    """Return the high 64 bits of the 128-bit products."""
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    a1, a0, b1, b0 = a >> half, a & low, b >> half, b & low
    middle = a1 * b0 + (a0 * b0 >> half)
    high: Words = a1 * b1 + (middle >> half) + (a0 * b1 + (middle & low) >> half)
    return high


def below(bound: ArrayLike, *key: ArrayLike) -> Column:
    """Return draws in ``[0, bound)`` as int64; every bound must be positive (ValueError)."""
    limit = _word(bound)
    if np.any(limit == 0) or np.any(limit >> np.uint64(63)):
        raise ValueError("bound must be positive")
    return mulhi(draw(*key), limit).view(np.int64)


def chance(millionths: int | Column, *key: ArrayLike) -> NDArray[np.bool_]:
    """Return True with probability ``millionths / 10**6``."""
    return below(1_000_000, *key) < millionths


def from_quantiles(quantiles: Sequence[int], *key: ArrayLike) -> Column:
    """Sample an integer quantile table, linear in between (``engine.draws.from_quantiles``)."""
    if len(quantiles) < 2:
        raise ValueError("a quantile table needs two values")
    table = np.array(quantiles, np.uint64)
    steps = np.array([len(quantiles) - 1], np.uint64)
    position = draw(*key)
    cell = mulhi(position, steps).view(np.int64)
    low, high = table[cell], table[cell + 1]
    return (low + mulhi(high - low, position * steps)).view(np.int64)


def pick_weighted(weights: Sequence[int] | Column, *key: ArrayLike) -> Column:
    """Return indices with probability proportional to non-negative integer weights."""
    ends = np.cumsum(np.array(weights, np.int64))
    return np.searchsorted(ends, below(int(ends[-1]), *key), side="right").astype(np.int64)


def exponential(mean: int, *key: ArrayLike) -> Column:
    """Return exponential draws (``engine.draws.exponential``), mean below ``2**59``."""
    if not 0 < mean < 1 << 59:
        raise ValueError("mean out of range")
    unit = from_quantiles(exponential_table(), *key).view(np.uint64)
    scaled = mulhi(np.array([mean << 4], np.uint64), unit << np.uint64(40))
    return np.maximum(scaled.view(np.int64), 1)


def running(from_ns: int, steps_ns: Column) -> Column:
    """Return the times that positive steps lead to, one after the other: int64[n].

    Times past the end of int64 (292 years) all are the largest int64: a rare stream drawn in
    batches gets there long after any horizon.
    """
    times = np.uint64(from_ns) + np.cumsum(steps_ns.view(np.uint64), dtype=np.uint64)
    late = np.flatnonzero(times >> np.uint64(63))  # no step is 2**63: the first such sum shows it
    if len(late):
        times[late[0] :] = np.iinfo(np.int64).max
    return times.view(np.int64)
