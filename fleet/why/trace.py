"""One host's run in the Trace Event Format, for Perfetto (ui.perfetto.dev) and chrome://tracing.

Source: "Trace Event Format" (Google, 2016): complete events ``X`` nest on a thread, nestable async
events ``b`` and ``e`` of one category and id may overlap others, ``i`` are instants, ``C`` are
counters, ``M`` names. Timestamps are microseconds of simulated time.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from engine.enums import ZONES_PER_NODE
from engine.state import BK_PINNED, BK_ZONE, O_ON, O_PASSES
from fleet.hosts.zones import zone_name
from fleet.run.messages import Do
from fleet.why.passes import MOST_PASSES, Pass, passes
from fleet.why.replay import Replay, Replayed
from fleet.why.trial import Trial
from fleet.why.watched import WatchedMachine

Event = dict[str, Any]
REMOVALS, PROBES, HOST, CONTROLLER = 1, 2, 3, 4
THREADS = {
    REMOVALS: "removals", PROBES: "probes (on copies)", HOST: "incidents", CONTROLLER: "controller",
}  # fmt: skip
COUNTS = 240
"""Points of each counter over the whole run."""


def trace(replay: Replay) -> dict[str, Any]:
    """Return the trace of a host: the JSON object format, one process.

    Raises
    ------
    InputError
        The replay differs from the log.
    """
    made = replay.source.rows("attempts", replay.arm, replay.rep, host=replay.host).to_pylist()
    whole = replay.to(replay.plan.horizon_ns, [row["attempt"] for row in made])
    events = [
        *_names(replay), *_requests(replay), *_attempts(replay, whole), *_workloads(replay),
        *_pins(replay), *_incidents(replay), *_decisions(replay), *_counters(replay),
    ]  # fmt: skip
    timed = sorted((e for e in events if e["ph"] != "M"), key=lambda e: e["ts"])
    about = {
        "run": replay.source.folder.name, "arm": replay.arm, "rep": replay.rep,
        "host": replay.host, "scenario": replay.source.scenario.name,
        "seed": replay.plan.seed,
    }  # fmt: skip
    names = [e for e in events if e["ph"] == "M"]
    return {"traceEvents": names + timed, "displayTimeUnit": "ms", "otherData": about}


def to_bytes(found: dict[str, Any]) -> bytes:
    """Return a trace as JSON, an event per line."""
    events = ",\n".join(json.dumps(event) for event in found["traceEvents"])
    rest = json.dumps({key: value for key, value in found.items() if key != "traceEvents"})
    return f'{{"traceEvents": [\n{events}\n],\n{rest[1:]}\n'.encode()


def _us(time_ns: int) -> float:
    """Nanoseconds as microseconds; exact to the nanosecond below 104 days."""
    return time_ns / 1000


def _event(replay: Replay, ph: str, name: str, time_ns: int, tid: int, **more: Any) -> Event:
    return {"ph": ph, "name": name, "ts": _us(time_ns), "pid": replay.host, "tid": tid, **more}


def _names(replay: Replay) -> Iterator[Event]:
    host = replay.plan.hosts.name[replay.host]
    name = f"host {replay.host} {host} ({replay.arm}/{replay.rep})"
    yield {"ph": "M", "name": "process_name", "pid": replay.host, "tid": 0, "args": {"name": name}}
    for tid, thread in THREADS.items():
        meta = {"ph": "M", "pid": replay.host, "tid": tid}
        yield {**meta, "name": "thread_name", "args": {"name": thread}}
        yield {**meta, "name": "thread_sort_index", "args": {"sort_index": tid}}


def _rows(replay: Replay, table: str, **equal: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = replay.source.rows(
        table, replay.arm, replay.rep, host=replay.host, **equal
    ).to_pylist()
    return found


def _requests(replay: Replay) -> Iterator[Event]:
    """Requests as spans of their own: those of one host may overlap while they wait in line."""
    horizon_ns = replay.plan.horizon_ns
    for row in _rows(replay, "requests"):
        end_ns = row["ended_ns"] if row["ended_ns"] is not None else horizon_ns
        facts = {key: row[key] for key in ("outcome", "errno", "reason", "reset", "endless")}
        name = f"{row['kind']} {row['request']}: {row['outcome']}"
        yield from _span(replay, "request", row["request"], name, row["issued_ns"], end_ns, facts)


def _attempts(replay: Replay, whole: Replayed) -> Iterator[Event]:
    """Attempts and their passes, removals on one thread, probes (which may overlap) as spans."""
    probes = replay.plan.requests.probe
    horizon_ns = replay.plan.horizon_ns
    for row in _rows(replay, "attempts"):
        probe = bool(probes[row["request"]])
        deadline_ns = min(int(replay.plan.requests.deadline_ns[row["request"]]), horizon_ns)
        moment = whole.moments.get(row["attempt"])
        end_ns = row["end_ns"]
        if end_ns is None:
            end_ns = deadline_ns if probe or moment is None else _last_ns(replay, moment.later)
        facts = {k: row[k] for k in ("errno", "reason", "passes", "migrated_pages", "endless")}
        name = f"offline block {row['first_block']}"
        if row["nr_blocks"] > 1:
            name += f" to {row['first_block'] + row['nr_blocks'] - 1}"
        span = row["start_ns"], max(end_ns, row["start_ns"])
        place = row["attempt"], row["first_block"], row["nr_blocks"]
        found: list[Pass] = []
        if moment is not None:
            found = passes(Trial(moment, *place, span[1] + 1, probe, replay.world.table))
        if probe:
            yield from _span(replay, "probe", row["attempt"], name, *span, facts, PROBES)
            continue
        yield _complete(replay, REMOVALS, name, *span, facts)
        yield from _passes(replay, row["passes"], found, span[1])


def _last_ns(replay: Replay, later: tuple[tuple[Any, int], ...]) -> int:
    """Until when the engine ran: a reset or the end of the run."""
    return min(later[-1][1], replay.plan.horizon_ns) if later else replay.plan.horizon_ns


def _passes(replay: Replay, count: int, found: list[Pass], end_ns: int) -> Iterator[Event]:
    for number, item in enumerate(found, 1):
        facts = {"migrated_pages": item.migrated_pages, "failed_pages": item.failed_pages}
        yield _complete(replay, REMOVALS, f"pass {number}", item.start_ns, item.end_ns, facts)
    if found and count > len(found) >= MOST_PASSES:
        name = f"passes {len(found) + 1:,} to {count:,}"
        yield _complete(replay, REMOVALS, name, found[-1].end_ns, end_ns, {})


def _complete(
    replay: Replay, tid: int, name: str, start_ns: int, end_ns: int, facts: Event
) -> Event:
    length = {"dur": _us(end_ns - start_ns), "args": facts}
    return _event(replay, "X", name, start_ns, tid, cat="offline", **length)


def _span(
    replay: Replay, cat: str, ident: int, name: str, start_ns: int, end_ns: int, facts: Event,
    tid: int = HOST,
) -> Iterator[Event]:  # fmt: skip
    """A nestable async event."""
    same = {"cat": cat, "id": f"{cat}-{ident}"}
    yield _event(replay, "b", name, start_ns, tid, args=facts, **same)
    yield _event(replay, "e", name, end_ns, tid, **same)


def _workloads(replay: Replay) -> Iterator[Event]:
    """Every placement on the host, from its start until it ended, was cleared away or lost."""
    work, horizon_ns = replay.plan.workloads, replay.plan.horizon_ns
    ends: dict[tuple[int, int], int] = {}
    for time_ns, do, _, ident, number, *_ in replay.orders:
        if do in (Do.END, Do.EVICT):
            ends.setdefault((ident, number), time_ns)
    downs = replay.down_ns
    for time_ns, do, _, ident, number, *_ in replay.orders:
        if do != Do.PLACE:
            continue
        lost = [down for down in downs if down >= time_ns]
        end_ns = min([ends.get((ident, number), horizon_ns), *lost[:1]])
        kind = work.kind_names[int(work.kind[ident])]
        facts = {"pages": int(work.pages[ident]), "pinned_pages": int(work.pinned_pages[ident])}
        name = f"workload {ident} {kind}"
        key = ident << 10 | number
        yield from _span(replay, "workload", key, name, time_ns, end_ns, facts)


def _pins(replay: Replay) -> Iterator[Event]:
    """Long-term pins: a span as long as the caller waited."""
    found: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in _rows(replay, "pins"):
        found.setdefault((row["pin"], row["time_ns"]), []).append(row)
    names = ("pinned_pages", "faulted_pages", "migrated_pages", "failed_pages")
    for (pin, time_ns), rows in found.items():
        facts: Event = {name: sum(row[name] for row in rows) for name in names}
        facts |= {"errno": rows[0]["errno"], "blocks": len({row["block"] for row in rows})}
        end_ns = time_ns + sum(row["latency_ns"] for row in rows)
        name = f"pin of workload {rows[0]['workload']}"
        yield from _span(replay, "pin", pin, name, time_ns, end_ns, facts)


def _incidents(replay: Replay) -> Iterator[Event]:
    for row in _rows(replay, "incidents"):
        facts = {key: row[key] for key in ("workload", "cause", "pages", "mechanism")}
        yield _event(replay, "i", row["kind"], row["time_ns"], HOST, cat="incident", s="p",
                     args=facts)  # fmt: skip


def _decisions(replay: Replay) -> Iterator[Event]:
    """What the controller decided about the host, at the time it decided."""
    for row in _rows(replay, "commands"):
        about = row["workload"] if row["request"] is None else row["request"]
        facts = {key: row[key] for key in ("workload", "request", "first_block", "nr_blocks")}
        facts["takes_effect_us"] = _us(row["time_ns"])
        yield _event(replay, "i", f"{row['kind']} {about}", row["decided_ns"], CONTROLLER,
                     cat="decision", s="t", args=facts)  # fmt: skip


def _counters(replay: Replay) -> Iterator[Event]:
    """Free and pinned pages by zone, and passes of a running removal, at even steps."""
    horizon_ns, shape = replay.plan.horizon_ns, replay.world.shapes[replay.host]
    pairs = zip(shape.block_node, shape.block_zone, strict=True)
    known = sorted({node * ZONES_PER_NODE + kind for node, kind in pairs if kind >= 0})
    times = [max(horizon_ns * i // COUNTS, 1) for i in range(COUNTS + 1)]
    for time_ns, machine in replay.visit(sorted(set(times))):
        for name, values in _counted(machine, known).items():
            yield _event(replay, "C", name, time_ns, 0, args=values)


def _counted(machine: WatchedMachine, known: list[int]) -> dict[str, dict[str, int]]:
    """What the counters say now; zeros while the host is down."""
    host = machine.host_now
    if host is None:
        nothing = {zone_name(zone): 0 for zone in known}
        return {"free pages": nothing, "pinned pages": nothing, "removal passes": {"passes": 0}}
    arrays = host.save()
    zone, pinned = (arrays["blk"][:, column].astype(np.int64) for column in (BK_ZONE, BK_PINNED))
    online = zone >= 0
    held = np.bincount(zone[online], pinned[online], host.shape.nr_nodes * ZONES_PER_NODE)
    sizes = host.zones()
    running = bool(arrays["g"][O_ON])
    return {
        "free pages": {zone_name(z): int(sizes[z, 1]) for z in known},
        "pinned pages": {zone_name(z): int(held[z]) for z in known},
        "removal passes": {"passes": int(arrays["g"][O_PASSES]) if running else 0},
    }
