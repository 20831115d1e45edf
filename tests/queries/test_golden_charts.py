"""The queries behind the charts of a report, against plain Python over the same rows."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from fractions import Fraction
from math import floor, log10
from typing import Any

import pytest

from queries.catalog import Catalog
from queries.shipped import shipped
from tests.log.example import ARMS, HOSTS, Row, write_run
from tests.queries.test_golden import (
    UNITS,
    Answer,
    close,
    is_hung,
    nearest_rank,
    per_arm,
    pin_calls,
    samples,
)

ROWS, STEPS = 24, 36
DAMAGE = ("hung", "oom_kills", "pin_failures", "panics")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    catalog = Catalog.open([write_run(tmp_path_factory.mktemp("runs"))])
    with catalog.session():
        yield catalog


def outcome_shares(kind: str) -> Answer:
    words = ("offlined", "refused", "gave_up", "stuck", "reset", "host_down", "withdrawn",
             "censored")  # fmt: skip
    out = []
    for arm, rows in per_arm("requests", kind=kind):
        ended = Counter("reset" if row["reset"] else row["outcome"] for _, row in rows)
        out.append({"arm": arm, "requests": len(rows)}
                   | {word: ended[word] / len(rows) for word in words})  # fmt: skip
    return out


def offline_curve(kind: str) -> Answer:
    """Kaplan and Meier's estimator in fractions, one time after the other."""
    out = []
    for arm, rows in per_arm("requests", kind=kind):
        events: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        for rep, row in rows:
            if row["outcome"] == "offlined":
                events[row["ended_ns"] - row["issued_ns"]][0] += 1
            elif row["outcome"] == "censored":
                seen = min(last_seen(arm, rep), row["deadline_ns"])
                events[seen - row["issued_ns"]][1] += 1
            elif row["outcome"] != "withdrawn":
                events[row["deadline_ns"] - row["issued_ns"]][1] += 1
        watched = sum(map(sum, events.values()))
        waiting, steps = Fraction(1), dict[int, dict[str, Any]]()
        for time_ns, (offlined, left) in sorted(events.items()):
            waiting *= 1 - Fraction(offlined, watched)
            step = steps.setdefault(
                floor(12 * log10(max(time_ns, 1))),
                {"arm": arm, "at_risk": watched, "offlined": 0, "censored": 0},
            )
            step["offlined"] += offlined
            step["censored"] += left
            step |= {"time_ns": time_ns, "offline_share": float(1 - waiting)}
            watched -= offlined + left
        out += list(steps.values())
    return out


def last_seen(arm: str, rep: int) -> int:
    rows = UNITS[arm, rep]["requests"]
    return max(row[key] or 0 for row in rows for key in ("issued_ns", "started_ns", "ended_ns"))


def pin_latency_histogram() -> Answer:
    out = []
    for arm in ARMS:
        steps: dict[int, list[tuple[int, bool]]] = defaultdict(list)
        for rows in pin_calls(arm).values():
            took = sum(row["latency_ns"] for row in rows)
            moves = any(row["migrated_pages"] for row in rows)
            steps[floor(10 * log10(took))].append((took, moves))
        total = sum(map(len, steps.values()))
        for step, calls in sorted(steps.items()):
            times = [took for took, _ in calls]
            out.append({"arm": arm, "step": step, "least_ns": min(times), "most_ns": max(times),
                        "pins": len(calls), "migrating": sum(moves for _, moves in calls),
                        "pin_share": len(calls) / total})  # fmt: skip
    return out


def kernel_zone_timeline() -> Answer:
    out = []
    for arm in ARMS:
        by_time: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for (_, _, time_ns), rows in samples(arm, movable=False).items():
            room = max(sum(r["free_pages"] + r["file_pages"] - r["min_pages"] for r in rows), 0)
            by_time[time_ns].append((room, room / sum(r["managed_pages"] for r in rows)))
        for time_ns, found in sorted(by_time.items()):
            shares = [share for _, share in found]
            out.append({"arm": arm, "time_ns": time_ns, "hosts": len(found),
                        "minimum_pages": min(room for room, _ in found),
                        "p10_share": nearest_rank(shares, 10),
                        "median_share": nearest_rank(shares, 50),
                        "minimum_share": min(shares)})  # fmt: skip
    return out


def damage(arm: str) -> Iterator[tuple[int, int, str]]:
    """Yield host, time and kind of everything that went wrong."""
    names = {"oom_kill": "oom_kills", "pin_failed": "pin_failures", "panic": "panics"}
    for rep in (0, 1):
        for row in UNITS[arm, rep]["requests"]:
            if is_hung(row):
                late = row["outcome"] == "stuck"
                yield row["host"], row["deadline_ns"] if late else row["ended_ns"], "hung"
        for row in UNITS[arm, rep]["incidents"]:
            if row["kind"] in names:
                yield row["host"], row["time_ns"], names[row["kind"]]


def damage_map() -> Answer:
    times = [time_ns for arm in ARMS for _, time_ns, _ in damage(arm)]
    for unit in UNITS.values():
        times += [row["issued_ns"] for row in unit["requests"]]
        times += [row["time_ns"] for row in unit["host_samples"]]
    step, group = max(times) // STEPS + 1, (HOSTS - 1) // ROWS + 1
    out = []
    for arm in ARMS:
        cells: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)
        for host, time_ns, what in damage(arm):
            cells[host // group * group, time_ns // step * step][what] += 1
        for (first, time_ns), found in sorted(cells.items()):
            out.append({"arm": arm, "first_host": first,
                        "last_host": min(first + group, HOSTS) - 1, "time_ns": time_ns,
                        "step_ns": step, "damage": sum(found.values())}
                       | {name: found[name] for name in DAMAGE})  # fmt: skip
    return out


def damage_spread() -> Answer:
    out = []
    for arm in ARMS:
        counts = Counter(host for host, _, _ in damage(arm))
        ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        total, upto, half = sum(counts.values()), 0, 0
        for _, found in ranked:
            if 2 * upto < total:
                half += 1
            upto += found
        out.append({"arm": arm, "hosts": HOSTS, "hosts_hit": len(counts), "hosts_half": half,
                    "damage": total, "worst_host": ranked[0][0],
                    "worst_damage": ranked[0][1]})  # fmt: skip
    return out


BY_KIND: dict[str, Callable[[str], Answer]] = {
    f.__name__: f for f in (outcome_shares, offline_curve)
}
PLAIN: dict[str, Callable[[], Answer]] = {
    f.__name__: f for f in (pin_latency_histogram, kernel_zone_timeline, damage_map, damage_spread)
}
CHARTS = frozenset(BY_KIND) | frozenset(PLAIN)


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


@pytest.mark.parametrize(("rows", "groups"), [(1, 1), (2, 2), (4, 3), (6, 6), (100, 6)])
def test_hosts_are_grouped(catalog: Catalog, rows: int, groups: int) -> None:
    given = {"host_rows": str(rows), "steps": "1"}
    got: list[Row] = shipped()["damage_map"].run(catalog, given).to_pylist()
    assert len({row["first_host"] for row in got}) == groups
    assert {row["time_ns"] for row in got} == {0}
    whole = shipped()["damage_spread"].run(catalog).to_pylist()
    assert sum(row["damage"] for row in got) == sum(row["damage"] for row in whole)
