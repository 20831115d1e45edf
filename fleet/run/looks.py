"""What a run that grows looks at after each replication: the hangs of every arm.

The rule that says whether they are enough comes from above (``fleet.report.stopping``).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.run.campaign import Outcome
from fleet.run.coordinator import Coordinator

WHOLE = -1
"""Host of a removal: what is compared is the replication."""


@dataclass(frozen=True, slots=True)
class Look:
    """The deciding requests of one unit: its probes, or its removals when it has no probes.

    Attributes
    ----------
    requests : dict of int to int
        Requests per host (``WHOLE`` for removals).
    hung : dict of int to int
        Request that hung to its host.
    """

    requests: Mapping[int, int]
    hung: Mapping[int, int]

    def to_json(self) -> dict[str, Any]:
        """Return it as a commit record keeps it."""
        return {"requests": sorted(self.requests.items()), "hung": sorted(self.hung.items())}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Look":
        """Return what a commit record kept."""
        return cls(dict(kept["requests"]), dict(kept["hung"]))


Enough = Callable[[Sequence[Mapping[str, Look]]], bool]
"""Says whether replications, each a look per arm, are enough."""


def look(coordinator: Coordinator) -> Look:
    """Look at a finished unit."""
    probe = coordinator.plan.requests.probe.astype(bool)
    deciding = bool(probe.any())
    removals = {
        request: (removal, removal.host if deciding else WHOLE)
        for request, removal in coordinator.campaign.of.items()
        if bool(probe[request]) == deciding
    }
    hung = {
        request: host
        for request, (removal, host) in removals.items()
        if removal.reset or removal.outcome == Outcome.STUCK
    }
    return Look(Counter(host for _, host in removals.values()), hung)
