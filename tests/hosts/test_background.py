"""The schedule of a host's background does not depend on who asks when."""

import pytest

from engine.draws import below
from engine.enums import Op
from fleet.hosts.ageing import Age, Own
from fleet.hosts.background import Background
from fleet.hosts.shape import host_shape

HOUR = 3600 * 10**9
SHAPE = host_shape(16 << 18, 1 << 15, 1, 4, 500_000)
LIFE = Age("default", 940_000, 5_000, 2 * HOUR, 30_000, 24 * HOUR, HOUR // 3)
CALM = Age("default", 940_000, 5_000, 2 * HOUR)


def own(host: int) -> Own:
    return Own((1, 0, host), 40_000, 20_000)


def background(host: int = 0, age: Age = LIFE, from_ns: int = 0) -> Background:
    return Background(own(host), SHAPE, age, from_ns)


@pytest.mark.parametrize("age", [LIFE, CALM])
@pytest.mark.parametrize("host", range(5))
def test_taken_in_parts_it_is_the_same(host: int, age: Age) -> None:
    whole = background(host, age).take(72 * HOUR)
    parts, some = background(host, age), []
    now_ns = 0
    while now_ns < 72 * HOUR:
        now_ns = min(now_ns + below(5 * HOUR, 7, host, now_ns), 72 * HOUR)
        some += parts.take(now_ns)
        assert parts.due_ns > now_ns
    assert some == whole
    one_by_one, each = background(host, age), []
    while one_by_one.due_ns <= 72 * HOUR:
        each += one_by_one.take(one_by_one.due_ns)
    assert each == whole


@pytest.mark.parametrize("from_ns", [HOUR, 5 * HOUR, 23 * HOUR, 24 * HOUR, 60 * HOUR + 1])
def test_a_host_that_boots_later_joins_the_schedule(from_ns: int) -> None:
    early = background()
    early.take(from_ns - 1)
    late = background(from_ns=from_ns)
    assert late.due_ns == early.due_ns >= from_ns
    assert late.take(100 * HOUR) == early.take(100 * HOUR)


def test_one_episode_a_day_and_twelve_steps() -> None:
    calls = background().take(10 * 24 * HOUR)
    pressure = [call[0] for call in calls if call[1] == 3]
    assert pressure[:3] == [Op.AGE, Op.UNMAP, Op.MAP]
    assert 9 <= pressure.count(Op.AGE) <= 10
    assert 119 <= sum(call[1] == 1 for call in calls) <= 122
    assert background(1).take(24 * HOUR) != background(2).take(24 * HOUR)


def test_the_first_step_belongs_to_time_zero_and_fills_the_cache() -> None:
    first = background().take(0)
    assert [call[0] for call in first] == [Op.AGE, Op.AGE] + [Op.CACHE] * (len(first) - 2)
    assert background().due_ns == 0


def test_daemons_go_from_level_to_level() -> None:
    base = [call for call in background().take(24 * HOUR) if call[:2] == (Op.AGE, 1)]
    level = own(0).base_pages
    for _, _, _, freed, low, high, _ in base:
        assert low == high
        assert freed == max(level - high, 0)
        assert abs(high - own(0).base_pages) <= own(0).base_pages // 20
        level = high
