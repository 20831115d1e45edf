"""Kernel profiles: what plain kernels do, cell by cell.

Kernel versions in sources are the trees that were read; behaviour marked "observed" was
recorded on Debian's unmodified 5.10.223, 6.1.176 and 6.12.117 kernels.
"""

from engine.enums import (
    Cell,
    FilePin,
    OfflineRule,
    OfflineTarget,
    PcpRule,
    PinFailure,
    PinIsolation,
)
from policies.models import Profile, Setting

_MOVABLE_MASK_510 = "mm/gup.c __gup_longterm_locked, 5.10.35: only PF_MEMALLOC_NOCMA is set"
_PIN_MASK_61 = "include/linux/sched/mm.h current_gfp_context, 6.1: PF_MEMALLOC_PIN clears MOVABLE"
_PIN_MASK_612 = "include/linux/sched/mm.h current_gfp_context, 6.12: PF_MEMALLOC_PIN clears MOVABLE"
_RETRY_510 = "mm/migrate.c migrate_pages, 5.10.35: ten passes, forced from the fourth"
_RETRY_61 = "mm/migrate.c migrate_pages, 6.1: ten passes, forced from the fourth"
_NO_BOUND = "mm/memory_hotplug.c offline_pages: no retry counter, no timeout, only signals"
_NO_MADVISE = "no such madvise advice in include/uapi/asm-generic/mman-common.h"
_STRADDLE = (
    "mm/page_isolation.c isolate_single_pageblock (since commit b2c9e2fbba32, 5.19): what crosses"
    " the end is to be migrated first; mm/hugetlb.c isolate_or_dissolve_huge_page: -ENOMEM for"
    " gigantic pages"
)
_NO_POOL = "mm/page_alloc.c: no memory is kept for long-term pins"
_NO_RETURN = "mm/gup.c unpin_user_pages: pages stay where they are"
_NO_REVOKE = "mm/memory_hotplug.c: no notifier reaches who pinned with FOLL_LONGTERM"
_MARKS = (
    "mm/page_alloc.c __setup_per_zone_wmarks: the zone's share; observed 2440 pages for 256 MiB"
)

