"""Where the engines are known to differ: a sequence that a sweep of 9,116 random ones found.

It is to be told by the kernel's sources which engine is right; then it moves to the stories.
"""

import pytest

from tests.engine.bench import Bench, MismatchError, make_shape, table_of
from tests.engine.commands import long_passes


@pytest.mark.xfail(strict=True, raises=MismatchError)
def test_how_often_kswapd_is_woken_under_the_rules_of_6_12() -> None:
    """Pages of a pass that go to a zone below its low mark: 15 wakes, the fast engine counts 16."""
    cells = {
        "PIN_FAILURE": 1, "MIGRATE_TRIES": 10, "VFIO_CALL_PAGES": 5, "OFFLINE_RULE": 1,
        "OFFLINE_BOUND_NS": 120_000_000_000, "OFFLINE_MAX_ERRORS": 5, "PCP_RULE": 2,
        "MOVABLE_MARK_CAPPED": 1, "THP_FAIL_PAGES": 512, "HUGETLB_PIN_MIGRATES": 1, "PCP_THP": 1,
        "GATHER_IN_ORDER": 1, "IOU_FOLIO_PINS": 1, "COMPACT_ISOLATED_SHIFT": 4,
        "SPLIT_COUNTS_FAIL": 1, "PIN_RETRIES": 1, "PIN_REVOCABLE": 1, "FILE_PIN": 2,
        "HUGETLB_COUNTS_PAGES": 1, "HUGETLB_POOL_BATCHED": 1, "PIN_POOL_MILLIONTHS": 300_000,
        "RECLAIM_BY_ZONE": 1, "GIGANTIC_STRADDLE_FAILS": 1, "PCP_BATCH_SCALE": 5,
    }  # fmt: skip
    bench = Bench(make_shape("RNNMMM-", order=4), table_of(cells), long_passes(4), full_every=1)
    bench.replay([
        [0, 1],  # SPAWN
        [0, 1, 1],  # SPAWN
        [0, 1, 2],  # SPAWN
        [0, 2, 1, 1, 2, 146],  # MAP
        [0, 3, 1, 0, 146, -1],  # TOUCH
        [0, 2, 2, 2, 1, 182, 1],  # MAP
        [3360001, 11, 6, 1, 1],  # ONLINE
        [5060001, 2, 4, 0, 3, 12],  # MAP
        [5060001, 3, 4, 0, 12, -1, -1],  # TOUCH
        [17060002, 7, 1],  # EXIT
        [21760003, 2, 1, 2, 0, 41, 2],  # MAP
        [23460003, 3, 1, 0, 41, -1, -1],  # TOUCH
        [24571003, 3, 2, 159, 22, 0, -1],  # TOUCH
        [24572003, 12, 29, 4, 2],  # OFFLINE
        [27572004, 2, 5, 0, 0, 11],  # MAP
        [27572004, 3, 5, 0, 11, -1, -1],  # TOUCH
        [33572007, 30, -1, 3, -1],  # NR_HUGEPAGES
        [51032009, 8, 4, 1, 0, 41, 2, 1],  # PIN
        [62902011, 21, 5, 3658798864938832901, 8, 7, 7, 158329676318804],  # AGE
        [68602013, 12, 78, 3, 2],  # OFFLINE
        [77602013, 1048576],  # time passes
    ])  # fmt: skip
