"""Squads as Ray actors: one message per window and actor, quiet actors skipped.

An actor never writes files and is never restarted by Ray. When one is lost, a new one carries out
the same calls in the same windows; what it reports and logs again is known already and dropped.
"""

import contextlib
import gc
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from fleet.errors import InputError, RunError
from fleet.run.coordinator import Entered
from fleet.run.crews import joined
from fleet.run.dealing import Deal
from fleet.run.digest import code_digest
from fleet.run.line import Exchange, Line, dial, ready
from fleet.run.messages import EVERY_HOST, HOST, Orders, Report, orders_of
from fleet.run.squad import Fetched, Squad, Told
from fleet.run.world import World

MAX_LOSSES = 8
"""Losses of one actor in one unit before the run fails: its machine is not fit for it."""

LOOK_EACH = 100_000
"""New objects after which an actor looks for cycles, which it hardly makes (700 by default)."""

PATIENCE_S = 10.0
"""How long Ray may take to see that an actor, whose line is dead, is gone; then we end it."""


class SquadActor:
    """What runs in the actor's process."""

    def begin(self, hosts: list[int], world: World, promising: bool) -> None:
        """Take up hosts."""
        self._squad = Squad(hosts, world, promising=promising)

    def serve(self, host: str, port: int, token: bytes) -> None:
        """Answer calls over a line until the coordinator hangs up.

        A call is a name and arguments, an answer what the call returned, in order. Between calls
        the squad does what can wait.
        """
        gc.set_threshold(LOOK_EACH)
        line = dial(host, port, token)
        try:
            while True:
                while not line.waits() and self._work():
                    continue
                try:
                    method, arguments = line.receive()
                except ConnectionResetError:
                    return
                line.send(self._answer(method, arguments))
        finally:
            line.close()

    def _work(self) -> bool:
        squad = getattr(self, "_squad", None)
        return squad is not None and (squad.work() or squad.prepare())

    def _answer(self, method: str, arguments: tuple[Any, ...]) -> Any:
        if method == "digest":
            return code_digest()
        return getattr(self._squad, method)(*arguments)


class _Member:
    """One actor and the log of calls that could rebuild it.

    Attributes
    ----------
    hosts : list of int
        It has, or is sure to get.
    log : list
        Calls since the unit began.
    answered, stale : int
        Answers received; answers of a new actor to calls that the old one had answered.
    unread, asked : int
        Windows posted, and rows asked for, whose answers have not come.
    fetched : deque
        Rows that have come.
    """

    def __init__(self, hosts: list[int]) -> None:
        self.hosts = hosts
        self.handle: Any = None
        self.task: Any = None
        self.line: Line | None = None
        self.losses = 0
        self.forget()

    def forget(self) -> None:
        """Begin a new unit."""
        self.running, self.waiting_rows, self.done_ns, self.losses = False, 0, 0, 0
        self.log: list[tuple[str, tuple[Any, ...]]] = []
        self.answered = self.stale = self.unread = self.asked = 0
        self.fetched: deque[Fetched] = deque()

    def hang_up(self) -> None:
        """Close the line."""
        if self.line is not None:
            self.line.close()
            self.line = None


