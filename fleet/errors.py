"""The two ways a command ends badly: what a user got wrong, and what broke while it ran."""


class InputError(Exception):
    """Bad input from the user: printed as one line, exit code 2, never a traceback.

    ``str()`` is ``file:line:col field: reason`` with the parts that are known.

    Parameters
    ----------
    reason : str
        What is wrong, in one line.
    field : str
        Dotted path of the field, ``hosts.classes[0].memory``, or "" when there is none.
    where : str
        ``file:line:col``, ``file:line``, ``file`` or ``--set path``, or "".
    """

    def __init__(self, reason: str, *, field: str = "", where: str = "") -> None:
        self.reason = " ".join(reason.split())
        self.field = field
        self.where = where
        super().__init__(self.reason)

    def __str__(self) -> str:
        """Return the one line."""
        place = " ".join(part for part in (self.where, self.field) if part)
        return f"{place}: {self.reason}" if place else self.reason


class FleetError(Exception):
    """A known failure that is not the input's fault: printed as one line, exit code 1."""


class PromiseError(FleetError):
    """Hosts had news of what they had promised to do without any; the unit has to be repeated."""


class RunError(FleetError):
    """A run folder could not be written or read (disk full, corrupt file)."""
