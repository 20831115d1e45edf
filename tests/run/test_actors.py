"""The same bytes from Ray actors, also when one is killed; and from a cluster of two nodes."""

import itertools
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.errors import InputError
from fleet.run import actors
from fleet.run.actors import ActorCrew
from fleet.run.cluster import ray_session
from fleet.run.dealing import divide
from tests.run import small
from tests.run.harness import digests, run_files

HOSTS = 16
EQUAL = [1] * HOSTS


@pytest.fixture(scope="module")
def session() -> Iterator[None]:
    """One cluster of two raylets for all tests here, used through its address."""
    from ray.cluster_utils import Cluster

    args = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=args)
    cluster.add_node(num_cpus=2, object_store_memory=100 * 2**20)
    try:
        with ray_session(cluster.address, 2):
            yield
    finally:
        cluster.shutdown()


def world_of(nr_hosts: int = HOSTS) -> tuple[Any, Any]:
    """A busy fleet on the reference: an actor would have to load what is compiled first."""
    scenario = small.scenario(samples="60s")
    plan = small.busy_plan(nr_hosts, 120 * nr_hosts // HOSTS)
    world = small.world(plan, scenario, "pin-in-place+timeout-5s")
    return replace(world, engine="reference"), scenario


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return digests(run_files(tmp_path_factory.mktemp("inline"), *world_of()))


@pytest.mark.ray
@pytest.mark.parametrize(
    "squads",
    [
        pytest.param(divide(EQUAL, 2), id="two"),
        pytest.param(divide(EQUAL, 1), id="one", marks=pytest.mark.slow),
        pytest.param(divide(EQUAL, 4), id="four", marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("session")
def test_actors_never_change_a_byte(
    squads: list[list[int]], expected: dict[str, str], tmp_path: Path
) -> None:
    assert digests_by_actors(squads, tmp_path) == expected


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("session")
def test_actors_of_one_host_each_never_change_a_byte(tmp_path: Path) -> None:
    """On fewer hosts: each is a process. ``test_aged`` divides sixteen of them in one process."""
    alone = digests(run_files(tmp_path / "inline", *world_of(4)))
    assert digests_by_actors(divide(EQUAL[:4], 0, 1), tmp_path / "actors") == alone


def digests_by_actors(squads: list[list[int]], folder: Path) -> dict[str, str]:
    """Digests of the files that one actor for each squad writes; none may be lost."""
    lost: list[str] = []
    crew = ActorCrew(squads, lost.append)
    try:
        found = digests(run_files(folder, *world_of(sum(map(len, squads))), crew))
    finally:
        crew.close()
    assert lost == []
    return found


def kill(crew: ActorCrew, index: int) -> None:
    """End the process of an actor, as a machine that runs out of memory does."""
    import ray

    pid = ray.get(crew._members[index].handle.__ray_call__.remote(lambda _: os.getpid()))
    os.kill(pid, signal.SIGKILL)


def kill_before(monkeypatch: pytest.MonkeyPatch, crew: ActorCrew, victims: dict[int, int]) -> None:
    """Have actors killed before some windows are posted; which one, by the window's number."""
    plain, windows = crew.post, itertools.count(1)

    def post(orders: Any, until_ns: int) -> None:
        victim = victims.get(next(windows))
        if victim is not None:
            kill(crew, victim)
        plain(orders, until_ns)

    monkeypatch.setattr(crew, "post", post)


@pytest.mark.ray
@pytest.mark.usefixtures("session")
def test_killed_actors_are_repeated(
    expected: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("fleet.run.coordinator.FLUSH_ROWS", 100)
    lost: list[str] = []
    crew = ActorCrew(divide(EQUAL, 2), lost.append)
    kill_before(monkeypatch, crew, {30: 0, 90: 1})
    try:
        assert digests(run_files(tmp_path, *world_of(), crew)) == expected
    finally:
        crew.close()
    said = r"an actor was lost; repeating its hosts \((\d+)\) from their commands"
    hosts = [int(found[1]) for line in lost if (found := re.fullmatch(said, line))]
    assert len(hosts) == 2
    assert sum(hosts) == HOSTS, "all hosts belong to somebody, whoever got them"
    assert capfd.readouterr().err == "", "no foreign lines"


@pytest.mark.ray
@pytest.mark.usefixtures("session")
def test_an_actor_killed_while_hosts_are_dealt_out_is_repeated(
    expected: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[str] = []
    crew = ActorCrew(divide(EQUAL, 2), lost.append)
    plain, pieces = crew._enter, 0

    def enter(index: int, hosts: list[int], orders: Any, until_ns: int) -> None:
        nonlocal pieces
        pieces += 1
        if pieces == 4:
            kill(crew, index)
        plain(index, hosts, orders, until_ns)

    monkeypatch.setattr(crew, "_enter", enter)
    try:
        assert digests(run_files(tmp_path, *world_of(), crew)) == expected
    finally:
        crew.close()
    assert len(lost) == 1
    assert pieces == HOSTS, "host by host"


class Robbery:
    """Deals so that the second actor takes all but one host of the first one."""

    def __init__(self, shares: list[list[int]], _: list[int], *, fixed: bool) -> None:
        assert not fixed
        self._turns = [[[0]], [[host] for host in (*shares[1], *reversed(shares[0][1:]))]]

    def own(self, actor: int) -> list[int]:
        return self._turns[actor][0]

    def more(self, actor: int) -> list[int]:
        return self._turns[actor].pop(0) if self._turns[actor] else []


@pytest.mark.ray
@pytest.mark.usefixtures("session")
def test_an_actor_repeats_what_it_took_from_others(
    expected: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actors, "Deal", Robbery)
    lost: list[str] = []
    crew = ActorCrew(divide(EQUAL, 2), lost.append)
    kill_before(monkeypatch, crew, {1: 0, 60: 1})  # while both prepare; the robber
    try:
        assert digests(run_files(tmp_path, *world_of(), crew)) == expected
        assert [len(member.hosts) for member in crew._members] == [1, HOSTS - 1]
    finally:
        crew.close()
    assert lost == [
        "an actor was lost; repeating its hosts (1) from their commands",
        f"an actor was lost; repeating its hosts ({HOSTS - 1}) from their commands",
    ]


@pytest.mark.ray
@pytest.mark.usefixtures("session")
def test_a_unit_without_windows_ends() -> None:
    crew = ActorCrew(divide(EQUAL, 2), print)
    try:
        crew.begin(world_of()[0])
        crew.finish(10**9)
        crew.ask(10**9 + 1)
        crew.wait()
        assert [(one.batches, one.probed) for one in crew.fetched()] == [([], [])]
    finally:
        crew.close()


@pytest.mark.ray
@pytest.mark.usefixtures("session")
def test_a_worker_with_other_code_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors, "code_digest", lambda: "another")
    with pytest.raises(InputError, match="other code"):
        ActorCrew(divide(EQUAL, 1), print)


@pytest.mark.ray
@pytest.mark.usefixtures("session")
def test_hosts_run_on_both_nodes() -> None:
    import ray

    crew = ActorCrew(divide(EQUAL, 0, 2), print)
    try:
        nodes = {
            ray.get(m.handle.__ray_call__.remote(lambda _: ray.get_runtime_context().get_node_id()))
            for m in crew._members
        }
    finally:
        crew.close()
    assert len(nodes) == 2


@pytest.mark.ray
@pytest.mark.usefixtures("session")
def test_what_an_actor_fails_with_is_not_a_loss() -> None:
    lost: list[str] = []
    crew = ActorCrew(divide(EQUAL, 1), lost.append)
    try:
        with pytest.raises(AttributeError, match="SquadActor"):
            crew._ask("nonsense")
    finally:
        crew.close()
    assert lost == []
