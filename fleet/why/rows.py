"""Rows of the event log as short sentences, and what happened on a host around a time."""

from typing import Any

from fleet.hosts.zones import zone_name
from fleet.report import units
from fleet.why.source import Source

Row = dict[str, Any]

EVENTS = {
    "requests": "issued_ns", "commands": "decided_ns", "attempts": "start_ns", "pins": "time_ns",
    "migrations": "time_ns", "incidents": "time_ns", "host_samples": "time_ns",
    "slowdowns": "time_ns",
}  # fmt: skip
"""Tables of events and the time at which a row is told; of one time, in this order."""


def describe(table: str, row: Row) -> str:
    """Return a row in a few words."""
    told = {
        "hosts": _host, "workloads": _workload, "requests": _request, "commands": _command,
        "pins": _pin, "migrations": _migration, "incidents": _incident, "attempts": _attempt,
        "blockers": _blocker, "host_samples": _sample, "slowdowns": _slowdown,
    }[table](row)  # fmt: skip
    return f"{table}: {told}"


def around(
    source: Source, arm: str, rep: int, host: int, time_ns: int, count: int
) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Return what happened on a host before a time and from then on: (time_ns, text) each."""
    found = []
    for position, (table, stamp) in enumerate(EVENTS.items()):
        for number, row in enumerate(source.rows(table, arm, rep, host=host).to_pylist()):
            text = _asked(row) if table == "requests" else describe(table, row)
            found.append((row[stamp], position, number, text))
    found.sort()
    before = [(at, text) for at, _, _, text in found if at < time_ns]
    after = [(at, text) for at, _, _, text in found if at >= time_ns]
    return before[-count:], after[:count]


def _asked(row: Row) -> str:
    """A request as it was made: nobody knows yet what becomes of it."""
    block = f" of block {row['first_block']}" if row["kind"] == "probe" else ""
    return f"requests: {row['kind']} {row['request']}{block} is asked of host {row['host']}"


def _host(row: Row) -> str:
    movable = units.pages(row["movable_pages"])
    return (
        f"host {row['host']} {row['name']}, {units.pages(row['memory_pages'])}, {movable} movable"
    )


def _workload(row: Row) -> str:
    where = "nowhere" if row["host"] is None else f"host {row['host']}"
    size = units.pages(row["memory_pages"])
    return f"workload {row['workload']} ({size}, {row['backing']}) on {where}: {row['outcome']}"


def _request(row: Row) -> str:
    block = "" if row["first_block"] is None else f" of block {row['first_block']}"
    return f"{row['kind']} {row['request']}{block} on host {row['host']}: {row['outcome']}"


def _command(row: Row) -> str:
    about = "" if row["workload"] is None else f" workload {row['workload']}"
    about += "" if row["request"] is None else f" request {row['request']}"
    block = "" if row["first_block"] is None else f" block {row['first_block']}"
    where = "nowhere" if row["host"] is None else f"host {row['host']}"
    return f"{row['kind']}{about}{block} on {where}"


def _pin(row: Row) -> str:
    place = "nothing" if row["block"] is None else f"block {row['block']}, {zone_name(row['zone'])}"
    moved = f", {units.pages(row['migrated_pages'])} moved first" * bool(row["migrated_pages"])
    failed = f", errno {row['errno']}" * bool(row["errno"])
    pinned = units.pages(row["pinned_pages"])
    return f"workload {row['workload']} pins {pinned} in {place}{moved}{failed}"


def _migration(row: Row) -> str:
    zones = f"{zone_name(row['zone_from'])} to {zone_name(row['zone_to'])}"
    return f"{units.pages(row['pages'])} from {zones} for {row['reason']}"


def _slowdown(row: Row) -> str:
    whose = "the host" if row["workload"] is None else f"workload {row['workload']}"
    times, away = f"{row['unmaps']:,} unmappings", units.time(row["unavailable_ns"])
    return f"pages of {whose} were away for {away} in {times} for {row['reason']}"


def _incident(row: Row) -> str:
    whom = "" if row["workload"] is None else f" of workload {row['workload']}"
    return f"{row['kind']}{whom}, {units.pages(row['pages'])}"


def _attempt(row: Row) -> str:
    end = "running" if row["end_ns"] is None else f"errno {row['errno']}, {row['reason']}"
    work = f"{row['passes']:,} passes, {units.pages(row['migrated_pages'])} moved"
    return f"request {row['request']} offlines block {row['first_block']}: {end}, {work}"


def _blocker(row: Row) -> str:
    whose = "the host" if row["workload"] is None else f"workload {row['workload']}"
    pages = units.pages(row["pages"])
    return f"attempt {row['attempt']}: {pages} of {whose} in block {row['block']}, {row['class']}"


def _sample(row: Row) -> str:
    free, pinned = units.pages(row["free_pages"]), units.pages(row["pinned_pages"])
    return f"{zone_name(row['zone'])}: {free} free, {pinned} pinned"
