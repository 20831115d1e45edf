"""Which code this is: a digest over the sources of the four packages.

Ray puts the driver's working folder first on a worker's path, and a cluster's nodes have their own
installation. A worker therefore proves that it runs the driver's code before it runs anything.
"""

import hashlib
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("engine", "fleet", "policies", "queries")


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Return the sha256 over names and contents of all source files of our packages.

    A package that is missing, or a foreign module under its name, gives another digest.
    """
    found = hashlib.sha256()
    for package in PACKAGES:
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            found.update(f"{package}: not a package\n".encode())
            continue
        root = Path(next(iter(spec.submodule_search_locations)))
        for file in sorted(p for s in ("*.py", "*.sql", "*.yaml") for p in root.rglob(s)):
            name = f"{package}/{file.relative_to(root).as_posix()}"
            found.update(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()
