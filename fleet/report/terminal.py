"""Prints a report: verdict, legend, arms side by side, comparisons, how to read it."""

from collections.abc import Callable, Iterator
from textwrap import fill
from typing import Any

from fleet.report import units
from fleet.report.figures import Figures
from fleet.report.show import print_table, print_text
from fleet.report.verdict import verdict
from fleet.report.versus import WIDTH, print_comparisons

Row = dict[str, Any]
Line = tuple[str, list[str]]
"""A label and one text per arm; without texts, the heading of a section."""

OUTCOMES = ("offlined", "refused", "gave_up", "stuck", "host_down", "withdrawn", "censored")
TITLES = {"probe": "Probes (on clones of hosts)", "removal": "Removals (real, with feedback)"}


def print_report(figures: Figures) -> None:
    """Print all of a report on stdout."""
    letters = {arm: letter(i) for i, arm in enumerate(figures["arms"])}
    print_text(verdict(figures), style="bold")
    print()
    for run in figures["runs"]:
        many = "replication" if run["replications"] == 1 else "replications"
        told = f"{run['path']}  seed {run['seed']}, {run['replications']} {many}"
        print_text(told, style="dim")
    for arm, name in letters.items():
        base = "  (baseline)" if arm == figures["baseline"] else ""
        print_text(f"  {name}  {arm}{base}")
    print()
    width = len(letters)
    rows: list[list[str]] = []
    for label, texts in _lines(figures):
        if rows and not texts:
            rows.append([""] * (width + 1))
        rows.append([label, *(texts or [""] * width)])
    strong = {i for i, row in enumerate(rows) if row[0] and not row[0].startswith(" ")}
    print_table(["", *letters.values()], rows, [False] + [True] * width, strong=strong)
    print_comparisons(figures, letters)
    print()
    for note in _notes(figures):
        print_text(fill(note, WIDTH, subsequent_indent="  "), style="dim")


