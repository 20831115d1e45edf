"""A small made-up run with every table filled: rows as dictionaries, drawn by a fixed key.

The rows are consistent (ids refer to rows, one outcome per request) and irregular (ties, nulls,
arms of different behaviour), so that a query's answer can be recomputed in plain Python.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa

from fleet.log.folder import RunFolder
from fleet.log.records import Identity
from fleet.log.tables import TABLES
from fleet.log.writer import column_rows
from queries.catalog import Catalog

Row = dict[str, Any]
Unit = dict[str, list[Row]]
"""Rows of one (arm, replication) by table; every row also carries ``shard``."""

ARMS = ("pin-in-place+unbounded", "linux-5.13+unbounded", "linux-5.13+timeout@movable-75")
REPLICATIONS = 2
HOSTS = 6
SECOND = 10**9
DEADLINE = 600 * SECOND
SCENARIO = "name: example\n"


def identity(**changes: Any) -> Identity:
    """Return the identity of the example run."""
    values = {
        "name": "example", "content": {"hosts": HOSTS}, "seed": 1, "arms": ARMS,
        "replications": REPLICATIONS,
    }  # fmt: skip
    return Identity(**{**values, **changes})


def make_units() -> dict[tuple[str, int], Unit]:
    """Return the rows of every unit, always the same."""
    return {
        (arm, rep): _unit(position, rep)
        for position, arm in enumerate(ARMS)
        for rep in range(REPLICATIONS)
    }


def write_run(root: Path, units: dict[tuple[str, int], Unit] | None = None, **changes: Any) -> Path:
    """Write the example as a complete run under ``root`` and return its folder."""
    whole, rows = identity(**changes), units or make_units()
    path = root / whole.folder_name
    with RunFolder.open(path, whole, SCENARIO, resume=False) as folder:
        for arm, rep in folder.missing:
            write_unit(folder, arm, rep, rows[arm, rep])
        folder.finish()
    return path


def memory_catalog(
    units: dict[tuple[str, int], Unit], demands: dict[tuple[str, int], str] | None = None
) -> Catalog:
    """Return the example as a catalog over tables in memory, without a run folder."""
    columns = [pa.field("arm", pa.string()), pa.field("rep", pa.int32()),
               pa.field("shard", pa.int32()), pa.field("unit", pa.int32())]  # fmt: skip
    numbers = {unit: number for number, unit in enumerate(units)}
    views: dict[str, Any] = {
        name: pa.Table.from_pylist(
            [
                row | {"arm": arm, "rep": rep, "unit": numbers[arm, rep]}
                for arm, rep, row in rows_of(units, name)
            ],
            pa.schema([*table.schema, *columns]),
        )
        for name, table in TABLES.items()
    }
    arms = tuple(dict.fromkeys(arm for arm, _ in units))
    views["arms"] = pa.table({"position": range(len(arms)), "arm": arms})
    words = [(demands or {}).get(unit, "as demanded") for unit in units]
    views["units"] = pa.table(
        {
            "unit": list(numbers.values()),
            "arm": [a for a, _ in units],
            "rep": [r for _, r in units],
            "demands": words,
        }
    )
    return Catalog((), arms, {name: [] for name in TABLES}, views)


@contextmanager
def restored(path: Path) -> Iterator[Path]:
    """Let a test damage a run folder, and put everything back afterwards."""
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    yield path
    for file in [file for file in path.rglob("*") if file.is_file() and file not in before]:
        file.unlink()
    for file, data in before.items():
        if not file.is_file() or file.read_bytes() != data:
            file.write_bytes(data)


def write_unit(folder: RunFolder, arm: str, rep: int, unit: Unit, **cut: int) -> None:
    """Write and commit one unit, shard by shard."""
    writer = folder.unit(arm, rep, **cut)
    for table, rows in unit.items():
        for shard in sorted({row["shard"] for row in rows}):
            writer.append(table, shard, column_rows([bare(r) for r in rows if r["shard"] == shard]))
    folder.commit(writer, demands="as demanded")


def bare(row: Row) -> Row:
    """Return the row without its partition."""
    return {name: value for name, value in row.items() if name != "shard"}


def _unit(arm: int, rep: int) -> Unit:
    plan, luck = Random(f"plan {rep}"), Random(f"luck {arm} {rep}")
    unit: Unit = {name: [] for name in TABLES}
    _hosts_and_samples(unit, luck, arm)
    _workloads_and_pins(unit, plan, luck, arm)
    _requests(unit, plan, luck, arm)
    _commands(unit)
    for name, rows in unit.items():
        columns = {column.name for column in TABLES[name].columns}
        for row in rows:
            assert set(row) == columns, name
            row["shard"] = (row.get("host") or 0) // 4 if rep else 0
    return unit


def _hosts_and_samples(unit: Unit, luck: Random, arm: int) -> None:
    for host in range(HOSTS):
        unit["hosts"].append({
            "host": host, "name": f"host-{host}", "class": "small" if host % 2 else "large",
            "memory_pages": 1 << 21, "nodes": 1, "block_pages": 1 << 15,
            "movable_pages": 1 << 20, "kernel_pages": 1 << 20,
        })  # fmt: skip
        for hour in range(3):
            for zone in (0, 1, 2):
                pinned = luck.randrange(0, 1000) if (zone == 2) == (arm == 0) else 0
                unit["host_samples"].append({
                    "host": host, "time_ns": hour * 3600 * SECOND, "zone": zone,
                    "managed_pages": 100_000, "free_pages": luck.randrange(0, 5000),
                    "min_pages": 900, "pinned_pages": pinned,
                    "file_pages": luck.randrange(0, 300), "anon_pages": 500, "kernel_pages": 100,
                    "blocks_online": 16, "blocks_pinned": (pinned + 99) // 100,
                })  # fmt: skip


def _workloads_and_pins(unit: Unit, plan: Random, luck: Random, arm: int) -> None:
    for workload in range(20):
        arrived = plan.randrange(-3600, 7200) * SECOND
        vfio, memory, flows = plan.random() < 0.6, plan.randrange(1000, 9000), plan.randrange(0, 50)
        host = luck.randrange(HOSTS)
        outcome = luck.choice(["running", "ended", "ended", "rejected", "pin_failed", "oom_killed"])
        placed = None if outcome == "rejected" else max(arrived, 0) + SECOND
        unit["workloads"].append({
            "workload": workload, "host": None if placed is None else host, "arrived_ns": arrived,
            "placed_ns": placed,
            "ended_ns": None if placed is None or outcome == "running" else placed + 5 * SECOND,
            "memory_pages": memory, "kind": "ring" if workload % 3 else "fresh",
            "backing": "thp", "vfio": vfio, "flows": flows,
            "pin_errno": 12 if outcome == "pin_failed" else 0, "outcome": outcome,
            "restarts": luck.randrange(0, 2), "flow_us_lost": flows * luck.randrange(0, 3_000_000),
        })  # fmt: skip
        if placed is not None and vfio:
            _pin(unit, luck, arm, workload, host, placed, failed=outcome == "pin_failed")
        if outcome == "oom_killed":
            _incident(unit, host, placed, "oom_kill", workload, None)


def _pin(
    unit: Unit, luck: Random, arm: int, workload: int, host: int, at_ns: int, *, failed: bool
) -> None:
    pin = 1000 + workload
    common = {"pin": pin, "host": host, "workload": workload, "time_ns": at_ns}
    if failed:
        unit["pins"].append({
            **common, "errno": 12, "zone": None, "block": None, "path": None, "pinned_pages": 0,
            "faulted_pages": 0, "migrated_pages": 0, "failed_pages": 3, "latency_ns": 77_000,
        })  # fmt: skip
        _incident(unit, host, at_ns, "pin_failed", workload, pin)
        return
    for part in range(luck.randrange(1, 4)):
        moved = luck.randrange(0, 400) if arm else 0
        latency = luck.randrange(1, 9) * 100_000
        unit["pins"].append({
            **common, "errno": 0, "zone": 1 if arm else 2, "block": 20 + part, "path": "thp",
            "pinned_pages": 512, "faulted_pages": 512 - moved, "migrated_pages": moved,
            "failed_pages": 0, "latency_ns": latency,
        })  # fmt: skip
        if moved:
            unit["migrations"].append(_move(host, at_ns, "longterm_pin", pin, moved, latency // 2))
            slow = _slow(host, at_ns, "longterm_pin", pin, workload, moved + 3, latency // 2 + 99)
            unit["slowdowns"].append(slow)


def _requests(unit: Unit, plan: Random, luck: Random, arm: int) -> None:
    for request in range(40):
        kind = "probe" if request < 30 else "removal"
        issued = plan.randrange(0, 7200) * SECOND
        host, block = plan.randrange(HOSTS), plan.randrange(16, 32)
        if kind == "removal":
            host, block = luck.randrange(HOSTS), luck.randrange(16, 32)
        weights = [10, 3, 2, (9, 2, 1)[arm], 1, 1, 1]
        words = ["offlined", "refused", "gave_up", "stuck", "host_down", "withdrawn", "censored"]
        outcome = luck.choices(words, weights)[0]
        reset = outcome == "host_down" and luck.random() < 0.5
        took = luck.randrange(1, 500) * SECOND
        ended = None if outcome in ("stuck", "censored") else issued + took
        reason = {"refused": "unmovable", "gave_up": "timeout", "stuck": "running"}.get(
            outcome, "none"
        )
        errno = {"refused": 16, "gave_up": 11}.get(outcome, 0)
        attempts = 0 if outcome == "withdrawn" else luck.randrange(1, 3)
        endless = outcome == "stuck" and luck.random() < 0.7
        unit["requests"].append({
            "request": request, "kind": kind, "host": host, "first_block": block, "nr_blocks": 1,
            "issued_ns": issued, "started_ns": issued if attempts else None,
            "deadline_ns": issued + DEADLINE, "ended_ns": ended, "outcome": outcome,
            "errno": errno, "reset": reset, "endless": endless, "attempts": attempts,
            "reason": reason,
        })  # fmt: skip
        if reset:
            _incident(unit, host, ended, "reset", None, request)
        for number in range(attempts):
            _attempt(
                unit, luck, unit["requests"][-1], 10 * request + number, last=number == attempts - 1
            )


def _attempt(unit: Unit, luck: Random, request: Row, attempt: int, *, last: bool) -> None:
    start, moved = request["issued_ns"], luck.randrange(0, 900)
    running = last and request["outcome"] in ("stuck", "censored")
    unit["attempts"].append({
        "attempt": attempt, "request": request["request"], "host": request["host"],
        "first_block": request["first_block"], "nr_blocks": 1, "start_ns": start,
        "end_ns": None if running else start + luck.randrange(1, 90) * SECOND,
        "errno": request["errno"] if last else 16,
        "reason": ("running" if running else request["reason"]) if last else "unmovable",
        "passes": luck.randrange(1, 50), "migrated_pages": moved,
        "failed_pages": luck.randrange(0, 5000), "failed_block": None,
        "endless": last and request["endless"], "unavailable_ns": luck.randrange(0, 10**9),
    })  # fmt: skip
    if moved:
        move = _move(request["host"], start, "memory_hotplug", attempt, moved, moved * 1200)
        unit["migrations"].append(move)
    _slowed(unit, unit["attempts"][-1])
    if last and request["outcome"] in ("refused", "gave_up", "stuck"):
        for _ in range(luck.randrange(1, 4)):
            kind = luck.choice(["longterm_pin", "no_room", "unmovable"])
            mine = kind != "unmovable"
            unit["blockers"].append({
                "attempt": attempt, "request": request["request"], "host": request["host"],
                "block": request["first_block"], "zone": 2, "class": kind,
                "pfn_first": request["first_block"] * 32768 + luck.randrange(0, 4) * 512,
                "pages": luck.randrange(1, 513), "workload": luck.randrange(20) if mine else None,
                "pin": 1000 if kind == "longterm_pin" else None, "pins": int(mine), "refs": 0,
                "path": "thp" if mine else None,
            })  # fmt: skip


def _slowed(unit: Unit, attempt: Row) -> None:
    """Divide the time that an attempt took pages away among workloads, and the host."""
    luck, left = Random(f"slowed {attempt['attempt']}"), attempt["unavailable_ns"]
    at_ns = attempt["end_ns"] or attempt["start_ns"] + DEADLINE
    while left:
        ns = left if luck.random() < 0.3 else luck.randrange(0, left + 1)
        workload, reason = luck.randrange(20), luck.choice(["memory_hotplug", "suspended"])
        unit["slowdowns"].append(_slow(
            attempt["host"], at_ns, reason, attempt["attempt"],
            None if workload == 13 and reason != "suspended" else workload,
            luck.randrange(1, 5000), ns,
        ))  # fmt: skip
        left -= ns


def _slow(
    host: int, at_ns: int, reason: str, cause: int, workload: int | None, unmaps: int, ns: int
) -> Row:
    return {
        "host": host, "time_ns": at_ns, "reason": reason, "cause": cause, "workload": workload,
        "unmaps": unmaps, "unavailable_ns": ns,
    }  # fmt: skip


def _move(host: int, at_ns: int, reason: str, cause: int, pages: int, latency_ns: int) -> Row:
    return {
        "host": host, "time_ns": at_ns, "reason": reason, "cause": cause, "zone_from": 2,
        "zone_to": 1, "folio_order": 0, "folios": pages, "pages": pages, "bytes": pages * 4096,
        "latency_ns": latency_ns,
    }  # fmt: skip


def _incident(
    unit: Unit, host: int, at_ns: int | None, kind: str, workload: int | None, cause: int | None
) -> None:
    unit["incidents"].append({
        "incident": len(unit["incidents"]), "host": host, "time_ns": at_ns, "kind": kind,
        "workload": workload, "cause": cause, "pages": 5, "mechanism": "watchdog",
    })  # fmt: skip


def _commands(unit: Unit) -> None:
    for request in unit["requests"]:
        if request["attempts"]:
            unit["commands"].append({
                "command": len(unit["commands"]), "host": request["host"],
                "time_ns": request["issued_ns"], "decided_ns": request["issued_ns"] - 1,
                "kind": "offline", "workload": None, "request": request["request"],
                "first_block": request["first_block"], "nr_blocks": 1,
            })  # fmt: skip


def rows_of(units: dict[tuple[str, int], Unit], table: str) -> Iterable[tuple[str, int, Row]]:
    """Yield ``arm, rep, row`` of one table over all units, arms in order."""
    for (arm, rep), unit in units.items():
        for row in unit[table]:
            yield arm, rep, row
