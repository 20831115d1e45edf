"""What Python programs and notebooks use of fleet; ``import fleet`` offers the same names."""

from fleet.api.answer import Answer
from fleet.api.run import Run, list_runs, open_run
from fleet.api.simulation import load_scenario, simulate

__all__ = ["Answer", "Run", "list_runs", "load_scenario", "open_run", "simulate"]
