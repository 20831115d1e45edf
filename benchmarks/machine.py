"""What the figures were measured on: the machine and the versions."""

import os
import platform
from importlib import metadata
from pathlib import Path

from benchmarks.section import Section, Table

PACKAGES = ("numba", "numpy", "ray", "pyarrow", "duckdb", "simpy")


def machine() -> Section:
    """Return CPU, memory, kernel and versions as a section."""
    rows = [
        ("CPU", _cpu()),
        ("cores", str(len(os.sched_getaffinity(0)))),
        ("memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"),
        ("kernel", f"{platform.system()} {platform.release()}"),
        ("Python", platform.python_version()),
        *((name, _version(name)) for name in PACKAGES),
    ]
    return Section("Machine", [Table(("", ""), rows)])


def _cpu() -> str:
    """Model and largest cache by /proc/cpuinfo."""
    found: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    names = ("model name", "cpu family", "model", "cache size")
    model, family, number, cache = (found.get(name, "?") for name in names)
    return f"{model} (family {family}, model {number}, cache {cache})"


def _version(name: str) -> str:
    """Installed version of a package."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
