"""All there is to say about one incident: an OOM kill, a panic, a failed or stuck pin, a reset.

The host is replayed to the instant of the incident and looked at just before the command that set
it off: who asked for how much, what was free in which zone, who could be killed. Changes are tried
there, each on a copy of the host.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine import state
from engine.enums import ZONES_PER_NODE, AreaKind, Incident, Migratetype, Op, Row, ZoneKind
from engine.host import Host
from engine.rows import FIRST
from fleet.hosts.ageing import PRESSURE, Age
from fleet.hosts.zones import zone_name
from fleet.plan.backing import Backing
from fleet.plan.tables import Plan
from fleet.run.guests import Books
from fleet.why.contents import NOBODY, parts
from fleet.why.explain import Explainer
from fleet.why.ids import IncidentId, RequestId, incident_row
from fleet.why.incident_told import summary, timeline
from fleet.why.trial import Int64
from fleet.why.watched import Moment

Facts = dict[str, Any]

KINDS = {
    "oom_kill": Incident.OOM_KILL, "panic": Incident.PANIC,
    "pin_failed": Incident.PIN_FAILED, "pin_stuck": Incident.PIN_STUCK,
}  # fmt: skip
"""Incidents that an engine's rows tell; a reset is the machine's own."""
RANGES = {Op.TOUCH: (2, 4), Op.PIN: (3, 5), Op.HOLD: (3, 5), Op.READ: (2, 4)}
"""Columns of the area and of the page count in the commands that ask for memory."""
COUNTED = (AreaKind.ANON, AreaKind.THP, AreaKind.SHMEM)
"""What mm/oom_kill.c ``oom_badness`` counts of a workload's memory."""
LARGEST, MOST_GONE, MOST_BLOCKS = 5, 4, 12
"""Workloads that are named as the largest; workloads tried to be gone, and blocks to be moved."""
OFFLINE_NS = 10**9
"""How long a block is given to go offline on a copy."""


@dataclass(frozen=True)
class Trigger:
    """The host just before the command that set an incident off.

    Attributes
    ----------
    host : Host
        A copy; clone it before anything is done to it.
    command : int64[8]
        As the engine takes it.
    requester : int
        Process that asked.
    owners : dict
        Process and area number to workload and placement.
    killed : tuple of int
        Processes that the same command had the OOM killer take before this incident.
    """

    host: Host
    command: Int64
    requester: int
    owners: dict[int, tuple[int, int]]
    killed: tuple[int, ...] = ()

    @property
    def op(self) -> Op:
        """What was asked for."""
        return Op(int(self.command[1]))

    @property
    def area(self) -> int:
        """The area that is touched or pinned, ``NOBODY`` for other commands."""
        return int(self.command[RANGES[self.op][0]]) if self.op in RANGES else NOBODY

    @property
    def pages(self) -> int:
        """How many pages of it."""
        return int(self.command[RANGES[self.op][1]]) if self.op in RANGES else 0

    def owner(self, slot: int) -> int | None:
        """Return the workload of a process or area, None for the host's own."""
        workload = self.owners.get(slot, (NOBODY, 0))[0]
        return None if workload == NOBODY else workload

    def passes(
        self,
        pages: int | None = None,
        before: tuple[int, ...] = (),
        table: Int64 | None = None,
    ) -> bool:
        """Give the command to a copy of the host, changed, and say whether nothing goes wrong.

        Parameters
        ----------
        pages : int, optional
            So many pages asked for instead.
        before : tuple of int
            Op and arguments of a command that is given first.
        table : int64 array, optional
            Another decision table.
        """
        host, now_ns = self.host.clone(), int(self.command[0])
        if before:
            first = [now_ns, *before, *[0] * (7 - len(before))]
            host.execute(np.array([first], np.int64), now_ns)
        if table is not None:
            host.use_table(table)
        command = self.command.copy()
        command[0] = now_ns = max(now_ns, host.now_ns)
        if pages is not None:
            command[RANGES[self.op][1]] = pages
        rows = host.execute(command[None, :], now_ns + 1)
        results = rows[rows[:, 1] == Row.RESULT]
        return not (rows[:, 1] == Row.INCIDENT).any() and not results[:, FIRST + 2].any()


