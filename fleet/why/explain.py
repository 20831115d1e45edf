"""Everything there is to say about one request: facts, from the log and from replays of its host.

``explain`` returns plain data, the shape of ``fleet explain --format json`` (docs/explain.md);
``words`` and ``terminal`` turn it into a story.
"""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from engine.enums import ZONES_PER_NODE, Cell, OfflineReason, ZoneKind
from fleet.hosts.zones import zone_name
from fleet.plan.tables import Plan
from fleet.why.causes import Cause, causes
from fleet.why.changes import Changes
from fleet.why.counterfactual import Tried, search
from fleet.why.ids import IncidentId, RequestId, request_row
from fleet.why.replay import Replay
from fleet.why.room import withdrawal
from fleet.why.source import Source
from fleet.why.trial import Ended, Trial, errno_name
from fleet.why.watched import Moment
from fleet.why.words import summary, timeline
from policies.cells import CELL_DOCS

Facts = dict[str, Any]

PIN_CELLS = (
    Cell.FAULT_FLAG_ANON, Cell.FAULT_FLAG_THP, Cell.FAULT_FLAG_HUGETLB, Cell.PIN_MIGRATES,
    Cell.PIN_FAILURE, Cell.PIN_DENIED, Cell.ISOLATED_UNPINNABLE, Cell.OFFLINE_RULE,
    Cell.OFFLINE_BOUND_NS, Cell.OFFLINE_TARGET,
)  # fmt: skip
"""Cells that decide whether a pin and an offline meet, in the order in which they are told."""
WORKLOADS = 8
"""Workloads that are followed into other arms at most."""
MOST_KEPT = 8
"""Hosts of units of which copies are kept at most: those of two hosts under four arms."""

HostId = tuple[str, int, int]
"""Arm, replication and host."""


