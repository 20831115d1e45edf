"""``fleet policy check``: does a policy keep the engine's invariants, and what does it change?"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fleet.policy.change import Change
from fleet.policy.laws import LawError
from fleet.policy.pair import Int64
from fleet.policy.stories import STORIES, Seen, Story
from fleet.policy.walk import Walk
from policies.arms import Arm, parse_arm
from policies.cells import CELL_DOCS
from policies.models import OfflinePolicy, Policy
from policies.profiles import PROFILES

PLAIN = "kernel+unbounded"
NOTHING = "-"
"""Shown where one side has nothing to show."""


@dataclass(slots=True)
class Report:
    """What a check found.

    Attributes
    ----------
    name, kind, profile : str
        The policy, ``pin`` or ``offline``, and the profile it was compared with.
    plain, arm : str
        The arms compared.
    cells : list of Change
        Cells that differ from the profile's (``where`` is empty).
    outcomes : list of Change
        Observable outcomes that differ, story by story.
    same : list of str
        Stories that end as without the policy.
    sequences, steps : int
        Random sequences run, and commands in each.
    cases, changed_cases : int, list of Change
        Recorded cases replayed, and observations that differ from those under the profile.
    broken : list of str
        Invariants that do not hold; empty when the policy passes.
    """

    name: str
    kind: str
    profile: str
    plain: str
    arm: str
    cells: list[Change] = field(default_factory=list)
    outcomes: list[Change] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    sequences: int = 0
    steps: int = 0
    cases: int = 0
    changed_cases: list[Change] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def check(
    policy: Policy,
    profile: str,
    sequences: int,
    steps: int,
    seed: int,
    cases: Sequence[Path] = (),
    classes: tuple[type, ...] = (),
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Run stories, random commands and recorded cases under a policy.

    Parameters
    ----------
    policy : Policy
        A pin or an offline policy.
    profile : str
        Profile it is compared with.
    sequences, steps, seed : int
        Random sequences over all profiles, commands in each, and the seed of their draws.
    cases : sequence of Path
        Files of recorded cases (as for ``fleet validate``); those of the profile's kernel count.
    classes : tuple of engine classes, optional
        Default both engines.
    tell : callable
        Is told what is being done.

    Raises
    ------
    PolicyError
        Unknown profile.
    InputError
        A case file that cannot be read.
    """
    offline = isinstance(policy, OfflinePolicy)
    plain = "pin-in-place+unbounded" if offline else PLAIN
    name = f"pin-in-place+{policy.name}" if offline else f"{policy.name}+unbounded"
    before, after = (_arm(text, profile, policy) for text in (plain, name))
    report = Report(policy.name, "offline" if offline else "pin", profile, before.name, after.name)
    report.cells = _cells(before, after)
    tell("stories")
    for story in STORIES:
        _compare(report, story, before.table(), after.table(), classes)
    tell("random commands")
    _walk(report, policy, sequences, steps, seed, classes)
    if cases:
        from fleet.policy.recorded import compare_cases

        tell("recorded cases")
        report.cases, report.changed_cases = compare_cases(
            cases, profile, before.table(), after.table()
        )
    return report


def _arm(text: str, profile: str, policy: Policy) -> Arm:
    return parse_arm(text, profile, "movable-50", (policy,))


def _cells(before: Arm, after: Arm) -> list[Change]:
    """Cells with another value."""
    old, new = before.settings(), after.settings()
    return [
        Change("", cell.name, doc.show(old[cell].value), doc.show(new[cell].value))
        for cell, doc in CELL_DOCS.items()
        if old[cell].value != new[cell].value
    ]


def _compare(
    report: Report, story: Story, before: Int64, after: Int64, classes: tuple[type, ...]
) -> None:
    """Play a story under both tables and note what differs."""
    try:
        plain = story.run(before, classes)
        own = story.run(after, classes)
    except LawError as error:
        report.broken.append(f"{story.name}: {error}")
        return
    changes = list(differences(story.name, plain, own))
    report.outcomes += changes
    if not changes:
        report.same.append(story.name)


def differences(where: str, plain: Seen, own: Seen) -> Iterable[Change]:
    """Yield what was seen differently, in the order of the story."""
    for what in dict.fromkeys([*plain, *own]):
        a, b = plain.get(what, NOTHING), own.get(what, NOTHING)
        if a != b:
            yield Change(where, what, a, b)


def _walk(
    report: Report,
    policy: Policy,
    sequences: int,
    steps: int,
    seed: int,
    classes: tuple[type, ...],
) -> None:
    """Random commands under the policy and each other half of an arm, on every profile in turn."""
    offline = isinstance(policy, OfflinePolicy)
    others = ("pin-in-place", "linux-5.13", "kernel") if offline else ("unbounded", "bounded-4.13")
    report.sequences, report.steps = sequences, steps
    for number in range(sequences):
        profile = PROFILES[number % len(PROFILES)].name
        other = others[number // len(PROFILES) % len(others)]
        text = f"{other}+{policy.name}" if offline else f"{policy.name}+{other}"
        table = _arm(text, profile, policy).table()
        try:
            Walk(table, (seed, number), classes).run(steps)
        except LawError as error:
            report.broken.append(f"sequence {number} ({text} on {profile}): {error}")
