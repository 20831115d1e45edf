"""Removal requests: what the controller does about them, and the one outcome of each.

One removal runs on a host at a time, later ones of the host wait in line. The controller takes a
range of blocks that its ledger believes online: the highest one before a reboot (the hot-added
DIMM or persistent memory on top), otherwise one drawn by (request, attempt). A failed attempt is
followed by another after ``retry_delay`` until attempts or deadline are used up. At the deadline
the running offline is signalled; under an armed watchdog nobody signals, the host is reset.

Outcomes:

* ``offlined``: returned 0 by the deadline;
* ``refused``: the last attempt ended with an errno of the kernel's own (unmovable pages, state);
* ``gave_up``: the last attempt was ended by the offline policy (errors, timeout, a pin seen);
* ``stuck``: had not returned at its deadline;
* ``host_down``: its host went down (``reset`` when a watchdog did it because of this request);
* ``withdrawn``: never started: no range or no room by the ledger, or still waiting in line when the
  deadline came too close;
* ``censored``: the end of the run came first.
"""

from dataclasses import dataclass
from enum import IntEnum

from engine.draws import below
from engine.enums import OfflineReason
from fleet.log.tables import NULL
from fleet.plan.draws import Purpose
from fleet.plan.tables import Plan
from fleet.run.desk import Desk, Priority
from fleet.run.ledger import Ledger
from fleet.run.messages import ATTEMPTS_PER_REQUEST, Do
from fleet.run.tenants import Fate, Tenants
from fleet.scenario.demands import Removals, Watchdog

POLICY_ENDS = frozenset(
    {
        OfflineReason.SIGNAL,
        OfflineReason.MAX_ERRORS,
        OfflineReason.TIMEOUT,
        OfflineReason.PIN_SEEN,
    }
)
"""Reasons that are the offline policy's own end of an attempt."""


class Outcome(IntEnum):
    """Outcomes of the ``requests`` table."""

    OFFLINED = 0
    REFUSED = 1
    GAVE_UP = 2
    STUCK = 3
    HOST_DOWN = 4
    WITHDRAWN = 5
    CENSORED = 6


@dataclass(slots=True)
class Removal:
    """What is known of one request; ``NULL`` where there is nothing yet."""

    host: int
    deadline_ns: int
    nr_blocks: int
    first_block: int = NULL
    started_ns: int = NULL
    ended_ns: int = NULL
    outcome: Outcome | None = None
    errno: int = 0
    reason: int = OfflineReason.NONE
    reset: bool = False
    endless: bool = False
    attempts: int = 0
    late: bool = False
    """The deadline has passed while the offline runs on (under a watchdog)."""