def with_kernel_blocks(trigger: Trigger) -> Iterator[tuple[list[int], Trigger]]:
    """Yield the host with one, two, ... blocks of ZONE_MOVABLE online in kernel zones instead.

    The emptiest block first; each goes offline and online again as an administrator would have it
    (echo offline, echo online_kernel), which takes time on the copy; one that does not is passed
    over.
    """
    host, moved = trigger.host.clone(), list[int]()
    rows = host.blocks()
    movable = np.flatnonzero((rows[:, 0] >= 0) & (rows[:, 0] % ZONES_PER_NODE == ZoneKind.MOVABLE))
    tried = sorted(movable.tolist(), key=lambda b: (int(rows[b, 4]), int(rows[b, 3]), b))
    for block in tried[:MOST_BLOCKS]:
        if _online_kernel(host, block):
            moved.append(block)
            yield list(moved), replace(trigger, host=host)


def _online_kernel(host: Host, block: int) -> bool:
    """Move a block from ZONE_MOVABLE to the kernel zone of its node; say whether it went."""
    node, now_ns = host.shape.block_node[block], host.now_ns
    managed = host.zones()[node * ZONES_PER_NODE : node * ZONES_PER_NODE + ZoneKind.MOVABLE, 0]
    kinds = np.flatnonzero(managed)
    if not len(kinds) or host.offline_running:
        return False
    offline = [now_ns, Op.OFFLINE, -1, block, 1, OFFLINE_NS, 0, 0]
    host.execute(np.array([offline], np.int64), now_ns + OFFLINE_NS + 1)
    if host.offline_running or host.blocks()[block, 0] != -1:
        return False
    online = [host.now_ns, Op.ONLINE, block, 1, int(kinds[-1]), 0, 0, 0]
    host.execute(np.array([online], np.int64), host.now_ns)
    return bool(host.blocks()[block, 0] >= 0)


def explain_incident(explainer: Explainer, ident: IncidentId) -> Facts:
    """Return all facts about one incident (docs/explain.md).

    Raises
    ------
    InputError
        There is no such incident, or its host's replay differs from the log.
    """
    source = explainer.source
    row = incident_row(source, ident)
    facts: Facts = {"id": str(ident), **ident._asdict(), **row}
    facts |= explainer.host_facts(ident, row["host"])
    facts |= {"asked": None, "zones": [], "lies": {}, "largest": [], "request": None,
              "booting": False, "counterfactual": None}  # fmt: skip
    if row["kind"] == "reset":
        facts["request"] = str(RequestId(ident.arm, ident.rep, row["cause"]))
    else:
        found = explainer.replay(ident.arm, ident.rep, row["host"]).instant(row["time_ns"])
        trigger = _trigger(explainer, ident, row, *found) if found is not None else None
        facts["booting"] = found is None
        if trigger is not None:
            facts |= _looked_at(explainer, ident, row, trigger)
    facts["arms"] = _arms(explainer, ident, facts)
    told = [{"time_ns": time_ns, "text": text} for time_ns, text in timeline(facts)]
    return {**facts, "summary": summary(facts), "timeline": told}


def _trigger(
    explainer: Explainer, ident: IncidentId, row: Facts, moment: Moment, books: Books
) -> Trigger | None:
    """Return the command that set an incident off; None when it was none of that instant.

    ``moment`` and ``books`` are the host at that instant (``Replay.instant``).
    """
    number = _number(explainer, ident, row)
    commands = np.concatenate([commands for commands, _ in moment.later])
    first = moment.engine.nr_commands
    rows = moment.engine.clone().execute(commands, row["time_ns"] + 1)
    hits = rows[rows[:, 1] == Row.INCIDENT]
    if number >= len(hits) or hits[number, FIRST] != KINDS[row["kind"]]:
        return None
    at = int(hits[number, 2]) - first
    if not 0 <= at < len(commands):
        return None
    spawned = {int(c[2]) for c in commands[:at] if c[1] == Op.SPAWN}
    there = {**moment.books.owners, **{s: books.owners[s] for s in spawned if s in books.owners}}
    before = _before(moment, commands[:at])
    earlier = hits[:number][hits[:number, 2] == hits[number, 2]]
    killed = earlier[earlier[:, FIRST] == Incident.OOM_KILL][:, FIRST + 1].tolist()
    return Trigger(before, commands[at], int(hits[number, FIRST + 2]), there, tuple(killed))


