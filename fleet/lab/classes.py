"""The class of a case, told by its operations and guest alone.

Case ids and titles are never read: a renamed case stays in its class.
"""

from collections.abc import Callable, Iterable

from fleet.lab.lines import Case
from fleet.lab.operations import PAGES_PER_MIB, Operation

UNSORTED = "other"


class _Facts:
    """What a classifier asks about a case."""

    def __init__(self, case: Case) -> None:
        self.operations = [r.operation for r in case.records]
        if case.unfinished is not None:
            self.operations.append(case.unfinished)
        self.names = {o.name for o in self.operations}
        self.nodes = case.guest.nodes
        self.cpus = case.guest.cpus
        self.block_pages = case.guest.block_mib * PAGES_PER_MIB
        self.pins = [o for o in self.operations if o.name == "pin"]

    def has(self, *names: str) -> bool:
        """Whether any of these operations occurs."""
        return not self.names.isdisjoint(names)

    def pinned_by(self, kind: str) -> bool:
        """Whether a buffer is pinned this way."""
        return any(o.args[1] == kind for o in self.pins)

    def partial_pins_only(self) -> bool:
        """Whether every pin names a range of its buffer."""
        return bool(self.pins) and all(o.args[3] is not None for o in self.pins)

    def first(self, *names: str) -> Operation | None:
        """First operation of these names."""
        return next((o for o in self.operations if o.name in names), None)

    def onlines_kernel(self) -> bool:
        """Whether blocks are onlined into the kernel zone."""
        return any(o.name == "online" and o.args[1] == "kernel" for o in self.operations)

    def spans_blocks(self) -> bool:
        """Whether a buffer is larger than a memory block."""
        return any(o.name == "alloc" and o.args[1] > self.block_pages for o in self.operations)

    def untouched_pin(self) -> bool:
        """Whether a pin comes before any touch."""
        found = self.first("pin", "touch", "read", "hogfree", "hogmov")
        return found is not None and found.name == "pin"

    def frees_at_random(self) -> bool:
        """Whether a random share of a buffer is freed for good."""
        return any(o.name == "freepat" and o.args[1] == "rand" for o in self.operations)

    def huge_pool(self) -> bool:
        """Whether the hugetlb pool is used or its size is touched."""
        if any(o.name == "alloc" and str(o.args[2]).startswith("hugetlb") for o in self.operations):
            return True
        return any("hugepages" in o.text for o in self.operations if o.name in ("put", "cat"))

    def special_memory(self) -> bool:
        """Whether a buffer is neither 4 KiB nor THP anonymous memory."""
        return any(o.name == "alloc" and o.args[2] not in ("4k", "thp") for o in self.operations)


_RULES: tuple[tuple[str, Callable[[_Facts], bool]], ...] = (
    # placement histories
    ("steady", lambda f: f.has("steady")),
    ("cache", lambda f: f.has("cacheread")),
    ("interleaved", lambda f: f.has("alt", "par")),
    ("replacement", _Facts.frees_at_random),
    ("churn", lambda f: f.has("churn")),
    ("many-cpus", lambda f: f.nodes == 1 and f.has("runs") and f.cpus > 1),
    ("two-node", lambda f: f.nodes > 1 or f.has("nodefree", "cpu", "mpol")),
    ("lifo", lambda f: f.has("overlap", "release")),
    ("freed-pattern", lambda f: f.has("freepat")),
    ("fresh", lambda f: f.has("runs")),
    # pins and offlining
    ("hugetlb", _Facts.huge_pool),
    ("special-memory", lambda f: f.special_memory() or f.has("put", "cat", "mlock", "filewrite")),
    ("fork", lambda f: f.has("fork_hold")),
    ("cost", lambda f: f.has("free")),
    ("kernel-zone-full", lambda f: f.onlines_kernel() and f.spans_blocks()),
    ("kernel-zone", _Facts.onlines_kernel),
    ("vfio", lambda f: f.pinned_by("vfio")),
    ("repin", lambda f: f.has("repin")),
    ("k-of-8", lambda f: f.has("pinblocks", "offlineall")),
    ("fragmented", lambda f: f.has("punch") and f.has("hogfree") and f.has("pin")),
    ("normal-leave", lambda f: f.has("hogfree") and f.has("pin")),
    ("normal-leave", lambda f: f.has("pin") and f.operations[0].name == "zones"),
    ("noroom", lambda f: f.has("hogmov")),
    ("untouched", _Facts.untouched_pin),
    ("release", lambda f: f.has("unpin_after") or f.partial_pins_only()),
    ("vmsplice", lambda f: f.pinned_by("vmsplice")),
    ("touched", lambda f: f.has("pin")),
    ("nopin", lambda f: f.has("offline")),
)
"""(class, test) in order; the first test that holds names the class."""

PLACEMENT = frozenset(
    {"fresh", "lifo", "freed-pattern", "two-node", "interleaved", "churn", "steady", "cache",
     "replacement", "many-cpus"}
)  # fmt: skip
"""Classes whose cases are about where pages land."""


def class_of(case: Case) -> str:
    """Return the class of a case."""
    facts = _Facts(case)
    if not facts.operations:
        return UNSORTED
    return next((name for name, test in _RULES if test(facts)), UNSORTED)


def _draws(operation: Operation) -> bool:
    """Whether an operation draws random numbers."""
    if operation.name == "freepat":
        return bool(operation.args[1] == "rand")
    return operation.name in ("churn", "steady")


def is_random(case: Case) -> bool:
    """Whether the history draws random numbers, so that only statistics can agree."""
    return any(_draws(r.operation) for r in case.records)


def scattered(case: Case) -> frozenset[str]:
    """Buffers that the history frees in random order."""
    return scattered_by(r.operation for r in case.records)


def scattered_by(operations: Iterable[Operation]) -> frozenset[str]:
    """Buffers that some operations free in random order."""
    return frozenset(o.args[0] for o in operations if _draws(o))
