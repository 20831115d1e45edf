"""Where the engines are known to differ: a sequence that a sweep of 2,058 random ones found.

It is to be told by the kernel's sources which engine is right; then it moves to the stories.
"""

import pytest

from tests.engine.bench import Bench, MismatchError, make_shape, table_of
from tests.engine.commands import long_passes


@pytest.mark.xfail(strict=True, raises=MismatchError)
def test_where_a_pin_finds_a_page_while_kswapd_has_turns() -> None:
    """The last pin (RDMA, of pages that a fork shares) takes one page from another block."""
    cells = {
        "FAULT_FLAG_ANON": 1, "FAULT_FLAG_THP": 1, "FAULT_FLAG_FILE": 1, "FAULT_FLAG_HUGETLB": 1,
        "PIN_MIGRATES": 1, "MIGRATE_TRIES": 10, "VFIO_CALL_PAGES": 512, "OFFLINE_RULE": 2,
        "OFFLINE_BOUND_NS": 20_000_000_000, "PCP_RULE": 1, "THP_FAIL_PAGES": 512,
        "HUGETLB_PIN_MIGRATES": 1, "COMPACT_ISOLATED_SHIFT": 1, "SPLIT_COUNTS_FAIL": 1,
        "PIN_RETRIES": 1, "FAULT_FLAG_SHMEM": 1, "FILE_PIN": 1, "HUGETLB_COUNTS_PAGES": 1,
        "FAULT_FLAG_ZERO": 1, "FAULT_FLAG_HZP": 1, "FAULT_FLAG_COW": 1,
        "GIGANTIC_STRADDLE_FAILS": 1, "PCP_BATCH_SCALE": 5,
    }  # fmt: skip
    shape = make_shape("DNNNMMMM-", order=2, thp=True, turns=(5, 64, 2))
    bench = Bench(shape, table_of(cells), long_passes(4), full_every=1)
    bench.replay([
        [0, 1],  # SPAWN
        [0, 1, 1],  # SPAWN
        [0, 1, 2],  # SPAWN
        [0, 2, 0, 0, 3, 3],  # MAP
        [0, 3, 0, 0, 3, -1, -1],  # TOUCH
        [0, 2, 1, 1, 2, 60],  # MAP
        [0, 2, 2, 2, 1, 3],  # MAP
        [0, 3, 2, 0, 3, -1],  # TOUCH
        [0, 19, 0, 5],  # POOL
        [3251001, 2, 3, 2, 0, 10, 1],  # MAP
        [6497249, 3, 3, 8, 1, -1, -1],  # TOUCH
        [6557249, 2, 4, 2, 1, 36, 2],  # MAP
        [9807250, 42, 5, 2, 1],  # FORK
        [12807251, 3, 2, 1, 1, -1, -1],  # TOUCH
        [12867251, 11, 8, 1, 1],  # ONLINE
        [18867253, 8, 1, 4, 8, 1],  # PIN
        [27867253, 2, 6, 2, 3, 5, 3],  # MAP
        [29567253, 9, 1],  # UNPIN
        [42767255, 21, 6, 4074952547882097624, 1, 2, 4, 118774269692928],  # AGE
        [43017255, 8, 3, 1, 52, 4, 2, -1],  # PIN
        [43817255, 2, 7, 1, 2, 32],  # MAP
        [46817256, 3, 7, 0, 32, -1, -1],  # TOUCH
        [46877256, 8, 1, 2, 0, 3, 1, -1],  # PIN
        [46877256, 5, 2, 0, 1, -1],  # FREE
        [48577256, 3, 2, 0, 3, -1],  # TOUCH
        [65278258, 8, 2, 3, 5, 1, 1, -1],  # PIN
        [86279259, 8, 4, 1, 20, 35, 3, -1],  # PIN
        [86279259, 8, 5, 5, 0, 2, 2, -1],  # PIN
    ])  # fmt: skip