class ActorCrew:
    """Hosts in Ray actors, behind the face of ``coordinator.Crew``.

    Parameters
    ----------
    shares : list of list of int
        Hosts of each actor (``dealing.divide``).
    notice : callable
        Takes one line when an actor is lost.
    fixed : bool
        Whether each actor runs just its share, whoever is quicker (``dealing.Deal``).
    """

    def __init__(
        self, shares: list[list[int]], notice: Callable[[str], None], *, fixed: bool = False
    ) -> None:
        import ray
        from ray.exceptions import OutOfMemoryError, RayActorError

        self._ray, self._notice = ray, notice
        self._world: Any = None
        self._promising = True
        self._loss = (RayActorError, OutOfMemoryError)
        options = {"num_cpus": 0, "max_restarts": 0, "max_task_retries": 0, "max_concurrency": 2}
        self._actor = ray.remote(SquadActor).options(**options)
        self._exchange = Exchange(ray.util.get_node_ip_address())
        self._shares, self._fixed = shares, fixed
        self._members = [_Member(hosts) for hosts in shares]
        self._owner = np.zeros(max((max(hosts) for hosts in shares), default=0) + 1, np.int64)
        self._deal: Deal | None = None
        self._entered: Entered = lambda _: None
        self._windows: deque[list[_Member]] = deque()
        self._early: list[Report] = []
        self._hire(self._members)
        self._check_code()

    def _check_code(self) -> None:
        """Refuse workers that would run other code than this process (InputError)."""
        if any(digest != code_digest() for digest in self._ask("digest")):
            self.close()
            raise InputError(
                "would run other code than this command: install the same version on every node,"
                " run from a folder without modules named engine, fleet, policies or queries",
                where="Ray workers",
            )

    # -- the face of a crew ---------------------------------------------------------------------

    def begin(self, world: World, entered: Entered = lambda _: None) -> None:
        """See ``coordinator.Crew``."""
        self._world, self._entered = self._ray.put(world), entered
        self._windows.clear()
        self._early = []
        pages = world.plan.hosts.memory_pages.tolist()
        self._deal = Deal(self._shares, pages, fixed=self._fixed)
        for index, member in enumerate(self._members):
            member.forget()
            member.hosts = self._deal.own(index)
        self._take_up(self._members)
        for member in self._members:  # from then on they go on by themselves
            self._send(member, "prepare", ())

    @property
    def running(self) -> bool:
        """Whether an offline was running anywhere at the end of the last window heard."""
        return any(member.running for member in self._members)

    @property
    def waiting_rows(self) -> int:
        """Rows not fetched yet, as last heard."""
        return sum(member.waiting_rows for member in self._members)

    @property
    def done_ns(self) -> int:
        """Up to when everything was done, as last heard."""
        return min(member.done_ns for member in self._members)

    def post(self, orders: Orders, until_ns: int) -> None:
        """See ``coordinator.Crew``; members without commands or offlines are left alone."""
        hosts = orders[:, HOST]
        common = hosts == EVERY_HOST
        if (deal := self._take_deal()) is not None:
            self._post_first(deal, orders, until_ns)
            return
        owner = np.where(common, -1, self._owner[hosts])
        active = []
        for index, member in enumerate(self._members):
            mine = (owner == index) | common
            if member.unread or member.running or mine.any():
                self._send(member, "advance", (orders[mine], until_ns))
                member.unread += 1
                active.append(member)
        self._windows.append(active)

    def _take_deal(self) -> Deal | None:
        """Return what deals out hosts, once in a unit, when actors have begun to prepare theirs."""
        deal, self._deal = self._deal, None
        for member in self._members if deal is not None else ():
            self._receive(member)
        return deal

    def _post_first(self, deal: Deal, orders: Orders, until_ns: int) -> None:
        """Post the first window: hosts are dealt out, and it is over, when this returns.

        While an actor that was lost repeats what it had, the others get no more.
        """
        entering, entered = {index: deal.more(index) for index in range(len(self._members))}, 0
        for index, hosts in entering.items():
            self._enter(index, hosts, orders, until_ns)
        while entering:
            for index in self._answering(entering):
                self._early += self._told(self._members[index]).reports
                entered += len(entering.pop(index))
                self._entered(entered)
                if hosts := deal.more(index):
                    entering[index] = hosts
                    self._enter(index, hosts, orders, until_ns)
        self._windows.append([])

    def _enter(self, index: int, hosts: list[int], orders: Orders, until_ns: int) -> None:
        """Give an actor hosts and their first window."""
        member = self._members[index]
        member.hosts = sorted({*member.hosts, *hosts})
        self._owner[hosts] = index
        self._send(member, "enter", (hosts, orders_of(hosts, orders), until_ns))

    def _answering(self, indices: Iterable[int]) -> list[int]:
        """Wait until something comes of some members, or one is lost; return which."""
        lines = {index: self._members[index].line for index in indices}
        lost = [index for index, line in lines.items() if line is None]
        ready_ones = [] if lost else ready([line for line in lines.values() if line is not None])
        return lost or [index for index, line in lines.items() if line in ready_ones]

    def hear(self) -> list[Report]:
        """See ``coordinator.Crew``."""
        reports, self._early = self._early, []
        for member in self._windows.popleft():
            reports += self._told(member).reports
            member.unread -= 1
        return reports

    def _told(self, member: _Member) -> Told:
        """Wait for what a member says after a window, and note how far it is."""
        told: Told = self._receive(member)
        member.running, member.done_ns = told.running, told.done_ns
        member.waiting_rows = 0 if member.asked else told.waiting_rows
        return told

    def ask(self, until_ns: int) -> None:
        """See ``coordinator.Crew``."""
        for member in self._members:
            self._send(member, "collect", (until_ns,))
            member.asked += 1
            member.waiting_rows = 0

    def wait(self) -> None:
        """See ``coordinator.Crew``."""
        for member in self._members:
            while member.asked:
                self._fetch(member, self._answer(member))

    def fetched(self) -> list[Fetched]:
        """See ``coordinator.Crew``: what all members have answered."""
        for member in self._members:
            while member.asked and self._has_answered(member):
                self._fetch(member, self._answer(member))
        complete = min(len(member.fetched) for member in self._members)
        return [joined([m.fetched.popleft() for m in self._members]) for _ in range(complete)]

    def _has_answered(self, member: _Member) -> bool:
        """Whether rows are there of a member that no window will be heard from."""
        return not member.unread and member.line is not None and member.line.waits()

    def _fetch(self, member: _Member, fetched: Fetched) -> None:
        """Keep rows that have come."""
        member.fetched.append(fetched)
        member.asked -= 1

    def finish(self, horizon_ns: int) -> None:
        """See ``coordinator.Crew``."""
        self._take_deal()  # no window was posted when there is one
        self._ask("finish", horizon_ns)

    def distrust(self) -> None:
        """See ``coordinator.Crew``: all begin anew, whatever they are at."""
        self._promising = False
        for member in self._members:
            self._dismiss(member)
        self._hire(self._members)

    def close(self) -> None:
        """End the actors' processes."""
        self._exchange.close()
        for member in self._members:
            self._dismiss(member)

    def _dismiss(self, member: _Member) -> None:
        member.hang_up()
        self._ray.kill(member.handle)

    # -- calls ----------------------------------------------------------------------------------

    def _ask(self, method: str, *arguments: Any) -> list[Any]:
        """Call all members side by side; no window may be under way."""
        for member in self._members:
            self._send(member, method, arguments)
        return [self._receive(member) for member in self._members]

    def _send(self, member: _Member, method: str, arguments: tuple[Any, ...]) -> None:
        """Send one call; a lost actor is noticed when its answer is wanted."""
        member.log.append((method, arguments))
        self._try_send(member, method, arguments)

    def _try_send(self, member: _Member, method: str, arguments: tuple[Any, ...]) -> None:
        try:
            if member.line is not None:
                member.line.send((method, arguments))
        except OSError:
            member.hang_up()

    def _receive(self, member: _Member) -> Any:
        """Wait for an answer to anything but a question for rows; theirs come on the way."""
        while isinstance(answer := self._answer(member), Fetched):
            self._fetch(member, answer)
        return answer

    def _answer(self, member: _Member) -> Any:
        """Wait for the next answer; rebuild the actor as often as it takes."""
        while True:
            try:
                while member.line is not None:
                    answer = member.line.receive()
                    if not member.stale:
                        member.answered += 1
                        return answer
                    member.stale -= 1
            except OSError:
                member.hang_up()
            self._rebuild(member)

    # -- actors that come and go ----------------------------------------------------------------

    def _hire(self, members: Sequence[_Member]) -> None:
        """Start actors side by side and have them dial in; one lost already gets no line."""
        tokens = []
        for member in members:
            number = self._exchange.number()
            member.handle = self._actor.remote()
            member.task = member.handle.serve.remote(*number)
            tokens.append(number[2])
        for member, token in zip(members, tokens, strict=True):
            while member.line is None and not self._over(member, 0):
                with contextlib.suppress(TimeoutError):
                    member.line = self._exchange.connect(token)

    def _over(self, member: _Member, wait_s: float) -> bool:
        """Whether an actor has stopped serving."""
        return bool(self._ray.wait([member.task], timeout=wait_s)[0])

    def _take_up(self, members: Sequence[_Member]) -> None:
        """Have actors take up their hosts, side by side; one that is lost is noticed later."""
        world, promising = self._world, self._promising
        tasks = [member.handle.begin.remote(member.hosts, world, promising) for member in members]
        for member, task in zip(members, tasks, strict=True):
            try:
                self._ray.get(task)
            except self._loss:
                member.hang_up()

    def _rebuild(self, member: _Member) -> None:
        """Start a new actor and have it repeat every call."""
        self._find_out_why(member)
        member.losses += 1
        count = len(member.hosts)
        if member.losses > MAX_LOSSES:
            raise RunError(f"an actor (hosts: {count}) was lost {member.losses} times")
        self._notice(f"an actor was lost; repeating its hosts ({count}) from their commands")
        self._hire([member])
        if self._world is not None:
            self._take_up([member])
        member.stale = member.answered
        for method, arguments in member.log:
            self._try_send(member, method, arguments)

    def _find_out_why(self, member: _Member) -> None:
        """Raise what an actor failed with; nothing when it was lost."""
        if not self._over(member, PATIENCE_S):
            self._ray.kill(member.handle)
        try:
            self._ray.get(member.task)
        except self._loss:
            return
