"""What only the fast engine has: compiled kernels, pools of records, skipped passes."""

import importlib
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numba
import numpy as np
import pytest

from engine import kernel
from engine.costs import CostModel
from engine.enums import AreaKind, Op
from engine.host import Host
from engine.pointer import WORDS, table_of
from engine.reference.host import ReferenceHost
from engine.state import G_RUNTOP
from tests.engine.bench import (
    ENGINES,
    Bench,
    Engine,
    Surveyed,
    command,
    compare_full,
    make_shape,
    make_table,
)
from tests.engine.commands import Commander, Draws, make_bench
from tests.marks import first_quick

ROOT = Path(__file__).parents[2]


def story(key: int, steps: int = 60) -> Bench:
    """A bench after a random story."""
    d = Draws(key)
    bench = make_bench(d, ENGINES, 0)
    commander = Commander(bench, d)
    for i in range(steps):
        commander.act(Draws(key, i))
    return bench


def rows_at(bench: Bench) -> np.ndarray:
    """The commands of a bench's log as one array (pure time left out)."""
    return np.array([r for r in bench.log if r[1] < 1 << 20], np.int64)


COUNTING = """
import numba

@numba.njit(cache=True)
def keep(a):
    return [a, a]
"""


def machine_code(folder: Path) -> bytes:
    """All machine code in a cache folder (symbols of calls are plain text in it)."""
    return b"".join(p.read_bytes() for p in sorted(folder.rglob("*.nbc")))


def test_no_compiled_entry_counts_references(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Host(make_shape("NM"), make_table(), CostModel().vector())
    ours = machine_code(kernel.CACHE_DIR)
    assert len(ours) > 100_000
    assert b"NRT_incref" not in ours
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))  # where it does count
    (tmp_path / "counting.py").write_text(COUNTING)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("counting").keep(np.zeros(2))
    assert b"NRT_incref" in machine_code(tmp_path)


