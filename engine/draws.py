"""Randomness by key: a draw is a pure function of what it is about.

``draw(seed, replication, entity, purpose, index)`` never depends on call order, host, arm or
sharding. The mixer is SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
generators", OOPSLA 2014), applied once per key word.
"""

from bisect import bisect_right
from collections.abc import Sequence
from decimal import Decimal, localcontext
from functools import lru_cache
from itertools import pairwise

_MASK = (1 << 64) - 1


def _mix(x: int) -> int:
    """SplitMix64 finaliser on 64-bit integers."""
    x = (x + 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def draw(*key: int) -> int:
    """Return a 64-bit draw for the key words (any integers)."""
    state = 0
    for word in key:
        state = _mix(state ^ (word & _MASK))
    return _mix(state)


def below(bound: int, *key: int) -> int:
    """Return a draw in ``[0, bound)`` by multiply-shift (bias below ``bound / 2**64``)."""
    if bound <= 0:
        raise ValueError("bound must be positive")
    return (draw(*key) * bound) >> 64


def chance(millionths: int, *key: int) -> bool:
    """Return True with probability ``millionths / 10**6``."""
    return below(1_000_000, *key) < millionths


def from_quantiles(quantiles: Sequence[int], *key: int) -> int:
    """Sample an integer quantile table (ascending values at equal probability steps).

    Linear interpolation between neighbours in integers, so bytes never depend on libm.
    """
    if len(quantiles) < 2:
        raise ValueError("a quantile table needs two values")
    steps = len(quantiles) - 1
    position = draw(*key) * steps
    cell, fraction = position >> 64, position & _MASK
    low, high = quantiles[cell], quantiles[cell + 1]
    return low + (((high - low) * fraction) >> 64)


def pick_weighted(weights: Sequence[int], *key: int) -> int:
    """Return an index with probability proportional to non-negative integer ``weights``."""
    total, ends = 0, []
    for weight in weights:
        total += weight
        ends.append(total)
    return bisect_right(ends, below(total, *key))


EXPONENTIAL_STEPS = 4096
EXPONENTIAL_ONE = 1 << 20
"""Fixed-point one of ``exponential_table``."""


@lru_cache(maxsize=1)
def exponential_table() -> tuple[int, ...]:
    """Return quantiles of the exponential distribution with mean ``EXPONENTIAL_ONE``.

    ``-ln(1 - i/n)`` in decimal arithmetic, which is correctly rounded everywhere (no libm); the
    open end is cut at ``1 - 1/(4 n)`` and the table scaled so that its mean is exact.
    """
    n = EXPONENTIAL_STEPS
    with localcontext() as context:
        context.prec = 30
        raw = [-(Decimal(4 * (n - i) if i < n else 1) / (4 * n)).ln() for i in range(n + 1)]
        mean = sum(((a + b) / 2 for a, b in pairwise(raw)), Decimal(0)) / n
        return tuple(int((q * EXPONENTIAL_ONE / mean).to_integral_value()) for q in raw)


def exponential(mean: int, *key: int) -> int:
    """Return an exponential draw with the given mean, at least 1."""
    if mean <= 0:
        raise ValueError("mean must be positive")
    return max(1, mean * from_quantiles(exponential_table(), *key) // EXPONENTIAL_ONE)