LINUX_5_10 = Profile(
    "linux-5.10",
    "before the pin fix: long-term pins stay in ZONE_MOVABLE",
    {
        Cell.FAULT_FLAG_ANON: Setting(0, _MOVABLE_MASK_510),
        Cell.FAULT_FLAG_THP: Setting(0, _MOVABLE_MASK_510),
        Cell.FAULT_FLAG_FILE: Setting(0, _MOVABLE_MASK_510),
        Cell.FAULT_FLAG_HUGETLB: Setting(
            0, "mm/hugetlb.c dequeue_huge_page_node_exact, 5.10.35: only CMA pages are skipped"
        ),
        Cell.PIN_MIGRATES: Setting(
            0, "mm/gup.c check_and_migrate_cma_pages, 5.10.35: only CMA pages are migrated"
        ),
        Cell.PIN_FAILURE: Setting(
            PinFailure.PIN_IN_PLACE,
            "mm/gup.c check_and_migrate_cma_pages, 5.10.35: pins anyway after a failed migration",
        ),
        Cell.PIN_DENIED: Setting(0, "mm/gup.c, 5.10.35: no zone test refuses a pin"),
        Cell.HINT_HONOURED: Setting(0, _NO_MADVISE + ", 5.10.35"),
        Cell.ISOLATED_UNPINNABLE: Setting(
            0, "mm/gup.c, 5.10.35: no test of the pageblock's type but is_migrate_cma_page"
        ),
        Cell.MIGRATE_TRIES: Setting(10, _RETRY_510),
        Cell.VFIO_CALL_PAGES: Setting(
            1, "drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, 5.10.35: one page per call"
        ),
        Cell.OFFLINE_RULE: Setting(OfflineRule.UNBOUNDED, _NO_BOUND + ", 5.10.35"),
        Cell.OFFLINE_BOUND_NS: Setting(0, _NO_BOUND + ", 5.10.35"),
        Cell.OFFLINE_MAX_ERRORS: Setting(0, _NO_BOUND + ", 5.10.35"),
        Cell.PCP_HIGH_PAGES: Setting(0, "vm.percpu_pagelist_fraction is 0 by default, 5.10.35"),
        Cell.PCP_RULE: Setting(
            PcpRule.BATCH_TIMES_6, "mm/page_alloc.c pageset_set_batch, 5.10.35: high = 6 * batch"
        ),
        Cell.MOVABLE_MARK_CAPPED: Setting(0, _MARKS + " (5.10.223)"),
        Cell.THP_FAIL_PAGES: Setting(
            1,
            "mm/migrate.c migrate_pages, 5.10.35: nr_failed counts a THP once; observed on 5.10.223"
            " (16 pinned THPs: nr_failed=16)",
        ),
        Cell.HUGETLB_PIN_MIGRATES: Setting(
            1, "mm/gup.c check_and_migrate_cma_pages, 5.10.35: isolates huge pages like others"
        ),
        Cell.PCP_THP: Setting(
            0, "mm/page_alloc.c rmqueue, 5.10.35: order 0 only; none observed on 5.10.223"
        ),
        Cell.SPLIT_TAILS_LAST: Setting(
            1,
            "mm/migrate.c migrate_pages, 5.10.35: tails go to the end of the list; observed on"
            " 5.10.223 (a full host: 7 THPs moved, all 56 others split in the first pass)",
        ),
        Cell.OFFLINE_TARGET: Setting(
            OfflineTarget.OTHER_NODES,
            "mm/memory_hotplug.c do_migrate_range, 5.10.35: all memory nodes but the source, unless"
            " it is the sole one; observed on 5.10.223 (loops beside empty blocks of its own node)",
        ),
        Cell.PIN_ISOLATION: Setting(
            PinIsolation.PIN_IN_PLACE,
            "mm/gup.c check_and_migrate_cma_pages, 5.10.35: what isolate_lru_page refuses stays",
        ),
        Cell.PIN_RETRIES: Setting(
            1, "mm/gup.c check_and_migrate_cma_pages, 5.10.35: one migrate_pages call"
        ),
        Cell.PIN_WAIT_NS: Setting(0, "mm/gup.c, 5.10.35: waits for nothing"),
        Cell.UNPIN_RETURNS: Setting(0, _NO_RETURN + ", 5.10.35"),
        Cell.PIN_POOL_MILLIONTHS: Setting(0, _NO_POOL + ", 5.10.35"),
        Cell.PIN_REVOCABLE: Setting(0, _NO_REVOKE + ", 5.10.35"),
        Cell.OFFLINE_PAUSE_NS: Setting(0, _NO_BOUND + ", 5.10.35"),
        Cell.OFFLINE_PAUSE_MAX_NS: Setting(0, _NO_BOUND + ", 5.10.35"),
        Cell.OFFLINE_UNMAPS: Setting(0, _NO_REVOKE + ", 5.10.35"),
        Cell.FAULT_FLAG_SHMEM: Setting(0, _MOVABLE_MASK_510),
        Cell.FAULT_FLAG_ZERO: Setting(0, _MOVABLE_MASK_510),
        Cell.FAULT_FLAG_HZP: Setting(0, _MOVABLE_MASK_510),
        Cell.FAULT_FLAG_COW: Setting(0, _MOVABLE_MASK_510),
        Cell.HZP_WRITE_THP: Setting(
            0,
            "mm/huge_memory.c do_huge_pmd_wp_page, 5.10.35: it is split, base pages follow",
        ),
        Cell.FILE_PIN: Setting(
            FilePin.IO_URING_REFUSES,
            "fs/io_uring.c io_sqe_buffer_register, 5.10.223: mappings with a file but shmem's and"
            " hugetlbfs's; observed on 5.10.223 (EOPNOTSUPP with all pages pinned and released)",
        ),
        Cell.GATHER_IN_ORDER: Setting(
            0,
            "mm/swap.c release_pages, 5.10.35: a list that is filled at its head",
        ),
        Cell.IOU_FOLIO_PINS: Setting(
            0,
            "fs/io_uring.c io_sqe_buffer_register, 5.10.35: every page stays pinned",
        ),
        Cell.COMPACT_ISOLATED_SHIFT: Setting(
            1,
            "mm/compaction.c too_many_isolated, 5.10.35: half of active and inactive pages",
        ),
        Cell.SPLIT_COUNTS_FAIL: Setting(
            0,
            "mm/migrate.c migrate_pages, 5.10.35: counts only what could not be split",
        ),
        Cell.HUGETLB_COUNTS_PAGES: Setting(
            0,
            "mm/migrate.c migrate_pages, 5.10.35: nr_succeeded counts a huge page once; observed on"
            " 5.10.223 (16 hugetlb pages a call: nr_succeeded=16)",
        ),
        Cell.RECLAIM_BY_ZONE: Setting(
            0,
            "mm/vmscan.c shrink_inactive_list, 5.10: one list per node, what is oldest first;"
            " observed on 5.10.223 (a file larger than memory)",
        ),
        Cell.HUGETLB_POOL_BATCHED: Setting(
            0, "mm/hugetlb.c alloc_pool_huge_page, 5.10.35: each page is enqueued by itself"
        ),
        Cell.GIGANTIC_STRADDLE_FAILS: Setting(
            0,
            "mm/page_isolation.c start_isolate_page_range, 5.10: pageblock by pageblock, no look at"
            " what reaches over the end",
        ),
        Cell.PCP_BATCH_SCALE: Setting(
            0,
            "mm/page_alloc.c free_unref_page_commit, 5.10.35: one batch (more since commit"
            " 3b12e7e97938, 5.13)",
        ),
    },
)

