"""Pin policies: what happens to the pages of a long-term pin.

The three proposals are those of the mail "Pinning ZONE_MOVABLE pages" (LKML, 20 November 2020).
"""

from engine.enums import Cell, PinFailure
from policies.models import PinPolicy, Setting, Settings

FLAG_CELLS = (
    Cell.FAULT_FLAG_ANON,
    Cell.FAULT_FLAG_THP,
    Cell.FAULT_FLAG_FILE,
    Cell.FAULT_FLAG_HUGETLB,
    Cell.FAULT_FLAG_SHMEM,
)

_OLD = "mm/gup.c __gup_longterm_locked, 5.10.35"
_NEW = "mm/gup.c check_and_migrate_movable_pages, commit f68749ec342b (5.13)"
_MAIL = "mail 'Pinning ZONE_MOVABLE pages' (LKML, 20 November 2020)"
_P1 = f"{_MAIL}, proposal 1: the pin's flag reaches the fault handler"
_P2 = f"{_MAIL}, proposal 2: pages are migrated before the pin"
_P3 = f"{_MAIL}, proposal 3: madvise before the first touch"
_DENY = "strict reading of ZONE_MOVABLE's promise in include/linux/mmzone.h; no kernel does it"


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
    return settings


_IN_PLACE = (PinFailure.PIN_IN_PLACE, _OLD)
_ENOMEM = (PinFailure.ENOMEM, _NEW + ": any page left over makes -ENOMEM")
_BOTH = _rule((1, _P1), (1, _P2), _ENOMEM)

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
        "migrate-on-pin",
        "all pages are faulted into ZONE_MOVABLE and moved out before the pin (proposal 2 alone)",
        _rule((0, _P2), (1, _P2), _ENOMEM),
    ),
    PinPolicy(
        "linux-5.13",
        "faults avoid ZONE_MOVABLE and present pages are moved out, else -ENOMEM (merged fix)",
        _BOTH,
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
