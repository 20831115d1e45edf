"""Frozen models of profiles, policies and presets."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from engine.enums import Cell
from policies.cells import CELL_DOCS


class PolicyError(ValueError):
    """A profile, policy, preset or arm that does not exist or does not fit; one line of text."""


class Named(Protocol):
    """What every profile, policy and preset has."""

    @property
    def name(self) -> str:
        """The name scenarios and arms use."""

    @property
    def summary(self) -> str:
        """One line for listings."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Value of one cell and where it comes from (file and kernel version, paper or mail)."""

    value: int
    source: str


Settings = Mapping[Cell, Setting]


def _checked(owner: str, settings: Settings) -> Settings:
    """Return a read-only copy in cell order; PolicyError if a value is out of its cell's range."""
    for cell, setting in settings.items():
        doc = CELL_DOCS[cell]
        if not doc.low <= setting.value <= doc.high:
            raise PolicyError(
                f"{owner}: {cell.name} must be within {doc.low}..{doc.high}, not {setting.value}"
            )
    return MappingProxyType({cell: settings[cell] for cell in Cell if cell in settings})


@dataclass(frozen=True)
class Profile:
    """A plain kernel: a setting for every cell.

    Raises
    ------
    PolicyError
        If a cell is missing or out of range.
    """

    name: str
    summary: str
    settings: Settings

    def __post_init__(self) -> None:
        """Check completeness and ranges."""
        missing = [cell.name for cell in Cell if cell not in self.settings]
        if missing:
            raise PolicyError(f"{self.name}: cells not set: {', '.join(missing)}")
        object.__setattr__(self, "settings", _checked(self.name, self.settings))


@dataclass(frozen=True)
class Policy:
    """Named overrides of a profile's cells. PolicyError if a value is out of range."""

    name: str
    summary: str
    settings: Settings

    def __post_init__(self) -> None:
        """Check ranges."""
        object.__setattr__(self, "settings", _checked(self.name, self.settings))


class PinPolicy(Policy):
    """What happens to the pages of a long-term pin."""


class OfflinePolicy(Policy):
    """When an offline that makes no progress gives up."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """Share of a host's memory that is online in ZONE_MOVABLE.

    Attributes
    ----------
    name : str
        ``no-movable-zone`` or ``movable-N``.
    movable_millionths : int
        Share of the memory, 0..900000.
    """

    name: str
    movable_millionths: int

    @property
    def summary(self) -> str:
        """One line for listings."""
        if self.movable_millionths == 0:
            return "all memory in the kernel zones (kernelcore=100%)"
        return f"{self.movable_millionths // 10_000} % of the memory in ZONE_MOVABLE (movablecore=)"
