"""``fleet policy``: profiles, policies and presets, and what each decides."""

import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypedDict

import typer

from engine.enums import Cell
from fleet.errors import InputError
from policies import registry
from policies.arms import Arm, parse_arm
from policies.cells import CELL_DOCS
from policies.models import Named, OfflinePolicy, Policy, PolicyError, Setting
from policies.offlines import OFFLINE_POLICIES
from policies.pins import PIN_POLICIES
from policies.profiles import PROFILES
from policies.sizing import NO_MOVABLE_ZONE, SIZINGS

app = typer.Typer(help="List, explain and check kernel profiles, policies and sizing presets.")

DEFAULT_PROFILE = "linux-6.1"

KINDS: Mapping[str, Sequence[Named]] = {
    "profile": PROFILES,
    "pin policy": PIN_POLICIES,
    "offline policy": OFFLINE_POLICIES,
    "sizing preset": SIZINGS,
}
"""What there is, in the order of listings."""


class Format(StrEnum):
    """Output formats."""

    TABLE = "table"
    JSON = "json"


class CellRow(TypedDict):
    """One cell of an explanation; ``value`` as the engine reads it, ``text`` for people."""

    cell: str
    value: int
    text: str
    profile_value: int
    profile_text: str
    overridden: bool
    meaning: str
    source: str


class Explanation(TypedDict):
    """What ``fleet policy explain --format json`` prints."""

    name: str
    kind: str
    profile: str
    summary: str
    movable_millionths: int | None
    cells: list[CellRow]


FormatOption = Annotated[Format, typer.Option("--format", help="table or json.")]


@app.command("list")
def list_(fmt: FormatOption = Format.TABLE) -> None:
    """List profiles, pin policies, offline policies and sizing presets.

    Example: fleet policy list
    """
    kinds = _with_installed()
    if fmt is Format.JSON:
        listing = {
            kind.replace(" ", "_"): [{"name": i.name, "summary": i.summary} for i in items]
            for kind, items in kinds.items()
        }
        print(json.dumps(listing, indent=2))
        return
    for kind, items in kinds.items():
        print(f"{kind}:")
        for item in items:
            print(f"  {item.name:<18} {item.summary}")
    print("arm: PIN+OFFLINE[@SIZING], for example linux-5.13+unbounded@movable-75")


def _with_installed() -> dict[str, list[Named]]:
    """What there is, with the policies of installed packages behind the shipped ones."""
    kinds = {kind: list(items) for kind, items in KINDS.items()}
    try:
        for policy in registry.installed():
            kinds[_kind_of(policy)].append(policy)
    except PolicyError as error:
        raise InputError(str(error)) from error
    return kinds


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(metavar="FILE", help="An own policy's file, or a name.")],
    profile: Annotated[
        str, typer.Option(help="Kernel profile that it is compared with.")
    ] = DEFAULT_PROFILE,
    cases: Annotated[
        list[Path] | None,
        typer.Option(help="Recorded cases to replay too, as for fleet validate (may be repeated)."),
    ] = None,
    sequences: Annotated[int, typer.Option(min=0, help="Random sequences to run.")] = 24,
    steps: Annotated[int, typer.Option(min=1, help="Commands in each.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random commands.")] = 1,
    fmt: FormatOption = Format.TABLE,
) -> int:
    """Prove that a policy keeps the engine's invariants, and say what it changes.

    Small stories of pins and offlines, random commands and, where given, recorded cases run under
    the policy; stories and random commands run in both engines. Exit code 1 when an invariant is
    broken.

    Example: fleet policy check deny
    """
    from fleet.policy.check import check as run_check
    from fleet.policy.show import as_json, as_text

    try:
        policy = _own(name) or _named(name)
        report = run_check(policy, profile, sequences, steps, seed, cases or (), tell=_say_progress)
    except PolicyError as error:
        raise InputError(str(error)) from error
    print(json.dumps(as_json(report), indent=2) if fmt is Format.JSON else as_text(report))
    return int(bool(report.broken))


def _named(name: str) -> Policy:
    """Return a shipped or an installed policy; PolicyError if there is none of that name."""
    kind, _ = _found(name, None)
    if kind == "pin policy":
        return registry.pin_policy(name)
    if kind == "offline policy":
        return registry.offline_policy(name)
    raise PolicyError(f"'{name}' is a {kind}, not a policy")


def _say_progress(text: str) -> None:
    """Say on a terminal what is being done."""
    if sys.stderr.isatty():
        print(f"{text} ...", file=sys.stderr)


