"""The byte of a pageblock's record that holds its flags and its migratetype.

MAXORDER says something about free pageblocks alone, ISOLATED and DEFERRED about those of an area,
GIGANTIC about all. So who takes or frees a pageblock leaves them as they are: what becomes free, an
area's or a pool's gets its flags then. Only a gigantic folio that is no more loses its flag.
"""

from engine.kernel import kernel
from engine.state import PS_FLAG, TYPE_BITS, TYPE_SHIFT


@kernel
def mt_of(h, pb):
    """Migratetype of a pageblock."""
    return (h.pbs[pb, PS_FLAG] & TYPE_BITS) >> TYPE_SHIFT ^ 1


@kernel
def set_mt(h, pb, mt):
    """Give a pageblock a migratetype."""
    h.pbs[pb, PS_FLAG] = (h.pbs[pb, PS_FLAG] & ~TYPE_BITS) | (mt ^ 1) << TYPE_SHIFT


@kernel
def set_flags(h, pb, flags):
    """Give a pageblock these flags and no others."""
    h.pbs[pb, PS_FLAG] = (h.pbs[pb, PS_FLAG] & TYPE_BITS) | flags
