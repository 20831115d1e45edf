"""Where each field of a scenario was written: in its file, or by an option."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fleet.errors import InputError
from fleet.scenario.overrides import Override
from fleet.scenario.yamlpos import Document, Path, read_path, show_path


@dataclass(eq=False, slots=True)
class Places:
    """Marks of a scenario's fields, for errors found when it is loaded and later.

    All places are equal: where a scenario was written is no part of its value.

    Attributes
    ----------
    name : str
        What errors call the file.
    document : Document
        Marks of the file.
    options : list of Override
        Values laid over it, in order.
    """

    name: str
    document: Document
    options: list[Override] = field(default_factory=list)

    def __eq__(self, other: object) -> bool:
        """Places never make two scenarios differ."""
        return isinstance(other, Places)

    def __hash__(self) -> int:
        """Equal for all, as ``__eq__`` is."""
        return hash(Places)

    def _option(self, path: Path) -> Override | None:
        """Return the last option that set ``path`` or something above it."""
        for override in reversed(self.options):
            if path[: len(override.path)] == override.path:
                return override
        return None

    def order(self, path: Path, key: bool) -> tuple[int, int, int]:
        """Sort key: the file's lines first, then options in their order."""
        override = self._option(path)
        if override is not None:
            return 1, self.options.index(override), 0
        return 0, *self._mark(path, key)

    def _mark(self, path: Path, key: bool) -> tuple[int, int]:
        """Line and column of a field or, if it is not in the file, of what should hold it."""
        keys, values = self.document.keys, self.document.values
        if path in values and not (key and path in keys):
            return values[path]
        while path and path not in keys and path not in values:
            path = path[:-1]
        return keys.get(path) or values.get(path, (1, 1))

    def error(self, path: Path, reason: str, key: bool = False) -> InputError:
        """Build the error for a field; ``key``: point at its name, not at its value."""
        override = self._option(path)
        shown = show_path(path)
        if override is None:
            line, col = self._mark(path, key)
            return InputError(reason, field=shown, where=f"{self.name}:{line}:{col}")
        same = path == override.path
        return InputError(reason, field="" if same else shown, where=override.label)

    def locate(self, error: InputError, fields: Sequence[str]) -> InputError:
        """Add the place to an error that only names a field (one that begins with ``fields``)."""
        if error.where or error.field.split(".")[0].split("[")[0] not in fields:
            return error
        return self.error(read_path(error.field), error.reason)