class Campaign:
    """The controller of real removals, and the book of all requests.

    Attributes
    ----------
    of : dict
        Request id to ``Removal``.
    table : Requests
        The plan's.
    """

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        desk: Desk,
        tenants: Tenants,
        removals: Removals | None,
        watchdog: Watchdog,
    ) -> None:
        self._plan, self._ledger, self._desk, self._tenants = plan, ledger, desk, tenants
        self._rules, self._watchdog = removals, watchdog
        self.table = plan.requests
        self.of: dict[int, Removal] = {}
        self._busy: dict[int, int] = {}
        self._line: dict[int, list[int]] = {}

    def known(self, request: int) -> Removal:
        """Return the book entry of a request, opening it when it is the first mention."""
        if request not in self.of:
            table = self._plan.requests
            self.of[request] = Removal(
                int(table.host[request]),
                int(table.deadline_ns[request]),
                int(table.nr_blocks[request]),
                int(table.first_block[request]) if table.probe[request] else NULL,
            )
        return self.of[request]

    # -- the life of a request ------------------------------------------------------------------

    def issue(self, now_ns: int, request: int, _: int = 0) -> None:
        """A demand arrives."""
        removal = self.known(request)
        if not self._ledger.up[removal.host]:
            self._end(request, Outcome.HOST_DOWN, now_ns)
        elif removal.host in self._busy:
            self._line.setdefault(removal.host, []).append(request)
        else:
            self._begin(now_ns, request)

    def _begin(self, now_ns: int, request: int) -> None:
        """Its turn on the host has come."""
        self._busy[self.of[request].host] = request
        if not self._attempt(now_ns, request):
            self._withdraw(now_ns, request)

    def _attempt(self, now_ns: int, request: int) -> bool:
        """Choose a range and send the OFFLINE; False when there is no time, range or room."""
        removal, desk = self.of[request], self._desk
        act_ns = now_ns + desk.latency_ns
        first = self._choose(request)
        if act_ns >= removal.deadline_ns or first == NULL:
            return False
        if act_ns >= desk.horizon_ns:
            return True
        attempt = request * ATTEMPTS_PER_REQUEST + removal.attempts
        watched_ns = self._watchdog.timeout_ns if self._watchdog.mechanism == "reboot" else 0
        self._ledger.remove(removal.host, first, removal.nr_blocks)
        boot = int(self._ledger.boots[removal.host])
        range_ = (first, removal.nr_blocks, watched_ns)
        desk.send((act_ns, Do.OFFLINE, removal.host, attempt, *range_, boot))
        self._log(removal, request, "retry" if removal.attempts else "offline", now_ns, first)
        if not removal.attempts:
            removal.started_ns = act_ns
            warn_ns = max(removal.deadline_ns - desk.latency_ns, now_ns)
            desk.at(warn_ns, Priority.TIMER, request, self._near_deadline)
            desk.at(removal.deadline_ns, Priority.TIMER, request, self._at_deadline)
        removal.first_block, removal.attempts = first, removal.attempts + 1
        removal.errno, removal.reason = 0, OfflineReason.RUNNING
        return True

    def _choose(self, request: int) -> int:
        """Return the first block of the range to remove, ``NULL`` when there is none."""
        removal, plan = self.of[request], self._plan
        if not self._ledger.has_room_without(removal.host, removal.nr_blocks):
            return NULL
        ranges = self._ledger.ranges(removal.host, removal.nr_blocks)
        if not ranges:
            return NULL
        if self._rules is not None and self._rules.before_reboot:
            return ranges[-1]
        key = int(plan.requests.key[request])
        place = (plan.seed, plan.replication, key, Purpose.TARGET, removal.attempts)
        return ranges[below(len(ranges), *place)]

    def _withdraw(self, now_ns: int, request: int) -> None:
        removal = self.of[request]
        self._log(removal, request, "withdraw", now_ns, removal.first_block, now_ns)
        self._end(request, Outcome.WITHDRAWN, now_ns)
        self._next(now_ns, removal.host)

    def returned(self, now_ns: int, attempt: int, errno: int, reason: int, endless: int) -> None:
        """An attempt has returned."""
        request = attempt // ATTEMPTS_PER_REQUEST
        removal = self.of[request]
        if removal.outcome is not None:
            return
        removal.errno, removal.reason = errno, reason
        removal.endless = removal.endless or bool(endless)
        if errno:
            self._ledger.restore(removal.host, removal.first_block, removal.nr_blocks)
        signalled = reason == OfflineReason.SIGNAL and now_ns >= removal.deadline_ns
        if signalled or now_ns > removal.deadline_ns:
            self._end(request, Outcome.STUCK, removal.deadline_ns)
        elif errno == 0:
            self._end(request, Outcome.OFFLINED, now_ns)
        elif self._may_retry(now_ns, removal):
            again_ns = now_ns + self._retry_delay_ns
            self._desk.at(again_ns, Priority.TIMER, request, self._again)
            return
        else:
            gave_up = reason in POLICY_ENDS
            self._end(request, Outcome.GAVE_UP if gave_up else Outcome.REFUSED, now_ns)
        if errno == 0 and self._rules is not None and self._rules.before_reboot:
            self._reboot(now_ns, removal.host, request)
        else:
            self._next(now_ns, removal.host)

    def not_begun(self, attempt: int) -> None:
        """An OFFLINE came to a host that was down, or had been: it was no attempt."""
        removal = self.of[attempt // ATTEMPTS_PER_REQUEST]
        removal.attempts -= 1
        if not removal.attempts:
            removal.started_ns, removal.reason = NULL, OfflineReason.NONE

    @property
    def _retry_delay_ns(self) -> int:
        return self._rules.retry_delay_ns if self._rules is not None else 0

    def _may_retry(self, now_ns: int, removal: Removal) -> bool:
        """Whether attempts are left and the next one would start before the deadline."""
        start_ns = now_ns + self._retry_delay_ns + self._desk.latency_ns
        tries = self._rules.attempts if self._rules is not None else 1
        return removal.attempts < tries and start_ns < removal.deadline_ns

    def _again(self, now_ns: int, request: int, _: int) -> None:
        """The retry delay is over; without a range the last attempt decides."""
        removal = self.of[request]
        if removal.outcome is None and not self._attempt(now_ns, request):
            gave_up = removal.reason in POLICY_ENDS
            self._end(request, Outcome.GAVE_UP if gave_up else Outcome.REFUSED, now_ns)
            self._next(now_ns, removal.host)

    def _near_deadline(self, now_ns: int, request: int, _: int) -> None:
        """Decide in time to signal at the deadline. Under a watchdog nobody does."""
        removal = self.of[request]
        if removal.outcome is None and self._watchdog.mechanism == "none":
            act_ns = max(removal.deadline_ns, now_ns + self._desk.latency_ns)
            boot = int(self._ledger.boots[removal.host])
            self._desk.send((act_ns, Do.SIGNAL, removal.host, request, 0, 0, 0, boot))

    def _at_deadline(self, now_ns: int, request: int, _: int) -> None:
        """Whatever has not returned now is stuck."""
        removal = self.of[request]
        removal.late = removal.outcome is None and now_ns >= removal.deadline_ns

    def _next(self, now_ns: int, host: int) -> None:
        """The host is free for the next request in line."""
        self._busy.pop(host, None)
        line = self._line.get(host)
        if line:
            self._begin(now_ns, line.pop(0))

    def _end(self, request: int, outcome: Outcome, now_ns: int) -> None:
        removal = self.of[request]
        assert removal.outcome is None, f"request {request} already {removal.outcome}"
        removal.outcome, removal.ended_ns = outcome, now_ns

    def _log(
        self,
        removal: Removal,
        request: int,
        kind: str,
        now_ns: int,
        first: int,
        act_ns: int | None = None,
    ) -> None:
        self._desk.log(
            kind,
            now_ns,
            now_ns + self._desk.latency_ns if act_ns is None else act_ns,
            removal.host,
            request=request,
            first_block=first,
            nr_blocks=removal.nr_blocks,
        )

    # -- hosts that go down and come back -------------------------------------------------------

    def _reboot(self, now_ns: int, host: int, request: int) -> None:
        """Order the reboot that the removal was made for; the line moves with it."""
        act_ns = now_ns + self._desk.latency_ns
        self._ledger.close(host)
        boot = int(self._ledger.boots[host])
        self._desk.send((act_ns, Do.REBOOT, host, request, 0, 0, 0, boot))
        self._desk.log("reset", now_ns, act_ns, host, request=request)

    def host_rebooted(self, now_ns: int, host: int, away_ns: int) -> None:
        """The ordered reboot begins: workloads wait for their host."""
        self._down(now_ns, host, away_ns, Fate.HOST_RESET, move=False)

    def host_reset(self, now_ns: int, request: int, away_ns: int, endless: int) -> None:
        """A watchdog reset the host because of a request."""
        removal = self.of[request]
        removal.endless = removal.endless or bool(endless)
        if removal.outcome is None:
            removal.reset = True
            late = removal.late or now_ns >= removal.deadline_ns
            ended_ns = removal.deadline_ns if late else now_ns
            self._end(request, Outcome.STUCK if late else Outcome.HOST_DOWN, ended_ns)
        self._down(now_ns, removal.host, away_ns, Fate.HOST_RESET, move=True)

    def host_panicked(self, now_ns: int, host: int, away_ns: int) -> None:
        """A host panicked by itself."""
        request = self._busy.get(host)
        if request is not None and self.of[request].outcome is None:
            self._end(request, Outcome.HOST_DOWN, now_ns)
        self._down(now_ns, host, away_ns, Fate.HOST_PANICKED, move=True)

    def _down(self, now_ns: int, host: int, away_ns: int, fate: Fate, *, move: bool) -> None:
        """Requests in line end, workloads move or wait, the host comes back later."""
        self._busy.pop(host, None)
        for waiting in self._line.pop(host, []):
            self._end(waiting, Outcome.HOST_DOWN, now_ns)
        self._tenants.host_down(now_ns, host, fate, move=move)
        self._desk.at(now_ns + away_ns, Priority.RETURN, host, self._up)

    def _up(self, now_ns: int, host: int, _: int) -> None:
        self._ledger.open(host)
        self._tenants.host_up(now_ns, host)

    # -- probes and the end ---------------------------------------------------------------------

    def probed(
        self, request: int, errno: int, reason: int, endless: int, end_ns: int, down: int
    ) -> None:
        """A probe on a clone of the host has ended: ``end_ns`` -1 when it had not returned."""
        removal = self.known(request)
        issued_ns = int(self._plan.requests.time_ns[request])
        removal.errno, removal.reason, removal.endless = errno, reason, bool(endless)
        if down:
            self._end(request, Outcome.HOST_DOWN, issued_ns)
            return
        removal.started_ns, removal.attempts = issued_ns, 1
        if end_ns >= 0:
            ended = Outcome.GAVE_UP if reason in POLICY_ENDS else Outcome.REFUSED
            self._end(request, ended if errno else Outcome.OFFLINED, end_ns)
        elif removal.deadline_ns <= self._desk.horizon_ns:
            self._end(request, Outcome.STUCK, removal.deadline_ns)
        else:
            self._end(request, Outcome.CENSORED, NULL)

    def close(self) -> None:
        """The run is over: what has no outcome is censored, late ones are stuck."""
        for request in range(len(self._plan.requests)):
            removal = self.known(request)
            if removal.outcome is None:
                late = removal.late or removal.deadline_ns <= self._desk.horizon_ns
                if late and removal.attempts:
                    self._end(request, Outcome.STUCK, removal.deadline_ns)
                else:
                    self._end(request, Outcome.CENSORED, NULL)
