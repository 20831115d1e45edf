"""What long work says: hosts while they are set up, then simulated time; and when it says it."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from fleet.run.coordinator import Coordinator, Progress
from fleet.run.crews import InlineCrew
from fleet.run.progress import Talk
from tests.run import small

HOURS = 3600 * 10**9


def test_a_run_tells_of_hosts_and_then_of_time() -> None:
    scenario = small.scenario()
    plan = small.busy_plan(4, 30)
    told: list[Progress] = []
    world = small.world(plan, scenario)
    Coordinator(world, scenario, InlineCrew(), lambda _: None).run(told.append)
    assert told[:4] == [Progress(0, 0, 0, count) for count in (1, 2, 3, 4)]
    times = [one.now_ns for one in told[4:]]
    assert times == sorted(set(times))
    assert 0 < times[0] < times[-1] <= plan.horizon_ns
    assert (told[-1].hosts, told[-1].requests) == (4, len(plan.requests))


def test_lines_come_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = iter((0.0, 0.0, 5.0, 12.0, 13.0, 25.0))
    clock = SimpleNamespace(monotonic=lambda: next(seconds))
    monkeypatch.setattr("fleet.run.progress.time", clock)
    with Talk(quiet=False, live=False) as talk:
        talk.unit("linux-5.13", 24 * HOURS, 2000, 1523)
        for hosts in (100, 412, 420):
            talk.tell(Progress(0, 0, 0, hosts))
        talk.tell(Progress(6 * HOURS, 500, 80_000, 1523))
    assert capsys.readouterr().err.splitlines() == [
        "linux-5.13: 412 of 1,523 hosts set up",
        "linux-5.13: 6h00m of 24h00m, 500 of 2,000 requests, 80,000 workloads",
    ]


def test_the_bar_is_of_hosts_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.run.progress.REDRAW_S", 0.0)
    with Talk(quiet=False, live=True) as talk:
        talk.unit("kernel+unbounded@no-movable-zone", 24 * HOURS, 2000, 1523)
        (task,) = talk._bar.tasks
        talk.tell(Progress(0, 0, 0, 412))
        assert (task.completed, task.total) == (412, 1523)
        talk.tell(Progress(16 * HOURS, 14_500, 80_000, 1523))
        assert (task.completed, task.total) == (16 * HOURS, 24 * HOURS)
        assert task.fields["said"] == "16h00m of 24h00m, 14,500 requests"
        drawn = talk._bar.get_renderable()
        console = Console(width=80, file=io.StringIO())
        assert "no-movable-zone" in (line := "".join(s.text for s in console.render(drawn)))
        assert "…" not in line, "80 columns are enough for an arm"
        talk.unit("next", 24 * HOURS, 2000, 1523)
        (task,) = talk._bar.tasks
        assert (task.description, task.completed, task.total) == ("next", 0, 1523)
