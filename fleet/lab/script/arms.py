"""What a script is run under: a kernel profile, a pin and an offline policy, a sizing."""

from collections.abc import Iterable
from dataclasses import replace

from policies import registry
from policies.arms import Arm, parse_arm
from policies.models import Policy, PolicyError
from policies.profiles import PROFILES

PLAIN = "kernel+unbounded"
"""What a plain kernel does."""


def script_arm(text: str, profile: str, sizing: str, own: Iterable[Policy] = ()) -> Arm:
    """Parse ``PIN+OFFLINE[@SIZING]``, with ``PROFILE:`` before it, or a profile alone.

    A profile alone is its plain kernel. The arm keeps the name as written. ``own`` are policies of
    the script, by name beside the shipped and the installed ones.

    Raises
    ------
    PolicyError
        One line that names the part that is wrong.
    """
    name = text.strip()
    if name in {p.name for p in PROFILES}:
        return replace(parse_arm(PLAIN, name, sizing), name=name)
    kernel, colon, rest = name.rpartition(":")
    if colon:
        registry.profile(kernel)
    elif "+" not in name:
        known = ", ".join(p.name for p in PROFILES)
        raise PolicyError(f"arm '{name}': want PIN+OFFLINE[@SIZING] or a profile ({known})")
    return replace(parse_arm(rest, kernel or profile, sizing, own), name=name)
