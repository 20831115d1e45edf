"""Bits that say where free runs may lie: never clear where there is one, cleared in time."""

import numpy as np
import pytest

from engine.enums import AreaKind, Counter, Op, ZoneKind
from engine.freebits import FREE_RUNS
from engine.state import BAG_SHIFT, FREE, G_BAGS, G_BAGWORDS, PS_STATE, RS_STATE, SPLIT, H
from tests.engine.bench import ENGINES, Guest, make_shape, make_table
from tests.engine.commands import Draws, Fragmenter, make_bench
from tests.engine.test_bags import runs_of


def marked(h: H) -> set[int]:
    """Groups of pageblocks whose bit is set."""
    first = int(h.g[G_BAGS] + FREE_RUNS * h.g[G_BAGWORDS])
    words = h.small[first : first + int(h.g[G_BAGWORDS])]
    bits = np.unpackbits(words.view(np.uint8), bitorder="little")
    return set(np.flatnonzero(bits).tolist())


def with_free_runs(h: H) -> set[int]:
    """Groups of pageblocks in which there is a free run."""
    split = np.flatnonzero(h.pbs[:, PS_STATE] == SPLIT).tolist()
    found = (pb for pb in split if any(h.runb[r, RS_STATE] == FREE for r in runs_of(h, pb)))
    return {pb >> BAG_SHIFT for pb in found}


@pytest.mark.parametrize("key", range(12))
def test_no_bit_is_clear_where_a_run_is_free(key: int) -> None:
    d = Draws(key, 44)
    commander = Fragmenter(make_bench(d, ENGINES, 0), d)
    seen = 0
    for step in range(40):
        commander.act(Draws(key, 44, step))
        h = commander.bench.hosts[1]._h
        seen += len(with_free_runs(h))
        assert with_free_runs(h) <= marked(h)
    assert seen


def test_scans_clear_bits_and_find_what_is_free_over_many_words() -> None:
    """Pins of THPs in a kernel zone of 512 pageblocks whose last free pages are single ones."""
    shape = make_shape("NNNN--", order=3, chunks=64, cpus=(0, 0))
    g = Guest(shape, make_table("kernel+unbounded", "linux-6.12", PCP_HIGH_PAGES=1), full_every=0)
    free, least = (int(x) for x in g.host.zones()[1, 1:3])
    hog = g.touched(g.spawn(immune=True), AreaKind.ANON, free - least - 4)
    g.do(Op.ONLINE, 4, 2, ZoneKind.MOVABLE)
    thps = g.touched(g.spawn(), AreaKind.THP, 256)
    for index in range(0, 1600, 2):
        g.free(hog, index, 1, -1)
    before = marked(g.hosts[1]._h)
    assert g.pin(50, thps, 0, 256)["errno"] == 0
    assert g.host.counters[Counter.COMPACT_SUCCESS] > 8
    after = marked(g.hosts[1]._h)
    assert with_free_runs(g.hosts[1]._h) <= after
    assert (len(before) > 120, len(after) < 60) == (True, True)
    g.finish()