def _before(moment: Moment, commands: Int64) -> Host:
    """Return the host after the earlier commands of the instant."""
    host = moment.engine.clone()
    host.execute(commands, moment.time_ns)
    return host


def _number(explainer: Explainer, ident: IncidentId, row: Facts) -> int:
    """Return how many incidents of the host's engine came before it at the same instant."""
    rows = explainer.source.rows(
        "incidents", ident.arm, ident.rep, host=row["host"], time_ns=row["time_ns"]
    ).to_pylist()
    made = [item["incident"] for item in rows if item["kind"] in KINDS]
    return made.index(ident.incident)


def _looked_at(explainer: Explainer, ident: IncidentId, row: Facts, trigger: Trigger) -> Facts:
    """What the host was like, who asked, and what would have avoided it."""
    replay = explainer.replay(ident.arm, ident.rep, row["host"])
    plan, workload = replay.plan, trigger.owner(trigger.requester)
    largest = _by_memory(trigger, plan, COUNTED)
    if row["kind"] in ("pin_failed", "pin_stuck"):
        workload = row["workload"]
    work = plan.workloads
    pooled = workload is not None and int(work.backing[workload]) not in COUNTED
    rivals = _by_memory(trigger, plan, [int(work.backing[workload])]) if pooled else largest
    asked = {
        "op": trigger.op.name.lower(), "workload": workload, "pages": trigger.pages,
        "kind": None if workload is None else work.kind_names[int(work.kind[workload])],
        "backing": None if workload is None else Backing(int(work.backing[workload])).name.lower(),
        "present_pages": sum(_lies(trigger).values()),
        "killed_before": [trigger.owner(slot) for slot in trigger.killed],
    }  # fmt: skip
    tables = {
        arm: explainer.source.world(arm, ident.rep).table
        for arm, rep in explainer.source.units
        if rep == ident.rep and arm != ident.arm
    }
    return {
        "asked": asked, "zones": _zones(trigger.host), "lies": _lies(trigger),
        "largest": largest[:LARGEST],
        "counterfactual": _counterfactual(
            trigger, rivals, tables, _episode(trigger, replay.world.age)
        ),
    }  # fmt: skip


def _zones(host: Host) -> list[Facts]:
    """Every zone with memory: pages managed, free, its marks, and what it keeps from requests that
    may lie in ZONE_MOVABLE (mm/page_alloc.c ``lowmem_reserve``, and a policy's pool of pins).
    """
    names = ("managed_pages", "free_pages", "min_pages", "low_pages", "high_pages")
    reserves = host.save()["zone"][:, state.Z_RESERVE_2].tolist()
    return [
        {
            "zone": zone_name(zone),
            **dict(zip(names, row, strict=False)),
            "free_huge_pages": _free_huge(host, zone),
            "reserve_pages": reserves[zone],
        }
        for zone, row in enumerate(host.zones().tolist())
        if row[0]
    ]


def _free_huge(host: Host, zone: int) -> int:
    """Free pages of a zone that a huge page can be had of: in chunks of a pageblock or more."""
    order = host.shape.pageblock_order
    return sum(
        len(host.free_list(zone, kind, size)) << size
        for kind in Migratetype
        for size in (order, order + 1)
        if kind != Migratetype.ISOLATE
    )


def _lies(trigger: Trigger) -> dict[str, int]:
    """Pages by zone of what is asked for and is there already."""
    if trigger.area not in trigger.owners:
        return {}
    shape, found = trigger.host.shape, dict[int, int]()
    first = int(trigger.command[RANGES[trigger.op][0] + 1])
    for part in parts(trigger.host.area(trigger.area)):
        cut = part.cut(first, first + trigger.pages)
        if cut is not None:
            block = cut.pfn // shape.block_pages
            zone = shape.block_node[block] * ZONES_PER_NODE + shape.block_zone[block]
            found[zone] = found.get(zone, 0) + cut.pages
    return {zone_name(zone): pages for zone, pages in sorted(found.items())}


