"""Who was in the way of an attempt, and how their pages came to lie there."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

from engine.enums import ZONES_PER_NODE, AreaKind, Pinner
from engine.shape import HostShape
from fleet.plan.backing import Backing
from fleet.plan.tables import NO_PINNER, Plan
from fleet.why.changes import Changes
from fleet.why.contents import NOBODY, Extent, Part, parts
from fleet.why.replay import Birth, Replay
from fleet.why.watched import Moment


@dataclass(frozen=True)
class Cause:
    """Pages of one workload that an attempt met in its blocks.

    Attributes
    ----------
    workload, kind : int, str
        Whose pages, and the kind the scenario gives it.
    pinner : str
        Who pins for it: ``vfio``, ``rdma``, ``io_uring``; empty: nobody.
    pages, pinned_pages, held_pages : int
        In the blocks; of them under a long-term pin, and under a short reference.
    pin_ids : tuple of int
        Ids of the long-term pins.
    paths : dict
        Fault path (``anon``, ``thp``, ``hugetlb``) to pages in the blocks.
    placed_ns : int
        When it started on this host.
    before, by_pin, after : int
        Pinned pages in the blocks that were touched before the pin was taken, or faulted in by the
        pin itself; pages touched after it.
    held_since_ns, held_until_ns : int
        When the short references that are events were taken and are to be dropped; 0 without.
    born : dict
        Zone id to pinned pages in the blocks, by where their fault put them.
    stayed : int
        Pinned pages that lie where their fault put them; the others were moved here since.
    """

    workload: int
    kind: str
    pinner: str
    pages: int
    pinned_pages: int
    held_pages: int
    pin_ids: tuple[int, ...]
    paths: dict[str, int]
    placed_ns: int
    before: int
    by_pin: int
    after: int
    held_since_ns: int
    held_until_ns: int
    born: dict[int, int]
    stayed: int


def causes(replay: Replay, changes: Changes, moment: Moment) -> list[Cause]:
    """Return whose pages in the blocks of an attempt are pinned or held, most pages first."""
    inside: dict[int, list[Extent]] = {}
    for extent in changes.inside:
        workload = moment.books.owners.get(extent.area, (NOBODY, 0))[0]
        if workload != NOBODY and moment.slot_of(workload) == extent.area:
            inside.setdefault(workload, []).append(extent)
    held = [w for w, found in inside.items() if any(e.pins or e.refs for e in found)]
    births = replay.births(moment, held)
    found = [_cause(replay.plan, changes, moment, w, inside[w], births[w]) for w in held]
    return sorted(found, key=lambda c: (-c.pinned_pages, -c.held_pages, -c.pages, c.workload))


def _cause(
    plan: Plan,
    changes: Changes,
    moment: Moment,
    workload: int,
    inside: list[Extent],
    births: list[Birth],
) -> Cause:
    work, placed_ns = plan.workloads, births[0].time_ns - 1
    pinned = next((p for p in changes.pins if p.workload == workload), None)
    present, end = int(work.present_pages[workload]), int(work.pinned_pages[workload])
    came = _came(changes.shape, pinned.here if pinned else (), births, present, end)
    held = _held_ns(plan, moment, workload, placed_ns)
    pages = sum(e.pages for e in inside)
    pins = sum(e.pages for e in inside if e.pins)
    return Cause(
        workload=workload,
        kind=work.kind_names[int(work.kind[workload])],
        pinner=Pinner(pinned.pins[0].pinner).name.lower() if pinned and pinned.pins else "",
        pages=pages,
        pinned_pages=pins,
        held_pages=sum(e.pages for e in inside if e.refs),
        pin_ids=tuple(pin.ident for pin in pinned.pins) if pinned else (),
        paths=_paths(Backing(int(work.backing[workload])).area_kind, inside),
        placed_ns=placed_ns,
        before=came.before,
        by_pin=came.by_pin,
        after=pages - pins,
        held_since_ns=min(held, default=(0, 0))[0],
        held_until_ns=max((end_ns for _, end_ns in held), default=0),
        born=came.zones,
        stayed=came.stayed,
    )


def _held_ns(plan: Plan, moment: Moment, workload: int, placed_ns: int) -> list[tuple[int, int]]:
    """Begin and end of each short reference that a workload holds."""
    found = []
    held = moment.books.held.get(workload, {})
    for hold in (hold for hold in held if plan.holds.pinner[hold] == NO_PINNER):
        begin_ns = placed_ns + int(plan.holds.offset_ns[hold])
        found.append((begin_ns, begin_ns + int(plan.holds.duration_ns[hold])))
    return found


def _paths(backing: AreaKind, inside: list[Extent]) -> dict[str, int]:
    """Pages by the fault path that made them (mm/memory.c, mm/huge_memory.c, mm/hugetlb.c)."""
    found: dict[str, int] = {}
    for extent in inside:
        name = backing.name.lower()
        if backing in (AreaKind.ANON, AreaKind.THP):
            name = "thp" if extent.huge else "anon"
        found[name] = found.get(name, 0) + extent.pages
    return found


@dataclass
class _Came:
    """How pinned pages came: before or by their pin, in which zones, how many still lie there."""

    before: int = 0
    by_pin: int = 0
    stayed: int = 0
    zones: dict[int, int] = field(default_factory=dict)


def _came(
    shape: HostShape, here: tuple[Part, ...], births: list[Birth], present: int, end: int
) -> _Came:
    """Follow pinned pages to the first of the times at which they are seen.

    Of what is there just after placement, ``[present, end)`` was faulted in by the pin.
    """
    came, left = _Came(), list(here)
    for number, birth in enumerate(births):
        old = parts(birth.area)
        starts, rest = [part.first for part in old], []
        for now in left:
            seen = _seen(old, starts, now)
            for then in seen:
                _note(came, shape, then, now)
                inner = then.cut(present, end) if not number else None
                faulted = then.pages if birth.by_pin else inner.pages if inner is not None else 0
                came.by_pin += faulted
                came.before += then.pages - faulted
            rest += _unseen(now, seen)
        left = rest
    return came


def _seen(old: list[Part], starts: list[int], now: Part) -> list[Part]:
    """Return what was there of a part, by index; ``old`` ascends by its first indices."""
    end = now.first + now.pages
    first = max(bisect_right(starts, now.first) - 1, 0)
    cut = [then.cut(now.first, end) for then in old[first : bisect_left(starts, end)]]
    return [then for then in cut if then is not None]


def _unseen(now: Part, seen: list[Part]) -> list[Part]:
    """Return what of a part was not there yet."""
    ends = [now.first, *(then.first + then.pages for then in seen)]
    starts = [*(then.first for then in seen), now.first + now.pages]
    gaps = [now.cut(start, end) for start, end in zip(ends, starts, strict=True)]
    return [gap for gap in gaps if gap is not None]


def _note(came: _Came, shape: HostShape, then: Part, now: Part) -> None:
    """Note in which zone pages were, and whether they lie there still."""
    block = then.pfn // shape.block_pages
    zone = shape.block_node[block] * ZONES_PER_NODE + shape.block_zone[block]
    came.zones[zone] = came.zones.get(zone, 0) + then.pages
    here = now.cut(then.first, then.first + then.pages)
    came.stayed += then.pages if here is not None and here.pfn == then.pfn else 0
