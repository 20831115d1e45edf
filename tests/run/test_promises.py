"""Workloads that wait because they cannot but find their memory, and those that do not find it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.costs import CostModel
from engine.enums import AreaKind, Pinner
from engine.host import Host
from fleet.log.tables import TABLES
from fleet.plan.backing import Backing
from fleet.run.actors import ActorCrew
from fleet.run.cluster import ray_session
from fleet.run.columns import LEAD
from fleet.run.machine import Machine
from fleet.run.messages import NR_FIELDS, Do
from fleet.run.squad import MOST_PROMISED, Squad
from fleet.run.world import World
from tests.run import small
from tests.run.harness import ManySquads, digests, run_files

SECOND = small.SECOND
VFIO = int(Pinner.VFIO)
MANY = 1 << 40


def order(time_ns: int, do: Do, host: int, workload: int, boot: int = -1) -> list[int]:
    row = [time_ns, int(do), host, workload, *[0] * (NR_FIELDS - 4)]
    row[7] = boot
    return row


def squad(*work: dict[str, int], arm: str = "pin-in-place", promising: bool = True) -> Squad:
    """One booted host and what may be placed on it."""
    plan = small.plan(work=work)
    world = small.world(plan, small.scenario(), f"{arm}+unbounded")
    found = Squad([0], world, promising=promising)
    found.advance(np.array([order(0, Do.SAMPLE, 0, 0)], np.int64), SECOND)
    return found


def place(found: Squad, workload: int, window: int | None = None) -> None:
    """Place a workload in a window of its own, of that number by default."""
    at_ns = (2 + (workload if window is None else window)) * SECOND
    found.advance(np.array([order(at_ns, Do.PLACE, 0, workload)], np.int64), at_ns + SECOND)


def waits(found: Squad, *workloads: int, boot: int = -1) -> bool:
    """Whether the workloads are left for later."""
    rows = [order(2 * SECOND, Do.PLACE, 0, workload, boot) for workload in workloads]
    told = found.advance(np.array(rows, np.int64), 3 * SECOND)
    later = found.work()
    assert not (later and told.reports)
    return later


def test_a_workload_that_finds_its_memory_waits() -> None:
    assert waits(squad({"pages": 64}), 0)
    assert waits(squad({"pages": 64, "backing": int(AreaKind.THP)}), 0)
    assert not waits(squad({"pages": 64}, promising=False), 0)


@pytest.mark.parametrize(
    "work",
    [
        {"pinner": VFIO, "pinned_pages": 64, "present_pages": 64, "io_before_pin": 1},
        {"pinner": int(Pinner.IO_URING), "pinned_pages": 64, "present_pages": 64},
        {"pinner": VFIO, "pinned_pages": 200, "pages": 200},
        {"backing": int(Backing.HUGETLB)},
        {"backing": int(Backing.SHMEM)},
        {"pages": 450},
    ],
)
def test_what_may_fail_does_not_wait(work: dict[str, int]) -> None:
    """A pin of present pages with I/O, or of all at once, or of more than kernel zones have to
    give; a pool, shared memory, too little memory."""
    assert not waits(squad({"pages": 64, **work}), 0)


def test_a_pin_of_pages_that_nobody_else_holds_waits() -> None:
    work = {"pages": 64, "pinner": VFIO, "pinned_pages": 64, "present_pages": 64}
    assert waits(squad(work), 0)
    assert waits(squad(work, arm="linux-5.13"), 0)
    assert not waits(squad(work, arm="deny"), 0)


@pytest.mark.parametrize(("arm", "wait"), [("pin-in-place", True), ("madvise-hint", False)])
def test_a_hint_takes_kernel_zones_where_the_policy_honours_it(arm: str, wait: bool) -> None:
    assert waits(squad({"pages": 64, "hinted": 1}, arm=arm), 0)
    assert waits(squad({"pages": 200, "hinted": 1}, arm=arm), 0) == wait


@pytest.mark.parametrize(
    ("arm", "wait"),
    [("pin-in-place", True), ("linux-5.13", True), ("deny", False), ("reserved-pool", False)],
)
def test_a_pin_whose_faults_find_its_memory_waits_unless_the_policy_refuses_some(
    arm: str, wait: bool
) -> None:
    assert waits(squad({"pages": 64, "pinner": VFIO, "pinned_pages": 64}, arm=arm), 0) == wait


def test_pins_owe_no_more_than_kernel_zones_have() -> None:
    """They have 256 pages, 8 of the kernel's image, 24 of its own, and an eighth is left aside."""
    work = [{"pages": 60}, *[{"pages": 60, "pinner": VFIO, "pinned_pages": 60}] * 3]
    assert waits(squad(*work), 0, 1, 2)
    assert not waits(squad(*work), 0, 1, 2, 3)


def test_a_host_owes_no_more_than_it_has() -> None:
    """It has 512 pages, 8 of the kernel's image, 60 of its own, and an eighth is left aside."""
    work = [{"pages": 120}] * 4
    assert waits(squad(*work), 0, 1, 2)
    assert not waits(squad(*work), 0, 1, 2, 3)
    found = squad(*work)
    for workload, later in ((0, True), (1, True), (2, True), (3, False)):
        place(found, workload)
        assert bool(found._waiting) == later, "the last one has the others done first"