def letter(index: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    name = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        name = chr(65 + rest) + name
    return name


def _lines(figures: Figures) -> Iterator[Line]:
    for kind in figures["kinds"]:
        yield TITLES[kind], []
        yield from _request_lines(figures, kind)
    yield "Migration", []
    yield from _migration_lines(figures)
    yield "Pins", []
    yield from _pin_lines(figures)
    yield "Memory", []
    yield from _memory_lines(figures)
    yield "Applications", []
    yield from _application_lines(figures)


def _column(label: str, rows: list[Row], key: str, show: Callable[[Any], str]) -> Line:
    return f"  {label}", [show(row[key]) for row in rows]


def _request_lines(figures: Figures, kind: str) -> Iterator[Line]:
    rates = figures["hang_rate"][kind]
    yield _column("requests", rates, "requests", units.count)
    yield _column("hung", rates, "hung", units.count)
    yield "  hang rate", [_rate(row) for row in rates]
    yield "  95 % interval, %", [_interval(row) for row in rates]
    ends = figures["outcomes"][kind]
    for key in OUTCOMES:
        if any(row[key] for row in ends):
            yield _column(key.replace("_", " "), ends, key, units.count)
    yield _column("host reset", ends, "reset", units.count)
    yield _column("endless without change", ends, "endless", units.count)
    times = figures["offline_time"][kind]
    for key, label in (("p50_ns", "median"), ("p99_ns", "99 %")):
        yield f"  time to offline, {label}", [_time_or_beyond(row, key) for row in times]
    work = figures["offline_work"][kind]
    yield _column("passes", work, "passes", units.count)
    yield _column("failed migrations", work, "failed_pages", units.count)
    yield _column("mapping unavailable", work, "unavailable_ns", units.time)
    yield from _blocker_lines(figures, kind)


def _rate(row: Row) -> str:
    return units.percent(row["hang_rate"])


def _interval(row: Row) -> str:
    """Return the Wilson interval; for zero of n the bound 3/n says it better."""
    if row["requests"] and row["hung"] == 0:
        return f"below {units.percent(min(3 / row['requests'], 1.0)).removesuffix(' %')}"
    return units.interval(row["low"], row["high"]).removesuffix(" %")


def _time_or_beyond(row: Row, key: str) -> str:
    if row[key] is not None or not row["requests"]:
        return units.time(row[key])
    return "> deadline"


def _blocker_lines(figures: Figures, kind: str) -> Iterator[Line]:
    """Yield, per class and fault path of blockers, the requests they stood in the way of."""
    rows = {(r["class"], r["path"] or "", r["arm"]): r for r in figures["blocked_by"][kind]}
    for name, path in sorted({key[:2] for key in rows}):
        found = [rows.get((name, path, arm)) for arm in figures["arms"]]
        label = f"  blocked by {name.replace('_', ' ')}{f', {path}' if path else ''}"
        yield label, [units.count(row["requests"] if row else 0) for row in found]


def _migration_lines(figures: Figures) -> Iterator[Line]:
    costs = figures["migration_cost"]
    first = next(iter(costs.values()))
    yield _column("at pin", first, "pin_bytes", units.size)
    yield _column("at pin, time", first, "pin_ns", units.time)
    for kind, rows in costs.items():
        where = {"probe": "at offline, probes", "removal": "at offline, removals"}
        yield _column(where.get(kind, "at offline"), rows, "offline_bytes", units.size)
        yield _column(f"{where.get(kind, 'at offline')}, time", rows, "offline_ns", units.time)


def _pin_lines(figures: Figures) -> Iterator[Line]:
    waits, guard = figures["pin_latency"], figures["guardrails"]
    yield _column("pins", waits, "pins", units.count)
    yield _column("failed", guard, "pin_failures", units.count)
    yield _column("OOM kills", guard, "oom_kills", units.count)
    yield _column("panics", guard, "panics", units.count)
    yield _column("watchdog resets", guard, "resets", units.count)
    yield _column("had to migrate", waits, "migrating", units.count)
    yield _column("latency, median", waits, "p50_ns", units.time)
    yield _column("latency, 99 %", waits, "p99_ns", units.time)
    yield _column("added by migration, median", waits, "added_p50_ns", units.time)
    yield _column("added by migration, 99 %", waits, "added_p99_ns", units.time)
    landed = figures["pin_outcomes"]
    for key, label in (("movable_pages", "Movable"), ("kernel_pages", "kernel zones")):
        sums = [sum(r[key] for r in landed if r["arm"] == arm) for arm in figures["arms"]]
        yield f"  pinned in {label}", [units.pages(value) for value in sums]


def _memory_lines(figures: Figures) -> Iterator[Line]:
    room = figures["kernel_zone_headroom"]
    yield _column("kernel-zone head-room, minimum", room, "minimum_pages", units.pages)
    yield _column("kernel-zone head-room, 1 %", room, "p01_pages", units.pages)
    yield _column("kernel-zone head-room, median", room, "median_pages", units.pages)
    yield _column("median share of the kernel zones", room, "median_share", units.percent)
    yield _column("samples without head-room", room, "exhausted", units.count)
    blocks = figures["pinned_blocks"]
    yield _column("Movable blocks held by pins", blocks, "pinned_share", units.percent)


def _application_lines(figures: Figures) -> Iterator[Line]:
    rows = figures["workload_impact"]
    yield _column("workloads", rows, "workloads", units.count)
    for key in ("rejected", "pin_failed", "oom_killed", "host_reset", "host_panicked", "restarts"):
        if any(row[key] for row in rows):
            label = key.replace("_", " ").replace("oom", "OOM").replace("host", "lost, host")
            yield _column(label, rows, key, units.count)
    yield _column("flow-seconds lost", rows, "flow_seconds_lost", units.digits)


def _notes(figures: Figures) -> Iterator[str]:
    if figures["kinds"]:
        yield "hung: stuck at the deadline, or host reset by a watchdog; their intervals: Wilson."
        yield (
            "time to offline: over all requests with a known end; refused and hung ones count as "
            "later than the deadline."
        )
    yield "Every number: fleet query (blocked_by, hang_rate, outcomes, migration_cost, ...)."
