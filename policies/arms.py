"""Arms: one profile, pin policy, offline policy and sizing, composed to a decision table."""

from collections.abc import Iterable
from dataclasses import dataclass

from engine.enums import Cell
from engine.table import Table, make_table
from policies import registry
from policies.models import OfflinePolicy, PinPolicy, Policy, PolicyError, Profile, Setting, Sizing


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm of a comparison.

    Attributes
    ----------
    name : str
        ``PIN+OFFLINE[@SIZING]`` as the user wrote it, without surrounding space.
    profile, pin, offline, sizing
        The four models the arm is composed of; each has a ``name``.
    """

    name: str
    profile: Profile
    pin: PinPolicy
    offline: OfflinePolicy
    sizing: Sizing

    @property
    def movable_millionths(self) -> int:
        """Share of a host's memory in ZONE_MOVABLE, in millionths."""
        return self.sizing.movable_millionths

    def settings(self) -> dict[Cell, Setting]:
        """Return the composed settings, one per cell: offline over pin over profile."""
        return {**self.profile.settings, **self.pin.settings, **self.offline.settings}

    def table(self) -> Table:
        """Return the composed decision table, int64, shape ``(NR_CELLS,)``."""
        return make_table({cell: setting.value for cell, setting in self.settings().items()})


def parse_arm(text: str, profile: str, default_sizing: str, own: Iterable[Policy] = ()) -> Arm:
    """Parse ``PIN+OFFLINE[@SIZING]``, for example ``linux-5.13+unbounded@movable-75``.

    Parameters
    ----------
    text : str
        The arm.
    profile : str
        Kernel profile that fills the cells no policy overrides.
    default_sizing : str
        Sizing preset of an arm without ``@SIZING``.
    own : iterable of Policy
        Policies of the caller, by name beside the shipped and the installed ones.

    Raises
    ------
    PolicyError
        One line naming the part that is wrong, with the nearest known name.
    """
    name, own = text.strip(), tuple(own)
    policies, at, size = name.partition("@")
    pin, plus, offline = policies.partition("+")
    if not (pin and plus and offline) or "+" in offline or (at and not size):
        raise PolicyError(
            f"arm '{name}': want PIN+OFFLINE[@SIZING], such as linux-5.13+unbounded@movable-75"
        )
    return Arm(
        name,
        registry.profile(profile),
        registry.pin_policy(pin, own),
        registry.offline_policy(offline, own),
        registry.sizing(size if at else default_sizing),
    )
