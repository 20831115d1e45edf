"""Who was in the way of an attempt, and how their pages came to lie there."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.enums import ZONES_PER_NODE, AreaKind
from fleet.plan.tables import NO_PINNER, Plan
from fleet.run.messages import PLACEMENTS_PER_WORKLOAD
from fleet.why.changes import Changes
from fleet.why.contents import NOBODY, Part, parts
from fleet.why.replay import Replay
from fleet.why.watched import Moment

Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Cause:
    """Pages of one workload that an attempt met in its blocks.

    Attributes
    ----------
    workload, kind : int, str
        Whose pages, and the kind the scenario gives it.
    pages, pinned_pages, held_pages : int
        In the blocks; of them under a long-term pin, and under a short reference.
    pin : int or None
        Id of the long-term pin.
    paths : dict
        Fault path (``anon``, ``thp``, ``hugetlb``) to pages in the blocks.
    placed_ns : int
        When it started on this host.
    before, by_pin, after : int
        Pinned pages in the blocks that were touched before the pin was taken, or faulted in by the
        pin itself; pages touched after it.
    born : dict
        Zone id to pinned pages in the blocks, by where their fault put them.
    stayed : int
        Pinned pages that lie where their fault put them; the others were moved here since.
    """

    workload: int
    kind: str
    pages: int
    pinned_pages: int
    held_pages: int
    pin: int | None
    paths: dict[str, int]
    placed_ns: int
    before: int
    by_pin: int
    after: int
    born: dict[int, int]
    stayed: int


def causes(replay: Replay, changes: Changes, moment: Moment) -> list[Cause]:
    """Return whose pages in the blocks of an attempt are pinned or held, most pages first."""
    inside: dict[int, list[Any]] = {}
    for extent in changes.inside:
        workload = moment.books.owners.get(extent.area, (NOBODY, 0))[0]
        if workload != NOBODY and moment.slot_of(workload) == extent.area:
            inside.setdefault(workload, []).append(extent)
    held = [w for w, found in inside.items() if any(e.pins or e.refs for e in found)]
    births = replay.births(moment, held)
    found = [_cause(replay.plan, changes, moment, w, inside[w], births) for w in held]
    return sorted(found, key=lambda c: (-c.pinned_pages, -c.held_pages, -c.pages, c.workload))


def _cause(
    plan: Plan,
    changes: Changes,
    moment: Moment,
    workload: int,
    inside: list[Any],
    births: dict[int, tuple[int, Int64]],
) -> Cause:
    work, guest = plan.workloads, moment.books.guests[workload]
    pins = sum(e.pages for e in inside if e.pins)
    placed_ns, birth = births.get(workload, (0, None))
    pinned = next((p.here for p in changes.pins if p.workload == workload), ())
    born, stayed = _born(changes, pinned, birth) if birth is not None else ({}, 0)
    present = int(work.present_pages[workload])
    before = sum(part.pages for p in pinned if (part := p.cut(0, present)) is not None)
    ident = workload * PLACEMENTS_PER_WORKLOAD + guest.placement
    return Cause(
        workload=workload,
        kind=work.kind_names[int(work.kind[workload])],
        pages=sum(e.pages for e in inside),
        pinned_pages=pins,
        held_pages=sum(e.pages for e in inside if e.refs),
        pin=ident if pins and work.pinner[workload] != NO_PINNER else None,
        paths=_paths(int(work.backing[workload]), inside),
        placed_ns=placed_ns,
        before=before,
        by_pin=sum(p.pages for p in pinned) - before,
        after=sum(e.pages for e in inside) - pins,
        born=born,
        stayed=stayed,
    )


def _paths(backing: int, inside: list[Any]) -> dict[str, int]:
    """Pages by the fault path that made them (mm/memory.c, mm/huge_memory.c, mm/hugetlb.c)."""
    found: dict[str, int] = {}
    for extent in inside:
        name = "anon" if not extent.huge else "hugetlb" if backing == AreaKind.HUGETLB else "thp"
        found[name] = found.get(name, 0) + extent.pages
    return found


def _born(changes: Changes, pinned: tuple[Part, ...], birth: Int64) -> tuple[dict[int, int], int]:
    """Return pages by the zone of their birth, and how many still lie where they were born."""
    shape, stayed = changes.shape, 0
    zones: dict[int, int] = {}
    for old in parts(birth):
        for now in pinned:
            then, here = old.cut(now.first, now.first + now.pages), now.cut(*_span(old))
            if then is None or here is None:
                continue
            block = then.pfn // shape.block_pages
            zone = shape.block_node[block] * ZONES_PER_NODE + shape.block_zone[block]
            zones[zone] = zones.get(zone, 0) + then.pages
            stayed += then.pages if then.pfn == here.pfn else 0
    return zones, stayed


def _span(part: Part) -> tuple[int, int]:
    """First index and end of a part."""
    return part.first, part.first + part.pages
