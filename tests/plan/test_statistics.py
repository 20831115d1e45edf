"""Draws have the distributions they are named after."""

from itertools import pairwise

import numpy as np
import pytest

from fleet.plan.arrivals import length_biased
from fleet.plan.build import build_plan
from fleet.plan.estimate import estimate
from fleet.scenario.rules import hint_chances
from tests.plan.scenarios import HOUR_NS, generator, scenario, work


def test_arrivals_are_poisson() -> None:
    busy = work(commitment="0%", generators=[generator("web", arrivals="5000/h")])
    w = build_plan(scenario(workloads=busy)).workloads
    assert len(w) == pytest.approx(30_000, abs=4 * 30_000**0.5)
    per_minute = np.bincount(w.arrival_ns // (HOUR_NS // 60), minlength=360)
    assert per_minute.var() / per_minute.mean() == pytest.approx(1, abs=4 * (2 / 360) ** 0.5)


def test_mixes_and_lifetimes_follow_their_tables() -> None:
    busy = work(commitment="0%", generators=[generator("web", arrivals="5000/h")])
    w = build_plan(scenario(workloads=busy)).workloads
    n = len(w)
    for index, share in enumerate((0.5, 0.2, 0.2, 0.1)):
        sigma = (share * (1 - share) / n) ** 0.5
        assert (w.kind == index).mean() == pytest.approx(share, abs=4 * sigma)
    assert (w.pages == 2**18).mean() == pytest.approx(0.75, abs=4 * (0.1875 / n) ** 0.5)
    edges = np.quantile(w.lifetime_ns, [0, 1 / 3, 2 / 3]) / (HOUR_NS / 60)
    assert edges[0] == pytest.approx(1, rel=0.05)
    assert edges[1] == pytest.approx(30, rel=0.05)
    assert edges[2] == pytest.approx(120, rel=0.05)


def test_length_bias() -> None:
    """E[L of those alive] = E[L^2] / E[L], for a table of two linear cells."""
    quantiles = [0, 10**6, 10**9]
    sample = length_biased(quantiles, (1, 0), np.arange(200_000, dtype=np.int64)).astype(float)
    cells = list(pairwise(quantiles))
    first = sum((a + b) / 2 for a, b in cells) / 2
    second = sum((a * a + a * b + b * b) / 3 for a, b in cells) / 2
    assert sample.mean() == pytest.approx(second / first, rel=0.005)
    inside = (sample >= 10**6).mean()
    assert inside == pytest.approx((10**6 + 10**9) / (2 * 10**6 + 10**9), abs=0.001)


def test_a_commitment_equal_to_the_offered_load_stays_level() -> None:
    hosts = {"total": 400, "classes": [{"name": "a", "share": "100%", "memory": "64GiB"}]}
    streams = [generator("web", arrivals="3000/h")]
    steady = estimate(scenario(hosts=hosts, workloads=work(generators=streams))).steady
    load = steady.offered_millionths
    assert steady.scale_millionths == 1_000_000
    mean_hours = (1 / 120 + 0.25 + 0.25 + 1 + 1 + 5) / 3
    mean_mib = 0.75 * 1024 + 0.25 * 4099
    assert load / 10**6 == pytest.approx(3000 * mean_hours * mean_mib / 2**16 / 400, abs=1e-6)
    assert steady.vcpus == pytest.approx(3000 * mean_hours * 1.25, abs=1)
    level = work(commitment=f"{load / 10_000:.4f}%", generators=streams)
    plan = build_plan(scenario(hosts=hosts, workloads=level, removals=None, probes=None))
    w = plan.workloads
    shares = []
    for hour in range(7):
        now = hour * HOUR_NS
        alive = (w.arrival_ns <= now) & (w.arrival_ns + w.lifetime_ns > now)
        shares.append(w.pages[alive].sum() / plan.hosts.memory_pages.sum())
    assert max(shares) / min(shares) < 1.06
    assert shares[0] == pytest.approx(load / 10**6, rel=0.01)


def test_hints_reach_recall_and_precision() -> None:
    hint = {"recall": "80%", "precision": "50%"}
    w = build_plan(scenario(workloads=work(hint=hint, commitment="90%"))).workloads
    pins, hinted = w.pinned_pages > 0, w.hinted == 1
    assert hinted[pins].mean() == pytest.approx(0.8, abs=0.03)
    assert pins[hinted].mean() == pytest.approx(0.5, abs=0.03)


def test_a_perfect_hint_is_exact() -> None:
    section = scenario().workloads
    assert hint_chances(section) == (1_000_000, 0)
    w = build_plan(scenario()).workloads
    assert np.array_equal(w.hinted == 1, w.pinned_pages > 0)


def test_requests_spread_over_time_and_hosts() -> None:
    r = build_plan(scenario(removals=None, probes={"count": 5000})).requests
    per_slice = np.bincount(r.time_ns * 50 // (6 * HOUR_NS), minlength=50)
    assert per_slice.tolist() == [100] * 50
    per_host = np.bincount(r.host, minlength=100)
    assert per_host.var() == pytest.approx(50, rel=0.6)
    assert per_host.min() > 20


def test_estimate_is_close_to_the_plan() -> None:
    given = scenario(workloads=work(holds={"share": "30%", "every": "5h"}))
    guess, plan = estimate(given), build_plan(given)
    assert guess.hosts == len(plan.hosts)
    assert guess.memory_pages == plan.hosts.memory_pages.sum()
    assert guess.workloads == pytest.approx(len(plan.workloads), rel=0.05)
    assert guess.requests == len(plan.requests)
    assert guess.holds >= len(plan.holds)
