"""Why the controller withdrew a request: range, room or time by its own ledger, recounted."""

from typing import Any

from fleet.log.tables import NULL
from fleet.run.ledger import Ledger
from fleet.run.placement import RULES
from fleet.why.orders import read_log
from fleet.why.source import Source

Facts = dict[str, Any]


def withdrawal(source: Source, arm: str, rep: int, row: Facts) -> Facts:
    """Return what the ledger said about a host when it withdrew a request.

    Parameters
    ----------
    row : dict
        The ``requests`` row.

    Returns
    -------
    dict
        ``reason`` (``no_range``, ``no_room``, ``no_time``), and pages: ``capacity_pages`` for
        workloads before the removal, ``committed_pages`` promised to them, ``asked_pages``.
    """
    plan, host, now_ns = source.plan(rep), row["host"], row["ended_ns"]
    world = source.world(arm, rep)
    ledger = Ledger(plan.hosts, world.shapes, RULES[source.scenario.placement])
    since_ns = _commit(source, arm, rep, host, now_ns, ledger)
    for attempt in _removals(source, arm, rep, host):
        end_ns = attempt["end_ns"]
        if attempt["errno"] == 0 and end_ns is not None and since_ns < end_ns <= now_ns:
            ledger.remove(host, attempt["first_block"], attempt["nr_blocks"])
    found = {
        "capacity_pages": ledger.capacity_pages[host],
        "committed_pages": ledger.committed_pages[host],
        "asked_pages": row["nr_blocks"] * int(plan.hosts.block_pages[host]),
    }
    if not ledger.has_room_without(host, row["nr_blocks"]):
        return {"reason": "no_room", **found}
    if not ledger.ranges(host, row["nr_blocks"]):
        return {"reason": "no_range", **found}
    return {"reason": "no_time", **found}


def _commit(source: Source, arm: str, rep: int, host: int, now_ns: int, ledger: Ledger) -> int:
    """Promise the host's memory to the workloads that the controller believed there.

    Returns when the host had last gone down, -1 when never.
    """
    logged, demands, work = read_log(source, arm, rep, host), source.demands(rep), source.plan(rep)
    since_ns = max([t for t in logged.down_ns if t <= now_ns], default=-1)
    there: set[int] = set()
    for row in logged.commands:
        if since_ns < row["decided_ns"] <= now_ns:
            if row["kind"] in ("place", "replace"):
                there.add(row["workload"])
            elif row["kind"] == "evict":
                there.discard(row["workload"])
    for workload in there:
        end_ns = int(demands.end_ns[workload])
        if end_ns == NULL or end_ns > now_ns:
            ledger.commit(host, int(work.workloads.pages[workload]))
    return since_ns


def _removals(source: Source, arm: str, rep: int, host: int) -> list[Facts]:
    """Attempts that were no probes."""
    rows = source.rows("attempts", arm, rep, host=host).to_pylist()
    probe = source.plan(rep).requests.probe
    return [row for row in rows if not probe[row["request"]]]
