"""Squads as Ray actors: one call per window and actor, quiet actors skipped.

An actor never writes files and is never restarted by Ray. When one is lost, a new one carries out
the same commands in the same windows; what it reports and logs again is known already and dropped.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from fleet.errors import InputError, RunError
from fleet.run.columns import Batch
from fleet.run.crews import joined
from fleet.run.digest import code_digest
from fleet.run.messages import EVERY_HOST, SHARD_HOSTS, Command, Report
from fleet.run.squad import Squad, Told
from fleet.run.world import World

MAX_LOSSES = 8
"""Losses of one actor in one unit before the run fails: its machine is not fit for it."""


def divide(hosts: int, actors: int, hosts_per_actor: int | None = None) -> list[list[int]]:
    """Return which hosts each actor runs.

    Whole shards in turn, or consecutive hosts when ``hosts_per_actor`` is given.
    """
    if hosts_per_actor is not None:
        return [
            list(range(first, min(first + hosts_per_actor, hosts)))
            for first in range(0, hosts, hosts_per_actor)
        ]
    shards = -(-hosts // SHARD_HOSTS)
    count = min(actors, shards)
    if count < actors:
        return _parts(hosts, min(actors, hosts))
    squads: list[list[int]] = [[] for _ in range(count)]
    for host in range(hosts):
        squads[host // SHARD_HOSTS % count].append(host)
    return squads


def _parts(hosts: int, count: int) -> list[list[int]]:
    """Divide hosts into consecutive parts of nearly equal size."""
    ends = [hosts * part // count for part in range(count + 1)]
    return [list(range(a, b)) for a, b in pairwise(ends)]


class SquadActor:
    """What runs in the actor's process."""

    def digest(self) -> str:
        """Return the digest of the code that runs here."""
        return code_digest()

    def begin(self, hosts: list[int], world: World) -> None:
        """Take up hosts."""
        self._squad = Squad(hosts, world)

    def advance(self, commands: Sequence[Command], until_ns: int) -> Told:
        """See ``Squad.advance``."""
        return self._squad.advance(commands, until_ns)

    def collect(self, until_ns: int) -> list[Batch]:
        """See ``Squad.collect``."""
        return self._squad.collect(until_ns)

    def finish(self, horizon_ns: int) -> None:
        """See ``Squad.finish``."""
        self._squad.finish(horizon_ns)


class _Member:
    """One actor and the log of calls that could rebuild it."""

    def __init__(self, hosts: list[int]) -> None:
        self.hosts = hosts
        self.handle: Any = None
        self.running, self.waiting_rows = False, 0
        self.log: list[tuple[str, tuple[Any, ...]]] = []
        self.losses = 0


class ActorCrew:
    """Hosts in Ray actors, behind the face of ``coordinator.Crew``.

    Parameters
    ----------
    squads : list of list of int
        Hosts of each actor (``divide``).
    notice : callable
        Takes one line when an actor is lost.
    """

    def __init__(self, squads: list[list[int]], notice: Callable[[str], None]) -> None:
        import ray
        from ray.exceptions import OutOfMemoryError, RayActorError

        self._ray, self._notice = ray, notice
        self._world: Any = None
        self._loss = (RayActorError, OutOfMemoryError)
        options = {"num_cpus": 0, "max_restarts": 0, "max_task_retries": 0}
        self._actor = ray.remote(SquadActor).options(**options)
        self._members = [_Member(hosts) for hosts in squads]
        self._of = {host: member for member in self._members for host in member.hosts}
        for member in self._members:
            member.handle = self._actor.remote()
        self._check_code()

    def _check_code(self) -> None:
        """Refuse workers that would run other code than this process (InputError)."""
        digests = self._call([(member, "digest", ()) for member in self._members])
        if any(digest != code_digest() for digest in digests):
            raise InputError(
                "would run other code than this command: install the same version on every node,"
                " run from a folder without modules named engine, fleet, policies or queries",
                where="Ray workers",
            )

    # -- the face of a crew ---------------------------------------------------------------------

    def begin(self, world: World) -> None:
        """See ``coordinator.Crew``."""
        self._world = self._ray.put(world)
        for member in self._members:
            member.log, member.losses = [], 0
            member.running, member.waiting_rows = False, 0
        self._call([(m, "begin", (m.hosts, self._world)) for m in self._members])

    @property
    def running(self) -> bool:
        """Whether an offline is running anywhere."""
        return any(member.running for member in self._members)

    @property
    def waiting_rows(self) -> int:
        """Rows not fetched yet."""
        return sum(member.waiting_rows for member in self._members)

    def advance(self, commands: list[Command], until_ns: int) -> list[Report]:
        """See ``coordinator.Crew``; members without commands or offlines are left alone."""
        mine: dict[int, list[Command]] = {id(m): [] for m in self._members if m.running}
        for command in commands:
            asked = self._members if command[2] == EVERY_HOST else [self._of[command[2]]]
            for member in asked:
                mine.setdefault(id(member), []).append(command)
        active = [member for member in self._members if id(member) in mine]
        told = self._call([(m, "advance", (mine[id(m)], until_ns)) for m in active])
        reports: list[Report] = []
        for member, (said, running, waiting_rows) in zip(active, told, strict=True):
            member.running, member.waiting_rows = running, waiting_rows
            reports += said
        return reports

    def collect(self, until_ns: int) -> list[Batch]:
        """See ``coordinator.Crew``."""
        found = self._call([(m, "collect", (until_ns,)) for m in self._members])
        for member in self._members:
            member.waiting_rows = 0
        return joined(batch for batches in found for batch in batches)

    def finish(self, horizon_ns: int) -> None:
        """See ``coordinator.Crew``."""
        self._call([(m, "finish", (horizon_ns,)) for m in self._members])

    def close(self) -> None:
        """End the actors' processes."""
        for member in self._members:
            self._ray.kill(member.handle)

    # -- calls and losses -----------------------------------------------------------------------

    def _call(self, calls: list[tuple[_Member, str, tuple[Any, ...]]]) -> list[Any]:
        """Call members side by side; return their answers in the order of ``calls``."""
        pending = []
        for member, method, arguments in calls:
            member.log.append((method, arguments))
            pending.append(self._send(member, method, arguments))
        return [self._get(call[0], answer) for call, answer in zip(calls, pending, strict=True)]

    def _send(self, member: _Member, method: str, arguments: tuple[Any, ...]) -> Any:
        """Send one call; None when the actor is known to be gone."""
        try:
            return getattr(member.handle, method).remote(*arguments)
        except self._loss:
            return None

    def _get(self, member: _Member, answer: Any) -> Any:
        """Wait for an answer; rebuild the actor as often as it takes."""
        while True:
            try:
                if answer is not None:
                    return self._ray.get(answer)
            except self._loss:
                answer = None
            if answer is None:
                answer = self._rebuild(member)

    def _rebuild(self, member: _Member) -> Any:
        """Start a new actor and have it repeat every call; returns the last answer, pending."""
        member.losses += 1
        span = f"hosts {member.hosts[0]} to {member.hosts[-1]}"
        if member.losses > MAX_LOSSES:
            raise RunError(f"the actor of {span} was lost {member.losses} times")
        self._notice(f"an actor was lost; repeating {span} from their commands")
        member.handle = self._actor.remote()
        answer = None
        for method, arguments in member.log:
            answer = self._send(member, method, arguments)
        return answer
