"""Where the engines are known to differ: sequences that a sweep of 9,116 random ones found.

Each is to be told by the kernel's sources which engine is right; then it moves to the stories.
"""

import numpy as np
import pytest

from engine.shape import HostShape
from tests.engine.bench import Bench, MismatchError, table_of


@pytest.mark.xfail(strict=True, raises=MismatchError)
def test_a_pin_that_waits_for_a_held_huge_page() -> None:
    costs = np.array(
        [
            800,
            150000,
            67,
            5700,
            500,
            74,
            16400,
            1200,
            190000,
            870,
            104500,
            280000,
            2000000,
            8000,
            500,
            100000000,
            100,
            2000,
            0,
            0,
            8000,
            15300,
            0,
            0,
            0,
            0,
            0,
            0,
            300000,
            50000000,
            0,
            0,
        ]
    )
    bench = Bench(
        HostShape(
            pageblock_order=3,
            block_pages=32,
            block_node=(0, 0, 0, 0, 0, 0, 0, 0),
            block_zone=(1, 1, 2, 2, 2, 2, 2, -1),
            block_reserved=(0, 0, 0, 0, 0, 0, 0, 0),
            cpu_node=(0,),
            thp=True,
            dma=True,
            gigantic_pageblocks=512,
            turns=(0, 0, 0),
        ),
        table_of(
            {
                "FAULT_FLAG_ANON": 1,
                "FAULT_FLAG_THP": 1,
                "FAULT_FLAG_FILE": 1,
                "FAULT_FLAG_HUGETLB": 1,
                "PIN_MIGRATES": 1,
                "ISOLATED_UNPINNABLE": 1,
                "MIGRATE_TRIES": 10,
                "VFIO_CALL_PAGES": 9,
                "THP_FAIL_PAGES": 1,
                "HUGETLB_PIN_MIGRATES": 1,
                "SPLIT_TAILS_LAST": 1,
                "COMPACT_ISOLATED_SHIFT": 1,
                "PIN_ISOLATION": 1,
                "PIN_RETRIES": 3,
                "PIN_WAIT_NS": 500000,
                "FAULT_FLAG_SHMEM": 1,
                "FILE_PIN": 1,
                "FAULT_FLAG_ZERO": 1,
                "FAULT_FLAG_HZP": 1,
                "FAULT_FLAG_COW": 1,
            }
        ),
        costs,
        full_every=1,
    )
    bench.replay(
        [
            [0, 1],  # SPAWN
            [0, 1, 1],  # SPAWN
            [0, 1, 2],  # SPAWN
            [0, 2, 1, 1, 2, 58, 1],  # MAP
            [0, 3, 1, 0, 58, -1, -1],  # TOUCH
            [0, 2, 2, 2, 1, 82],  # MAP
            [0, 3, 2, 0, 82, -1, -1],  # TOUCH
            [9121000, 12, 13, 6, 1],  # OFFLINE
            [9121000, 10, 3, 2, 22, 16],  # HOLD
            [14320001, 8, 2, 2, 0, 63, 0, 1],  # PIN
            [36533001, 5, 1, 24, 27, 1],  # FREE
            [36783001, 2, 3, 0, 1, 32, 1],  # MAP
            [36783001, 3, 3, 0, 32, -1, -1],  # TOUCH
            [41543003, 24, 3, 250000000000, 8, 1, 3316304580985182412],  # IO
            [54593004, 12, 48, 2, 1],  # OFFLINE
            [57093004, 1, 2],  # SPAWN
        ]
    )


@pytest.mark.xfail(strict=True, raises=MismatchError)
def test_how_often_kswapd_is_woken_on_6_12() -> None:
    costs = np.array(
        [
            800,
            150000,
            67,
            5700,
            500,
            74,
            16400,
            1200,
            190000,
            870,
            104500,
            700000,
            800000,
            8000,
            500,
            100000000,
            100,
            2000,
            0,
            0,
            8000,
            15300,
            0,
            0,
            0,
            0,
            0,
            0,
            300000,
            50000000,
            0,
            0,
        ]
    )
    bench = Bench(
        HostShape(
            pageblock_order=4,
            block_pages=64,
            block_node=(0, 0, 0, 0, 0, 0, 0),
            block_zone=(1, 1, 1, 2, 2, 2, -1),
            block_reserved=(1, 0, 0, 0, 0, 0, 0),
            cpu_node=(0,),
            thp=False,
            dma=False,
            gigantic_pageblocks=512,
            turns=(0, 0, 0),
        ),
        table_of(
            {
                "PIN_FAILURE": 1,
                "MIGRATE_TRIES": 10,
                "VFIO_CALL_PAGES": 5,
                "OFFLINE_RULE": 1,
                "OFFLINE_BOUND_NS": 120000000000,
                "OFFLINE_MAX_ERRORS": 5,
                "PCP_RULE": 2,
                "MOVABLE_MARK_CAPPED": 1,
                "THP_FAIL_PAGES": 512,
                "HUGETLB_PIN_MIGRATES": 1,
                "PCP_THP": 1,
                "GATHER_IN_ORDER": 1,
                "IOU_FOLIO_PINS": 1,
                "COMPACT_ISOLATED_SHIFT": 4,
                "SPLIT_COUNTS_FAIL": 1,
                "PIN_RETRIES": 1,
                "PIN_REVOCABLE": 1,
                "FILE_PIN": 2,
                "HUGETLB_COUNTS_PAGES": 1,
                "HUGETLB_POOL_BATCHED": 1,
                "PIN_POOL_MILLIONTHS": 300000,
                "RECLAIM_BY_ZONE": 1,
                "GIGANTIC_STRADDLE_FAILS": 1,
                "PCP_BATCH_SCALE": 5,
            }
        ),
        costs,
        full_every=1,
    )
    bench.replay(
        [
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
        ]
    )
