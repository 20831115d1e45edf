"""Changes to a host that might have let an attempt return its memory, each as commands to try."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
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
from fleet.plan.tables import NO_PINNER, Plan
from fleet.run.guests import Guest
from fleet.run.messages import pin_id
from fleet.why.contents import NOBODY, Extent, Part, extents, held_parts
from fleet.why.trial import Int64, Stage, Trial

OTHER_BLOCKS = 6
"""Other ranges that are tried at most, each by an attempt that may last until its deadline: where
the ones with fewest pinned pages do not go, those with more hardly will."""
MANY_OTHERS = 12
"""Workloads of other nodes that are tried at most."""


@dataclass(frozen=True)
class Change:
    """One change to the host just before an attempt.

    Attributes
    ----------
    kind : str
        ``release_pin``, ``move_pages``, ``release_reference``, ``same_node``, ``shrink_pool``,
        ``grow_pool``, ``room``, ``other_block`` or ``wait`` (for another removal to end); several
        joined by ``+``.
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
            first_block=self.first_block if other.first_block is None else other.first_block,
        )


@dataclass(frozen=True)
class Pin:
    """A long-term pin: its number and id, pages ``[first, first + pages)``, and who took it."""

    number: int
    ident: int
    first: int
    pages: int
    pinner: int


