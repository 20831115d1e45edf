"""A rehearsed offline reports what one that is carried out on a clone does.

Random hosts, under all arms and profiles, are asked what an offline of each of their blocks would
do, whole or cut short at any time. The rows must be those of a clone, and the host as it was.
"""

from collections import Counter

import numpy as np
import pytest

from engine.enums import OfflineReason, Op, Row
from engine.host import Host
from engine.rows import FIRST
from engine.state import AR_HINTPOS, AR_HINTREF, G_RUNTOP
from tests.engine.bench import Bench, command, make_shape, make_table
from tests.engine.commands import ARMS, Commander, Draws, long_passes

SHAPES = [
    make_shape("NNNNNNMMMMMMMMMMMMMM", order=2, chunks=1),
    make_shape("NNNNNNNNNNNNNNNN", order=2, chunks=2, cpus=(0, 0)),
    make_shape("DNNNNNNNNMMMMMMM|NNNNNMMMMMMMM-", order=2, chunks=1, cpus=(0, 1)),
    make_shape("NNNMMMMMMM|NNNMMMMMM", order=3, chunks=1, cpus=(0, 1), thp=True),
    make_shape("RNNNNMMMMMMM", order=4, chunks=1),
]
"""With room, as hosts have it; on those of other tests an offline is hard put to find any."""
END_NS = (0, 70_000, 900_000, 4_000_001, 60_000_000, 900_000_000)
"""Time that an offline has: none, and from parts of a pass up to hundreds of them."""
LEFT_OUT = ("rows", "acc", "moves", "runs", "runb", "pbh", "pbs")
"""Scratch of commands, and other views of the same."""


def probe_of(host: Host, block: int, ns: int, bound_ns: int = 0) -> np.ndarray:
    """An offline of one block, and how far it is after some time."""
    start = host.now_ns
    offline = command(start, Op.OFFLINE, 7, block, 1, bound_ns)
    return np.array([offline, command(start + ns, Op.STATUS, 7)])


def state(host: Host) -> dict[str, bytes]:
    """Everything a host remembers."""
    slot = host._h.slot.copy()
    slot[:, [AR_HINTREF, AR_HINTPOS]] = 0  # where a walk has been last, which only saves steps
    used = {"run": host._h.run[: host._h.g[G_RUNTOP]], "slot": slot}
    arrays = {n: a for n, a in host._h._asdict().items() if n not in LEFT_OUT} | used
    return {n: a.tobytes() for n, a in arrays.items()}


def compare(host: Host, probe: np.ndarray) -> np.ndarray | None:
    """Rows of a rehearsal, which must be those of a clone; None where there was none."""
    end, before = int(probe[-1, 0]), state(host)
    rows = host._rehearsed(probe, end)
    assert state(host) == before
    wanted = host.clone(spare=True).execute(probe, end)
    if rows is not None:
        assert np.array_equal(rows, wanted), (rows.tolist(), wanted.tolist())
    return rows


def reason_of(rows: np.ndarray) -> OfflineReason:
    """Why the attempt ended, or that it runs."""
    return OfflineReason(rows[rows[:, 1] == Row.ATTEMPT][0, FIRST + 4])


def sequence(key: int, number: int, steps: int) -> Counter[str]:
    """Ask a host again and again while it lives; returns how often what was the answer."""
    d = Draws(key, number)
    table = make_table(d.of(ARMS), d.of(("linux-5.10", "linux-6.1", "linux-6.12")))
    bench = Bench(d.of(SHAPES), table, long_passes(d.of((1, 4, 10))), checked=False, full_every=0)
    commander = Commander(bench, d)
    seen: Counter[str] = Counter()
    for step in range(steps):
        commander.act(Draws(key, number, step))
        host = bench.hosts[1]
        if bench.host.panicked:
            break
        for block in range(bench.shape.nr_blocks):
            draw = Draws(key, number, step, block)
            bound_ns = draw.of((0, 0, 0, 2_000_000))
            rows = compare(host, probe_of(host, block, draw.of(END_NS), bound_ns))
            seen["not rehearsed" if rows is None else reason_of(rows).name] += 1
    return seen


@pytest.mark.parametrize("shard", range(4))
def test_a_rehearsal_and_a_clone_report_the_same(shard: int) -> None:
    seen: Counter[str] = Counter()
    for number in range(25):
        seen += sequence(80 + shard, number, 25)
    assert min(seen["NONE"], seen["RUNNING"], seen["SIGNAL"], seen["not rehearsed"]) > 20, seen
