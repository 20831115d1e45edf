"""Pin policies: what happens to the pages of a long-term pin.

The three proposals are those of the mail "Pinning ZONE_MOVABLE pages" (LKML, 20 November 2020).
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from engine.enums import Cell, PinFailure, PinIsolation, PinMigrates
from policies.models import PinPolicy, PolicyError, Setting, Settings

_FLAG = "FAULT_FLAG_"
HONOURS: Mapping[str, Cell] = MappingProxyType(
    {c.name.removeprefix(_FLAG).lower().replace("_", "-"): c for c in Cell if _FLAG in c.name}
)
"""Fault paths that may carry the long-term flag, by the name that policies use."""
FLAG_CELLS = tuple(HONOURS.values())

DEFAULT_POOL_PERCENT = 50
"""Share of the kernel zones that ``reserved-pool`` keeps."""
MAX_POOL_PERCENT = 90

PATIENCE_NS = 1_000_000_000
"""Longest wait of ``linux-5.13-patient`` for one page (LKML 2604.1/04128, 2604.2/06505)."""

_OLD = "mm/gup.c __gup_longterm_locked, 5.10.35"
_NEW = "mm/gup.c check_and_migrate_movable_pages, commit f68749ec342b (5.13)"
_MAIL = "mail 'Pinning ZONE_MOVABLE pages' (LKML, 20 November 2020)"
_P1 = f"{_MAIL}, proposal 1: the pin's flag reaches the fault handler"
_P2 = f"{_MAIL}, proposal 2: pages are migrated before the pin"
_P2_LITERAL = f"{_MAIL}, proposal 2: move_pages_zone() before vfio_pin_map_dma() pins"
_P3 = f"{_MAIL}, proposal 3: madvise before the first touch"
_DENY = "strict reading of ZONE_MOVABLE's promise in include/linux/mmzone.h; no kernel does it"
_LOOP = "mm/gup.c __gup_longterm_locked, 5.13: drops all pins and loops without a bound"
_V4 = "mm/gup.c of series v4, not merged (LKML 2012.2/02249): 10 migrate, 100 isolate retries"
_LEAK = (
    "mm/gup.c collect_longterm_unpinnable_folios, 6.12.15: an empty list counts as nothing to"
    " move, so what could not be isolated is pinned where it is"
)
_RFC = "RFC of 2026 (LKML 2604.1/04128, 2604.2/06505): waits up to 1 s per folio, then migrates"
_POOL = (
    "the practice of DPDK hosts, memory set aside at boot (DPDK Linux guide, hugepages),"
    " here as a reserve of the kernel zones that only pins may take; nobody has it"
)
_RETURN = "the reverse of check_and_migrate_movable_pages at unpin_user_pages; nobody has it"
_REVOKE = (
    "MMU notifiers in place of pins, as for on-demand paging of RDMA devices"
    " (Documentation/core-api/pin_user_pages.rst, case 3)"
)
_SOFT = (
    "mm/gup.c check_and_migrate_cma_pages, 5.10.35: pins anyway after a failed migration, here for"
    " ZONE_MOVABLE (the PIN row's failed_pages name the tainted block)"
)
_ISOLATE = (
    "include/linux/mm.h is_longterm_pinnable_page, 6.1, CONFIG_CMA: MIGRATE_ISOLATE is not"
    " pinnable, in no zone"
)


def _rule(
    faults: tuple[int, str], migrates: tuple[int, str], failure: tuple[PinFailure, str]
) -> Settings:
    """Return the cells common to all pin policies: value and source of the three decisions."""
    settings = {cell: Setting(*faults) for cell in FLAG_CELLS}
    settings[Cell.PIN_MIGRATES] = Setting(*migrates)
    settings[Cell.PIN_FAILURE] = Setting(*failure)
    settings[Cell.PIN_DENIED] = Setting(0, migrates[1])
    settings[Cell.HINT_HONOURED] = Setting(0, faults[1])
    settings[Cell.ISOLATED_UNPINNABLE] = Setting(
        0, "mm/gup.c is_pinnable_page, 5.13: the test knows ZONE_MOVABLE and CMA only"
    )
    settings[Cell.HUGETLB_PIN_MIGRATES] = Setting(
        1, "mm/gup.c check_and_migrate_movable_pages, 5.15.215: isolates huge pages like others"
    )
    settings[Cell.PIN_ISOLATION] = Setting(PinIsolation.WAIT, _LOOP)
    settings[Cell.PIN_RETRIES] = Setting(1, _NEW + ": one migrate_pages call")
    settings[Cell.PIN_WAIT_NS] = Setting(0, _NEW + ": waits for nothing")
    settings[Cell.PIN_POOL_MILLIONTHS] = Setting(0, "mm/page_alloc.c, 5.13: no such pool")
    settings[Cell.UNPIN_RETURNS] = Setting(0, "mm/gup.c unpin_user_pages: pages stay, 5.10 to 6.18")
    settings[Cell.PIN_REVOCABLE] = Setting(0, "mm/gup.c FOLL_LONGTERM: nobody is asked to let go")
    return settings


_IN_PLACE = (PinFailure.PIN_IN_PLACE, _OLD)
_ENOMEM = (PinFailure.ENOMEM, _NEW + ": any page left over makes -ENOMEM")
_AFTER = PinMigrates.AFTER_FAULTS
_BOTH = _rule((1, _P1), (_AFTER, _P2), _ENOMEM)


def _pool_policy(name: str, percent: int) -> PinPolicy:
    """Return linux-5.13 with a pool of pins."""
    summary = f"linux-5.13, and {percent} % of the kernel zones are kept for long-term pins alone"
    pool = Setting(percent * 10_000, _POOL)
    return PinPolicy(name, summary, {**_BOTH, Cell.PIN_POOL_MILLIONTHS: pool})


PIN_POLICIES: tuple[PinPolicy, ...] = (
    PinPolicy("kernel", "what the profile's plain kernel does", {}),
    PinPolicy(
        "pin-in-place",
        "pages are faulted into ZONE_MOVABLE and pinned where they are (up to 5.12)",
        _rule((0, _OLD), (0, _OLD), _IN_PLACE),
    ),
    PinPolicy(
        "fault-aware",
        "pages faulted in by the pin avoid ZONE_MOVABLE; present pages stay (proposal 1 alone)",
        _rule((1, _P1), (0, _P1), _IN_PLACE),
    ),
    PinPolicy(
        "move-before-pin",
        "present pages are moved out before the pin; what it faults in stays (literal proposal 2)",
        {
            **_rule((0, _P2_LITERAL), (PinMigrates.BEFORE_FAULTS, _P2_LITERAL), _IN_PLACE),
            Cell.PIN_FAILURE: Setting(
                PinFailure.PIN_IN_PLACE, _P2_LITERAL + "; what does not move stays"
            ),
        },
    ),
    PinPolicy(
        "migrate-on-pin",
        "all pages are faulted into ZONE_MOVABLE and moved out before the pin (proposal 2 alone)",
        _rule((0, _P2), (_AFTER, _P2), _ENOMEM),
    ),
    PinPolicy(
        "linux-5.13",
        "faults avoid ZONE_MOVABLE and present pages are moved out, else -ENOMEM (merged fix)",
        _BOTH,
    ),
    PinPolicy(
        "linux-5.13-bounded",
        "linux-5.13, but gives up on pages that cannot be isolated and tries others ten times (v4)",
        {
            **_BOTH,
            Cell.PIN_ISOLATION: Setting(PinIsolation.ENOMEM, _V4),
            Cell.PIN_RETRIES: Setting(10, _V4),
        },
    ),
    PinPolicy(
        "linux-5.13-leaky",
        "linux-5.13, but pages that cannot be isolated are pinned where they are (6.12.15)",
        {**_BOTH, Cell.PIN_ISOLATION: Setting(PinIsolation.PIN_IN_PLACE, _LEAK)},
    ),
    PinPolicy(
        "linux-5.13-patient",
        "linux-5.13, and waits up to 1 s for the references of each page to drop",
        {**_BOTH, Cell.PIN_WAIT_NS: Setting(PATIENCE_NS, _RFC)},
    ),
    PinPolicy(
        "linux-5.13-soft",
        "linux-5.13, but pages that do not move are pinned where they are and taint their block",
        {**_BOTH, Cell.PIN_FAILURE: Setting(PinFailure.PIN_IN_PLACE, _SOFT)},
    ),
    PinPolicy(
        "isolate-aware",
        "linux-5.13, and pages of a block that is going offline are moved out of it, in every zone",
        {**_BOTH, Cell.ISOLATED_UNPINNABLE: Setting(1, _ISOLATE)},
    ),
    _pool_policy("reserved-pool", DEFAULT_POOL_PERCENT),
    PinPolicy(
        "return-on-unpin",
        "linux-5.13, and pages go back to ZONE_MOVABLE when the last pin is gone",
        {**_BOTH, Cell.UNPIN_RETURNS: Setting(1, _RETURN)},
    ),
    PinPolicy(
        "revocable",
        "pin-in-place, and the pinner lets go of a page that an offline asks for, then pins it"
        " again",
        {**_rule((0, _OLD), (0, _OLD), _IN_PLACE), Cell.PIN_REVOCABLE: Setting(1, _REVOKE)},
    ),
    PinPolicy(
        "madvise-hint",
        "linux-5.13, and hinted areas avoid ZONE_MOVABLE from the first touch (proposal 3)",
        {**_BOTH, Cell.HINT_HONOURED: Setting(1, _P3)},
    ),
    PinPolicy(
        "deny",
        "a long-term pin on ZONE_MOVABLE pages is refused with -EBUSY",
        {**_rule((0, _DENY), (0, _DENY), _IN_PLACE), Cell.PIN_DENIED: Setting(1, _DENY)},
    ),
)
"""All shipped pin policies; ``kernel`` overrides nothing."""


def parse_pool(name: str) -> PinPolicy | None:
    """Return the policy ``reserved-pool-N`` (N % of the kernel zones), None if it is another.

    Raises
    ------
    PolicyError
        If N is not a whole number of per cent in 1..90.
    """
    prefix, dash, text = name.rpartition("-")
    if prefix != "reserved-pool" or not dash:
        return None
    percent = int(text) if re.fullmatch(r"[0-9]{1,3}", text, re.ASCII) else 0
    if not 1 <= percent <= MAX_POOL_PERCENT:
        raise PolicyError(
            f"pin policy '{name}': want a share of 1 to {MAX_POOL_PERCENT} per cent, such as"
            " reserved-pool-25"
        )
    return _pool_policy(name, percent)


_LOSES = "-loses-"


def parse_loses(name: str, find: Callable[[str], PinPolicy]) -> PinPolicy | None:
    """Return the policy named ``PIN-loses-PATH[-PATH...]``, None if ``name`` is another.

    It is PIN with the long-term flag lost on those fault paths, for example
    ``fault-aware-loses-thp``: what the mail calls "flag is lost".

    Parameters
    ----------
    name : str
        The policy.
    find : callable
        Finds PIN by its name; raises PolicyError.

    Raises
    ------
    PolicyError
        If a path does not exist or PIN does not honour the flag there anyway.
    """
    base, loses, text = name.partition(_LOSES)
    if not base or not loses:
        return None
    policy, lost = find(base), _paths(name, text)
    settings = dict(policy.settings)
    for path in lost:
        cell = HONOURS[path]
        if cell not in settings or not settings[cell].value:
            raise PolicyError(f"pin policy '{name}': {base} does not honour the flag on '{path}'")
        settings[cell] = Setting(0, f"{base} without the flag on this path")
    summary = f"{base}, but the pin's flag is lost on: {', '.join(lost)}"
    return PinPolicy(name, summary, settings)


def _paths(name: str, text: str) -> list[str]:
    """Read ``thp-file`` as fault paths, the longest known name first; PolicyError otherwise."""
    found = []
    rest = text
    while rest:
        match = [p for p in HONOURS if rest == p or rest.startswith(p + "-")]
        if not match:
            known = ", ".join(HONOURS)
            raise PolicyError(f"pin policy '{name}': no fault path '{rest}' (known: {known})")
        path = max(match, key=len)
        found.append(path)
        rest = rest[len(path) + 1 :]
    if not found or len(set(found)) < len(found):
        raise PolicyError(f"pin policy '{name}': want each fault path once, such as -loses-thp")
    return found