def test_what_a_host_owes_of_many_windows_is_whose_it_was_at_the_time() -> None:
    """One number, three owners, all of whom an engine call tells of: each moved its own pages."""
    work = {"pages": 64, "pinner": VFIO, "pinned_pages": 64, "present_pages": 64}
    found = squad(*[work] * 3, arm="linux-5.13")
    for workload in range(3):
        place(found, workload, 2 * workload)
        end = order((3 + 2 * workload) * SECOND, Do.END, 0, workload)
        end[5] = workload
        found.advance(np.array([end], np.int64), (4 + 2 * workload) * SECOND)
    assert sum(len(waiting) for waiting in found._waiting.values()) == 6, "all of it waits"
    batches = {batch.table: batch.rows for batch in found.collect(60 * SECOND).batches}
    whose = [column.name for column in TABLES["slowdowns"].columns].index("workload")
    assert batches["slowdowns"][:, LEAD + whose].tolist() == [0, 1, 2]
    assert list(dict.fromkeys(batches["pins"][:, LEAD + 2].tolist())) == [0, 1, 2]


def test_rows_are_fetched_without_work_up_to_where_all_is_done() -> None:
    found = squad(*[{"pages": 16}] * 2)
    place(found, 0)
    sample = np.array([order(4 * SECOND, Do.SAMPLE, 0, 1)], np.int64)
    assert found.advance(sample, 5 * SECOND).done_ns == found.done_ns == SECOND
    assert found._waiting, "all is done up to the window before that of the workload"
    assert [b.table for b in found.collect(SECOND).batches] == ["host_samples"]
    assert found._waiting, "nothing was to be done for what came before"
    assert [b.table for b in found.collect(5 * SECOND).batches] == ["host_samples"]
    assert not found._waiting
    assert found.done_ns == 5 * SECOND


def test_probes_are_told_when_they_have_ended() -> None:
    world = small.world(small.plan(), small.scenario())
    notes = Squad([0], world)._notes
    ended = [(9, 0, 1, 4, 0, 0, 0, 0, 0, 0), (5, 0, 2, 4, 1, 0, 0, 0, 0, 0)]
    notes.probed += ended
    assert notes.take_probed(5) == []
    assert notes.take_probed(6) == ended[1:]
    assert notes.take_probed(10) == ended[:1]
    assert notes.take_probed(10) == []


def stuck(watch_ns: int = 0) -> Squad:
    """A host whose offline meets the pages of a VFIO pin; passes take 0.2 ms. Done up to 5 s."""
    work = {"pages": 64, "pinner": VFIO, "pinned_pages": 64, "present_pages": 64}
    world = small.world(small.plan(work=[work]), small.scenario())
    found = Squad([0], replace(world, costs=CostModel().vector()), promising=True)
    found.advance(np.array([order(0, Do.SAMPLE, 0, 0)], np.int64), SECOND)
    place(found, 0, 0)
    found.collect(3 * SECOND)
    engine = found._machines[0]._engine
    assert isinstance(engine, Host)
    pinned = int(np.flatnonzero(engine.blocks()[8:, 4])[0]) + 8
    row = order(4 * SECOND, Do.OFFLINE, 0, 0)
    row[4:7] = [pinned, 1, watch_ns]
    assert found.advance(np.array([row], np.int64), 5 * SECOND).running
    return found


def quietly(found: Squad, until_ns: int) -> bool:
    """Whether a window without commands, which ends then, is left for later."""
    nothing = np.zeros((0, NR_FIELDS), np.int64)
    told = found.advance(nothing, until_ns)
    assert told.running
    assert not told.reports
    return bool(found._waiting)


def test_an_offline_that_repeats_itself_waits_for_the_next_command() -> None:
    found = stuck()
    assert all(quietly(found, t * SECOND) for t in range(6, 60))
    assert found.done_ns == 5 * SECOND
    assert not found.work(), "the longer it waits the less it costs"
    assert len(found._waiting) == 1
    signal = np.array([order(60 * SECOND, Do.SIGNAL, 0, 0)], np.int64)
    told = found.advance(signal, 61 * SECOND)
    assert (told.running, len(told.reports)) == (False, 1)
    assert not found._waiting
    attempt = next(b.rows for b in found.collect(61 * SECOND).batches if b.table == "attempts")
    literal = stuck()
    literal._promising = False
    for t in range(6, 61):
        literal._running[0] = 0
        assert not quietly(literal, t * SECOND)
    assert literal.advance(signal, 61 * SECOND) == told
    same = next(b.rows for b in literal.collect(61 * SECOND).batches if b.table == "attempts")
    assert attempt[:, LEAD:].tolist() == same[:, LEAD:].tolist()


