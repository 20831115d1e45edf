"""Profiles, policies and presets by name."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TypeVar

from policies.models import Named, OfflinePolicy, PinPolicy, PolicyError, Profile, Sizing
from policies.offlines import OFFLINE_POLICIES, parse_timeout
from policies.pins import PIN_POLICIES, parse_loses
from policies.profiles import PROFILES
from policies.sizing import SIZINGS, parse_movable

MOST_NAMES = 8
"""Names that an error lists."""

T = TypeVar("T", bound=Named)


def unknown(kind: str, name: str, known: Iterable[str]) -> PolicyError:
    """Return the error for a name nobody has, with the nearest known one or all of them."""
    names = list(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'?" if close else f"known: {_some(names)}"
    return PolicyError(f"unknown {kind} '{name}'; {hint}")


def _some(names: list[str]) -> str:
    """List names, the first ones where all would not fit on a line."""
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:MOST_NAMES])}, ... (fleet policy list)"


def _find(kind: str, name: str, items: Iterable[T]) -> T:
    by_name = {item.name: item for item in items}
    if name not in by_name:
        raise unknown(kind, name, by_name)
    return by_name[name]


def profile(name: str) -> Profile:
    """Return a kernel profile; PolicyError if there is none of that name."""
    return _find("profile", name, PROFILES)


def pin_policy(name: str) -> PinPolicy:
    """Return a pin policy (``fault-aware-loses-thp`` included); PolicyError if there is none."""
    return parse_loses(name, pin_policy) or _find("pin policy", name, PIN_POLICIES)


def offline_policy(name: str) -> OfflinePolicy:
    """Return an offline policy (``timeout-30s`` included); PolicyError if there is none."""
    return parse_timeout(name) or _find("offline policy", name, OFFLINE_POLICIES)


def sizing(name: str) -> Sizing:
    """Return a sizing preset (any ``movable-N`` included); PolicyError if there is none."""
    return parse_movable(name) or _find("sizing preset", name, SIZINGS)
