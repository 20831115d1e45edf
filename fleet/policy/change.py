"""One thing that a policy makes otherwise."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """An observation that differs.

    Attributes
    ----------
    where : str
        Story or recorded case; empty for a cell.
    what : str
        What was looked at.
    plain, own : str
        What was seen without and with the policy.
    """

    where: str
    what: str
    plain: str
    own: str
