"""Every shipped query against the same answer computed in plain Python from the rows."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from copy import deepcopy
from math import ceil, sqrt
from statistics import fmean, stdev
from typing import Any

import pytest
from scipy.stats import binomtest

from queries.catalog import Catalog
from queries.shipped import shipped
from tests.log.example import (
    ARMS,
    DEADLINE,
    Row,
    make_units,
    memory_catalog,
    rows_of,
    write_run,
)

UNITS = make_units()
Z = 1.959963984540054
Answer = list[dict[str, Any]]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    catalog = Catalog.open([write_run(tmp_path_factory.mktemp("runs"))])
    with catalog.session():
        yield catalog


def per_arm(table: str, **equal: str) -> Iterator[tuple[str, list[tuple[int, Row]]]]:
    """Yield each arm with its (rep, row) pairs that have the given values ("all": any)."""
    for arm in ARMS:
        rows = [(rep, row) for name, rep, row in rows_of(UNITS, table) if name == arm]
        for column, value in equal.items():
            rows = [(rep, row) for rep, row in rows if value in ("all", row[column])]
        yield arm, rows


def is_hung(row: Row) -> bool:
    return bool(row["outcome"] == "stuck" or row["reset"])


def nearest_rank(values: list[Any], percent: int) -> Any:
    """Smallest value that at least ``percent`` % of the values do not exceed."""
    return sorted(values)[max(ceil(percent * len(values) / 100), 1) - 1] if values else None


def wilson(hung: int, n: int) -> tuple[float, float]:
    p = hung / n
    middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return middle - half, middle + half


def hang_rate(kind: str) -> Answer:
    out = []
    for arm, rows in per_arm("requests", kind=kind):
        n, hung = len(rows), sum(is_hung(row) for _, row in rows)
        low, high = wilson(hung, n)
        out.append({"arm": arm, "requests": n, "hung": hung, "hang_rate": hung / n,
                    "low": low, "high": high})  # fmt: skip
    return out


def hang_rate_by_class(kind: str) -> Answer:
    classes = {row["host"]: row["class"] for _, _, row in rows_of(UNITS, "hosts")}
    out = []
    for arm, rows in per_arm("requests", kind=kind):
        for name in ("large", "small"):
            mine = [row for _, row in rows if classes[row["host"]] == name]
            hung = sum(map(is_hung, mine))
            out.append({"arm": arm, "class": name, "requests": len(mine), "hung": hung,
                        "hang_rate": hung / len(mine)})  # fmt: skip
    return out


def hang_rate_by_replication(kind: str) -> Answer:
    out = []
    for arm, rows in per_arm("requests", kind=kind):
        for rep in (0, 1):
            mine = [row for r, row in rows if r == rep]
            hung = sum(map(is_hung, mine))
            out.append({"arm": arm, "rep": rep, "requests": len(mine), "hung": hung,
                        "hang_rate": hung / len(mine)})  # fmt: skip
    return out


def outcomes(kind: str) -> Answer:
    words = ("offlined", "refused", "gave_up", "stuck", "host_down", "withdrawn", "censored")
    return [
        {"arm": arm, "requests": len(rows)}
        | {word: sum(row["outcome"] == word for _, row in rows) for word in words}
        | {flag: sum(row[flag] for _, row in rows) for flag in ("reset", "endless")}
        for arm, rows in per_arm("requests", kind=kind)
    ]


def request_reasons(kind: str) -> Answer:
    names = {0: "ok", 11: "EAGAIN", 16: "EBUSY"}
    out: Answer = []
    for arm, rows in per_arm("requests", kind=kind):
        groups: dict[Any, list[Row]] = defaultdict(list)
        for _, row in rows:
            groups[row["kind"], row["outcome"], row["errno"], row["reason"]].append(row)
        for key in sorted(groups, key=lambda k: (k[0], -len(groups[k]), *k[1:])):
            out.append({"arm": arm, "kind": key[0], "outcome": key[1], "errno": names[key[2]],
                        "reason": key[3], "requests": len(groups[key]),
                        "attempts": sum(row["attempts"] for row in groups[key])})  # fmt: skip
    return out


def offline_time(kind: str) -> Answer:
    out = []
    for arm, rows in per_arm("requests", kind=kind):
        known = [row for _, row in rows if row["outcome"] not in ("withdrawn", "censored")]
        times = [r["ended_ns"] - r["issued_ns"] for r in known if r["outcome"] == "offlined"]
        never = [10**30] * (len(known) - len(times))
        quantiles = {f"p{q}_ns": nearest_rank(times + never, q) for q in (50, 90, 99)}
        out.append({"arm": arm, "requests": len(known), "offlined": len(times),
                    "beyond": len(never), "left_out": len(rows) - len(known),
                    **{k: None if v == 10**30 else v for k, v in quantiles.items()},
                    "longest_ns": max(times)})  # fmt: skip
    return out


def offline_work(kind: str) -> Answer:
    out = []
    for arm, _ in per_arm("requests"):
        rows = list(attempts_of(arm, kind))
        total = {
            column: sum(row[column] for row in rows)
            for column in ("passes", "migrated_pages", "failed_pages", "unavailable_ns")
        }
        ended = [row for row in rows if row["end_ns"] is not None]
        out.append({"arm": arm, "attempts": len(rows), **total,
                    "running_ns": sum(row["end_ns"] - row["start_ns"] for row in ended),
                    "endless": sum(row["endless"] for row in rows)})  # fmt: skip
    return out


def attempts_of(arm: str, kind: str) -> Iterator[Row]:
    for (name, _), unit in UNITS.items():
        kinds = {row["request"]: row["kind"] for row in unit["requests"]}
        if name == arm:
            yield from (a for a in unit["attempts"] if kind in ("all", kinds[a["request"]]))


def migration_cost(kind: str) -> Answer:
    out = []
    for arm in ARMS:
        sums: Counter[tuple[str, str]] = Counter()
        for (name, _), unit in UNITS.items():
            kinds = {row["request"]: row["kind"] for row in unit["requests"]}
            kind_of = {row["attempt"]: kinds[row["request"]] for row in unit["attempts"]}
            for move in unit["migrations"] if name == arm else []:
                at_pin = move["reason"] == "longterm_pin"
                if at_pin or kind in ("all", kind_of[move["cause"]]):
                    for column in ("folios", "pages", "bytes", "latency_ns"):
                        sums["pin" if at_pin else "offline", column] += move[column]
        columns = {
            f"{at}_{column.removeprefix('latency_')}": sums[at, column]
            for at in ("pin", "offline")
            for column in ("folios", "pages", "bytes", "latency_ns")
        }
        out.append({"arm": arm, **columns,
                    "total_bytes": columns["pin_bytes"] + columns["offline_bytes"]})  # fmt: skip
    return out


def node_crossings(kind: str, units: Any = None) -> Answer:
    out: Answer = []
    for arm in ARMS:
        mine = [unit for (name, _), unit in (units or UNITS).items() if name == arm]
        sums: Counter[str] = Counter()
        for unit in mine:
            kinds = {row["request"]: row["kind"] for row in unit["requests"]}
            asked = {row["attempt"]: row["request"] for row in unit["attempts"]}
            for move in unit["migrations"]:
                at = "pin" if move["reason"] == "longterm_pin" else "offline"
                if at == "offline" and kind not in ("all", kinds[asked[move["cause"]]]):
                    continue
                sums[f"{at}_pages"] += move["pages"]
                if move["zone_from"] // 3 != move["zone_to"] // 3:
                    sums[f"{at}_crossed_pages"] += move["pages"]
            nodes: dict[int, Counter[int]] = defaultdict(Counter)
            for row in unit["pins"]:
                if row["errno"] == 0:
                    nodes[row["workload"]][row["zone"] // 3] += row["pinned_pages"]
            for pages in nodes.values():
                sums["pinned_pages"] += pages.total()
                sums["pinned_off_pages"] += pages.total() - max(pages.values())
            for request, found in no_room(unit).items():
                if kind in ("all", kinds[request]):
                    sums["no_room_requests"] += 1
                    sums["own_room_requests"] += any(found)
                    sums["unseen_requests"] += all(own is None for own in found)
        names = ("pinned_pages", "pinned_off_pages", "pin_pages", "pin_crossed_pages",
                 "offline_pages", "offline_crossed_pages", "no_room_requests",
                 "own_room_requests", "unseen_requests")  # fmt: skip
        out.append({"arm": arm, **{name: sums[name] for name in names}})
    return out


def no_room(unit: Any) -> dict[int, list[bool | None]]:
    """Per request what its own node had, blocker by blocker: room or not, None: never seen."""
    attempts = {row["attempt"]: row for row in unit["attempts"]}
    deadline = {row["request"]: row["deadline_ns"] for row in unit["requests"]}
    block = {row["host"]: row["block_pages"] for row in unit["hosts"]}
    out: dict[int, list[bool | None]] = defaultdict(list)
    for row in unit["blockers"]:
        if row["class"] != "no_room":
            continue
        ended = attempts[row["attempt"]]["end_ns"]
        at = deadline[row["request"]] if ended is None else ended
        seen = [s for s in unit["host_samples"] if s["host"] == row["host"] and s["time_ns"] <= at]
        last = max((s["time_ns"] for s in seen), default=None)
        spare = sum(
            max(s["free_pages"] - s["min_pages"], 0) for s in seen
            if s["time_ns"] == last and s["zone"] // 3 == row["zone"] // 3
            and s["zone"] % 3 <= row["zone"] % 3
        )  # fmt: skip
        out[row["request"]].append(None if last is None else spare >= block[row["host"]])
    return out


def on_two_nodes() -> Any:
    """The example with some rows on a second node, small blocks, and hosts never sampled."""
    units = deepcopy(UNITS)
    for unit in units.values():
        for host in unit["hosts"]:
            host["block_pages"] = 2048
        unit["host_samples"] = [s for s in unit["host_samples"] if s["host"] != 1]
        for s in list(unit["host_samples"]):
            unit["host_samples"].append(
                {**s, "zone": s["zone"] + 3, "free_pages": s["time_ns"] % 7}
            )
        for table, column in (("migrations", "zone_to"), ("pins", "zone"), ("blockers", "zone")):
            for i, row in enumerate(unit[table]):
                row[column] = row[column] and row[column] + 3 * (i % 3 == 0)
    return units


def pin_calls(arm: str) -> dict[tuple[int, int], list[Row]]:
    calls: dict[tuple[int, int], list[Row]] = defaultdict(list)
    for name, rep, row in rows_of(UNITS, "pins"):
        if name == arm:
            calls[rep, row["pin"]].append(row)
    return calls


def pin_outcomes() -> Answer:
    out = []
    for arm in ARMS:
        calls = pin_calls(arm)
        for errno, result in ((0, "ok"), (12, "ENOMEM")):
            mine = {key: rows for key, rows in calls.items() if rows[0]["errno"] == errno}
            rows = [row for group in mine.values() for row in group]
            columns = ("pinned_pages", "faulted_pages", "migrated_pages", "failed_pages")
            total = {c: sum(row[c] for row in rows) for c in columns}
            movable = sum(row["pinned_pages"] for row in rows if row["zone"] == 2)
            out.append({"arm": arm, "result": result, "pins": len(mine),
                        "workloads": len({(rep, g[0]["workload"]) for (rep, _), g in mine.items()}),
                        "movable_pages": movable,
                        "kernel_pages": total["pinned_pages"] - movable, **total})  # fmt: skip
    return out


def pin_latency() -> Answer:
    out = []
    for arm in ARMS:
        added: Counter[tuple[int, int]] = Counter()
        for name, rep, move in rows_of(UNITS, "migrations"):
            if name == arm and move["reason"] == "longterm_pin":
                added[rep, move["cause"]] += move["latency_ns"]
        calls = pin_calls(arm)
        waits = [sum(row["latency_ns"] for row in rows) for rows in calls.values()]
        extra = [added[key] for key in calls]
        out.append({"arm": arm, "pins": len(waits), "p50_ns": nearest_rank(waits, 50),
                    "p99_ns": nearest_rank(waits, 99), "max_ns": max(waits),
                    "migrating": len(added), "added_p50_ns": nearest_rank(extra, 50),
                    "added_p99_ns": nearest_rank(extra, 99), "added_max_ns": max(extra),
                    "added_total_ns": sum(extra)})  # fmt: skip
    return out


def pin_cost_by_kind() -> Answer:
    out = []
    for arm in ARMS:
        kinds = {(rep, w["workload"]): w["kind"] for _, rep, w in of_arm("workloads", arm)}
        calls: dict[str, dict[tuple[int, int], list[Row]]] = defaultdict(dict)
        for (rep, pin), rows in pin_calls(arm).items():
            calls[kinds[rep, rows[0]["workload"]]][rep, pin] = rows
        out += [{"arm": arm, "kind": kind, **cost_of(calls[kind])} for kind in sorted(calls)]
    return out


def of_arm(table: str, arm: str) -> list[tuple[str, int, Row]]:
    return [found for found in rows_of(UNITS, table) if found[0] == arm]


def cost_of(calls: dict[tuple[int, int], list[Row]]) -> dict[str, Any]:
    """Pins of the example are one per workload."""
    good = [rows for rows in calls.values() if not rows[0]["errno"]]
    failed = len(calls) - len(good)
    pinned = [sum(row["pinned_pages"] for row in rows) for rows in good]
    waits = [
        sum(row["latency_ns"] for row in rows) * 262144 / pages
        for rows, pages in zip(good, pinned, strict=True)
    ]
    moved = sum(row["migrated_pages"] for rows in good for row in rows)
    low, high = wilson(failed, len(calls))
    half = Z * stdev(waits) / sqrt(len(waits))
    return {
        "workloads": len(calls), "pins": len(calls), "failed": failed,
        "failed_share": failed / len(calls), "failed_low": low if failed else 0.0,
        "failed_high": high, "pinned_pages": sum(pinned), "migrated_share": moved / sum(pinned),
        "gib_ns": round(fmean(waits)), "gib_low_ns": round(fmean(waits) - half),
        "gib_high_ns": round(fmean(waits) + half),
    }  # fmt: skip


def samples(arm: str, *, movable: bool) -> dict[tuple[int, int, int], list[Row]]:
    groups: dict[tuple[int, int, int], list[Row]] = defaultdict(list)
    for name, rep, row in rows_of(UNITS, "host_samples"):
        if name == arm and (row["zone"] == 2) == movable:
            groups[rep, row["host"], row["time_ns"]].append(row)
    return groups


def kernel_zone_headroom() -> Answer:
    out = []
    for arm in ARMS:
        groups = samples(arm, movable=False)
        rooms, shares = [], []
        for rows in groups.values():
            room = sum(r["free_pages"] + r["file_pages"] - r["min_pages"] for r in rows)
            rooms.append(max(room, 0))
            shares.append(rooms[-1] / sum(r["managed_pages"] for r in rows))
        out.append({"arm": arm, "hosts": len({key[:2] for key in groups}), "samples": len(rooms),
                    "minimum_pages": min(rooms), "p01_pages": nearest_rank(rooms, 1),
                    "median_pages": nearest_rank(rooms, 50), "minimum_share": min(shares),
                    "median_share": nearest_rank(shares, 50), "exhausted": rooms.count(0),
                    "pinned_pages": max(sum(r["pinned_pages"] for r in g)
                                        for g in groups.values())})  # fmt: skip
    return out


def pinned_blocks() -> Answer:
    out = []
    for arm in ARMS:
        last = max(key[2] for key in samples(arm, movable=True))
        rows = [g[0] for key, g in samples(arm, movable=True).items() if key[2] == last]
        online, pinned = (sum(r[c] for r in rows) for c in ("blocks_online", "blocks_pinned"))
        out.append({"arm": arm, "hosts": len(rows),
                    "hosts_pinned": sum(r["pinned_pages"] > 0 for r in rows),
                    "blocks_online": online, "blocks_pinned": pinned,
                    "pinned_share": pinned / online,
                    "pinned_pages": sum(r["pinned_pages"] for r in rows)})  # fmt: skip
    return out


def blocked_by(kind: str) -> Answer:
    out: Answer = []
    for arm in ARMS:
        groups: dict[Any, list[tuple[int, Row]]] = defaultdict(list)
        for (name, rep), unit in UNITS.items():
            kinds = {row["request"]: row["kind"] for row in unit["requests"]}
            for row in unit["blockers"] if name == arm else []:
                if kind in ("all", kinds[row["request"]]):
                    groups[row["class"], row["path"]].append((rep, row))
        found = [blocked_row(arm, key, rows) for key, rows in groups.items()]
        out += sorted(found, key=lambda row: (-row["requests"], row["class"]))
    return out


def blocked_row(arm: str, key: tuple[str, str], rows: list[tuple[int, Row]]) -> dict[str, Any]:
    runs: dict[Any, list[Row]] = defaultdict(list)
    for rep, row in rows:
        runs[rep, row["request"], row["host"], row["block"], row["pfn_first"]].append(row)
    owners = {(k[0], min(r["workload"] for r in v)) for k, v in runs.items()
              if v[0]["workload"] is not None}  # fmt: skip
    return {
        "arm": arm, "class": key[0], "path": key[1],
        "requests": len({(rep, row["request"]) for rep, row in rows}),
        "attempts": len({(rep, row["attempt"]) for rep, row in rows}),
        "hosts": len({(rep, row["host"]) for rep, row in rows}),
        "blocks": len({(rep, row["host"], row["block"]) for rep, row in rows}),
        "workloads": len(owners), "pages": sum(max(r["pages"] for r in v) for v in runs.values()),
    }  # fmt: skip


def workload_impact() -> Answer:
    lost = ("pin_failed", "oom_killed", "host_reset", "host_panicked")
    out = []
    for arm, pairs in per_arm("workloads"):
        rows = [row for _, row in pairs]
        ends = Counter(row["outcome"] for row in rows)
        vfio = [row for row in rows if row["vfio"]]
        out.append({"arm": arm, "workloads": len(rows),
                    "placed": sum(row["placed_ns"] is not None for row in rows),
                    **{word: ends[word] for word in ("rejected", *lost)},
                    "restarts": sum(row["restarts"] for row in rows), "vfio": len(vfio),
                    "vfio_lost": sum(row["outcome"] in lost for row in vfio),
                    "flow_seconds_lost": sum(r["flow_us_lost"] for r in rows) / 10**6})  # fmt: skip
    return out


def guardrails() -> Answer:
    out = []
    for arm, rows in per_arm("incidents"):
        kinds = Counter(row["kind"] for _, row in rows)
        out.append({"arm": arm, "resets": kinds["reset"], "panics": kinds["panic"],
                    "oom_kills": kinds["oom_kill"], "pin_failures": kinds["pin_failed"],
                    "hosts": len({(rep, row["host"]) for rep, row in rows})})  # fmt: skip
    return out


def fleet_timeline() -> Answer:
    step, out = 3600 * 10**9, []
    for arm in ARMS:
        steps: dict[int, Counter[str]] = defaultdict(Counter)
        for name, _, row in rows_of(UNITS, "workloads"):
            if name == arm and row["arrived_ns"] >= 0:
                steps[row["arrived_ns"] // step]["arrivals"] += 1
        for name, _, row in rows_of(UNITS, "requests"):
            if name == arm:
                steps[row["issued_ns"] // step]["requests"] += 1
                if row["outcome"] == "offlined":
                    steps[row["ended_ns"] // step]["offlined"] += 1
                if is_hung(row):
                    at = row["deadline_ns"] if row["outcome"] == "stuck" else row["ended_ns"]
                    steps[at // step]["hung"] += 1
        kinds = {"reset": "resets", "oom_kill": "oom_kills", "pin_failed": "pin_failures"}
        for name, _, row in rows_of(UNITS, "incidents"):
            if name == arm:
                steps[row["time_ns"] // step][kinds[row["kind"]]] += 1
        moves = {"longterm_pin": "pin_bytes", "memory_hotplug": "offline_bytes"}
        for name, _, row in rows_of(UNITS, "migrations"):
            if name == arm:
                steps[row["time_ns"] // step][moves[row["reason"]]] += row["bytes"]
        names = ("arrivals", "requests", "offlined", "hung", "resets", "oom_kills",
                 "pin_failures", "pin_bytes", "offline_bytes")  # fmt: skip
        for at in sorted(steps):
            out.append({"arm": arm, "time_ns": at * step, **{n: steps[at][n] for n in names}})
    return out


def paired_probes() -> Answer:
    out: Answer = []
    for i, a in enumerate(ARMS):
        for b in ARMS[i + 1 :]:
            out.append(paired_row(a, b))
    return out


def paired_row(a: str, b: str) -> dict[str, Any]:
    hung: dict[Any, dict[str, Row]] = defaultdict(dict)
    for arm, rep, row in rows_of(UNITS, "requests"):
        if row["kind"] == "probe":
            hung[rep, row["request"]][arm] = row
    pairs = [(int(is_hung(p[a])), int(is_hung(p[b])), p[a]["host"]) for p in hung.values()]
    n, difference = len(pairs), sum(y - x for x, y, _ in pairs) / len(pairs)
    hosts = sorted({host for _, _, host in pairs})
    squares = 0.0
    for host in hosts:
        mine = [y - x for x, y, h in pairs if h == host]
        squares += (sum(mine) - len(mine) * difference) ** 2
    counts = Counter((x, y) for x, y, _ in pairs)
    return {
        "arm_a": a, "arm_b": b, "pairs": n, "hosts": len(hosts), "both_hung": counts[1, 1],
        "only_a": counts[1, 0], "only_b": counts[0, 1], "neither": counts[0, 0],
        "difference": difference,
        "std_error": sqrt(len(hosts) / (len(hosts) - 1) * squares) / n,
    }  # fmt: skip


def paired_outcomes(kind: str) -> Answer:
    out: Answer = []
    for i, a in enumerate(ARMS):
        for b in ARMS[i + 1 :]:
            hung: dict[Any, dict[str, int]] = defaultdict(dict)
            for arm, rep, row in rows_of(UNITS, "requests"):
                if kind in ("all", row["kind"]):
                    hung[rep, row["request"]][arm] = int(is_hung(row))
            counts = Counter((p[a], p[b]) for p in hung.values())
            out.append({"arm_a": a, "arm_b": b, "pairs": len(hung), "both_hung": counts[1, 1],
                        "only_a": counts[1, 0], "only_b": counts[0, 1],
                        "neither": counts[0, 0]})  # fmt: skip
    return out


def paired_mishaps(kind: str) -> Answer:
    out: Answer = []
    struck = {
        (arm, rep, row["workload"])
        for arm, rep, row in rows_of(UNITS, "incidents")
        if row["kind"] == kind
    }
    for i, a in enumerate(ARMS):
        for b in ARMS[i + 1 :]:
            hit: dict[Any, dict[str, int]] = defaultdict(dict)
            for arm, rep, row in rows_of(UNITS, "workloads"):
                hit[rep, row["workload"]][arm] = int((arm, rep, row["workload"]) in struck)
            counts = Counter((p[a], p[b]) for p in hit.values())
            out.append({"arm_a": a, "arm_b": b, "pairs": len(hit), "both_hit": counts[1, 1],
                        "only_a": counts[1, 0], "only_b": counts[0, 1],
                        "neither": counts[0, 0]})  # fmt: skip
    return out


def paired_times(kind: str) -> Answer:
    out: Answer = []
    counts = [row for _, _, row in rows_of(UNITS, "requests") if row["kind"] == kind]
    cut = min((r["deadline_ns"] for r in counts if r["outcome"] == "censored"), default=2**63)
    for i, a in enumerate(ARMS):
        for b in ARMS[i + 1 :]:
            both = [p for rep in (0, 1) for p in requests_of(rep, kind).values()]
            both = [p for p in both if p[a]["deadline_ns"] < cut]
            changes = [waited(p[b]) - waited(p[a]) for p in both]
            total, squares = sum(map(abs, changes)), sum(c * c for c in changes)
            out.append({"arm_a": a, "arm_b": b, "pairs": len(both),
                        "sooner_ns": -sum(c for c in changes if c < 0),
                        "later_ns": sum(c for c in changes if c > 0),
                        "jump_ns": squares // total if total else 0})  # fmt: skip
    return out


def paired_moves(kind: str) -> Answer:
    out: Answer = []
    moved: dict[tuple[str, int, int], list[int]] = defaultdict(lambda: [0, 0])
    of = {
        (arm, rep, row["attempt"]): row["request"] for arm, rep, row in rows_of(UNITS, "attempts")
    }
    for arm, rep, row in rows_of(UNITS, "migrations"):
        if row["reason"] == "memory_hotplug":
            own = moved[arm, rep, of[arm, rep, row["cause"]]]
            own[0] += row["bytes"]
            own[1] += row["latency_ns"]
    for i, a in enumerate(ARMS):
        for b in ARMS[i + 1 :]:
            keys = [(rep, request) for rep in (0, 1) for request in requests_of(rep, kind)]
            sums: Row = {"arm_a": a, "arm_b": b, "pairs": len(keys)}
            for place, unit in enumerate(("bytes", "ns")):
                x, y = ([moved[arm, *key][place] for key in keys] for arm in (a, b))
                sums[f"less_{unit}"] = sum(max(p - q, 0) for p, q in zip(x, y, strict=True))
                sums[f"more_{unit}"] = sum(max(q - p, 0) for p, q in zip(x, y, strict=True))
                squares = sum(v * v for v in x + y)
                sums[f"whole_{unit}"] = squares // sum(x + y) if any(x + y) else 0
            out.append(sums)
    return out


def requests_of(rep: int, kind: str) -> dict[int, dict[str, Row]]:
    """Return the requests of a replication, each under every arm."""
    found: dict[int, dict[str, Row]] = defaultdict(dict)
    for arm, number, row in rows_of(UNITS, "requests"):
        if (number, row["kind"]) == (rep, kind):
            found[row["request"]][arm] = row
    return found


def waited(row: Row) -> int:
    """Return the time to offline, at most to the deadline."""
    end = row["ended_ns"] if row["outcome"] == "offlined" else row["deadline_ns"]
    return int(end - row["issued_ns"])


def request_sums(arm: str, rep: int, kind: str, host: int | None = None) -> dict[str, Any]:
    """Return what the requests of one unit come to."""
    pairs = [p for p in requests_of(rep, kind).values() if host in (None, p[arm]["host"])]
    unit, mine = UNITS[arm, rep], {p[arm]["request"] for p in pairs}
    tries = [row for row in unit["attempts"] if row["request"] in mine]
    ids = {row["attempt"] for row in tries}
    moves = [m for m in unit["migrations"]
             if m["reason"] == "memory_hotplug" and m["cause"] in ids]  # fmt: skip
    counts = [row for _, _, row in rows_of(UNITS, "requests") if row["kind"] == kind]
    cut = min((r["deadline_ns"] for r in counts if r["outcome"] == "censored"), default=2**63)
    timed = [p[arm] for p in pairs if p[arm]["deadline_ns"] < cut]
    yard = nearest_rank(
        [waited(row) for name, _, row in rows_of(UNITS, "requests")
         if (name, row["kind"]) == (ARMS[0], kind) and row["deadline_ns"] < cut], 90
    )  # fmt: skip
    return {
        "requests": len(pairs), "hung": sum(is_hung(p[arm]) for p in pairs),
        "offline_bytes": sum(m["bytes"] for m in moves),
        "offline_ns": sum(m["latency_ns"] for m in moves),
        "unavailable_ns": sum(row["unavailable_ns"] for row in tries),
        "timed": len(timed),
        "time_ns": sum(map(waited, timed)),
        "slow": sum(waited(r) > yard or r["outcome"] != "offlined" for r in timed),
    }  # fmt: skip


def probe_clusters() -> Answer:
    out: Answer = []
    for arm in ARMS:
        for rep in (0, 1):
            hosts = sorted({p[arm]["host"] for p in requests_of(rep, "probe").values()})
            out += [{"arm": arm, "rep": rep, "host": host,
                     **request_sums(arm, rep, "probe", host)} for host in hosts]  # fmt: skip
    return out


def replication_totals() -> Answer:
    out: Answer = []
    for arm in ARMS:
        for rep in (0, 1):
            unit = UNITS[arm, rep]
            waits: Counter[int] = Counter()
            for row in unit["pins"]:
                waits[row["pin"]] += row["latency_ns"]
            moves = [m for m in unit["migrations"] if m["reason"] == "longterm_pin"]
            happened = Counter(row["kind"] for row in unit["incidents"])
            rooms = [
                max(sum(r["free_pages"] + r["file_pages"] - r["min_pages"] for r in rows), 0)
                for key, rows in samples(arm, movable=False).items() if key[0] == rep
            ]  # fmt: skip
            out.append({
                "arm": arm, "rep": rep, **request_sums(arm, rep, "removal"),
                "pin_bytes": sum(m["bytes"] for m in moves),
                "pin_ns": sum(m["latency_ns"] for m in moves),
                "pins": len(waits), "pin_p99_ns": nearest_rank(list(waits.values()), 99),
                "pin_failures": happened["pin_failed"], "oom_kills": happened["oom_kill"],
                "workloads": len(unit["workloads"]),
                "flow_us_lost": sum(row["flow_us_lost"] for row in unit["workloads"]),
                "headroom_pages": min(rooms),
            })  # fmt: skip
    return out


def slowest_requests(kind: str) -> Answer:
    out: Answer = []
    for arm in ARMS:
        found = []
        for (name, rep), unit in UNITS.items():
            for row in unit["requests"] if name == arm else []:
                if kind in ("all", row["kind"]):
                    found.append(slow_row(arm, rep, row, unit))
        found.sort(key=lambda r: (-(r["waited_ns"] if r["waited_ns"] is not None else -1),
                                  r["rep"], r["request"]))  # fmt: skip
        out += found[:20]
    return out


def slow_row(arm: str, rep: int, row: Row, unit: dict[str, list[Row]]) -> dict[str, Any]:
    waited = None if row["ended_ns"] is None else row["ended_ns"] - row["issued_ns"]
    mine = [a for a in unit["attempts"] if a["request"] == row["request"]]
    classes = {b["class"] for b in unit["blockers"] if b["request"] == row["request"]}
    same = ("request", "kind", "host", "first_block", "nr_blocks", "outcome")
    return {
        "arm": arm, "rep": rep, **{name: row[name] for name in same},
        "waited_ns": DEADLINE if row["outcome"] == "stuck" else waited,
        "passes": sum(a["passes"] for a in mine), "blockers": ", ".join(sorted(classes)),
    }  # fmt: skip


BY_OFFLINE = ("memory_hotplug", "suspended")


def slowdowns(arm: str, kind: str) -> Iterator[tuple[int, Row]]:
    """Slowdowns of an arm, those of attempts if their request is of the kind."""
    for (name, rep), unit in UNITS.items():
        kinds = {row["request"]: row["kind"] for row in unit["requests"]}
        of = {row["attempt"]: kinds[row["request"]] for row in unit["attempts"]}
        for row in unit["slowdowns"] if name == arm else []:
            if row["reason"] not in BY_OFFLINE or kind in ("all", of[row["cause"]]):
                yield rep, row


def lifetimes(arm: str) -> dict[tuple[int, int], int]:
    """How long each placed workload ran, until the last event of its replication at most."""
    out = {}
    for (name, rep), unit in UNITS.items():
        if name != arm:
            continue
        times = [w["ended_ns"] for w in unit["workloads"]]
        times += [t for r in unit["requests"] for t in (r["issued_ns"], r["ended_ns"])]
        times += [r["time_ns"] for t in ("slowdowns", "host_samples") for r in unit[t]]
        until = max(t for t in times if t is not None)
        for w in unit["workloads"]:
            if w["placed_ns"] is not None:
                ended = until if w["ended_ns"] is None else w["ended_ns"]
                out[rep, w["workload"]] = ended - w["placed_ns"]
    return out


def workload_slowdown(kind: str) -> Answer:
    out: Answer = []
    for arm in ARMS:
        lived, found = lifetimes(arm), list(slowdowns(arm, kind))
        lines = []
        for reason in [*{row["reason"]: 0 for _, row in found}, "any"]:
            sums: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])
            others = 0
            for rep, row in found:
                if reason in ("any", row["reason"]) and row["workload"] is None:
                    others += row["unavailable_ns"]
                elif reason in ("any", row["reason"]):
                    sums[rep, row["workload"]][0] += row["unmaps"]
                    sums[rep, row["workload"]][1] += row["unavailable_ns"]
            share = {k: ns / lived[k] if lived.get(k) else -1 for k, (_, ns) in sums.items()}
            worst = min(sums, key=lambda k: (-share[k], k))
            away = sum(ns for _, ns in sums.values())
            lines.append({
                "arm": arm, "reason": reason, "workloads": len(sums),
                "slowed_share": len(sums) / len(lived),
                "unmaps": sum(n for n, _ in sums.values()), "unavailable_ns": away,
                "lifetime_share": away / sum(lived.values()), "worst_rep": worst[0],
                "worst_workload": worst[1], "worst_ns": sums[worst][1],
                "worst_share": share[worst], "others_ns": others,
            })  # fmt: skip
        out += sorted(lines, key=lambda r: (r["reason"] == "any", -r["unavailable_ns"]))
    return out


def slowed_workloads(kind: str) -> Answer:
    out: Answer = []
    for arm in ARMS:
        lived, found = lifetimes(arm), list(slowdowns(arm, kind))
        lines = []
        for key in {(rep, row["workload"]) for rep, row in found if row["workload"] is not None}:
            mine = [row for rep, row in found if (rep, row["workload"]) == key]
            away = {
                reason: sum(r["unavailable_ns"] for r in mine if r["reason"] == reason)
                for reason in (*BY_OFFLINE, "longterm_pin")
            }
            total = sum(row["unavailable_ns"] for row in mine)
            (work,) = (w for w in UNITS[arm, key[0]]["workloads"] if w["workload"] == key[1])
            lines.append({
                "arm": arm, "rep": key[0], "workload": key[1],
                **{name: work[name] for name in ("kind", "host", "memory_pages", "flows")},
                "attempts": len({r["cause"] for r in mine if r["reason"] in BY_OFFLINE}),
                "unmaps": sum(row["unmaps"] for row in mine), "unavailable_ns": total,
                "offline_ns": away["memory_hotplug"], "suspended_ns": away["suspended"],
                "pin_ns": away["longterm_pin"],
                "share": total / lived[key] if lived.get(key) else None,
            })  # fmt: skip
        lines.sort(key=lambda r: (-r["unavailable_ns"], r["rep"], r["workload"]))
        out += lines[:20]
    return out


@pytest.mark.parametrize("kind", ["all", "probe", "removal"])
def test_slowdowns_come_to_what_attempts_say(kind: str) -> None:
    """The example is consistent, and so two queries agree on it."""
    for arm, work in zip(ARMS, offline_work(kind), strict=True):
        rows = [row for row in workload_slowdown(kind) if row["arm"] == arm]
        by_offline = [row for row in rows if row["reason"] in BY_OFFLINE]
        total = sum(row["unavailable_ns"] + row["others_ns"] for row in by_offline)
        assert total == work["unavailable_ns"] > 0


BY_KIND: dict[str, Callable[[str], Answer]] = {
    f.__name__: f
    for f in (
        hang_rate, hang_rate_by_class, hang_rate_by_replication, outcomes, request_reasons,
        offline_time, offline_work, migration_cost, blocked_by, slowest_requests, node_crossings,
        paired_outcomes, workload_slowdown, slowed_workloads,
    )
}  # fmt: skip
PLAIN: dict[str, Callable[[], Answer]] = {
    f.__name__: f
    for f in (
        pin_outcomes, pin_latency, pin_cost_by_kind, kernel_zone_headroom, pinned_blocks,
        workload_impact, guardrails, fleet_timeline, paired_probes,
        probe_clusters, replication_totals,
    )
}  # fmt: skip


def close(got: Answer, expected: Answer) -> None:
    assert len(got) == len(expected)
    for row, want in zip(got, expected, strict=True):
        assert row == {
            name: pytest.approx(value, rel=1e-12) if isinstance(value, float) else value
            for name, value in want.items()
        }


@pytest.mark.parametrize("kind", ["all", "probe", "removal"])
@pytest.mark.parametrize("name", BY_KIND)
def test_query_by_kind(catalog: Catalog, name: str, kind: str) -> None:
    got = shipped()[name].run(catalog, {"kind": kind}).to_pylist()
    assert got, "an empty answer proves nothing"
    close(got, BY_KIND[name](kind))


@pytest.mark.parametrize("name", PLAIN)
def test_query(catalog: Catalog, name: str) -> None:
    got = shipped()[name].run(catalog).to_pylist()
    assert got, "an empty answer proves nothing"
    close(got, PLAIN[name]())


@pytest.mark.parametrize("kind", ["pin_failed", "oom_kill"])
def test_paired_mishaps(catalog: Catalog, kind: str) -> None:
    got = shipped()["paired_mishaps"].run(catalog, {"kind": kind}).to_pylist()
    assert sum(row["only_a"] + row["only_b"] for row in got), got
    close(got, paired_mishaps(kind))


@pytest.mark.parametrize("kind", ["probe", "removal"])
def test_paired_times(catalog: Catalog, kind: str) -> None:
    got = shipped()["paired_times"].run(catalog, {"kind": kind}).to_pylist()
    assert sum(row["sooner_ns"] + row["later_ns"] for row in got), got
    close(got, paired_times(kind))


@pytest.mark.parametrize("kind", ["probe", "removal"])
def test_paired_moves(catalog: Catalog, kind: str) -> None:
    got = shipped()["paired_moves"].run(catalog, {"kind": kind}).to_pylist()
    assert all(row["less_bytes"] + row["more_bytes"] and row["whole_ns"] for row in got), got
    close(got, paired_moves(kind))


@pytest.mark.parametrize("kind", ["all", "probe", "removal"])
def test_node_crossings_on_two_nodes(kind: str) -> None:
    units = on_two_nodes()
    got = shipped()["node_crossings"].run(memory_catalog(units), {"kind": kind}).to_pylist()
    assert all(sum(row[name] for row in got) for name in got[0] if name != "arm"), got
    close(got, node_crossings(kind, units))


def test_every_query_has_a_golden_answer() -> None:
    from tests.queries.test_golden_charts import CHARTS

    rest = {"pairing", "demands", "conservation", "paired_mishaps", "paired_times",
            "paired_moves"}  # fmt: skip
    assert set(shipped()) == set(BY_KIND) | set(PLAIN) | CHARTS | rest


def test_default_parameters_are_the_documented_ones(catalog: Catalog) -> None:
    close(shipped()["hang_rate"].run(catalog).to_pylist(), hang_rate("all"))
    close(
        shipped()["hang_rate_by_replication"].run(catalog).to_pylist(),
        hang_rate_by_replication("removal"),
    )


def test_intervals_are_scipys(catalog: Catalog) -> None:
    for row in shipped()["hang_rate"].run(catalog).to_pylist():
        found = binomtest(row["hung"], row["requests"]).proportion_ci(method="wilson")
        assert (row["low"], row["high"]) == pytest.approx((found.low, found.high), rel=1e-9)
