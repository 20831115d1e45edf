"""Parameters of which the quick suite takes some and ``-m slow`` the others."""

from collections.abc import Iterable
from typing import Any

import pytest


def first_quick(values: Iterable[Any], quick: int = 1) -> list[Any]:
    """Return the values (tuples are those of several names), all but the first ones marked slow."""
    sets = (value if isinstance(value, tuple) else (value,) for value in values)
    return [
        pytest.param(*given, marks=() if index < quick else pytest.mark.slow)
        for index, given in enumerate(sets)
    ]
