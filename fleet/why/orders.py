"""What one host was told, in full, from the log of decisions and the plan.

``commands`` logs what the coordinator decided. What follows from the plan (ends, short references,
probes, samples) and from the rules of the controller (watchdog, signal at the deadline) is not
logged: it is worked out here as ``Tenants`` and ``Campaign`` do. Which boot of the host a command
was meant for follows from the times at which it went down. A few commands come out that the
coordinator would have held back because their workload had died; a host passes over them, because
they name a placement that it no longer has.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fleet.plan.tables import Plan
from fleet.run.demands import Planned, asked
from fleet.run.messages import ANY_BOOT, ATTEMPTS_PER_REQUEST, EVERY_HOST, HOST, Do
from fleet.scenario.scenario import Scenario
from fleet.why.source import Source

Order = list[int]
"""A row of ``messages.Orders``: time_ns, do, host, id, a, b, c, boot."""


PLACED = ("command", "host", "time_ns", "kind", "workload")
"""Columns of ``commands`` that say where a workload was placed and when."""


@dataclass(frozen=True, slots=True)
class Logged:
    """What the log says about one host: rows as dictionaries.

    Attributes
    ----------
    commands : list of dict
        For the host, in the order of decision.
    placed : dict
        Workload to its ``place`` and ``replace`` rows (``PLACED``) on any host, in order.
    down_ns : list of int
        When the host went down.
    """

    commands: list[dict[str, Any]]
    placed: dict[int, list[dict[str, Any]]]
    down_ns: list[int]


def read_log(source: Source, arm: str, rep: int, host: int) -> Logged:
    """Read what the log says about a host's commands."""
    commands = source.rows("commands", arm, rep, host=host).to_pylist()
    own = {row["workload"] for row in commands if row["workload"] is not None}
    every = source.of_workloads("commands", arm, rep, own, PLACED)
    placed: dict[int, list[dict[str, Any]]] = {}
    for row in sorted(every, key=lambda row: int(row["command"])):
        if row["kind"] in ("place", "replace"):
            placed.setdefault(row["workload"], []).append(row)
    return Logged(commands, placed, _down_ns(source, arm, rep, host, commands))


def _down_ns(
    source: Source, arm: str, rep: int, host: int, commands: list[dict[str, Any]]
) -> list[int]:
    """Times at which a host went down: resets, panics, ordered reboots it was up for."""
    incidents = source.rows("incidents", arm, rep, host=host).to_pylist()
    hard = sorted(r["time_ns"] for r in incidents if r["kind"] in ("reset", "panic"))
    down = list(hard)
    for row in commands:
        if row["kind"] == "reset":
            between = [t for t in hard if row["decided_ns"] < t <= row["time_ns"]]
            if not between:
                down.append(row["time_ns"])
    return sorted(down)


def orders_of(source: Source, rep: int, host: int, logged: Logged) -> list[Order]:
    """Return the commands of a host over the whole run, as it carries them out.

    Parameters
    ----------
    source : Source
    rep : int
        Replication.
    host : int
    logged : Logged
    """
    plan, scenario = source.plan(rep), source.scenario
    rows = [
        *_decided(scenario, host, logged),
        *_planned(source.demands(rep).planned, host, logged),
        *_signals(plan, scenario, host, logged),
        *_asked(plan, scenario, host),
    ]
    return sorted(row for row in rows if row[0] < plan.horizon_ns)


def _boot(logged: Logged, decided_ns: int) -> int:
    """Return how often the coordinator knew the host to have gone down when it decided."""
    return sum(down_ns <= decided_ns for down_ns in logged.down_ns)


def _number(logged: Logged, workload: int, command: int) -> int:
    """Return the number of the placement that a command is or is about."""
    earlier = [row for row in logged.placed[workload] if row["command"] <= command]
    return len(earlier) - 1


def _decided(scenario: Scenario, host: int, logged: Logged) -> Iterator[Order]:
    """Yield what the coordinator decided itself."""
    watched_ns = _watched_ns(scenario)
    attempts: dict[int, int] = {}
    for row in logged.commands:
        kind, time_ns, workload = row["kind"], row["time_ns"], row["workload"]
        request, boot = row["request"], _boot(logged, row["decided_ns"])
        if kind in ("place", "replace"):
            number = _number(logged, workload, row["command"])
            yield [time_ns, Do.PLACE, host, workload, number, 0, 0, boot]
        elif kind == "evict":
            number = _number(logged, workload, row["command"])
            yield [time_ns, Do.EVICT, host, workload, number, 0, 0, ANY_BOOT]
        elif kind in ("offline", "retry"):
            number = attempts.get(request, 0)
            attempts[request] = number + 1
            attempt = request * ATTEMPTS_PER_REQUEST + number
            place = row["first_block"], row["nr_blocks"]
            yield [time_ns, Do.OFFLINE, host, attempt, *place, watched_ns, boot]
        elif kind == "reset":
            yield [time_ns, Do.REBOOT, host, request, 0, 0, 0, boot]


def _watched_ns(scenario: Scenario) -> int:
    """Return after how long the watchdog bites, 0 when none is armed."""
    watchdog = scenario.watchdog
    return int(watchdog.timeout_ns) if watchdog.mechanism == "reboot" else 0


def _planned(planned: Planned, host: int, logged: Logged) -> Iterator[Order]:
    """Yield ends, short references and DMA mappings of every placement on the host."""
    own = [w for w, rows in logged.placed.items() if any(row["host"] == host for row in rows)]
    mine = np.flatnonzero(np.isin(planned.workload, own))
    columns = [column[mine].tolist() for column in planned]
    by_workload: dict[int, list[tuple[int, int, int, int]]] = {}
    for time_ns, do, ident, workload, since_ns in zip(*columns, strict=True):
        by_workload.setdefault(workload, []).append((time_ns, do, ident, since_ns))
    for workload in own:
        for number, row in enumerate(logged.placed[workload]):
            if row["host"] != host:
                continue
            for time_ns, do, ident, since_ns in by_workload.get(workload, []):
                if row["time_ns"] <= since_ns:
                    yield [time_ns, do, host, ident, number, workload, 0, ANY_BOOT]


def _signals(plan: Plan, scenario: Scenario, host: int, logged: Logged) -> Iterator[Order]:
    """Yield the signals at the deadlines; under a watchdog there are none."""
    if scenario.watchdog.mechanism != "none":
        return
    latency_ns = scenario.reaction_latency_ns
    for row in logged.commands:
        if row["kind"] == "offline":
            request = row["request"]
            deadline_ns = int(plan.requests.deadline_ns[request])
            warn_ns = max(deadline_ns - latency_ns, row["decided_ns"])
            act_ns = max(deadline_ns, warn_ns + latency_ns)
            if warn_ns < plan.horizon_ns:
                boot = _boot(logged, warn_ns)
                yield [act_ns, Do.SIGNAL, host, request, 0, 0, 0, boot]


def _asked(plan: Plan, scenario: Scenario, host: int) -> Iterator[Order]:
    """Yield probes and samples."""
    rows = asked(plan, scenario.samples_ns)
    yield from rows[np.isin(rows[:, HOST], (host, EVERY_HOST))].tolist()