def test_an_offline_that_repeats_itself_does_what_it_owes_for_rows_and_at_the_end() -> None:
    found = stuck()
    assert quietly(found, 6 * SECOND)
    found.collect(6 * SECOND)
    assert not found._waiting
    assert quietly(found, 7 * SECOND)
    found.finish(7 * SECOND)
    assert not found._waiting


def test_an_offline_with_a_watchdog_waits_until_that() -> None:
    found = stuck(watch_ns=3 * SECOND)
    assert quietly(found, 6 * SECOND)
    told = found.advance(np.zeros((0, NR_FIELDS), np.int64), 7 * SECOND)
    assert (told.running, len(told.reports)) == (False, 1), "reset"


def test_a_command_on_a_host_with_an_offline_does_not_wait() -> None:
    found = stuck()
    assert quietly(found, 6 * SECOND)
    end = np.array([order(6 * SECOND, Do.END, 0, 0)], np.int64)
    told = found.advance(end, 7 * SECOND)
    assert not found._waiting
    assert (told.running, len(told.reports)) == (False, 1), "nothing is pinned any more"


@pytest.mark.parametrize("arm", ["pin-in-place+unbounded", "pin-in-place+timeout"])
def test_offlines_that_repeat_themselves_leave_the_same_rows(tmp_path: Path, arm: str) -> None:
    plan, scenario = small.busy_plan(), small.scenario()
    world = replace(small.world(plan, scenario, arm), costs=CostModel().vector())
    expected = digests(run_files(tmp_path / "a", world, scenario))
    crew, waited = ManySquads([[*range(5)], [*range(5, 16)]], leisure=1), []
    left = Squad._left

    def noting(squad: Squad, machine: Machine, *rest: Any) -> Any:
        found = left(squad, machine, *rest)
        waited.append(found is not None and machine.running)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Squad, "_left", noting)
        assert digests(run_files(tmp_path / "b", world, scenario, crew)) == expected
    assert crew.promising
    assert sum(waited) > 50


def test_an_offline_that_returns_although_it_should_repeat_itself_breaks_a_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, scenario = small.busy_plan(), small.scenario()
    world = replace(small.world(plan, scenario), costs=CostModel().vector())
    expected = digests(run_files(tmp_path / "a", world, scenario))
    monkeypatch.setattr(Machine, "repeats_until_ns", MANY)
    crew = ManySquads([[*range(5)], [*range(5, 16)]])
    assert digests(run_files(tmp_path / "b", world, scenario, crew)) == expected


def test_a_workload_for_another_boot_does_not_wait() -> None:
    found = squad({"pages": 64})
    told = found.advance(np.array([order(2 * SECOND, Do.PLACE, 0, 0, 1)], np.int64), 3 * SECOND)
    assert len(told.reports) == 1, "not placed"
    assert waits(squad({"pages": 64}), 0, boot=0)


def test_a_squad_owes_a_limited_number_of_workloads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.run.squad.MOST_PROMISED", 2)
    found = squad(*[{"pages": 16}] * 5)
    for workload, owed in enumerate((1, 2, 0, 1, 2)):  # with the third all of them are done
        place(found, workload)
        assert found._promised == owed
    assert MOST_PROMISED > 2


def crowded() -> tuple[World, Any]:
    """Two hosts that the ledger takes for twice as large as they are: some workload is killed."""
    work = [{"pages": 130, "touched_pages": 130, "arrival_ns": (5 + i) * SECOND} for i in range(10)]
    plan = small.plan(2, work)
    large = replace(plan.hosts, memory_pages=2 * plan.hosts.memory_pages)
    return small.world(replace(plan, hosts=large), small.scenario()), small.scenario()


def test_hosts_that_run_short_promise_nothing(tmp_path: Path) -> None:
    """As they are, crowded hosts see it coming: nothing has to be repeated."""
    crew = ManySquads([[0], [1]])
    assert digests(run_files(tmp_path / "b", *crowded(), crew)) == digests(
        run_files(tmp_path / "a", *crowded())
    )
    assert crew.promising


def test_a_broken_promise_is_repeated_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = digests(run_files(tmp_path / "a", *crowded()))
    monkeypatch.setattr(Machine, "spare_pages", MANY)
    crew = ManySquads([[0], [1]])
    assert digests(run_files(tmp_path / "b", *crowded(), crew)) == expected
    assert not crew.promising, "a promise was broken"


@pytest.mark.ray
def test_actors_break_promises_too(tmp_path: Path) -> None:
    import ray

    def blind(_: Any) -> None:
        from fleet.run.machine import Machine

        Machine.spare_pages = 1 << 40  # type: ignore[assignment, method-assign]

    world, scenario = crowded()
    world = replace(world, engine="reference")
    expected = digests(run_files(tmp_path / "a", world, scenario))
    with ray_session(None, 2):
        crew = ActorCrew([[0], [1]], lambda _: None)
        try:
            for member in crew._members:
                ray.get(member.handle.__ray_call__.remote(blind))
            assert digests(run_files(tmp_path / "b", world, scenario, crew)) == expected
            assert not crew._promising, "a promise was broken"
        finally:
            crew.close()
