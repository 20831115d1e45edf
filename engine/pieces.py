"""How large the next piece of a bag is: drawn by key from a mix of sizes.

Rules as in ``engine.reference.history``.
"""

from engine.draw_kernel import word
from engine.kernel import kernel
from engine.state import G_PBO, HI_DRAWS

NR_SIZES, WEIGHT_BITS = 6, 8


@kernel
def next_word(h, key):
    """The command's next 64 random bits."""
    h.g[HI_DRAWS] += 1
    return word(key, h.g[HI_DRAWS] - 1)


@kernel
def weight(mix):
    """All weights of a mix."""
    total = 0
    for i in range(NR_SIZES):
        total += mix >> (WEIGHT_BITS * i) & 255
    return total


@kernel
def chunk_order(h, mix, pick):
    """Order of the chunk size that ``pick`` of all weights falls to."""
    size = NR_SIZES - 1  # the largest ones first: most histories are made of them
    left = weight(mix) - 1 - pick
    while left >= mix >> (WEIGHT_BITS * size) & 255:
        left -= mix >> (WEIGHT_BITS * size) & 255
        size -= 1
    return h.g[G_PBO] * size // (NR_SIZES - 1)
