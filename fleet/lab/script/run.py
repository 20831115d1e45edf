"""Runs a script under one arm: boot, step by step, and what was seen."""

import operator
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from engine.shape import HostShape
from fleet.lab import classes
from fleet.lab.buffers import UnsupportedOperationError
from fleet.lab.machine import (
    Engine,
    EngineFactory,
    HostPanickedError,
    Ints,
    Machine,
    PinStuckError,
    ProcessKilledError,
)
from fleet.lab.operations import Operation
from fleet.lab.script import host
from fleet.lab.script.arms import script_arm
from fleet.lab.script.language import parse_step
from fleet.lab.script.load import Loaded
from fleet.lab.script.models import END
from fleet.lab.script.program import Program
from fleet.lab.script.sight import Seen, Sight, Step, merged
from fleet.scenario.own import policies_of
from policies import registry
from policies.arms import Arm

OFFLINES = ("offline", "offlineall")
COMPARISONS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


@dataclass(frozen=True, slots=True)
class Unmet:
    """An expectation that did not come true."""

    label: str
    field: str
    expected: Any
    seen: Any


@dataclass(frozen=True, slots=True)
class Ran:
    """A script under one arm.

    Attributes
    ----------
    arm : str
        As written.
    shape : HostShape
        The host.
    before, after : int64[nr_blocks, 7]
        ``Host.blocks()`` before the first step and after the last.
    steps : tuple of Step
        Those that were carried out.
    end : dict
        ``END_FIELDS``.
    unmet : tuple of Unmet
        Expectations of the script about this arm that did not come true.
    """

    arm: str
    shape: HostShape
    before: Ints
    after: Ints
    steps: tuple[Step, ...]
    end: Seen
    unmet: tuple[Unmet, ...]


@dataclass(slots=True)
class _Witness:
    """An engine that remembers what it said, and the blocks while an offline ran."""

    engine: Engine
    rows: list[Ints] = field(default_factory=list)
    during: Ints | None = None

    def execute(self, commands: Ints, until_ns: int) -> Ints:
        """Pass commands on and keep the answer."""
        rows = self.engine.execute(commands, until_ns)
        if len(rows):
            self.rows.append(rows)
        if self.engine.offline_running:
            self.during = self.engine.blocks()
        return rows

    def take(self) -> Ints:
        """Return what was said since the last call."""
        rows, self.rows = self.rows, []
        return merged(rows)

    def __getattr__(self, name: str) -> Any:
        """All else is the engine's."""
        return getattr(self.engine, name)


def run_script(loaded: Loaded, arm_text: str, factory: EngineFactory) -> Ran:
    """Run a script under an arm.

    Raises
    ------
    InputError
        The host cannot be built, or a step is not possible on it; with the place in the file.
    PolicyError
        The arm does not parse.
    """
    script = loaded.script
    operations = [parse_step(step.op) for step in script.steps]
    own_policies = policies_of(script.policies)
    arm = script_arm(arm_text, script.profile, script.host.sizing, own_policies)
    machine, witness = _boot(loaded, arm, factory)
    own = registry.sizing(script.host.sizing).movable_millionths
    hot = host.removable(script.host, own)
    program = Program(machine, hot, script.host.nodes, classes.scattered_by(operations))
    before, fate = machine.engine.blocks(), "finished"
    steps: list[Step] = []
    witness.take()
    for number, operation in enumerate(operations):
        steps.append(_step(loaded, number, operation, program, witness))
        if "died" in steps[-1].seen:
            fate = str(steps[-1].seen["died"])
            break
    end: Seen = {"fate": fate, "oom_kills": machine.oom_kills}
    unmet = tuple(_unmet(loaded, arm_text, steps, end))
    after = machine.engine.blocks()
    return Ran(arm_text.strip(), machine.shape, before, after, tuple(steps), end, unmet)


def _boot(loaded: Loaded, arm: Arm, factory: EngineFactory) -> tuple[Machine, _Witness]:
    """The booted host, with a witness before its engine."""
    try:
        machine = host.boot(loaded.script.host, arm.movable_millionths, factory, arm.table())
    except host.HostError as error:
        raise loaded.places.error(("host", error.field), str(error)) from None
    witness = _Witness(machine.engine)
    machine.engine = cast(Engine, witness)
    return machine, witness


def _step(
    loaded: Loaded, number: int, operation: Operation, program: Program, witness: _Witness
) -> Step:
    """Carry out one step and look at what it did."""
    machine, step = program.machine, loaded.script.steps[number]
    start_ns, owners, witness.during = machine.clock_ns, program.owners(), None
    if not program.supports(operation):
        raise loaded.step_error(number, f"operation {operation.text!r} is not supported yet")
    seen: Seen = {}
    try:
        observed = program.run(operation)
        seen = {
            name: observed[name] for name in ("errno", "pin_result", "result") if name in observed
        }
        if "blocks" in observed:
            seen["result"] = ",".join(block["result"] for block in observed["blocks"])
    except UnsupportedOperationError as error:
        raise loaded.step_error(number, str(error)) from None
    except ProcessKilledError:
        seen["died"] = "oom-killed"
    except PinStuckError:
        seen["died"] = "stuck"
    except HostPanickedError:
        seen["died"] = "kernel-panic"
    sight = Sight(witness.take(), owners | program.owners())
    seen |= sight.fields() | _where(program, operation, seen)
    waited_ns = machine.clock_ns - start_ns
    seen["time_ns"] = sight.offline_ns() if operation.name in OFFLINES else waited_ns
    drawn = machine.engine.blocks() if operation.name == "map" else None
    if operation.name in OFFLINES and seen.get("result") != "ok":
        drawn = witness.during
    return Step(number + 1, operation.text, step.label, step.note, seen, sight.details(), drawn)


def _where(program: Program, operation: Operation, seen: Seen) -> Seen:
    """Where the buffer of an operation lies now."""
    name = program.named(operation)
    if name is None or "died" in seen or operation.name in ("alloc", "hint"):
        return {}
    where = program.lies(name)
    found = {
        "movable_pages": where["by_zone"]["Movable"],
        "elsewhere_pages": where["by_zone"]["kernel"],
    }
    found |= {f"{word}_pages": where[word] for word in ("absent", "thp") if where[word]}
    return found


def _unmet(loaded: Loaded, arm: str, steps: list[Step], end: Seen) -> Iterator[Unmet]:
    """Expectations about an arm that did not come true."""
    seen = {step.label: step.seen for step in steps if step.label} | {END: end}
    for label, fields in loaded.script.expect.get(arm, {}).items():
        for name, expected in fields.items():
            value = seen.get(label, {}).get(name)
            if not holds(expected, value):
                yield Unmet(label, name, expected, value)


def holds(expected: str | int | bool, value: Any) -> bool:
    """Whether a value is the expected one; ``>= N``, ``<= N``, ``> N`` and ``< N`` compare."""
    if isinstance(expected, str) and isinstance(value, int) and not isinstance(value, bool):
        word, _, number = expected.partition(" ")
        if word in COMPARISONS and number.isdigit():
            return bool(COMPARISONS[word](value, int(number)))
    if isinstance(expected, int) and value is None:
        return expected == 0  # what did not happen counts nothing
    return bool(expected == value) and isinstance(expected, bool) == isinstance(value, bool)