@pytest.mark.slow  # compiles the engine once more
def test_index_checks_find_nothing_in_a_short_run() -> None:
    code = (
        "from engine import kernel\n"
        "assert kernel.BOUNDSCHECK\n"
        "from tests.engine.test_fast_engine import story\n"
        "for key in range(12):\n"
        "    story(key, 40).finish()\n"
        "print('equal')\n"
    )
    env = {**os.environ, "FLEET_BOUNDSCHECK": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "equal", done.stderr[-3000:]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_clone_lives_its_own_life(engine: Engine) -> None:
    shape, table, costs = make_shape("NNNNMMMM"), make_table(), CostModel().vector()
    host, untouched = engine(shape, table, costs), engine(shape, table, costs)
    first = np.array([
        command(0, Op.SPAWN, 0, 0, 0), command(0, Op.MAP, 0, 0, AreaKind.ANON, 30, 0),
        command(0, Op.TOUCH, 0, 0, 30, -1, -1), command(0, Op.FREE, 0, 3, 5, -1),
    ])  # fmt: skip
    host.execute(first, 0)
    untouched.execute(first, 0)
    clone = host.clone()
    compare_full(host, clone, shape)
    clone.execute(
        np.array([
            command(5, Op.PIN, 1, 0, 10, 12, 0, -1), command(5, Op.OFFLINE, 1, 5, 2, 0),
            command(9, Op.MAP, 40, 0, AreaKind.FILE, 20, 0),
            command(9, Op.TOUCH, 40, 0, 20, -1, -1),
        ]),
        10_000_000_000,
    )  # fmt: skip
    compare_full(host, untouched, shape)
    assert host.now_ns == 0
    assert not np.array_equal(host.counters, clone.counters)
    host.execute(np.array([command(1, Op.EXIT, 0)]), 2)
    assert 40 in [int(a) for a in clone.pages()[:, 2]]


@pytest.mark.parametrize("key", range(6))
def test_a_clone_made_in_mid_story_goes_on_like_the_host(key: int) -> None:
    bench = story(key, 40)
    clones = [h.clone() for h in bench.hosts]
    end = bench.now_ns + 40_000_000
    last = command(end - 35_000_000, Op.SPAWN, 99, 0, 0)
    for host in (*bench.hosts, *clones):
        host.execute(np.array([last]), end)
    for clone in clones:
        assert np.array_equal(bench.host.counters, clone.counters)
        compare_full(bench.host, clone, bench.shape)


@pytest.mark.parametrize("junk", [0, -1, 0x01010101, 0x02020202, 0x05050505])
def test_what_lies_behind_the_records_in_use_of_a_clone_never_shows(junk: int) -> None:
    table = make_table("linux-5.13+unbounded", PCP_HIGH_PAGES=1)
    shape, costs = make_shape("NNNNMMMM"), CostModel().vector()
    reference = ReferenceHost(shape, table, costs)
    host = Host(shape, table, costs)
    first = np.array([
        command(0, Op.SPAWN, 0, 0, 0), command(0, Op.MAP, 0, 0, AreaKind.ANON, 48, 0),
        command(0, Op.TOUCH, 0, 0, 48, -1, -1),
    ])  # fmt: skip
    then = np.array([
        command(5, Op.PIN, 1, 0, 1, 13, 0, -1), command(5, Op.PIN, 2, 0, 15, 20, 0, -1),
        command(9, Op.FREE, 0, 36, 11, -1),
    ])  # fmt: skip
    for engine in (reference, host):
        engine.execute(first, 0)
    clone = host.clone()
    clone._h.run[clone._h.g[G_RUNTOP] :] = junk
    for engine in (reference, clone):
        engine.execute(then, 10)
    compare_full(reference, clone, shape)


@pytest.mark.parametrize("key", first_quick(range(3)))
def test_a_spare_clone_takes_over_the_memory_of_the_last_one(key: int) -> None:
    """What the last one left there does not show, and the host itself is never touched."""
    for number in (50 + key, key, 60 + key):
        bench = story(number, 40)
        (fast,) = (h for h in bench.hosts if isinstance(h, Host))
        plain, spare = fast.clone(), fast.clone(spare=True)
        assert not np.shares_memory(fast._h.pb, spare._h.pb)
        end = bench.now_ns + 40_000_000
        last = np.array([command(end - 35_000_000, Op.SPAWN, 99, 0, 0)])
        assert np.array_equal(spare.execute(last, end), plain.execute(last, end))
        compare_full(plain, spare, bench.shape)
        compare_full(bench.hosts[0], fast, bench.shape)


@pytest.mark.parametrize("kind", [Host, Surveyed])
def test_the_table_of_a_spare_clone_is_that_of_its_arrays(kind: type[Host]) -> None:
    """For hosts of other sizes in turn; where an array without rows would be is never read."""
    touch = [command(0, Op.TOUCH, 1, 3, 1, -1, -1)]
    for blocks in ("NNNN", "NNNNNNMMMM|NN", "NM"):
        host = kind(make_shape(blocks, cpus=(0, 0)), make_table(), CostModel().vector())
        begin = [command(0, Op.SPAWN, 0, 0, 0), command(0, Op.MAP, 1, 0, AreaKind.ANON, 9, 0)]
        host.execute(np.array(begin + touch), 0)
        clone = host.clone(spare=True)
        words, arrays = clone._table.reshape(-1, WORDS), table_of(clone._h).reshape(-1, WORDS)
        assert (words[:, 1] == arrays[:, 1]).all()
        assert (words == arrays)[arrays[:, 1] > 0].all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("key", [0, 3, 5, 12])
def test_how_commands_are_cut_into_calls_does_not_matter(engine: Engine, key: int) -> None:
    log, bench = rows_at(story(key)), story(key, 0)
    end = int(log[-1, 0]) + 7_000_000

    def run(cuts: list[int]) -> tuple[Engine, np.ndarray]:
        host = engine(bench.shape, bench.table, bench.costs)
        edges = [0, *cuts, len(log)]
        rows = [
            host.execute(log[a:b], int(log[b - 1, 0]) if b < len(log) else end)
            for a, b in pairwise(edges)
        ]
        return host, np.concatenate(rows)

    whole, rows = run([])
    for cuts in ([len(log) // 2], [1, 2, 3, len(log) - 1], list(range(1, len(log)))):
        other, others = run(cuts)
        assert np.array_equal(rows, others)
        assert np.array_equal(whole.counters, other.counters)
        compare_full(whole, other, bench.shape)


def test_records_and_slots_grow_with_what_a_host_holds() -> None:
    shape = make_shape("N" * 40 + "M" * 80, chunks=4)
    table = make_table(PCP_HIGH_PAGES=1)
    costs = CostModel().vector()
    reference, fast = ReferenceHost(shape, table, costs), Host(shape, table, costs)
    commands = [command(0, Op.SPAWN, 700, 0, 0)]
    for slot in range(0, 900, 9):
        commands.append(command(0, Op.MAP, slot, 700, AreaKind.ANON, 20, 0))
        commands.append(command(0, Op.TOUCH, slot, 0, 20, -1, -1))
        commands += [command(0, Op.FREE, slot, i, 1, -1) for i in range(1, 20, 2)]
    commands += [command(1, Op.PIN, 5_000, 9, 2, 1, 0, -1), command(2, Op.SAMPLE, 1)]
    batch = np.array(commands)
    assert np.array_equal(reference.execute(batch, 3), fast.execute(batch, 3))
    compare_full(reference, fast, shape)
    runs = fast.nr_runs
    assert runs > 900
    for host in (reference, fast):
        host.execute(np.array([command(9, Op.EXIT, 700)]), 10)
    compare_full(reference, fast, shape)
    assert fast.nr_runs < runs / 2
