"""Where Numba keeps the machine code of an entry: by what the sources say, not by where they lie.

The driver may run an installed copy of the engine and Ray's workers the one in the working folder
(Ray puts that first on their path). Numba's own locators tell copies apart by folder and time of
change, so that each of them would compile the engine once more. The cache directory is named by
the digest of all sources (``engine.kernel``), and copies with one digest share it.
"""

from pathlib import Path
from typing import Any, Self

from numba import config
from numba.core.caching import UserProvidedCacheLocator

HERE = Path(__file__).resolve().parent


class ByContent(UserProvidedCacheLocator):
    """Locator of functions of this package; others are left to Numba's own locators."""

    def __init__(self, py_func: Any, py_file: str) -> None:
        super().__init__(py_func, py_file)
        self._cache_path = config.CACHE_DIR

    def get_source_stamp(self) -> str:
        """Return what is the same for all sources with this digest."""
        return str(config.CACHE_DIR)

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> Self | None:
        """Return a locator, None for a function of another package."""
        if Path(py_file).resolve().parent != HERE:
            return None
        found: Self | None = super().from_function(py_func, py_file)
        return found
