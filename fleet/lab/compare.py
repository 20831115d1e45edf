"""When an observation of a replay agrees with the recorded one.

The tolerances are those of the recorded cases' README: names and states are equal; page counts
agree within max(64, 1 %) (the guest has a few hundred movable pages of its own); shares of a
zone or block within 1 % of the buffer (at least 64 pages); placement observations as listed in
``_placement``. Rates and times (``pgmigrate_fail`` and ``thp_migration_fail`` of a loop,
``op_seconds``, ``pgfault``) are not compared.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

GUEST_PAGES = 64
"""Pages that two counts may differ by because the guest has movable pages of its own."""
COLLAPSE_PAGES = 512
"""Pages that one khugepaged collapse in the recorded run adds to its migration counters."""
MOVED = "moved_since_last"
COUNTERS = (
    "pgmigrate_success", "thp_migration_success", "thp_migration_split",
    "nr_foll_pin_acquired", "nr_foll_pin_released",
)  # fmt: skip
SHARED = ("pageblocks_both", "pageblocks_a_only", "pageblocks_b_only")
NOT_OF_LOOPS = ("thp_migration_fail", "htlb_buddy_alloc_success")
"""Counters that grow with each pass of a loop."""
FOLIO_COUNTERS = frozenset(
    {"thp_migration_success", "thp_migration_split", "thp_migration_fail",
     "htlb_buddy_alloc_success"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One observation that differs."""

    field: str
    recorded: Any
    simulated: Any


