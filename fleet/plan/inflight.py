"""Direct I/O in flight: from a kind's rate and hold time to a density of a workload's pages."""

from collections.abc import Sequence

import numpy as np

from fleet.plan.draws import Column
from fleet.scenario import workloads as asked

DENSITY = 10**12
"""``io_density`` counts I/Os in flight per so many pages."""
MOST_DENSITY = 8 * DENSITY // 512
"""Eight I/Os in flight over each 2 MiB: what the engine draws at most."""


def io_columns(
    kinds: Sequence[asked.WorkloadKind], kind: Column, resident_pages: Column
) -> dict[str, Column]:
    """Return the ``io_`` columns of ``Workloads``: rate x hold time per resident page.

    ``resident_pages`` are the pages touched at start, pinned or not.
    """
    profiles = [k.io for k in kinds]
    in_flight = [io.hold_ns * DENSITY // io.interval_ns if io else 0 for io in profiles]
    most = np.iinfo(np.int64).max
    flying = np.array([min(n, most) for n in in_flight], np.int64)[kind]
    density = np.minimum(flying // np.maximum(resident_pages, 1), MOST_DENSITY)
    return {
        "io_density": np.where(resident_pages > 0, density, 0),
        "io_pages": np.array([io.pages if io else 0 for io in profiles], np.int64)[kind],
        "io_hold_ns": np.array([io.hold_ns if io else 0 for io in profiles], np.int64)[kind],
        "io_before_pin": np.array([bool(io and io.before_pin) for io in profiles], np.int64)[kind],
    }
