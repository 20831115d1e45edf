"""Keyed copies of a trace: a steady level, days drawn, and entities that never change."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import InputError
from fleet.inputs.trace import Trace, read_trace
from fleet.plan.build import build_plan
from fleet.plan.copies import traced as copies_of
from fleet.plan.days import DAY_NS, days_of, lifetimes
from fleet.plan.estimate import estimate
from fleet.plan.steady import exact_dot
from fleet.plan.tables import RUNS_ON, Plan, Workloads
from fleet.scenario.scenario import Scenario
from tests.plan.scenarios import HOUR_NS, traced

Row = tuple[object, ...]
MILLION = 1_000_000
SEED = (1, 0)


def days_of_rows(days: int, each: int) -> list[Row]:
    """A trace in 300 s samples: lives from minutes to three days, one in thirty is not seen to end.

    The days differ in who comes, not in how much.
    """
    lives = (300, 900, 3_600, 3_600, 14_400, 86_400, 259_200)
    rows: list[Row] = []
    for day in range(days):
        for n in range(each):
            at = day * 86_400 + n * 86_400 // each // 300 * 300
            life = "" if (n + day) % 30 == 0 else lives[(n + 2 * day) % len(lives)]
            rows.append((at, life, (256, 512, 1024)[(n + day) % 3]))
    return rows


def steady_scenario(folder: Path, **changes: Any) -> Scenario:
    """Three whole days of 1,800 workloads and a part of a fourth, on 8.6 TiB, for ten days."""
    rows = days_of_rows(4, 1_800)[: 3 * 1_800 + 700]
    given = traced(folder, rows, **({"commitment": "50%"} | changes))
    return given.model_copy(update={"horizon_ns": 10 * DAY_NS, "removals": None, "probes": None})


def read(folder: Path, rows: list[Row]) -> Trace:
    """Write and read a trace."""
    path = traced(folder, rows).workloads.trace
    assert path is not None
    return read_trace(path)


def level(w: Workloads, now_ns: int) -> int:
    """Memory alive at a time if everything were placed at once."""
    ends = np.where(w.lifetime_ns == RUNS_ON, 2**62, w.arrival_ns + w.lifetime_ns)
    return int(w.pages[(w.arrival_ns <= now_ns) & (ends > now_ns)].sum())


def rows_of(w: Workloads, until_ns: int) -> list[tuple[int, ...]]:
    """All columns of the rows that arrive before a time."""
    names = [n for n in Workloads.__slots__ if isinstance(getattr(w, n), np.ndarray)]
    count = int(np.searchsorted(w.arrival_ns, until_ns))
    return list(zip(*(getattr(w, n)[:count].tolist() for n in names), strict=True))


def arrivals(plan: Plan) -> dict[int, tuple[int, int]]:
    """Arrival and memory of those that arrive, by key."""
    w = plan.workloads
    new = w.age_ns == 0
    columns = (w.key[new], w.arrival_ns[new], w.pages[new])
    return {k: (a, p) for k, a, p in zip(*(c.tolist() for c in columns), strict=True)}


def test_the_commitment_stays_level_for_ten_days(tmp_path: Path) -> None:
    plan = build_plan(steady_scenario(tmp_path))
    fleet = int(plan.hosts.memory_pages.sum())
    shares = [level(plan.workloads, hour * HOUR_NS) / fleet for hour in range(0, 240, 3)]
    assert shares[0] == pytest.approx(0.5, abs=0.001)
    assert max(shares) < 0.5 * 1.05
    assert min(shares) > 0.5 * 0.95
    assert np.mean(shares) == pytest.approx(0.5, rel=0.02)
    assert not np.any(plan.workloads.lifetime_ns == RUNS_ON)


@pytest.mark.parametrize(("commitment", "copies"), [("3%", 0.39), ("20%", 2.6)])
def test_thinned_and_scaled_arrivals_hold_the_load_they_are_said_to(
    commitment: str, copies: float, tmp_path: Path
) -> None:
    """Little's law, on the plan itself: what arrives in ten days, times how long it lives."""
    given = steady_scenario(tmp_path, commitment=commitment)
    offered, arrived = [], []
    for replication in range(8):
        plan = build_plan(given, replication)
        new = plan.workloads.age_ns == 0
        life, pages = plan.workloads.lifetime_ns[new], plan.workloads.pages[new]
        offered.append(exact_dot(life, pages) / (10 * DAY_NS))
        arrived.append(int(new.sum()))
    steady = plan.steady
    assert steady is not None
    assert steady.scale_millionths / MILLION == pytest.approx(copies, rel=0.1)
    wanted = steady.fleet_pages * int(commitment[:-1]) / 100
    assert steady.memory_pages == pytest.approx(wanted, rel=2e-5)
    assert np.mean(offered) == pytest.approx(wanted, rel=0.03)
    assert np.mean(arrived) == pytest.approx(10 * steady.arrivals_per_day, rel=0.02)


