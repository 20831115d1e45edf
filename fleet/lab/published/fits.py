"""How the figures of the fitted machines follow from the cells that were used for them."""

import numpy as np

from engine.costs import DEFAULT_FIGURES
from engine.enums import Cost
from fleet.lab.published import tables as t

GB_FOLIOS, GB_PAGES = 512, 1 << 18
BYTES = 4096


def vfio_pin() -> tuple[int, int, int]:
    """T1's start of QEMU, first touch of a huge page and GUP call, in nanoseconds.

    Least squares of relative errors over the fitted sizes of both rows; the pin of a huge page
    itself is T2's.
    """
    rows, wanted = [], []
    pin_ns = DEFAULT_FIGURES[Cost.PIN_2M].ns
    for call_pages, seconds in t.T1_SECONDS.items():
        for gb, measured in zip(t.T1_GB, seconds, strict=True):
            if gb in t.T1_FITTED_GB:
                folios, calls = gb * GB_FOLIOS, gb * GB_PAGES // call_pages
                rows.append(np.array([1, folios, calls]) / measured)
                wanted.append(1e9 - folios * pin_ns / measured)
    start, fault, call = np.linalg.lstsq(np.array(rows), np.array(wanted), rcond=None)[0]
    return round(start), round(fault), round(call)


def move_pages(kernel: str) -> tuple[int, int]:
    """T4's law through its two fitted sizes: nanoseconds per folio and per 4 KiB page."""
    rates = dict(zip(t.T4_FOLIO_PAGES, t.T4_RATES[kernel], strict=True))
    (small, large) = t.T4_FITTED
    a, b = t.T4_FOLIO_PAGES[small], t.T4_FOLIO_PAGES[large]
    time_a, time_b = a * BYTES / rates[small], b * BYTES / rates[large]
    page = (time_b - time_a) / (b - a)
    return round(time_a - a * page), round(page)
