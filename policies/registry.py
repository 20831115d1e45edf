"""Profiles, policies and presets by name: the shipped ones, installed ones, and a caller's own."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import cache, partial
from importlib.metadata import entry_points
from typing import TypeVar

from policies.models import Named, OfflinePolicy, PinPolicy, Policy, PolicyError, Profile, Sizing
from policies.offlines import OFFLINE_POLICIES, parse_timeout
from policies.pins import PIN_POLICIES, parse_loses, parse_pool
from policies.profiles import PROFILES
from policies.sizing import SIZINGS, parse_movable

GROUP = "fleet.policies"
"""Entry point group in which installed packages offer policies."""

MOST_NAMES = 8
"""Names that an error lists."""

T = TypeVar("T", bound=Named)
P = TypeVar("P", bound=Policy)


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


def is_shipped(name: str) -> bool:
    """Whether a policy of that name is shipped (``timeout-30s`` included)."""
    names = {item.name for item in (*PIN_POLICIES, *OFFLINE_POLICIES)}
    return name in names or name.startswith(("timeout-", "reserved-pool-"))


@cache
def installed() -> tuple[Policy, ...]:
    """Return the policies that installed packages offer in the entry point group, by name.

    An entry point is a ``PinPolicy`` or ``OfflinePolicy``, a list of them, or a function without
    arguments that returns either.

    Raises
    ------
    PolicyError
        One line that names the entry point which cannot be loaded or offers something else.
    """
    found: dict[str, Policy] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda e: (e.name, e.value)):
        for policy in _offered(entry.name, entry.load):
            if is_shipped(policy.name) or policy.name in found:
                raise PolicyError(f"entry point '{entry.name}': '{policy.name}' exists already")
            found[policy.name] = policy
    return tuple(found[name] for name in sorted(found))


def _offered(name: str, load: Callable[[], object]) -> list[Policy]:
    """Load what an entry point offers."""
    try:
        offered = load()
        if callable(offered) and not isinstance(offered, Policy):
            offered = offered()
    except Exception as error:
        raise PolicyError(f"entry point '{name}': {type(error).__name__}: {error}") from error
    items = [offered] if isinstance(offered, Policy) else offered
    if not isinstance(items, list | tuple) or not all(
        isinstance(item, PinPolicy | OfflinePolicy) for item in items
    ):
        raise PolicyError(f"entry point '{name}': not a PinPolicy, an OfflinePolicy or a list")
    return list(items)


def _policy(kind: str, of: type[P], name: str, shipped: Iterable[P], own: Iterable[Policy]) -> P:
    """Find a policy among the shipped ones, the caller's own and, where neither, installed ones."""
    items = [*shipped, *(p for p in own if isinstance(p, of))]
    if all(item.name != name for item in items):
        items += [p for p in installed() if isinstance(p, of)]
    return _find(kind, name, items)


def profile(name: str) -> Profile:
    """Return a kernel profile; PolicyError if there is none of that name."""
    return _find("profile", name, PROFILES)


def pin_policy(name: str, own: Iterable[Policy] = ()) -> PinPolicy:
    """Return a pin policy (``fault-aware-loses-thp`` included); PolicyError if there is none.

    ``own`` are policies of the caller, by name beside the shipped ones.
    """
    own = tuple(own)
    lossy = parse_loses(name, partial(pin_policy, own=own))
    return lossy or parse_pool(name) or _policy("pin policy", PinPolicy, name, PIN_POLICIES, own)


def offline_policy(name: str, own: Iterable[Policy] = ()) -> OfflinePolicy:
    """Return an offline policy (``timeout-30s`` included); PolicyError if there is none.

    ``own`` are policies of the caller, by name beside the shipped ones.
    """
    timed = parse_timeout(name)
    return timed or _policy("offline policy", OfflinePolicy, name, OFFLINE_POLICIES, tuple(own))


def sizing(name: str) -> Sizing:
    """Return a sizing preset (any ``movable-N`` included); PolicyError if there is none."""
    return parse_movable(name) or _find("sizing preset", name, SIZINGS)