class Explainer:
    """Explains requests of one run; replays and plans are kept between them."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._replays: dict[HostId, Replay] = {}
        self._ahead: dict[HostId, dict[int, int]] = {}
        self._moments: dict[HostId, tuple[int, dict[int, Moment]]] = {}

    def replay(self, arm: str, rep: int, host: int) -> Replay:
        """Return the replay of a host of a unit."""
        key = arm, rep, host
        if key not in self._replays:
            self._replays[key] = Replay(self.source, *key)
        return self._replays[key]

    def foresee(self, idents: Iterable[RequestId]) -> None:
        """Say which requests are going to be explained: a host is replayed once for all of them."""
        for ident in idents:
            for arm, rep in self.source.units:
                if rep == ident.rep:
                    same = RequestId(arm, rep, ident.request)
                    row = request_row(self.source, same)
                    attempts = self._attempts(same, row)
                    if attempts:
                        until_ns = self._until_ns(same, row, attempts[-1], whole=same == ident)
                        ahead = self._ahead.setdefault((arm, rep, row["host"]), {})
                        attempt = attempts[-1]["attempt"]
                        ahead[attempt] = max(ahead.get(attempt, 0), until_ns)

    def _moment(self, replay: Replay, attempt: int, until_ns: int) -> Moment | None:
        """Return a host just before an attempt, with what it was told up to a time."""
        key = replay.arm, replay.rep, replay.host
        known_ns, moments = self._moments.get(key, (0, {}))
        if attempt not in moments or known_ns < until_ns:
            ahead = self._ahead.pop(key, {})
            known_ns = max(until_ns, *ahead.values()) if ahead else until_ns
            moments = replay.to(known_ns, [*ahead, attempt]).moments
            self._moments.pop(key, None)
            self._moments[key] = known_ns, moments
            if len(self._moments) > MOST_KEPT:
                del self._moments[next(iter(self._moments))]
        return moments.get(attempt)

    # -- one request ----------------------------------------------------------------------------

    def explain(self, ident: RequestId) -> Facts:
        """Return all facts about one request.

        Raises
        ------
        InputError
            There is no such request, or its host's replay differs from the log.
        """
        here = self._side(ident, whole=True)
        workloads = [cause["workload"] for cause in here["causes"]]
        arms = list(dict.fromkeys(arm for arm, rep in self.source.units if rep == ident.rep))
        others = [
            self._other(RequestId(arm, ident.rep, ident.request), ident, workloads[:WORKLOADS])
            for arm in arms
            if arm != ident.arm
        ]
        facts = {**here, "arms": others}
        told = [{"time_ns": time_ns, "text": text} for time_ns, text in timeline(facts)]
        return {**facts, "summary": summary(facts), "timeline": told}

    # -- one arm --------------------------------------------------------------------------------

    def _side(self, ident: RequestId, *, whole: bool) -> Facts:
        """Facts about a request in its own arm; ``whole`` with causes and counterfactual."""
        source, row = self.source, request_row(self.source, ident)
        host = row["host"]
        attempts = self._attempts(ident, row)
        facts: Facts = {"id": str(ident), **ident._asdict(), **row, "attempts_made": attempts}
        facts |= self.host_facts(ident, host)
        facts["blockers"] = self._blockers(ident, host)
        facts["moves"] = self._moves(ident, host, [a["attempt"] for a in attempts])
        facts["slowed"] = self._slowed(ident, host, attempts)
        facts["incidents"] = self._incidents(ident, row)
        facts["commands"] = source.rows(
            "commands", ident.arm, ident.rep, host=host, request=ident.request
        ).to_pylist()
        facts["withdrawal"] = None
        if row["outcome"] == "withdrawn":
            facts["withdrawal"] = withdrawal(source, ident.arm, ident.rep, row)
        facts |= {"at_start": None, "causes": [], "bystanders": None, "counterfactual": None}
        if attempts:
            facts |= self._looked_at(ident, row, attempts[-1], whole=whole)
        return facts

    def _looked_at(self, ident: RequestId, row: Facts, attempt: Facts, *, whole: bool) -> Facts:
        """What a replay shows: the block before the attempt, causes, what would have helped."""
        replay = self.replay(ident.arm, ident.rep, row["host"])
        deadline_ns = self._deadline_ns(replay.plan, row, attempt)
        until_ns = self._until_ns(ident, row, attempt, whole=whole)
        moment = self._moment(replay, attempt["attempt"], until_ns)
        if moment is None:
            return {}
        trial = Trial(
            moment, attempt["attempt"], attempt["first_block"], attempt["nr_blocks"], deadline_ns,
            row["kind"] == "probe", replay.world.table,
        )  # fmt: skip
        changes = Changes(trial, replay.plan)
        found: Facts = {"at_start": _blocks(changes)}
        if whole:
            found["causes"] = [_cause(cause) for cause in causes(replay, changes, moment)]
            for cause in found["causes"]:
                cause["pins"] = self._pins(ident, cause["workload"], row["host"])
            found["bystanders"] = _bystanders(changes, moment, found["causes"])
            if row["outcome"] != "offlined":
                found["counterfactual"] = _counterfactual(trial, replay.plan, changes)
        return found

    def _attempts(self, ident: RequestId, row: Facts) -> list[Facts]:
        """Attempts made for a request."""
        rows = self.source.rows(
            "attempts", ident.arm, ident.rep, host=row["host"], request=ident.request
        )
        found: list[Facts] = rows.to_pylist()
        return found

    def _until_ns(self, ident: RequestId, row: Facts, attempt: Facts, *, whole: bool) -> int:
        """How far the host must be replayed to make an attempt again."""
        if not whole or row["kind"] != "removal":
            return int(attempt["start_ns"]) + 1
        return self._deadline_ns(self.source.plan(ident.rep), row, attempt) + 1

    def _deadline_ns(self, plan: Plan, row: Facts, attempt: Facts) -> int:
        """When the attempt had to be back: deadline, watchdog or end of the run."""
        watchdog, times = self.source.scenario.watchdog, [row["deadline_ns"], plan.horizon_ns]
        if watchdog.mechanism == "reboot" and row["kind"] == "removal":
            times.append(attempt["start_ns"] + watchdog.timeout_ns)
        return int(min(times))

    def host_facts(self, ident: RequestId | IncidentId, host: int) -> Facts:
        """The host as the arm sizes it."""
        (row,) = self.source.rows("hosts", ident.arm, ident.rep, host=host).to_pylist()
        return {
            "host_name": row["name"], "host_class": row["class"],
            "memory_pages": row["memory_pages"], "block_pages": row["block_pages"],
            "nodes": row["nodes"], "movable_pages": row["movable_pages"],
        }  # fmt: skip

    def _blockers(self, ident: RequestId, host: int) -> list[Facts]:
        """What the reports named, by attempt and class."""
        rows = self.source.rows(
            "blockers", ident.arm, ident.rep, host=host, request=ident.request
        ).to_pylist()
        found: dict[tuple[int, str], Facts] = {}
        for row in rows:
            key = row["attempt"], row["class"]
            empty = {"attempt": key[0], "class": key[1], "runs": 0, "pages": 0, "workloads": []}
            item = found.setdefault(key, empty)
            item["runs"] += 1
            item["pages"] += row["pages"]
            if row["workload"] is not None and row["workload"] not in item["workloads"]:
                item["workloads"].append(row["workload"])
        return list(found.values())

    def _moves(self, ident: RequestId, host: int, attempts: list[int]) -> list[Facts]:
        """Where the attempts moved pages to, by zones."""
        rows = self.source.rows(
            "migrations", ident.arm, ident.rep, host=host, reason="memory_hotplug", cause=attempts
        ).to_pylist()
        found: dict[tuple[int, int], int] = {}
        for row in rows:
            key = row["zone_from"], row["zone_to"]
            found[key] = found.get(key, 0) + row["pages"]
        return [{"zone_from": a, "zone_to": b, "pages": n} for (a, b), n in sorted(found.items())]

    def _slowed(self, ident: RequestId, host: int, attempts: list[Facts]) -> list[Facts]:
        """Whose pages the attempts took away, and for how long: the longest of each attempt first.

        ``worked_ns`` is how long the attempt had run by then; workload None: the host itself.
        """
        began = {attempt["attempt"]: attempt["start_ns"] for attempt in attempts}
        rows = self.source.rows(
            "slowdowns", ident.arm, ident.rep, host=host, cause=list(began),
            reason=["memory_hotplug", "suspended"],
        ).to_pylist()  # fmt: skip
        found: dict[tuple[int, int | None], Facts] = {}
        for row in rows:
            key = row["cause"], row["workload"]
            empty = {
                "attempt": key[0], "workload": key[1], "time_ns": row["time_ns"],
                "worked_ns": row["time_ns"] - began[key[0]],
                "unmaps": 0, "unavailable_ns": 0, "suspended_ns": 0,
            }  # fmt: skip
            item = found.setdefault(key, empty)
            away = row["reason"] == "suspended"
            item["suspended_ns" if away else "unavailable_ns"] += row["unavailable_ns"]
            item["unmaps"] += 0 if away else row["unmaps"]
        return sorted(
            found.values(),
            key=lambda s: (s["attempt"], -s["unavailable_ns"] - s["suspended_ns"]),
        )

    def _incidents(self, ident: RequestId, row: Facts) -> list[Facts]:
        """Resets that the request led to, and panics of its host while it was open."""
        rows = self.source.rows("incidents", ident.arm, ident.rep, host=row["host"]).to_pylist()
        end_ns = row["ended_ns"] if row["ended_ns"] is not None else row["deadline_ns"]
        return [
            item
            for item in rows
            if (item["kind"] == "reset" and item["cause"] == ident.request)
            or (item["kind"] == "panic" and row["issued_ns"] <= item["time_ns"] <= end_ns)
        ]

    def _pins(self, ident: RequestId | IncidentId, workload: int, host: int | None) -> Facts | None:
        """What the last pin of a workload on a host did, summed over blocks, by zone."""
        if host is None:
            return None
        rows = self.source.rows(
            "pins", ident.arm, ident.rep, host=host, workload=workload
        ).to_pylist()
        if not rows:
            return None
        rows = [row for row in rows if row["pin"] == rows[-1]["pin"]]
        zones: dict[str, int] = {}
        for row in rows:
            if row["zone"] is not None:
                name = zone_name(row["zone"])
                zones[name] = zones.get(name, 0) + row["pinned_pages"]
        names = ("pinned_pages", "faulted_pages", "migrated_pages", "failed_pages", "latency_ns")
        sums = {name: sum(row[name] for row in rows) for name in names}
        movable = sum(n for zone, n in zones.items() if zone.endswith("Movable"))
        first = {"pin": rows[0]["pin"], "time_ns": rows[0]["time_ns"], "errno": rows[0]["errno"]}
        return {**first, **sums, "zones": zones, "movable_pages": movable}

    # -- other arms -----------------------------------------------------------------------------

    def _other(self, ident: RequestId, base: RequestId, workloads: list[int]) -> Facts:
        """What became of the same request, and of the same workloads, under another arm."""
        side = self._side(ident, whole=False)
        side["cells"] = self.cells(base.arm, ident.arm)
        side["workloads"] = self.elsewhere(ident, workloads)
        return side

    def elsewhere(self, ident: RequestId | IncidentId, workloads: list[int]) -> list[Facts]:
        """Workloads under another arm: where they were, what their pins did."""
        if not workloads:
            return []
        names = ("workload", "host", "placed_ns", "outcome", "restarts")
        read = self.source.of_workloads("workloads", ident.arm, ident.rep, workloads, names)
        rows = {row["workload"]: row for row in read}
        return [
            {
                **rows[workload],
                "pins": self._pins(ident, workload, rows[workload]["host"]),
            }
            for workload in workloads
        ]

    def cells(self, base: str, other: str) -> list[Facts]:
        """Cells of the decision table that differ between two arms."""
        ours, theirs = self.source.arms[base].table(), self.source.arms[other].table()
        return [
            {
                "cell": cell.name, "meaning": CELL_DOCS[cell].meaning,
                "here": CELL_DOCS[cell].show(int(ours[cell])),
                "there": CELL_DOCS[cell].show(int(theirs[cell])),
            }
            for cell in PIN_CELLS
            if ours[cell] != theirs[cell]
        ]  # fmt: skip


def _blocks(changes: Changes) -> Facts:
    """The blocks asked for, just before the attempt."""
    rows = changes.blocks[changes.range.start : changes.range.stop]
    zone = int(rows[0, 0])
    return {
        "zone": zone_name(zone),
        "movable": zone >= 0 and zone % ZONES_PER_NODE == ZoneKind.MOVABLE,
        "used_pages": int(rows[:, 3].sum()), "pinned_pages": int(rows[:, 4].sum()),
        "file_pages": int(rows[:, 5].sum()), "kernel_pages": int(rows[:, 6].sum()),
        "free_pages": int(rows[:, 2].sum()),
        "reserved": any(e.area == -2 for e in changes.inside),
        "offline_running": changes.engine.offline_running,
    }  # fmt: skip


def _cause(cause: Cause) -> Facts:
    born = {zone_name(zone): pages for zone, pages in sorted(cause.born.items())}
    return {**asdict(cause), "born": born}


def _bystanders(changes: Changes, moment: Moment, held: list[Facts]) -> Facts:
    """Workloads that only lie in the blocks, and can be moved."""
    owners, known = moment.books.owners, {cause["workload"] for cause in held}
    pages: dict[int, int] = {}
    for extent in changes.inside:
        workload = owners.get(extent.area, (-1, 0))[0]
        if workload >= 0 and workload not in known:
            pages[workload] = pages.get(workload, 0) + extent.pages
    return {"workloads": len(pages), "pages": sum(pages.values())}


def _counterfactual(trial: Trial, plan: Plan, changes: Changes) -> Facts:
    """What would have returned the memory; without a change the attempt ends as it did."""
    tried = search(trial, plan, changes)
    helped = [t for t in tried if t.ended.returned and t.change.first_block is None]
    others = [t for t in tried if t.ended.returned and t.change.first_block is not None]
    best = next(iter([*helped, *others]), None)
    return {
        "attempt": trial.attempt, "as_logged": _ended(trial.unchanged),
        "smallest": None if best is None else _tried(best),
        "tried": [_tried(item) for item in tried],
    }  # fmt: skip


def _tried(item: Tried) -> Facts:
    change = item.change
    return {
        "kind": change.kind, "pages": change.pages, "about": change.facts or {},
        "returned": item.ended.returned, "ended": _ended(item.ended),
    }  # fmt: skip


def _ended(ended: Ended) -> Facts:
    facts: Facts = asdict(ended)
    return {
        **facts, "errno_name": errno_name(ended.errno),
        "reason": OfflineReason(ended.reason).name.lower(),
    }  # fmt: skip