def test_every_day_has_arrivals_and_repeats_to_the_byte(tmp_path: Path) -> None:
    given = steady_scenario(tmp_path)
    plan, again = build_plan(given), build_plan(given)
    new = plan.workloads.age_ns == 0
    per_day = np.bincount(plan.workloads.arrival_ns[new] // DAY_NS, minlength=10)
    assert len(per_day) == 10
    assert per_day.min() > 0.9 * per_day.max()
    assert rows_of(plan.workloads, 2**62) == rows_of(again.workloads, 2**62)
    other = build_plan(given, replication=1)
    assert rows_of(other.workloads, 2**62) != rows_of(plan.workloads, 2**62)


def test_a_longer_horizon_changes_nothing_before(tmp_path: Path) -> None:
    given = steady_scenario(tmp_path)
    long = build_plan(given).workloads
    for horizon_ns in (6 * HOUR_NS, 3 * DAY_NS, 4 * DAY_NS + 7 * HOUR_NS):
        short = build_plan(given.model_copy(update={"horizon_ns": horizon_ns})).workloads
        assert rows_of(short, 2**62) == rows_of(long, horizon_ns)


def test_more_copies_keep_those_there_are(tmp_path: Path) -> None:
    scales = (0.25, 0.5, 1, 1.5, 2, 5)
    plans = [arrivals(build_plan(steady_scenario(tmp_path, scale=s))) for s in scales]
    for few, many in pairwise(plans):
        assert few.items() < many.items()
    counts = [len(p) / len(plans[2]) for p in plans]
    assert counts == pytest.approx(scales, rel=0.05)


def test_a_larger_fleet_keeps_every_entity(tmp_path: Path) -> None:
    given = steady_scenario(tmp_path)
    hosts = given.hosts.model_copy(update={"total": 164})
    few, many = (
        {row[0]: row for row in rows_of(build_plan(s).workloads, 2**62)}
        for s in (given, given.model_copy(update={"hosts": hosts}))
    )
    assert few.items() < many.items()


def test_the_first_copy_is_the_trace_and_beyond_it_whole_days_of_it(tmp_path: Path) -> None:
    trace = read(tmp_path, days_of_rows(4, 1_800)[: 3 * 1_800 + 700])
    got = copies_of(trace, SEED, 30 * DAY_NS, MILLION, ends=True)
    order = np.lexsort((got.source, got.arrival_ns))
    source, at = got.source[order], got.arrival_ns[order]
    assert source[: 3 * 1_800].tolist() == list(range(3 * 1_800))
    played = source.reshape(30, 1_800)
    days = played[:, 0] // 1_800
    assert np.array_equal(played, days[:, None] * 1_800 + np.arange(1_800))
    assert np.array_equal(at % DAY_NS, trace.arrival_ns[source] % DAY_NS)
    assert np.array_equal(at // DAY_NS, np.repeat(np.arange(30), 1_800))
    assert min(Counter(days.tolist()).values()) >= 4
    other = copies_of(trace, (1, 1), 30 * DAY_NS, MILLION, ends=True)
    assert not np.array_equal(np.sort(other.source), np.sort(got.source))


def test_copies_share_the_time_of_day_but_not_the_instant(tmp_path: Path) -> None:
    trace = read(tmp_path, days_of_rows(3, 1_800))
    days = days_of(trace)
    assert days.step_ns == 300 * 10**9
    got = copies_of(trace, SEED, DAY_NS, 9 * MILLION, ends=True)
    assert len(np.unique(got.key)) == len(got.key)
    late = (got.arrival_ns - trace.arrival_ns[got.source]) % DAY_NS
    assert late.max() < days.step_ns
    assert late[late > 0].mean() == pytest.approx(days.step_ns / 2, rel=0.05)
    assert Counter((got.source // 1_800).tolist()) == dict.fromkeys(range(3), 3 * 1_800)
    pairs = Counter(zip(got.source.tolist(), got.arrival_ns.tolist(), strict=True))
    assert max(pairs.values()) == 1


@pytest.mark.parametrize(
    ("last_s", "whole"),
    [(3_600, 0), (82_799, 0), (82_800, 1), (86_399, 1), (169_199, 1), (604_500, 7), (299_700, 3)],
)
def test_whole_days(last_s: int, whole: int, tmp_path: Path) -> None:
    days = days_of(read(tmp_path, [(0, 60, 1024), (last_s, 60, 1024)]))
    assert days.whole == whole
    assert len(days.ends) == max(whole, 1) + 1


def test_a_trace_before_whose_first_whole_day_nobody_comes_is_played_once(tmp_path: Path) -> None:
    trace = read(tmp_path, [(90_000, 60, 1024)])
    assert days_of(trace).whole == 0
    got = copies_of(trace, SEED, 5 * DAY_NS, MILLION, ends=False)
    assert got.arrival_ns.tolist() == [90_000 * 10**9]


def test_unknown_ends_count_with_the_longest_life(tmp_path: Path) -> None:
    known = read(tmp_path, [(0, "", 1024), (10, 7_200, 1024)])
    assert lifetimes(known).tolist() == [7_200 * 10**9] * 2
    long = read(tmp_path, [(0, "", 1024), (9_000, 60, 1024)])
    assert lifetimes(long).tolist() == [9_000 * 10**9, 60 * 10**9]


def test_the_law_for_unknown_ends_is_one_for_residents_arrivals_and_load(tmp_path: Path) -> None:
    """The unknown make up the same memory among residents as in the load and ten days later."""
    rows: list[Row] = []
    for at, life, _ in days_of_rows(3, 1_800):
        rows.append((at, life, 64 if life == "" else 512))
    given = traced(tmp_path, rows, commitment="30%")
    given = given.model_copy(update={"horizon_ns": 9 * DAY_NS, "removals": None, "probes": None})
    w = build_plan(given).workloads
    trace = read(tmp_path, rows)
    life, unknown = lifetimes(trace), trace.pages == 64 * 256
    expected = exact_dot(life[unknown], trace.pages[unknown]) / exact_dot(life, trace.pages)
    for now_ns in (0, 8 * DAY_NS):
        alive = (w.arrival_ns <= now_ns) & (w.arrival_ns + w.lifetime_ns > now_ns)
        small = alive & (w.pages == 64 * 256)
        assert w.pages[small].sum() / w.pages[alive].sum() == pytest.approx(expected, rel=0.08)


def test_less_than_a_day_is_played_once_or_refused(tmp_path: Path) -> None:
    rows: list[Row] = [(n * 60, 600, 1024) for n in range(60)]
    with pytest.raises(InputError, match="less than a whole day of arrivals"):
        build_plan(traced(tmp_path, rows))
    given = traced(tmp_path, rows, scale=2)
    plan = build_plan(given.model_copy(update={"horizon_ns": 3 * DAY_NS}))
    at = sorted(a for a, _ in arrivals(plan).values())
    assert len(at) == 120
    assert at[-1] < 3_600 * 10**9
    assert plan.steady is not None
    assert plan.steady.memory_pages == 0


def test_steady_figures_are_exact(tmp_path: Path) -> None:
    given = steady_scenario(tmp_path)
    trace = read_trace(str(given.workloads.trace))
    steady = estimate(given, None, trace).steady
    longest = int(trace.arrival_ns[-1])
    assert longest > 3 * DAY_NS
    memory = vcpus = 0
    for n in range(3 * 1_800):
        life = int(trace.lifetime_ns[n])
        memory += (longest if life < 0 else life) * int(trace.pages[n])
        vcpus += longest if life < 0 else life
    fleet = (75 * 32 + 25 * 256) * 2**18
    scale = fleet * 500_000 * 3 * DAY_NS // memory
    assert steady.scale_millionths == scale
    assert steady.memory_pages == memory * scale // (3 * DAY_NS * MILLION)
    assert steady.vcpus == vcpus * scale // (3 * DAY_NS * MILLION)
    assert steady.fleet_cpus == 100 * 32
    assert steady.cpu_millionths == steady.vcpus * MILLION // 3_200
    assert 499_990 <= steady.offered_millionths <= 500_000
    assert build_plan(given).steady == steady


def test_estimate_of_a_trace_is_close_to_the_plan(tmp_path: Path) -> None:
    given = steady_scenario(tmp_path)
    guess = estimate(given, None, read_trace(str(given.workloads.trace)))
    assert guess.workloads == pytest.approx(len(build_plan(given).workloads), rel=0.03)


@given(st.lists(st.tuples(st.integers(0, 2**62), st.integers(0, 2**62)), max_size=20))
def test_exact_dot(pairs: list[tuple[int, int]]) -> None:
    a, b = (np.array([p[i] for p in pairs], np.int64) for i in (0, 1))
    assert exact_dot(a, b) == sum(x * y for x, y in pairs)
