"""One case: boot its guest, replay its operations, compare each, and say how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.enums import AreaKind, Counter, Op
from fleet.lab import guest
from fleet.lab.buffers import UnsupportedOperationError
from fleet.lab.chance import AS_USUAL, Chance, ways
from fleet.lab.classes import PLACEMENT, class_of, is_random, scattered
from fleet.lab.compare import Comparison, Mismatch
from fleet.lab.driver import Driver
from fleet.lab.guest import OTHER_PROC
from fleet.lab.lines import Case, CaseError
from fleet.lab.machine import (
    EngineFactory,
    HostPanickedError,
    Ints,
    Machine,
    PinStuckError,
    ProcessKilledError,
)
from fleet.lab.operations import Operation

RECORD_NS = 1_000_000
"""What the driver takes to write a record: long enough for a kswapd that was woken."""
VMSTAT = {
    "pgmigrate_success": Counter.PGMIGRATE_SUCCESS,
    "pgmigrate_fail": Counter.PGMIGRATE_FAIL,
    "thp_migration_success": Counter.THP_MIGRATION_SUCCESS,
    "thp_migration_fail": Counter.THP_MIGRATION_FAIL,
    "thp_migration_split": Counter.THP_MIGRATION_SPLIT,
    "nr_foll_pin_acquired": Counter.NR_FOLL_PIN_ACQUIRED,
    "nr_foll_pin_released": Counter.NR_FOLL_PIN_RELEASED,
    "htlb_buddy_alloc_success": Counter.HTLB_BUDDY_ALLOC_SUCCESS,
}
"""Names of the recorded counters and the host's."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One observation of a case that differs."""

    operation: int
    text: str
    mismatch: Mismatch


@dataclass(frozen=True, slots=True)
class Stray:
    """An offline that repeats of a case recorded with different results."""

    operation: int
    text: str
    block: int
    results: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A replayed case.

    Attributes
    ----------
    strays : tuple of Stray
        Offlines whose result turns on stray kernel pages (``fleet.lab.repeats``); what follows
        from another recorded result of one is not among the disagreements.
    chance : Chance
        How chance went: another way than the first where only that agrees with what was recorded.
    """

    case: Case
    kind: str
    disagreements: tuple[Disagreement, ...]
    strays: tuple[Stray, ...] = ()
    chance: Chance = AS_USUAL

    @property
    def agrees(self) -> bool:
        """True when every compared observation agrees."""
        return not self.disagreements


def replay(case: Case, factory: EngineFactory, table: Ints) -> Outcome:
    """Replay a case under a decision table and compare it.

    Where something was left to chance, a case agrees when it does so for one of the ways that it
    may have gone (``fleet.lab.chance``, ``Outcome.chance``).

    Raises
    ------
    CaseError
        The guest is not known, or an operation is not supported; nothing was compared.
    """
    for index, operation, _ in _steps(case):
        if not Driver.supports(operation):
            reason = f"operation {operation.text!r} is not supported yet"
            raise CaseError(case.where, f"ops[{index}]", reason)
    tried: list[Outcome] = []
    for chance in ways(case):
        tried.append(_replay(case, factory, table, chance))
        if tried[-1].agrees:
            break
    return min(tried, key=lambda outcome: len(outcome.disagreements))


def _replay(case: Case, factory: EngineFactory, table: Ints, chance: Chance) -> Outcome:
    """Replay a case in which chance went a certain way."""
    kind = class_of(case)
    machine = guest.start(case, factory, table, chance.tick)
    first_slot = guest.first_free_slot(case.guest)
    driver = Driver(machine, case.hot_blocks, first_slot + 1, scattered(case))
    driver.chance = chance
    boot = guest.boot_of(case)
    driver.slab_pages, driver.disk_pages = boot.slab_pages, boot.disk_pages
    _add_neighbour(case, machine, driver, first_slot)
    random = is_random(case) or guest.presses_by_chance(case)
    rules = Comparison(kind in PLACEMENT, random, frozenset(case.hot_blocks))
    found: list[Disagreement] = []
    fate, at, last = "finished", len(case.records), ""
    for index, operation, recorded in _steps(case):
        last = operation.text
        try:
            before = machine.counters()
            seen = driver.run(operation, _loop_calls(recorded))
        except UnsupportedOperationError as error:
            field = f"ops[{index}]" if recorded is not None else "last_op_started"
            raise CaseError(case.where, field, str(error)) from error
        except ProcessKilledError:
            fate, at = "oom-killed", index
            break
        except PinStuckError:
            fate, at = "stuck", index
            break
        except HostPanickedError:
            fate, at = "kernel-panic", index
            break
        if recorded is None:
            continue
        machine.wait(machine.clock_ns + RECORD_NS)
        after = machine.counters()
        seen["vmstat"] = {name: after[c] - before[c] for name, c in VMSTAT.items()}
        try:
            mismatches = rules.operation(operation.name, operation.args, recorded, seen)
        except KeyError as error:
            field = f"ops[{index}].{error.args[0]}"
            raise CaseError(case.where, field, "missing in what was recorded") from None
        found += [Disagreement(index, operation.text, m) for m in mismatches]
    if (fate, at) != (case.fate, len(case.records)):
        found.append(Disagreement(at, last, Mismatch("fate", case.fate, fate)))
    elif fate != "kernel-panic" and machine.oom_kills != case.oom_kills:
        mismatch = Mismatch("oom_killed", case.oom_kills, machine.oom_kills)
        found.append(Disagreement(at, last, mismatch))
    return Outcome(case, kind, tuple(found), chance=chance)


def _steps(case: Case) -> list[tuple[int, Operation, Mapping[str, object] | None]]:
    """Operations with what was recorded; the one that never returned comes last, with None."""
    steps: list[tuple[int, Operation, Mapping[str, object] | None]] = [
        (i, record.operation, record.seen) for i, record in enumerate(case.records)
    ]
    if case.unfinished is not None:
        steps.append((len(steps), case.unfinished, None))
    return steps


def _loop_calls(recorded: Mapping[str, object] | None) -> int | None:
    """Calls of migrate_pages of an offline that was interrupted, if the recorded run counted."""
    calls = recorded.get("migrate_pages_calls") if recorded is not None else None
    looped = recorded is not None and recorded.get("result") == "EINTR_after_bound"
    return calls if looped and isinstance(calls, int) and calls > 0 else None


def _add_neighbour(case: Case, machine: Machine, driver: Driver, slot: int) -> None:
    """Give another, killable process what the case says was held before its first operation."""
    free = driver.free_outside()
    pages = guest.held_by_neighbour(case, free)
    if pages:
        machine.do(Op.SPAWN, OTHER_PROC, 0, 0)
        machine.do(Op.MAP, slot, OTHER_PROC, AreaKind.ANON, pages, 0)
        machine.do(Op.TOUCH, slot, 0, pages, -1, -1)
