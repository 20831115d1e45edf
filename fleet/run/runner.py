"""A whole run: from a scenario to a complete run folder, unit by unit."""

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.costs import cost_model
from fleet.errors import PromiseError, RunError
from fleet.log import paths, records
from fleet.log.folder import RunFolder
from fleet.log.records import Identity
from fleet.plan.build import Inputs, build_plan, read_inputs
from fleet.plan.fingerprint import fingerprint
from fleet.plan.tables import Plan
from fleet.run.coordinator import Crew
from fleet.run.crews import InlineCrew
from fleet.run.digest import code_digest
from fleet.run.growing import Growing
from fleet.run.heap import give_back
from fleet.run.looks import Enough
from fleet.run.progress import Talk
from fleet.run.spools import Spools
from fleet.run.unit import Tally, build_world, run_unit
from fleet.run.world import EngineName
from fleet.scenario.load import hash_input, resolve
from fleet.scenario.own import policies_of
from fleet.scenario.scenario import Scenario
from policies.arms import Arm, parse_arm

RUNS = Path("runs")
"""Where run folders go unless ``--out`` says otherwise."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to run; nothing here changes a byte of the events.

    Attributes
    ----------
    out : Path or None
        Run folder; by default ``runs/<name>-<hash8>``.
    actors, hosts_per_actor : int or None
        Ray actors, or hosts in each; by default one actor per CPU.
    inline : bool
        No Ray: all hosts in this process.
    address : str or None
        Ray cluster to use instead of an own one.
    resume : bool
        Go on with an interrupted run.
    engine : str
        ``fast``, or ``reference`` (tests).
    """

    out: Path | None = None
    actors: int | None = None
    hosts_per_actor: int | None = None
    inline: bool = False
    address: str | None = None
    resume: bool = False
    engine: EngineName = "fast"


@dataclass(frozen=True, slots=True)
class Finished:
    """A complete run: its folder, what its units came to, and whether it was complete before."""

    path: Path
    tallies: dict[tuple[str, int], Tally]
    was_complete: bool


def arms_of(scenario: Scenario) -> list[Arm]:
    """Return the scenario's arms, composed under its profile."""
    own = policies_of(scenario.policies)
    return [parse_arm(text, scenario.profile, scenario.sizing, own) for text in scenario.arms]


def identity_of(scenario: Scenario) -> Identity:
    """Return what makes two runs of this scenario the same run."""
    arms = arms_of(scenario)
    content = {
        "scenario": hash_input(scenario).decode(),
        "tables": {arm.name: arm.table().tolist() for arm in arms},
        "sizings": {arm.name: arm.movable_millionths for arm in arms},
        "costs": cost_model(scenario.costs).vector().tolist(),
        "code": code_digest(),
    }
    names = tuple(arm.name for arm in arms)
    until = scenario.until_ci
    most = scenario.replications if until is None else until.limit
    return Identity(scenario.name, content, scenario.seed, names, most, grows=until is not None)


def simulate(
    scenario: Scenario, settings: Settings, talk: Talk, enough: Enough | None = None
) -> Finished:
    """Run what is missing of a scenario and complete its folder.

    Parameters
    ----------
    scenario, settings, talk
    enough : callable, optional
        When a scenario with ``until_ci`` has replications enough; it must have one.

    Raises
    ------
    InputError
        Bad inputs, a plan larger than memory, a folder that cannot be used, foreign workers.
    RunError
        A write failed, Ray did not start, an actor was lost again and again.
    KeyboardInterrupt
        The folder can be resumed; no process is left.
    """
    identity = identity_of(scenario)
    several = scenario.replications > 1 or scenario.until_ci is not None
    inputs = read_inputs(scenario) if several else None  # the one plan reads, and forgets, them
    plan = build_plan(scenario, inputs=inputs)
    give_back()
    path = settings.out or RUNS / identity.folder_name
    with RunFolder.open(path, identity, resolve(scenario), resume=settings.resume) as folder:
        if not folder.complete:
            reps = _run_missing(scenario, settings, talk, folder, inputs, plan, enough)
            folder.finish({"steady": asdict(plan.steady)} if plan.steady else None, reps)
            return Finished(path, _tallies(path, identity), was_complete=False)
        return Finished(path, _tallies(path, identity), was_complete=True)