def _by_memory(trigger: Trigger, plan: Plan, backings: Collection[int]) -> list[Facts]:
    """Workloads of some backings by their memory, the largest first; ties: the lowest process.

    Of those ``COUNTED`` it is the order in which the OOM killer takes them.
    """
    found = []
    for slot, (workload, _) in trigger.owners.items():
        if workload == NOBODY or slot in trigger.killed:
            continue
        if plan.workloads.backing[workload] not in backings:
            continue
        area = trigger.host.area(slot)
        pages = int(area[area[:, 2] >= 0, 1].sum())
        if pages:
            found.append({"workload": workload, "slot": slot, "rss_pages": pages})
    return sorted(found, key=lambda item: (-item["rss_pages"], item["slot"]))


def _episode(trigger: Trigger, age: Age | None) -> int:
    """Pages that an episode of pressure has taken on a host that has such episodes."""
    if age is None or not age.pressure:
        return 0
    area = trigger.host.area(PRESSURE)
    return int(area[area[:, 2] >= 0, 1].sum())


def _counterfactual(
    trigger: Trigger, rivals: list[Facts], tables: dict[str, Int64], episode: int
) -> Facts:
    """What would have avoided it; without a change the command goes wrong again.

    ``rivals`` are the workloads whose memory would do, the largest first.
    """
    tried: list[Facts] = []
    short = _short(trigger)
    if short is not None:
        tried.append({"kind": "fewer_pages", "pages": short, "about": {}, "avoided": True})
    for blocks, changed in with_kernel_blocks(trigger):
        pages, about = len(blocks) * trigger.host.shape.block_pages, {"blocks": blocks}
        avoided = changed.passes()
        tried.append({"kind": "kernel_share", "pages": pages, "about": about, "avoided": avoided})
        if avoided:
            break
    own = (trigger.requester, trigger.area)
    others = [item for item in rivals[::-1] if item["slot"] not in own]
    fitting = [item for item in others if item["rss_pages"] >= (short or 0)] or others[-1:]
    for item in fitting[:MOST_GONE]:
        avoided = trigger.passes(before=(int(Op.EXIT), item["slot"]))
        about = {"workloads": [item["workload"]]}
        tried.append(
            {"kind": "room", "pages": item["rss_pages"], "about": about, "avoided": avoided}
        )
        if avoided:
            break
    if episode:
        avoided = trigger.passes(before=(int(Op.UNMAP), PRESSURE))
        tried.append({"kind": "pressure", "pages": episode, "about": {}, "avoided": avoided})
    for arm, table in tables.items():
        avoided = trigger.passes(table=table)
        tried.append({"kind": "policy", "pages": 0, "about": {"arm": arm}, "avoided": avoided})
    return {"as_logged": not trigger.passes(), "smallest": _smallest(tried), "tried": tried}


def _smallest(tried: list[Facts]) -> Facts | None:
    """Return the change that helped and concerns fewest pages; another policy only if none did."""
    helped = [item for item in tried if item["avoided"]]
    return min(helped, key=lambda item: (item["kind"] == "policy", item["pages"]), default=None)


def _short(trigger: Trigger) -> int | None:
    """Return by how many pages the room was too small: with so many fewer asked for, it goes.

    With one page fewer than that it does not. None for commands that ask for no pages.
    """
    if trigger.op not in RANGES or trigger.pages < 2 or not trigger.passes(pages=1):
        return None
    low, high = 1, trigger.pages
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if trigger.passes(pages=middle) else (low, middle)
    return trigger.pages - low


def _arms(explainer: Explainer, ident: IncidentId, facts: Facts) -> list[Facts]:
    """What the other arms did with the same workloads."""
    asked = facts["asked"]["workload"] if facts["asked"] else None
    workloads = [w for w in dict.fromkeys((asked, facts["workload"])) if w is not None]
    names = dict.fromkeys(arm for arm, rep in explainer.source.units if rep == ident.rep)
    return [
        {
            "arm": arm, "rep": ident.rep, "cells": explainer.cells(ident.arm, arm),
            "same_kind": explainer.source.rows(
                "incidents", arm, ident.rep, kind=facts["kind"]
            ).num_rows,
            "workloads": explainer.elsewhere(
                IncidentId(arm, ident.rep, ident.incident), workloads
            ),
        }
        for arm in names
        if arm != ident.arm
    ]  # fmt: skip
