"""The published figures, each table with its source. Nothing here is ours."""

from dataclasses import dataclass

FITTED, PREDICTED, CALIBRATION = "fitted", "predicted", "calibration"
"""How a cell relates to the cost model: it set a figure, it did not, its table set the figure."""


@dataclass(frozen=True, slots=True)
class Table:
    """A published table.

    Attributes
    ----------
    name : str
        Short name.
    title, source : str
        What was measured, where it was published.
    unit : str
        Unit of its cells.
    """

    name: str
    title: str
    source: str
    unit: str


T1 = Table(
    "vfio-pin",
    "start of a fresh guest whose memory VFIO pins, by size",
    "commit 4d83de6da265 (vfio/type1: Batch page pinning); 2-node Broadwell, 128 GB a node",
    "s",
)
T1_GB = (1, 2, 4, 8, 16, 32, 64, 120)
T1_SECONDS = {
    1: (0.61, 0.93, 1.46, 2.54, 4.66, 8.94, 17.47, 32.45),
    512: (0.56, 0.85, 1.34, 2.32, 4.27, 8.20, 16.04, 29.69),
}
"""By pages of one GUP call."""
T1_FITTED_GB = (1, 120)

T2 = Table(
    "vfio-map",
    "VFIO map and unmap of 16 GiB of populated memory",
    "LKML 2507.0/02205, v6.16-rc4",
    "s",
)
T2_GIB = 16
T2_SECONDS = {"thp": (0.047, 0.135), "4k": (0.280, 0.312), "hugetlb": (0.052, 0.136)}
"""By backing: map, unmap."""

T3 = Table(
    "vm-resize",
    "virtio-mem: guest shrunk from 20 GiB to 2 GiB and grown again; 19 GiB touched afterwards",
    "Wrenger et al., HyperAlloc, EuroSys 2025: hyperalloc-bench inflate/latest, medians of 10;"
    " Xeon Gold 6252, Linux 6.1, QEMU 8.2",
    "s",
)
T3_SMALL_GIB, T3_LARGE_GIB, T3_TOUCHED_GIB = 2, 20, 19
T3_SECONDS = {
    "virtio-mem": (0.581, 0.474, 0.197, 4.55),
    "virtio-mem+vfio": (0.881, 0.838, 4.21, 1.46),
}
"""Shrink of touched and of untouched memory, grow, touch after it."""
T3_COLUMNS = ("shrink touched", "shrink untouched", "grow", "touch after growing")

T4 = Table(
    "move-pages",
    "move_pages of 1 GB between nodes by size of the folio, one thread",
    "Garg, LKML 2603.2/06223 (v7.0-rc2) and 2605.1/00684 (v7.1-rc1); Zen 3 EPYC 2x32 cores",
    "GB/s",
)
T4_FOLIO_PAGES = {"4K": 1, "16K": 4, "64K": 16, "256K": 64, "1M": 256, "2M": 512}
T4_RATES = {
    "v7.0-rc2": (3.55, 5.66, 6.16, 7.12, 6.93, 10.88),
    "v7.1-rc1": (3.31, 5.61, 6.66, 7.01, 7.13, 11.02),
}
T4_MODELS = {"v7.0-rc2": "zen3-7.0", "v7.1-rc1": "zen3-7.1"}
T4_FITTED = ("4K", "1M")
