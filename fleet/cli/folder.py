"""Refuses a working folder whose modules would be imported instead of ours."""

from pathlib import Path

from fleet.errors import InputError

PACKAGES = ("engine", "fleet", "policies", "queries")
"""Our top-level packages. The names are common words, so a user's folder may have them too."""

_HOME = Path(__file__).resolve().parents[2]


def check_working_folder(folder: Path) -> None:
    """Raise InputError if ``folder`` holds a foreign module named like one of our packages.

    Ray puts the driver's working folder first on a worker's path and ``python -m`` puts it first
    on the driver's, so a user's ``engine.py`` would be run in place of our engine.

    A folder with our own source tree is fine, and so is one without Python in it.
    """
    for name in PACKAGES:
        foreign = folder / f"{name}.py"
        if not foreign.is_file():
            foreign = folder / name / "__init__.py"
            if not foreign.is_file() or _same(foreign, _HOME / name / "__init__.py"):
                continue
        raise InputError(
            f"would be imported instead of fleet's own '{name}'; run from another folder",
            where=str(foreign),
        )


def _same(foreign: Path, ours: Path) -> bool:
    return foreign.read_bytes() == ours.read_bytes()
