"""The keyed draws of ``engine.draws`` for compiled code."""

import numpy as np

from engine.kernel import kernel, scalar

GAMMA, M1, M2 = (
    np.uint64(0x9E3779B97F4A7C15),
    np.uint64(0xBF58476D1CE4E5B9),
    np.uint64(0x94D049BB133111EB),
)
S30, S27, S31, S32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)
LOW = np.uint64(0xFFFFFFFF)


@scalar
def mix(x):
    """SplitMix64 finaliser."""
    x = x + GAMMA
    x = (x ^ (x >> S30)) * M1
    x = (x ^ (x >> S27)) * M2
    return x ^ (x >> S31)


@kernel
def below(bound, k0, k1, k2, k3):
    """Draw in [0, bound) for a key of four words; equals ``engine.draws.below``."""
    state = mix(np.uint64(0) ^ np.uint64(k0))
    state = mix(state ^ np.uint64(k1))
    state = mix(state ^ np.uint64(k2))
    state = mix(state ^ np.uint64(k3))
    return scaled(mix(state), bound)


@kernel
def word(k0, k1):
    """64 random bits for a key of two words, as ``engine.draws.draw``."""
    state = mix(np.uint64(0) ^ np.uint64(k0))
    return np.int64(mix(mix(state ^ np.uint64(k1))))


@kernel
def scaled_word(bits, bound):
    """Scale 64 bits to [0, bound)."""
    return scaled(np.uint64(bits), bound)


@scalar
def scaled(state, bound):
    """Multiply-shift of 64 random bits to [0, bound)."""
    # high word of the 64 x 32 bit product: bounds are below 2**32
    b = np.uint64(bound)
    high, low = (state >> S32) * b, (state & LOW) * b
    return np.int64((high + (low >> S32)) >> S32)
