"""Running a scenario from Python."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.api.run import Run, open_run
from fleet.errors import InputError

if TYPE_CHECKING:
    from fleet.scenario.scenario import Scenario


def load_scenario(
    source: str | Path,
    changes: Mapping[str, object] | None = None,
    *,
    arms: Sequence[str] | None = None,
    seed: int | None = None,
    replications: int | None = None,
) -> "Scenario":
    """Return a validated scenario.

    Parameters
    ----------
    source : str or Path
        Name of a shipped scenario, or a file.
    changes : mapping, optional
        Fields to set, by their dotted path, as the file would write them: ``{"hosts.total": 32,
        "horizon": "2h"}``.
    arms, seed, replications : optional
        Instead of the scenario's.

    Raises
    ------
    InputError
        One line for the first thing that is wrong, with its file, line and column.
    """
    from fleet.scenario import load

    given = {"arms": None if arms is None else list(arms), "seed": seed}
    given["replications"] = replications
    options = {path: (path, value) for path, value in (changes or {}).items()}
    options |= {name: (name, value) for name, value in given.items() if value is not None}
    return load.load_scenario(str(source), (), options)


def simulate(
    scenario: "Scenario | str | Path",
    changes: Mapping[str, object] | None = None,
    *,
    out: str | Path | None = None,
    actors: int | None = None,
    inline: bool = False,
    address: str | None = None,
    resume: bool = False,
    progress: bool = False,
) -> Run:
    """Run a scenario under all its arms and open the run.

    What decides the results is the scenario alone; everything after ``changes`` does not change
    a byte of them. A run that is complete already is opened as it is.

    Parameters
    ----------
    scenario : Scenario, str or Path
        From ``load_scenario``, or what that takes.
    changes : mapping, optional
        As in ``load_scenario``.
    out : str or Path, optional
        Run folder (default: ``runs/<name>-<hash>`` below the working folder).
    actors : int, optional
        Ray actors (default: one per CPU).
    inline : bool
        No Ray: all hosts in this process.
    address : str, optional
        Ray cluster to use.
    resume : bool
        Go on with an interrupted run.
    progress : bool
        Show how far it is, on stderr.

    Raises
    ------
    InputError
        Bad scenario or input file, a plan larger than memory, a folder that holds something else.
    RunError
        A write failed, Ray did not start, an actor was lost again and again.
    """
    from fleet.report.stopping import rule_of
    from fleet.run.progress import Talk
    from fleet.run.runner import Settings
    from fleet.run.runner import simulate as run

    if isinstance(scenario, str | Path):
        scenario = load_scenario(scenario, changes)
    elif changes:
        raise InputError("go with the name or file of a scenario only", where="changes")
    if inline and (actors is not None or address is not None):
        raise InputError("does not go with inline", where="address" if address else "actors")
    folder = Path(out) if out is not None else None
    settings = Settings(folder, actors, None, inline, address, resume)
    with Talk(quiet=not progress) as talk:
        return open_run(run(scenario, settings, talk, rule_of(scenario)).path)