LINUX_6_1 = Profile(
    "linux-6.1",
    "with the pin fix of 5.13: long-term pins leave ZONE_MOVABLE or fail",
    {
        Cell.FAULT_FLAG_ANON: Setting(1, _PIN_MASK_61),
        Cell.FAULT_FLAG_THP: Setting(1, _PIN_MASK_61),
        Cell.FAULT_FLAG_FILE: Setting(1, _PIN_MASK_61),
        Cell.FAULT_FLAG_HUGETLB: Setting(
            1,
            "mm/hugetlb.c dequeue_huge_page_node_exact, 6.1: unpinnable pool pages are skipped",
        ),
        Cell.PIN_MIGRATES: Setting(
            1, "mm/gup.c check_and_migrate_movable_pages, 6.1.166; observed on 6.1.176"
        ),
        Cell.PIN_FAILURE: Setting(
            PinFailure.ENOMEM,
            "mm/gup.c migrate_longterm_unpinnable_pages, 6.1.166: all pins dropped, -ENOMEM;"
            " observed on 6.1.176 (one foreign reference among 8192 pages)",
        ),
        Cell.PIN_DENIED: Setting(0, "mm/gup.c, 6.1.166: no zone test refuses a pin"),
        Cell.HINT_HONOURED: Setting(0, _NO_MADVISE + ", 6.1.166"),
        Cell.ISOLATED_UNPINNABLE: Setting(
            1,
            "include/linux/mm.h is_longterm_pinnable_page, 6.1.166, CONFIG_CMA: MIGRATE_ISOLATE"
            " is not pinnable",
        ),
        Cell.MIGRATE_TRIES: Setting(10, _RETRY_61),
        Cell.VFIO_CALL_PAGES: Setting(
            512,
            "drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, commit 4d83de6da265: one page"
            " of page pointers per call",
        ),
        Cell.OFFLINE_RULE: Setting(OfflineRule.UNBOUNDED, _NO_BOUND + ", 6.1.166"),
        Cell.OFFLINE_BOUND_NS: Setting(0, _NO_BOUND + ", 6.1.166"),
        Cell.OFFLINE_MAX_ERRORS: Setting(0, _NO_BOUND + ", 6.1.166"),
        Cell.PCP_HIGH_PAGES: Setting(
            0, "vm.percpu_pagelist_high_fraction is 0 by default, 6.1.166"
        ),
        Cell.PCP_RULE: Setting(
            PcpRule.LOW_MARK,
            "mm/page_alloc.c zone_highsize, 6.1: low watermark / local CPUs, at least 4 * batch;"
            " sizes observed on 6.1.176",
        ),
        Cell.MOVABLE_MARK_CAPPED: Setting(0, _MARKS + " (6.1.176)"),
        Cell.THP_FAIL_PAGES: Setting(
            512,
            "mm/migrate.c migrate_pages, 6.1: nr_failed_pages counts the base pages; observed on"
            " 6.1.176 (16 pinned THPs: nr_failed=8192)",
        ),
        Cell.HUGETLB_PIN_MIGRATES: Setting(
            0,
            "mm/hugetlb.c follow_hugetlb_page, observed on 6.1.176: -ENOMEM and a warning, nothing"
            " is migrated (a defect of 6.1, gone in 6.12)",
        ),
        Cell.PCP_THP: Setting(
            1,
            "mm/page_alloc.c pcp_allowed_order, 6.1 (since commit 44042b449872, 5.14); 12 THPs"
            " observed on 6.1.176",
        ),
        Cell.SPLIT_TAILS_LAST: Setting(
            0,
            "mm/migrate.c migrate_pages, 6.1: tails go to a list of their own; observed on 6.1.176"
            " (a full host: 10 THPs moved, 2 split, their tails moved at once)",
        ),
        Cell.OFFLINE_TARGET: Setting(
            OfflineTarget.OTHER_NODES,
            "mm/memory_hotplug.c do_migrate_range, 6.1.166: all memory nodes but the source, unless"
            " it is the sole one; observed on 6.1.176 (loops beside empty blocks of its own node)",
        ),
        Cell.PIN_ISOLATION: Setting(
            PinIsolation.WAIT,
            "mm/gup.c __gup_longterm_locked, 6.1.166: -EAGAIN where a page was not isolated, and"
            " the loop has no bound",
        ),
        Cell.PIN_RETRIES: Setting(
            1, "mm/gup.c migrate_longterm_unpinnable_pages, 6.1.166: one migrate_pages call"
        ),
        Cell.PIN_WAIT_NS: Setting(0, "mm/gup.c, 6.1.166: waits for nothing"),
        Cell.UNPIN_RETURNS: Setting(0, _NO_RETURN + ", 6.1.166"),
        Cell.PIN_POOL_MILLIONTHS: Setting(0, _NO_POOL + ", 6.1.166"),
        Cell.PIN_REVOCABLE: Setting(0, _NO_REVOKE + ", 6.1.166"),
        Cell.OFFLINE_PAUSE_NS: Setting(0, _NO_BOUND + ", 6.1.166"),
        Cell.OFFLINE_PAUSE_MAX_NS: Setting(0, _NO_BOUND + ", 6.1.166"),
        Cell.OFFLINE_UNMAPS: Setting(0, _NO_REVOKE + ", 6.1.166"),
        Cell.FAULT_FLAG_SHMEM: Setting(1, _PIN_MASK_61),
        Cell.FAULT_FLAG_ZERO: Setting(1, _PIN_MASK_61),
        Cell.FAULT_FLAG_HZP: Setting(1, _PIN_MASK_61),
        Cell.FAULT_FLAG_COW: Setting(1, _PIN_MASK_61),
        Cell.HZP_WRITE_THP: Setting(
            0, "mm/huge_memory.c do_huge_pmd_wp_page, 6.1: it is split, base pages follow"
        ),
        Cell.FILE_PIN: Setting(
            FilePin.IO_URING_REFUSES,
            "io_uring/rsrc.c io_pin_pages, 6.1: mappings with a file but shmem's and hugetlbfs's;"
            " observed on 6.1.176 (EOPNOTSUPP after the pages were moved out of MOVABLE)",
        ),
        Cell.GATHER_IN_ORDER: Setting(
            0,
            "mm/swap.c release_pages, 6.1: a list that is filled at its head",
        ),
        Cell.IOU_FOLIO_PINS: Setting(
            0,
            "io_uring/rsrc.c io_sqe_buffer_register, 6.1: every page stays pinned; observed on "
            "6.1.176",
        ),
        Cell.COMPACT_ISOLATED_SHIFT: Setting(
            1,
            "mm/compaction.c too_many_isolated, 6.1: half of active and inactive pages; observed on"
            " 6.1.176 (a pin of 64 MiB of THP among pinned pages splits eight of them)",
        ),
        Cell.SPLIT_COUNTS_FAIL: Setting(
            1,
            "mm/migrate.c migrate_pages, 6.1: counts before it splits; observed on 6.1.176",
        ),
        Cell.HUGETLB_COUNTS_PAGES: Setting(
            1,
            "mm/migrate.c migrate_pages, 6.1: nr_succeeded += nr_subpages; observed on 6.1.176 (16"
            " hugetlb pages a call: nr_succeeded=8192)",
        ),
        Cell.RECLAIM_BY_ZONE: Setting(
            0,
            "mm/vmscan.c shrink_inactive_list, 6.1: one list per node, what is oldest first;"
            " observed on 6.1.176 (a file larger than memory)",
        ),
        Cell.HUGETLB_POOL_BATCHED: Setting(
            0, "mm/hugetlb.c alloc_pool_huge_page, 6.1: each page is enqueued by itself"
        ),
        Cell.GIGANTIC_STRADDLE_FAILS: Setting(1, _STRADDLE),
        Cell.PCP_BATCH_SCALE: Setting(
            5,
            "mm/page_alloc.c nr_pcp_free, 6.1 (since commit 3b12e7e97938, 5.13), limited by"
            " CONFIG_PCP_BATCH_SCALE_MAX (6.1.104)",
        ),
    },
)