@dataclass(slots=True)
class Comparison:
    """Compares the operations of one case, in order.

    Parameters
    ----------
    placement : bool
        The case is about where pages land (by-block and by-node rules apply).
    random : bool
        Its history is random (wider tolerances).
    hot_blocks : frozenset of int
        Blocks of the DIMMs. Block by block only these are compared: boot memory differs from
        guest to guest in what the kernel had taken from it, hot blocks start empty.
    """

    placement: bool
    random: bool
    hot_blocks: frozenset[int]
    _marked: dict[str, int] = field(default_factory=dict)
    _largest: int = 0

    def operation(
        self, name: str, args: tuple[Any, ...], recorded: Mapping[str, Any], seen: Mapping[str, Any]
    ) -> list[Mismatch]:
        """Return what differs between the recorded and the simulated record of an operation."""
        out: list[Mismatch] = []
        buffer = str(args[0]) if args else ""
        if name == "mark":
            self._marked[buffer] = int(recorded["marked_block"])
        for key in ("errno", "pin_result", "result", "value", "pinned_blocks"):
            if key in recorded and key in seen:
                _equal(out, key, recorded[key], seen[key])
        if "pin_pages" in recorded and "pin_pages" in seen:  # 1 %: a stride over a hog
            limit = recorded["pin_pages"] // 100
            _near(out, "pin_pages", recorded["pin_pages"], seen["pin_pages"], limit)
        if "hot_blocks" in seen:
            _equal(out, "hot_blocks", recorded["hot_blocks"], seen["hot_blocks"])
        for key in ("dist", "before", "after"):
            if key in recorded and key in seen:
                self._dist(out, key, buffer, recorded[key], seen[key])
        self._target(out, recorded, seen)
        _each(out, "rounds", recorded, seen, self._round)
        _each(out, "blocks", recorded, seen, _block)
        self._vmstat(out, name, recorded, seen)
        if "va_runs" in seen:
            self._runs(out, recorded, seen)
        for key in ("steps", "present_pages", "freed_pages", "turned_pages"):
            if key in recorded and key in seen:
                limit = max(GUEST_PAGES, recorded[key] // 100)
                _near(out, key, recorded[key], seen[key], limit)
        if SHARED[0] in seen:
            touched = sum(recorded[key] for key in SHARED)
            for key in SHARED:
                _near(out, key, recorded[key], seen[key], max(1, touched * 0.15))
        if "overlap_pages" in seen:
            limit = recorded["c_pages"] / 10
            _near(out, "overlap_pages", recorded["overlap_pages"], seen["overlap_pages"], limit)
        return out

    def _target(
        self, out: list[Mismatch], recorded: Mapping[str, Any], seen: Mapping[str, Any]
    ) -> None:
        """Pages of the buffer in the block that an offline names."""
        key = "target_block_pages_of_buffer"
        if key in recorded and key in seen:
            share = 10 if self.placement else 100
            _near(out, key, recorded[key], seen[key], max(GUEST_PAGES, recorded[key] // share))

    def _dist(
        self, out: list[Mismatch], field: str, buffer: str,
        recorded: Mapping[str, Any], seen: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """Where a buffer lies."""
        self._largest = max(self._largest, int(recorded["pages"]))
        keys = ["pages", "absent", MOVED]
        if recorded["lru"] or recorded["thp"]:  # else the driver did not read page flags
            keys.append("thp")
        if "hugetlb" in recorded and "hugetlb" in seen:
            keys.append("hugetlb")
        share = 50 if self.placement else 100
        for key in keys:
            limit = max(GUEST_PAGES, recorded["pages"] // (100 if key != MOVED else share))
            _near(out, f"{field}.{key}", recorded[key], seen[key], limit)
        present = recorded["pages"] - recorded["absent"]
        limit = max(GUEST_PAGES, present // share)
        movable = int(recorded["by_zone"].get("Movable", 0))
        _near(out, f"{field}.by_zone.Movable", movable, seen["by_zone"]["Movable"], limit)
        if "in_marked_block" in seen and buffer in self._marked:
            there = int(recorded["by_block"].get(str(self._marked[buffer]), 0))
            _near(out, f"{field}.in_marked_block", there, seen["in_marked_block"], limit)
        if self.placement:
            self._placed(out, field, present, recorded, seen)

    def _placed(
        self, out: list[Mismatch], field: str, present: int,
        recorded: Mapping[str, Any], seen: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """Pages by block (10 % of the buffer) and by node and zone (2 %)."""
        if not self.random:
            for block in sorted(self.hot_blocks):
                was, now = (int(d["by_block"].get(str(block), 0)) for d in (recorded, seen))
                _near(out, f"{field}.by_block.{block}", was, now, max(GUEST_PAGES, present // 10))
        zones = _node_zones(recorded.get("by_node_zone", {}))
        limit = max(GUEST_PAGES, present // 50)
        for key in sorted({*zones, *seen["by_node_zone"]}) if "by_node_zone" in recorded else ():
            _near(
                out, f"{field}.by_node_zone.{key}", zones.get(key, 0),
                seen["by_node_zone"].get(key, 0), limit,
            )  # fmt: skip

    def _runs(
        self, out: list[Mismatch], recorded: Mapping[str, Any], seen: Mapping[str, Any]
    ) -> None:
        """Hot blocks and pageblocks touched, run counts, order of first use.

        Runs are compared for buffers that lie in hot blocks: elsewhere they count the holes
        of boot memory.
        """
        used = [{int(b) for b in r["dist"]["by_block"]} for r in (recorded, seen)]
        was, now = (len(blocks & self.hot_blocks) for blocks in used)
        _near(out, "hot blocks touched", was, now, 1 if self.random else 0)
        share = 0.30 if self.random else 0.15
        keys = ["pageblocks"]
        if used[0] <= self.hot_blocks:
            keys += ["va_runs", "phys_runs"]
        for key in keys:
            _near(out, key, recorded[key], seen[key], max(1, recorded[key] * share))
        if not self.random:
            was_order, now_order = (self._first_use(r["block_seq"]) for r in (recorded, seen))
            shared = min(len(was_order), len(now_order))
            _equal(out, "order of first use", was_order[:shared], now_order[:shared])

    def _first_use(self, sequence: list[list[int]]) -> list[int]:
        """Hot blocks in order of first use; stretches of the guest's own size are left out."""
        stretches = [b for b, pages in sequence if pages >= GUEST_PAGES and b in self.hot_blocks]
        return list(dict.fromkeys(stretches))

    def _vmstat(
        self, out: list[Mismatch], name: str, recorded: Mapping[str, Any], seen: Mapping[str, Any]
    ) -> None:
        """Counters that count pages or folios (rates of a loop are not compared).

        They count pages of the case's buffers, so their 1 % is of the largest one, as in
        ``moved_since_last``. A THP that the recorded run moved and the replay does not have is
        one that khugepaged made of the guest's own pages (one is tolerated).
        """
        was, now = recorded.get("vmstat", {}), seen.get("vmstat", {})
        looped = recorded.get("result") == "EINTR_after_bound" or name == "offlineall"
        counters = COUNTERS if looped else (*COUNTERS, *NOT_OF_LOOPS)
        moved = "thp_migration_success"
        own = max(int(was.get(moved, 0)) - int(now.get(moved, 0)), 0)
        collapsed = COLLAPSE_PAGES * max(int(was.get("thp_collapse_alloc", 0)), min(own, 1))
        for key in counters:
            value = int(was.get(key, 0))
            if key in FOLIO_COUNTERS:
                limit = max(1.0, value / 100)
            else:
                limit = max(GUEST_PAGES, value // 100, self._largest // 100) + collapsed
            _near(out, f"vmstat.{key}", value, int(now.get(key, 0)), limit)

    @staticmethod
    def _round(
        out: list[Mismatch], field: str, recorded: Mapping[str, Any], seen: Mapping[str, Any]
    ) -> None:
        """One round of a repin."""
        _equal(out, f"{field}.pin_result", recorded["pin_result"], seen["pin_result"])
        limit = max(GUEST_PAGES, recorded["moved"] // 100)
        _near(out, f"{field}.moved", recorded["moved"], seen["moved"], limit)


def _node_zones(by_node_zone: Mapping[str, int]) -> dict[str, int]:
    """``0/DMA32`` and the like as ``0/kernel``; MOVABLE stays."""
    out: dict[str, int] = {}
    for key, pages in by_node_zone.items():
        node, _, zone = key.partition("/")
        name = f"{node}/{zone if zone == 'Movable' else 'kernel'}"
        out[name] = out.get(name, 0) + int(pages)
    return out


def _equal(out: list[Mismatch], field: str, recorded: Any, simulated: Any) -> None:
    """Equality, for names and states."""
    if recorded != simulated:
        out.append(Mismatch(field, recorded, simulated))


def _near(out: list[Mismatch], field: str, recorded: float, simulated: float, limit: float) -> None:
    """Agreement of counts within ``limit``."""
    if abs(recorded - simulated) > limit:
        out.append(Mismatch(field, recorded, simulated))


def _block(
    out: list[Mismatch], field: str, recorded: Mapping[str, Any], seen: Mapping[str, Any]
) -> None:
    """One block of an ``offlineall``."""
    for key in ("block", "result"):
        _equal(out, f"{field}.{key}", recorded[key], seen[key])


def _each(
    out: list[Mismatch], field: str, recorded: Mapping[str, Any], seen: Mapping[str, Any],
    rule: Callable[[list[Mismatch], str, Mapping[str, Any], Mapping[str, Any]], None],
) -> None:  # fmt: skip
    """Apply a rule to the entries of two lists of equal length."""
    if field not in seen:
        return
    was, now = recorded[field], seen[field]
    _equal(out, f"{field} count", len(was), len(now))
    for i, (a, b) in enumerate(zip(was, now, strict=False)):
        rule(out, f"{field}[{i}]", a, b)