@app.command("explain")
def explain(
    name: Annotated[
        str, typer.Argument(help="A profile, policy, preset or arm, or an own policy's file.")
    ],
    profile: Annotated[
        str, typer.Option(help="Kernel profile that fills the cells nobody overrides.")
    ] = DEFAULT_PROFILE,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Explain every cell of the decision table under NAME: value, meaning and source.

    Example: fleet policy explain linux-5.13+unbounded@movable-75
    """
    try:
        own = _own(name)
        explanation = explanation_of(own.name if own else name, profile, own)
    except PolicyError as error:
        raise InputError(str(error)) from error
    if fmt is Format.JSON:
        print(json.dumps(explanation, indent=2))
    else:
        print(_as_text(explanation))


def _own(name: str) -> Policy | None:
    """Return the policy of a file, None where ``name`` is none. InputError if it is malformed."""
    if not name.endswith((".yaml", ".yml")):
        return None
    from fleet.scenario.load import load_policy

    return load_policy(name).policy()


def explanation_of(name: str, profile: str, own: Policy | None = None) -> Explanation:
    """Return what ``name`` decides on top of ``profile``; PolicyError if there is no such name.

    ``own`` is a policy that is neither shipped nor installed.
    """
    if "+" in name or "@" in name:
        arm = parse_arm(name, profile, NO_MOVABLE_ZONE.name)
        said = "@" in name
        share = arm.movable_millionths if said else None
        summary = f"{arm.pin.summary}; offline {arm.offline.summary}"
        summary += f"; {arm.sizing.summary}" if said else ""
        return _explanation("arm", name, arm, summary, share)
    kind, summary = _found(name, own)
    if kind == "sizing preset":
        share = registry.sizing(name).movable_millionths
        profile = registry.profile(profile).name
        return Explanation(
            name=name,
            kind=kind,
            profile=profile,
            summary=summary,
            movable_millionths=share,
            cells=[],
        )
    pin = name if kind == "pin policy" else "kernel"
    offline = name if kind == "offline policy" else "unbounded"
    base = name if kind == "profile" else profile
    arm = parse_arm(f"{pin}+{offline}", base, NO_MOVABLE_ZONE.name, (own,) if own else ())
    return _explanation(kind, name, arm, summary, None)


def _found(name: str, own: Policy | None) -> tuple[str, str]:
    """Return kind and summary of a name that is not an arm."""
    if own is not None:
        return _kind_of(own), own.summary
    for kind, items in KINDS.items():
        for item in items:
            if item.name == name:
                return kind, item.summary
    if name.startswith("timeout-"):
        return "offline policy", registry.offline_policy(name).summary
    if "-loses-" in name:
        return "pin policy", registry.pin_policy(name).summary
    if name.startswith("movable-"):
        return "sizing preset", registry.sizing(name).summary
    for item in registry.installed():
        if item.name == name:
            return _kind_of(item), item.summary
    known = [item.name for items in KINDS.values() for item in items]
    raise registry.unknown("profile, policy or preset", name, known)


def _kind_of(policy: Policy) -> str:
    return "offline policy" if isinstance(policy, OfflinePolicy) else "pin policy"


def _explanation(
    kind: str, name: str, arm: Arm, summary: str, movable_millionths: int | None
) -> Explanation:
    base = arm.profile.settings
    overridden = {**arm.pin.settings, **arm.offline.settings}
    cells = [_row(cell, s, base[cell], cell in overridden) for cell, s in arm.settings().items()]
    return Explanation(
        name=name,
        kind=kind,
        profile=arm.profile.name,
        summary=summary,
        movable_millionths=movable_millionths,
        cells=cells,
    )


def _row(cell: Cell, setting: Setting, base: Setting, overridden: bool) -> CellRow:
    doc = CELL_DOCS[cell]
    return CellRow(
        cell=cell.name,
        value=int(setting.value),
        text=doc.show(setting.value),
        profile_value=int(base.value),
        profile_text=doc.show(base.value),
        overridden=overridden,
        meaning=doc.meaning,
        source=setting.source,
    )


def _as_text(explanation: Explanation) -> str:
    lines = [
        f"{explanation['kind']} {explanation['name']} (profile {explanation['profile']})",
        textwrap.fill(explanation["summary"], 98),
    ]
    for row in explanation["cells"]:
        mark = "*" if row["overridden"] else " "
        lines += ["", f"{mark} {row['cell']:<20} {row['text']:<14} profile: {row['profile_text']}"]
        lines.append(textwrap.indent(textwrap.fill(row["meaning"], 94), "    "))
        source = f"from {row['source']}"
        lines.append(textwrap.indent(textwrap.fill(source, 94), "    "))
    if explanation["cells"]:
        lines += ["", "* set by the policy; the others are the profile's"]
    return "\n".join(lines)