LINUX_6_12 = Profile(
    "linux-6.12",
    "as 6.1, with per-CPU lists that grow by themselves and hugetlb pages that move at a pin",
    {
        Cell.FAULT_FLAG_ANON: Setting(1, _PIN_MASK_612),
        Cell.FAULT_FLAG_THP: Setting(1, _PIN_MASK_612),
        Cell.FAULT_FLAG_FILE: Setting(1, _PIN_MASK_612),
        Cell.FAULT_FLAG_HUGETLB: Setting(
            1,
            "mm/hugetlb.c dequeue_hugetlb_folio_node_exact, 6.12: unpinnable pool pages are"
            " skipped",
        ),
        Cell.PIN_MIGRATES: Setting(
            1, "mm/gup.c check_and_migrate_movable_folios, 6.12; observed on 6.12.117"
        ),
        Cell.PIN_FAILURE: Setting(
            PinFailure.ENOMEM,
            "mm/gup.c migrate_longterm_unpinnable_folios, 6.12: all pins dropped, -ENOMEM;"
            " observed on 6.12.117 (one foreign reference among 8192 pages)",
        ),
        Cell.PIN_DENIED: Setting(
            0, "mm/gup.c, 6.12: no zone test refuses a pin of anonymous pages"
        ),
        Cell.HINT_HONOURED: Setting(0, _NO_MADVISE + ", 6.12"),
        Cell.ISOLATED_UNPINNABLE: Setting(
            1,
            "include/linux/mm.h folio_is_longterm_pinnable, 6.12, CONFIG_CMA: MIGRATE_ISOLATE is"
            " not pinnable",
        ),
        Cell.MIGRATE_TRIES: Setting(
            10,
            "mm/migrate.c, 6.12: NR_MAX_MIGRATE_ASYNC_RETRY 3 over the batch, then"
            " NR_MAX_MIGRATE_SYNC_RETRY 7 over each folio that is left",
        ),
        Cell.VFIO_CALL_PAGES: Setting(
            512,
            "drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, commit 4d83de6da265: one page"
            " of page pointers per call",
        ),
        Cell.OFFLINE_RULE: Setting(OfflineRule.UNBOUNDED, _NO_BOUND + ", 6.12.15"),
        Cell.OFFLINE_BOUND_NS: Setting(0, _NO_BOUND + ", 6.12.15"),
        Cell.OFFLINE_MAX_ERRORS: Setting(0, _NO_BOUND + ", 6.12.15"),
        Cell.PCP_HIGH_PAGES: Setting(0, "vm.percpu_pagelist_high_fraction is 0 by default, 6.12"),
        Cell.PCP_RULE: Setting(
            PcpRule.ZONE_EIGHTH,
            "mm/page_alloc.c zone_set_pageset_high_and_batch, 6.12 (commit 90b41691b988, 6.7):"
            " between low watermark / local CPUs and managed / 8 / local CPUs, tuned by"
            " nr_pcp_alloc and nr_pcp_high; sizes observed on 6.12.117",
        ),
        Cell.MOVABLE_MARK_CAPPED: Setting(
            1,
            "mm/page_alloc.c __setup_per_zone_wmarks, 6.12:"
            " ZONE_MOVABLE as highmem; observed 64 pages for 256 MiB (6.12.117)",
        ),
        Cell.THP_FAIL_PAGES: Setting(
            512,
            "mm/migrate.c migrate_pages_batch, 6.12: nr_failed_pages counts the base pages",
        ),
        Cell.HUGETLB_PIN_MIGRATES: Setting(
            1,
            "mm/gup.c collect_longterm_unpinnable_folios, 6.12: isolates hugetlb folios like"
            " others; observed on 6.12.117",
        ),
        Cell.PCP_THP: Setting(
            1,
            "mm/page_alloc.c pcp_allowed_order, 6.12 (since commit 44042b449872, 5.14); 18 THPs"
            " observed on 6.12.117",
        ),
        Cell.SPLIT_TAILS_LAST: Setting(
            0,
            "mm/migrate.c migrate_pages_batch, 6.12: split folios go to a list of their own, tried"
            " once after the batch",
        ),
        Cell.OFFLINE_TARGET: Setting(
            OfflineTarget.OTHER_NODES,
            "mm/memory_hotplug.c do_migrate_range, 6.12.15: all memory nodes but the source, unless"
            " it is the sole one; observed on 6.12.117 (loops beside empty blocks of its own node)",
        ),
        Cell.PIN_ISOLATION: Setting(
            PinIsolation.WAIT,
            "mm/gup.c __gup_longterm_locked, 6.12.117: -EAGAIN where a folio was not isolated, and"
            " the loop has no bound (6.12.15 pinned such folios in place)",
        ),
        Cell.PIN_RETRIES: Setting(
            1, "mm/gup.c migrate_longterm_unpinnable_folios, 6.12: one migrate_pages call"
        ),
        Cell.PIN_WAIT_NS: Setting(0, "mm/gup.c, 6.12: waits for nothing"),
        Cell.UNPIN_RETURNS: Setting(0, _NO_RETURN + ", 6.12"),
        Cell.PIN_POOL_MILLIONTHS: Setting(0, _NO_POOL + ", 6.12"),
        Cell.PIN_REVOCABLE: Setting(0, _NO_REVOKE + ", 6.12"),
        Cell.OFFLINE_PAUSE_NS: Setting(0, _NO_BOUND + ", 6.12"),
        Cell.OFFLINE_PAUSE_MAX_NS: Setting(0, _NO_BOUND + ", 6.12"),
        Cell.OFFLINE_UNMAPS: Setting(0, _NO_REVOKE + ", 6.12"),
        Cell.FAULT_FLAG_SHMEM: Setting(1, _PIN_MASK_612),
        Cell.FAULT_FLAG_ZERO: Setting(1, _PIN_MASK_612),
        Cell.FAULT_FLAG_HZP: Setting(1, _PIN_MASK_612),
        Cell.FAULT_FLAG_COW: Setting(1, _PIN_MASK_612),
        Cell.HZP_WRITE_THP: Setting(
            0, "mm/huge_memory.c do_huge_pmd_wp_page, 6.12: it is split, base pages follow"
        ),
        Cell.FILE_PIN: Setting(
            FilePin.REFUSED,
            "mm/gup.c check_vma_flags and writable_file_mapping_allowed, 6.12 (since 6.5): -EFAULT"
            " before anything is pinned",
        ),
        Cell.GATHER_IN_ORDER: Setting(
            1,
            "mm/swap.c folios_put_refs and mm/page_alloc.c free_unref_folios, 6.12: a batch is "
            "walked from its first folio; order observed on 6.12.117",
        ),
        Cell.IOU_FOLIO_PINS: Setting(
            1,
            "io_uring/rsrc.c io_coalesce_buffer, 6.12; observed on 6.12.117 (511 of 512 pins "
            "released per THP)",
        ),
        Cell.COMPACT_ISOLATED_SHIFT: Setting(
            4,
            "mm/compaction.c too_many_isolated, 6.12: both counts divided by eight first; observed"
            " on 6.12.117 (the same pin never returned), the reason was inferred",
        ),
        Cell.SPLIT_COUNTS_FAIL: Setting(
            1,
            "mm/migrate.c migrate_pages_batch, 6.12: counts before it splits",
        ),
        Cell.HUGETLB_COUNTS_PAGES: Setting(
            1,
            "mm/migrate.c migrate_hugetlbs, 6.12: nr_succeeded += nr_pages; observed on 6.12 (16"
            " hugetlb pages a call: nr_succeeded=8192)",
        ),
        Cell.RECLAIM_BY_ZONE: Setting(
            1,
            "mm/vmscan.c scan_folios, 6.12: lists by zone, from the highest that may be used down;"
            " that multi-gen LRU was on is read off 6.12.117 (of a file larger than memory only"
            " what lay in MOVABLE was dropped)",
        ),
        Cell.HUGETLB_POOL_BATCHED: Setting(
            1,
            "mm/hugetlb.c prep_and_add_allocated_folios, 6.12 (since commit d67e32f26713, 6.7):"
            " the list is filled at its head and enqueued from there",
        ),
        Cell.GIGANTIC_STRADDLE_FAILS: Setting(1, _STRADDLE),
        Cell.PCP_BATCH_SCALE: Setting(
            5, "mm/page_alloc.c nr_pcp_alloc and free_unref_page_commit, 6.12: PCP_BATCH_SCALE_MAX"
        ),
    },
)

PROFILES: tuple[Profile, ...] = (LINUX_5_10, LINUX_6_1, LINUX_6_12)
"""All shipped profiles, oldest first."""
