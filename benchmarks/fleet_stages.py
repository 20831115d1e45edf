"""A run of the real fleet that says when its hosts were aged.

``python -m benchmarks.fleet_stages ARM ACTORS OUT SET...`` does what ``fleet simulate real-fleet``
does and prints one line of JSON (ACTORS 0: no Ray). A host ages when it is first told something,
residents come next, so all are aged and full once the fleet's clock is past its first minute.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.process_tree import Usage, measure
from fleet.run.coordinator import Progress
from fleet.run.progress import Talk
from fleet.run.runner import Settings, simulate
from fleet.scenario.load import load_scenario

ROOT = Path(__file__).resolve().parents[1]
FIRST_NS = 60 * 10**9


class Clock(Talk):
    """Notes when the fleet's clock passes the first minute."""

    def __init__(self) -> None:
        super().__init__(quiet=True, live=False)
        self.start_s = time.perf_counter()
        self.aged_s = 0.0

    def tell(self, progress: Progress) -> None:
        """See ``Talk``."""
        if not self.aged_s and progress.now_ns > FIRST_NS:
            self.aged_s = time.perf_counter() - self.start_s


def main(arm: str, actors: int, out: Path, sets: list[str]) -> dict[str, float]:
    """Run it and return when hosts were aged, seconds of wall time from the start."""
    clock = Clock()
    scenario = load_scenario("real-fleet", sets, {"--arms": ("arms", [arm])})
    settings = Settings(out=out, actors=actors or None, inline=not actors)
    simulate(scenario, settings, clock)
    return {"aged_s": clock.aged_s}


def staged(arm: str, actors: int, out: Path, settings: Sequence[str]) -> Usage:
    """Run this module in a process of its own and return what it took.

    Raises
    ------
    RuntimeError
        When it fails, with what it said.
    """
    command = [sys.executable, "-m", "benchmarks.fleet_stages", arm, str(actors), str(out)]
    usage = measure([*command, *settings], ROOT)
    if usage.exit_code:
        raise RuntimeError(f"{arm}, {actors} actors: {usage.output}")
    return usage


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])))
