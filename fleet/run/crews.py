"""Who runs the hosts: this process alone, or several squads behind one face."""

from collections import deque
from collections.abc import Iterable

from fleet.run.columns import Batch, Matrix, in_order
from fleet.run.coordinator import Entered
from fleet.run.dealing import Deal
from fleet.run.messages import Orders, Report, orders_of
from fleet.run.squad import NOTHING_TOLD, Fetched, Squad, Told
from fleet.run.world import World


class InlineCrew:
    """All hosts in this process (``--inline``)."""

    def __init__(self) -> None:
        self.running, self.waiting_rows, self.done_ns = False, 0, 0

    def begin(self, world: World, entered: Entered = lambda _: None) -> None:
        """See ``coordinator.Crew``."""
        memory_pages = world.plan.hosts.memory_pages.tolist()
        self._squad = Squad([], world)
        self._deal: Deal | None = Deal([range(len(memory_pages))], memory_pages)
        self._entered = entered
        self._told: deque[Told] = deque()
        self._fetched: list[Fetched] = []
        self.running, self.waiting_rows, self.done_ns = False, 0, 0

    def post(self, orders: Orders, until_ns: int) -> None:
        """See ``coordinator.Crew``: the window is run here and now."""
        deal, self._deal = self._deal, None
        if deal is None:
            self._told.append(self._squad.advance(orders, until_ns))
        else:
            self._told.append(self._enter_all(deal, orders, until_ns))

    def _enter_all(self, deal: Deal, orders: Orders, until_ns: int) -> Told:
        """Run the first window, piece by piece."""
        told, reports, entered = NOTHING_TOLD, [], 0
        while hosts := deal.more(0):
            told = self._squad.enter(hosts, orders_of(hosts, orders), until_ns)
            reports += told.reports
            entered += len(hosts)
            self._entered(entered)
        return told._replace(reports=reports)

    def hear(self) -> list[Report]:
        """See ``coordinator.Crew``."""
        reports, self.running, self.waiting_rows, self.done_ns = self._told.popleft()
        return reports

    def ask(self, until_ns: int) -> None:
        """See ``coordinator.Crew``."""
        self.waiting_rows = 0
        self._fetched.append(self._squad.collect(until_ns))

    def wait(self) -> None:
        """See ``coordinator.Crew``: there is nothing to wait for."""

    def fetched(self) -> list[Fetched]:
        """See ``coordinator.Crew``."""
        found, self._fetched = self._fetched, []
        return found

    def finish(self, horizon_ns: int) -> None:
        """See ``coordinator.Crew``."""
        self._squad.finish(horizon_ns)

    def distrust(self) -> None:
        """See ``coordinator.Crew``: nothing is promised here, there is nobody to wait for."""


def joined(fetched: Iterable[Fetched]) -> Fetched:
    """Join what squads gave that share shards: one ordered batch per table and shard."""
    parts: dict[tuple[str, int], list[Matrix]] = {}
    probed: list[Report] = []
    for one in fetched:
        probed += one.probed
        for batch in one.batches:
            parts.setdefault((batch.table, batch.shard), []).append(batch.rows)
    return Fetched([Batch(*key, _joined(parts[key])) for key in sorted(parts)], probed)


def _joined(parts: list[Matrix]) -> Matrix:
    """Join ordered rows; most shards belong to one squad, which has ordered them."""
    return parts[0] if len(parts) == 1 else in_order(parts)