@dataclass(frozen=True)
class Pinned:
    """A workload with long-term pins in the blocks asked for.

    Attributes
    ----------
    workload, slot : int
        Who, and the number of its area.
    pins : tuple of Pin
        Those that hold pages there.
    here : tuple of Part
        Its pinned pages there, by index.
    pages_here, pinned_pages : int
        How many those are, and how many the pins hold in all.
    """

    workload: int
    slot: int
    pins: tuple[Pin, ...]
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

    @cached_property
    def pins(self) -> list[Pinned]:
        """Workloads whose pins hold pages of the range, fewest pages first."""
        found = []
        for workload, guest in self._moment.books.guests.items():
            inside = [e for e in self.inside if e.area == guest.slot and e.pins]
            if inside:
                here = held_parts(self.engine.area(guest.slot), inside)
                pins = tuple(p for p in self._pins_of(workload, guest) if _cut(here, p))
                pages = sum(part.pages for part in here), sum(pin.pages for pin in pins)
                found.append(Pinned(workload, guest.slot, pins, here, *pages))
        return sorted(found, key=lambda item: (item.pages_here, item.workload))

    def _pins_of(self, workload: int, guest: Guest) -> Iterator[Pin]:
        """Long-term pins of a workload: the one of its placement, and DMA mappings."""
        work, holds = self._plan.workloads, self._plan.holds
        if guest.pin >= 0:
            ident = pin_id(workload, guest.placement)
            pages, pinner = int(work.pinned_pages[workload]), int(work.pinner[workload])
            yield Pin(guest.pin, ident, 0, pages, pinner)
        for hold, number in self._moment.books.held.get(workload, {}).items():
            pinner = int(holds.pinner[hold])
            if pinner != NO_PINNER:
                ident = pin_id(workload, guest.placement, int(holds.number[hold]))
                yield Pin(
                    number, ident, int(holds.first_page[hold]), int(holds.pages[hold]), pinner
                )

    def release(self, pins: list[Pinned]) -> Change:
        """Take long-term pins back altogether."""
        pages = sum(item.pinned_pages for item in pins)
        about = {"workloads": [p.workload for p in pins]}
        return Change("release_pin", pages, (_unpin(pins),), about)

    def move(self, pins: list[Pinned]) -> Change:
        """Have only the pages in the way lie elsewhere, pinned all the same.

        Out of ZONE_MOVABLE they go as a pin that migrates moves them (mm/gup.c
        ``check_and_migrate_movable_pages``), out of a kernel zone to another node.
        """
        movable = self.zone % ZONES_PER_NODE == ZoneKind.MOVABLE
        stages, numbers = [_unpin(pins)], itertools.count(self._free_number)
        moving = self._trial.table.copy()
        moving[Cell.PIN_MIGRATES] = 1
        for item in pins:
            if not movable:
                stages.append(Stage(tuple(self._to_other_node(item))))
            for pin in item.pins:
                again = _cut(item.here, pin)
                table = moving if movable else None
                stages.append(_pin(item.slot, pin, again, numbers, table))
                stages.append(_pin(item.slot, pin, _complement(again, pin), numbers))
        about = {"workloads": [p.workload for p in pins]}
        return Change("move_pages", sum(p.pages_here for p in pins), tuple(stages), about)

    def _to_other_node(self, item: Pinned) -> Iterator[tuple[int, ...]]:
        nodes = [n for n in range(self.shape.nr_nodes) if n != self.node] or [self.node]
        for part in item.here:
            yield int(Op.MIGRATE), item.slot, part.first, part.pages, nodes[0]

    # -- short references, room, pools ----------------------------------------------------------

    def references(self) -> Iterator[Change]:
        """Drop the short references that are events (vmsplice, stuck I/O) on these pages."""
        books, holds = self._moment.books, self._plan.holds
        slots = {extent.area for extent in self.inside if extent.refs}
        commands, pages, workloads = [], 0, []
        for workload, held in books.held.items():
            guest = books.guests.get(workload)
            if guest is not None and guest.slot in slots:
                short = {h: n for h, n in held.items() if holds.pinner[h] == NO_PINNER}
                commands += [(int(Op.UNPIN), number) for number in short.values()]
                pages += sum(int(holds.pages[hold]) for hold in short)
                workloads += [workload] if short else []
        if commands:
            about = {"workloads": workloads}
            yield Change("release_reference", pages, (Stage(tuple(commands)),), about)

    def same_node(self) -> Iterator[Change]:
        """Let the offline fall back to its own node, as no kernel does."""
        if self.shape.nr_nodes == 1:
            return
        table = self._trial.table.copy()
        table[Cell.OFFLINE_TARGET] = OfflineTarget.SAME_NODE_FALLBACK
        pages = sum(extent.pages for extent in self.inside)
        yield Change("same_node", pages, (), {"node": self.node}, table)

    def room(self) -> Iterator[Change]:
        """Have a workload of another node gone, the smallest that leaves room enough first."""
        needed = sum(e.pages for e in self.inside if not e.pins and e.area >= 0)
        guests = self._moment.books.guests.items()
        there = [(g.pages, w, g) for w, g in guests if g.node != self.node and g.pages >= needed]
        for pages, workload, guest in sorted(there)[:MANY_OTHERS]:
            stage = Stage(((int(Op.EXIT), guest.slot),))
            yield Change("room", pages, (stage,), {"workloads": [workload], "node": guest.node})

    def free_folios(self) -> Iterator[tuple[int, int]]:
        """Yield nodes with free hugetlb folios and how many nobody has reserved, own node last."""
        pool = self.engine.pool().tolist()
        unreserved = sum(row[1] for row in pool) - pool[0][3]
        for node in sorted(range(self.shape.nr_nodes), key=lambda n: n == self.node):
            most = min(pool[node][1], unreserved)
            if most > 0:
                yield node, most

    def shrink_pool(self, node: int, folios: int) -> Change:
        """Lower nr_hugepages of a node by free folios.

        On another node they become room; on the block's own node they are no targets any more that
        lie in the block itself.
        """
        total, _, surplus, _ = self.engine.pool()[node].tolist()
        stage = Stage(((int(Op.NR_HUGEPAGES), node, max(total - surplus - folios, 0), 0),))
        return self._of_pool("shrink_pool", node, folios, stage)

    def grow_pool(self) -> Iterator[Change]:
        """Have as many more free folios on another node as hugetlb ones lie in the block.

        Of 2 MiB: a range for one of 1 GiB is not to be had on demand.
        """
        kinds, owners = self._plan.workloads.backing, self._moment.books.owners
        folios = 0
        for extent in self.inside:
            workload = owners.get(extent.area, (NOBODY, 0))[0]
            pooled = extent.area == NOBODY and not extent.gigantic
            if pooled or (workload != NOBODY and kinds[workload] == AreaKind.HUGETLB):
                folios += extent.pages // self.shape.pageblock_pages
        for node in [n for n in range(self.shape.nr_nodes) if n != self.node and folios]:
            stage = Stage(((int(Op.POOL), node, folios),))
            yield self._of_pool("grow_pool", node, folios, stage)

    def _of_pool(self, kind: str, node: int, folios: int, stage: Stage) -> Change:
        pages = folios * self.shape.pageblock_pages
        return Change(kind, pages, (stage,), {"node": node, "folios": folios})

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
        for _, pages, first in sorted(ranges)[:OTHER_BLOCKS]:
            yield Change("other_block", pages, (), {"first_block": first}, first_block=first)


Spans = list[tuple[int, int]]
"""(first, count), ascending."""


def _cut(here: tuple[Part, ...], pin: Pin) -> Spans:
    """Return the parts that a pin holds."""
    cut = [part.cut(pin.first, pin.first + pin.pages) for part in here]
    return [(part.first, part.pages) for part in cut if part is not None]


def _complement(spans: Spans, pin: Pin) -> Spans:
    """Return what else a pin holds."""
    gaps, at, end = [], pin.first, pin.first + pin.pages
    for first, count in spans:
        if first > at:
            gaps.append((at, first - at))
        at = first + count
    return gaps + ([(at, end - at)] if at < end else [])


def _unpin(pins: list[Pinned]) -> Stage:
    return Stage(tuple((int(Op.UNPIN), pin.number) for item in pins for pin in item.pins))


def _pin(
    slot: int, pin: Pin, spans: Spans, numbers: Iterator[int], table: Int64 | None = None
) -> Stage:
    """Pin parts of what a pin held, each under a number of its own."""
    commands = [(int(Op.PIN), next(numbers), slot, *span, pin.pinner, -1) for span in spans]
    return Stage(tuple(commands), table)
