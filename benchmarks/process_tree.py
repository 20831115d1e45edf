"""Wall time, CPU and peak memory of a command with all processes it starts, by /proc.

A process that was seen as a descendant stays in the tree when its parent ends (daemons). Memory is
the sum of proportional set sizes, so that shared pages count once. The command's own CPU time is
read after its end, before it is reaped; of its descendants what the last sample saw (twice a
second), so a process that lives shorter than that is missed. Memory is looked at every three
seconds.
"""

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
EVERY_S, MEMORY_EACH = 0.5, 6
"""Seconds between samples; each so-manieth looks at memory. That walks all page tables of a process
and holds up its page faults: of 10 GiB twice a second it took a sixth of a core."""


@dataclass(slots=True)
class Usage:
    """What a command took."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_bytes: int = 0
    exit_code: int = 0
    output: str = ""


def resident_bytes(pid: int | str = "self") -> int:
    """Return the resident set of a process; 0 when it is gone."""
    text = _read(pid, "statm")
    return int(text.split()[1]) * PAGE_BYTES if text else 0


def measure(command: Sequence[str], cwd: Path) -> Usage:
    """Run a command to its end. Its output is kept whole."""
    start = time.perf_counter()
    child = subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    tree, over = _Tree(child.pid), threading.Event()
    sampler = threading.Thread(target=_sample, args=(tree, over))
    sampler.start()
    assert child.stdout is not None
    with child.stdout:
        output = child.stdout.read()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    wall_s = time.perf_counter() - start
    over.set()
    sampler.join()
    tree.note(child.pid)
    code = child.wait()
    return Usage(wall_s, sum(tree.cpu_s.values()), tree.peak_bytes, code, output)


@dataclass(slots=True)
class _Tree:
    """A process and its descendants, past and present."""

    root: int
    cpu_s: dict[tuple[int, str], float] = field(default_factory=dict)
    """(pid, start time) to user and system seconds."""
    peak_bytes: int = 0

    def sample(self, *, memory: bool) -> None:
        """Look at all processes once."""
        stats = {pid: stat for pid in _pids() if (stat := _stat(pid))}
        known = {pid for pid, start in self.cpu_s if pid in stats and stats[pid][19] == start}
        members = known | ({self.root} & set(stats))
        while more := {p for p, s in stats.items() if int(s[1]) in members} - members:
            members |= more
        for pid in members:
            self.note(pid)
        if memory:
            self.peak_bytes = max(self.peak_bytes, sum(map(_pss_bytes, members)))

    def note(self, pid: int) -> None:
        """Remember the CPU time of one process."""
        if stat := _stat(pid):
            self.cpu_s[pid, stat[19]] = (int(stat[11]) + int(stat[12])) / TICKS


def _sample(tree: _Tree, over: threading.Event) -> None:
    """Sample until told to stop."""
    for number in count():
        if over.wait(EVERY_S):
            return
        tree.sample(memory=number % MEMORY_EACH == 0)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on (proc(5) numbers minus 3); empty when gone."""
    return _read(pid, "stat").rpartition(")")[2].split()


def _pss_bytes(pid: int) -> int:
    """Proportional set size; the resident set where that may not be read."""
    for line in _read(pid, "smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return resident_bytes(pid)


def _read(pid: int | str, name: str) -> str:
    """A file of a process; empty when it is gone or may not be read."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
