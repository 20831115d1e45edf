"""How many replications a run takes: as many as the scenario says, or until they are enough.

A run that grows runs all arms of a replication before the next one begins. Whether the first n
replications are enough depends on them alone, so a run that was interrupted ends with the same n
and the same bytes.
"""

from collections.abc import Iterator, Mapping

from fleet.log.folder import RunFolder
from fleet.log.records import Unit
from fleet.run.looks import Enough, Look
from fleet.scenario.scenario import Scenario


class Growing:
    """The units a run still has to run.

    Parameters
    ----------
    scenario : Scenario
    folder : RunFolder
        Its run folder; the units that are committed there need not be run.
    enough : callable or None
        The rule of a scenario with ``until_ci`` (ValueError without one).

    Attributes
    ----------
    replications : int
        How many the run has come to; final when ``units`` has ended.
    """

    def __init__(self, scenario: Scenario, folder: RunFolder, enough: Enough | None) -> None:
        if scenario.until_ci is not None and enough is None:
            raise ValueError("a scenario with until_ci needs a rule that says when it is enough")
        self._scenario, self._folder, self._enough = scenario, folder, enough
        self.replications = scenario.replications

    def units(self) -> Iterator[Unit]:
        """Yield the units to run; each must be committed before the next is asked for."""
        missing = self._folder.missing
        if self._scenario.until_ci is None or self._enough is None:
            yield from missing
            return
        arms = list(dict.fromkeys(arm for arm, _ in self._folder.units))
        needed, looks = set(missing), list[Mapping[str, Look]]()
        for rep in range(self._scenario.until_ci.limit):
            yield from [(arm, rep) for arm in arms if (arm, rep) in needed]
            looks.append({arm: self._look(arm, rep) for arm in arms})
            self.replications = rep + 1
            if self.replications >= self._scenario.replications and self._enough(looks):
                return

    def _look(self, arm: str, rep: int) -> Look:
        """Return the look of a committed unit."""
        return Look.from_json(self._folder.info(arm, rep)["tally"]["look"])
