"""Changes to a host that might have let an attempt return its memory, each as commands to try."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.enums import (
    ZONES_PER_NODE,
    AreaKind,
    Cell,
    OfflineTarget,
    Op,
    ZoneKind,
)
from fleet.plan.tables import Plan
from fleet.why.contents import NOBODY, Extent, Part, extents, parts
from fleet.why.trial import Int64, Stage, Trial

MANY_OTHERS = 12
"""Other blocks, or workloads of other nodes, that are tried at most."""


@dataclass(frozen=True)
class Change:
    """One change to the host just before an attempt.

    Attributes
    ----------
    kind : str
        ``release_pin``, ``move_pages``, ``release_reference``, ``room``, ``same_node``, ``pool`` or
        ``other_block``; several joined by ``+``.
    pages : int
        Pages it concerns: its size.
    stages : tuple of Stage
    facts : dict
        What it names: pins, workloads, blocks, nodes.
    table : int64 array, optional
        Decision table under which the attempt itself is made.
    first_block : int, optional
        Another block to ask for.
    """

    kind: str
    pages: int
    stages: tuple[Stage, ...] = ()
    facts: dict[str, Any] | None = None
    table: Int64 | None = None
    first_block: int | None = None

    def __add__(self, other: "Change") -> "Change":
        """Return both changes together."""
        return replace(
            self,
            kind=f"{self.kind}+{other.kind}",
            pages=self.pages + other.pages,
            stages=self.stages + other.stages,
            facts={**(self.facts or {}), **(other.facts or {})},
            table=self.table if other.table is None else other.table,
        )


@dataclass(frozen=True)
class Pinned:
    """A workload with long-term pins in the blocks asked for: its pages there and in all."""

    workload: int
    pin: int
    slot: int
    here: tuple[Part, ...]
    pages_here: int
    pinned_pages: int


class Changes:
    """What could be changed on the host of a trial.

    Parameters
    ----------
    trial : Trial
    plan : Plan
    """

    def __init__(self, trial: Trial, plan: Plan) -> None:
        self._trial, self._plan = trial, plan
        self._moment, self.engine = trial.moment, trial.moment.engine
        self.shape = self.engine.shape
        self.blocks = self.engine.blocks()
        first, count = trial.first_block, trial.nr_blocks
        self.range = range(first, min(first + count, self.shape.nr_blocks))
        self.inside: list[Extent] = [e for b in self.range for e in extents(self.engine, b)]
        self.pins = self._pinned()
        self._free_number = 1 + max(
            [
                *self._moment.books.owners,
                *self._moment.books.pin_ids,
                len(self._moment.books.owners),
            ]
            + [number for held in self._moment.books.held.values() for number in held.values()]
        )

    @property
    def zone(self) -> int:
        """Zone of the first block."""
        return int(self.blocks[self._trial.first_block, 0])

    @property
    def node(self) -> int:
        """Node of the first block."""
        return self.shape.block_node[self._trial.first_block]

    # -- pins -----------------------------------------------------------------------------------

    def _pinned(self) -> list[Pinned]:
        """Workloads whose pins hold pages of the range, fewest pages first."""
        books, work = self._moment.books, self._plan.workloads
        slots = {extent.area for extent in self.inside if extent.pins}
        span = (self.range.start * self.shape.block_pages, self.range.stop * self.shape.block_pages)
        found = []
        for workload, guest in books.guests.items():
            if guest.slot in slots and guest.pin >= 0:
                pinned = int(work.pinned_pages[workload])
                here = _below(parts(self.engine.area(guest.slot), *span), pinned)
                pages = sum(part.pages for part in here)
                if pages:
                    found.append(Pinned(workload, guest.pin, guest.slot, here, pages, pinned))
        return sorted(found, key=lambda item: (item.pages_here, item.workload))

    def release(self, pins: list[Pinned]) -> Change:
        """Take long-term pins back altogether."""
        stage = Stage(tuple((int(Op.UNPIN), item.pin) for item in pins))
        pages = sum(item.pinned_pages for item in pins)
        return Change("release_pin", pages, (stage,), {"workloads": [p.workload for p in pins]})

    def move(self, pins: list[Pinned]) -> Change:
        """Have only the pages in the way lie elsewhere, pinned all the same.

        Out of ZONE_MOVABLE they go as a pin that migrates moves them (mm/gup.c
        ``check_and_migrate_movable_pages``), out of a kernel zone to another node.
        """
        movable = self.zone % ZONES_PER_NODE == ZoneKind.MOVABLE
        stages, number = [Stage(tuple((int(Op.UNPIN), item.pin) for item in pins))], self._number()
        moving = self._trial.table.copy()
        moving[Cell.PIN_MIGRATES] = 1
        for item in pins:
            pinner = int(self._plan.workloads.pinner[item.workload])
            again = [(part.first, part.pages) for part in item.here]
            if not movable:
                stages.append(Stage(tuple(self._to_other_node(item.slot, again))))
            stages.append(Stage(tuple(
                (int(Op.PIN), next(number), item.slot, *span, pinner, -1) for span in again
            ), moving if movable else None))  # fmt: skip
            rest = _complement(again, item.pinned_pages)
            stages.append(
                Stage(tuple((int(Op.PIN), next(number), item.slot, *s, pinner, -1) for s in rest))
            )
        pages = sum(item.pages_here for item in pins)
        return Change("move_pages", pages, tuple(stages), {"workloads": [p.workload for p in pins]})

    def _to_other_node(self, slot: int, spans: list[tuple[int, int]]) -> list[tuple[int, ...]]:
        nodes = [n for n in range(self.shape.nr_nodes) if n != self.node] or [self.node]
        return [(int(Op.MIGRATE), slot, *span, nodes[0]) for span in spans]

    def _number(self) -> Iterator[int]:
        number = self._free_number
        while True:
            yield number
            number += 1

    # -- short references, room, pools ----------------------------------------------------------

    def references(self) -> Change | None:
        """Drop the short references that are events (vmsplice, stuck I/O) on these pages."""
        books, holds = self._moment.books, self._plan.holds
        slots = {extent.area for extent in self.inside if extent.refs}
        commands, pages, workloads = [], 0, []
        for workload, held in books.held.items():
            guest = books.guests.get(workload)
            if guest is not None and guest.slot in slots:
                for hold, number in held.items():
                    commands.append((int(Op.UNPIN), number))
                    pages += int(holds.pages[hold])
                workloads.append(workload)
        if not commands:
            return None
        return Change("release_reference", pages, (Stage(tuple(commands)),),
                      {"workloads": workloads})  # fmt: skip

    def same_node(self) -> Change | None:
        """Let the offline fall back to its own node, as no kernel does."""
        if self.shape.nr_nodes == 1:
            return None
        table = self._trial.table.copy()
        table[Cell.OFFLINE_TARGET] = OfflineTarget.SAME_NODE_FALLBACK
        pages = sum(extent.pages for extent in self.inside)
        return Change("same_node", pages, (), {"node": self.node}, table)

    def room(self) -> Iterator[Change]:
        """Have a workload of another node gone, the smallest that leaves room enough first."""
        needed = sum(e.pages for e in self.inside if not e.pins and e.area >= 0)
        guests = self._moment.books.guests.items()
        there = [(g.pages, w, g) for w, g in guests if g.node != self.node and g.pages >= needed]
        for pages, workload, guest in sorted(there)[:MANY_OTHERS]:
            stage = Stage(((int(Op.EXIT), guest.slot),))
            yield Change("room", pages, (stage,), {"workloads": [workload], "node": guest.node})

    def pool(self) -> Change | None:
        """Have as many free hugetlb folios on another node as the block has in use."""
        kinds = self._plan.workloads.backing
        owners = self._moment.books.owners
        folios = 0
        for extent in self.inside:
            workload = owners.get(extent.area, (NOBODY, 0))[0]
            if workload != NOBODY and kinds[workload] == AreaKind.HUGETLB:
                folios += extent.pages // self.shape.pageblock_pages
        nodes = [n for n in range(self.shape.nr_nodes) if n != self.node] or [self.node]
        if not folios:
            return None
        stage = Stage(((int(Op.POOL), nodes[0], folios),))
        pages = folios * self.shape.pageblock_pages
        return Change("pool", pages, (stage,), {"node": nodes[0], "folios": folios})

    # -- other blocks ---------------------------------------------------------------------------

    def others(self) -> Iterator[Change]:
        """Ask for another range of the same kind of zone instead, the emptiest first."""
        count, kind = len(self.range), self.zone % ZONES_PER_NODE
        zones = self.blocks[:, 0]
        used, pinned, kernel = (self.blocks[:, c].astype(np.int64) for c in (3, 4, 6))
        ranges = []
        for first in range(self.shape.nr_blocks - count + 1):
            span = slice(first, first + count)
            alike = zones[first] >= 0 and zones[first] % ZONES_PER_NODE == kind
            overlaps = first < self.range.stop and self.range.start < first + count
            if alike and not overlaps and (zones[span] == zones[first]).all():
                held = int(pinned[span].sum() + kernel[span].sum())
                ranges.append((held, int(used[span].sum()), first))
        for _, pages, first in sorted(ranges)[:MANY_OTHERS]:
            yield Change("other_block", pages, (), {"first_block": first}, first_block=first)


def _below(found: list[Part], end: int) -> tuple[Part, ...]:
    """Return the parts of an area before an index, by index."""
    cut = [part.cut(0, end) for part in found]
    return tuple(sorted(part for part in cut if part is not None))


def _complement(spans: list[tuple[int, int]], end: int) -> list[tuple[int, int]]:
    """Return the gaps between ascending (first, count) spans of ``[0, end)``."""
    gaps, at = [], 0
    for first, count in spans:
        if first > at:
            gaps.append((at, first - at))
        at = first + count
    return gaps + ([(at, end - at)] if at < end else [])
