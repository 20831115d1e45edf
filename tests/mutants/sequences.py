"""Fixed command sequences with what the reference answers, to be compared with seeded engines."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.enums import Migratetype, PoolSize
from engine.reference.host import ReferenceHost
from engine.shape import HostShape
from tests.engine.bench import Bench, Int64
from tests.engine.commands import Draws, Fragmenter, make_bench
from tests.engine.conservation import POOL

FULL_EVERY = 20
"""Steps after which everything is compared, list order included, as in the state machine."""


@dataclass(slots=True)
class Step:
    """One call of ``execute`` and what is seen after it."""

    commands: Int64
    until_ns: int
    rows: Int64
    state: tuple[Int64, ...]
    digest: bytes = b""


@dataclass(slots=True)
class Sequence:
    """A host and the calls made to it."""

    shape: HostShape
    table: Int64
    costs: Int64
    steps: list[Step] = field(default_factory=list)


class _Recorder:
    """A reference host that notes every call."""

    def __init__(self, bench: Bench) -> None:
        self._host, self._shape = bench.host, bench.shape
        self.sequence = Sequence(bench.shape, bench.table, bench.costs)

    def execute(self, commands: Int64, until_ns: int) -> Int64:
        """Pass the call on and note the answer."""
        rows: Int64 = self._host.execute(commands, until_ns)
        step = Step(commands.copy(), until_ns, rows.copy(), state(self._host))
        self.sequence.steps.append(step)
        if len(self.sequence.steps) % FULL_EVERY == 0:
            step.digest = digest(self._host, self._shape)
        return rows

    def __getattr__(self, name: str) -> Any:
        """All else is the host's."""
        return getattr(self._host, name)


def state(host: Any) -> tuple[Int64, ...]:
    """What is compared after every step."""
    flags = np.array([host.now_ns, host.offline_running], np.int64)
    return host.counters.copy(), host.zones(), host.blocks(), flags


def digest(host: Any, shape: HostShape) -> bytes:
    """A digest of everything a host shows."""
    h = hashlib.sha256()
    for zone in range(shape.nr_zones):
        for mt in Migratetype:
            for order in range(shape.pageblock_order + 2):
                _add(h, host.free_list(zone, mt, order))
        for cpu in range(len(shape.cpu_node)):
            _add(h, host.pcp(cpu, zone))
    for size in PoolSize:
        _add(h, host.pool(size))
    pages = host.pages()
    _add(h, pages)
    for area in sorted({int(p[2]) for p in pages} - {POOL}):
        _add(h, host.area(area))
    return h.digest()


def _add(h: Any, array: Int64) -> None:
    """Add an array with its length."""
    h.update(np.int64(len(array)).tobytes() + np.ascontiguousarray(array, np.int64).tobytes())


def record(key: int, steps: int) -> Sequence:
    """Record one random sequence."""
    d = Draws(key)
    bench = make_bench(d, (ReferenceHost,), 0)
    bench.laws, bench.shortens = None, False
    recorder = _Recorder(bench)
    bench.hosts[0] = recorder
    commander = Fragmenter(bench, d)
    for step in range(steps):
        commander.act(Draws(key, step + 1))
    recorder.sequence.steps[-1].digest = digest(bench.host, bench.shape)
    return recorder.sequence


def differs(sequence: Sequence, engine: Any) -> str:
    """Replay a sequence on an engine; what differs first, or nothing."""
    host = engine(sequence.shape, sequence.table, sequence.costs)
    for number, step in enumerate(sequence.steps):
        rows = host.execute(step.commands, step.until_ns)
        if not np.array_equal(rows, step.rows):
            return f"rows of step {number}"
        if not all(map(np.array_equal, state(host), step.state)):
            return f"state after step {number}"
        if step.digest and digest(host, sequence.shape) != step.digest:
            return f"lists after step {number}"
    return ""
