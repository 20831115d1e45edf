"""Offline policies: when an offline that makes no progress gives up."""

import re

from engine.enums import Cell, OfflineRule, OfflineTarget
from policies.models import OfflinePolicy, PolicyError, Setting

DEFAULT_TIMEOUT_NS = 20_000_000_000
"""Bound of ``timeout`` without a duration: eight times the slowest clean offline of 2 GiB
(2.5 s, 4 KiB pages without batched TLB flushes, derived from LKML 2603.2/06223 and commit
7e12beb8ca2a) and below the 30 s of drivers/watchdog/iTCO_wdt.c and hpwdt.c."""

PACED_PAUSES_NS = (50_000_000_000, 300_000_000_000)
"""First and longest pause of ``paced``."""

MAX_TIMEOUT_NS = 86_400_000_000_000
"""Longest bound accepted: a day."""

_UNIT_NS = {"ms": 1_000_000, "s": 1_000_000_000, "min": 60_000_000_000, "h": 3_600_000_000_000}
_NO_BOUND = "mm/memory_hotplug.c offline_pages since commit ecde0f3e7f9e (4.15): no timeout"
_OLD = "mm/memory_hotplug.c __offline_pages, 4.13 (commit f1dd2cd13c4b)"
_DOC = "Documentation/admin-guide/mm/memory-hotplug.rst, 5.15: 'timeout' around the write"
_OTHERS = "mm/memory_hotplug.c do_migrate_range, 5.10 and 6.18: all memory nodes but the source"
_OWN_TOO = _OTHERS + "; its own node as a last resort is not upstream"
_KEEPS = "mm/memory_hotplug.c: nobody is asked to unmap"
_PACED = (
    "drivers/virtio/virtio_mem.c, 6.18: 5 tries in ZONE_MOVABLE, then again after 50 s, doubling to"
    " 300 s (VIRTIO_MEM_RETRY_TIMER_MIN_MS, _MAX_MS); here for blocks offlined by sysfs"
)
_UNMAP = (
    "mail 'Pinning ZONE_MOVABLE pages' (LKML, 20 November 2020): dma unmaps before hot-remove, not"
    " possible there because of thousands of flows"
)
_SCAN = "abort as soon as folio_maybe_dma_pinned holds in the range; not upstream"


def _policy(
    name: str,
    summary: str,
    rule: OfflineRule,
    source: str,
    bound_ns: int = 0,
    errors: int = 0,
    target: OfflineTarget = OfflineTarget.OTHER_NODES,
    pauses_ns: tuple[int, int] = (0, 0),
    unmaps: tuple[int, str] = (0, _KEEPS),
) -> OfflinePolicy:
    own_too = target == OfflineTarget.SAME_NODE_FALLBACK
    cells = {
        Cell.OFFLINE_RULE: Setting(rule, source),
        Cell.OFFLINE_BOUND_NS: Setting(bound_ns, source),
        Cell.OFFLINE_MAX_ERRORS: Setting(errors, source),
        Cell.OFFLINE_TARGET: Setting(target, _OWN_TOO if own_too else _OTHERS),
        Cell.OFFLINE_PAUSE_NS: Setting(pauses_ns[0], source),
        Cell.OFFLINE_PAUSE_MAX_NS: Setting(pauses_ns[1], source),
        Cell.OFFLINE_UNMAPS: Setting(*unmaps),
    }
    return OfflinePolicy(name, summary, cells)


OFFLINE_POLICIES: tuple[OfflinePolicy, ...] = (
    _policy(
        "unbounded", "retries until it succeeds or is signalled", OfflineRule.UNBOUNDED, _NO_BOUND
    ),
    _policy(
        "bounded-4.13",
        "gives up after 5 failed passes or 120 s",
        OfflineRule.BOUNDED_4_13,
        _OLD,
        120_000_000_000,
        5,
    ),
    _policy(
        "timeout",
        "user space signals it after 20 s (timeout-5s, timeout-2min, ... for other bounds)",
        OfflineRule.TIMEOUT,
        _DOC,
        DEFAULT_TIMEOUT_NS,
    ),
    _policy(
        "pin-aware",
        "gives up with -EBUSY as soon as it sees a long-term pin",
        OfflineRule.PIN_AWARE,
        _SCAN,
    ),
    _policy(
        "paced",
        "after 5 failed passes leaves the block alone for 50 s, then twice as long, up to 300 s",
        OfflineRule.PACED,
        _PACED,
        errors=5,
        pauses_ns=PACED_PAUSES_NS,
    ),
    _policy(
        "unmap-first",
        "as unbounded, but applications with pins in the block stop, unmap and map again after it",
        OfflineRule.UNBOUNDED,
        _NO_BOUND,
        unmaps=(1, _UNMAP),
    ),
    _policy(
        "same-node-fallback",
        "as unbounded, but what the other nodes cannot take moves inside the block's own node",
        OfflineRule.UNBOUNDED,
        _NO_BOUND,
        target=OfflineTarget.SAME_NODE_FALLBACK,
    ),
)
"""All shipped offline policies."""


def parse_timeout(name: str) -> OfflinePolicy | None:
    """Return the policy named ``timeout-<number><ms|s|min|h>``, None if ``name`` is another.

    Raises
    ------
    PolicyError
        If the duration is malformed, zero or above a day.
    """
    prefix, dash, text = name.partition("-")
    if prefix != "timeout" or not dash:
        return None
    match = re.fullmatch(r"([0-9]{1,12})(ms|s|min|h)", text)
    bound_ns = int(match[1]) * _UNIT_NS[match[2]] if match else 0
    if not 0 < bound_ns <= MAX_TIMEOUT_NS:
        raise PolicyError(
            f"offline policy '{name}': want a duration up to 24h, such as timeout-30s"
        )
    summary = f"user space signals it after {text}"
    return _policy(name, summary, OfflineRule.TIMEOUT, _DOC, bound_ns)
