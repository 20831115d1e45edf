"""The arms as a page shows them: a letter, a colour class, a name without what all have alike."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fleet.report.terminal import letter

STYLES = 7
"""Colours (and dash patterns) there are; more arms than that begin again, the letter decides."""

_PARTS = re.compile(r"(?:(?P<run>.+):)?(?P<pin>[^:+@]+)\+(?P<offline>[^:+@]+)(?:@(?P<sizing>.+))?")


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm on the page.

    Attributes
    ----------
    name : str
        As the log has it, ``[RUN:]PIN+OFFLINE[@SIZING]``.
    letter : str
        A, B, ... in the order of the scenario.
    short : str
        The name without the run and the offline policy where all arms share them.
    style : str
        CSS class that sets colour and dash pattern.
    baseline : bool
    """

    name: str
    letter: str
    short: str
    style: str
    baseline: bool


def arms_of(names: Sequence[str], baseline: str) -> list[Arm]:
    """Return the arms of a report in their order."""
    shorts = _shorts(names)
    return [
        Arm(name, letter(i), shorts[i], f"s{i % STYLES}", name == baseline)
        for i, name in enumerate(names)
    ]


def _shorts(names: Sequence[str]) -> list[str]:
    found = [_PARTS.fullmatch(name) for name in names]
    parts = [match.groupdict() for match in found if match]
    if len(parts) < len(names) or len(names) < 2:
        return list(names)
    alike = {key for key in ("run", "offline") if len({part[key] for part in parts}) == 1}
    shorts = [_compose({k: v for k, v in part.items() if k not in alike}) for part in parts]
    return shorts if len(set(shorts)) == len(shorts) else list(names)


def _compose(part: dict[str, str | None]) -> str:
    run, offline, sizing = part.get("run"), part.get("offline"), part.get("sizing")
    text = f"{run}:{part['pin']}" if run else str(part["pin"])
    text += f"+{offline}" if offline else ""
    return text + (f"@{sizing}" if sizing else "")
