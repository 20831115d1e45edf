"""fleet: a simulator of memory hot-remove in fleets of Linux hosts.

>>> import fleet
>>> run = fleet.simulate("quickstart")  # doctest: +SKIP
>>> run.sql("SELECT arm, count(*) AS pins FROM pins GROUP BY arm").df()  # doctest: +SKIP

The names below are those of ``fleet.api``, loaded when they are used: the command line starts
without them.
"""

from typing import TYPE_CHECKING, Any

from fleet.errors import FleetError, InputError, RunError

if TYPE_CHECKING:
    from fleet.api import Answer, Run, list_runs, load_scenario, open_run, simulate

__all__ = [
    "Answer", "FleetError", "InputError", "Run", "RunError", "list_runs", "load_scenario",
    "open_run", "simulate",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load a name of ``fleet.api`` (AttributeError for others)."""
    if name not in __all__:
        raise AttributeError(f"module 'fleet' has no attribute {name!r}")
    from fleet import api

    return getattr(api, name)