def _run_missing(
    scenario: Scenario,
    settings: Settings,
    talk: Talk,
    folder: RunFolder,
    inputs: Inputs | None,
    first: Plan,
    enough: Enough | None,
) -> int:
    """Run the missing units in order, all on one crew; return how many replications there are."""
    plans = {first.replication: first}
    arms = {arm.name: arm for arm in arms_of(scenario)}
    _compile(settings, talk)
    missing, growing = list(folder.missing), Growing(scenario, folder, enough)
    with (
        Spools(folder.path, needed_by(missing, arms)) as spools,
        _crew(scenario, settings, talk, first.hosts.memory_pages.tolist()) as crew,
    ):
        for name, rep in growing.units():
            if rep not in plans:
                if scenario.until_ci is not None:
                    plans.clear()
                plans[rep] = build_plan(scenario, rep, inputs=inputs)
            plan = plans[rep]
            single = scenario.replications == 1 and scenario.until_ci is None
            label = name if single else f"{name} rep {rep}"
            size = plan.horizon_ns, len(plan.requests), len(plan.hosts)
            talk.unit(label, *size)
            spool = spools.open((rep, arms[name].movable_millionths)) if scenario.age else None
            world = build_world(plan, scenario, arms[name], settings.engine, spool)
            writer = folder.unit(name, rep)
            try:
                tally = run_unit(world, scenario, crew, writer, talk.tell)
            except PromiseError as error:
                talk.notice(f"{error}; repeating {label} without promises")
                talk.unit(label, *size)
                crew.distrust()
                writer = folder.unit(name, rep)
                tally = run_unit(world, scenario, crew, writer, talk.tell)
            folder.commit(writer, {"tally": asdict(tally)}, fingerprint(plan))
            spools.close((rep, arms[name].movable_millionths))
    return growing.replications


def needed_by(units: list[tuple[str, int]], arms: dict[str, Arm]) -> list[tuple[int, int]]:
    """Return replication and sizing of each unit: those that are equal share their aged hosts."""
    return [(rep, arms[name].movable_millionths) for name, rep in units]


def _compile(settings: Settings, talk: Talk) -> None:
    """Have the kernels compiled before any worker needs them.

    They are loaded here only where hosts run here: machine code takes 50 MiB of this process.
    """
    if settings.engine != "fast":
        return
    from engine.host import compile_ahead
    from engine.kernel import CACHE_DIR

    compiled = CACHE_DIR / "complete"
    if settings.inline or not compiled.exists():
        compile_ahead(talk.notice)
        with contextlib.suppress(OSError):  # the next run looks for itself
            compiled.touch()


@contextlib.contextmanager
def _crew(
    scenario: Scenario, settings: Settings, talk: Talk, memory_pages: list[int]
) -> Iterator[Crew]:
    """Hold whoever runs the hosts; an interrupt during the clean-up waits for it."""
    if settings.inline:
        yield InlineCrew()
        return
    from fleet.run.actors import ActorCrew
    from fleet.run.cluster import ray_session
    from fleet.run.dealing import divide

    own = settings.actors is None and settings.hosts_per_actor is None
    actors = scenario.executor.actors if own else settings.actors
    each = scenario.executor.hosts_per_actor if own else settings.hosts_per_actor
    cpus = len(os.sched_getaffinity(0))
    shares = divide(memory_pages, actors or cpus, each)
    with ray_session(settings.address, max(cpus, 1)):
        crew = ActorCrew(shares, talk.notice, fixed=each is not None)
        try:
            yield crew
        finally:
            with _uninterrupted():
                crew.close()


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore further interrupts."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _tallies(path: Path, identity: Identity) -> dict[tuple[str, int], Tally]:
    """Read what the units came to from their commit records."""
    found = {}
    manifest = json.loads((path / paths.MANIFEST).read_bytes())
    for arm, rep in identity.units:
        if rep >= manifest["replications"]:
            continue
        record = path / paths.commit_path(arm, rep)
        commit = records.read_commit(record)
        if commit is None or "tally" not in commit.info:
            raise RunError(f"{record}: unreadable commit record")
        found[arm, rep] = Tally(**commit.info["tally"])
    return found
